"""Other people's ways to a classifier of a few photos beside ours: the same photos, tuned alike.

MobileNetV2 with the weights IMAGENET1K_V1, photos at 96 pixels, one thread, each run in a process
of its own, one after the other. What counts is the CPU time (user and system) of that process, from
its start to the answers on the test photos: imports, inspection and report included.

The judged photos: three renderings of solids with seeds that were used for nothing else, and, where
there is a folder of clothes, three divisions of it with test photos that do not overlap. Each has
``PHOTOS`` photos of a class to learn from and to choose by. Every way that has a learning rate gets
the same three trials on a fourth rendering, which is not judged: its own rate, three times that,
and, whichever of the two was better, nine times or a third of it. Our program gets them too. A
penalty is chosen by each way itself, by cross-validation. A way that does not need the photos to
choose by (all but PyTorch's tutorial, which keeps the best epoch, and fastai) learns from them too.

Differences are paired: each test photo is asked of both, and the interval is that of the mean
difference over all photos of the three divisions (normal, 95 %).

Run it with `python benchmarks/finetune_rivals.py [WAY ...] --clothes FOLDER`, about half an hour on
one core. Finished runs are kept in the scratch folder and not done again; results/
finetune_rivals.json is written after each. timm, fastai and transformers are installed into an
environment in scratch, beside ours and not in it.
"""

import argparse
import csv
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

DEFAULT_CLOTHES = Path("../shared/data/clothing")
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SIZE, RESIZE = 96, 110  # RESIZE / SIZE as 256 / 224
PHOTOS = {"train": 12, "validation": 4}  # of a class
TRIAL, SEEDS = 100, (101, 102, 103)  # of the renderings
PACKAGES = {
    "timm": "timm",
    "fastai": "fastai",
    "trainer": "transformers[torch]",
}


def loaders(photos: Path, batch_size: int, training=None, all_to_learn: bool = False):
    """Return loaders of train, validation and test as torchvision's examples make them."""
    from torch.utils.data import ConcatDataset, DataLoader
    from torchvision import transforms as T
    from torchvision.datasets import ImageFolder

    end = [T.ToTensor(), T.Normalize(MEAN, STD)]
    crops = T.Compose([T.RandomResizedCrop(SIZE), T.RandomHorizontalFlip(), *end])
    whole = T.Compose([T.Resize(RESIZE), T.CenterCrop(SIZE), *end])
    train = ImageFolder(photos / "train", training or crops)
    if all_to_learn:
        train = ConcatDataset([train, ImageFolder(photos / "validation", training or crops)])
    return (
        DataLoader(train, batch_size, shuffle=True),
        DataLoader(ImageFolder(photos / "validation", whole), batch_size),
        DataLoader(ImageFolder(photos / "test", whole), batch_size),
    )


def pretrained(outputs: int):
    """Return torchvision's MobileNetV2 with a new last layer."""
    import torch
    from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

    from tutorial_utils.weights import fetch_weights

    model = mobilenet_v2()
    path = fetch_weights(MobileNet_V2_Weights.IMAGENET1K_V1)
    model.load_state_dict(torch.load(path, weights_only=True))
    model.classifier[1] = torch.nn.Linear(model.last_channel, outputs)
    return model


def right_of(model, loader) -> list[bool]:
    """Return for each photo of a loader that does not shuffle whether it is named rightly."""
    import torch

    model.eval()
    with torch.no_grad():
        return torch.cat([model(x).argmax(dim=1) == y for x, y in loader]).tolist()


def train_epoch(model, loader, optimizer, criterion=None, training: bool = True) -> None:
    """Do what every tutorial's loop does."""
    import torch

    criterion = criterion or torch.nn.CrossEntropyLoss()
    model.train(training)
    for inputs, labels in loader:
        optimizer.zero_grad()
        criterion(model(inputs), labels).backward()
        optimizer.step()


# --- The rivals: each gets the photos' folder and a rate, and returns which test photos it names
# rightly, in ImageFolder's order. ---


