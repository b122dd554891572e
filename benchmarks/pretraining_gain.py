"""What ImageNet pretraining gives: linear probes on few rendered images, over five data sets.

Each contender turns an image into numbers; a logistic regression on them is all that is trained.
The random backbone has MobileNetV2's architecture, and BatchNorm statistics measured on the
training images, so that its activations have the size that they should have.

Run `python benchmarks/pretraining_gain.py`; it writes results/pretraining_gain.json (about five
minutes on two cores). book/pretraining.ipynb plots the file and runs one slice again.
"""

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torchvision.models import mobilenet_v2
from torchvision.transforms import v2

from tutorial_utils.folders import load_splits, make_loader
from tutorial_utils.models import load_pretrained
from tutorial_utils.results import save_results
from tutorial_utils.solids import CLASSES, VERSION, make_solids
from tutorial_utils.training import extract_features

SEEDS = range(5)
COUNTS = (3, 6, 12, 24)  # training images a class
STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # C, the inverse of the L2 penalty; the curves use 0.01


def random_backbone(seed: int, loader: torch.utils.data.DataLoader) -> nn.Module:
    """Return an untrained MobileNetV2 whose BatchNorm statistics fit the images."""
    torch.manual_seed(seed)
    model = mobilenet_v2()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain average over the batches
    model.train()
    with torch.no_grad():
        for images, _ in loader:
            model(images)
    return model.eval()


def probe(train, train_labels, test, test_labels, strength: float) -> float:
    """Return the test accuracy of a logistic regression on standardised features."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=5000)).fit(
        train.double().numpy(), train_labels.numpy()
    )
    return classifier.score(test.double().numpy(), test_labels.numpy())


def main() -> None:
    pretrained, weights = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    transforms = weights.transforms()
    plain = v2.Compose(
        [
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(transforms.mean, transforms.std),
        ]
    )
    curves, sweep = {}, {}
    for seed in SEEDS:
        root = make_solids(seed=seed)
        sets = {}
        for size, transform in (("96 px", plain), ("224 px", transforms)):
            splits = load_splits(root, transform, transform)
            loaders = [make_loader(s, 48) for s in (splits.train, splits.test)]
            models = {f"ImageNet weights, {size}": pretrained}
            if size == "96 px":
                models["random weights"] = random_backbone(
                    seed, make_loader(splits.train, 48, shuffle=True)
                )
                raw = [
                    [torch.cat(part) for part in zip(*loader, strict=True)] for loader in loaders
                ]
                sets["pixels"] = [
                    (nn.functional.avg_pool2d(images, 3).flatten(1), labels)
                    for images, labels in raw
                ]
            for name, model in models.items():
                sets[name] = [extract_features(model, loader) for loader in loaders]
        for name, ((train, train_labels), (test, test_labels)) in sets.items():
            rows = {
                n: torch.cat([(train_labels == c).nonzero()[:n, 0] for c in range(len(CLASSES))])
                for n in COUNTS
            }
            for n, row in rows.items():
                curves.setdefault(name, {}).setdefault(str(n), []).append(
                    probe(train[row], train_labels[row], test, test_labels, 0.01)
                )
            for strength in STRENGTHS:
                sweep.setdefault(name, {}).setdefault(str(strength), []).append(
                    probe(train, train_labels, test, test_labels, strength)
                )
            print(seed, name, {n: round(v[-1], 3) for n, v in curves[name].items()}, flush=True)
    save_results(
        "pretraining_gain",
        {
            "seeds": list(SEEDS),
            "solids_version": VERSION,
            "test_images": 40 * len(CLASSES),
            "torch": torch.__version__.split("+")[0],
            "accuracy_by_images_a_class": curves,
            "accuracy_at_24_by_strength": sweep,
        },
    )


if __name__ == "__main__":
    main()
