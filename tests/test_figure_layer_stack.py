"""The layer-stack calculator: its numbers against torch, and every control, in Chromium."""

import random
import re

import pytest
import torch
from book_pages import settle
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
    html = LayerStack().fallback()
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


# --- Behaviour ---


def table(page):
    settle(page)
    return page.locator(".table tbody tr").evaluate_all(
        "rows => rows.map(r => [...r.children].map(c => c.textContent))"
    )


def text(page):
    settle(page)
    return page.locator(".say").inner_text().replace("−", "-")


def expected(channels, size, layers):
    return [
        [f"{r['channels']}×{r['size']}×{r['size']}", str(r["jump"]), str(r["field"])]
        for r in measure(channels, size, layers)
    ]


def columns(page):
    return [[row[k] for k in (1, 4, 5)] for row in table(page)]


FIELDS = ("kernel", "stride", "padding", "channels", "dilation", "groups", "bias")


def check_stack(page):
    """Hold table, text and drawn field against torch, for the layers that the figure holds."""
    rows = columns(page)
    state = page.locator(".figure").evaluate(
        "e => (({input, layers, at, unit}) => ({input, layers, at, unit}))(e.getRootNode().host)"
    )
    (size, channels), layers, at = state["input"], state["layers"], state["at"]
    for name, value in {
        **{"input size": size, "input channels": channels, "layer": at + 1},
        **dict(zip(FIELDS, layers[at], strict=True)),
    }.items():
        assert page.get_by_role("spinbutton", name=name, exact=True).input_value() == str(value)
    fitting = next(n for n, row in enumerate([*rows, ["✕"]]) if row[0] == "✕")
    x, wanted = torch.zeros(1, channels, size, size, device="meta"), []
    with torch.device("meta"):
        for layer in modules(channels, layers[:fitting]):
            x = layer(x)
            wanted.append("×".join(map(str, x.shape[1:])))
        if fitting < len(layers):
            with pytest.raises((RuntimeError, ValueError)):
                next(modules(x.shape[1], layers[fitting:]))(x)
            assert f"Layer {fitting + 1} does not fit" in text(page)
    assert [row[0] for row in rows[:fitting]] == wanted
    if fitting == len(layers):
        assert rows == expected(channels, size, layers)
        found = re.search(r"layers: ([\d,]+) parameters, ([\d,]+) MACs", text(page)).groups()
        sums = [sum(r[k] for r in measure(channels, size, layers)) for k in ("parameters", "macs")]
        assert [int(n.replace(",", "")) for n in found] == sums
    if not fitting:
        return
    chosen = min(at, fitting - 1)
    lit = page.locator(".view svg path").first.get_attribute("d").split("z")[1:-1]
    seen = torch.zeros(size, size, dtype=torch.bool)
    for box in lit:
        left, top, width, height = map(
            int, re.fullmatch(r"M(\d+) (\d+)h(\d+)v(\d+)h-\d+", box).groups()
        )
        seen[top : top + height, left : left + width] = True
    reach = []
    for unit in state["unit"]:
        line = torch.zeros(1, 1, size, dtype=torch.float64, requires_grad=True)
        y = line
        for kernel, stride, padding, _, dilation, *_ in layers[: chosen + 1]:
            y = F.conv1d(y, y.new_ones(1, 1, kernel), None, stride, padding, dilation)
        y[0, 0, unit].backward()
        reach.append(line.grad[0, 0] != 0)
    assert seen.equal(reach[0][:, None] & reach[1])


@pytest.mark.parametrize("name", STACKS)
def test_each_stack_is_shown_with_its_totals(show, name):
    page = show(LayerStack())
    page.get_by_role("combobox", name="layers").select_option(name)
    assert columns(page) == expected(*STACKS[name])
    rows = measure(*STACKS[name])
    totals = [sum(row[key] for row in rows) for key in ("parameters", "macs")]
    assert "{:,} parameters, {:,} MACs for one image".format(*totals) in text(page)


def test_every_number_can_be_edited_by_keyboard(show):
    page = show(LayerStack({"one": (4, 20, [conv(8, 3), conv(6, 3)])}))
    layer = page.get_by_role("spinbutton", name="layer")
    assert layer.input_value() == "2"
    layer.press("ArrowDown")
    numbers = {"kernel": 5, "stride": 2, "padding": 3, "dilation": 2, "groups": 2, "channels": 4}
    for name, value in numbers.items():
        page.get_by_role("spinbutton", name=name, exact=True).fill(str(value))
    page.get_by_role("spinbutton", name="bias").press("ArrowDown")
    page.get_by_role("spinbutton", name="input size").fill("31")
    page.get_by_role("spinbutton", name="input channels").fill("8")
    wanted = [conv(4, 5, 2, 3, 2, 2, bias=False), conv(6, 3)]
    assert columns(page) == expected(8, 31, wanted)
    row = measure(8, 31, wanted)[0]
    assert f"= {row['parameters']:,}, MACs" in text(page)
    assert f"= {row['macs']:,}." in text(page)
    assert f"= {row['size']}, field 1 + 2·(5 - 1)·1 = {row['field']}" in text(page)


