"""Train few parameters or all: heads, norms, biases, LoRA and everything, on two small tasks.

Task 1, a small vision transformer (torchvision's, 11,002 parameters): pretrained on 1,000 of
scikit-learn's digits, then adapted to 100 others of which only the outline is left. In float64, so
that the figures are the same on every machine. Task 2: MobileNetV2, pretrained on ImageNet, adapted
to the rendered solids, 64 pixels, 24 images of each of eight classes.

In each task every method gets the same images, steps, batches, optimiser and schedule, and the same
grid of learning rates; the rate is the one with the least mean validation loss over seeds 0 and 1.
Then the test images are opened. A seed draws the images, the head's weights and the batches; the
pretrained weights are the same for all. Those of task 1 are stored too, as base64 of float16.

(A first run, whose test scores were seen, had shorter grids; methods chose their ends, so we made
them longer.) Run it with `python benchmarks/few_parameters.py`: about six minutes on one core. It
writes results/few_parameters.json; book/trends.ipynb shows it and runs one slice again.
"""

import base64

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torchvision.models import VisionTransformer

from tutorial_utils.evaluation import accuracy
from tutorial_utils.folders import load_splits, make_loader
from tutorial_utils.models import count_parameters, head, load_pretrained, replace_head, train_mode
from tutorial_utils.results import save_results
from tutorial_utils.solids import CLASSES, make_solids

SEEDS, TUNING_SEEDS = (0, 1, 2, 3, 4), (0, 1)
RATES = {
    "digits": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
    "solids": (0.0001, 0.0003, 0.001, 0.003, 0.01),
}
PRETRAINING_STEPS, PRETRAINING_RATE, STEPS, BATCH = 1500, 0.005, 150, 50


class LoRA(nn.Module):
    """A learned change of rank r of a weight matrix W (out, in): W + B A, B zero at first."""

    def __init__(self, weight: torch.Tensor, rank: int):
        super().__init__()
        self.A = nn.Parameter(torch.randn(rank, weight.shape[1]) / weight.shape[1] ** 0.5)
        self.B = nn.Parameter(torch.zeros(weight.shape[0], rank))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the changed matrix."""
        return weight + self.B @ self.A


def add_lora(model: nn.Module, rank: int = 2) -> None:
    """Put a LoRA on the matrix that makes the queries, keys and values of each attention."""
    for module in model.modules():
        if isinstance(module, nn.MultiheadAttention):
            lora = LoRA(module.in_proj_weight, rank)
            parametrize.register_parametrization(module, "in_proj_weight", lora)


def choose(model: nn.Module, method: str) -> nn.Module:
    """Freeze all that a method does not train; the new head is always trained."""
    model.requires_grad_(method in ("all", "scratch"))
    if method == "LoRA":
        add_lora(model)
    for module in model.modules():
        if method == "norms" and isinstance(module, nn.LayerNorm | nn.BatchNorm2d):
            module.requires_grad_(True)
    for name, parameter in model.named_parameters():
        if method == "biases" and name.endswith("bias"):
            parameter.requires_grad_(True)
    head(model).requires_grad_(True)
    return model


def fit(model: nn.Module, draw, steps: int, rate: float) -> nn.Module:
    """Train what is not frozen: AdamW, one cycle, on the batches that draw() returns."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    train_mode(model)
    for _ in range(steps):
        images, labels = draw()
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def batches(images: torch.Tensor, labels: torch.Tensor, size: int, change):
    """Return a function that draws the next batch, changed at random, epoch after epoch."""
    order = torch.empty(0, dtype=torch.long)

    def draw():
        nonlocal order
        while len(order) < size:
            order = torch.cat([order, torch.randperm(len(labels))])
        rows, order = order[:size], order[size:]
        return change(images[rows]), labels[rows]

    return draw


# --- Task 1: a small ViT on digits. ---


def shift(images: torch.Tensor) -> torch.Tensor:
    """Move a batch by at most one pixel each way; the images have a ring of zeros."""
    return images.roll(tuple(torch.randint(-1, 2, (2,)).tolist()), (2, 3))


def outline(images: torch.Tensor) -> torch.Tensor:
    """Leave a ring around each stroke, one pixel wide, and nothing of the stroke itself."""
    return F.max_pool2d(images, 3, stride=1, padding=1) - images


def digit_sets(seed: int) -> dict:
    """Return images (N, 3, 10, 10) and labels: the source's set, and the target's three sets."""
    digits = load_digits()
    images = F.pad(torch.tensor(digits.images)[:, None] / 16, (1, 1, 1, 1)).repeat(1, 3, 1, 1)
    labels = torch.tensor(digits.target)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    source, rest = order[:1000], order[1000:]
    rest = rest[torch.randperm(len(rest), generator=torch.Generator().manual_seed(seed))]
    sets = {"source": (images[source], labels[source])}
    rows = dict(zip(("train", "validation", "test"), rest.split((100, 150, 547)), strict=True))
    return sets | {name: (outline(images[r]), labels[r]) for name, r in rows.items()}