def run_document(photos: Path, rate: float) -> list[bool]:
    import torch

    train, _, test = loaders(photos, 64, all_to_learn=True)
    model = pretrained(1000)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    for _ in range(10):
        train_epoch(model, train, optimizer)
    return right_of(model, test)


def run_tutorial(photos: Path, rate: float, frozen: bool = False) -> list[bool]:
    import copy

    import torch

    train, validation, test = loaders(photos, 4)
    model = pretrained(len(train.dataset.classes))
    if frozen:
        model.features.requires_grad_(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=rate, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    best, kept = -1, None
    for _ in range(25):
        train_epoch(model, train, optimizer)
        schedule.step()
        if (right := sum(right_of(model, validation))) > best:
            best, kept = right, copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    return right_of(model, test)


def run_timm(photos: Path, rate: float) -> list[bool]:
    from timm.data import create_transform
    from timm.optim import create_optimizer_v2
    from timm.scheduler import CosineLRScheduler
    from timm.utils import freeze

    crops = create_transform(SIZE, is_training=True, auto_augment=None, color_jitter=None,
                             mean=MEAN, std=STD)  # fmt: skip
    train, _, test = loaders(photos, 64, crops, all_to_learn=True)
    model = pretrained(len(test.dataset.classes))
    freeze(model, "features")
    optimizer = create_optimizer_v2(
        model.classifier[1], opt="sgd", lr=rate, weight_decay=0.0, momentum=0.9
    )
    epochs = 25
    schedule = CosineLRScheduler(optimizer, t_initial=epochs, warmup_t=3, warmup_lr_init=rate / 10)
    for epoch in range(epochs):
        schedule.step(epoch)
        train_epoch(model, train, optimizer, training=False)  # a probe: no dropout, no statistics
    return right_of(model, test)


def run_fastai(photos: Path, rate: float) -> list[bool]:
    import torch
    from fastai.vision import all as fv
    from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

    from tutorial_utils.weights import fetch_weights

    fetch_weights(MobileNet_V2_Weights.IMAGENET1K_V1)  # where fastai will look for them
    data = fv.ImageDataLoaders.from_folder(
        photos, train="train", valid="validation", num_workers=0,
        item_tfms=fv.RandomResizedCrop(SIZE, min_scale=0.5), batch_tfms=fv.aug_transforms(),
    )  # fmt: skip
    files = sorted(fv.get_image_files(photos / "test"))
    test = data.test_dl(files, with_labels=True)
    fv.model_meta[mobilenet_v2] = {
        "cut": -1, "split": fv.default_split, "stats": fv.imagenet_stats,
        "weights": "IMAGENET1K_V1",
    }  # fmt: skip
    learn = fv.vision_learner(data, mobilenet_v2, metrics=fv.error_rate)
    with learn.no_bar(), learn.no_logging():
        learn.fine_tune(4, base_lr=rate)
    learn.model.eval()
    with torch.no_grad():
        return torch.cat([learn.model(x).argmax(dim=1) == y for x, y in test]).tolist()


def run_trainer(photos: Path, rate: float) -> list[bool]:
    import tempfile

    import torch
    from torch import nn
    from transformers import Trainer, TrainingArguments

    class Classifier(nn.Module):
        """Takes and gives what Trainer expects."""

        def __init__(self, outputs: int):
            super().__init__()
            self.network = pretrained(outputs)

        def forward(self, pixel_values, labels=None):
            logits = self.network(pixel_values)
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    def collate(rows):
        images, labels = zip(*rows, strict=True)
        return {"pixel_values": torch.stack(images), "labels": torch.tensor(labels)}

    train, _, test = loaders(photos, 8, all_to_learn=True)
    model = Classifier(len(test.dataset.classes))
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            folder, learning_rate=rate, num_train_epochs=3, per_device_train_batch_size=8,
            remove_unused_columns=False, disable_tqdm=True, save_strategy="no", report_to=[],
            use_cpu=True,
        )  # fmt: skip
        Trainer(model, settings, collate, train.dataset).train()
    return right_of(model.network, test)


