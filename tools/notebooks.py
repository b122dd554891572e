"""Execute notebooks, store their outputs and tidy them, so that running again changes no byte.

python tools/notebooks.py book/pooling.ipynb ...   run these
python tools/notebooks.py                          run those whose cells or imports have changed
python tools/notebooks.py --all                    run all; redo the front page's picture and facts
python tools/notebooks.py --tidy [NOTEBOOK ...]    tidy only, run nothing
"""

import argparse
import hashlib
import json
import os
import platform
import re
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import nbformat
from address import read_address, setup_source
from front import draw_front
from front_page import LAST_RUN
from nbclient import NotebookClient
from svg_pictures import add_pictures

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "tutorial_utils"
RESULTS = ROOT / "benchmarks" / "results"
SHOWN_VERSIONS = ("torch", "torchvision", "matplotlib", "scikit-learn", "numpy")
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
KEPT = ("tags", "mystnb", "book", "cellView", "jupyter")
FOLDED = {"hide-input", "hide-cell", "remove-cell"}  # in the page; in JupyterLab and on Colab too
TIMEOUT = 300  # seconds a cell
# Above these the tool warns.
MOST_WORDS, MOST_CELLS, MOST_LINES, MOST_PICTURES = 4_000, 30, 25, 600_000


def all_notebooks() -> list[Path]:
    """Return the book's notebooks."""
    return sorted((ROOT / "book").glob("*.ipynb"))


def fingerprint(notebook) -> str:
    """Return a hash of what the outputs come from: code cells, the modules and results they use."""
    todo = [c.source for c in notebook.cells if c.cell_type == "code" and not is_setup(c)]
    seen, found = hashlib.sha256(), set()
    while todo:
        text = todo.pop()
        seen.update(text.encode())
        names = re.findall(r"(?:from|import) (tutorial_utils[\w.]*)", text)
        paths = [PACKAGE.parent.joinpath(*name.split(".")) for name in names]
        paths = [q for path in paths for q in (path.with_suffix(".py"), *sorted(path.glob("*.*")))]
        paths += [RESULTS / f"{name}.json" for name in re.findall(r'load_results\("(\w+)"', text)]
        for path in paths:
            if path not in found and path.is_file() and path.suffix in (".py", ".js", ".json"):
                found.add(path)
                todo.append(path.read_text(encoding="utf-8"))
    return seen.hexdigest()[:16]


def is_setup(cell) -> bool:
    """Tell the set-up cell by its tag."""
    return cell.cell_type == "code" and "remove-cell" in cell.metadata.get("tags", [])


def stamp_setup(notebook, source: str) -> None:
    """Put the set-up cell behind the title, with its text and folded; add it if need be."""
    marked = [cell for cell in notebook.cells[:2] if is_setup(cell)]
    cell = marked[0] if marked else nbformat.v4.new_code_cell(id="set-up")
    notebook.cells[:] = [other for other in notebook.cells if other is not cell]
    notebook.cells.insert(1, cell)
    cell.metadata["tags"] = ["remove-cell"]
    cell.source, cell.outputs = source, []


def tidy(notebook) -> None:
    """Drop or fix what differs from run to run: timings, versions, live widgets."""
    chapter = notebook.metadata.get("book")
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    if chapter:
        notebook.metadata["book"] = chapter
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell in notebook.cells:
        if FOLDED & set(cell.metadata.get("tags", [])) and cell.cell_type == "code":
            cell.metadata |= {"cellView": "form", "jupyter": {"source_hidden": True}}
        kept = KEPT if cell.cell_type == "code" else ("tags",)
        cell.metadata = {key: cell.metadata[key] for key in kept if cell.metadata.get(key)}
        cell.source = cell.source.strip("\n")
        for output in cell.get("outputs", []):
            if "metadata" in output:  # a picture's size on the page is no detail of the run
                output.metadata = {k: v for k, v in output.metadata.items() if k == "image/png"}


def warnings_of(notebook) -> list[str]:
    """Say what is large: a chapter is one sitting."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and not is_setup(cell)]
    text = " ".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    pictures = sum(
        len(output.get("data", {}).get(kind, ""))
        for cell in code
        for output in cell.outputs
        for kind in ("image/png", "image/svg+xml")
    )
    long = sum(len(cell.source.splitlines()) > MOST_LINES for cell in code)
    found = {
        f"{len(text.split())} words": len(text.split()) > MOST_WORDS,
        f"{len(code)} code cells": len(code) > MOST_CELLS,
        f"{long} cells of more than {MOST_LINES} lines": long > 0,
        f"{pictures / 1e6:.1f} MB of pictures": pictures > MOST_PICTURES,
    }
    return [text for text, large in found.items() if large]


def save(notebook, path: Path) -> bool:
    """Write the notebook if it changed; return whether it did."""
    text = nbformat.writes(notebook, indent=1).rstrip("\n") + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    path.write_text(text, encoding="utf-8")
    return True


def run(path: Path, execute: bool = True) -> bool:
    """Stamp, execute and tidy one notebook; return whether the file changed."""
    notebook = nbformat.read(path, as_version=4)
    stamp_setup(notebook, setup_source(read_address()))
    if execute:
        NotebookClient(
            notebook,
            timeout=TIMEOUT,
            kernel_name="python3",
            resources={"metadata": {"path": str(path.parent)}},
            coalesce_streams=True,
            record_timing=False,
        ).execute()
        notebook.metadata.setdefault("book", {})["ran"] = fingerprint(notebook)
    tidy(notebook)
    add_pictures(notebook)
    return save(notebook, path)


def is_stale(path: Path) -> bool:
    """Tell whether a notebook's code, or what it imports, has changed since it was last run."""
    notebook = nbformat.read(path, as_version=4)
    return notebook.metadata.get("book", {}).get("ran") != fingerprint(notebook)


def note_the_run() -> None:
    """Write the date and the versions that the front page shows."""
    versions = {"Python": platform.python_version()}
    versions |= {name: version(name) for name in SHOWN_VERSIONS}
    facts = {"date": date.today().isoformat(), "versions": versions}
    LAST_RUN.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Run the notebooks that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--all", action="store_true", help="run all, changed or not")
    parser.add_argument("--tidy", action="store_true", help="run nothing, tidy what is stored")
    options = parser.parse_args()
    os.environ["TUTORIAL_SCALE"] = "tiny"  # stored outputs come from tiny
    chosen = options.notebooks or all_notebooks()
    if not (options.notebooks or options.all or options.tidy):
        chosen = [path for path in chosen if is_stale(path)]
        print(f"{len(chosen)} of {len(all_notebooks())} notebooks have changed.")
    for path in chosen:
        start = time.perf_counter()
        changed = run(path.resolve(), execute=not options.tidy)
        seconds = time.perf_counter() - start
        print(f"{path.name}: {seconds:.1f} s, {'changed' if changed else 'unchanged'}", flush=True)
        for warning in warnings_of(nbformat.read(path, as_version=4)):
            print(f"  large: {warning}")
    if options.all:
        draw_front()
        note_the_run()


if __name__ == "__main__":
    sys.exit(main())
