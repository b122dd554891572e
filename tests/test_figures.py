"""Every interactive figure, each on one page: on phones and wide screens, by mouse, keys and touch.

Each figure is opened once on a phone's screen. Everything that holds for all figures is tried
there, and after every move `check_...` compares what is drawn with Python's numbers.
"""

import json
import re

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from book_pages import FRAMES
from test_figure_pooling_shift import torch_compare
from test_figure_threshold import expected as expected_metrics
from torch.nn import functional as F

from tutorial_utils import interactive
from tutorial_utils.evaluation import mean_interval
from tutorial_utils.interactive.base import FOLDER, compact
from tutorial_utils.interactive.layer_stack import measure
from tutorial_utils.interactive.pooling_shift import METHODS, default_pictures
from tutorial_utils.interactive.regimes import measured
from tutorial_utils.interactive.top_five import shares
from tutorial_utils.results import load_results

FIGURES = {name: getattr(interactive, name) for name in interactive.__all__ if name != "Question"}
MOST_BYTES = 20 * 1024
every_figure = pytest.mark.parametrize("name", FIGURES)


# --- The output ---


@every_figure
def test_an_output_is_small_the_same_each_time_and_asks_for_nothing(name):
    figure = FIGURES[name]
    output = figure()._repr_html_()
    without_photos = re.sub(r'"data:image[^"]*"', "", output)
    assert len(without_photos.encode()) < MOST_BYTES
    assert output == figure()._repr_html_()
    assert figure.title
    outside = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", output.replace("http://www.w3.org", ""))
    assert outside == []
    assert "import " not in re.sub(r'"[^"]*"', "", output.split("<script", 1)[1])


def test_compacting_keeps_strings_templates_and_expressions():
    source = '/** a */\na = /[/ ]b/.test(c) ? `d  ${e + `f ${g}`}` : "h = i"; // j\n  x = y - -z;\n'
    wanted = 'a=/[/ ]b/.test(c)?`d  ${e + `f ${g}`}`:"h = i";x=y- -z;'
    assert compact(source).strip() == wanted
    base = compact((FOLDER / "base.js").read_text(encoding="utf-8"))
    assert "createElementNS" in base
    assert "/**" not in base


# --- What is drawn, against Python ---


def said(page):
    return page.locator(".say").first.inner_text().replace("−", "-")


def cells(page, name):
    return page.locator(f"[role=grid][aria-label={name}] [role=row]").evaluate_all(
        "rows => rows.map(r => [...r.children].map(c => +c.textContent.replace('−', '-')))"
    )


def check_convolution(page, state):
    x, w = (torch.tensor(state[key], dtype=torch.float64) for key in "xw")
    w = w.flip(0, 1) if state["flip"] else w
    options = {key: state[key] for key in ("stride", "padding", "dilation")}
    wanted = F.conv2d(x[None, None], w[None, None], **options)[0, 0].tolist()
    assert cells(page, "output") == wanted
    assert cells(page, "kernel") == w.tolist()
    text = said(page)
    if text.startswith("y["):
        i, j = map(int, re.match(r"y\[(\d+), (\d+)\]", text).groups())
        terms = re.findall(r"\(?(-?\d+)\)?·\(?(-?\d+)\)?", text)
        assert sum(int(a) * int(b) for a, b in terms) == wanted[i][j] == int(text.split("= ")[-1])


def check_softmax(page, state):
    z = torch.tensor(state["logits"], dtype=torch.float64, requires_grad=True)
    loss = F.cross_entropy(z[None] / state["T"], torch.tensor([state["target"]]))
    loss.backward()
    found = page.locator(".n:not(.e)").all_inner_texts()
    slopes = [float(t.split("slope ")[1].replace("−", "-")) for t in found if "slope" in t]
    assert slopes == pytest.approx(z.grad.tolist(), abs=5.1e-4)
    p = (z / state["T"]).softmax(0).tolist()
    widths = page.locator(".p i").evaluate_all("e => e.map(i => parseFloat(i.style.width))")
    assert widths == pytest.approx([100 * v for v in p], abs=0.01)
    assert float(re.search(r"([\d.]+) nats", said(page))[1]) == pytest.approx(loss.item(), abs=6e-4)


