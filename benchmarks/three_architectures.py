"""A CNN, an LSTM and a small vision transformer on scikit-learn's digits: one task, one budget.

All have about 11,000 parameters and get the same images, steps, batches, optimiser, schedule and
grid of learning rates; the rate is chosen on the digits by the mean validation loss of seeds 0 and
1, then the test images are opened. Two tasks: the digits, and the digits with their pixels shuffled
by one fixed permutation, at the same rate. On the first, the test images are also shifted by one
pixel. The ViT without position embedding takes the ViT's rate. A seed draws the weights and the
batches. In float64, so that the figures are the same on every machine.

Run it with `python benchmarks/three_architectures.py`: about three minutes on one free core. It
writes results/three_architectures.json; book/concepts.ipynb plots it and trains seed 0 again.
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

SEEDS, TUNING_SEEDS = (0, 1, 2, 3, 4), (0, 1)
RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
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
    best = dict.fromkeys(models, math.inf)
    for _ in range(100):
        for name, model in models.items():
            start = time.process_time()
            F.cross_entropy(model(images[:BATCH]), labels[:BATCH]).backward()
            best[name] = min(best[name], 1000 * (time.process_time() - start))
    return best


@torch.no_grad()
def main() -> None:
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    plain = load_sets()
    (x, y), (validation, validation_labels), (test, test_labels) = plain
    results = {"seeds": list(SEEDS), "test_images": SPLITS[2], "rates": {}, "accuracy": {}}
    results["parameters"] = {name: count_parameters(make(), True) for name, make in NETS.items()}
    with torch.enable_grad():
        results["step_ms"] = {k: round(v, 2) for k, v in step_times(x, y).items()}
    results["torch"] = torch.__version__.split("+")[0]
    for name, make in NETS.items():
        models, loss = {}, {}
        for rate in RATES if name != "ViT, no positions" else ():
            for seed in TUNING_SEEDS:
                with torch.enable_grad():
                    models[rate, seed] = train(make, x, y, rate, seed)
                logits = models[rate, seed](validation)
                loss[rate] = loss.get(rate, 0) + F.cross_entropy(logits, validation_labels).item()
        rate = min(loss, key=loss.get) if loss else results["rates"]["ViT"]
        results["rates"][name] = rate
        scores = {"digits": [], "shifted by 1 pixel": [], "shuffled pixels": []}
        for seed in SEEDS:
            with torch.enable_grad():
                model = models.get((rate, seed)) or train(make, x, y, rate, seed)
            scores["digits"].append(accuracy(model(test), test_labels))
            moved = [accuracy(model(test.roll(s, (2, 3))), test_labels) for s in SHIFTS]
            scores["shifted by 1 pixel"].append(round(sum(moved) / len(SHIFTS), 4))
            if name != "ViT, no positions":
                with torch.enable_grad():
                    model = train(make, shuffle_pixels(x), y, rate, seed)
                scores["shuffled pixels"].append(accuracy(model(shuffle_pixels(test)), test_labels))
        results["accuracy"][name] = {task: values for task, values in scores.items() if values}
        print(name, rate, loss, scores, flush=True)
    save_results("three_architectures", results)


if __name__ == "__main__":
    main()
