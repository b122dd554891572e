"""What each mend of the source article's program is worth, in accuracy on rendered test images.

The program of the source article's section 4, with MobileNetV2 for ResNet-50 and rendered images of
96 px for ImageNet, is trained and scored as printed, then mended one step at a time. Mends of the
evaluation are measured on the same weights; mends of the training train anew, for as many epochs
on the same images, and one thing changes at a time: the rate, then its schedule, then which epoch
is kept, then the crops. Each mend that trains at a rate of its choice chooses it alike, by the mean
validation loss of two seeds over the same grid. Looking at the test images after each mend is for
teaching; so a further draw of test images, which no step has used, is opened once for the first
program and the last.

Run it with `python benchmarks/walkthrough_mends.py`: about twelve minutes on two cores. With
`--photos FOLDER` it only tries the right program on real photos at 224 px, and adds that result.
"""

import argparse
import contextlib
import copy
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from torch import nn
from torchvision import transforms as T

from tutorial_utils.evaluation import accuracy, wilson_interval
from tutorial_utils.folders import load_splits, make_loader
from tutorial_utils.models import load_pretrained, replace_head
from tutorial_utils.results import load_results, save_results
from tutorial_utils.scale import seed_everything
from tutorial_utils.solids import CLASSES, VERSION, make_solids
from tutorial_utils.training import predict, train_epoch

SEEDS = (0, 1, 2, 3, 4)  # of the images as well as of the training
TUNING_SEEDS = (0, 1)  # choose the rates, on validation images
COUNTS = {"train": 24, "validation": 12, "test": 40}  # images per class
EPOCHS, BATCH, SIZE = 10, 64, 96
RATES = (0.001, 0.003, 0.01, 0.03)  # constant, or the peak of the schedule
FRESH = 1000  # added to the seed: the test images that are opened once
NORMALIZE = T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def random_transform(size: int, smallest: float = 0.08) -> T.Compose:
    crop = T.RandomResizedCrop(size, scale=(smallest, 1.0))
    return T.Compose([crop, T.RandomHorizontalFlip(), T.ToTensor(), NORMALIZE])


def eval_transform(size: int) -> T.Compose:
    return T.Compose([T.Resize(size), T.CenterCrop(size), T.ToTensor(), NORMALIZE])


def train_as_printed(train_set, outputs: int, seed: int) -> nn.Module:
    """SGD at 0.001 for ten epochs, no schedule."""
    seed_everything(seed)
    model, _ = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    replace_head(model, outputs)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    loader = make_loader(train_set, BATCH, shuffle=True, seed=seed)
    for _ in range(EPOCHS):
        train_epoch(model, loader, optimizer)
    return model


def train_mended(splits, seed: int, lr: float, epochs=EPOCHS, batch=BATCH, schedule=True):
    """SGD at a constant rate, or at one that rises to ``lr`` and falls.

    Returns:
        The model after its last epoch, the weights of its best epoch on the validation images, and
        the validation accuracy and loss after each epoch.
    """
    seed_everything(seed)
    model, _ = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    replace_head(model, len(splits.classes))
    loader = make_loader(splits.train, batch, shuffle=True, seed=seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    scheduler = None
    if schedule:
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=lr, total_steps=epochs * len(loader), cycle_momentum=False
        )
    best, best_weights, history = (-1.0, 0.0), None, []
    for _ in range(epochs):
        train_epoch(model, loader, optimizer, scheduler=scheduler)
        logits, labels = predict(model, make_loader(splits.validation, BATCH))
        loss = nn.functional.cross_entropy(logits, labels).item()
        history.append((accuracy(logits, labels), loss))
        if (history[-1][0], -loss) > best:  # of two that are equally right, the surer
            best, best_weights = (history[-1][0], -loss), copy.deepcopy(model.state_dict())
    return model, best_weights, history


@torch.no_grad()
def score_in_train_mode(
    model: nn.Module, dataset, shuffle: bool = False
) -> tuple[float, nn.Module]:
    """Score a copy as the source article does; return the copy too, for scoring changes it."""
    model = copy.deepcopy(model).train()
    correct = 0
    for images, labels in make_loader(dataset, BATCH, shuffle):
        correct += (model(images).argmax(dim=1) == labels).sum().item()
    return correct / len(dataset), model


def score(model: nn.Module, dataset) -> float:
    return accuracy(*predict(model, make_loader(dataset, BATCH)))


def fresh_test(seed: int, transform):
    """Return test images that nothing else uses."""
    from torchvision.datasets import ImageFolder

    root = make_solids({"test": COUNTS["test"]}, seed=FRESH + seed)
    return ImageFolder(str(root / "test"), transform)


def job(step: str, seed: int, lr: float | None) -> dict:
    """Train and score one program. Every job is a process of its own, with one thread."""
    torch.set_num_threads(1)
    root, crops, plain = (
        make_solids(COUNTS, seed=seed),
        random_transform(SIZE),
        eval_transform(SIZE),
    )
    splits = load_splits(root, crops, plain)
    noisy = load_splits(root, crops, crops).test
    result = {"step": step, "seed": seed, "lr": lr}
    if step == "printed":
        model = train_as_printed(splits.train, 1000, seed)
        seed_everything(seed)
        printed, changed = score_in_train_mode(model, noisy)
        fresh, _ = score_in_train_mode(model, fresh_test(seed, crops))
        result |= {
            "train mode, random crops": printed,
            "train mode, whole image": score_in_train_mode(model, splits.test)[0],
            "train mode, whole image, shuffled": score_in_train_mode(model, splits.test, True)[0],
            "eval mode, random crops": [score(model, noisy) for _ in range(10)],
            "eval mode, whole image": score(model, splits.test),
            "eval mode, whole image, after scoring as printed": score(changed, splits.test),
            "fresh": fresh,
        }
    elif step == "head":
        model = train_as_printed(splits.train, len(CLASSES), seed)
        result["test"] = score(model, splits.test)
    else:
        if step == "crops":
            splits = load_splits(root, random_transform(SIZE, 0.5), plain)
        model, best_weights, history = train_mended(splits, seed, lr, schedule=step != "rate")
        result |= {"history": history, "validation_loss": history[-1][1]}
        result["last epoch"] = score(model, splits.test)
        model.load_state_dict(best_weights)
        result["best epoch"] = score(model, splits.test)
        if step == "crops":
            seed_everything(seed)
            result |= {
                "train mode, random crops": score_in_train_mode(model, noisy)[0],
                "fresh": score(model, fresh_test(seed, plain)),
            }
    return result


