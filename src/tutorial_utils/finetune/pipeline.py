"""From a folder of photos to a model: inspect, split, probe, fine-tune if that wins, test once.

``finetune`` is the whole path; ``tutorial-utils finetune`` calls it. See ``runs`` for what it
leaves behind, ``recipe`` for what can be chosen, and ``engine`` for the training itself.
"""

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from torch import nn
from tqdm.auto import tqdm

from tutorial_utils._files import read_lines, read_state, write_json, write_lines, write_state
from tutorial_utils.checkpoints import eval_transform, load_classifier, save_classifier
from tutorial_utils.errors import PhotosError, Stopped
from tutorial_utils.evaluation import accuracy, wilson_interval
from tutorial_utils.finetune.archives import unpack_photos
from tutorial_utils.finetune.distributed import together
from tutorial_utils.finetune.export import export_classifier
from tutorial_utils.finetune.folding import fold_batchnorm
from tutorial_utils.finetune.inspect import Photo, inspect_photos, split_photos
from tutorial_utils.finetune.loading import PhotoDataset, cache_features, feature_key
from tutorial_utils.finetune.lr_finder import range_test, suggest
from tutorial_utils.finetune.model_factory import DTYPES, build_model, choose_precision
from tutorial_utils.finetune.probe import Probe, fit_probe, has_linear_head, probe_logits, put_head
from tutorial_utils.finetune.recipe import Recipe
from tutorial_utils.finetune.report import write_report
from tutorial_utils.finetune.run_folder import CONFIG, RunFolder, command, versions
from tutorial_utils.finetune.trainer import Trainer, predict_shared, stop_requests
from tutorial_utils.finetune.transforms import train_transform
from tutorial_utils.models import head

ACCELERATE_NAMES = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz")
SHARES = (0.7, 0.15, 0.15)


@dataclass(frozen=True)
class Result:
    """What a run ended with: ``chosen`` is ``"probe"`` or ``"fine-tuning"``."""

    path: Path
    chosen: str
    epoch: int
    validation: float
    test: float | None
    interval: tuple[float, float] | None
    test_photos: int


def finetune(
    photos: str | Path,
    out: str | Path,
    recipe: Recipe | None = None,
    resume: bool = False,
    shares: tuple[float, float, float] = SHARES,
    auto_batch: bool = False,
    cpu: bool = False,
    export: Sequence[str] = (),
    say: Callable[[str], None] = print,
    bars: bool = True,
) -> Result:
    """Make a classifier of a folder of photos, and all that belongs to it, in the folder ``out``.

    Args:
        photos: a folder of class folders, or of train / validation / test with class folders; or
            an archive of one (zip, tar), which is unpacked into ``out``.
        out: the run's folder, new or empty; see ``runs``.
        recipe: how; the defaults if not given, when resuming the run's own.
        resume: go on with the run in ``out``.
        shares: of train, validation and test, where the folder does not say.
        auto_batch: if the memory does not suffice, compute batches in more pieces.
        cpu: leave a GPU alone.
        export: other forms to write the model in, of ``export.KINDS``.
        say: gets each line of news.
        bars: show progress bars (in a terminal or notebook).

    Raises:
        PhotosError: the photos or the folder cannot be used; the message says what to change.
        DivergedError: the loss is no number any more; the best epoch is kept.
        Stopped: Ctrl-C; the message says how to go on.
    """
    state = PartialState(cpu=cpu, timeout=timedelta(hours=12))
    say = say if state.is_main_process else lambda _: None
    run = RunFolder(out)
    started = together(state, lambda: _start(run, photos, recipe, resume, shares, say, bars, cpu))
    with run.locked() if state.is_main_process else contextlib.nullcontext():
        job = Job(run, state, started, auto_batch, cpu, say, bars)
        result = job.work()
        job.leave(export)
    return result


def _start(run, photos, recipe, resume, shares, say, bars, cpu) -> dict:
    """Inspect the photos and write the new run's config; or read that of the run to resume."""
    if resume and (run / CONFIG).is_file():
        config = RunFolder.open(run.path).config()
        stored = Recipe.from_json(config["recipe"])
        if recipe is not None and recipe != stored:
            odd = [k for k, v in recipe.to_json().items() if v != config["recipe"].get(k)]
            raise PhotosError(
                f"{run.path} was begun with another {', '.join(odd)}; a resumed run keeps its "
                "recipe. Leave these options out, or start a new run."
            )
        if config["source"] != str(Path(photos).resolve()):
            raise PhotosError(f"{run.path} is a run on {config['source']}, not on {photos}.")
        return config
    recipe = recipe or Recipe()
    RunFolder.create(run.path)
    with run.locked():
        source = Path(photos).resolve()
        if source.is_file() and source.suffix.lower() in ARCHIVES:
            photos = unpack_photos(source, run / "photos")
        found = inspect_photos(photos, progress=bars)
        say(found.summary())
        splits = split_photos(found, recipe.seed, shares)
        for name in ("train", "validation"):
            if not splits[name]:
                raise PhotosError(f"too few photos: none is left for {name}; add some.")
        say(", ".join(f"{len(part):,} {name}" for name, part in splits.items()))
        write_lines(
            run / "split.jsonl",
            [
                {**dataclasses.asdict(photo), "split": name}
                for name, part in splits.items()
                for photo in part
            ],
        )
        write_json(run / "inspection.json", {"summary": found.summary(), "notes": found.notes})
        config = {
            "source": str(source),
            "photos": str(Path(photos).resolve()),
            "classes": found.classes,
            "recipe": recipe.to_json(),
            "shares": list(shares),
            "command": command(),
            "versions": versions(),
            "threads": torch.get_num_threads(),
        }
        write_json(run / CONFIG, config)
    return config


