"""The interactive figures in the built book: none is stale (test_book.py sees that each draws)."""

import re

import pytest
from book_pages import CHAPTERS, HTML

from tutorial_utils import interactive

TAG = re.compile(r"<(book-(?:figure|question)-\w+)")
TAGS = {
    TAG.match(getattr(interactive, name)()._repr_html_())[1]: name
    for name in interactive.__all__
    if name != "Question"
}


@pytest.fixture(scope="module")
def pages(addresses):
    """Return chapter -> the tags of its figures and questions, as built."""
    return {
        name: TAG.findall((HTML / f"{name}.html").read_text(encoding="utf-8")) for name in CHAPTERS
    }


def test_no_page_has_a_figure_with_an_old_script(pages):
    question = TAG.match(interactive.Question("a", {"b": "c", "d": "e"})._repr_html_())[1]
    stale = {page: set(tags) - TAGS.keys() - {question} for page, tags in pages.items()}
    assert {page: tags for page, tags in stale.items() if tags} == {}
