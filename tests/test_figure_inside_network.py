"""The figure inside MobileNetV2: its maps and fields against the network, its controls."""

import random
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models import mobilenet_v2

from tutorial_utils.interactive.inside_network import (
    CHANNELS,
    PHOTOS,
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
    """Compute what the network gives for the photos: stage -> (photos, C, n, n)."""
    model, weights = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    transforms = weights.transforms()
    mean, std = (torch.tensor(v)[:, None, None].double() for v in (transforms.mean, transforms.std))
    photos = torch.stack([photo_tensor(name, SIZE, torch.float64) for name in PHOTOS])
    x = (photos - mean) / std
    found = {}
    with torch.no_grad():
        for stage, layer in enumerate(model.double().eval().features):
            found[stage] = x = layer(x)
    return {stage: found[stage] for stage in STAGES}


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
        n = STAGES[stage][0]
        for photo, values in zip(PHOTOS, computed, strict=True):
            channels, maps, error = load_maps(stage, photo)
            assert maps.shape == (CHANNELS[stage], n, n)
            assert values.shape == (stored[str(stage)]["of"], n, n)
            assert np.abs(maps - values[channels].numpy()).max() <= error + 1e-6
            assert error < 0.03


def test_the_sheet_is_small_and_its_maps_do_not_overlap():
    assert SHEET.stat().st_size < 120_000
    with Image.open(SHEET) as image:
        used = np.zeros(image.size[::-1], dtype=int)
    for photo in range(len(PHOTOS)):
        for stage, count in CHANNELS.items():
            for number in range(count):
                used[place(photo, stage, number)] += 1
    assert used.max() == 1
    assert used.sum() == 4 * sum(CHANNELS[s] * n * n for s, (n, *_) in STAGES.items())


def test_the_strides_are_those_of_the_model():
    layers = [m for m in mobilenet_v2().modules() if isinstance(m, nn.Conv2d)]
    wide = [m for m in layers if m.kernel_size == (3, 3)]
    assert tuple(m.stride[0] for m in wide) == STRIDES
    assert {m.padding for m in wide} == {(1, 1)}
    assert {(m.kernel_size, m.stride) for m in layers if m not in wide} == {((1, 1), (1, 1))}


def test_fields_are_where_the_gradient_is(fields, load_module):
    rng, cases, expected = random.Random(0), [], []
    for stage, (n, *_) in STAGES.items():
        units = {(0, 0), (n - 1, n // 2), *((rng.randrange(n), rng.randrange(n)) for _ in "ab")}
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
