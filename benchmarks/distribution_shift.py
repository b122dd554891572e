"""How far a classifier falls on images that differ from its training images, and how sure it stays.

MobileNetV2, pretrained on ImageNet, learns the rendered solids before photos. Four ways: a linear
head on frozen features and full fine-tuning, each without and with random noise and blur among its
augmentations. Then the test images are changed: the same solids before a plain or a chequered
background, Gaussian noise, Gaussian blur. A temperature is fitted on the unchanged validation
images.

The control: with the weights left as they are, BatchNorm's running statistics are estimated again
on the validation images, changed in the same way and without their labels (Schneider et al. 2020,
Nado et al. 2020). They are not the images that are scored.

The learning rate of both fine-tunings is the one with the least mean validation loss on images of
seeds 0 and 1; the heads' strength is chosen on validation images. The test images are those of
seeds 10, 11 and 12, which nothing else has touched.

Run it with `python benchmarks/distribution_shift.py`: about fifteen minutes on one core. It writes
results/distribution_shift.json; book/shift.ipynb plots it.
"""

import copy

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

SEEDS, TUNING_SEEDS = (10, 11, 12), (0, 1)
COUNTS = {"train": 40, "validation": 20, "test": 40}
RATES = (0.0005, 0.001, 0.002, 0.004)
EPOCHS, BATCH, DECAY = 12, 16, 1e-4
STRENGTHS = (0.00001, 0.0001, 0.001, 0.01, 0.1)  # C of the logistic regression
COPIES = 6  # augmented views of each training image for the disturbed linear head
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


