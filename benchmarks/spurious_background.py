"""A background that goes with the class: what it does to a classifier, and what mends it.

The rendered solids, eight classes: every other one has a chequered background as its "home", the
others a plain one. The share of training images before their home background is varied. Testing is
on the same test solids twice: all before their home background, all before the other one. Linear
heads on frozen features of MobileNetV2 for four shares; full fine-tuning at 50 % and 95 %, the
latter also with its head fitted again on 160 validation images that are balanced. The control for
that mend is a head fitted to the same 160 images on ImageNet's features, which were never
fine-tuned. Three seeds, each with images of its own.

Run it with `python benchmarks/spurious_background.py`: about five minutes on one core. It writes
results/spurious_background.json; book/shift.ipynb plots it.
"""

import torch
from distribution_shift import features as features_of
from distribution_shift import fine_tune, fit_head, load_sets, probe
from torch import nn

from tutorial_utils.evaluation import accuracy
from tutorial_utils.models import head, load_pretrained, replace_head
from tutorial_utils.results import save_results
from tutorial_utils.solids import CLASSES

SEEDS, RATE = (0, 1, 2), 0.002
SHARES, FINE_TUNED_SHARES = (0.5, 0.8, 0.95, 1.0), (0.5, 0.95)
BACKGROUNDS = ("plain", "checker")


def mix(sets: dict, split: int, share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a split's images, this share of each class before its home background, and labels."""
    labels = sets["plain"][split][1]
    rank = torch.cat([torch.arange(int(n)) for n in labels.bincount()])  # they come class by class
    per_class = int(labels.bincount()[0])
    away = rank >= round(share * per_class)
    chequered = (labels % 2 == 1) ^ away
    images = torch.where(
        chequered[:, None, None, None], sets["checker"][split][0], sets["plain"][split][0]
    )
    return images, labels


@torch.no_grad()
def score(model: nn.Module, sets: dict) -> dict[str, float]:
    """Return the accuracy on test images before home and before other backgrounds."""
    result = {}
    for name, share in (("home", 1.0), ("away", 0.0)):
        images, labels = mix(sets, 2, share)
        result[name] = round(accuracy(head(model)(features_of(model, images)), labels), 4)
    return result


@torch.no_grad()
def refit_head(model: nn.Module, sets: dict) -> nn.Module:
    """Fit the head again on balanced validation images."""
    images, labels = mix(sets, 1, 0.5)
    x = features_of(model, images)
    layer = fit_head((x, labels), 0.001, x.mean(0), x.std(0) + 1e-6)
    head(model).load_state_dict(layer.state_dict())
    return model


def main() -> None:
    torch.set_num_threads(1)
    scores = {}

    def note(method, share, model, sets):
        found = score(model, sets)
        for name, value in found.items():
            cell = scores.setdefault(method, {}).setdefault(str(share), {})
            cell.setdefault(name, []).append(value)
        print(seed, method, share, found, flush=True)

    for seed in SEEDS:
        sets = {background: load_sets(seed, background) for background in BACKGROUNDS}
        for share in SHARES:
            note("linear head", share, probe(mix(sets, 0, share), mix(sets, 1, share))[0], sets)
        for share in FINE_TUNED_SHARES:
            model = fine_tune(mix(sets, 0, share), seed, RATE)
            note("fine-tuned", share, model, sets)
        note("fine-tuned, head refitted", share, refit_head(model, sets), sets)
        untouched, _ = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
        control = refit_head(replace_head(untouched, len(CLASSES)), sets)
        note("ImageNet features, head on the same 160", share, control, sets)
    counts = {"seeds": list(SEEDS), "test_images": len(sets["plain"][2][1])}
    save_results("spurious_background", counts | {"accuracy": scores})


if __name__ == "__main__":
    main()
