"""The layer-stack calculator: its numbers against torch, and every control, in Chromium."""

import random
import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import get_model

from tutorial_utils.interactive import LayerStack
from tutorial_utils.interactive.layer_stack import STACKS, conv, measure, pool


def modules(channels, layers):
    """Build a stack with torch; pools take turns at max and average."""
    for n, (kernel, stride, padding, out, dilation, groups, bias) in enumerate(layers):
        if out:
            yield nn.Conv2d(
                channels, out, kernel, stride, padding, dilation, groups, bias=bool(bias)
            )
            channels = out
        elif dilation > 1 or n % 2:
            yield nn.MaxPool2d(kernel, stride, padding, dilation)
        else:
            yield nn.AvgPool2d(kernel, stride, padding)


def random_stacks(count, seed):
    rng = random.Random(seed)
    for _ in range(count):
        channels, layers = rng.choice([1, 3, 4, 8]), []
        for _ in range(rng.randint(1, 5)):
            kernel, stride = rng.randint(1, 5), rng.randint(1, 3)
            out = rng.choice([0, 1, 4, 6, 8])
            padding = rng.randint(0, 3 if out else kernel // 2 + (rng.random() < 0.1))
            dilation = rng.choice([1, 1, 2, 3])
            groups = rng.choice([1, 1, 2, 4]) if out else 1
            layers.append([kernel, stride, padding, out, dilation, groups, rng.randint(0, 1)])
        yield {"channels": channels, "size": rng.randint(8, 40), "layers": layers}


def test_sizes_parameters_and_macs_agree_with_torch(load_module):
    cases = list(random_stacks(600, seed=0))
    cases += [dict(zip(("channels", "size", "layers"), s, strict=True)) for s in STACKS.values()]
    found = load_module("layer_stack.js", "m.measure(c.channels, c.size, c.layers)", cases)
    whole = 0
    for case, answer in zip(cases, found, strict=True):
        x = torch.zeros(1, case["channels"], case["size"], case["size"], device="meta")
        rows, fault = answer["rows"], answer["fault"]
        whole += not fault
        with torch.device("meta"):
            layers = modules(case["channels"], case["layers"][: len(rows)])
            for layer, row in zip(layers, rows, strict=True):
                with FlopCounterMode(display=False) as counter:
                    x = layer(x)
                assert x.shape[1:] == (row["channels"], row["size"], row["size"])
                assert row["parameters"] == sum(p.numel() for p in layer.parameters())
                assert 2 * row["macs"] == counter.get_total_flops()
            if fault:
                assert fault.startswith(f"Layer {len(rows) + 1} does not fit")
                with pytest.raises((RuntimeError, ValueError)):
                    next(modules(x.shape[1], case["layers"][len(rows) :]))(x)
        if fault:
            with pytest.raises(ValueError, match=f"layer {len(rows) + 1}:"):
                measure(**case)
        else:
            ours = measure(**case)
            assert [{key: row[key] for key in ours[0]} for row in rows] == ours
    assert whole >= 200


def test_the_receptive_field_is_where_the_gradient_is(load_module):
    rng, cases = random.Random(1), []
    for case in random_stacks(600, seed=1):
        layers = [[*layer[:3], 1, layer[4], 1, 0] for layer in case["layers"]]
        try:
            size = measure(1, case["size"], layers)[-1]["size"]
        except ValueError:
            continue
        cases.append({"size": case["size"], "layers": layers, "unit": rng.randrange(size)})
    assert len(cases) >= 200
    code = """(() => { const {rows} = m.measure(1, c.size, c.layers);
        return [m.support(rows, c.unit), rows.at(-1)]; })()"""
    inside = 0
    for case, (runs, row) in zip(cases, load_module("layer_stack.js", code, cases), strict=True):
        x = torch.zeros(1, 1, case["size"], dtype=torch.float64, requires_grad=True)
        y = x
        for kernel, stride, padding, _, dilation, *_ in case["layers"]:
            y = F.conv1d(y, y.new_ones(1, 1, kernel), None, stride, padding, dilation)
        seen = [0] * case["size"]
        for first, last in runs:
            seen[first : last + 1] = [1] * (last + 1 - first)
        y[0, 0, case["unit"]].backward()
        assert (x.grad[0, 0] != 0).tolist() == [bool(v) for v in seen]
        middle = row["middle"] + case["unit"] * row["jump"]
        first, last = middle - (row["field"] - 1) / 2, middle + (row["field"] - 1) / 2
        if first >= 0 and last < case["size"]:
            assert [runs[0][0], runs[-1][1]] == [first, last]
            inside += 1
    assert inside >= 50


def test_the_presets_are_the_networks_they_are_called():
    with torch.device("meta"):
        vgg = get_model("vgg16", weights=None).features
        resnet = get_model("resnet50", weights=None)
    channels, _, layers = STACKS["VGG-16"]
    ours = [m.weight.shape for m in modules(channels, layers) if isinstance(m, nn.Conv2d)]
    assert ours == [m.weight.shape for m in vgg if isinstance(m, nn.Conv2d)]
    assert sum(m.stride == 2 for m in vgg if isinstance(m, nn.MaxPool2d)) == 5
    channels, _, layers = STACKS["ResNet-50: stem, stage 1"]
    blocks = [getattr(block, f"conv{n}") for block in resnet.layer1 for n in (1, 2, 3)]
    for theirs, layer in zip(
        [resnet.conv1, resnet.maxpool, *blocks], modules(channels, layers), strict=True
    ):
        for name in ("kernel_size", "stride", "padding"):
            theirs_, ours_ = (getattr(m, name) for m in (theirs, layer))
            assert torch.tensor(theirs_).unique().equal(torch.tensor(ours_).unique())
        if isinstance(theirs, nn.Conv2d):
            assert theirs.weight.shape == layer.weight.shape
            assert layer.bias is theirs.bias is None


def test_the_fallback_has_the_first_stacks_numbers():
    html = LayerStack({"LeNet-5": STACKS["LeNet-5"]}).fallback()
    row = re.search(r"<tr><td>conv 5×5<td>16×10×10<td>(.*?)<td>(.*?)<td>(.*?)<td>(\d+)", html)
    assert row.groups() == ("2,416", "240,000", "2", "14")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LayerStack({}), "at least one"),
        (lambda: LayerStack({"a": (1, 8, [conv(4, 9)])}), "layer 1: 9 pixels do not fit into 8"),
        (lambda: LayerStack({"a": (1, 8, [conv(4, 3, groups=2)])}), "groups do not divide"),
        (lambda: LayerStack({"a": (1, 8, [pool(2, 2, 2)])}), "half of its kernel"),
        (lambda: LayerStack({"a": (1, 4, [conv(4, 3)])}), "input size of 8 to 512"),
        (lambda: LayerStack({"a": (1, 8, [])}), "1 to 24 layers"),
    ],
)
def test_bad_parameters_give_one_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()
