"""The glossary and the links to it: a chapter links a term where it first uses it."""

import re
from pathlib import Path

import nbformat
import pytest

BOOK = Path(__file__).resolve().parents[1] / "book"
CHAPTERS = sorted(BOOK.glob("*.ipynb"))
TERMS = re.findall(
    r'^<a id="(g-[\w-]+)"></a>\*\*(.+?)\*\*(?: \((.+?)\))?$',
    (BOOK / "glossary.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
ANCHORS = [anchor for anchor, _, _ in TERMS]


def linked(path):
    """Return the anchors that a page links to, in its order."""
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    headings = "\n".join(re.findall(r"^#.*$", text, re.MULTILINE))
    assert "glossary.md#" not in headings
    assert text.count("#g-") == text.count("](glossary.md#g-"), "the links' one form"
    return re.findall(r"\]\(glossary\.md#(g-[^)\s]*)\)", text)


def test_terms_are_unique_in_order_and_have_a_definition():
    text = (BOOK / "glossary.md").read_text(encoding="utf-8")
    assert len(set(ANCHORS)) == len(ANCHORS) == text.count('<a id="') > 60
    names = [name.lower() for _, name, _ in TERMS]
    assert names == sorted(names)
    assert len(re.findall(r"^: \S", text, re.MULTILINE)) == len(TERMS)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_links_have_their_target_and_a_term_is_linked_once(path):
    links = linked(path)
    assert links, "no term is linked"
    assert not set(links) - set(ANCHORS)
    assert len(set(links)) == len(links)


def test_every_term_is_linked_from_a_chapter():
    assert set(ANCHORS) == {link for path in CHAPTERS for link in linked(path)}