def run_sklearn(photos: Path, rate: None, cross_validated: bool = False) -> list[bool]:
    import numpy as np
    import torch
    from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found, network = {}, pretrained(1).eval()
    network.classifier = torch.nn.Identity()
    _, validation, test = loaders(photos, 64)
    train, *_ = loaders(photos, 64, training=test.dataset.transform)
    with torch.no_grad():
        for name, loader in (("train", train), ("validation", validation), ("test", test)):
            parts = [(network(x), y) for x, y in loader]
            x, y = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
            found[name] = x, y
    x, y = (np.concatenate(part) for part in zip(found["train"], found["validation"], strict=True))
    probe = LogisticRegression(max_iter=1000)
    if cross_validated:
        folds = {"cv": 5, "scoring": "neg_log_loss"}
        probe = LogisticRegressionCV(
            Cs=10, max_iter=1000, l1_ratios=(0,), use_legacy_attributes=False, **folds
        )
    fitted = make_pipeline(StandardScaler(), probe).fit(x, y)
    return (fitted.predict(found["test"][0]) == found["test"][1]).tolist()


RIVALS = {
    "sklearn": {
        "name": "scikit-learn's LogisticRegression() on extracted features, standardised",
        "rate": None,
        "run": run_sklearn,
    },
    "sklearn_cv": {
        "name": "the same with LogisticRegressionCV: ten penalties, five folds",
        "rate": None,
        "run": lambda *given: run_sklearn(*given, cross_validated=True),
    },
    "tutorial_frozen": {
        "name": "PyTorch's transfer-learning tutorial, only the last layer trained: 25 epochs, "
        "batch 4, SGD, a tenth of the rate after every 7 epochs, the best epoch kept",
        "source": "https://docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html",
        "changes": "MobileNetV2 for ResNet-18; no worker processes",
        "rate": 0.001,
        "run": lambda *given: run_tutorial(*given, frozen=True),
    },
    "timm": {
        "name": "a linear probe of timm's parts (crops and mirror images, freeze, SGD, cosine with "
        "warm-up): 25 epochs, batch 64",
        "changes": "timm has no script for probing and its own weights could not be downloaded: "
        "its transforms, freeze, optimiser and schedule around torchvision's network",
        "rate": 0.1,
        "run": run_timm,
    },
    "tutorial": {
        "name": "PyTorch's transfer-learning tutorial, everything trained: else as above",
        "source": "https://docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html",
        "changes": "MobileNetV2 for ResNet-18; no worker processes",
        "rate": 0.001,
        "run": run_tutorial,
    },
    "fastai": {
        "name": "fastai's vision_learner and fine_tune(4), as in its book's chapter 2",
        "source": "https://github.com/fastai/fastbook/blob/master/02_production.ipynb",
        "changes": "MobileNetV2 for ResNet-18, entered in fastai's table of networks",
        "rate": 0.002,
        "run": run_fastai,
    },
    "trainer": {
        "name": "Hugging Face's Trainer as run_image_classification.py sets it by default: 3 "
        "epochs, batch 8, AdamW, the rate falling on a straight line",
        "source": "https://github.com/huggingface/transformers/tree/main/examples/pytorch/"
        "image-classification",
        "changes": "torchvision's MobileNetV2 in a wrapper; the script's default is a ViT",
        "rate": 5e-5,
        "run": run_trainer,
    },
    "document": {
        "name": "the source article's recipe, scored rightly: 10 epochs, batch 64, SGD, 1,000 "
        "outputs",
        "rate": 0.001,
        "run": run_document,
    },
}
OURS = {
    "probe": {"name": "ours: finetune --regime probe", "rate": None, "options": ["--regime=probe"]},
    "auto": {"name": "ours: finetune", "rate": 3e-4, "options": []},
}
WAYS = OURS | RIVALS


