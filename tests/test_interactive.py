"""The interactive figures: their arithmetic against torch, and their controls, in Chromium."""

import json
import random
import re

import pytest
import torch
from book_pages import settle
from torch.nn import functional as F

from tutorial_utils import interactive
from tutorial_utils.interactive import ConvolutionExplorer, SoftmaxFigure
from tutorial_utils.interactive.base import FOLDER, compact

FIGURES = [getattr(interactive, name) for name in interactive.__all__ if name != "Question"]
MOST_BYTES = 20_000


def tag(figure) -> str:
    return re.match(r"<([\w-]+)", figure._repr_html_())[1]


# --- Numerics ---


def random_convolutions(count):
    rng = random.Random(0)
    while count:
        case = {
            "x": [
                [rng.randint(-9, 9) for _ in range(w)]
                for w in [rng.randint(1, 9)]
                for _ in range(rng.randint(1, 9))
            ],
            "w": [
                [rng.randint(-9, 9) for _ in range(w)]
                for w in [rng.randint(1, 5)]
                for _ in range(rng.randint(1, 5))
            ],
            "o": {
                "stride": rng.randint(1, 4),
                "padding": rng.randint(0, 3),
                "dilation": rng.randint(1, 3),
                "flip": rng.random() < 0.5,
            },
        }
        o = case["o"]
        fits = all(
            n + 2 * o["padding"] > o["dilation"] * (k - 1)
            for n, k in ((len(case["x"]), len(case["w"])), (len(case["x"][0]), len(case["w"][0])))
        )
        if fits:
            count -= 1
            yield case


def test_convolution_agrees_with_torch(load_module):
    cases = list(random_convolutions(300))
    found = load_module("convolution.js", "m.conv2d(c.x, c.w, c.o)", cases)
    for case, y in zip(cases, found, strict=True):
        x, w = (torch.tensor(case[key], dtype=torch.float64)[None, None] for key in "xw")
        o = case["o"]
        w = w.flip(2, 3) if o["flip"] else w
        expected = F.conv2d(x, w, None, o["stride"], o["padding"], o["dilation"])[0, 0]
        assert y == expected.tolist()


def test_softmax_agrees_with_torch(load_module):
    rng = random.Random(1)
    cases = []
    for _ in range(300):
        scale = rng.choice([1, 5, 300])
        logits = [rng.uniform(-scale, scale) for _ in range(rng.randint(2, 8))]
        cases.append({"z": logits, "t": rng.randrange(len(logits)), "T": 10 ** rng.uniform(-1, 1)})
    found = load_module("softmax.js", "m.softmax(c.z, c.t, c.T)", cases)
    for case, answer in zip(cases, found, strict=True):
        z = torch.tensor(case["z"], dtype=torch.float64, requires_grad=True)
        loss = F.cross_entropy(z[None] / case["T"], torch.tensor([case["t"]]))
        loss.backward()
        p = (z / case["T"]).softmax(0)
        for name, expected in (("p", p), ("loss", loss), ("gradient", z.grad)):
            value = torch.tensor(answer[name], dtype=torch.float64)
            torch.testing.assert_close(value, expected.detach(), rtol=1e-9, atol=1e-9)


# --- The output ---


@pytest.mark.parametrize("figure", FIGURES)
def test_an_output_is_small_the_same_each_time_and_asks_for_nothing(figure):
    output = figure()._repr_html_()
    without_photos = re.sub(r'"data:image[^"]*"', "", output)
    assert len(without_photos.encode()) < MOST_BYTES
    assert output == figure()._repr_html_()
    outside = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", output.replace("http://www.w3.org", ""))
    assert outside == []
    assert "import " not in re.sub(r'"[^"]*"', "", output.split("<script", 1)[1])


def test_compacting_changes_no_code():
    source = (FOLDER / "base.js").read_text(encoding="utf-8")
    kept = {line.strip() for line in source.splitlines()}
    assert set(compact(source).splitlines()) <= kept
    assert "createElementNS" in compact(source)
    assert "/**" not in compact(source)


@pytest.mark.parametrize("figure", FIGURES)
def test_without_scripts_the_fallback_is_seen(show, figure):
    page = show(figure(), java_script_enabled=False)
    still = page.locator(".book-figure :is(table, img, svg)").first
    assert still.is_visible()
    assert page.locator(".book-figure img:not([alt])").count() == 0
    assert len(page.locator(".book-figure").inner_text()) > 40


