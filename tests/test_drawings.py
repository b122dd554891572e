"""Drawings: valid, described, the same each time, and legible on a phone and in the dark."""

import re
from xml.etree import ElementTree

import pytest
import torch
from torch import nn
from torchvision import models

from tutorial_utils.interactive import drawing, drawings, drawings_networks

FUNCTIONS = [getattr(drawings, name) for name in drawings.__all__]
SVG = "{http://www.w3.org/2000/svg}"
every_drawing = pytest.mark.parametrize("make", FUNCTIONS, ids=lambda make: make.__name__)


@every_drawing
def test_it_is_valid_small_described_and_the_same_each_time(make):
    shown = make()._repr_html_()
    assert shown == make()._repr_html_()
    assert len(shown) < 40_000
    marks = re.sub(r">[^<]*<", "><", shown.split("</style>")[1])  # without the texts
    assert not re.search(r"\d\.\d{3,}|nan|\b-0\b", marks)
    root = ElementTree.fromstring(make().svg())
    assert root.attrib["role"] == "img"
    assert len(root.find(f"{SVG}title").text) > 8
    assert len(root.find(f"{SVG}desc").text.split()) >= 15
    assert make.__doc__
    assert repr(make()).startswith("Drawing: ")


@every_drawing
def test_type_is_large_enough_and_everything_lies_inside(make):
    root = ElementTree.fromstring(make().svg())
    width, height = (float(v) for v in root.attrib["viewBox"].split()[2:])
    assert width == drawing.WIDTH
    for text in root.iter(f"{SVG}text"):
        size = float(text.attrib["font-size"])
        assert size >= drawing.SMALLEST_TYPE
        if "transform" in text.attrib:
            continue
        # DejaVu Sans, among the widest that a page may fall back on, has about 0.62 em a letter.
        wide = 0.6 * size * len(text.text)
        share = {"middle": 0.5, "end": 1.0}.get(text.attrib.get("text-anchor"), 0.0)
        left = float(text.attrib["x"]) - share * wide
        assert left >= -6, text.text
        assert left + wide <= width + 8, text.text
        assert size * 0.6 < float(text.attrib["y"]) < height, text.text
    for rect in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(rect.attrib[k]) for k in ("x", "y", "width", "height"))
        assert -1 <= x <= x + w <= width + 1
        assert -1 <= y <= y + h <= height + 1
    for points in root.iter(f"{SVG}polygon"):
        for pair in points.attrib["points"].split():
            x, y = map(float, pair.split(","))
            assert -1 <= x <= width + 1
            assert -1 <= y <= height + 1


def test_helpers_refuse_small_type_and_a_missing_description():
    with pytest.raises(ValueError, match="8 words"):
        drawing.Drawing("Nothing", "A thing.", 10)
    picture = drawing.Drawing("Test", "One two three four five six seven eight.", 10)
    with pytest.raises(ValueError, match="below 10 pixels"):
        picture.text(0, 0, "small", size=8)
    assert drawing.number(-0.001) == "0"
    assert drawing.number(1 / 3) == "0.33"


def test_on_a_phone_type_has_ten_pixels_and_ink_follows_the_theme(show):
    for theme in ("light", "dark"):
        page = show(drawings.five_regimes(), theme=theme, width=375)
        heights = page.locator("svg text").evaluate_all(
            "t => t.map(e => parseFloat(getComputedStyle(e).fontSize) * "
            "e.ownerSVGElement.clientWidth / 360)"
        )
        assert min(heights) >= 10
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        assert page.get_by_role("img").count() == 1


@pytest.mark.parametrize(
    ("title", "name"),
    {
        "AlexNet": "alexnet",
        "VGG-16": "vgg16",
        "ResNet-50": "resnet50",
        "MobileNetV2": "mobilenet_v2",
    }.items(),
)
def test_networks_are_drawn_as_they_are(title, name):
    with torch.device("meta"):
        model = models.get_model(name, weights=None).eval()
        found = []

        def note(layer, _, output):
            found.append((output.shape[-1] if output.ndim == 4 else 0, output.shape[1]))

        for path, layer in model.named_modules():
            if isinstance(layer, nn.Conv2d | nn.Linear) and "downsample" not in path:
                layer.register_forward_hook(note)
        model(torch.zeros(1, 3, 224, 224))
    drawn = [
        (side, channels)
        for layers, side, channels in drawings_networks.NETWORKS[title][2]
        for _ in range(layers)
    ]
    assert drawn == found
