"""Stamp the address of the book's repository into every place that names it.

    python tools/address.py https://github.com/you/your-copy
    python tools/address.py ""                                 take it out again

The address stands in ``_config.yml`` (``repository: url``). All other places follow from it: the
notebooks' set-up cell, the Colab button, README.md, CITATION.cff. tests/test_address.py holds them
equal.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLAB = "https://colab.research.google.com"
URL_LINE = re.compile(r'^(  url *: *)"(.*)"$', re.MULTILINE)
COLAB_LINE = re.compile(r'^(  colab_url *: *)"(.*)"$', re.MULTILINE)
README_BLOCK = re.compile(r"(<!-- address -->\n).*?(<!-- /address -->)", re.DOTALL)
CITATION_LINE = re.compile(r"^repository-code: .*\n", re.MULTILINE)


def read_address(root: Path = ROOT) -> str:
    """Return the address in ``_config.yml``; empty where none is set."""
    return URL_LINE.search((root / "_config.yml").read_text(encoding="utf-8"))[2]


def setup_source(address: str) -> str:
    """Return the text of every notebook's set-up cell."""
    text = (ROOT / "tools" / "setup_cell.py").read_text(encoding="utf-8").strip()
    return text.replace('REPOSITORY = ""', f'REPOSITORY = "{address}"')


def readme_block(address: str) -> str:
    """Return the lines of README.md that name the address."""
    where = address or "ADDRESS-OF-THIS-REPOSITORY"
    return f"```bash\ngit clone {where} book-of-fine-tuning\ncd book-of-fine-tuning\n```\n"


def stamped(address: str, root: Path = ROOT) -> dict[Path, str]:
    """Return each file that names the address, with the text that it should have."""
    texts = {}
    config = (root / "_config.yml").read_text(encoding="utf-8")
    colab = COLAB if address.startswith("https://github.com/") else ""
    config = URL_LINE.sub(rf'\1"{address}"', config)
    texts[root / "_config.yml"] = COLAB_LINE.sub(rf'\1"{colab}"', config)
    readme = (root / "README.md").read_text(encoding="utf-8")
    texts[root / "README.md"] = README_BLOCK.sub(rf"\1{readme_block(address)}\2", readme)
    citation = CITATION_LINE.sub("", (root / "CITATION.cff").read_text(encoding="utf-8"))
    texts[root / "CITATION.cff"] = citation + (f'repository-code: "{address}"\n' if address else "")
    for path in sorted((root / "book").glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"][:2]:
            if "remove-cell" in cell["metadata"].get("tags", []):
                cell["source"] = setup_source(address).splitlines(keepends=True)
        texts[path] = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    return texts


def main(arguments: list[str], root: Path = ROOT) -> str | None:
    """Write the address everywhere; return a message where it is not one."""
    address = arguments[0].strip().rstrip("/").removesuffix(".git") if len(arguments) == 1 else None
    if address is None or not re.fullmatch(r"(https://[^\s\"]+/[^\s\"]+/[^\s\"]+)?", address):
        return "Give one address such as https://github.com/you/your-copy (or an empty string)."
    for path, text in stamped(address, root).items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(root))
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