def check_stack(page, state):
    size, channels = state["input"]
    try:
        rows = measure(channels, size, state["layers"])
    except ValueError:
        assert "does not fit" in page.locator(".fault").inner_text()
        return
    labels = page.locator("[role=option]").evaluate_all(
        "e => e.map(o => o.getAttribute('aria-label'))"
    )
    for label, row in zip(labels, rows, strict=True):
        assert f"{row['size']} × {row['size']} × {row['channels']}, {row['parameters']:,} " in label
        assert f"{row['macs']:,} MACs, field {row['field']}" in label


def check_pooling(page, state):
    x = torch.tensor(default_pictures()[state["name"]], dtype=torch.float64)
    moves = [state[key] for key in ("times", "down", "right", "against")]
    found = [torch_compare(x, method, *moves) for method in METHODS]
    shown = [float(text) for text in page.locator(".card output").all_inner_texts()]
    assert shown == pytest.approx([change for _, change in found], abs=0.006)
    drawn = page.locator(".card").evaluate_all(
        """cards => cards.map(e => { const c = e.querySelector("canvas");
            return [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data]
                .filter((_, i) => i % 4 === 0); })"""
    )
    for (y, _), levels in zip(found, drawn, strict=True):
        assert np.abs(np.array(levels) - y.flatten().numpy()).max() <= 0.5 + 1e-9


def check_kernel(page, state):
    w = np.array(state["w"])
    assert cells(page, "kernel") == w.tolist()
    total = (np.array(cells(page, "window")) * w).sum()
    text = said(page)
    found = re.search(r"= (-?\d+)", text)
    assert int(found[1]) == pytest.approx(total, abs=1)
    assert f"add up to {w.sum()}" in text


def check_descent(page, state):
    loss = re.search(r"loss (?:< |> )?([\d.]+), first (\d+\.?\d*)", said(page))
    assert float(loss[2]) > 0
    rate = page.get_by_role("slider", name="rate").get_attribute("aria-valuetext")
    assert float(rate) == pytest.approx(state["rate"], abs=6e-5)


def check_choice(page, state):
    rows = [
        row
        for row in FIGURES["ModelChooser"]().rows
        if row[5] <= (state["mb"] or 1e9) and row[3] <= (state["gmacs"] or 1e9)
    ]
    if not rows:
        assert said(page) == "No checkpoint fits this budget."
        return
    best = min(rows, key=lambda row: (-row[2], row[3]))
    assert f"{len(rows)} of 114 fit. The best: {best[0]} ({best[1]}): " in said(page)


def check_threshold(page, state):
    matrix, values, areas = expected_metrics(state["t"], state["shift"], state["positives"])
    tables = page.locator(".figure table")
    found = tables.first.locator("td").all_inner_texts()
    assert found == [f"{k} {n}" for k, n in zip(("TP", "FN", "FP", "TN"), matrix, strict=True)]
    shown = [t.replace("0/0 → 0", "0") for t in tables.nth(1).locator("td").all_inner_texts()]
    assert [float(text) for text in shown] == pytest.approx(values, abs=5.1e-4)
    labels = page.locator(".all .label").all_inner_texts()
    found = [float(re.search(r"[\d.]+$", text)[0]) for text in labels]
    assert found == pytest.approx(areas, abs=5.1e-4)


def check_inside(page, state):
    _, maps, _ = interactive.inside_network.load_maps(
        list(interactive.inside_network.STAGES)[state["index"]],
        list(interactive.inside_network.PHOTOS)[state["photo"]],
    )
    row, column, value = re.search(
        r"unit \((\d+), (\d+)\) has the value (-?[\d.]+)", said(page)
    ).groups()
    values = maps[state["number"]]
    assert float(value) == pytest.approx(values[int(row), int(column)], abs=0.006)


