"""Every interactive figure in the built book: each control, by pointer and by keyboard.

The figures are operated where readers meet them: from a server on a wide light page with a mouse,
and from a folder on a dark phone with a finger. After every move the drawn values are compared with
Python's for the state that the controls show; the comparisons are those of the figures' own tests.
"""

import re
from functools import partial

import pytest
from axe_playwright_python.sync_playwright import Axe
from book_pages import CHAPTERS, FRAMES, HTML, Visit
from test_figure_inside_network import check_unit
from test_figure_kernel_photo import check_photo
from test_figure_layer_stack import check_stack
from test_figure_learning_rate import check_descent
from test_figure_model_chooser import check_choice
from test_figure_pooling_shift import check_shift
from test_figure_threshold import check_threshold
from test_interactive import check_explorer, check_softmax, tag

from tutorial_utils import interactive

CHECKS = {
    "ConvolutionExplorer": check_explorer,
    "InsideNetwork": check_unit,
    "KernelOnPhoto": check_photo,
    "LayerStack": check_stack,
    "LearningRate": check_descent,
    "ModelChooser": check_choice,
    "PoolingShift": check_shift,
    "SoftmaxFigure": check_softmax,
    "ThresholdMetrics": check_threshold,
}
pytestmark = pytest.mark.xdist_group("figures")  # one worker opens each page once
FIGURES = {name: getattr(interactive, name)() for name in interactive.__all__ if name != "Question"}
HOSTS = {
    "server, mouse": ("http", {"viewport": {"width": 1280, "height": 900}}),
    "folder, finger": (
        "file",
        {
            "viewport": {"width": 360, "height": 740},
            "color_scheme": "dark",
            "has_touch": True,
            "is_mobile": True,
        },
    ),
}
# What is seen of a figure: its words, its controls' values, and a sum over its pictures' pixels.
STATE = """e => [...e.shadowRoot.querySelectorAll("*")].map(x => x.matches("input, select")
    ? x.value : x.matches("canvas") ? [...x.getContext("2d").getImageData(0, 0, x.width, x.height)
    .data].reduce((s, v, i) => (s * 31 + v * (i % 97)) % 1e9, 0) : x.matches("style, .hidden") ? ""
    : x.children.length ? x.getAttribute("style") : x.outerHTML).join()"""
FOCUSED = "(e, s) => [...e.shadowRoot.querySelectorAll(s)].indexOf(e.shadowRoot.activeElement)"
READY = """tag => customElements.get(tag) && [...document.querySelectorAll(tag)].every(e =>
    e.shadowRoot && [...e.querySelectorAll("img")].every(i => i.complete))"""


class Shown:
    """A figure on a page: finds as its locator does, and has the page's mouse and keyboard."""

    def __init__(self, visited, name: str):
        self.visited, self.page, self.tag = visited, visited.page, tag(FIGURES[name])
        self.root = self.page.locator(self.tag)
        self.drawn = False
        self.page.wait_for_function(READY, arg=self.tag)

    def __getattr__(self, name):
        return getattr(self.root if hasattr(self.root, name) else self.page, name)

    def settle(self):
        """Wait until what was asked for is drawn; the checks ask for it more often than needed."""
        if not self.drawn:
            self.page.evaluate(FRAMES)
        self.drawn = True

    def state(self) -> str:
        """Return what the figure shows once it has drawn."""
        self.drawn = False
        self.settle()
        return self.root.evaluate(STATE)


# --- Pointers and keys ---


class Mouse:
    """Press, and drag from one place to another: shares of an element's width and height."""

    def __init__(self, shown):
        self.page = shown.page

    def places(self, element, *shares):
        element.evaluate("e => e.scrollIntoView({block: 'center', behavior: 'instant'})")
        box = element.bounding_box()
        return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in shares]

    def press(self, element, x=0.5, y=0.5):
        self.page.mouse.click(*self.places(element, (x, y))[0])

    def drag(self, element, start, end):
        (x0, y0), (x1, y1) = self.places(element, start, end)
        self.page.mouse.move(x0, y0)
        self.page.mouse.down()
        self.page.mouse.move((x0 + x1) / 2, (y0 + y1) / 2)
        self.page.mouse.move(x1, y1)
        self.page.mouse.up()