def read_split(run: RunFolder) -> dict[str, list[Photo]]:
    """Return the photos of a run's splits."""
    parts = {"train": [], "validation": [], "test": []}
    for row in read_lines(run / "split.jsonl"):
        parts[row["split"]].append(Photo(**row))
    return parts


class Job:
    """The work of one call of ``finetune``: model, data and devices of a run."""

    def __init__(self, run, state, config, auto_batch, cpu, say, bars):
        self.run, self.state, self.config, self.say = run, state, config, say
        self.auto_batch, self.cpu, self.bars = auto_batch, cpu, bars and state.is_main_process
        self.recipe, self.classes = Recipe.from_json(config["recipe"]), config["classes"]
        self.main = state.is_main_process
        self.splits = read_split(run)
        if self.recipe.precision == "float16" and state.device.type != "cuda":
            raise PhotosError("precision float16 needs a CUDA GPU; use bfloat16, float32 or auto.")

    def work(self) -> Result:
        """Do what is left to do, and return the result."""
        if (self.run / "result.json").is_file():
            self.say(f"{self.run.path} is finished.")
            return read_result(self.run)
        torch.manual_seed(self.recipe.seed)
        self.model, self.preprocessing = together_build(self.state, self.recipe, len(self.classes))
        self.plain_transform = eval_transform(**self.preprocessing)
        regime = self.recipe.regime
        can_probe = has_linear_head(self.model)
        if regime == "probe" and not can_probe:
            raise PhotosError(f"{self.recipe.model} has no linear last layer to probe; use full.")
        best = None
        if regime in ("auto", "probe", "head-then-full") and can_probe:
            probe, row = together(self.state, self.probe)
            put_head(self.model, probe)
            if regime != "head-then-full":
                best = row
            self.say(
                f"linear probe: validation accuracy {row['accuracy']:.3f} "
                f"(strength {probe.strength:.3g})"
            )
        if regime == "probe":
            together(self.state, lambda: self.save_best(self.model))
        else:
            best = self.train(best)
        return self.finish(best)

    def leave(self, export: Sequence[str]) -> None:
        """Write the report and the exported models, where they are missing."""
        if not self.main:
            return
        if not (self.run / "report.html").is_file():
            write_report(self.run.path)
        self.say(f"report: {self.run / 'report.html'}")
        for kind in export:
            path = export_classifier(load_classifier(self.run / "best.pt"), self.run.path, kind)
            self.say(f"exported and checked: {path}")

    # --- The parts. ---

    def data(self, split: str, transform, read_size: int) -> PhotoDataset:
        """Return a split's photos."""
        return PhotoDataset(
            self.config["photos"], self.splits[split], transform, read_size, self.recipe.seed
        )

    def plain_data(self, split: str) -> PhotoDataset:
        """Return a split's photos without chance."""
        return self.data(split, self.plain_transform, self.preprocessing["resize"])

    def probe(self) -> tuple[Probe, dict]:
        """Return the probe and its row of the log: the stored one, or a new one."""
        path = self.run / "probe.pt"
        if path.is_file():
            stored = read_state(path)
            return Probe(**stored["probe"]), stored["row"]
        device = self.state.device
        model = self.model.to(device)
        precision, seconds = self.precision(train=False)
        key = feature_key(model, f"{self.preprocessing} {precision}", [])
        features, backbone = {}, head_inputs(model, device, precision)
        for split in ("train", "validation"):
            features[split] = cache_features(
                backbone,
                self.plain_data(split),
                self.run / f"features-{split}-{key}.npy",
                device,
                batch_size=16 if device.type == "cpu" else 128,
                workers=self.recipe.workers,
                progress=self.bars,
            )
        labels = {s: torch.tensor([p.label for p in self.splits[s]]) for s in features}
        probe = fit_probe(
            features["train"], labels["train"], features["validation"], labels["validation"],
            len(self.classes), class_weights=self.class_weights(),
            with_bias=head(model).bias is not None,
        )  # fmt: skip
        logits = probe_logits(probe, features["validation"])
        row = {
            "epoch": 0,
            "validation_loss": nn.functional.cross_entropy(logits, labels["validation"]).item(),
            "accuracy": accuracy(logits, labels["validation"]),
            "precision": precision,
            "trial_seconds": seconds,
        }
        write_state(self.run / "validation.pt", {"logits": logits, "labels": labels["validation"]})
        write_state(path, {"probe": vars(probe), "row": row})
        return probe, row

    def precision(self, train: bool) -> tuple[str, dict]:
        """Return the precision to compute in, and the trial's times if there was one."""
        if self.recipe.precision != "auto":
            return self.recipe.precision, {}
        asked = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
        for name, theirs in ACCELERATE_NAMES.items():
            if theirs == asked != "no":
                return name, {}
        model = self.model.to(self.state.device)
        return choose_precision(model, self.preprocessing["crop"], self.state.device, train)

    def class_weights(self) -> torch.Tensor | None:
        """Return each class's weight, inverse to its frequency; their mean over the photos is 1."""
        if not self.recipe.class_weights:
            return None
        labels = torch.tensor([photo.label for photo in self.splits["train"]])
        counts = torch.bincount(labels, minlength=len(self.classes)).clamp_min(1)
        return len(labels) / (len(self.classes) * counts.double())

    def train(self, best: dict | None) -> dict:
        """Fine-tune, from the last finished epoch on, and return the best epoch's row.

        ``best`` is the probe's row, if the probe may be the result.
        """
        stored = together(self.state, self.run.last)
        if stored is None:
            precision = together(self.state, lambda: self.precision(train=True))[0]
        else:
            precision = stored["precision"]
        AcceleratorState._reset_state(reset_partial_state=False)  # a call before may have differed
        accelerator = Accelerator(
            cpu=self.cpu,
            mixed_precision=ACCELERATE_NAMES[precision],
            step_scheduler_with_optimizer=False,
        )
        recipe, resize = self.recipe, self.preprocessing["resize"]
        transform = train_transform(recipe.augmentation, self.preprocessing)
        trainer = Trainer(
            recipe, self.model, self.data("train", transform, resize),
            self.plain_data("validation"), len(self.classes), accelerator, self.class_weights(),
            self.auto_batch,
        )  # fmt: skip
        now = trainer.progress
        if stored is not None:
            trainer.restore(stored["trainer"])
            now = trainer.progress
            self.say(f"going on after epoch {now.epoch}, step {now.step}")
            if self.main:
                write_lines(self.run / "log.jsonl", self.run.history(now.epoch))
        else:
            if recipe.find_lr:
                self.find_lr(trainer)
            now.best = best
            if self.main:
                if best is not None:
                    self.save_best(trainer.plain)
                write_lines(self.run / "log.jsonl", [best] if best else [])
        self.say(
            f"fine-tuning in {precision} on {accelerator.device} ({trainer.steps} steps an epoch)"
        )

        def save() -> None:
            if self.main:
                write_state(
                    self.run / "last.pt", {"trainer": trainer.state(), "precision": precision}
                )

        bar = tqdm(
            total=recipe.epochs * trainer.steps, initial=now.epoch * trainer.steps + now.step,
            unit="step", desc="train", disable=None if self.bars else True,
        )  # fmt: skip
        with bar, stop_requests() as stop_asked:

            def after_step() -> None:
                bar.update()
                bar.set_postfix(loss=f"{now.loss / now.photos:.3f}", refresh=False)
                if stop_asked() and trainer.processes == 1:
                    save()
                    raise Stopped(
                        f"stopped in epoch {now.epoch + 1} after step {now.step}; nothing is lost. "
                        f"Go on with: {self.how_to_resume()}"
                    )

            while now.epoch < recipe.epochs and not self.patience_is_over(now):
                bar.set_description(f"epoch {now.epoch + 1}/{recipe.epochs}")
                row = trainer.run_epoch(after_step)
                row["precision"], row["pieces"] = precision, now.pieces
                if is_better(row, now.best):
                    now.best, now.since_best = row, 0
                    if self.main:
                        self.save_best(trainer.current())
                        logits, labels = trainer.outputs
                        write_state(
                            self.run / "validation.pt", {"logits": logits, "labels": labels}
                        )
                else:
                    now.since_best += 1
                if self.main:
                    self.run.log(row)
                save()  # the last thing: from here on the epoch counts
                bar.write(describe(row)) if not bar.disable else self.say(describe(row))
        return now.best

    def find_lr(self, trainer: Trainer) -> None:
        """Set the trainer's learning rate by a range test, and note it in the run's folder."""
        rows = range_test(trainer)
        lr = suggest(rows)
        trainer.set_highest(lr)
        self.say(f"learning rate {lr:.2g}, from a range test of {len(rows)} steps")
        if self.main:
            write_json(self.run / "lr.json", {"lr": lr, "rows": rows})

    def patience_is_over(self, now) -> bool:
        """Tell whether the last better epoch is too long ago."""
        return 0 < self.recipe.patience <= now.since_best

    def how_to_resume(self) -> str:
        """Return the command that goes on with this run."""
        return f"tutorial-utils finetune {self.config['source']} --out {self.run.path} --resume"

    def save_best(self, model: nn.Module) -> None:
        """Write best.pt."""
        save_classifier(
            self.run / "best.pt", model, self.recipe.model, self.classes, self.preprocessing
        )

    def finish(self, best: dict) -> Result:
        """Open the test set, write the result and return it."""
        seconds = time.process_time()
        self.state.wait_for_everyone()
        self.model = None
        classifier = load_classifier(self.run / "best.pt", self.state.device)
        if self.recipe.channels_last:
            classifier.model.to(memory_format=torch.channels_last)
        fold_batchnorm(classifier.model)
        outputs = None
        if self.splits["test"]:
            data = self.plain_data("test")
            outputs = predict_shared(classifier.model, data, self.state, self.recipe.workers)
        if self.main:
            if outputs is not None:
                write_state(self.run / "test.pt", {"logits": outputs[0], "labels": outputs[1]})
            write_json(self.run / "result.json", summarise(best, self.run, seconds))
            for path in self.run.path.glob("features-*.npy"):
                path.unlink()
        self.state.wait_for_everyone()
        result = read_result(self.run)
        self.say(
            f"best: {result.chosen}" + (f" (epoch {result.epoch})" if result.epoch else "")
            + f", validation accuracy {result.validation:.3f}"
        )  # fmt: skip
        if result.test is not None:
            low, high = result.interval
            self.say(
                f"test accuracy {result.test:.3f} on {result.test_photos} photos "
                f"(95 % interval {low:.3f} to {high:.3f})"
            )
        return result


