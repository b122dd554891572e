"""The figure inside MobileNetV2: its maps and fields against the network, its controls."""

import random
import re
from functools import cache

import numpy as np
import pytest
import torch
from book_pages import settle
from PIL import Image
from torch import nn
from torchvision.models import mobilenet_v2

from tutorial_utils.interactive import InsideNetwork
from tutorial_utils.interactive.inside_network import (
    PHOTO,
    SHEET,
    SIZE,
    STAGES,
    STRIDES,
    load_maps,
    place,
)
from tutorial_utils.models import load_pretrained
from tutorial_utils.photos import photo_tensor
from tutorial_utils.results import load_results


@pytest.fixture(scope="module")
def outputs():
    """Compute what the network gives for the photo: stage -> (C, n, n)."""
    model, weights = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    transforms = weights.transforms()
    mean, std = (torch.tensor(v)[:, None, None].double() for v in (transforms.mean, transforms.std))
    x = ((photo_tensor(PHOTO, SIZE, torch.float64) - mean) / std)[None]
    found = {}
    with torch.no_grad():
        for stage, layer in enumerate(model.double().features):
            found[stage] = x = layer(x)
    return {stage: found[stage][0] for stage in STAGES}


@cache
def measured_fields():
    """Return stage, row, column -> the pixels that reach that unit, by their gradient.

    The weights are positive and nothing saturates, so no two ways from a pixel can cancel.
    """
    model = mobilenet_v2(norm_layer=lambda channels: nn.Identity()).double()
    for module in model.modules():
        for name, child in list(module.named_children()):
            if isinstance(child, nn.ReLU6):
                setattr(module, name, nn.Identity())
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.1)

    def measure(stage, row, column):
        x = torch.ones(1, 3, SIZE, SIZE, dtype=torch.float64, requires_grad=True)
        model.features[: stage + 1](x)[0, 0, row, column].backward()
        reached = x.grad[0, 0] > 0
        rows, columns = reached.any(1).nonzero()[:, 0], reached.any(0).nonzero()[:, 0]
        assert reached.sum() == len(rows) * len(columns)  # a full rectangle
        return [[v[0].item(), v[-1].item()] for v in (rows, columns)]

    return cache(measure)


@pytest.fixture(scope="module")
def fields():
    return measured_fields()


def test_the_stored_maps_are_those_of_the_network(outputs):
    stored = load_results("inside_network")["stages"]
    for stage, computed in outputs.items():
        channels, maps, error = load_maps(stage)
        n = STAGES[stage][0]
        assert maps.shape == (len(set(channels)), n, n)
        assert computed.shape == (stored[str(stage)]["of"], n, n)
        expected = computed[channels].numpy()
        assert np.abs(maps - expected).max() <= error + 1e-6
        assert error < 0.016
        assert (maps.min((1, 2)) <= expected.min((1, 2)) + 1e-6).all()


def test_the_sheet_is_small_and_its_maps_do_not_overlap():
    assert SHEET.stat().st_size < 100_000
    with Image.open(SHEET) as image:
        assert image.mode == "L"
        used = np.zeros(image.size[::-1], dtype=int)
    for stage in STAGES:
        for number in range(6):
            used[place(stage, number)] += 1
    assert used.max() == 1
    assert used.sum() == sum(6 * n * n for n, *_ in STAGES.values())


def test_the_strides_are_those_of_the_model():
    layers = [m for m in mobilenet_v2().modules() if isinstance(m, nn.Conv2d)]
    wide = [m for m in layers if m.kernel_size == (3, 3)]
    assert tuple(m.stride[0] for m in wide) == STRIDES
    assert {m.padding for m in wide} == {(1, 1)}
    assert {(m.kernel_size, m.stride) for m in layers if m not in wide} == {((1, 1), (1, 1))}


