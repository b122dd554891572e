"""The lab as a notebook shows it: an element, a still of it, and the address of its scripts."""

from html import escape
from pathlib import Path

STILL = Path(__file__).with_name("still.svg")


class Lab:
    """A network that learns from the reader's photos, in the built page.

    The output holds no script of its own, only the address of the book's: a few kilobytes, the same
    on every machine. Where that file is missing (a notebook outside of the built book) or scripts
    are off, the reader sees a picture and where to find the lab.

    Args:
        compact: the opening of a front page: classes, training, answers; no look inside.
        more: with ``compact``, the page that has the whole lab.
        folder: where the lab's files lie, seen from the page.
    """

    def __init__(
        self,
        compact: bool = False,
        more: str = "first_model.html",
        folder: str = "../_static/lab",
    ) -> None:
        self.compact, self.more, self.folder = compact, more, folder

    def _repr_html_(self) -> str:
        options = f' compact more="{escape(self.more)}"' if self.compact else ""
        still = STILL.read_text(encoding="utf-8").strip()
        return (
            f"<book-lab{options}>{still}<p>The lab: a pretrained network that learns "
            "to tell your photos of two things apart, in the page, without a server. It needs "
            "scripts, and the built book: run <code>make book</code>, then open "
            "<code>_build/html/index.html</code>.</p></book-lab>\n"
            f'<script src="{escape(self.folder)}/lab.js"></script>'
        )

    def __repr__(self) -> str:
        return f"Lab(compact={self.compact})"