def child(way: str, photos: Path, seed: int, rate: float | None, path: Path) -> None:
    """Run a rival in this process."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    right = RIVALS[way]["run"](photos, rate)
    package = version(PACKAGES.get(way, "torch").split("[")[0]).split("+")[0]
    path.write_text(json.dumps({"right": [int(r) for r in right], "version": package}))


# --- The parent: photos, one run after the other, and the table. ---


def prepare(scratch: Path) -> str:
    """Return a Python that has the rivals' packages, and all of ours."""
    folder = scratch / "environment"
    python = folder / "bin" / "python"
    if not (folder / "ready").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        ours = sysconfig.get_path("purelib")
        theirs = next(folder.glob("lib/python*/site-packages"))
        (theirs / "tutorial.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PACKAGES.values()], check=True)
        (folder / "ready").touch()
    return str(python)


def divide_clothes(clothes: Path, root: Path) -> list[Path]:
    """Lay out three divisions as links; each class's photos in three parts, each once the test."""
    classes = {}
    for path in sorted(clothes.glob("*/*/*.jpg")):
        classes.setdefault(path.parent.name, []).append(path)
    folders = []
    for number in range(3):
        folders.append(root / f"clothes-{number}")
        for name, files in classes.items():
            mixed = random.Random(f"clothes {name}").sample(files, len(files))
            rest = [f for i, f in enumerate(mixed) if i % 3 != number]
            random.Random(number).shuffle(rest)
            cut = PHOTOS["train"]
            parts = {"test": mixed[number::3], "train": rest[:cut],
                     "validation": rest[cut : cut + PHOTOS["validation"]]}  # fmt: skip
            for split, chosen in parts.items():
                target = folders[-1] / split / name
                target.mkdir(parents=True, exist_ok=True)
                for path in chosen:
                    link = target / f"{path.parts[-3]}-{path.name}"
                    link.unlink(missing_ok=True)
                    link.symlink_to(path.resolve())
    return folders


def run(way: str, photos: Path, seed: int, rate: float | None, scratch: Path) -> dict:
    """Do a run in a process of its own, or read what it left; return right answers and cost."""
    path = scratch / f"{way}-{photos.name}-{rate}.json"
    if path.is_file():
        return json.loads(path.read_text())
    result, out = scratch / "answers.json", scratch / "run"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, __file__, "--child", way, photos, str(seed), str(rate), result]
    if way in PACKAGES:
        command[0] = prepare(scratch)
    if way in OURS:
        command = [sys.executable, "-m", "tutorial_utils.finetune", "finetune", photos, "--out",
                   out, "--quiet", "--cpu", f"--image-size={SIZE}", f"--seed={seed}",
                   *([f"--lr={rate}"] if rate else []), *OURS[way]["options"]]  # fmt: skip
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{way} ended with status {status}")
    if way in OURS:
        with (out / "predictions-test.csv").open(encoding="utf-8") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: row["file"])
        found = json.loads((out / "result.json").read_text())
        values = {"right": [int(r["label"] == r["class"]) for r in rows],
                  "chosen": found["chosen"], "epoch": found["epoch"]}  # fmt: skip
    else:
        values = json.loads(result.read_text())
    values |= {
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_memory_mb": used.ru_maxrss // 1024,
    }
    path.write_text(json.dumps(values))
    right = values["right"]
    print(
        way, photos.name, rate, f"{sum(right)} of {len(right)}", values["cpu_seconds"], flush=True
    )
    return values


def tuned_rate(way: str, photos: Path, scratch: Path) -> tuple[float | None, list[dict]]:
    """Return the best of three rates on a rendering that is not judged, and the trials."""
    own = WAYS[way]["rate"]
    if own is None:
        return None, []
    trials = {}

    def attempt(rate: float) -> None:
        rate = float(f"{rate:.3g}")
        trials[rate] = sum(run(way, photos, TRIAL, rate, scratch)["right"])

    attempt(own)
    attempt(3 * own)
    values = list(trials.values())
    attempt(9 * own if values[1] > values[0] else own / 3)
    best = max(trials, key=trials.get)
    return best, [{"rate": rate, "right": right} for rate, right in trials.items()]


