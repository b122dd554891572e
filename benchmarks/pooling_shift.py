"""How downsampling layers bear shifts: small nets on scikit-learn's digits, several seeds.

Every net has the same 14,538 parameters, data, epochs and seeds; only the way it halves the
resolution differs. Three ways (every second value, maximum, average) come with and without a blur
before the halving, so that the blur has its control. The learning rate is one for all, tuned for
none. Run `python benchmarks/pooling_shift.py`; it writes results/pooling_shift.json (about ten
minutes on one free core). book/pooling.ipynb plots the file and runs one slice again.
"""

import sys
from itertools import product
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

SEEDS = 5
EPOCHS = 12
SHIFTS = list(product(range(-3, 4), repeat=2))  # (rows, columns): 49 of them
METHODS = ("strided conv", "conv + blur", "max", "max + blur", "average", "average + blur")


def blur(x: torch.Tensor) -> torch.Tensor:
    """Blur each channel with the 3x3 binomial kernel and keep every second row and column."""
    line = torch.tensor([1, 2, 1], dtype=x.dtype) / 4
    kernel = torch.outer(line, line).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="circular"), kernel, stride=2, groups=x.shape[1])


def ring(x: torch.Tensor) -> torch.Tensor:
    """Repeat the first row and column behind the last, for windows of 2 with stride 1."""
    return F.pad(x, (0, 1, 0, 1), mode="circular")


class Net(nn.Module):
    """Three 3x3 convolutions with two halvings between them, global average, one linear layer."""

    def __init__(self, method: str):
        super().__init__()
        self.method = method
        stride = 2 if method == "strided conv" else 1
        self.conv1 = nn.Conv2d(1, 16, 3, stride, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, stride, padding=1)
        self.conv3 = nn.Conv2d(32, 32, 3, padding=1)
        self.norm1, self.norm2, self.norm3 = map(nn.BatchNorm2d, (16, 32, 32))
        self.head = nn.Linear(32, 10)

    def down(self, x: torch.Tensor) -> torch.Tensor:
        """Halve the resolution of x, shape (N, C, H, W), in this net's way."""
        if self.method == "max":
            return F.max_pool2d(x, 2)
        if self.method == "average":
            return F.avg_pool2d(x, 2)
        if self.method == "max + blur":
            return blur(F.max_pool2d(ring(x), 2, stride=1))
        if self.method == "average + blur":
            return blur(F.avg_pool2d(ring(x), 2, stride=1))
        if self.method == "conv + blur":
            return blur(x)
        return x  # the strided convolutions have halved it already

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, 10) of images (N, 1, H, W)."""
        x = self.down(F.relu(self.norm1(self.conv1(x))))
        x = self.down(F.relu(self.norm2(self.conv2(x))))
        x = F.relu(self.norm3(self.conv3(x)))
        return self.head(x.mean(dim=(2, 3)))


def load_data():
    """Return train and test (images, labels): 8x8 digits in the middle of 16x16 pixels."""
    digits = load_digits()
    images = torch.tensor(digits.images / 16).unsqueeze(1)  # (1797, 1, 8, 8)
    images, labels = F.pad(images, (4, 4, 4, 4)), torch.tensor(digits.target)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    train, test = order[:1000], order[1000:]
    return (images[train], labels[train]), (images[test], labels[test])


def shifted(images: torch.Tensor, shift: tuple[int, int]) -> torch.Tensor:
    """Move the digits by (rows, columns); up to 4 px nothing leaves the picture."""
    return images.roll(shift, dims=(2, 3))


def train_net(method: str, seed: int, augment: bool, train, epochs: int = EPOCHS) -> Net:
    """Train one net in float64; with ``augment`` each digit is moved by up to 3 px."""
    torch.manual_seed(seed)
    net = Net(method).double()  # float64 gives the same figures on every machine
    images, labels = train
    steps = epochs * len(images) // 50
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for batch in torch.randperm(len(images), generator=generator).split(50):
            x = images[batch]
            if augment:
                picks = torch.randint(len(SHIFTS), (len(x),), generator=generator).tolist()
                moved = [image.roll(SHIFTS[k], (1, 2)) for image, k in zip(x, picks, strict=True)]
                x = torch.stack(moved)
            loss = F.cross_entropy(net(x), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


@torch.no_grad()
def measure(net: Net, test) -> dict:
    """Return accuracy in place, over all shifts and by shift, and consistency.

    Consistency is the chance that two different shifts of one digit get the same answer.
    """
    images, labels = test
    answers = torch.stack([net(shifted(images, shift)).argmax(1) for shift in SHIFTS])  # (49, N)
    counts = F.one_hot(answers, 10).sum(0).double()  # (N, 10)
    pairs = len(SHIFTS) * (len(SHIFTS) - 1)
    return {
        "accuracy": (answers[SHIFTS.index((0, 0))] == labels).double().mean().item(),
        "shifted_accuracy": (answers == labels).double().mean().item(),
        "consistency": ((counts * (counts - 1)).sum(1) / pairs).mean().item(),
        "by_shift": (answers == labels).double().mean(1).tolist(),  # in the order of SHIFTS
    }


def main() -> None:
    from tutorial_utils.results import save_results

    train, test = load_data()
    runs = []
    for augment, method, seed in product((False, True), METHODS, range(SEEDS)):
        result = measure(train_net(method, seed, augment, train), test)
        by_shift = [round(value, 3) for value in result.pop("by_shift")]
        result = {key: round(value, 4) for key, value in result.items()} | {"by_shift": by_shift}
        runs.append({"method": method, "augment": augment, "seed": seed, **result})
        print(runs[-1], file=sys.stderr, flush=True)
    setting = {"epochs": EPOCHS, "train": len(train[1]), "test": len(test[1]), "seeds": SEEDS}
    path = save_results("pooling_shift", {"setting": setting, "runs": runs})
    print(Path(path).name)


if __name__ == "__main__":
    main()