def test_layers_are_added_removed_and_turned_into_pools(show):
    page = show(LayerStack({"one": (3, 32, [conv(8, 3)])}))
    page.get_by_role("button", name="Add a copy").click()
    page.get_by_role("combobox", name="kind").select_option("pool")
    page.get_by_role("spinbutton", name="kernel").fill("2")
    page.get_by_role("spinbutton", name="stride").fill("2")
    assert columns(page) == expected(3, 32, [conv(8, 3), pool(2, 2)])
    assert page.get_by_role("spinbutton", name="groups").is_disabled()
    page.get_by_role("button", name="Add a copy").focus()
    page.keyboard.press("Enter")
    page.get_by_role("combobox", name="kind").select_option("conv")
    assert columns(page) == expected(3, 32, [conv(8, 3), pool(2, 2), conv(8, 2, 2)])
    page.locator(".table tbody tr").first.click()
    settle(page)
    assert page.get_by_role("spinbutton", name="layer").input_value() == "1"
    page.get_by_role("button", name="Remove").click()
    assert columns(page) == expected(3, 32, [pool(2, 2), conv(8, 2, 2)])
    for _ in range(3):
        page.get_by_role("button", name="Remove").click()
        settle(page)
    assert len(table(page)) == 1


def test_what_does_not_fit_is_said_and_the_rest_goes_on(show):
    page = show(LayerStack())
    page.get_by_role("spinbutton", name="input size").fill("20")
    settle(page)
    assert [row[1] for row in table(page)] == ["6×16×16", "6×8×8", "16×4×4", "16×2×2", "✕"]
    assert "Layer 5 does not fit: its window spans 5 pixels, its padded input only 2." in text(page)
    page.get_by_role("spinbutton", name="padding").fill("3")
    assert "does not fit" not in text(page)
    page.get_by_role("spinbutton", name="groups").fill("5")
    assert "Layer 3 does not fit: 5 groups do not divide both 6 input and 16 output" in text(page)
    page.get_by_role("spinbutton", name="layer").fill("1")
    page.get_by_role("spinbutton", name="kernel").fill("25")
    settle(page)
    assert text(page).startswith("Layer 1 does not fit")
    assert not page.locator("svg").is_visible()
    page.get_by_role("combobox", name="layers").select_option("VGG-16")
    assert len(table(page)) == 18
    assert page.locator("svg").is_visible()


def told(page):
    settle(page)
    return page.locator(".photo p").inner_text()


def test_pointer_and_keys_choose_the_unit_whose_field_is_drawn(show):
    page = show(LayerStack())
    assert told(page) == "Layer 3, unit (5, 5) of 10 × 10: its field is 14 × 14 pixels."
    view = page.locator(".view")
    view.focus()
    for key in ("ArrowUp", "ArrowLeft", "ArrowLeft", "Shift+ArrowDown"):
        page.keyboard.press(key)
    assert "unit (9, 3)" in told(page)  # 5 - 1 + 10 stops at 9
    box = view.bounding_box()
    # Unit (i, j) of layer 3 has its field's middle at 2 i + 6.5, 2 j + 6.5, of 32 pixels.
    unit = box["width"] / 32
    page.mouse.move(box["x"] + unit * (2 * 7 + 7), box["y"] + unit * (2 * 2 + 7))
    assert "unit (2, 7)" in told(page)
    frame = page.locator("svg path").nth(3).get_attribute("d")
    assert frame == "M14 4h14v14h-14z"
    page.mouse.move(box["x"] + 1, box["y"] + 1)
    assert "unit (0, 0)" in told(page)


def test_a_field_may_hang_over_the_border_or_have_gaps(show):
    page = show(LayerStack())
    page.get_by_role("combobox", name="layers").select_option("dilated: always 2")
    page.locator(".view").focus()
    assert told(page).endswith("13 × 13 pixels; it misses those left dark.")
    lit = page.locator("svg path").first.get_attribute("d")
    assert lit.count("M") == 1 + 7 * 7  # every second pixel, of 13 in either direction
    for _ in range(4):
        page.keyboard.press("Shift+ArrowUp")
    assert "13 × 13 pixels, 7 × 13 of them on the photo" in told(page)