def together_build(state, recipe: Recipe, num_classes: int) -> tuple[nn.Module, dict]:
    """Build the model in every process; the main one first, as it may have to fetch the weights."""
    with state.main_process_first():
        torch.manual_seed(recipe.seed)
        return build_model(recipe, num_classes)


def head_inputs(model: nn.Module, device: torch.device, precision: str) -> Callable:
    """Return a function from images to what the model's head sees of them, in eval mode."""
    model.eval()

    def features(images: torch.Tensor) -> torch.Tensor:
        seen = []
        hook = head(model).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        amp = torch.autocast(device.type, DTYPES[precision], enabled=precision != "float32")
        try:
            with torch.inference_mode(), amp:
                model(images)
        finally:
            hook.remove()
        return seen[-1]

    return features


def is_better(row: dict, best: dict | None) -> bool:
    """Tell whether an epoch beats the best so far: by accuracy, if equal by loss, on validation."""
    if best is None:
        return True
    return (row["accuracy"], -row["validation_loss"]) > (best["accuracy"], -best["validation_loss"])


def describe(row: dict) -> str:
    """Return one line about an epoch."""
    return (
        f"epoch {row['epoch']}: train loss {row['train_loss']:.3f}, validation loss "
        f"{row['validation_loss']:.3f}, accuracy {row['accuracy']:.3f}"
    )