def test_the_fallbacks_numbers_are_right():
    html = ConvolutionExplorer(
        [[1, 2, 0], [0, 1, 3], [2, 0, 1]], {"a": [[1, 2], [0, -1]]}
    ).fallback()
    rows = re.findall(r"<tr>(.*?)</tr>", html.rsplit("<table>", 1)[1])
    assert [re.findall(r"<td>(-?\d+)", row) for row in rows] == [["4", "-1"], ["2", "6"]]
    html = SoftmaxFigure(logits=(2, 1, 0, -1), temperature=2.0).fallback()
    p = torch.tensor([2.0, 1, 0, -1]).div(2).softmax(0)
    assert re.findall(r"<td>(\d\.\d{3})</td><td>", html) == [f"{x:.3f}" for x in p.tolist()]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConvolutionExplorer([[1, 2], [3, 4]]), "3 to 8 rows"),
        (lambda: SoftmaxFigure(names=["a"], logits=[1.0]), "2 to 8 names"),
        (lambda: SoftmaxFigure(target=9), "target among them"),
    ],
)
def test_bad_parameters_give_one_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- Behaviour ---


def cells(page, name):
    return page.locator(f"[role=grid][aria-label={name}] [role=row]").evaluate_all(
        "rows => rows.map(r => [...r.children].map(c => c.textContent.replace('−', '-')))"
    )


def expected_cells(x, w, **options):
    x, w = (torch.tensor(v, dtype=torch.float64)[None, None] for v in (x, w))
    return [[str(int(v)) for v in row] for row in F.conv2d(x, w, **options)[0, 0].tolist()]


def check_explorer(page):
    """Hold what is drawn against torch, for the state that the controls show."""
    settle(page)
    names = ("stride", "padding", "dilation")
    options = {n: int(page.get_by_role("slider", name=n).input_value()) for n in names}
    x, w = ([[int(v) for v in row] for row in cells(page, name)] for name in ("input", "kernel"))
    if p := options["padding"]:
        assert {v for row in (*x[:p], *x[-p:]) for v in row} == {0}
        x = [row[p:-p] for row in x[p:-p]]
    turned = page.get_by_label("order").input_value() == "1"
    wanted = expected_cells(x, [row[::-1] for row in w[::-1]] if turned else w, **options)
    assert cells(page, "output") == wanted
    text = page.locator(".say").inner_text().replace("−", "-")
    i, j = map(int, re.match(r"y\[(\d+), (\d+)\]", text).groups())
    assert text.endswith(f"= {wanted[i][j]}")
    terms = [(int(a), int(b)) for a, b in re.findall(r"(-?\d+)·\(?(-?\d+)\)?", text)]
    assert sum(a * b for a, b in terms) == int(wanted[i][j])
    assert sorted(b for _, b in terms) == sorted(v for row in w for v in row)
    assert page.locator("[aria-label=output] .out").inner_text().replace("−", "-") == wanted[i][j]
    shape = page.locator(".shape").first.inner_text()
    assert [int(n) for n in re.findall(r"\+ 1 = (\d+)", shape)] == [len(wanted), len(wanted[0])]


def test_the_explorer_follows_every_control(show):
    figure = ConvolutionExplorer()
    page, x = show(figure), figure.parameters()["input"]
    w = next(iter(figure.kernels.values()))
    assert cells(page, "output") == expected_cells(x, w)
    for name in ("stride", "padding", "dilation"):
        page.get_by_role("slider", name=name).press("ArrowRight")
    settle(page)
    options = {"stride": 2, "padding": 1, "dilation": 2}
    assert cells(page, "output") == expected_cells(x, w, **options)
    page.get_by_label("order").select_option("1")
    turned = [row[::-1] for row in w[::-1]]
    assert cells(page, "output") == expected_cells(x, turned, **options)
    page.get_by_label("order").select_option("")
    page.get_by_role("combobox", name="kernel").select_option("2 × 2")
    assert cells(page, "output") == expected_cells(x, figure.kernels["2 × 2"], **options)


def test_the_explorer_writes_the_sum_under_pointer_and_keys(show):
    figure = ConvolutionExplorer()
    page = show(figure)
    output = page.locator("[aria-label=output] .cell")
    output.nth(5).hover()
    settle(page)
    assert page.locator(".say").inner_text().startswith("y[1, 1] = ")
    assert page.locator("[aria-label=input] .lit").count() == 9
    output.nth(5).focus()
    page.keyboard.press("ArrowRight")
    settle(page)
    text = page.locator(".say").inner_text().replace("−", "-")
    assert text.startswith("y[1, 2] = ")
    terms = re.findall(r"(-?\d+)·\(?(-?\d+)\)?", text)
    assert sum(int(a) * int(b) for a, b in terms) == int(text.rsplit("=", 1)[1])
    page.get_by_role("button", name="Step").click()
    settle(page)
    assert page.locator(".say").inner_text().startswith("y[1, 3] = ")


