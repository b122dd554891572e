"""Execute notebooks, store their outputs and tidy them, so that running again changes no byte.

python tools/notebooks.py book/pooling.ipynb ...   run these
python tools/notebooks.py                          run all; redo the front page's picture and facts
python tools/notebooks.py --tidy [NOTEBOOK ...]    tidy only, run nothing
"""

import argparse
import json
import os
import platform
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import nbformat
from address import read_address, setup_source
from front import draw_front
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
LAST_RUN = ROOT / "book" / "_assets" / "last_run.json"
SHOWN_VERSIONS = ("torch", "torchvision", "matplotlib", "scikit-learn", "numpy")
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
KEPT = ("tags", "mystnb", "book", "cellView", "jupyter")
FOLDED = {"hide-input", "hide-cell"}  # in the page; in JupyterLab and on Colab too
TIMEOUT = 300  # seconds a cell


def all_notebooks() -> list[Path]:
    """Return the book's notebooks."""
    return sorted((ROOT / "book").glob("*.ipynb"))


def stamp_setup(notebook, source: str) -> None:
    """Put the set-up cell's text into the cell that is tagged for it; add the cell if need be."""
    marked = [c for c in notebook.cells[:2] if "remove-cell" in c.metadata.get("tags", [])]
    if not marked:
        marked = [nbformat.v4.new_code_cell(id="set-up", metadata={"tags": ["remove-cell"]})]
        notebook.cells.insert(1, marked[0])
    marked[0].source = source
    marked[0].outputs = []


def tidy(notebook) -> None:
    """Drop or fix what differs from run to run: timings, versions, live widgets."""
    chapter = notebook.metadata.get("book")
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    if chapter:
        notebook.metadata["book"] = chapter
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell in notebook.cells:
        kept = KEPT if cell.cell_type == "code" else ("tags",)
        cell.metadata = {key: cell.metadata[key] for key in kept if cell.metadata.get(key)}
        cell.source = cell.source.strip("\n")
        for output in cell.get("outputs", []):
            if "metadata" in output:
                output.metadata = {}
            # A playground's live view needs a kernel: its still picture stays.
            if "image/png" in output.get("data", {}):
                output.data.pop(WIDGET_VIEW, None)


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
    for cell in notebook.cells:
        if FOLDED & set(cell.metadata.get("tags", [])):
            cell.metadata |= {"cellView": "form", "jupyter": {"source_hidden": True}}
    if execute:
        NotebookClient(
            notebook,
            timeout=TIMEOUT,
            kernel_name="python3",
            resources={"metadata": {"path": str(path.parent)}},
            coalesce_streams=True,
            record_timing=False,
        ).execute()
    tidy(notebook)
    return save(notebook, path)


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
    parser.add_argument("--tidy", action="store_true", help="run nothing, tidy what is stored")
    options = parser.parse_args()
    os.environ["TUTORIAL_SCALE"] = "tiny"  # stored outputs come from tiny
    for path in options.notebooks or all_notebooks():
        start = time.perf_counter()
        changed = run(path.resolve(), execute=not options.tidy)
        seconds = time.perf_counter() - start
        print(f"{path.name}: {seconds:.1f} s, {'changed' if changed else 'unchanged'}", flush=True)
    if not options.notebooks and not options.tidy:
        draw_front()
        note_the_run()


if __name__ == "__main__":
    sys.exit(main())
