"""How far a classifier falls on images that differ from its training images, and how sure it stays.

MobileNetV2, pretrained on ImageNet, learns the rendered solids before photos; three seeds, each
with images of its own. Three ways: a linear head on frozen features, full fine-tuning, and full
fine-tuning with random noise and blur among the augmentations. Then the test images are changed:
the same solids before a plain or a chequered background, Gaussian noise, Gaussian blur. A
temperature is fitted on the unchanged validation images. The rate and the number of epochs are
those that benchmarks/solids_regimes.py chose for full fine-tuning; the head's strength is chosen on
validation images.

Run it with `python benchmarks/distribution_shift.py`: about four minutes on one core. It writes
results/distribution_shift.json; book/limits.ipynb plots it and runs the linear head again.
"""

import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as VF

from tutorial_utils.evaluation import accuracy, expected_calibration_error, fit_temperature
from tutorial_utils.folders import load_splits, make_loader
from tutorial_utils.models import head, load_pretrained, parameter_groups, replace_head, train_mode
from tutorial_utils.results import save_results
from tutorial_utils.solids import CLASSES, make_solids

SEEDS = (0, 1, 2)
COUNTS = {"train": 40, "validation": 20, "test": 40}
RATE, EPOCHS, BATCH, DECAY = 0.002, 12, 16, 1e-4
STRENGTHS = (0.0001, 0.001, 0.01, 0.1)  # C of the logistic regression
MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
NOISE, BLUR = (0.05, 0.1, 0.2), (1, 2, 3)  # of the pixels' range; pixels

Set = tuple[torch.Tensor, torch.Tensor]


def load_sets(seed: int, background: str = "photos") -> list[Set]:
    """Return train, validation and test: images (N, 3, 96, 96) in [0, 1] and labels (N,)."""
    root = make_solids(COUNTS, seed=seed, background=background)

    def transform(image):
        return VF.to_dtype(VF.to_image(image), torch.float32, scale=True)

    splits = load_splits(root, transform, transform)
    loaders = [make_loader(s, 64) for s in (splits.train, splits.validation, splits.test)]
    return [tuple(torch.cat(part) for part in zip(*loader, strict=True)) for loader in loaders]


def disturb(images: torch.Tensor) -> torch.Tensor:
    """Blur a random half of the images and add noise to a random half, each by a random amount."""
    result = []
    for image in images:
        if torch.rand(()) < 0.5:
            image = VF.gaussian_blur(image, 13, 0.1 + 1.9 * torch.rand(()).item())
        if torch.rand(()) < 0.5:
            image = image + 0.15 * torch.rand(()) * torch.randn(image.shape)
        result.append(image.clamp(0, 1))
    return torch.stack(result)


def augment(images: torch.Tensor) -> torch.Tensor:
    """Crop, flip, and permute the colours: crop and permutation by batch, flips by image."""
    n, _, size, _ = images.shape
    side = int(size * (0.6 + 0.4 * torch.rand(())) ** 0.5)
    top, left = (int(i) for i in torch.randint(size - side + 1, (2,)))
    images = VF.resized_crop(images, top, left, side, side, [size, size])
    flip = torch.rand(n, 1, 1, 1) < 0.5
    return torch.where(flip, images.flip(3), images)[:, torch.randperm(3)]


def prepare(images: torch.Tensor) -> torch.Tensor:
    """Normalise as the pretrained weights expect, channels last."""
    return ((images - MEAN) / STD).to(memory_format=torch.channels_last)


