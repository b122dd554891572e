"""The notebooks' own rules: what a chapter must have, and what its stored outputs must not have.

Each test reads a chapter as it lies in the repository. Whether the outputs are true is tested by
``pytest --nbval book/``; the last tests here see to it that this comparison is a strict one.
"""

import ast
import copy
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import notebooks as tool
import pytest
import yaml
from address import read_address, setup_source

from tutorial_utils.results import load_results

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"))
LONGEST_LINE = 88
LARGEST_PICTURE = 450_000  # bytes of PNG: twelve photos at double size
TAGS = {
    "hide-input",
    "hide-output",
    "hide-cell",
    "measured",
    "nbval-ignore-output",
    "raises-exception",
    "remove-cell",
}
# What another machine, user or day would change in a stored output.
STRAY = {
    "memory address": r"\bat 0x[0-9a-f]{6,}",
    "path": r"(/home/|/root/|/tmp/|/Users/|/content/|[A-Z]:\\|site-packages|\.venv)",
    "date": r"\b20\d\d-\d\d-\d\d\b",
    "time of day": r"\b\d\d?:\d\d:\d\d\b",
    "speed": r"\d ?(it/s|s/it)\b",
    "negative zero": r"-0\.0*(?![\d])",
    "warning": r"\b[A-Z]\w*Warning\b",
}

every_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def read(path):
    """Return a chapter."""
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    """Return the code cells but the set-up cell."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell for cell in cells if "remove-cell" not in tags(cell)]


def prose(notebook):
    """Return the Markdown text without formulas, code, links' addresses and directives' lines."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for gone in (
        r"^```(?:python|bash|text|\{code).*?^```",  # code
        r"^(?:```|:::).*$",  # where a directive begins and ends
        r"^:[\w-]+:.*$",  # its options
        r"\$\$.*?\$\$|\$[^$\n]+\$",
        r"\]\([^)]*\)",
        r"<[^>]+>",
    ):
        text = re.sub(gone, " ", text, flags=re.DOTALL | re.MULTILINE)
    return text


def count_words(text):
    """Count the words that have a letter."""
    return len(re.findall(r"[^\W\d_][\w'’-]*", text))


def tags(cell):
    """Return a cell's tags."""
    return set(cell.metadata.get("tags", []))


def texts(cell):
    """Return the texts of a cell's outputs, also those of HTML and SVG."""
    for output in cell.outputs:
        yield output.get("text", "")
        for kind, content in output.get("data", {}).items():
            if kind.startswith("text/") or kind == "image/svg+xml":
                yield content