def check_top_five(page, state):
    names = list(interactive.inside_network.PHOTOS)
    stored = load_results("top_five")["photos"][names[state["photo"]]]
    widths = page.locator(".bars i").evaluate_all("e => e.map(i => parseFloat(i.style.width))")
    assert widths == pytest.approx([100 * p for p in shares(stored, state["T"])], abs=1e-3)
    labels = page.locator(".bars > span").all_inner_texts()
    assert labels == [*(name for name, _ in stored["top"]), "995 others"]


def check_regime(page, state):
    points = measured()[state["regime"]]
    images = min(points, key=lambda n: abs(n - state["images"]))
    mean, low, high = mean_interval(points[images])
    text = f"{state['regime']}, {images} images per class: {mean:.3f} of the images are right"
    assert text in said(page)
    assert f"interval {low:.3f} to {high:.3f} over {len(points[images])} seeds" in said(page)


def check_maps(page, state):
    stages = interactive.inside_network.STAGES
    found = page.locator(".photos b").all_inner_texts()
    for text, photo in zip(found, interactive.inside_network.PHOTOS, strict=True):
        _, maps, _ = interactive.inside_network.load_maps(list(stages)[state["index"]], photo)
        assert float(text.replace("−", "-")) == pytest.approx(
            maps[state["number"]].max(), abs=0.0051
        )


def check_augmentation(page, state):
    assert page.locator(".views canvas").count() == 9
    assert ", ".join(state["kinds"]) in said(page)
    sums = page.locator(".views canvas").evaluate_all(
        """e => e.map(c => c.getContext("2d").getImageData(0, 0, c.width, c.height).data
            .reduce((s, v, i) => (s * 31 + v * (i % 97)) % 1e9, 0))"""
    )
    changed = state["strength"] > 0 and state["kinds"] not in ([], ["flip"])
    assert len(set(sums)) == 9 or not changed


CHECKS = {
    "Augmentation": check_augmentation,
    "FeatureMaps": check_maps,
    "RegimeExplorer": check_regime,
    "TopFive": check_top_five,
    "ConvolutionExplorer": check_convolution,
    "InsideNetwork": check_inside,
    "KernelOnPhoto": check_kernel,
    "LayerStack": check_stack,
    "LearningRate": check_descent,
    "ModelChooser": check_choice,
    "PoolingShift": check_pooling,
    "SoftmaxFigure": check_softmax,
    "ThresholdMetrics": check_threshold,
}


# --- Every figure on one page ---

STATE = "e => JSON.stringify(e.state())"
# What is seen of a settled figure: words, its controls' values, a sum over its pictures' pixels.
SEEN = """async e => {
    await (FRAMES)();
    return [...e.shadowRoot.querySelectorAll("*")].map(x => {
        if (x.matches("input, select")) return x.value;
        if (x.matches("style, .hidden")) return "";
        if (!x.matches("canvas")) return x.children.length ? x.getAttribute("style") : x.outerHTML;
        const { data } = x.getContext("2d").getImageData(0, 0, x.width, x.height);
        let sum = 0;
        for (const v of new Uint32Array(data.buffer)) sum = (Math.imul(sum, 31) + v) | 0;
        return sum;
    }).join();
}""".replace("FRAMES", FRAMES)
# A frame comes at once: nothing waits for a sixtieth of a second that no eye needs here.
AT_ONCE = "window.requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()));"
SMALL_TYPE = """e => [...e.shadowRoot.querySelectorAll("*")].filter(x => {
    const own = [...x.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    const box = x.getBoundingClientRect();
    if (!own || x.matches("style, option, .hidden") || box.width < 2) return false;
    const svg = x.ownerSVGElement, scale = svg ? svg.getBoundingClientRect().width
        / (svg.viewBox.baseVal?.width || svg.getBoundingClientRect().width) : 1;
    return parseFloat(getComputedStyle(x).fontSize) * scale < 9.95;
}).map(x => x.outerHTML.slice(0, 120))"""
OUTSIDE = """e => [...e.shadowRoot.querySelectorAll("*")].filter(x => {
    const box = x.getBoundingClientRect(), own = e.getBoundingClientRect();
    return box.width > 1 && (box.right > own.right + 1 || box.left < own.left - 1)
        && !x.closest(".view, .box, .pic, .plane, svg, .hidden");
}).map(x => x.outerHTML.slice(0, 150))"""
IDLE = ".tries *, .plain, .pad, summary, [aria-pressed=true]"  # may have nothing to do
CONTROLS = "input:enabled, select:enabled, button:enabled, summary, [tabindex='0']"
KIND = """e => [e.matches("input") ? e.type : e.matches("select, button, summary") ? e.localName
    : {slider: "slider", gridcell: "cell", listbox: "list"}[e.getAttribute("role")] || "area",
    e.parentElement.className]"""


