"""What the build makes for the front page: the answer as a picture, the chapters as cards."""

import base64
import io
import json
import re
from html import escape
from pathlib import Path
from statistics import mean

from page_text import inline_plot
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
LAST_RUN = ROOT / "book" / "_assets" / "last_run.json"
REGIMES = (("scratch", "from scratch"), ("frozen", "frozen"), ("full", "fine-tuned"))
COLORS = {"scratch": "#767676", "frozen": "#0072B2", "full": "#D55E00"}


def last_run() -> str:
    """Say when, and with which versions, the stored outputs were computed."""
    facts = json.loads(LAST_RUN.read_text(encoding="utf-8"))
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return f"on {facts['date']} with {versions}"


def answer() -> str:
    """Return the measured accuracies of three ways to train as bars."""
    path = ROOT / "benchmarks" / "results" / "five_regimes.json"
    regimes = json.loads(path.read_text(encoding="utf-8"))["regimes"]
    rows = ""
    for name, label in REGIMES:
        share = mean(regimes[name]["comparison"])  # on images that chose nothing
        rows += (
            f'<div class="bar"><span>{label}</span><span class="track">'
            f'<i style="width:{share:.0%};background:{COLORS[name]}"></i></span>'
            f"<b>{share:.2f}</b></div>"
        )
    return f'<div class="book-answer">{rows}</div>'


# For a chapter that has tables only: two scores, each with its interval.
INTERVALS = (
    '<svg viewBox="0 0 120 60" fill="none" stroke-width="3" stroke-linecap="round">'
    '<path stroke="#0072B2" d="M12 20H84"/><circle cx="46" cy="20" r="5" fill="#0072B2"/>'
    '<path stroke="#D55E00" d="M38 42H108"/><circle cx="75" cy="42" r="5" fill="#D55E00"/></svg>'
)


def small_photo(data: str) -> str:
    """Return a stored picture, shrunk to a card, as the card's ground."""
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    picture.thumbnail((400, 208))
    shrunk = io.BytesIO()
    picture.save(shrunk, "webp", quality=75)
    address = f"data:image/webp;base64,{base64.b64encode(shrunk.getvalue()).decode()}"
    ground = f"background: url({address}) center / contain no-repeat"
    return f'<span class="book-thumb" style="{ground}"></span>'


def thumbnail(notebook: dict) -> str:
    """Return a chapter's first drawing or plot that is small enough for a card, else a photo."""
    photos = []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            photos += [data["image/png"]] if "image/png" in data else []
            text = "".join(data.get("image/svg+xml", data.get("text/html", "")))
            svg = re.search(r"<svg.*?</svg>", text, re.S)
            if svg and len(svg[0]) < 60_000 and "shadow" not in text:
                picture = inline_plot(svg[0], "") if "image/svg+xml" in data else svg[0]
                picture = re.sub(r'role="img" aria-label(ledby)?="[^"]*"', "", picture)
                return f'<span class="book-thumb" aria-hidden="true">{picture}</span>'
    if photos:
        return small_photo("".join(photos[0]))
    return f'<span class="book-thumb" aria-hidden="true">{INTERVALS}</span>'


def cards(text: str, numbers: dict[str, int]) -> str:
    """Turn the table of the chapters into cards, with time and level from the notebooks."""
    found = []
    for title, name, goal in re.findall(r"^\| \[(.+?)\]\((\w+)\.ipynb\) \| (.+?) \|$", text, re.M):
        if name not in numbers:
            continue
        path = ROOT / "book" / f"{name}.ipynb"
        notebook = json.loads(path.read_text(encoding="utf-8"))
        facts = notebook["metadata"].get("book", {})
        side = [f"{facts['minutes']} min"] if facts.get("minutes") else []
        side += [facts["level"]] if facts.get("level") else []
        goal = re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(goal))
        found.append(
            (
                numbers[name],
                f'<a class="book-card" href="{name}.html">{thumbnail(notebook)}'
                f"<b>{numbers[name]}. {escape(title)}</b>"
                f"<small>{' · '.join(side)}</small><span>{goal}</span></a>",
            )
        )
    return '<div class="book-cards">' + "".join(card for _, card in sorted(found)) + "</div>"


def fill(text: str, numbers: dict[str, int], lab: str, pdf: Path | None) -> str:
    """Put the made parts into the front page's text."""
    paper = f'<a href="../_static/{pdf.name}">one PDF</a>' if pdf else "one PDF by `make pdf`"
    text = text.replace("<!-- pdf -->", paper)
    table = re.search(r"^\| Chapter \|.*?(?=^\s*$)", text, re.S | re.M)
    if table:
        text = text.replace(table[0], cards(table[0], numbers) + "\n")
    text = text.replace("<!-- answer -->", answer())
    return text.replace("<!-- lab -->", f"`````{{raw}} html\n{lab}\n`````")