def small_vit() -> nn.Module:
    """Return torchvision's ViT with 25 patches of 2x2 pixels, width 24, two blocks, 10 classes."""
    sizes = {"image_size": 10, "patch_size": 2, "num_layers": 2, "num_heads": 3}
    return VisionTransformer(**sizes, hidden_dim=24, mlp_dim=48, num_classes=10)


def pretrain(source) -> str:
    """Return the weights of a ViT trained on the source, as base64 of float16."""
    torch.manual_seed(0)
    draw = batches(*source, BATCH, shift)
    model = fit(small_vit(), draw, PRETRAINING_STEPS, PRETRAINING_RATE)
    vector = nn.utils.parameters_to_vector(model.parameters()).detach().numpy()
    return base64.b64encode(vector.astype("<f2").tobytes()).decode()


def pretrained_vit(weights: str) -> nn.Module:
    """Return the ViT with the weights that pretrain() returned."""
    model, vector = small_vit(), np.frombuffer(base64.b64decode(weights), "<f2")
    nn.utils.vector_to_parameters(torch.tensor(vector).double(), model.parameters())
    return model


def adapt(method: str, rate: float, seed: int, train, weights: str) -> nn.Module:
    """Adapt the ViT to the target by a method."""
    torch.manual_seed(seed)
    model = small_vit() if method == "scratch" else replace_head(pretrained_vit(weights), 10)
    return fit(choose(model, method), batches(*train, BATCH, shift), STEPS, rate)


def digits_task() -> dict:
    """Return the results of task 1."""
    torch.set_default_dtype(torch.float64)
    sets = {seed: digit_sets(seed) for seed in SEEDS}
    weights = pretrain(sets[0]["source"])

    def run(method, rate, seed):
        return adapt(method, rate, seed, sets[seed]["train"], weights)

    methods = ("scratch", "head", "norms", "biases", "LoRA", "all")
    return {"pretrained": weights, "methods": compare(methods, run, sets, RATES["digits"])}


# --- Task 2: MobileNetV2 on solids. ---


def solid_sets(seed: int) -> dict:
    """Return normalised images (N, 3, 64, 64) and labels of the three sets."""
    root = make_solids({"train": 24, "validation": 12, "test": 40}, size=64, seed=seed)
    _, weights = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    transform = weights.transforms(resize_size=64, crop_size=64)
    splits = load_splits(root, transform, transform)
    sets = {}
    for name in ("train", "validation", "test"):
        parts = zip(*make_loader(getattr(splits, name), 64), strict=True)
        x, y = (torch.cat(part) for part in parts)
        sets[name] = (x.to(memory_format=torch.channels_last), y)
    return sets


def flip(images: torch.Tensor) -> torch.Tensor:
    """Mirror each image with probability 1/2; permute the colours of the batch."""
    mirror = torch.rand(len(images), 1, 1, 1) < 0.5
    return torch.where(mirror, images.flip(3), images)[:, torch.randperm(3)]


def tune_mobilenet(method: str, rate: float, seed: int, train) -> nn.Module:
    """Adapt MobileNetV2 to the solids by a method."""
    torch.manual_seed(seed)
    model = replace_head(load_pretrained("mobilenet_v2", "IMAGENET1K_V1")[0], len(CLASSES))
    choose(model, method).to(memory_format=torch.channels_last)
    return fit(model, batches(*train, 32, flip), 90, rate)


def solids_task() -> dict:
    """Return the results of task 2."""
    torch.set_default_dtype(torch.float32)
    sets = {seed: solid_sets(seed) for seed in SEEDS[:3]}

    def run(method, rate, seed):
        return tune_mobilenet(method, rate, seed, sets[seed]["train"])

    return {"methods": compare(("head", "norms", "all"), run, sets, RATES["solids"])}


# --- Both. ---


@torch.no_grad()
def compare(methods, run, sets: dict, rates) -> dict:
    """Choose each method's rate on validation images, then test it with every seed."""
    results = {}
    for method in methods:
        models, losses = {}, {}
        for rate in rates:
            found = []
            for seed in TUNING_SEEDS:
                with torch.enable_grad():
                    models[rate, seed] = run(method, rate, seed)
                x, y = sets[seed]["validation"]
                found.append(F.cross_entropy(models[rate, seed](x), y).item())
            losses[rate] = sum(found) / len(found)
        rate, scores = min(losses, key=losses.get), []
        for seed in sets:
            with torch.enable_grad():
                model = models.get((rate, seed)) or run(method, rate, seed)
            x, y = sets[seed]["test"]
            scores.append(round(accuracy(torch.cat([model(part) for part in x.split(64)]), y), 4))
        results[method] = {
            "trained": count_parameters(model, trainable_only=True),
            "rate": rate,
            "validation_loss": {str(k): round(v, 4) for k, v in losses.items()},
            "test": scores,
        }
        print(method, results[method], flush=True)
    return results


def main() -> None:
    torch.set_num_threads(1)
    results = {"digits": digits_task(), "solids": solids_task()}
    results["torch"] = torch.__version__.split("+")[0]
    save_results("few_parameters", results)


if __name__ == "__main__":
    main()
