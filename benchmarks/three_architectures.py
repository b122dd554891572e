"""A CNN, an LSTM and a small vision transformer on scikit-learn's digits: one task, one budget.

All have about 11,000 parameters and get the same images, steps, batches, optimiser, schedule and
grid of learning rates. Two tasks: the digits, and the digits with their pixels shuffled by one
fixed permutation. For each net and each task the rate is chosen by the mean validation loss of
three seeds, then ten other seeds are trained and tested once. On the first task the test images are
also shifted by one pixel. A seed draws the weights and the batches, so runs of one seed are a pair:
they see the same batches. In float64, so that the figures are the same on every machine.

Run it with `python benchmarks/three_architectures.py`: about seven minutes on one free core. It
writes results/three_architectures.json; book/concepts.ipynb plots it and trains one seed again.
"""

import math
import time

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from tutorial_utils.evaluation import accuracy
from tutorial_utils.models import count_parameters
from tutorial_utils.results import save_results

SEEDS, TUNING_SEEDS = tuple(range(10, 20)), (0, 1, 2)
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
EPOCHS, BATCH = 15, 50
SPLITS = (1000, 297, 500)  # train, validation, test
SHIFTS = ((1, 0), (-1, 0), (0, 1), (0, -1))


class CNN(nn.Module):
    """Three 3x3 convolutions, one halving, global average, one linear layer."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 24, 3, padding=1)
        self.conv3 = nn.Conv2d(24, 32, 3, padding=1)
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, 10) of images (N, 1, 10, 10)."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.relu(self.conv3(F.relu(self.conv2(x))))
        return self.head(x.mean((2, 3)))


class RNN(nn.Module):
    """An LSTM that reads the image row by row; its last state feeds the head."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(10, 46, batch_first=True)
        self.head = nn.Linear(46, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, 10) of images (N, 1, 10, 10)."""
        states, _ = self.lstm(x[:, 0])
        return self.head(states[:, -1])


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return scaled dot-product attention of q, k, v, each (..., tokens, width)."""
    return (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1) @ v


class Block(nn.Module):
    """Self-attention among tokens, then a small network on each; both added to their input."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return tokens (N, T, width) from tokens (N, T, width)."""
        parts = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = parts.permute(2, 0, 3, 1, 4)  # each (N, heads, T, width / heads)
        x = x + self.out(attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """A vision transformer: 25 patches of 2x2 pixels as tokens of width 24, two blocks."""

    def __init__(self, positions: bool = True):
        super().__init__()
        self.patch = nn.Conv2d(1, 24, 2, stride=2)
        self.position = nn.Parameter(0.02 * torch.randn(25, 24), requires_grad=positions)
        if not positions:
            self.position.data.zero_()
        self.blocks = nn.Sequential(Block(24, 3), Block(24, 3))
        self.norm, self.head = nn.LayerNorm(24), nn.Linear(24, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, 10) of images (N, 1, 10, 10)."""
        tokens = self.patch(x).flatten(2).mT + self.position
        return self.head(self.norm(self.blocks(tokens)).mean(1))


NETS = {"CNN": CNN, "RNN": RNN, "ViT": ViT, "ViT, no positions": lambda: ViT(positions=False)}


def load_sets() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return images (N, 1, 10, 10), digits with a ring of zeros, and labels of the three splits."""
    digits = load_digits()
    images = F.pad(torch.tensor(digits.images)[:, None] / 16, (1, 1, 1, 1))
    labels = torch.tensor(digits.target)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return [(images[rows], labels[rows]) for rows in order.split(SPLITS)]


def shuffle_pixels(images: torch.Tensor) -> torch.Tensor:
    """Move the pixels of all images by the same permutation."""
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    return images.flatten(1)[:, order].reshape(images.shape)


def train(make, images: torch.Tensor, labels: torch.Tensor, rate: float, seed: int) -> nn.Module:
    """Train a fresh net: Adam, one cycle, EPOCHS passes in batches of BATCH."""
    torch.manual_seed(seed)
    model = make()
    steps = EPOCHS * len(labels) // BATCH
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(labels)).split(BATCH):
            loss = F.cross_entropy(model(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def step_times(images: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Return the best time of a training step in milliseconds, the nets taking turns."""
    models = {name: NETS[name]() for name in ("CNN", "RNN", "ViT")}
    optimizers = {name: torch.optim.Adam(model.parameters()) for name, model in models.items()}
    best = dict.fromkeys(models, math.inf)
    for _ in range(100):
        for name, model in models.items():
            start = time.process_time()
            loss = F.cross_entropy(model(images[:BATCH]), labels[:BATCH])
            optimizers[name].zero_grad()
            loss.backward()
            optimizers[name].step()
            best[name] = min(best[name], 1000 * (time.process_time() - start))
    return best


def choose_rate(make, train_set, validation_set) -> tuple[float, dict[float, float]]:
    """Return the rate with the least mean validation loss over TUNING_SEEDS, and all losses."""
    images, labels = validation_set
    losses = {}
    for rate in RATES:
        values = []
        for seed in TUNING_SEEDS:
            model = train(make, *train_set, rate, seed)
            with torch.no_grad():
                values.append(F.cross_entropy(model(images), labels).item())
        losses[rate] = round(sum(values) / len(values), 4)
    return min(losses, key=losses.get), losses


def main() -> None:
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    digits = load_sets()
    shuffled = [(shuffle_pixels(images), labels) for images, labels in digits]
    results = {"seeds": list(SEEDS), "tuning_seeds": list(TUNING_SEEDS), "test_images": SPLITS[2]}
    results["parameters"] = {name: count_parameters(make(), True) for name, make in NETS.items()}
    results["step_ms"] = {k: round(v, 2) for k, v in step_times(*digits[0]).items()}
    results["torch"] = torch.__version__.split("+")[0]
    results |= {"rates": {}, "validation_loss": {}, "accuracy": {}}
    for task, sets in {"digits": digits, "shuffled pixels": shuffled}.items():
        for name, make in NETS.items():
            if task == "shuffled pixels" and name == "ViT, no positions":
                continue  # asked of the three architectures only
            rate, losses = choose_rate(make, *sets[:2])
            results["rates"].setdefault(task, {})[name] = rate
            results["validation_loss"].setdefault(task, {})[name] = losses
            images, labels = sets[2]
            scores = results["accuracy"].setdefault(name, {})
            for seed in SEEDS:
                model = train(make, *sets[0], rate, seed)
                with torch.no_grad():
                    scores.setdefault(task, []).append(accuracy(model(images), labels))
                    if task == "digits":
                        moved = [accuracy(model(images.roll(s, (2, 3))), labels) for s in SHIFTS]
                        mean = round(sum(moved) / len(SHIFTS), 4)
                        scores.setdefault("shifted by 1 pixel", []).append(mean)
            print(task, name, rate, losses, scores, flush=True)
    save_results("three_architectures", results)


if __name__ == "__main__":
    main()
