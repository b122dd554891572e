"""Five ways to use pretrained weights on few images: scratch, frozen, head first, full, two rates.

Every regime gets the same rendered images, epochs, batch size, optimiser (AdamW), one-cycle
schedule and grid of learning rates, and so does every augmentation. The rate is chosen by the mean
validation accuracy of seeds 0 and 1; regimes are then compared on further images of each seed, that
chose no rate ("comparison"). They rank the regimes, so they are no test set: the page
book/five_steps.ipynb, which plots the results and runs one slice again, ends with test images of a
seed that is not used here. A seed draws the images, the new head's weights and the order of the
batches.

Run it with `python benchmarks/five_regimes.py`: twenty minutes on two free cores. Finished runs are
kept in results/five_regimes.json, so an interrupted call goes on where it stopped.
"""

import time
from multiprocessing import get_context

import torch
from torch import nn
from torch.utils.data import TensorDataset
from torchvision.models import mobilenet_v2
from torchvision.transforms import v2

from tutorial_utils import solids
from tutorial_utils.evaluation import accuracy
from tutorial_utils.folders import load_splits, make_loader
from tutorial_utils.models import (
    freeze_backbone,
    load_pretrained,
    parameter_groups,
    replace_head,
    unfreeze,
)
from tutorial_utils.results import load_results, save_results
from tutorial_utils.scale import seed_everything
from tutorial_utils.training import extract_features, predict, train_epoch

# Images per class; the renderer calls the split that compares the regimes "test".
COUNTS = {"train": 40, "validation": 20, "test": 40}
SEEDS, TUNING_SEEDS = (0, 1, 2, 3, 4), (0, 1)
RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03)
EPOCHS, HEAD_EPOCHS, BATCH, WEIGHT_DECAY = 8, 2, 16, 1e-4
REGIMES = ("scratch", "frozen", "head, then full", "full", "discriminative rates")
RATIO = 10  # head's rate over the backbone's, with discriminative rates; the grid is the head's
LONG = 4  # times the epochs, for one more try from scratch, on the first three seeds

TENSOR = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
NORMAL = [v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
EVAL = v2.Compose(TENSOR + NORMAL)
MIRRORED = v2.Compose([*TENSOR, v2.RandomHorizontalFlip(p=1.0), *NORMAL])
CROP = v2.RandomResizedCrop(96, scale=(0.6, 1.0), ratio=(0.9, 1.1), antialias=True)
COLOUR = v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)
AUGMENTATIONS = {
    "none": EVAL,
    "flip": v2.Compose([*TENSOR, v2.RandomHorizontalFlip(), *NORMAL]),
    "flip, crop, colour": v2.Compose([*TENSOR, v2.RandomHorizontalFlip(), CROP, COLOUR, *NORMAL]),
}


def make_model(pretrained: bool) -> nn.Module:
    """Return MobileNetV2 with a fresh head; channels-last memory is faster on CPUs and GPUs."""
    model = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")[0] if pretrained else mobilenet_v2()
    replace_head(model, len(solids.CLASSES))
    return model.to(memory_format=torch.channels_last)


def train(model, loader, epochs, lr, backbone_lr=None) -> None:
    """Train what is not frozen, with AdamW and one rise and fall of the learning rate."""
    groups = parameter_groups(model, lr, backbone_lr, WEIGHT_DECAY)
    optimizer = torch.optim.AdamW(groups)
    schedule = one_cycle(optimizer, epochs * len(loader))
    for _ in range(epochs):
        train_epoch(model, loader, optimizer, scheduler=schedule)


def one_cycle(optimizer, steps):
    rates = [group["lr"] for group in optimizer.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, steps, pct_start=0.25)