def test_fields_are_where_the_gradient_is(fields, load_module):
    rng, cases, expected = random.Random(0), [], []
    for stage, (n, *_) in STAGES.items():
        units = {(0, 0), (n - 1, n // 2), *((rng.randrange(n), rng.randrange(n)) for _ in "abcd")}
        for row, column in sorted(units):
            cases += [[STRIDES[: stage + 1], SIZE, i] for i in (row, column)]
            expected += fields(stage, row, column)
    found = load_module("inside_network.js", "m.field(...c)", cases)
    assert [[f["first"], f["last"]] for f in found] == expected


def test_fields_of_random_stacks_are_where_the_gradient_is(load_module):
    rng, cases, expected = random.Random(1), [], []
    while len(cases) < 200:
        strides, size = rng.choices([1, 2, 3], k=rng.randint(1, 7)), rng.randint(1, 120)
        x = torch.ones(1, 1, size, dtype=torch.float64, requires_grad=True)
        y = x
        for stride in strides:
            y = nn.functional.conv1d(y, torch.ones(1, 1, 3).double(), None, stride, 1)
        i = rng.randrange(y.shape[-1])
        y[0, 0, i].backward()
        reached = (x.grad[0, 0] > 0).nonzero()[:, 0]
        cases.append([strides, size, i])
        expected.append([reached[0].item(), reached[-1].item()])
    found = load_module("inside_network.js", "m.field(...c)", cases)
    assert [[f["first"], f["last"]] for f in found] == expected
    jumps = [np.cumprod([1, *strides]).tolist() for strides, _, _ in cases]
    assert [f["stride"] for f in found] == [jump[-1] for jump in jumps]
    assert [f["full"] for f in found] == [1 + 2 * sum(jump[:-1]) for jump in jumps]


def said(page):
    settle(page)
    text = page.locator(".say").inner_text().replace("−", "-")
    unit = re.search(r"Unit \((\d+), (\d+)\) of channel (\d+) has the value (-?[\d.]+)\.", text)
    seen = re.search(r"rows (\d+) to (\d+) and columns (\d+) to (\d+)", text)
    stage = re.search(r"^Stage (\d+) ", text)
    whole = [int(stage[1]), *map(int, unit.groups()[:3])]
    return whole, float(unit[4]), [int(v) for v in seen.groups()]


def drawn(page):
    """Return the rectangle on the photo: first and last row and column."""
    d = page.locator(".box svg").first.locator("path").last.get_attribute("d")
    left, top, width, height = map(int, re.match(r"M(\d+) (\d+)h(\d+)v(\d+)", d).groups())
    return [top, top + height - 1, left, left + width - 1]


def check(page, fields):
    (stage, row, column, channel), value, seen = said(page)
    channels, maps, _ = load_maps(stage)
    assert value == pytest.approx(maps[channels.index(channel), row, column], abs=0.006)
    rows, columns = fields(stage, row, column)
    assert seen == drawn(page) == [*rows, *columns]
    return stage, row, column, channel


def check_unit(page):
    """Hold text, rectangle and choices against the stored maps and the gradient's field."""
    stage, _, _, channel = check(ready(page), measured_fields())
    assert page.get_by_role("combobox", name="stage").input_value() == str(stage)
    assert page.locator("button[aria-pressed=true]").inner_text().strip() == str(channel)
    levels = page.locator(".map canvas").evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    n = STAGES[stage][0]
    with Image.open(SHEET) as image:
        stored = np.array(image)[place(stage, load_maps(stage)[0].index(channel))]
    assert np.array(levels).reshape(n, n, 4)[..., 0].tolist() == stored.tolist()


def ready(page):
    page.wait_for_function(
        """() => [...document.querySelectorAll("*")].find(e => e.shadowRoot)
            .shadowRoot.querySelector(".say").textContent.includes("value")"""
    )
    return page


def test_every_unit_answers_to_keys(show, fields):
    page = ready(show(InsideNetwork()))
    assert check(page, fields)[0] == 6
    for stage, (n, *_) in STAGES.items():
        page.get_by_role("combobox", name="stage").select_option(str(stage))
        page.get_by_role("application").focus()
        for key in ("Home", "PageUp", "ArrowUp"):
            page.keyboard.press(key)
        assert check(page, fields)[1:3] == (0, 0)
        for key in ("End", "ArrowDown", "ArrowRight"):
            page.keyboard.press(key)
        assert check(page, fields)[1:3] == (1, n - 1)
        for key in ("PageDown", "Shift+ArrowLeft", "ArrowUp"):
            page.keyboard.press(key)
        assert check(page, fields)[1:3] == (n - 2, max(0, n - 9))
    channels, maps, _ = load_maps(18)
    button = page.get_by_role("button", name=f"channel {channels[4]}", exact=True)
    button.press("Enter")
    assert check(page, fields)[3] == channels[4]
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("button[aria-pressed=true]").count() == 1
    page.get_by_role("button", name="Strongest unit").press("Enter")
    _, row, column, channel = check(page, fields)
    assert channel == channels[4]
    assert maps[4, row, column] == maps[4].max()


def test_every_unit_answers_to_the_mouse_and_to_touch(show, fields):
    page = ready(show(InsideNetwork(stage=10), has_touch=True))
    photo, units = page.locator(".box").all()
    for box, press in ((units, False), (photo, False), (units, True)):
        side = box.bounding_box()
        x, y = side["x"] + side["width"] * 0.9, side["y"] + side["height"] * 0.3
        page.mouse.move(x, y)
        if press:
            page.mouse.down()
            page.mouse.move(x - 9 * side["width"], y)  # far outside: the last unit of the row
            page.mouse.up()
        assert check(page, fields)[:3] == (10, 4, 0 if press else 12)
    photo.tap(position={"x": 4, "y": 4})
    assert check(page, fields)[1:3] == (0, 0)
    page.get_by_role("button", name="channel").nth(3).click()
    assert check(page, fields)[3] == load_maps(10)[0][3]
    page.get_by_role("button", name="Strongest unit").click()
    _, row, column, _ = check(page, fields)
    assert load_maps(10)[1][3][row, column] == load_maps(10)[1][3].max()


def test_the_maps_are_drawn_as_stored(show):
    page = ready(show(InsideNetwork(stage=18)))
    levels = page.locator(".map canvas").evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    with Image.open(SHEET) as image:
        stored = np.array(image)[place(18, 0)]
    assert np.array(levels).reshape(7, 7, 4)[..., 0].tolist() == stored.tolist()


def test_the_fallbacks_numbers_are_right(fields):
    text = InsideNetwork().fallback()
    for stage, (n, *_) in STAGES.items():
        assert f"stage {stage}, {n} × {n}" in text
    for stage, unit, width in ((0, 50, 3), (6, 14, 59)):
        assert [b - a + 1 for a, b in fields(stage, unit, unit)] == [width, width]
        assert f"{width} × {width}" in text
    for unit in (0, 3, 6):
        assert fields(18, unit, unit) == [[0, SIZE - 1]] * 2


def test_a_stage_without_maps_gives_one_clear_error():
    with pytest.raises(ValueError, match="no maps of stage 5"):
        InsideNetwork(stage=5)