class Finger(Mouse):
    def __init__(self, shown):
        super().__init__(shown)
        self.touch = self.page.context.new_cdp_session(self.page)

    def press(self, element, x=0.5, y=0.5):
        self.page.touchscreen.tap(*self.places(element, (x, y))[0])

    def drag(self, element, start, end):
        (x0, y0), (x1, y1) = self.places(element, start, end)
        middle = ((x0 + x1) / 2, (y0 + y1) / 2)
        for kind, place in (
            ("touchStart", (x0, y0)),
            ("touchMove", middle),
            ("touchMove", (x1, y1)),
            ("touchEnd", None),
        ):
            points = [{"x": place[0], "y": place[1]}] if place else []
            self.touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def by_keys(shown, element, kind, again):
    """Operate a control with the keys that its kind promises; `again` after a try in vain."""
    element.focus()
    keys = {
        "range": ["ArrowLeft" if again else "ArrowRight"],
        "select": ["ArrowUp" if again else "ArrowDown"],
        "number": ["ArrowDown" if again else "ArrowUp"],
        "button": ["Enter"],
        "slider": ["PageUp" if again else "PageDown"],
        "cell": ["ArrowLeft", "4"] if again else ["ArrowRight", "3"],
        "area": ["ArrowLeft", "ArrowUp"] if again else ["ArrowRight", "ArrowDown"],
    }[kind]
    for key in keys:
        shown.page.keyboard.press(key)


def by_pointer(shown, pointer, element, kind, again):
    """Operate a control with a mouse or a finger."""
    if kind == "range":
        pointer.press(element, 0.2 if again else 0.7)
    elif kind == "select":  # the list that opens is the browser's: its keys choose in it
        pointer.press(element)
        shown.page.wait_for_timeout(50)
        shown.page.keyboard.press("ArrowUp" if again else "ArrowDown")
        shown.page.keyboard.press("Enter")
        shown.page.wait_for_timeout(50)
    elif kind == "number":  # its lower arrow, or the upper one; phones show none, so keys
        width = element.bounding_box()["width"]
        pointer.press(element, 1 - 11 / width, 0.3 if again else 0.7)
        if isinstance(pointer, Finger):
            shown.page.keyboard.press("ArrowUp" if again else "ArrowDown")
    elif kind in ("slider", "area"):
        ends = ((0.5, 0.6), (0.3, 0.3)) if again else ((0.4, 0.5), (0.62, 0.85))
        pointer.drag(element, *ends)
    else:
        pointer.press(element)
        if kind == "cell":
            shown.page.evaluate(FRAMES)
            pointer.press(element)


# Controls as a reader meets them; .plot and .view follow a pointer though keys go elsewhere.
CONTROLS = "input:enabled, select:enabled, button:enabled, [tabindex='0'], .plot, .view"
KIND = """e => e.matches("input") ? e.type : e.matches("select, button") ? e.localName
    : {slider: "slider", gridcell: "cell"}[e.getAttribute("role")] || "area" """


def operate(shown, number, check, move, before):
    """Operate one control until it does something; compare what is drawn then, and return it."""
    element = shown.locator(CONTROLS).nth(number)
    kind, name = element.evaluate(KIND), element.evaluate("e => e.outerHTML.slice(0, 150)")
    for again in (False, True):
        if again:  # a button like "Reset" has nothing to do before something else was done
            for other in shown.locator("[role=application], [aria-label=input] .cell").all()[:1]:
                other.focus()
                for key in ("ArrowRight", "ArrowDown", "4"):
                    shown.page.keyboard.press(key)
            before = shown.state() if kind == "button" else before
        move(element, kind, again)
        after = shown.state()
        if kind == "button" and element.inner_text() == "Pause":
            shown.page.wait_for_timeout(700)
            move(element, kind, again)
            assert element.inner_text() == "Play"
            after = shown.state()
        chosen = element.get_attribute("aria-pressed") == "true"
        if after != before or chosen:
            break
    idle = element.evaluate("e => e.matches('.table, [aria-readonly=true]')")  # to read, no more
    assert after != before or chosen or idle, f"nothing happens: {name}"
    check(shown)
    return after


