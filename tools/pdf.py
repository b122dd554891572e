"""Print the built book into one PDF: Chromium prints each page, pypdf joins them.

`python tools/pdf.py` reads _build/html and writes _build/NAME.pdf, with an outline, pages
numbered throughout, each chapter's title at the head, and links that lead to sections of the book.
"""

import io
import json
import sys
from html import escape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from address import read_address
from browser import system_chromium
from front_page import last_run
from playwright.sync_api import Page, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, NameObject, NullObject

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
PDF = HTML.parent / "image-classification-with-pretrained-models.pdf"
READY = """async () => {
    await window.MathJax?.startup?.promise;
    for (const i of document.querySelectorAll("img")) { i.loading = "eager"; }
    await Promise.all([...document.querySelectorAll("article img")].map((i) => i.decode()));
    for (let k = 0; k < 3; k++) await new Promise(requestAnimationFrame);
    // Chromium notes the places that links of the same page lead to: lead to all.
    const links = document.createElement("div");
    links.hidden = true;
    for (const { id } of document.querySelectorAll("article [id]:not(svg *, mjx-container *)")) {
        links.append(Object.assign(document.createElement("a"), { href: `#${id}` }));
    }
    document.body.append(links);
}"""


def pages_in_order() -> list[tuple[str, list[str]]]:
    """Return each part's caption and its pages' names, in the order of the table of contents."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [(part["caption"], [c["file"] for c in part["chapters"]]) for part in toc["parts"]]


def head_style(title: str, start: int) -> str:
    """Return the style that puts a chapter's title and the book's page numbers on its pages."""
    return (
        f"@page {{ @top-left {{ content: {json.dumps(title)}; }} }} "
        f"html {{ counter-reset: page {start}; }}"
    )


def print_page(page, address: str, start: int) -> tuple[str, PdfReader]:
    """Print one built page; its first page of paper has the number ``start + 1``."""
    page.goto(address)
    page.evaluate(READY)
    title = page.locator("article h1").inner_text().rstrip("#").strip()
    page.add_style_tag(content=head_style(title, start))
    printed = page.pdf(prefer_css_page_size=True, print_background=True)
    return title, PdfReader(io.BytesIO(printed))


def title_page(page) -> PdfReader:
    """Print the title page: what the book is, where it comes from, and what it was run with."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    name, _, _ = config["title"].partition(":")
    page.set_content(
        f"""<style>@page {{ size: A4; margin: 30mm 25mm; }} body {{ font: 12pt/1.5 sans-serif; }}
        h1 {{ font-size: 34pt; line-height: 1.15; margin: 55mm 0 6mm; }}
        p.sub {{ font-size: 16pt; margin-bottom: 70mm; }}</style>
        <h1>{escape(name)}</h1><p class=sub>From convolution to fine-tuning</p>
        <p>{escape(config["author"])}, {config["copyright"]}. {escape(read_address())}</p>
        <p>Printed from the pages of the book, which answer when they are touched. Every number
        was computed {escape(last_run())}.</p>"""
    )
    return PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True)))


def find_places(printed: PdfReader, start: int) -> dict[str, tuple]:
    """Return where each named place of a printed chapter is: page number in the book, left, top."""
    return {
        unquote(name.removeprefix("/")): (
            start + printed.get_destination_page_number(place),
            place.left,
            place.top,
        )
        for name, place in printed.named_destinations.items()
    }


def lead_into_the_book(writer: PdfWriter, places: dict[str, dict[str, tuple]]) -> None:
    """Make links inside the book lead to the section they name; drop links to other files."""
    chapter = None
    for number, sheet in enumerate(writer.pages):
        chapter = next((n for n, found in places.items() if found[""][0] == number), chapter)
        kept = ArrayObject()
        for entry in sheet.get("/Annots", []):
            link = entry.get_object()
            target = urlsplit(str(link.get("/A", {}).get("/URI", "")))
            name, place = f"book/{Path(unquote(target.path)).stem}", unquote(target.fragment)
            if "/Dest" in link:
                name, place = chapter, unquote(str(link["/Dest"]).removeprefix("/"))
            elif target.scheme != "file":
                kept.append(entry)
                continue
            link.pop("/A", None)  # no address of the machine that printed it
            if name in places:
                first, left, top = places[name].get(place, places[name][""])
                page = writer.pages[first].indirect_reference
                where = [page, NameObject("/XYZ"), left, top, NullObject()]
                link[NameObject("/Dest")] = ArrayObject(where)
                kept.append(entry)
        sheet[NameObject("/Annots")] = kept
    writer.root_object.pop("/Names", None)  # the same names in each chapter


def print_book(page: Page, parts: list[tuple[str, list[str]]], path: Path) -> int:
    """Print these pages of the built book into one file; return the number of its pages."""
    writer, places = PdfWriter(), {}
    page.set_viewport_size({"width": 900, "height": 1200})
    writer.append(title_page(page), import_outline=False)
    for caption, names in parts:
        above = None
        for name in names:
            start = len(writer.pages)
            title, printed = print_page(page, (HTML / f"{name}.html").as_uri(), start)
            above = above or writer.add_outline_item(title=caption, page_number=start)
            top = (start, NullObject(), NullObject())
            places[name] = {**find_places(printed, start), "": top}
            writer.append(printed, import_outline=False)
            writer.add_outline_item(title=title, page_number=start, parent=above)
            print(f"{title}: pages {start + 1} to {len(writer.pages)}", flush=True)
    lead_into_the_book(writer, places)
    writer.compress_identical_objects()
    writer.write(path)
    return len(writer.pages)


if __name__ == "__main__":
    if not (HTML / "index.html").is_file():
        sys.exit("There is no built book: run `make book` first.")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=system_chromium(), args=["--no-sandbox"]
        )
        count = print_book(chromium.new_page(), pages_in_order(), PDF)
    print(f"The book on paper, {count} pages, {PDF.stat().st_size / 1e6:.1f} MB: {PDF.as_uri()}")
