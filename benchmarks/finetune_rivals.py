"""What other people's ways of fine-tuning cost in CPU time, and what they reach, beside ours.

All get the same photos (a folder with train, validation and test), the same MobileNetV2 weights
(IMAGENET1K_V1), one thread and no worker processes, on the same machine, one after the other, each
in a process of its own. What is counted is the CPU time (user and system) of that process from its
start, imports included. We score the test photos after each epoch, which no recipe asks for: that
time is taken off. A tool's own validation is not. Of ours the whole command counts, as a user types
it: inspection, features, probe, training, test, plots and report; beside it stands the time until
the model was saved, which leaves out what the rivals do not do: test, plots and report.

The **mark** is the test accuracy that the document's recipe ends with, scored rightly (eval mode,
whole photos). A way reaches it after the first epoch whose test accuracy is not below it. That is
generous to the rivals, for nobody knows the test accuracy while training; ours is only compared if
the model that it hands over reaches the mark.

Run it with `python benchmarks/finetune_rivals.py --photos FOLDER`: about an hour on one core;
name rivals to run only these. A rival's finished epochs are kept in the scratch folder, and stand
in results/finetune_rivals.json even if the rival is stopped ("finished": false). fastai and
transformers are installed into folders in scratch, beside our environment and not in it.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
import time
from importlib.metadata import version
from pathlib import Path

DEFAULT_PHOTOS = Path("../shared/data/clothing")
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SEEDS = (0, 1, 2)
PACKAGES = {
    "fastai": "fastai",
    "trainer": "transformers[torch]",
    "trainer_rate": "transformers[torch]",
}
NOT_RUN = {
    "lightning-flash": "Archived. lightning-flash 0.8.2 installs beside this torch (with "
    "pytorch-lightning 1.9.5, and setuptools < 81 for pkg_resources), but its image part does not: "
    "for lightning-flash[image] pip falls back to 0.8.1.post0 and asks for torch 2.12.1, numpy "
    "1.23.5 and setuptools 59.5.",
    "timm": "Its training script is in its repository, not in the wheel from PyPI; its own weights "
    "come from the Hugging Face Hub, which was out of reach; and the script's defaults are for "
    "training on ImageNet from scratch (300 epochs).",
    "torchvision's training script": "Not in the wheel; no recipe for fine-tuning. Its defaults "
    "(90 epochs, SGD 0.1, batch 32) are for ImageNet: at the speed of the document's recipe "
    "an hour of CPU time.",
}


class Meter:
    """The CPU time of this process, without what is only there to measure; the log of a run."""

    def __init__(self, path: Path, about: dict):
        self.path, self.aside = path, 0.0
        self.log = {**about, "finished": False, "epochs": []}
        self.write()

    @staticmethod
    def all() -> float:
        """Return all CPU time so far, of ended child processes too."""
        own, children = (
            resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime

    def seconds(self) -> float:
        """Return the CPU time that counts."""
        return self.all() - self.aside

    @contextlib.contextmanager
    def unmeasured(self):
        """Take the time and the chance that is used inside off again."""
        import numpy as np
        import torch

        started = self.all()
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        yield
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
        self.aside += self.all() - started

    def epoch(self, score, **more) -> dict:
        """Log a finished epoch; ``score`` returns (right, of how many) on the test photos."""
        row = {"epoch": len(self.log["epochs"]) + 1, "cpu_seconds": round(self.seconds(), 1)}
        with self.unmeasured():
            correct, total = score()
        self.log["epochs"].append({**row, "test_correct": correct, "test_photos": total, **more})
        self.write()
        print(self.log["rival"], self.log["epochs"][-1], flush=True)
        return row

    def finish(self, **more) -> None:
        """Log the end."""
        self.log |= {
            "finished": True,
            "cpu_seconds": round(self.seconds(), 1),
            "scoring_seconds": round(self.aside, 1),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            **more,
        }
        self.write()

    def write(self) -> None:
        """Replace the log, never leaving half a one."""
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.log, indent=1))
        partial.replace(self.path)


def score(model, loader, training: bool = False) -> tuple[int, int]:
    """Return how many images are classified rightly, and of how many."""
    import torch

    was_training = model.training
    model.train(training)
    correct = total = 0
    with torch.no_grad():
        for images, labels in loader:
            correct += (model(images).argmax(dim=1) == labels).sum().item()
            total += len(labels)
    model.train(was_training)
    return correct, total


def whole_photos(resize: int = 256):
    """Return the transform for scoring that PyTorch's tutorial uses."""
    from torchvision import transforms as T

    return T.Compose([T.Resize(resize), T.CenterCrop(224), T.ToTensor(), T.Normalize(MEAN, STD)])


