"""The glossary and the links to it: a chapter links a term where it first uses it."""

import json
import re
from pathlib import Path

import page_text
import pytest

BOOK = Path(__file__).resolve().parents[1] / "book"
CHAPTERS = sorted(BOOK.glob("*.ipynb"))
TERMS = re.findall(
    r'^<a id="(g-[\w-]+)"></a>\*\*(.+?)\*\*(?: \((.+?)\))?$',
    (BOOK / "glossary.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
ANCHORS = [anchor for anchor, _, _ in TERMS]


def test_terms_are_unique_in_order_and_have_a_definition():
    text = (BOOK / "glossary.md").read_text(encoding="utf-8")
    assert len(set(ANCHORS)) == len(ANCHORS) == text.count('<a id="') > 60
    names = [name.lower() for _, name, _ in TERMS]
    assert names == sorted(names)
    assert len(re.findall(r"^: \S", text, re.MULTILINE)) == len(TERMS)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_the_build_links_a_chapters_terms_once_with_their_definitions(path):
    chapter = json.loads(path.read_text(encoding="utf-8"))
    page = page_text.dress(chapter, 1, {}, page_text.read_sources(), page_text.read_terms())
    text = "\n".join(c["source"] for c in page["cells"] if c["cell_type"] == "markdown")
    links = re.findall(r'class="term" href="glossary.html#(g-[^"]*)" data-definition="[^"]', text)
    assert links, "no term is linked"
    assert not set(links) - set(ANCHORS)
    assert len(set(links)) == len(links)