def fine_tune(train: Set, seed: int, rate: float, disturbed: bool = False) -> nn.Module:
    """Fine-tune all of MobileNetV2: AdamW, one cycle."""
    torch.manual_seed(seed)
    model, _ = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    replace_head(model, len(CLASSES)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(parameter_groups(model, rate, weight_decay=DECAY), rate)
    steps = EPOCHS * (len(train[1]) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
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


def probe(train: Set, validation: Set, disturbed: bool = False) -> tuple[nn.Module, float]:
    """Return MobileNetV2 with a linear head on frozen features, and the C that was best."""
    model, _ = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    images, y = train
    if disturbed:
        torch.manual_seed(0)
        views = [
            torch.cat([disturb(augment(part)) for part in images.split(BATCH)])
            for _ in range(COPIES)
        ]
        images, y = torch.cat([images, *views]), y.repeat(COPIES + 1)
    x = features(model, images)
    center, scale = x.mean(0), x.std(0) + 1e-6
    # The loss is a sum over images, so C shrinks as their number grows.
    layers = {c: fit_head((x, y), c * len(train[1]) / len(y), center, scale) for c in STRENGTHS}
    z = features(model, validation[0])
    replace_head(model, len(CLASSES))
    best = max(layers, key=lambda c: accuracy(layers[c](z), validation[1]))
    head(model).load_state_dict(layers[best].state_dict())
    return model, best


@torch.no_grad()
def logits_of(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return the logits (N, num_classes) of images in [0, 1]."""
    return torch.cat([model(prepare(x)) for x in images.split(64)]).double()


@torch.no_grad()
def adapt_statistics(model: nn.Module, images: torch.Tensor) -> nn.Module:
    """Return a copy whose BatchNorm statistics are those of these images; no label is used."""
    adapted = copy.deepcopy(model)
    for module in adapted.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the plain mean over all batches
            module.train()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    for rows in order.split(80):
        adapted(prepare(images[rows]))
    return adapted.eval()


def tune() -> dict[str, dict[str, float]]:
    """Return the mean validation loss of both fine-tunings for every rate."""
    losses = {}
    for seed in TUNING_SEEDS:
        train, (images, labels), _ = load_sets(seed)
        for name, disturbed in (("fine-tuned", False), ("fine-tuned, disturbed", True)):
            for rate in RATES:
                logits = logits_of(fine_tune(train, seed, rate, disturbed), images)
                loss = F.cross_entropy(logits, labels).item()
                losses.setdefault(name, {}).setdefault(str(rate), []).append(loss)
                print(seed, name, rate, round(loss, 3), round(accuracy(logits, labels), 3))
    return {
        name: {rate: round(sum(found) / len(found), 4) for rate, found in by_rate.items()}
        for name, by_rate in losses.items()
    }


def changes(seed: int, split: int) -> dict[str, torch.Tensor]:
    """Return the images of a seed's split (1 validation, 2 test), changed in every way."""
    plain = load_sets(seed)[split][0]
    result = {"unchanged": plain}
    for background in ("plain", "checker"):
        result[f"{background} background"] = load_sets(seed, background)[split][0]
    chance = torch.Generator().manual_seed(10 * seed + split)
    noise = torch.randn(plain.shape, generator=chance)
    result |= {f"noise {s}": (plain + s * noise).clamp(0, 1) for s in NOISE}
    result |= {f"blur {s} px": VF.gaussian_blur(plain, 6 * s + 1, float(s)) for s in BLUR}
    return result


def floor(probabilities: torch.Tensor, draws: int = 200) -> float:
    """Return the mean calibration error of answers that are right just as often as stated."""
    sure, chance = probabilities.amax(1), torch.Generator().manual_seed(0)
    two = torch.stack([sure, torch.zeros_like(sure)], 1)  # right (0) or wrong (1)
    right = (torch.rand(draws, len(sure), generator=chance, dtype=torch.float64) < sure).long()
    return sum(expected_calibration_error(two, 1 - r) for r in right) / draws


def score(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, temperature: float
) -> dict[str, float]:
    """Return accuracy, mean confidence and calibration error without and with the temperature."""
    logits = logits_of(model, images)
    p, cooled = logits.softmax(1), (logits / temperature).softmax(1)
    return {
        "accuracy": accuracy(logits, labels),
        "confidence": p.amax(1).mean().item(),
        "ece": expected_calibration_error(p, labels),
        "ece_floor": floor(p),
        "confidence_scaled": cooled.amax(1).mean().item(),
        "ece_scaled": expected_calibration_error(cooled, labels),
    }


def main() -> None:
    torch.set_num_threads(1)
    losses = tune()
    rates = {name: float(min(found, key=found.get)) for name, found in losses.items()}
    print(losses, rates, flush=True)
    scores, temperatures, strengths = {}, {}, {}
    for seed in SEEDS:
        train, validation, (_, labels) = load_sets(seed)
        unlabelled, changed = changes(seed, 1), changes(seed, 2)
        for name in ("linear head", "linear head, disturbed", *rates):
            disturbed = name.endswith("disturbed")
            if name in rates:
                model = fine_tune(train, seed, rates[name], disturbed)
            else:
                model, strength = probe(train, validation, disturbed)
                strengths.setdefault(name, []).append(strength)
            temperature = fit_temperature(logits_of(model, validation[0]), validation[1])
            temperatures.setdefault(name, []).append(round(temperature, 3))
            for change, x in changed.items():
                found = score(model, x, labels, temperature)
                adapted = adapt_statistics(model, unlabelled[change])
                found["accuracy_adapted"] = accuracy(logits_of(adapted, x), labels)
                cell = scores.setdefault(name, {}).setdefault(change, {})
                for key, value in found.items():
                    cell.setdefault(key, []).append(round(value, 4))
                print(seed, name, change, {k: round(v, 3) for k, v in found.items()}, flush=True)
    save_results(
        "distribution_shift",
        {
            "seeds": list(SEEDS),
            "images_per_class": COUNTS,
            "validation_loss": losses,
            "rates": rates,
            "strengths": strengths,
            "temperature": temperatures,
            "scores": scores,
            "torch": torch.__version__.split("+")[0],
        },
    )


if __name__ == "__main__":
    main()
