"""The built book, opened in Chromium as readers do: from a server and from a folder.

Every page must draw its formulas, ask the network for nothing, report no error, fit a phone, and be
free of what axe-core calls serious or critical faults, in light and in dark.
"""

import functools
import json
import re

import pytest
from address import read_address
from axe_playwright_python.base import AXE_SCRIPT
from book_pages import CHAPTERS, HTML, ROOT, TOC

PAGES = [TOC["root"], *CHAPTERS]
# What axe looks for: contrast in light and in the dark, all else once.
COLOURS = ["color-contrast", "link-in-text-block"]
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
# Contrast follows from an element's kind, colour, size and ground: two of each are enough for axe.
MARK = """() => {
    const grounds = new Map([[null, ""]]);
    const ground = (e) => {
        if (!grounds.has(e)) {
            const { backgroundColor, backgroundImage, opacity } = getComputedStyle(e);
            const own = `${backgroundColor} ${backgroundImage} ${opacity}|`;
            const none = own === "rgba(0, 0, 0, 0) none 1|";
            grounds.set(e, (none ? "" : own) + ground(e.parentElement));
        }
        return grounds.get(e);
    };
    const seen = new Map();
    for (const e of document.body.querySelectorAll("*")) {
        const hasText = [...e.childNodes].some((c) => c.nodeType === 3 && c.data.trim());
        if (!hasText || !e.checkVisibility()) continue;
        const { color, fontSize, fontWeight } = getComputedStyle(e);
        const kind = [e.localName, e.className, e.parentElement.className, e.style.color];
        const key = [...kind, color, fontSize, fontWeight, ground(e)].join();
        const count = seen.get(key) ?? 0;
        if (count < 2) e.dataset.contrast = "";
        seen.set(key, count + 1);
    }
    return seen.size;
}"""
# Most elements are glyphs of formulas, shapes in pictures that have a name, and words of listings.
THIN = """() => {
    document.querySelectorAll("mjx-container > *").forEach((e) => e.replaceChildren());
    document.querySelectorAll("svg[role=img] > :not(title, desc)").forEach((e) => e.remove());
    document.querySelectorAll("pre span:not([data-contrast], [id])").forEach((e) => {
        if (!e.children.length) e.replaceWith(e.textContent);
    });
    document.querySelectorAll("pre").forEach((e) => e.normalize());
}"""
PHONE = {"width": 360, "height": 740}

every_page = pytest.mark.parametrize("name", PAGES)
from_both = pytest.mark.parametrize("source", ["http", "file"])


def check_content(visited):
    """Check that all formulas and pictures are drawn, and that nothing went wrong."""
    drawn = visited.page.evaluate(
        """() => ({
            formulas: document.querySelectorAll("article .math").length,
            drawn: [...document.querySelectorAll("article .math mjx-container")]
                .filter(e => e.getBoundingClientRect().width > 0).length,
            wrong: [...document.querySelectorAll("mjx-merror")].map(e => e.textContent),
            pictures: [...document.querySelectorAll("article img")]
                .filter(e => !e.complete || !e.naturalWidth).map(e => e.src),
            silent: [...document.querySelectorAll("article img")]
                .filter(e => !e.alt.trim() || /\\.(png|jpe?g|svg)$/.test(e.alt))
                .map(e => e.src)})"""
    )
    assert drawn["drawn"] == drawn["formulas"]
    assert drawn["wrong"] == []
    assert drawn["pictures"] == []
    assert drawn["silent"] == [], "pictures without a text"
    assert visited.faults == []


