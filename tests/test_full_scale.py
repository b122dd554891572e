"""The scale `full`, rehearsed on a CPU: every notebook runs with stand-ins for what a GPU brings.

``tests/rehearsal.py`` says what is stood in for. Cells with the tag ``measured`` assert
what a whole training reaches; they are left out, and nothing else is.
"""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
START = "import rehearsal; rehearsal.rehearse(); del rehearsal, sys"
CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"))


@pytest.mark.scheduled
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_the_chapter_runs_at_full(path, tmp_path, monkeypatch):
    startup = tmp_path / "profile_default" / "startup"
    startup.mkdir(parents=True)
    lines = f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})", START
    (startup / "00-rehearsal.py").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("TUTORIAL_SCALE", "full")
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "2"))
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if "measured" in cell.metadata.get("tags", []):
            cell.source = ""
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=1800, kernel_name="python3", resources=resources).execute()
