"""The book on paper: numbered, titled, light, with its bars, and no page of empty frames."""

import re

import pdf
import pytest
from pypdf import PdfReader


@pytest.fixture(scope="module")
def printed(chromium, addresses, tmp_path_factory):
    """Print two chapters, from a browser that prefers the dark."""
    path = tmp_path_factory.mktemp("pdf") / "book.pdf"
    parts = [("The layers", ["book/softmax"]), ("Judging", ["book/evaluation"])]
    page = chromium.new_page(color_scheme="dark")
    count = pdf.print_book(page, parts, path)
    page.close()
    reader = PdfReader(path)
    assert len(reader.pages) == count
    return reader


@pytest.fixture(scope="module")
def texts(printed):
    """Return the text of each page."""
    return [page.extract_text() for page in printed.pages]


def test_pages_are_numbered_throughout_and_titled(printed, texts):
    for number, text in enumerate(texts[1:], start=2):
        foot = re.search(r"(\d+)Image Classi\S+ with Pretrained Models", text)
        assert int(foot[1]) == number
    parts = printed.outline
    assert [entry.title for entry in parts[::2]] == ["The layers", "Judging"]
    assert [len(below) for below in parts[1::2]] == [1, 1]
    title = parts[1][0].title
    assert title in texts[1]


def test_solutions_are_there_and_buttons_are_not(texts):
    text = "\n".join(texts)
    assert "# Solution" in text
    assert "Show all code" not in text
    assert "Show the code" not in text


def test_no_page_is_nearly_empty_but_at_the_end_of_a_chapter(printed, texts):
    chapters = [printed.get_destination_page_number(below[0]) for below in printed.outline[1::2]]
    ends = {0, *[first - 1 for first in chapters], len(printed.pages) - 1}
    for number in set(range(len(printed.pages))) - ends:
        page = printed.pages[number]
        drawn = page.get_contents().get_data().count(b"\n")
        assert len(texts[number]) > 250 or drawn > 400 or page.images, number + 1


def test_bars_are_drawn_on_a_light_ground(printed):
    drawn = [page.get_contents().get_data() for page in printed.pages]
    blue, dark = rb"\b0 \.44\d* \.69\d* rg", rb"\.07\d* \.07\d* \.07\d* rg"  # #0072B2, #121212
    assert re.search(blue, b"".join(drawn))
    assert not re.search(dark, b"".join(drawn))


def test_links_lead_into_the_book(printed):
    links = [a.get_object() for page in printed.pages for a in page.get("/Annots", [])]
    inside = [link for link in links if isinstance(link.get("/Dest"), list)]
    assert not [a for a in links if str(a.get("/A", {}).get("/URI", "")).startswith("file:")]
    assert inside, "softmax and evaluation name one another"
    assert all(link["/Dest"][0].get_object() in printed.pages for link in inside)


def test_links_lead_to_sections_of_their_own_chapter(printed):
    # Both chapters have an equation (2): each one's references lead to its own.
    chapters = [printed.get_destination_page_number(below[0]) for below in printed.outline[1::2]]
    for first, end in zip(chapters, [*chapters[1:], len(printed.pages)], strict=True):
        links = [a.get_object() for p in printed.pages[first:end] for a in p.get("/Annots", [])]
        leads = {printed.get_page_number(k["/Dest"][0].get_object()) for k in links if "/Dest" in k}
        assert len(leads & set(range(first + 1, end))) > 1
