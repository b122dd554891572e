"""The interactive figures in the built book: none is stale, each draws and fits a dark phone."""

import re

import pytest
from book_pages import CHAPTERS, HTML

from tutorial_utils import interactive

pytestmark = pytest.mark.xdist_group("figures")
TAG = re.compile(r"<(book-(?:figure|question)-\w+)")
TAGS = {
    TAG.match(getattr(interactive, name)()._repr_html_())[1]: name
    for name in interactive.__all__
    if name != "Question"
}
PHONE = {"viewport": {"width": 375, "height": 667}, "color_scheme": "dark", "has_touch": True}
READY = "t => [...document.querySelectorAll(t)].every(e => e.shadowRoot?.querySelector('.title'))"


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


def test_each_figure_draws_in_its_page_from_a_folder(pages, visit):
    for chapter, tags in pages.items():
        tags = [tag for tag in tags if tag in TAGS]
        if not tags:
            continue
        visited = visit(f"{chapter}.html", "file", **PHONE)
        page = visited.page
        for tag in tags:
            page.wait_for_function(READY, arg=tag)
            assert page.locator(tag).first.evaluate("e => e.hasAttribute('dark')")
            assert page.locator(tag).first.bounding_box()["width"] <= 375
        assert [fault for fault in visited.faults if "willReadFrequently" not in fault] == []