def fine_tune(train: Set, seed: int, disturbed: bool = False) -> nn.Module:
    """Fine-tune all of MobileNetV2: AdamW, one cycle."""
    torch.manual_seed(seed)
    model, _ = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    replace_head(model, len(CLASSES)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(parameter_groups(model, RATE, weight_decay=DECAY), RATE)
    steps = EPOCHS * (len(train[1]) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    train_mode(model)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(train[1])).split(BATCH):
            images = augment(train[0][rows])
            images = disturb(images) if disturbed else images
            loss = F.cross_entropy(model(prepare(images)), train[1][rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def features(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return what the head sees of images in [0, 1]."""
    return torch.cat([model.features(prepare(x)).mean((2, 3)) for x in images.split(64)])


def fit_head(train: Set, strength: float, center: torch.Tensor, scale: torch.Tensor) -> nn.Linear:
    """Return the logistic regression on scaled features as a linear layer on the features."""
    x = ((train[0] - center) / scale).double().numpy()
    fitted = LogisticRegression(C=strength, max_iter=5000).fit(x, train[1].numpy())
    layer = nn.Linear(train[0].shape[1], len(fitted.classes_)).requires_grad_(False)
    layer.weight.copy_(torch.as_tensor(fitted.coef_) / scale)
    layer.bias.copy_(torch.as_tensor(fitted.intercept_) - layer.weight @ center)
    return layer


def probe(train: Set, validation: Set) -> nn.Module:
    """Return MobileNetV2 with a linear head fitted to frozen features, C chosen on validation."""
    model, _ = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    x, y = features(model, train[0]), train[1]
    center, scale = x.mean(0), x.std(0) + 1e-6
    layers = [fit_head((x, y), c, center, scale) for c in STRENGTHS]
    z = features(model, validation[0])
    replace_head(model, len(CLASSES))
    best = max(layers, key=lambda layer: accuracy(layer(z), validation[1]))
    head(model).load_state_dict(best.state_dict())
    return model


def changes(seed: int, plain: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the test images of a seed, changed in every way."""
    result = {"unchanged": plain}
    for background in ("plain", "checker"):
        result[f"{background} background"] = load_sets(seed, background)[2][0]
    noise = torch.randn(plain.shape, generator=torch.Generator().manual_seed(seed))
    result |= {f"noise {s}": (plain + s * noise).clamp(0, 1) for s in NOISE}
    result |= {f"blur {s} px": VF.gaussian_blur(plain, 6 * s + 1, float(s)) for s in BLUR}
    return result


@torch.no_grad()
def score(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, temperature: float) -> dict:
    """Return accuracy, mean confidence and calibration error without and with the temperature."""
    logits = torch.cat([model(prepare(x)) for x in images.split(64)]).double()
    p, cooled = logits.softmax(1), (logits / temperature).softmax(1)
    return {
        "accuracy": accuracy(logits, labels),
        "confidence": p.amax(1).mean().item(),
        "ece": expected_calibration_error(p, labels),
        "confidence_scaled": cooled.amax(1).mean().item(),
        "ece_scaled": expected_calibration_error(cooled, labels),
    }


def main() -> None:
    torch.set_num_threads(1)
    scores, temperatures = {}, {}
    for seed in SEEDS:
        train, validation, (images, labels) = load_sets(seed)
        changed = changes(seed, images)
        models = {
            "linear head": lambda t=train, v=validation: probe(t, v),
            "fine-tuned": lambda t=train, s=seed: fine_tune(t, s),
            "fine-tuned, disturbed": lambda t=train, s=seed: fine_tune(t, s, True),
        }
        for name, make in models.items():
            model = make()
            with torch.no_grad():
                logits = torch.cat([model(prepare(x)) for x in validation[0].split(64)])
            temperature = fit_temperature(logits, validation[1])
            temperatures.setdefault(name, []).append(round(temperature, 3))
            for change, x in changed.items():
                found = score(model, x, labels, temperature)
                cell = scores.setdefault(name, {}).setdefault(change, {})
                for key, value in found.items():
                    cell.setdefault(key, []).append(round(value, 4))
                print(seed, name, change, {k: round(v, 3) for k, v in found.items()}, flush=True)
    save_results(
        "distribution_shift",
        {
            "seeds": list(SEEDS),
            "images_per_class": COUNTS,
            "temperature": temperatures,
            "scores": scores,
            "torch": torch.__version__.split("+")[0],
        },
    )


if __name__ == "__main__":
    main()
