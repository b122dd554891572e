"""Convolution and softmax in the page: their arithmetic against torch, and their stills."""

import random
import re

import pytest
import torch
from book_pages import FRAMES
from test_figures import cells
from torch.nn import functional as F

from tutorial_utils.interactive import ConvolutionExplorer, SoftmaxFigure


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


def test_the_fallbacks_numbers_are_right():
    html = ConvolutionExplorer(
        [[1, 2, 0], [0, 1, 3], [2, 0, 1]], {"a": [[1, 2], [0, -1]]}
    ).fallback()
    rows = re.findall(r"<tr>(.*?)</tr>", html.rsplit("<table>", 1)[1])
    assert [re.findall(r"<td>(-?\d+)", row) for row in rows] == [["4", "-1"], ["2", "6"]]
    html = SoftmaxFigure(logits=(2, 1, 0, -1), temperature=2.0).fallback()
    p = torch.tensor([2.0, 1, 0, -1]).div(2).softmax(0)
    assert re.findall(r"<td>(\d\.\d{3})</td><td>", html) == [f"{x:.3f}" for x in p.tolist()]


def test_the_explorer_opens_at_the_setting_that_it_is_given(show):
    x, w = torch.arange(16).reshape(4, 4) % 7, [[1, 2], [0, -1]]
    start = {"stride": 2, "padding": 1}
    figure = ConvolutionExplorer(x.tolist(), {"a": w}, **start, at=(2, 0))
    page = show(figure)
    y = F.conv2d(x.double()[None, None], torch.tensor(w).double()[None, None], **start)[0, 0]
    assert cells(page, "output") == y.tolist()
    assert page.locator(".cell.out").inner_text().replace("−", "-") == f"{y[2, 0]:g}"
    rows = re.findall(r"<tr>(.*?)</tr>", figure.fallback().rsplit("<table>", 1)[1])
    assert [[int(v) for v in re.findall(r"<td>(-?\d+)", row)] for row in rows] == y.tolist()


def test_a_window_is_a_column_and_the_row_times_the_matrix_is_the_output(show):
    x, w = torch.arange(16).reshape(4, 4) % 7, torch.tensor([[1, 2], [0, -1]])
    figure = ConvolutionExplorer(x.tolist(), {"a": w.tolist()}, simple=True, columns=True)
    page = show(figure, width=375)
    columns = F.unfold(x.double()[None, None], 2)[0]
    assert cells(page, "columns") == columns.tolist()
    assert cells(page, "sums") == (w.double().reshape(1, 4) @ columns).tolist()
    assert page.locator("select:visible, .tries button:visible").count() == 1  # Reset
    sums = page.get_by_role("grid", name="sums")
    sums.get_by_role("gridcell").nth(5).click()
    page.evaluate(FRAMES)
    window = page.get_by_role("grid", name="input").locator(".lit")
    assert [int(t) for t in window.all_inner_texts()] == columns[:, 5].int().tolist()
    page.get_by_role("grid", name="input").get_by_role("gridcell").nth(5).click()  # in the middle
    page.evaluate(FRAMES)
    assert page.get_by_role("grid", name="columns").locator(".lit").count() == 4
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


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