def summarise(best: dict, run: RunFolder, seconds: float) -> dict:
    """Return what result.json says.

    ``seconds`` is the CPU time of this process from its start until the best model was saved.
    """
    result = {
        "chosen": "fine-tuning" if best["epoch"] else "probe",
        "epoch": best["epoch"],
        "cpu_seconds": round(seconds, 2),
    }
    for split in ("validation", "test"):
        if (run / f"{split}.pt").is_file():
            outputs = read_state(run / f"{split}.pt")
            logits, labels = outputs["logits"], outputs["labels"]
            correct = int((logits.argmax(dim=1) == labels).sum())
            result[split] = {
                "photos": len(labels),
                "accuracy": correct / len(labels),
                "interval": wilson_interval(correct, len(labels)),
                "loss": nn.functional.cross_entropy(logits, labels).item(),
            }
    return result


def read_result(run: RunFolder) -> Result:
    """Return the result of a finished run.

    Raises:
        PhotosError: the run is not finished.
    """
    if not (run / "result.json").is_file():
        raise PhotosError(f"{run.path} is not finished; go on with --resume.")
    values = json.loads((run / "result.json").read_text(encoding="utf-8"))
    test = values.get("test")
    return Result(
        run.path,
        values["chosen"],
        values["epoch"],
        values["validation"]["accuracy"],
        test and test["accuracy"],
        test and tuple(test["interval"]),
        test["photos"] if test else 0,
    )
