"""Top five, augmentation and regimes: their arithmetic against torch, torchvision and Python."""

import random

import pytest
import torch
from torchvision.transforms.v2 import functional as T

from tutorial_utils.interactive import Augmentation, FeatureMaps, RegimeExplorer, TopFive
from tutorial_utils.interactive.inside_network import PHOTOS
from tutorial_utils.interactive.top_five import shares
from tutorial_utils.models import load_pretrained
from tutorial_utils.photos import load_photo
from tutorial_utils.results import load_results


def test_the_stored_logits_are_the_networks_at_every_temperature(load_module):
    model, weights = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    prepare, model = weights.transforms(), model.double().eval()
    stored, cases = load_results("top_five")["photos"], []
    for name in PHOTOS:
        with torch.no_grad():
            logits = model(prepare(load_photo(name))[None].double())[0]
        for temperature in (0.25, 0.5, 1, 2, 4):
            p = (logits / temperature).softmax(0).topk(5)
            assert shares(stored[name], temperature)[:5] == pytest.approx(
                p.values.tolist(), abs=2e-3
            )
            names = [weights.meta["categories"][i] for i in p.indices]
            assert [label for label, _ in stored[name]["top"]] == names
            cases.append({"photo": stored[name], "T": temperature})
    found = load_module("top_five.js", "m.shares(c.photo, c.T)", cases)
    for case, p in zip(cases, found, strict=True):
        assert p == pytest.approx(shares(case["photo"], case["T"]), abs=1e-12)


def test_recipes_stay_inside_the_photo_and_grow_with_strength(load_module):
    kinds = ["flip", "crop", "rotation", "colour", "erasing"]
    cases = [{"seed": n, "s": n % 11 / 10, "kinds": kinds if n % 3 else []} for n in range(300)]
    call = "m.recipe(m.random(c.seed), c.kinds, c.s)"
    for case, found in zip(cases, load_module("augmentation.js", call, cases), strict=True):
        x, y, width, height = found["crop"]
        assert min(x, y) >= 0
        assert max(x + width, y + height) <= 1 + 1e-9
        if not case["kinds"] or case["s"] == 0:
            assert (width, height, found["turn"], found["hole"]) == (1, 1, 0, None)
            assert found["colour"] == [1, 1, 1]
        assert width * height >= 1 - 0.92 * case["s"] - 1e-9 or width == 1 or height == 1


def test_recolouring_agrees_with_torchvision(load_module):
    rng, cases = random.Random(0), []
    for _ in range(200):
        pixels = [rng.randint(60, 190) for _ in range(3 * 16)]
        cases.append({"rgb": pixels, "factors": [rng.uniform(0.8, 1.2) for _ in range(3)]})
    rgba = "Array.from({length: 64}, (_, i) => i % 4 > 2 ? 255 : c.rgb[3 * (i >> 2) + (i % 4)])"
    call = f"[...m.recolour(Float64Array.from({rgba}), c.factors)].filter((_, i) => i % 4 < 3)"
    for case, found in zip(cases, load_module("augmentation.js", call, cases), strict=True):
        x = torch.tensor(case["rgb"], dtype=torch.float64).view(4, 4, 3).permute(2, 0, 1) / 255
        brightness, contrast, saturation = case["factors"]
        x = T.adjust_contrast(T.adjust_brightness(x, brightness), contrast)
        x = T.adjust_saturation(x, saturation).permute(1, 2, 0).flatten() * 255
        inside = (x > 0.5) & (x < 254.5)
        # torchvision weighs 0.2989, 0.587, 0.114.
        assert (torch.tensor(found, dtype=torch.float64) - x)[inside].abs().max() < 0.1


@pytest.mark.parametrize(
    "make",
    [
        lambda: TopFive("dog"),
        lambda: TopFive(temperature=9),
        lambda: FeatureMaps(5),
        lambda: Augmentation(("melt",)),
        lambda: Augmentation(strength=2),
        lambda: RegimeExplorer("none"),
        lambda: RegimeExplorer("full", 7),
    ],
)
def test_bad_arguments_give_one_clear_error(make):
    with pytest.raises(ValueError, match=r"choose|no maps|no regime|nothing was"):
        make()