def summary(way: str, folders: list[Path], rate: float | None, scratch: Path) -> dict:
    """Return what a way reached on three divisions, and what it cost."""
    runs = [run(way, f, SEEDS[k], rate, scratch) for k, f in enumerate(folders)]
    right = [sum(r["right"]) for r in runs]
    photos = [len(r["right"]) for r in runs]
    kept = ("chosen", "epoch")
    return {
        "right": right, "photos": photos, "accuracy": round(sum(right) / sum(photos), 4),
        "cpu_seconds": round(statistics.median(r["cpu_seconds"] for r in runs), 1),
        "peak_memory_mb": max(r["peak_memory_mb"] for r in runs),
        **{key: [r[key] for r in runs] for key in kept if key in runs[0]},
        "answers": [x for r in runs for x in r["right"]],
    }  # fmt: skip


def paired(a: list[int], b: list[int]) -> dict:
    """Return how much more often b is right than a on the same photos, and the 95 % interval."""
    differences = [y - x for x, y in zip(a, b, strict=True)]
    mean = statistics.fmean(differences)
    half = 1.96 * statistics.stdev(differences) / len(differences) ** 0.5
    return {
        "difference": round(mean, 4), "interval": [round(mean - half, 4), round(mean + half, 4)],
        "only_ours": differences.count(1), "only_theirs": differences.count(-1),
    }  # fmt: skip


def assemble(found: dict) -> None:
    """Write the table: each way on each set, and how much oftener ours are right."""
    from tutorial_utils.results import save_results

    for way in found.values():
        for name, row in way["sets"].items():
            for ours in OURS:
                if ours in found and way is not found[ours] and name in found[ours]["sets"]:
                    answers = found[ours]["sets"][name]["answers"]
                    row[f"{ours}_minus_this"] = paired(row["answers"], answers)
    ways = {
        name: {**way, "sets": {s: {k: v for k, v in row.items() if k != "answers"}
                               for s, row in way["sets"].items()}}
        for name, way in found.items()
    }  # fmt: skip
    results = {
        "model": "mobilenet_v2", "size": SIZE, "photos_a_class": PHOTOS, "threads": 1,
        "trial_seed": TRIAL, "seeds": SEEDS, "torch": version("torch").split("+")[0],
        "ways": ways,
    }  # fmt: skip
    save_results("finetune_rivals", results)


def main() -> None:
    from tutorial_utils.solids import make_solids

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ways", nargs="*", metavar="WAY", help=", ".join(WAYS))
    parser.add_argument("--clothes", type=Path, default=DEFAULT_CLOTHES)
    parser.add_argument("--scratch", type=Path, default=Path("_build/finetune_rivals"))
    options = parser.parse_args()
    if unknown := set(options.ways) - set(WAYS):
        parser.error(f"no way {', '.join(unknown)}; there are {', '.join(WAYS)}")
    scratch = options.scratch.resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    solids = [make_solids({**PHOTOS, "test": 40}, seed=s, root=scratch / f"solids-{s}")
              for s in (TRIAL, *SEEDS)]  # fmt: skip
    for folder in solids:  # beside the splits there are masks, which are no photos to learn from
        shutil.rmtree(folder / "masks", ignore_errors=True)
    sets = {"solids": solids[1:]}
    if options.clothes.is_dir():
        sets["clothes"] = divide_clothes(options.clothes, scratch)
    found = {}
    for way in options.ways or WAYS:
        about = {k: v for k, v in WAYS[way].items() if k not in ("run", "options", "rate")}
        rate, trials = tuned_rate(way, solids[0], scratch)
        found[way] = {**about, "own_rate": WAYS[way]["rate"], "rate": rate, "trials": trials,
                      "sets": {}}  # fmt: skip
        for name, folders in sets.items():
            found[way]["sets"][name] = summary(way, folders, rate, scratch)
            assemble(found)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        way, photos, seed, rate, path = sys.argv[2:]
        rate = None if rate == "None" else float(rate)
        child(way, Path(photos), int(seed), rate, Path(path))
    else:
        main()