# --- Pages ---


@pytest.fixture(scope="module")
def pages():
    """Return chapter -> its HTML, as built."""
    return {name: (HTML / f"{name}.html").read_text(encoding="utf-8") for name in CHAPTERS}


@pytest.fixture(scope="module")
def open_host(addresses, chromium):
    """Return a function (chapter, host) -> the page, opened once."""
    opened = {}

    def open_page(chapter, host):
        if (chapter, host) not in opened:
            source, options = HOSTS[host]
            url = f"{addresses[source]}/{chapter}.html"
            opened[chapter, host] = Visit(chromium, url, **options)
        return opened[chapter, host]

    yield open_page
    for visited in opened.values():
        visited.page.context.close()


@pytest.fixture(params=HOSTS)
def shown(request, name, pages, open_host):
    """Show a figure in the page that has it; faults of the page meanwhile fail the test."""
    chapters = [chapter for chapter, text in pages.items() if f"<{tag(FIGURES[name])} " in text]
    assert chapters, f"{name}, as its script is now, is on no page of the built book"
    visited = open_host(chapters[0], request.param)
    figure = Shown(visited, name)
    figure.touch = "has_touch" in HOSTS[request.param][1]
    yield figure
    # The one warning is for the tests, which read back what is drawn.
    assert [fault for fault in visited.faults if "willReadFrequently" not in fault] == []


every_figure = pytest.mark.parametrize("name", FIGURES)


def test_the_pages_have_the_exported_figures_and_no_others(addresses, pages):
    found = {t for text in pages.values() for t in re.findall(r"<(book-figure-\w+)", text)}
    assert found == set(map(tag, FIGURES.values()))
    assert FIGURES.keys() == CHECKS.keys()


@every_figure
def test_every_control_answers_to_pointer_and_keys(shown, name):
    check = CHECKS[name]
    pointer = (Finger if shown.touch else Mouse)(shown)
    check(shown)

    def go_through(number=0):
        state = shown.state()
        while number < shown.locator(CONTROLS).count():
            moves = [partial(by_keys, shown), partial(by_pointer, shown, pointer)]
            focusable = shown.locator(CONTROLS).nth(number).evaluate("e => e.tabIndex >= 0")
            for move in moves if focusable else moves[1:]:
                state = operate(shown, number, check, move, state)
            number += 1
        return number

    seen = go_through()
    if name == "ModelChooser":  # its other view has buttons of its own
        pointer.press(shown.get_by_role("button", name="Table"))
        shown.page.evaluate(FRAMES)
        seen = go_through(seen - 1)
    assert seen >= 5


@every_figure
def test_tab_reaches_every_control_in_order(shown, name):
    controls = "input:enabled, select:enabled, button:enabled, [tabindex='0']"
    count = shown.locator(controls).count()
    shown.locator(controls).first.focus()
    found = []
    for _ in range(count):
        found.append(shown.root.evaluate(FOCUSED, controls))
        shown.page.keyboard.press("Tab")
    assert found == list(range(count))


@every_figure
def test_axe_finds_no_fault_in_the_figure_and_it_fits(shown, name):
    # It need not fetch the page's style sheets, which file:// forbids.
    result = Axe().run(shown.page, shown.tag, {"preload": False}).response
    assert len(result["passes"]) > 10
    faults = [(v["id"], n["html"][:200]) for v in result["violations"] for n in v["nodes"]]
    assert faults == []
    width = shown.page.evaluate("innerWidth")
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    outside = shown.root.evaluate(
        """e => [...e.shadowRoot.querySelectorAll("*")].filter(x => {
            const box = x.getBoundingClientRect(), own = e.getBoundingClientRect();
            return box.width > 1 && (box.right > own.right + 1 || box.left < own.left - 1)
                && !x.closest(".table, .view, svg");
        }).map(x => x.outerHTML.slice(0, 200))"""
    )
    assert outside == []