class Shown:
    """A figure on a page of its own."""

    def __init__(self, page, name):
        self.page, self.name = page, name
        self.root = page.locator(".book-figure")
        self.check = CHECKS[name]

    def settle(self):
        return self.root.evaluate(SEEN)

    def tap(self, element, across=0.5):
        """Touch an element; Playwright's own tap waits for a third of a second."""
        element.evaluate("e => e.scrollIntoView({block: 'center', behavior: 'instant'})")
        box = element.bounding_box()
        x, y = box["x"] + across * box["width"], box["y"] + across * box["height"]
        self.page.touchscreen.tap(x, y)

    def verify(self, seen=None):
        seen = seen or self.settle()
        self.check(self.page, json.loads(self.root.evaluate(STATE)))
        return seen


# Chromium's advice, and what it says when a finger has begun to scroll before a figure answers.
NOTICES = ("Canvas2D: Multiple readback", "Ignored attempt to cancel a touch")


def open_figure(chromium, tmp_path, name, errors):
    path = tmp_path / "figure.html"
    head = "<!doctype html><html lang=en data-theme=light><meta charset=utf-8><title>figure</title>"
    head += "<meta name=viewport content='width=device-width'>"
    style = "<style>body{margin:8px}main{display:block}.space{height:1200px}</style>"
    body = f"<main class=bd-article><h1>f</h1>{FIGURES[name]()._repr_html_()}</main>"
    path.write_text(f"{head}{style}<body>{body}<div class=space></div>", encoding="utf-8")
    context = chromium.new_context(
        viewport={"width": 375, "height": 667},
        has_touch=True,
        is_mobile=True,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.add_init_script(AT_ONCE)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: None if m.text.startswith(NOTICES) else errors.append(m.text))
    page.goto(path.as_uri())
    shown = Shown(page, name)
    page.wait_for_function("document.querySelector('.book-figure').shadowRoot")
    while shown.settle() != shown.settle():  # until its photos are there
        pass
    return context, shown


def by_keys(shown, element, kind, again):
    """Operate a control with the keys that its kind promises; `again` after a try in vain."""
    keys = {
        "range": ["ArrowLeft" if again else "ArrowRight"],
        "select": ["ArrowUp" if again else "ArrowDown"],
        "number": ["ArrowDown" if again else "ArrowUp"],
        "button": ["Enter"],
        "summary": ["Enter"],
        "slider": ["PageUp" if again else "PageDown"],
        "cell": ["ArrowLeft", "4"] if again else ["ArrowRight", "3"],
        "list": ["ArrowLeft" if again else "ArrowRight"],
        "area": ["ArrowLeft", "ArrowUp"] if again else ["ArrowRight", "ArrowDown"],
    }[kind]
    element.focus()
    for key in keys:
        shown.page.keyboard.press(key)


def by_finger(shown, element, kind, again):
    shown.tap(element, 0.25 if again else 0.72)


def operate(shown, element, kind, move, before):
    """Operate a control until it does something; compare what is drawn then."""
    for again in (False, True):
        move(shown, element, kind, again)
        after = shown.settle()
        if not element.count():  # it has taken away a control, perhaps itself
            assert after != before
            return shown.verify(after)
        text = element.inner_text() if kind == "button" else ""
        if text == "Pause":
            move(shown, element, kind, again)
            after = shown.settle()
        if after != before:
            break
    idle = kind == "cell" or text in ("Play", "Pause", "Your own picture", "Strongest unit")
    idle |= element.evaluate("(e, idle) => e.matches(idle)", IDLE)
    assert after != before or idle, element.evaluate("e => e.outerHTML.slice(0, 150)")
    return shown.verify(after)