def run_all(jobs: list[tuple], scratch: Path) -> list[dict]:
    """Run the jobs in two processes; finished ones are kept, so that a run can go on later."""
    done = json.loads(scratch.read_text()) if scratch.is_file() else {}
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        waiting = {str(j): pool.submit(job, *j) for j in jobs if str(j) not in done}
        for key, future in waiting.items():
            done[key] = future.result()
            scratch.write_text(json.dumps(done))
            print(
                key,
                {k: v for k, v in done[key].items() if k in ("test", "best epoch", "fresh")},
                flush=True,
            )
    return [done[str(j)] for j in jobs]


def mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


def measure_mends(scratch: Path) -> dict:
    for seed in SEEDS:  # rendered before the processes start, so that none waits for another
        make_solids(COUNTS, seed=seed)
        make_solids({"test": COUNTS["test"]}, seed=FRESH + seed)
    printed = run_all([("printed", seed, None) for seed in SEEDS], scratch)
    headed = run_all([("head", seed, None) for seed in SEEDS], scratch)
    chosen, sweeps, rows = {}, {}, {}
    for step in ("rate", "schedule", "crops"):
        swept = run_all([(step, seed, lr) for lr in RATES for seed in TUNING_SEEDS], scratch)
        losses = {lr: mean(r["validation_loss"] for r in swept if r["lr"] == lr) for lr in RATES}
        chosen[step], sweeps[step] = min(losses, key=losses.get), losses
        rows[step] = run_all([(step, seed, chosen[step]) for seed in SEEDS], scratch)
    return {
        "steps": {
            "as printed": [row["train mode, random crops"] for row in printed],
            "+ eval mode": [mean(row["eval mode, random crops"]) for row in printed],
            "+ whole test images": [row["eval mode, whole image"] for row in printed],
            "+ one output per class": [row["test"] for row in headed],
            "+ a chosen rate": [row["last epoch"] for row in rows["rate"]],
            "+ a schedule": [row["last epoch"] for row in rows["schedule"]],
            "+ the best epoch": [row["best epoch"] for row in rows["schedule"]],
            "+ milder crops": [row["best epoch"] for row in rows["crops"]],
        },
        "fresh_test": {
            "as printed": [row["fresh"] for row in printed],
            "mended": [row["fresh"] for row in rows["crops"]],
        },
        "mended, scored as printed": [row["train mode, random crops"] for row in rows["crops"]],
        "chosen_lr": chosen,
        "validation_loss_by_rate": sweeps,
        "printed": printed,
        "mended": rows["crops"],
    }


def measure_photos(folder: Path, epochs: int = 3, lr: float = 0.01) -> dict:
    """Train the right program once on real photos at 224 px."""
    train = random_transform(224, 0.5)
    test = T.Compose([T.Resize(256), T.CenterCrop(224), T.ToTensor(), NORMALIZE])
    splits = load_splits(folder, train, test)
    model, best_weights, history = train_mended(splits, 0, lr, epochs, batch=32)
    model.load_state_dict(best_weights)
    logits, labels = predict(model, make_loader(splits.test, BATCH))
    correct = int((logits.argmax(dim=1) == labels).sum())
    noisy = load_splits(folder, train, random_transform(224)).test
    return {
        "data": "a sample of the clothing set, 64 photos per class",
        "photos": {"train": len(splits.train), "test": len(splits.test)},
        "settings": {"size": 224, "epochs": epochs, "lr": lr, "batch": 32, "seed": 0},
        "validation": max(row[0] for row in history),
        "history": [row[0] for row in history],
        "test_correct": correct,
        "test": correct / len(labels),
        "test_interval": wilson_interval(correct, len(labels)),
        "same weights, scored as printed": score_in_train_mode(model, noisy)[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder with train, validation and test")
    parser.add_argument("--scratch", type=Path, default=Path("_build/walkthrough_mends.json"))
    options = parser.parse_args()
    if options.photos:
        results = load_results("walkthrough_mends")
        results["photos"] = measure_photos(options.photos)
    else:
        options.scratch.parent.mkdir(parents=True, exist_ok=True)
        results = {
            "seeds": list(SEEDS),
            "tuning_seeds": list(TUNING_SEEDS),
            "rates": list(RATES),
            "settings": {
                "model": "mobilenet_v2 IMAGENET1K_V1",
                "renderer": VERSION,
                "images_per_class": COUNTS,
                "size": SIZE,
                "epochs": EPOCHS,
                "batch": BATCH,
                "torch": torch.__version__.split("+")[0],
            },
            **measure_mends(options.scratch),
        }
        with contextlib.suppress(FileNotFoundError, KeyError):
            results["photos"] = load_results("walkthrough_mends")["photos"]
    save_results("walkthrough_mends", results)


if __name__ == "__main__":
    main()