def test_the_explorer_takes_typed_numbers_and_plays(show):
    figure = ConvolutionExplorer()
    page, x = show(figure), figure.parameters()["input"]
    page.locator("[aria-label=input] .cell").first.focus()
    for key in ("-", "7"):
        page.keyboard.press(key)
    page.locator("[aria-label=kernel] .cell").nth(1).focus()
    page.keyboard.press("+")
    settle(page)
    x[0][0] = -7
    w = [list(row) for row in next(iter(figure.kernels.values()))]
    w[0][1] += 1
    assert cells(page, "output") == expected_cells(x, w)
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(
        """() => [...document.querySelectorAll("*")].find(e => e.shadowRoot)
            .shadowRoot.querySelector(".say").textContent.startsWith("y[0, 1]")"""
    )
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Reset").click()
    settle(page)
    assert cells(page, "output") == expected_cells(figure.parameters()["input"], w)


def shown_softmax(page):
    return [
        float(t[4:].replace("−", "-")) for t in page.locator(".n").all_inner_texts() if t[0] == "p"
    ]


def check_softmax(page):
    """Hold what is drawn against torch, for the state that the controls show."""
    settle(page)
    bars = page.locator(".bar").evaluate_all("b => b.map(e => +e.getAttribute('aria-valuenow'))")
    T = 10 ** float(page.get_by_role("slider", name="temperature").input_value())
    target = int(page.get_by_label("true class").input_value())
    logits = torch.tensor(bars, dtype=torch.float64, requires_grad=True)
    loss = F.cross_entropy(logits[None] / T, torch.tensor([target]))
    loss.backward()
    p = (logits / T).softmax(0).tolist()
    texts = [t.replace("−", "-") for t in page.locator(".n").all_inner_texts()]
    for sign, wanted, digits in (("z", bars, 1), ("p", p, 3), ("∂", logits.grad.tolist(), 3)):
        shown = [float(t[4:]) for t in texts if t[0] == sign]
        assert shown == pytest.approx(wanted, abs=0.51 * 10**-digits)
    heights = page.locator(".p i").evaluate_all("e => e.map(i => parseFloat(i.style.height))")
    assert heights == pytest.approx([100 * v for v in p], abs=0.01)
    said = re.search(r"= ([\d.]+) nats", page.locator(".say").inner_text())[1]
    assert float(said) == pytest.approx(loss.item(), abs=6e-4)


def test_the_softmax_figure_follows_keys_and_pointer(show):
    page = show(SoftmaxFigure())
    bars = page.locator(".bar")
    logits = [2.0, 1.0, 0.0, -1.0]
    assert shown_softmax(page) == pytest.approx(torch.tensor(logits).softmax(0).tolist(), abs=5e-4)
    bars.nth(1).focus()
    page.keyboard.press("PageUp")
    page.keyboard.press("ArrowDown")
    settle(page)
    logits[1] = 1.9
    assert shown_softmax(page) == pytest.approx(torch.tensor(logits).softmax(0).tolist(), abs=5e-4)
    box = bars.nth(3).bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] * 0.75)
    page.mouse.down()
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] * 0.1)
    page.mouse.up()
    settle(page)
    logits[3] = float(bars.nth(3).get_attribute("aria-valuenow"))
    assert logits[3] == pytest.approx(4.0, abs=0.15)
    page.get_by_role("slider", name="temperature").press("ArrowRight")
    page.get_by_label("true class").select_option("3")
    settle(page)
    z = torch.tensor(logits, dtype=torch.float64) / 10**0.05
    assert shown_softmax(page) == pytest.approx(z.softmax(0).tolist(), abs=5e-4)
    loss = F.cross_entropy(z[None], torch.tensor([3])).item()
    said = re.search(r"= ([\d.]+) nats", page.locator(".say").inner_text())[1]
    assert float(said) == pytest.approx(loss, abs=6e-4)


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1000])
def test_axe_finds_no_fault_and_nothing_is_cut_off(show, figure, theme, width):
    from axe_playwright_python.sync_playwright import Axe

    page = show(figure(), theme, width)
    violations = Axe().run(page).response["violations"]
    found = [v for v in violations if v["id"] not in ("page-has-heading-one", "landmark-one-main")]
    assert found == [], json.dumps(found)[:2000]
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("figure", FIGURES)
def test_the_theme_switches_live_and_keys_stay_inside(show, figure):
    page, name = show(figure()), tag(figure())
    assert not page.evaluate(f"document.querySelector('{name}').hasAttribute('dark')")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function(f"document.querySelector('{name}').hasAttribute('dark')")
    page.evaluate("window.heard = 0; addEventListener('keydown', () => window.heard++)")
    page.locator("select").first.focus()
    page.keyboard.press("j")
    assert page.evaluate("window.heard") == 0
    page.keyboard.press("Control+j")
    assert page.evaluate("window.heard") == 2  # the Control key and the j
    page.evaluate(
        f"const e = document.querySelector('{name}'); e.remove(); document.body.append(e)"
    )
    assert page.locator("select").first.is_visible()