@every_figure
def test_a_figure_on_a_phone_and_on_a_wide_screen(chromium, tmp_path, name):
    errors = []
    context, shown = open_figure(chromium, tmp_path, name, errors)
    page, root = shown.page, shown.root
    try:
        seen = shown.verify()
        # It fits one phone's screen, its type can be read, and its buttons are there.
        assert root.bounding_box()["height"] <= 667
        assert root.evaluate(SMALL_TYPE) == []
        tries = page.locator(".tries button:not(.plain)")
        assert 2 <= tries.count() <= 4
        # A finger that rests on it scrolls the page, wherever it lies, and changes nothing.
        touch = context.new_cdp_session(page)
        sliders = page.locator("input[type=range]").all()
        for place, share in [*((root, s) for s in (0.35, 0.55)), *((s, 0.5) for s in sliders)]:
            page.evaluate("scrollTo(0, 0)")
            box = place.bounding_box()
            x, y = box["x"] + box["width"] * 0.6, box["y"] + box["height"] * share
            for step in range(6):
                kind = "touchMove" if step else "touchStart"
                points = [{"x": x, "y": y - 25 * step}]
                touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
            touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
            assert page.evaluate("scrollY") > 50
        assert shown.settle() == seen
        # Every control answers, and what is drawn is right.
        for number in range(tries.count()):
            shown.tap(tries.nth(number))
            seen = shown.verify()
        shown.tap(page.get_by_role("button", name="Reset"))
        seen = shown.verify()
        for summary in page.locator("summary").all():
            shown.tap(summary)
        seen, number, touched = shown.verify(), 0, set()
        while number < page.locator(f".book-figure >> {CONTROLS}").count():
            element = page.locator(f".book-figure >> {CONTROLS}").nth(number)
            kind, _ = group = tuple(element.evaluate(KIND))
            seen = operate(shown, element, kind, by_keys, seen)
            # A finger tries one control of each kind in each group; keys try them all.
            new = group not in touched and kind not in ("select", "number", "summary")
            if new and element.count() and "own" not in element.inner_text():
                touched.add(group)
                seen = operate(shown, element, kind, by_finger, seen)
            number += 1
        assert number >= 4
        # Keys end inside, the theme switches live, no width cuts anything off, axe finds nothing.
        page.get_by_role("button", name="Reset").click()
        page.evaluate("window.heard = 0; addEventListener('keydown', () => window.heard++)")
        page.keyboard.press("j")
        assert page.evaluate("window.heard") == 0
        for width, theme in ((320, "light"), (375, "dark"), (1000, "light"), (1000, "dark")):
            page.set_viewport_size({"width": width, "height": 667})
            page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
            shown.settle()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert root.evaluate(OUTSIDE) == []
            assert root.evaluate("e => e.hasAttribute('dark')") == (theme == "dark")
            if width != 320:
                assert root.evaluate(SMALL_TYPE) == []
            if (width, theme) in ((320, "light"), (1000, "dark")):
                found = Axe().run(page, ".book-figure").response["violations"]
                assert found == [], json.dumps(found)[:1500]
        shown.verify()
        # A link leads to what is seen now; on paper there are no buttons.
        tries.first.click()
        shown.settle()
        state = root.evaluate(STATE)
        page.get_by_role("button", name="Link").click()
        page.reload()
        page.wait_for_function("document.querySelector('.book-figure').shadowRoot")
        shown.settle()
        assert root.evaluate(STATE) == state
        page.emulate_media(media="print")
        assert page.locator(".tries, button:visible").first.is_hidden()
    finally:
        context.close()
    assert errors == []


@every_figure
def test_without_scripts_the_fallback_is_seen(show, name):
    page = show(FIGURES[name](), java_script_enabled=False)
    assert page.locator(".book-figure :is(table, img, svg)").first.is_visible()
    assert page.locator(".book-figure img:not([alt])").count() == 0
    assert len(page.locator(".book-figure").inner_text()) > 40