def train_head(model, root, epochs, lr, seed) -> None:
    """Train the classifier alone on cached features of every image and its mirror image."""
    top = model.classifier  # dropout and head
    views = []
    for transform in (EVAL, MIRRORED):
        images = load_splits(root, transform, EVAL).train
        features, labels = extract_features(model, make_loader(images, 64))
        views.append(features)
    optimizer = torch.optim.AdamW(parameter_groups(top, lr, None, WEIGHT_DECAY))
    schedule = one_cycle(optimizer, epochs * -(-len(labels) // BATCH))
    for epoch in range(epochs):
        coin = torch.rand(len(labels), 1) < 0.5
        mixed = TensorDataset(torch.where(coin, *views), labels)
        loader = make_loader(mixed, BATCH, shuffle=True, seed=1000 * seed + epoch)
        train_epoch(top, loader, optimizer, scheduler=schedule)


def train_drifting(model, loader, epochs, lr) -> None:
    """Train a frozen model's head the wrong way: with model.train(), so that BatchNorm drifts."""
    optimizer = torch.optim.AdamW(parameter_groups(model, lr, None, WEIGHT_DECAY))
    schedule = one_cycle(optimizer, epochs * len(loader))
    for _ in range(epochs):
        model.train()
        for images, labels in loader:
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def run(job: dict) -> dict:
    """Do one training and return its accuracies and processor seconds."""
    torch.set_num_threads(1)
    regime, lr, seed = job["regime"], job["lr"], job["seed"]
    root = solids.make_solids(COUNTS, seed=seed)
    splits = load_splits(root, AUGMENTATIONS[job["augmentation"]], EVAL)
    loader = make_loader(splits.train, BATCH, shuffle=True, seed=seed)
    seed_everything(seed)
    model = make_model(pretrained=not regime.startswith("scratch"))
    started = time.process_time()
    if regime == "frozen":
        train_head(freeze_backbone(model), root, EPOCHS, lr, seed)
    elif regime == "frozen, drifting":
        train_drifting(freeze_backbone(model), loader, EPOCHS, lr)
    elif regime == "head, then full":
        train_head(freeze_backbone(model), root, HEAD_EPOCHS, job["head_lr"], seed)
        train(unfreeze(model), loader, EPOCHS - HEAD_EPOCHS, lr)
    elif regime == "discriminative rates":
        train(model, loader, EPOCHS, lr, lr / RATIO)
    else:
        train(model, loader, EPOCHS * (LONG if "longer" in regime else 1), lr)
    seconds = time.process_time() - started
    scores = {
        name: round(accuracy(*predict(model, make_loader(images, 64))), 4)
        for name, images in (("validation", splits.validation), ("comparison", splits.test))
    }
    return {**job, **scores, "cpu_seconds": round(seconds, 1)}


def is_same(job: dict, done: dict) -> bool:
    return all(done.get(key) == value for key, value in job.items())


class Book:
    """The runs so far, kept on disk."""

    def __init__(self, setting: dict):
        self.setting, self.runs = setting, []
        try:
            stored = load_results("five_regimes")
            if stored["setting"] == setting:
                self.runs = stored["runs"]
        except FileNotFoundError:
            pass

    def do(self, pool, jobs: list[dict]) -> list[dict]:
        """Return the results of all jobs, running those that are not there yet."""
        todo = [job for job in jobs if not any(is_same(job, done) for done in self.runs)]
        for result in pool.imap_unordered(run, todo):
            print(result, flush=True)
            self.runs.append(result)
            self.save()
        return [next(done for done in self.runs if is_same(job, done)) for job in jobs]

    def save(self, **more) -> None:
        """Write what there is."""
        save_results("five_regimes", {"setting": self.setting, **more, "runs": self.runs})


def seeds_of(regime: str) -> tuple[int, ...]:
    return SEEDS[:3] if regime == "scratch, longer" else SEEDS


def best_rate(results: list[dict]) -> float:
    """Return the rate with the best mean validation accuracy; the smallest if several have it."""
    means = {
        rate: sum(r["validation"] for r in results if r["lr"] == rate) / len(TUNING_SEEDS)
        for rate in RATES
    }
    return max(means, key=means.get)


def main() -> None:
    setting = {
        "renderer": solids.VERSION,
        "classes": len(solids.CLASSES),
        "counts": COUNTS,
        "epochs": EPOCHS,
        "head_epochs": HEAD_EPOCHS,
        "batch": BATCH,
        "weight_decay": WEIGHT_DECAY,
        "rates": list(RATES),
        "ratio": RATIO,
        "long": LONG,
        "seeds": list(SEEDS),
        "tuning_seeds": list(TUNING_SEEDS),
    }
    book, chosen = Book(setting), {}
    for seed in SEEDS:
        solids.make_solids(COUNTS, seed=seed)
    with get_context("spawn").Pool(2) as pool:
        for regime in sorted(REGIMES, key=lambda name: name != "frozen"):
            job = {"regime": regime, "augmentation": "flip"}
            if regime == "head, then full":
                job["head_lr"] = chosen["frozen"]
            jobs = [{**job, "lr": rate, "seed": s} for s in TUNING_SEEDS for rate in RATES]
            chosen[regime] = best_rate(book.do(pool, jobs))
            print(regime, chosen[regime], flush=True)
            book.do(pool, [{**job, "lr": chosen[regime], "seed": s} for s in SEEDS])
        rates = {"flip": chosen["full"]}
        for name in AUGMENTATIONS:
            if name not in rates:  # its own search, as wide as the one with flips
                job = {"regime": "full", "augmentation": name}
                jobs = [{**job, "lr": rate, "seed": s} for s in TUNING_SEEDS for rate in RATES]
                rates[name] = best_rate(book.do(pool, jobs))
                print(name, rates[name], flush=True)
        more = [("frozen, drifting", "flip", chosen["frozen"])]
        more += [("full", name, rates[name]) for name in AUGMENTATIONS]
        more += [("scratch, longer", "flip", chosen["scratch"])]
        for regime, augmentation, lr in more:
            job = {"regime": regime, "augmentation": augmentation, "lr": lr}
            book.do(pool, [{**job, "seed": s} for s in seeds_of(regime)])
    table = {}
    for regime in (*REGIMES, "frozen, drifting", "scratch, longer"):
        lr = chosen[regime.split(", ")[0] if regime not in REGIMES else regime]
        table[regime] = row(book.runs, regime, "flip", lr)
    augmentations = {name: row(book.runs, "full", name, rates[name]) for name in AUGMENTATIONS}
    version = torch.__version__.split("+")[0]
    book.save(torch=version, regimes=table, augmentations=augmentations)


def row(runs: list[dict], regime: str, augmentation: str, lr: float) -> dict:
    """Return one regime's accuracies, a value a seed, and its mean cost."""
    job = {"regime": regime, "augmentation": augmentation, "lr": lr}
    mine = [next(r for r in runs if is_same({**job, "seed": s}, r)) for s in seeds_of(regime)]
    return {
        "lr": lr,
        "validation": [r["validation"] for r in mine],
        "comparison": [r["comparison"] for r in mine],
        "cpu_seconds": round(sum(r["cpu_seconds"] for r in mine) / len(mine), 1),
    }


if __name__ == "__main__":
    main()