def find_faults(page, theme, context, options):
    """Return what axe-core finds serious or critical."""
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    options |= {"resultTypes": ["violations"], "preload": False}
    script = "async ([c, o]) => (await axe.run(c ?? document, o)).violations"
    return [
        f"{theme}: {fault['id']}: {node['html'][:200]} {node['failureSummary']}"
        for fault in page.evaluate(script, [context, options])
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


def check_accessibility(page):
    """Check that axe-core finds nothing serious or critical; the page is of no use afterwards."""
    page.set_viewport_size({"width": 1360, "height": 900})
    page.add_style_tag(content="*, ::before, ::after { transition: none !important; }")
    for theme in ("dark", "light"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
        assert page.evaluate(MARK) > 10
    page.evaluate(THIN)
    page.evaluate(AXE_SCRIPT)
    colours = {"runOnly": {"type": "rule", "values": COLOURS}}
    rest = {
        "runOnly": {"type": "tag", "values": TAGS},
        "rules": {rule: {"enabled": False} for rule in COLOURS},
    }
    faults = [
        *find_faults(page, "light", None, rest),
        *find_faults(page, "light", {"include": ["[data-contrast]"]}, colours),
        *find_faults(page, "dark", {"include": ["[data-contrast]"]}, colours),
    ]
    assert not faults, "\n\n".join(faults)


def check_phone(page):
    """Check that the page fits a phone."""
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    outside = page.evaluate(
        """() => [...document.querySelectorAll("article :is(p, li, h1, h2, h3, img, figure)")]
            .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
            .filter(e => !e.closest("pre, table, .math, .output, .cell_output, .pst-scrollable"))
            .map(e => e.outerHTML.slice(0, 200))"""
    )
    assert outside == []
    # What is wider than its box shows a bar to scroll it.
    cut = page.evaluate(
        """() => [...document.querySelectorAll("article :is(pre, div.math, table, .output)")]
            .filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1)
            .filter(e => { for (let a = e; a.localName !== "article"; a = a.parentElement)
                if (["auto", "scroll"].includes(getComputedStyle(a).overflowX)) return false;
                return true; })
            .map(e => e.outerHTML.slice(0, 200))"""
    )
    assert cut == []
    hidden = page.evaluate(
        """() => [...document.querySelectorAll("article div.math")].filter(e => e.offsetParent)
            .filter(e => e.scrollLeft !== 0 || e.firstElementChild.getBoundingClientRect().left
                < e.getBoundingClientRect().left - 1).map(e => e.textContent.slice(0, 100))"""
    )
    assert hidden == [], "formulas that do not open at their beginning"


def check_desktop(page, name):
    """Check that a chapter begins on the first screen, and that no line of code is cut."""
    page.set_viewport_size({"width": 1360, "height": 900})
    page.evaluate("scrollTo(0, 0)")
    if name.removeprefix("book/") not in ("index", "references"):
        box = page.locator("article h2").first.bounding_box()
        assert box["y"] < 900, "the first section begins below the first screen"
    cut = page.evaluate(
        """() => [...document.querySelectorAll("article pre")].filter(e => e.offsetParent)
            .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.slice(0, 200))"""
    )
    assert cut == []


def check_formulas_and_captions(page, name):
    """Check that only formulas that scroll are stops of Tab, and that captions are numbered."""
    stops = page.evaluate(
        """() => [...document.querySelectorAll("article .math, article mjx-container")]
            .filter(e => e.tabIndex >= 0 && e.scrollWidth <= e.clientWidth)
            .map(e => e.outerHTML.slice(0, 100))"""
    )
    assert stops == []
    path = ROOT / f"{name}.ipynb"
    if path.is_file():
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        facts = [cell["metadata"].get("book", {}) for cell in cells]
        for kind in ("Figure", "Table"):
            wanted = sum(kind.lower() in fact for fact in facts)
            found = page.locator(".book-caption").all_inner_texts()
            numbers = [
                int(n) for text in found for n in re.findall(rf"^{kind} (?:\d+\.)?(\d+)\.", text)
            ]
            assert numbers == list(range(1, wanted + 1)), kind


@functools.cache
def references():
    """Return the anchors of the page of references."""
    return set(re.findall(r'id="([^"]+)"', (HTML / "book/references.html").read_text("utf-8")))


def check_definitions(page):
    """Check that the keyboard reaches each definition, and that a phone shows it whole."""
    page.set_viewport_size(PHONE)
    page.keyboard.press("Tab")  # what is focused after a key is focused visibly
    cut = page.evaluate(
        """() => [...document.querySelectorAll("article a.term")].filter((e) => {
            if (!e.checkVisibility()) return false;
            e.focus({ preventScroll: true });
            const style = getComputedStyle(e, "::after");
            const left = style.position === "fixed" ? 0 : e.getBoundingClientRect().left;
            const right = left + parseFloat(style.left) + parseFloat(style.width);
            return style.content === "none" || !(right <= innerWidth);
        }).map((e) => e.textContent)"""
    )
    assert cut == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    links = page.locator("article a[href*='references.html#']")
    cited = set(links.evaluate_all("links => links.map((e) => e.hash.slice(1))"))
    missing = cited - references()
    assert missing == set(), "citations without an entry"


def drawn_figures(page):
    """Return the interactive figures, each of which must draw."""
    figures = page.locator(".book-figure:not(.book-question)").all()
    for figure in figures:
        figure.locator(".title").first.wait_for()
    return figures


@every_page
def test_a_page_from_a_folder_has_no_fault(visit, name):
    phone = {"viewport": {"width": 375, "height": 667}, "has_touch": True}
    visited = visit(f"{name}.html", "file", color_scheme="dark", **phone)
    page = visited.page
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    for figure in drawn_figures(page):
        assert figure.evaluate("e => e.hasAttribute('dark')")
        assert figure.bounding_box()["width"] <= 375
    check_content(visited)
    check_formulas_and_captions(page, name)
    check_phone(page)
    check_definitions(page)
    check_desktop(page, name)
    check_accessibility(page)


@pytest.mark.parametrize("name", [TOC["root"], "book/first_model", "book/convolution"])
def test_a_page_from_a_server_has_no_fault(visit, name):
    visited = visit(f"{name}.html", "http", color_scheme="light")
    assert visited.page.evaluate("document.documentElement.dataset.theme") == "light"
    drawn_figures(visited.page)
    check_content(visited)


@from_both
def test_the_search_leads_to_the_section_whose_title_matches(visit, source):
    visited = visit("search.html?q=temperature+scaling", source)
    first = visited.page.locator("#search-results ul.search li a").first
    first.wait_for()
    assert first.inner_text() == "How to evaluate a classifier › Temperature scaling"
    first.click()
    visited.page.locator("article h1").wait_for()
    assert visited.page.url.endswith("evaluation.html#temperature-scaling")
    assert visited.faults == []


def test_the_search_finds_first_where_a_thing_is_taught_and_reads_no_code(visit):
    taught = {
        "own photos": "own_photos.html",
        "softmax": "softmax.html",
        "stride": "convolution.html#where-the-windows-lie",
        "padding": "convolution.html#where-the-windows-lie",
        "receptive field": "convolution.html#how-far-a-unit-sees",
        "dropout": "normalisation.html#dropout",
        "batch norm": "normalisation.html#batchnorm-measure-then-correct",
        "batchnorm": "normalisation.html#batchnorm-measure-then-correct",
        "normalization": "normalisation.html",
        "fine-tune": "five_steps.html",
        "finetuning": "five_steps.html",
        "confusion matrix": "evaluation.html#ten-photos-by-hand",
        "learning rate": "concepts.html#the-same-budget-for-all",
        "overfit": "glossary.html#g-overfitting",
        "freeze": "glossary.html#g-freeze",
    }
    page = visit("search.html?q=pooling").page
    page.wait_for_selector("#search-results ul.search li a")
    script = """query => {
        Search.output.replaceChildren();
        showSections(query);
        return Search.output.querySelector("a")?.href ?? Search.status.textContent;
    }"""
    found = {query: page.evaluate(script, query).split("/")[-1] for query in taught}
    assert found == taught
    for code in ("zip(axes", "enumerate"):
        assert "Nothing found" in page.evaluate(script, code)


def test_the_search_field_leads_to_the_results(visit):
    page = visit(f"{TOC['root']}.html").page
    page.keyboard.press("Control+k")
    page.keyboard.type("gradient")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=gradient*")
    page.wait_for_selector("#search-results ul.search li a")


def test_the_start_page_leads_to_the_book(visit):
    visited = visit(f"{TOC['root']}.html")
    visited.page.goto(visited.page.url.replace(TOC["root"], "index"))
    visited.page.wait_for_url(f"**/{TOC['root']}.html")
    assert visited.faults == []


def test_the_wheel_can_be_downloaded(visit):
    page = visit(f"{TOC['root']}.html").page
    with page.expect_download() as download:
        page.click("a[download]")
    assert download.value.suggested_filename.startswith("tutorial_utils-")


@pytest.mark.parametrize("name", CHAPTERS[:1])
def test_the_colab_button_is_there_if_the_address_is_set(visit, name):
    links = visit(f"{name}.html").page.locator("a[href*='colab.research.google.com']")
    assert bool(links.count()) == bool(read_address())