def random_crops():
    """Return the transform for training of PyTorch's tutorial and of the document: the same."""
    from torchvision import transforms as T

    return T.Compose(
        [
            T.RandomResizedCrop(224),
            T.RandomHorizontalFlip(),
            T.ToTensor(),
            T.Normalize(MEAN, STD),
        ]
    )


def pretrained(outputs: int):
    """Return torchvision's MobileNetV2 with a new last layer, as both recipes make it."""
    import torch
    from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

    from tutorial_utils.weights import fetch_weights

    model = mobilenet_v2()
    path = fetch_weights(MobileNet_V2_Weights.IMAGENET1K_V1)
    model.load_state_dict(torch.load(path, weights_only=True))
    model.classifier[1] = torch.nn.Linear(model.last_channel, outputs)
    return model


# --- The rivals. Each gets the photos' folder, a seed, and the meter; `about` says what it is. ---


def run_document(photos: Path, seed: int, meter: Meter) -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder

    train = DataLoader(ImageFolder(photos / "train", random_crops()), 64, shuffle=True)
    noisy_test = DataLoader(ImageFolder(photos / "test", random_crops()), 64)
    whole_test = DataLoader(ImageFolder(photos / "test", whole_photos()), 64)
    model = pretrained(1000)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    for _ in range(10):
        running_loss = 0.0
        for inputs, labels in train:
            optimizer.zero_grad()
            loss = criterion(model(inputs), labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
        meter.epoch(lambda: score(model, whole_test), printed_loss=running_loss / len(train))
    correct, total = score(model, noisy_test, training=True)  # in train mode, as printed
    meter.finish(test_correct_as_printed=correct, test_photos=total)


def run_tutorial(photos: Path, seed: int, meter: Meter, frozen: bool = False) -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder

    train = DataLoader(ImageFolder(photos / "train", random_crops()), 4, shuffle=True)
    # The tutorial shuffles these too; the result is the same.
    validation = DataLoader(ImageFolder(photos / "validation", whole_photos()), 4)
    test = DataLoader(ImageFolder(photos / "test", whole_photos()), 4)
    model = pretrained(len(train.dataset.classes))
    trained = model.parameters()
    if frozen:
        model.features.requires_grad_(False)
        trained = model.classifier[1].parameters()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(trained, lr=0.001, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    best, kept = -1, None
    for _ in range(25):
        model.train()
        for inputs, labels in train:
            optimizer.zero_grad()
            loss = criterion(model(inputs), labels)
            loss.backward()
            optimizer.step()
        schedule.step()
        model.eval()
        right, of = score(model, validation)
        row = meter.epoch(lambda: score(model, test), validation=right / of)
        if right > best:
            best, kept = right, row["epoch"]
            torch.save(model.state_dict(), meter.path.with_suffix(".best"))
    meter.finish(kept_epoch=kept)


def run_fastai(photos: Path, seed: int, meter: Meter) -> None:
    import torch
    from fastai.vision import all as fv
    from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

    from tutorial_utils.weights import fetch_weights

    fetch_weights(MobileNet_V2_Weights.IMAGENET1K_V1)  # where fastai will look for them
    data = fv.ImageDataLoaders.from_folder(
        photos,
        train="train",
        valid="validation",
        item_tfms=fv.RandomResizedCrop(224, min_scale=0.5),
        batch_tfms=fv.aug_transforms(),
        num_workers=0,
        seed=seed,
    )
    test = data.test_dl(fv.get_image_files(photos / "test"), with_labels=True)
    fv.model_meta[mobilenet_v2] = {
        "cut": -1,
        "split": fv.default_split,
        "stats": fv.imagenet_stats,
        "weights": "IMAGENET1K_V1",
    }
    learn = fv.vision_learner(data, mobilenet_v2, metrics=fv.error_rate)

    def right():
        with torch.no_grad():
            answers = [learn.model.eval()(x).argmax(dim=1) == y for x, y in test]
        return int(torch.cat(answers).sum()), len(test.dataset)

    class Score(fv.Callback):
        order = 100

        def after_epoch(self):
            error_rate = self.learn.recorder.values[-1][-1]
            meter.epoch(right, validation=round(1 - error_rate, 4))

    with learn.no_bar(), learn.no_logging():
        learn.fine_tune(4, cbs=Score())
    meter.finish()


def run_trainer(photos: Path, seed: int, meter: Meter, **arguments) -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Classifier(nn.Module):
        """Takes and gives what Trainer expects."""

        def __init__(self):
            super().__init__()
            self.network = pretrained(len(train.classes))

        def forward(self, pixel_values, labels=None):
            logits = self.network(pixel_values)
            if labels is None:
                return {"logits": logits}
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    def accuracy_of(answers):
        right = answers.predictions.argmax(axis=1) == answers.label_ids
        return {"accuracy": float(right.mean())}

    def collate(rows):
        images, labels = zip(*rows, strict=True)
        return {"pixel_values": torch.stack(images), "labels": torch.tensor(labels)}

    train = ImageFolder(photos / "train", random_crops())
    validation = ImageFolder(photos / "validation", whole_photos(224))
    test = DataLoader(ImageFolder(photos / "test", whole_photos(224)), 8)
    model = Classifier()

    class Score(TrainerCallback):
        def on_epoch_end(self, *_, **__):
            meter.epoch(lambda: score(model.network, test))

    folder = meter.path.with_suffix(".trainer")
    settings = TrainingArguments(
        str(folder), do_train=True, do_eval=True, remove_unused_columns=False, seed=seed,
        disable_tqdm=True, **arguments,
    )  # fmt: skip
    trainer = Trainer(
        model, settings, collate, train, validation, callbacks=[Score()],
        compute_metrics=accuracy_of,
    )  # fmt: skip
    trainer.train()
    trainer.save_model()
    meter.finish(validation=round(trainer.evaluate()["eval_accuracy"], 4))


RIVALS = {
    "document": {
        "name": "the document's recipe: 10 epochs, batch 64, SGD 0.001, float32, N C H W",
        "package": "torch",
        "changes": [
            "import torchvision added, without which it stops",
            "MobileNetV2 and its classifier[1] for ResNet-50 and its fc",
            "the weights asked for by name, not by the deprecated pretrained=True",
            "no worker processes",
            "after each epoch we score the test photos as the tutorial does; as printed (train "
            "mode, random crops) only at the end",
        ],
        "run": run_document,
    },
    "tutorial": {
        "name": "PyTorch's transfer-learning tutorial, fine-tuning all layers: 25 epochs, batch 4, "
        "SGD 0.001, a tenth of it after every 7 epochs",
        "source": "https://docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html",
        "package": "torch",
        "changes": ["MobileNetV2 for ResNet-18", "no worker processes", "CPU"],
        "run": run_tutorial,
    },
    "tutorial_frozen": {
        "name": "the same tutorial's fixed feature extractor: only the last layer is trained",
        "source": "https://docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html",
        "package": "torch",
        "changes": ["MobileNetV2 for ResNet-18", "no worker processes", "CPU"],
        "run": lambda *given: run_tutorial(*given, frozen=True),
    },
    "fastai": {
        "name": "fastai's vision_learner and fine_tune(4), as in its book's chapter 2: 5 epochs, "
        "batch 64, the first one of the head alone; one-cycle rates up to 0.001, its augmentation",
        "source": "https://github.com/fastai/fastbook/blob/master/02_production.ipynb",
        "package": "fastai",
        "changes": [
            "MobileNetV2 for ResNet-18",
            "MobileNetV2 entered in fastai's table of networks (where to cut it, normalisation, "
            "weights): without that vision_learner stops with StopIteration, also with cut=-1, "
            "which it takes and does not pass on",
            "no worker processes, no progress bar",
        ],
        "run": run_fastai,
    },
    "trainer": {
        "name": "Hugging Face's Trainer as run_image_classification.py sets it by default: 3 "
        "epochs, batch 8, AdamW, 0.00005 falling to 0 on a straight line",
        "source": "https://github.com/huggingface/transformers/tree/main/examples/pytorch/"
        "image-classification",
        "package": "transformers",
        "changes": [
            "torchvision's MobileNetV2 in a wrapper, for Hub models could not be downloaded; the "
            "script's default is a ViT, which suits so low a rate better",
            "photos read by torchvision's ImageFolder instead of the datasets package, "
            "which saves time",
            "no progress bar",
        ],
        "run": run_trainer,
    },
    "trainer_rate": {
        "name": "Trainer again, with our choice of rate and epochs: 5 epochs at 0.0005",
        "package": "transformers",
        "changes": ["as above", "learning_rate=0.0005, num_train_epochs=5"],
        "run": lambda *given: run_trainer(*given, learning_rate=5e-4, num_train_epochs=5),
    },
}
OURS = {
    "probe": ["--regime", "probe"],
    "auto": [],
}


def child(rival: str, photos: Path, seed: int, path: Path) -> None:
    """Run a rival in this process."""
    import numpy as np
    import torch

    about = {k: v for k, v in RIVALS[rival].items() if k != "run"}
    package = version(about["package"]).split("+")[0]
    meter = Meter(path, {"rival": rival, "seed": seed, **about, "version": package})
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    RIVALS[rival]["run"](photos, seed, meter)


# --- The parent: one run after the other, and the table. ---


def prepare(rival: str, scratch: Path) -> str:
    """Return the Python that has the rival's package, and all of ours."""
    if rival not in PACKAGES:
        return sys.executable
    folder = scratch / ("rivals_" + PACKAGES[rival].split("[")[0])
    python = folder / "bin" / "python"
    if not (folder / "ready").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        ours = sysconfig.get_path("purelib")
        theirs = next(folder.glob("lib/python*/site-packages"))
        (theirs / "tutorial.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, PACKAGES[rival]], check=True)
        (folder / "ready").touch()
    return str(python)


def yardstick() -> float:
    """Return the CPU time of a fixed training step, which shows how busy the machine is.

    Neighbours on the same core and memory make the same work cost more CPU time.
    """
    import torch
    from torchvision.models import mobilenet_v2

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, images, times = mobilenet_v2(), torch.randn(8, 3, 224, 224), []
    for _ in range(5):
        started = time.process_time()
        model(images).sum().backward()
        times.append(time.process_time() - started)
    return round(statistics.median(times[1:]), 4)


def run_rival(rival: str, photos: Path, seed: int, path: Path, python: str) -> None:
    """Run a rival in a process of its own."""
    command = [python, __file__, "--child", rival, str(photos), str(seed), str(path)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def run_ours(name: str, photos: Path, seed: int, path: Path) -> None:
    """Run our command line as a user would, and read what it leaves behind."""
    out = path.with_suffix(".run")
    shutil.rmtree(out, ignore_errors=True)
    command = ["finetune", str(photos), "--out", str(out), *OURS[name], "--seed", str(seed)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tutorial_utils.finetune", *command],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with status {status}")
    result = json.loads((out / "result.json").read_text())
    test, validation = result["test"], result["validation"]
    log = {
        "rival": name,
        "seed": seed,
        "name": "ours: " + " ".join(["tutorial-utils finetune PHOTOS --out RUN", *OURS[name]]),
        "finished": True,
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "cpu_seconds_to_model": result["cpu_seconds"],
        "peak_memory_mb": used.ru_maxrss // 1024,
        "chosen": result["chosen"],
        "epoch": result["epoch"],
        "validation": round(validation["accuracy"], 4),
        "test_correct": round(test["accuracy"] * test["photos"]),
        "test_photos": test["photos"],
    }
    path.write_text(json.dumps(log, indent=1))
    print(log, flush=True)


def share(correct: int, photos: int) -> dict:
    """Return a share with its interval."""
    from tutorial_utils.evaluation import wilson_interval

    low, high = wilson_interval(correct, photos)
    return {"accuracy": round(correct / photos, 4), "interval": [round(low, 4), round(high, 4)]}


def final(run: dict) -> dict:
    """Return the row of the model that a run hands over: the last epoch's or the one it kept."""
    if "epochs" not in run:
        return run
    return run["epochs"][(run.get("kept_epoch") or len(run["epochs"])) - 1]


def assemble(scratch: Path) -> dict:
    """Make the table of all runs in the scratch folder."""
    from tutorial_utils.results import save_results

    files = sorted(scratch.glob("*-[0-9].json"))
    runs = [
        run
        for run in map(json.loads, (f.read_text() for f in files))
        if "cpu_seconds" in run or run["epochs"]
    ]
    marks = [final(r)["test_correct"] for r in runs if r["rival"] == "document" and r["finished"]]
    mark = max(marks, default=None)
    ways = {}
    for run in runs:
        last = final(run)
        run.setdefault("cpu_seconds", run["epochs"][-1]["cpu_seconds"] if "epochs" in run else None)
        run |= share(last["test_correct"], last["test_photos"])
        reached = None
        for row in run.get("epochs", [last]):
            row |= share(row["test_correct"], row["test_photos"])
            if reached is None and mark is not None and row["test_correct"] >= mark:
                reached = row["cpu_seconds"]
        run["cpu_seconds_to_mark"] = reached
        about = {
            k: run.pop(k) for k in ("name", "source", "package", "version", "changes") if k in run
        }
        way = ways.setdefault(run.pop("rival"), {**about, "runs": []})
        way["runs"].append(run)
    order = [*RIVALS, *OURS]
    ways = {name: ways[name] for name in order if name in ways}
    for way in ways.values():
        way["cpu_seconds"] = statistics.median(r["cpu_seconds"] for r in way["runs"])
        all_reached = [r["cpu_seconds_to_mark"] for r in way["runs"]]
        way["cpu_seconds_to_mark"] = None if None in all_reached else statistics.median(all_reached)
        way["finished"] = all(r["finished"] for r in way["runs"])
    ours = {}
    for name in OURS:
        if name in ways and ways[name]["cpu_seconds_to_mark"] is not None:
            ours[name] = ways[name]["cpu_seconds_to_mark"]
            until = statistics.median(r["cpu_seconds_to_model"] for r in ways[name]["runs"])
            ways[name]["cpu_seconds_to_model"] = ours[name + ", until the model is saved"] = until
    for name, way in ways.items():  # how many times as much as ours
        whole = way["cpu_seconds"] if name == "document" else way["cpu_seconds_to_mark"]
        if name not in OURS and whole is not None:
            way["times_ours"] = {key: round(whole / seconds, 1) for key, seconds in ours.items()}
    results = {
        "photos": {"train": 400, "validation": 120, "test": 120, "classes": 10},
        "mark_correct": mark,
        "threads": 1,
        "target_times": 50,
        "ways": ways,
        "not_run": NOT_RUN,
        "processor": platform.machine(),
        "torch": version("torch").split("+")[0],
    }
    save_results("finetune_rivals", results)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = [*RIVALS, *OURS]
    parser.add_argument("rivals", nargs="*", metavar="RIVAL", help=", ".join(every))
    parser.add_argument("--photos", type=Path, default=DEFAULT_PHOTOS)
    parser.add_argument("--seeds", type=int, nargs="*", help="ours: 0 1 2, rivals: 0, if not given")
    parser.add_argument("--scratch", type=Path, default=Path("_build/finetune_rivals"))
    parser.add_argument("--again", action="store_true", help="run finished ones again")
    parser.add_argument("--assemble", action="store_true", help="only write the table")
    options = parser.parse_args()
    if unknown := set(options.rivals) - set(every):
        parser.error(f"no rival {', '.join(unknown)}; there are {', '.join(every)}")
    if not options.assemble and not (options.photos / "test").is_dir():
        parser.error(f"no photos at {options.photos}: give --photos FOLDER")
    options.scratch.mkdir(parents=True, exist_ok=True)
    for rival in [] if options.assemble else options.rivals or every:
        for seed in options.seeds or (SEEDS if rival in OURS else SEEDS[:1]):
            path = options.scratch / f"{rival}-{seed}.json"
            done = path.is_file() and json.loads(path.read_text())["finished"]
            if done and not options.again:
                continue
            python = prepare(rival, options.scratch)
            before = yardstick()
            if rival in OURS:
                run_ours(rival, options.photos.resolve(), seed, path)
            else:
                run_rival(rival, options.photos.resolve(), seed, path, python)
            log = json.loads(path.read_text())
            path.write_text(json.dumps({**log, "yardstick": [before, yardstick()]}, indent=1))
            assemble(options.scratch)
    assemble(options.scratch)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
    else:
        main()