def section(notebook, name):
    """Return the Markdown from the heading ``## name`` to the next one of that rank."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    found = re.findall(rf"^## {name}[^\n]*\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert len(found) == 1, f"there must be one section '## {name}'"
    return found[0]


def names(tree, kind):
    """Return the names of the functions that code calls, such as ``plt.show``."""
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, kind)}


@every_chapter
def test_the_chapter_is_in_the_table_of_contents(path):
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = {chapter["file"] for part in toc["parts"] for chapter in part["chapters"]}
    assert f"book/{path.stem}" in files


@every_chapter
def test_the_front_page_links_to_the_chapter(path):
    assert f"({path.name})" in (ROOT / "book" / "index.md").read_text(encoding="utf-8")


@every_chapter
def test_the_first_two_cells_are_the_title_and_the_set_up(path):
    title, setup = read(path).cells[:2]
    assert title.cell_type == "markdown"
    assert title.source.startswith("# ")
    assert setup.source == setup_source(read_address()), "run `python tools/notebooks.py --tidy`"
    assert setup.source.startswith("# @title")
    assert tags(setup) == {"remove-cell"}
    assert setup.metadata["cellView"] == "form"
    assert setup.outputs == []


@every_chapter
def test_markdown_holds_only_what_jupyterlab_and_colab_show(path):
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"^```(?!\{).*?^```", "", cell.source, flags=re.DOTALL | re.MULTILINE)
            assert not re.search(r"\{[a-z:-]+\}`|^(?:```|:::+) ?\{", text, re.MULTILINE), text[:300]


@every_chapter
def test_there_is_one_title(path):
    text = prose(read(path))
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1


@every_chapter
def test_code_keeps_to_the_column_and_hides_no_output(path):
    for cell in code_cells(read(path)):
        assert max(map(len, cell.source.splitlines())) <= LONGEST_LINE, cell.source
        assert not cell.source.rstrip().endswith(";"), f"assign instead:\n{cell.source}"
        for word in ("NBVAL_", "clear_output", "%%time", "%time"):
            assert word not in cell.source, cell.source


@every_chapter
def test_every_cell_was_run_in_order(path):
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@every_chapter
def test_cells_that_print_or_show_have_stored_outputs(path):
    for cell in code_cells(read(path)):
        top = ast.Module([s for s in ast.parse(cell.source).body if isinstance(s, ast.Expr)], [])
        called = names(top, ast.Call)
        kinds = {output.output_type for output in cell.outputs}
        if "print" in called:
            assert "stream" in kinds, cell.source
        if "plt.show" in called:
            assert "display_data" in kinds, cell.source


@every_chapter
def test_outputs_have_no_errors_and_nothing_on_stderr(path):
    for cell in code_cells(read(path)):
        for output in cell.outputs:
            if output.output_type == "error":
                assert "raises-exception" in tags(cell), output.evalue
            assert output.get("name") != "stderr", output.text
            # A live view without its kernel would show nothing.
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})


@every_chapter
def test_outputs_would_be_the_same_elsewhere(path):
    for cell in code_cells(read(path)):
        if "nbval-ignore-output" in tags(cell):
            kinds = {k: v for k, v in STRAY.items() if k not in ("negative zero", "speed")}
        else:
            kinds = STRAY
        for text in texts(cell):
            for kind, pattern in kinds.items():
                found = re.search(pattern, text)
                assert not found, f"{kind} {found[0]!r} in the output of:\n{cell.source}"


@every_chapter
def test_tags_are_known_and_a_cell_that_is_not_compared_is_followed_by_an_assertion(path):
    cells = code_cells(read(path))
    for cell, following in zip(cells, [*cells[1:], None], strict=True):
        assert tags(cell) <= TAGS - {"remove-cell"}
        if "nbval-ignore-output" in tags(cell):
            assert following is not None, cell.source
            tree = ast.parse(following.source)
            asserts = any(isinstance(node, ast.Assert) for node in ast.walk(tree))
            called = {name.rsplit(".", 1)[-1] for name in names(tree, ast.Call)}
            assert asserts or called & {"assert_close", "assert_allclose"}, following.source


@every_chapter
def test_every_figure_has_alt_text(path):
    notebook = read(path)
    for cell in code_cells(notebook):
        kinds = ("image/svg+xml", "image/png")  # beside an SVG, a PNG is the same picture
        found = [[o.data[k] for k in kinds if k in o.get("data", {})] for o in cell.outputs]
        pictures = [same[0] for same in found if same]
        if pictures:
            assert len(pictures) == 1, f"one figure a cell, each has its own text:\n{cell.source}"
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert count_words(alt) >= 8, f"alt text {alt!r} of:\n{cell.source}"
            assert len(pictures[0]) * 3 / 4 <= LARGEST_PICTURE, cell.source
    assert not re.search(r"!\[\s*\]\(", prose(notebook)), "a picture without alt text"


@every_chapter
def test_it_ends_with_a_summary_of_five_lines_and_with_exercises(path):
    notebook = read(path)
    assert len(re.findall(r"^[-*] ", section(notebook, "Summary"), re.MULTILINE)) == 5
    listed = section(notebook, "Exercises")
    exercises = re.findall(r"^(?:\*\*)?\d+\. ", listed, re.MULTILINE)
    assert 4 <= len(exercises) <= 8
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert re.findall(r"^## (\w+)", text, re.MULTILINE)[-2:] == ["Summary", "Exercises"]


@every_chapter
def test_the_file_is_tidy(path):
    notebook = read(path)
    tidied = copy.deepcopy(notebook)
    tool.tidy(tidied)
    assert nbformat.writes(tidied, indent=1) == nbformat.writes(notebook, indent=1), (
        "run `make notebooks`"
    )


def test_the_minutes_on_a_gpu_are_those_reckoned_and_a_small_gpu_suffices():
    found = load_results("full_scale")["chapters"]
    assert all(row["minutes"] < 10 and row["gigabytes"] < 15 for row in found.values())
    told = {path.stem: read(path).metadata["book"].get("gpu_minutes") for path in CHAPTERS}
    reckoned = {name: round(row["minutes"]) for name, row in found.items()}
    assert told == dict.fromkeys(told) | reckoned


# --- The comparison itself. ---


def compare(folder, cells):
    """Run strict nbval with the book's settings on a notebook of these cells; return its report."""
    notebook = nbformat.v4.new_notebook(cells=cells)
    tool.tidy(notebook)
    path = folder / "page.ipynb"
    nbformat.write(notebook, path)
    command = [sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider"]
    settings = [f"--confcutdir={ROOT}", "-c", str(ROOT / "pyproject.toml"), "-p", "conftest"]
    alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "nbval.plugin"}
    run = [*command, *settings, str(path)]
    return subprocess.run(run, cwd=ROOT, env=alone, timeout=300, capture_output=True, text=True)


def test_a_changed_number_in_a_stored_output_fails_and_the_scale_is_tiny(tmp_path, monkeypatch):
    monkeypatch.setenv("TUTORIAL_SCALE", "full")
    line = "import os; print(os.environ['TUTORIAL_SCALE'], 0.25)"
    outputs = [
        nbformat.v4.new_output("stream", name="stdout", text=f"tiny {number}\n")
        for number in ("0.25", "0.26")
    ]
    cells = [
        nbformat.v4.new_code_cell(line, execution_count=count, outputs=[output])
        for count, output in enumerate(outputs, start=1)
    ]
    report = compare(tmp_path, cells)
    assert report.returncode == 1
    assert "1 failed, 1 passed" in report.stdout
    assert "Cell 1" in report.stdout  # the second, counted from 0


def test_only_what_has_changed_is_run_again(tmp_path, monkeypatch):
    package = tmp_path / "tutorial_utils"
    monkeypatch.setattr(tool, "PACKAGE", package)
    package.mkdir()
    (package / "pooling.py").write_text("from tutorial_utils.inner import x\n")
    (package / "inner.py").write_text("x = 1\n")
    code = nbformat.v4.new_code_cell("from tutorial_utils.pooling import x")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("a"), code])
    before = tool.fingerprint(notebook)
    notebook.cells[0].source = "other words"
    (package / "scale.py").write_text("not imported")
    assert tool.fingerprint(notebook) == before
    (package / "inner.py").write_text("x = 2\n")  # two imports away
    assert tool.fingerprint(notebook) != before
    code.source += "\nx"
    assert len({before, tool.fingerprint(notebook)}) == 2
