"""The figure of pooling and shift: its arithmetic against torch, and every control, in Chromium."""

import random
import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tutorial_utils.interactive.pooling_shift import METHODS, PoolingShift, default_pictures

SCRIPT = "pooling_shift.js"


def torch_halve(x, method):
    """Halve (n, n) as the chapter does: torch's pooling, torch's convolution, circular padding."""
    x = x[None, None]
    if method == "every 2nd":
        y = x[..., ::2, ::2]
    elif method == "max":
        y = F.max_pool2d(x, 2)
    elif method == "average":
        y = F.avg_pool2d(x, 2)
    else:
        dense = F.max_pool2d(F.pad(x, (0, 1, 0, 1), mode="circular"), 2, stride=1)
        line = torch.tensor([1.0, 2, 1], dtype=x.dtype) / 4
        kernel = torch.outer(line, line)[None, None]
        y = F.conv2d(F.pad(dense, [1] * 4, mode="circular"), kernel, stride=2)
    return y[0, 0]


def torch_moved(y, down, right):
    for dim, pixels in ((0, down), (1, right)):
        frequency = torch.fft.rfftfreq(y.shape[dim], dtype=y.dtype)
        turn = torch.exp(-2j * torch.pi * frequency * pixels)
        turn = turn[:, None] if dim == 0 else turn
        y = torch.fft.irfft(torch.fft.rfft(y, dim=dim) * turn, n=y.shape[dim], dim=dim)
    return y


def torch_compare(x, method, times, down, right, against):
    y0, y = x, x.roll((down, right), (0, 1))
    for _ in range(times):
        y0, y = torch_halve(y0, method), torch_halve(y, method)
    d, r = down / 2**times, right / 2**times
    reference = torch_moved(y0, d, r) if against == "exact" else y0
    spread = (y0 - y0.mean()).square().sum()
    return y, ((y - reference).square().sum() / spread).sqrt().item()


def random_cases(count):
    rng = random.Random(0)
    for _ in range(count):
        n = rng.choice([8, 16, 24])
        yield {
            "n": n,
            "x": [rng.randint(0, 255) for _ in range(n * n)],
            "method": rng.choice(list(METHODS)),
            "times": rng.randint(1, 2),
            "down": rng.randint(-8, 8),
            "right": rng.randint(-8, 8),
            "against": rng.choice(["exact", "still"]),
        }


def test_outputs_and_changes_agree_with_torch(load_module):
    cases = list(random_cases(300))
    call = "m.compare(c.x, c.n, c.method, c.times, c.down, c.right, c.against)"
    for case, found in zip(cases, load_module(SCRIPT, call, cases), strict=True):
        x = torch.tensor(case["x"], dtype=torch.float64).view(case["n"], -1)
        options = [case[key] for key in ("method", "times", "down", "right", "against")]
        y, change = torch_compare(x, *options)
        ours = torch.tensor(found["y"], dtype=torch.float64).view_as(y)
        torch.testing.assert_close(ours, y, rtol=1e-12, atol=1e-10)
        assert found["change"] == pytest.approx(change, abs=1e-6), options


def test_moving_a_map_agrees_with_the_fourier_transform(load_module):
    rng = random.Random(1)
    cases = [
        {"y": [rng.gauss(0, 1) for _ in range(n * n)], "n": n, "d": rng.uniform(-4, 4), "r": r}
        for n in (2, 4, 6, 12, 24)
        for r in (0, 0.5, 1, 0.125, -2.75, 3, 24, 1.5)
    ]
    found = load_module(SCRIPT, "m.moved(c.y, c.n, c.d, c.r)", cases)
    for case, ours in zip(cases, found, strict=True):
        y = torch.tensor(case["y"], dtype=torch.float64).view(case["n"], -1)
        expected = torch_moved(y, case["d"], case["r"]).flatten()
        torch.testing.assert_close(torch.tensor(ours, dtype=torch.float64), expected)


def test_a_shift_by_the_stride_changes_nothing(load_module):
    cases = [c | {"right": 4, "down": -8, "against": "exact"} for c in random_cases(20)]
    call = "m.compare(c.x, c.n, c.method, c.times, c.down, c.right, c.against).change"
    assert set(load_module(SCRIPT, call, cases)) == {0}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((20, 20)), "side of 16, 24"),
        (np.zeros((16, 24)), "must be square"),
        (np.full((16, 16), 7), "different values"),
        (np.eye(16) * 256, "from 0 to 255"),
    ],
)
def test_bad_pictures_give_one_clear_error(values, message):
    with pytest.raises(ValueError, match=message):
        PoolingShift({"a": values})


def test_pictures_of_different_sizes_or_none_are_refused():
    for pictures in ({}, {"a": np.eye(16), "b": np.eye(24)}):
        with pytest.raises(ValueError, match="all of the same size"):
            PoolingShift(pictures)


def test_the_fallbacks_numbers_are_right():
    row = re.search(r"change</th><td></td>(.*?)</tr>", PoolingShift().fallback())[1]
    found = [float(value) for value in re.findall(r"<td>([\d.]+)</td>", row)]
    x = torch.tensor(default_pictures()["brick wall"], dtype=torch.float64)
    wanted = [torch_compare(x, method, 1, 0, 1, "exact")[1] for method in METHODS]
    assert found == pytest.approx(wanted, abs=0.005)
