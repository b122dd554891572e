"""Convolution and softmax in the page: their arithmetic against torch, and their stills."""

import random
import re

import pytest
import torch
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
