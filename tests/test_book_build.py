"""The book builds without a warning; all other tests of its pages come later."""

from book_pages import CHAPTERS, HTML


def test_every_chapter_is_built(addresses):
    assert {name for name in CHAPTERS if not (HTML / f"{name}.html").is_file()} == set()
