"""The figure of pooling and shift: its arithmetic against torch, and every control, in Chromium."""

import random
import re

import numpy as np
import pytest
import torch
from book_pages import settle
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
    if against == "exact":
        references = [torch_moved(y0, d, r)]
    elif against == "still":
        references = [y0]
    else:
        steps = [(a, b) for a in {d // 1, -(-d // 1)} for b in {r // 1, -(-r // 1)}]
        references = [y0.roll((int(a), int(b)), (0, 1)) for a, b in steps]
    spread = (y0 - y0.mean()).square().sum()
    return y, min(((y - z).square().sum() / spread).sqrt().item() for z in references)


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
            "against": rng.choice(["exact", "whole", "still"]),
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
    cases = [
        c | {"right": 4, "down": -8, "against": a}
        for c in random_cases(20)
        for a in ("exact", "whole")
    ]
    call = "m.compare(c.x, c.n, c.method, c.times, c.down, c.right, c.against).change"
    assert set(load_module(SCRIPT, call, cases)) == {0}


# --- Behaviour ---


def shown(page):
    settle(page)
    return [float(text) for text in page.locator(".bars b").all_inner_texts()]


def expected(name, times=1, down=0, right=0, against="exact"):
    x = torch.tensor(default_pictures()[name], dtype=torch.float64)
    return [torch_compare(x, m, times, down, right, against)[1] for m in METHODS]


def check_shift(page):
    """Hold changes and outputs against torch, for the state that the controls show."""
    bars = shown(page)
    right, down = (int(page.get_by_role("slider", name=n).input_value()) for n in ("right", "down"))
    name, times, against = (
        page.get_by_role("combobox", name=n).input_value()
        for n in ("picture", "halvings", "against")
    )
    assert bars == pytest.approx(expected(name, int(times), down, right, against), abs=0.006)
    check_outputs(page, name, int(times), down, right, against)


def check_outputs(page, name, *state):
    x = torch.tensor(default_pictures()[name], dtype=torch.float64)
    drawn = page.locator(".card").evaluate_all(
        """cards => cards.map(e => { const c = e.querySelector("canvas");
            return [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data]
                .filter((_, i) => i % 4 === 0); })"""
    )
    for method, levels in zip(METHODS, drawn, strict=True):
        y, _ = torch_compare(x, method, *state)
        assert np.abs(np.array(levels) - y.flatten().numpy()).max() <= 0.5 + 1e-9


@pytest.fixture
def page(show):
    page = show(PoolingShift())
    page.wait_for_function(
        """() => document.querySelector(".book-figure").shadowRoot
            .querySelector(".bars b").textContent"""
    )
    return page


def test_keys_move_the_picture(page):
    assert shown(page) == [0, 0, 0, 0]
    page.locator(".pad").focus()
    page.keyboard.press("ArrowRight")
    assert shown(page) == pytest.approx(expected("brick wall", right=1), abs=0.006)
    for key in ("ArrowUp", "ArrowUp", "ArrowUp", "ArrowRight", "ArrowLeft", "ArrowDown"):
        page.keyboard.press(key)
    assert shown(page) == pytest.approx(expected("brick wall", down=-2, right=1), abs=0.006)
    assert "1 px right, 2 px up" in page.locator(".pad").get_attribute("aria-label")
    page.wait_for_timeout(450)
    assert page.get_by_role("status").inner_text().startswith("1 px right, 2 px up. Change: every")
    page.keyboard.press("Home")
    assert shown(page) == [0, 0, 0, 0]


def test_the_pointer_drags_the_picture_by_whole_pixels(page):
    box = page.locator(".pad").bounding_box()
    x, y, pixel = box["x"] + 90, box["y"] + 90, box["width"] / 48
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 1.2 * pixel, y - 2.7 * pixel)
    assert shown(page) == pytest.approx(expected("brick wall", down=-3, right=1), abs=0.006)
    page.mouse.move(x + 3 * pixel, y)
    page.mouse.up()
    page.mouse.move(x, y)
    assert shown(page) == pytest.approx(expected("brick wall", right=3), abs=0.006)
    assert page.get_by_role("slider", name="right").input_value() == "3"


def test_a_finger_drags_the_picture(show):
    page = show(PoolingShift(), width=360, has_touch=True)
    page.wait_for_timeout(300)
    box = page.locator(".pad").bounding_box()
    touch = page.context.new_cdp_session(page)
    x, y, pixel = box["x"] + 90, box["y"] + 90, box["width"] / 48
    for kind, dx in (("touchStart", 0), ("touchMove", 2), ("touchMove", 5), ("touchEnd", None)):
        points = [] if dx is None else [{"x": x + dx * pixel, "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert shown(page) == pytest.approx(expected("brick wall", right=5), abs=0.006)


def test_every_control_is_followed(page):
    page.get_by_role("slider", name="right").press("ArrowLeft")
    page.get_by_role("slider", name="down").press("ArrowRight")
    assert shown(page) == pytest.approx(expected("brick wall", down=1, right=-1), abs=0.006)
    for name in default_pictures():
        page.get_by_role("combobox", name="picture").select_option(name)
        for times in (1, 2, 3):
            page.get_by_label("halvings").select_option(str(times))
            for against in ("exact", "whole", "still"):
                page.get_by_label("hold it against").select_option(against)
                wanted = expected(name, times, 1, -1, against)
                assert shown(page) == pytest.approx(wanted, abs=0.006)
        side = page.locator(".card canvas").first.evaluate("c => [c.width, c.height]")
        assert side == [6, 6]
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(600)
    page.get_by_role("button", name="Pause").click()
    assert int(page.get_by_role("slider", name="right").input_value()) >= 0
    page.get_by_role("button", name="Back").click()
    assert shown(page) == [0, 0, 0, 0]


def test_the_canvases_show_the_outputs(page):
    page.locator(".pad").focus()
    page.keyboard.press("ArrowRight")
    settle(page)
    check_outputs(page, "brick wall", 1, 0, 1, "exact")


@pytest.mark.parametrize("width", [360, 760])
def test_nothing_jumps_while_it_moves(show, width):
    page = show(PoolingShift(), width=width)
    height = page.locator(".figure").bounding_box()["height"]
    page.locator(".pad").focus()
    for key in ("ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    for against in ("whole", "still"):
        page.get_by_label("hold it against").select_option(against)
    page.get_by_label("halvings").select_option("3")
    settle(page)
    assert page.locator(".figure").bounding_box()["height"] == height


# --- Parameters and fallback ---


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
    assert found == pytest.approx(expected("brick wall", right=1), abs=0.005)
