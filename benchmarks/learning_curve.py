"""What labels are worth: accuracy against images a class, with a pretrained backbone and without.

Pretrained: MobileNetV2's ImageNet features of the 96-pixel images, frozen, and a logistic
regression. From scratch: a small CNN (98,712 parameters; a backbone of millions would learn less
from so few images), with mirroring as augmentation and the same number of steps at every point of
the curve. Both get the same images; each picks its one setting (penalty, learning rate) on the
validation images, by the mean over the seeds; then the test images are opened. A seed draws images,
weights and batches.

Run it with `python benchmarks/learning_curve.py`: about four minutes on one free core. It writes
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

SEEDS = range(3)
COUNTS = (3, 6, 12, 24, 48)  # training images a class
STRENGTHS = (0.0001, 0.001, 0.01, 0.1)  # C of the logistic regression
RATES = (0.003, 0.01)
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


def main() -> None:
    torch.set_num_threads(1)
    backbone, weights = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    normal = v2.Normalize(weights.transforms().mean, weights.transforms().std)
    transform = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), normal])
    runs = {"pretrained": {}, "scratch": {}}  # method -> images -> setting -> [seed][split]
    for seed in SEEDS:
        root = make_solids({"train": 48, "validation": 12, "test": 40}, seed=seed)
        splits = load_splits(root, transform, transform)
        loaders = [make_loader(s, 48) for s in (splits.train, splits.validation, splits.test)]
        features = [extract_features(backbone, loader) for loader in loaders]
        pixels = [[torch.cat(part) for part in zip(*loader, strict=True)] for loader in loaders]
        pixels = [(x.to(memory_format=torch.channels_last), y) for x, y in pixels]
        labels = pixels[0][1]
        for n in COUNTS:
            rows = torch.cat([(labels == c).nonzero()[:n, 0] for c in range(len(CLASSES))])
            for method, settings in (("pretrained", STRENGTHS), ("scratch", RATES)):
                train, *others = features if method == "pretrained" else pixels
                train = [part[rows] for part in train]
                for setting in settings:
                    if method == "pretrained":
                        scores = probe(train, setting, *others)
                    else:
                        scores = scratch(train, setting, seed, *others)
                    cell = runs[method].setdefault(str(n), {}).setdefault(str(setting), [])
                    cell.append([round(score, 4) for score in scores])
                    print(seed, n, method, setting, cell[-1], flush=True)
    chosen, test = {}, {}
    for method, by_count in runs.items():
        for n, by_setting in by_count.items():
            best = max(by_setting, key=lambda s: sum(row[1] for row in by_setting[s]))
            chosen.setdefault(method, {})[n] = float(best)
            test.setdefault(method, {})[n] = [row[2] for row in by_setting[best]]
    save_results(
        "learning_curve",
        {
            "seeds": list(SEEDS),
            "test_images": 40 * len(CLASSES),
            "chosen_on_validation": chosen,
            "test_accuracy": test,
            "all_runs_train_validation_test": runs,
            "torch": torch.__version__.split("+")[0],
        },
    )


if __name__ == "__main__":
    main()
