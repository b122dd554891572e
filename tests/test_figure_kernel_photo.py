"""The kernel on a photo: its arithmetic against torch, and every control, in Chromium."""

import random

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tutorial_utils.interactive import KernelOnPhoto


def correlate(x, w):
    """Cross-correlate with torch, padded to the input's size."""
    x, w = (torch.as_tensor(v, dtype=torch.float64)[None, None] for v in (x, w))
    p = w.shape[-1] // 2
    x = F.pad(x, [p] * 4, mode="constant")
    return F.conv2d(x, w)[0, 0]


def test_the_arithmetic_agrees_with_torch(load_module):
    rng, cases = random.Random(0), []
    for _ in range(250):
        H, W, K = rng.randint(3, 12), rng.randint(3, 12), rng.choice([1, 3, 5])
        x = [rng.randint(0, 255) for _ in range(H * W)]
        w = [[rng.randint(-9, 9) for _ in range(K)] for _ in range(K)]
        cases.append({"x": x, "H": H, "W": W, "w": w})
    found = load_module("kernel_photo.js", "[...m.correlate(c.x, c.W, c.H, c.w)]", cases)
    for case, y in zip(cases, found, strict=True):
        x = np.reshape(case["x"], (case["H"], case["W"]))
        assert y == correlate(x, case["w"]).flatten().tolist()


def levels(y, show):
    y = {"clip": y, "absolute": y.abs(), "signed": 128 + y / 2}[show]
    return y.clamp(0, 255).round()  # half to even, as a browser's clamped bytes


def test_grey_levels_and_resizing_agree_with_torch(load_module):
    values = [*range(-600, 600), -0.5, 0.5, 1.5, 254.5]
    cases = [{"y": y, "show": s} for y in values for s in ("clip", "absolute", "signed")]
    found = load_module("kernel_photo.js", "m.level(c.y, c.show)", cases)
    for case, level in zip(cases, found, strict=True):
        assert level == levels(torch.tensor(float(case["y"])), case["show"])
    w = torch.arange(1, 10).reshape(3, 3)
    wide = F.pad(w, [1] * 4)
    cases = [{"w": w.tolist(), "size": 5}, {"w": wide.tolist(), "size": 3}]
    found = load_module("kernel_photo.js", "m.resized(c.w, c.size)", cases)
    assert found == [wide.tolist(), w.tolist()]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KernelOnPhoto(first="none"), "no kernel 'none'"),
        (lambda: KernelOnPhoto(kernels={"a": [[1]]}, first="a"), "3 rows of 3 weights or 5 of 5"),
        (lambda: KernelOnPhoto(kernels={"a": [[1] * 3] * 2}, first="a"), "3 rows of 3 weights"),
    ],
)
def test_bad_parameters_give_one_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()
