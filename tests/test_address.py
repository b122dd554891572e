"""The repository's address: it stands in ``_config.yml``, and all other places agree with it."""

import shutil
from pathlib import Path

import address
import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
COPY = "https://github.com/someone/a-copy"


def test_every_place_has_the_address_of_the_configuration():
    """Stamping the address again would change no file."""
    for path, text in address.stamped(address.read_address()).items():
        assert path.read_text(encoding="utf-8") == text, f"run `make address` ({path.name})"


@pytest.fixture
def repository(tmp_path):
    """Return a copy of the files that name the address, with one small notebook and no address."""
    for name in ("_config.yml", "README.md", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "book").mkdir()
    cells = [
        nbformat.v4.new_code_cell(address.setup_source(""), metadata={"tags": ["remove-cell"]})
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "book" / "page.ipynb")
    stamp(tmp_path, "")
    return tmp_path


def stamp(root, text):
    """Stamp an address into a copy; return the texts by file name."""
    for path, stamped in address.stamped(text, root).items():
        path.write_text(stamped, encoding="utf-8")
    return {path.name: path.read_text(encoding="utf-8") for path in address.stamped(text, root)}


def test_an_address_reaches_every_place_and_can_be_taken_out_again(repository):
    """With an address: clone command, citation, set-up cells, Colab button. Without: none."""
    before = stamp(repository, "")
    after = stamp(repository, COPY)
    for name in ("_config.yml", "README.md", "CITATION.cff", "page.ipynb"):
        assert COPY not in before[name]
        assert COPY in after[name], name
    assert address.read_address(repository) == COPY
    assert address.COLAB not in before["_config.yml"]
    assert address.COLAB in after["_config.yml"]
    assert stamp(repository, "") == before


def test_colab_opens_notebooks_from_github_only(repository):
    """Elsewhere the button would lead nowhere, so it is left out."""
    assert address.COLAB not in stamp(repository, "https://example.org/you/copy")["_config.yml"]


@pytest.mark.parametrize(
    "wrong", ["you/your-copy", "https://github.com/you", 'https://a/b/c"d', "x y"]
)
def test_what_is_no_address_is_refused(repository, wrong):
    """Nothing is written, and the message gives an example."""
    assert "such as" in address.main([wrong], repository)
    assert address.read_address(repository) == ""


def test_git_suffix_and_slash_are_dropped(repository, capsys):
    """What the browser's address line or the clone button gives is taken too."""
    assert address.main([COPY + ".git/"], repository) is None
    assert address.read_address(repository) == COPY
    assert "README.md" in capsys.readouterr().out
