"""What labels are worth: accuracy against images a class, with a pretrained backbone and without.

Pretrained: MobileNetV2's ImageNet features of the 96-pixel images, frozen, and a logistic
regression. From scratch: a small CNN (98,712 parameters; a backbone of millions would learn less
from so few images), with mirroring as augmentation and the same number of steps at every point of
the curve. Both get the same images. Each has one setting (penalty, learning rate), which is chosen
at every point of the curve on the validation images of three seeds; no test image is touched. Then
five other seeds, with images of their own, are trained with that setting and tested once. A seed
draws images, weights and batches, so the two methods at one seed are a pair.

Run it with `python benchmarks/learning_curve.py`: about twenty minutes on one free core. It writes
results/learning_curve.json; book/background.ipynb plots it and computes one curve again.
"""

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torchvision.transforms import v2

from tutorial_utils.evaluation import accuracy
from tutorial_utils.folders import load_splits, make_loader
from tutorial_utils.models import load_pretrained
from tutorial_utils.results import save_results
from tutorial_utils.solids import CLASSES, make_solids
from tutorial_utils.training import extract_features

TUNING_SEEDS = (0, 1, 2)  # their validation images choose the settings
SEEDS = (10, 11, 12, 13, 14)  # their test images are looked at once
COUNTS = (3, 6, 12, 24, 48)  # training images a class
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # C of the logistic regression
RATES = (3e-4, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
STEPS, BATCH = 250, 32


def small_cnn() -> nn.Module:
    """Return four 3x3 convolutions with BatchNorm and halvings, global average, a linear layer."""
    layers, channels = [], 3
    for width in (16, 32, 64, 128):
        stride = 2 if channels == 3 else 1
        layers += [nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, len(CLASSES))
    )


def scratch(train, rate: float, seed: int, *others) -> list[float]:
    """Train a small CNN and return its accuracy on the training set and on the other sets."""
    torch.manual_seed(seed)
    model = small_cnn().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=STEPS)
    images, labels = train
    order = torch.empty(0, dtype=torch.long)
    for _ in range(STEPS):
        while len(order) < BATCH:
            order = torch.cat([order, torch.randperm(len(labels))])
        rows, order = order[:BATCH], order[BATCH:]
        flip = torch.rand(BATCH, 1, 1, 1) < 0.5
        batch = torch.where(flip, images[rows].flip(3), images[rows])
        loss = nn.functional.cross_entropy(model(batch), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        return [accuracy(model(x), y) for x, y in (train, *others)]


def probe(train, strength: float, *others) -> list[float]:
    """Fit a logistic regression to features and return its accuracy on train and other sets."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=5000))
    classifier.fit(train[0].double().numpy(), train[1].numpy())
    return [classifier.score(x.double().numpy(), y.numpy()) for x, y in (train, *others)]


def load_seed(seed: int, backbone, transform, last: str) -> dict[str, list]:
    """Render the images of a seed; return train and ``last`` as features and as pixels."""
    root = make_solids({"train": 48, "validation": 12, "test": 40}, seed=seed)
    splits = load_splits(root, transform, transform)
    loaders = [make_loader(split, 48) for split in (splits.train, getattr(splits, last))]
    pixels = [[torch.cat(part) for part in zip(*loader, strict=True)] for loader in loaders]
    return {
        "pretrained": [extract_features(backbone, loader) for loader in loaders],
        "scratch": [(x.to(memory_format=torch.channels_last), y) for x, y in pixels],
    }


def score(method: str, setting: float, sets: dict, count: int, seed: int) -> list[float]:
    """Train on ``count`` images a class; return the accuracy on them and on the other set."""
    (images, labels), other = sets[method]
    rows = torch.cat([(labels == c).nonzero()[:count, 0] for c in range(len(CLASSES))])
    train = images[rows], labels[rows]
    if method == "pretrained":
        scores = probe(train, setting, other)
    else:
        scores = scratch(train, setting, seed, other)
    return [round(value, 4) for value in scores]


def main() -> None:
    torch.set_num_threads(1)
    backbone, weights = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    normal = v2.Normalize(weights.transforms().mean, weights.transforms().std)
    transform = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), normal])
    grids = {"pretrained": STRENGTHS, "scratch": RATES}
    tuning = {"pretrained": {}, "scratch": {}}  # method -> images -> setting -> one a seed
    for seed in TUNING_SEEDS:
        sets = load_seed(seed, backbone, transform, "validation")
        for method, grid in grids.items():
            for n in COUNTS:
                for setting in grid:
                    _, right = score(method, setting, sets, n, seed)
                    cells = tuning[method].setdefault(str(n), {}).setdefault(str(setting), [])
                    cells.append(right)
                print("validation", seed, method, n, tuning[method][str(n)], flush=True)
    chosen = {
        method: {n: float(max(cells, key=lambda s: sum(cells[s]))) for n, cells in counts.items()}
        for method, counts in tuning.items()
    }
    print(chosen, flush=True)
    train, test = {"pretrained": {}, "scratch": {}}, {"pretrained": {}, "scratch": {}}
    for seed in SEEDS:
        sets = load_seed(seed, backbone, transform, "test")
        for method in grids:
            for n in COUNTS:
                fitted, right = score(method, chosen[method][str(n)], sets, n, seed)
                train[method].setdefault(str(n), []).append(fitted)
                test[method].setdefault(str(n), []).append(right)
                print("test", seed, method, n, fitted, right, flush=True)
    save_results(
        "learning_curve",
        {
            "tuning_seeds": list(TUNING_SEEDS),
            "seeds": list(SEEDS),
            "test_images": 40 * len(CLASSES),
            "chosen_on_validation": chosen,
            "validation_accuracy": tuning,
            "training_accuracy": train,
            "test_accuracy": test,
            "torch": torch.__version__.split("+")[0],
        },
    )


if __name__ == "__main__":
    main()
