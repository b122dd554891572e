"""From a folder of photos to a model, in the order in which it happens.

Open the run, inspect, split, build, probe, fine-tune, choose, test once, report: one function each,
over one small context. ``finetune`` calls them; ``tutorial-utils finetune`` calls it. See
``run_folder`` for what a run leaves behind, ``recipe`` for what can be chosen, and ``trainer`` for
the training itself.
"""

import contextlib
import dataclasses
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from torch import nn
from tqdm.auto import tqdm

from tutorial_utils._files import read_lines, read_state, write_json, write_lines, write_state
from tutorial_utils.checkpoints import eval_transform, load_classifier, save_classifier
from tutorial_utils.errors import BookError, PhotosError, Stopped
from tutorial_utils.evaluation import accuracy, fit_temperature
from tutorial_utils.finetune.augmentation import train_transform
from tutorial_utils.finetune.distributed import on_main_process
from tutorial_utils.finetune.features import cache_features, feature_key, head_inputs
from tutorial_utils.finetune.lr_finder import range_test, suggest
from tutorial_utils.finetune.model_factory import build_model, choose_precision, pick_weights
from tutorial_utils.finetune.probe import (
    Probe,
    cross_validate,
    fit_path,
    has_linear_head,
    learning_curve,
    probe_logits,
    put_head,
)
from tutorial_utils.finetune.recipe import Recipe
from tutorial_utils.finetune.report import write_report
from tutorial_utils.finetune.run_folder import (
    CONFIG,
    RunFolder,
    command,
    paste,
    versions,
    write_csv,
)
from tutorial_utils.finetune.trainer import Trainer, predict_shared, stop_requests
from tutorial_utils.inference.evaluate import figures
from tutorial_utils.inference.export import export_classifier
from tutorial_utils.inference.predict import answers_of, asked_model, csv_rows, load
from tutorial_utils.models import head
from tutorial_utils.photo_folder.archives import is_archive, unpack_photos
from tutorial_utils.photo_folder.inspect import FEW_TEST, Photo, inspect_photos, ordered_skips
from tutorial_utils.photo_folder.loading import PhotoDataset
from tutorial_utils.photo_folder.split import (
    SHARES,
    copies_of_training,
    group_numbers,
    read_split,
    split_photos,
    write_split,
)

MAY_CHANGE = {"epochs", "patience", "workers"}  # of a recipe, when a run goes on
MARGIN = 1.64  # standard errors by which fine-tuning must beat the probe (one-sided 95 %)
RARE = 0.05  # share of the held-out photos that the threshold for "none of these" gives up


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


@dataclass
class Run:
    """The context of one call: where, on what, with which device and who listens."""

    folder: RunFolder
    state: PartialState
    log: Callable[[str], None] = print
    progress: bool = True
    cpu: bool = False
    auto_batch: bool = False
    config: dict = field(default_factory=dict)
    splits: dict[str, list[Photo]] = field(default_factory=dict)
    model: nn.Module | None = None
    preprocessing: dict = field(default_factory=dict)

    @property
    def recipe(self) -> Recipe:
        """The recipe as it is stored: ``auto`` has been decided."""
        return Recipe.from_json(self.config["recipe"])

    @property
    def classes(self) -> list[str]:
        """The class names, index = label."""
        return self.config["classes"]

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.state.is_main_process

    @property
    def pool(self) -> list[Photo]:
        """All photos but the test's."""
        return self.splits["train"] + self.splits["validation"]

    def data(self, photos: Sequence[Photo], transform=None) -> PhotoDataset:
        """Return photos, preprocessed without augmentation if no transform is given."""
        return PhotoDataset(
            self.config["photos"], photos, transform or eval_transform(**self.preprocessing),
            self.preprocessing["resize"], self.recipe.seed, self.recipe.max_pixels,
        )  # fmt: skip


def finetune(
    photos: str | Path,
    out: str | Path,
    recipe: Recipe | None = None,
    resume: bool = False,
    shares: tuple[float, float, float] = SHARES,
    auto_batch: bool = False,
    cpu: bool = False,
    export: Sequence[str] = (),
    log: Callable[[str], None] = print,
    progress: bool = True,
    layout: dict | None = None,
) -> Result:
    """Make a classifier of a folder of photos, and all that belongs to it, in the folder ``out``.

    Args:
        photos: a folder of class folders, or of train / validation / test with class folders; or
            an archive of one (zip, tar), which is unpacked into ``out``.
        out: the run's folder, new or empty; see ``run_folder``.
        recipe: how; the defaults if not given, when resuming the run's own.
        resume: go on with the run in ``out``; a recipe may then ask for more epochs.
        shares: of train, validation and test, where the folder does not say.
        auto_batch: if the memory does not suffice, compute batches in more micro-batches.
        cpu: leave a GPU alone.
        export: other forms to write the model in, of ``export.KINDS``.
        log: gets each line of news.
        progress: show progress bars (in a terminal or notebook).
        layout: how to read the folder: ``labels``, ``label_pattern``, ``groups``, ``classes`` of
            ``listing.list_photos``.

    Raises:
        BookError: its children say what cannot be used, that the loss diverged, or that Ctrl-C was
            pressed, and how to go on.
    """
    state = PartialState(cpu=cpu, timeout=timedelta(hours=12))
    log = log if state.is_main_process else lambda _: None
    run = Run(RunFolder(out), state, log, progress and state.is_main_process, cpu, auto_batch)
    run.config = on_main_process(
        state, lambda: open_run(run, Path(photos), recipe, resume, shares, layout or {})
    )
    with run.folder.locked() if run.main else contextlib.nullcontext():
        if not (run.folder / "result.json").is_file():
            run.splits = read_split(run.folder / "split.jsonl")
            started = time.process_time()
            build(run)
            probed = on_main_process(state, lambda: probe(run))
            tuned = fine_tune(run, probed)
            on_main_process(state, lambda: choose(run, probed, tuned, started))
            test_once(run)
        else:
            log(f"{run.folder.path} is finished.")
        result = read_result(run.folder)
        if run.main:
            say_result(run, result)
            write_outputs(run, export)
        return result


# --- Open, inspect, split. ---


def open_run(run: Run, photos: Path, recipe: Recipe | None, resume: bool, shares, layout) -> dict:
    """Return the config of the run to resume, or of a new one; refused, that leaves nothing."""
    if resume and (run.folder / CONFIG).is_file():
        return reopen(run, photos, recipe)
    recipe, device = recipe or Recipe(), run.state.device
    pick_weights(recipe)  # a mistyped name is found before any work
    if recipe.precision == "auto":
        recipe = dataclasses.replace(recipe, precision=choose_precision(device))
    if recipe.precision == "float16" and device.type != "cuda":
        raise PhotosError("precision float16 needs a CUDA GPU; use bfloat16, float32 or auto.")
    was_there = run.folder.path.is_dir()
    RunFolder.create(run.folder.path)
    try:
        with run.folder.locked():
            config = begin(run, photos, recipe, shares, layout) | {"made_folder": not was_there}
            write_json(run.folder / CONFIG, config)
            return config
    except BaseException:
        discard(run.folder, was_there)
        raise


def begin(run: Run, photos: Path, recipe: Recipe, shares, layout: dict) -> dict:
    """Inspect and split the photos; write what was found, and return the config."""
    folder, source = run.folder, photos.resolve() if photos.exists() else photos
    if is_archive(source):
        photos = unpack_photos(source, folder / "photos")
    found = inspect_photos(photos, run.progress, max_pixels=recipe.max_pixels, **layout)
    run.log(found.summary())
    earlier = read_split(Path(recipe.start) / "split.jsonl") if recipe.start else {}
    earlier = {photo.sha: split for split, part in earlier.items() for photo in part}
    splits = split_photos(found, recipe.seed, shares, earlier)
    if not splits["train"]:
        raise PhotosError("too few photos: none is left for train; add some.")
    run.log(", ".join(f"{len(part):,} {name}" for name, part in splits.items()))
    if (tests := len(splits["test"])) < FEW_TEST:
        run.log(f"note: {tests} test photos say next to nothing; {FEW_TEST} would be few")
    write_split(folder / "split.jsonl", splits)
    write_json(folder / "inspection.json", found.to_json() | {"summary": found.summary()})
    write_csv(folder / "skipped.csv", [("file", "reason"), *ordered_skips(found.skipped)])
    groups = group_numbers(found, splits["train"] + splits["validation"])
    return {
        "source": str(source), "photos": str(photos.resolve()), "classes": found.classes,
        "layout": {k: str(v) if isinstance(v, Path) else v for k, v in layout.items()},
        "recipe": recipe.to_json(), "shares": list(shares), "command": command(),
        "copies": sorted(copies_of_training(found, splits)), "versions": versions(),
        "groups": groups.tolist(), "threads": torch.get_num_threads(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"), "test_opened": 0,
    }  # fmt: skip


def reopen(run: Run, photos: Path, recipe: Recipe | None) -> dict:
    """Return a begun run's config; more epochs, or another place of the photos, are noted in it."""
    folder = run.folder
    before = folder.config()
    stored, asked = Recipe.from_json(before["recipe"]), recipe.to_json() if recipe else {}
    given = {k: v for k, v in asked.items() if v != getattr(Recipe, k)}  # the class's: the default
    changed = {k: v for k, v in given.items() if v != getattr(stored, k)}
    if wrong := [k for k in changed if k not in MAY_CHANGE]:
        raise PhotosError(
            f"{folder.path} was begun with another {', '.join(wrong)}; a resumed run keeps its "
            f"recipe, but for {', '.join(sorted(MAY_CHANGE))}. Leave these options out, or "
            "start a new run (from this one's model: --start)."
        )
    config, place = before | {"recipe": stored.to_json() | changed}, photos.resolve()
    if str(place) not in (config["source"], config["photos"]):
        rows = read_lines(folder / "split.jsonl")
        if not place.is_dir() or any(not (place / row["path"]).is_file() for row in rows):
            raise PhotosError(f"{folder.path} is a run on {config['source']}, not on {photos}.")
        config |= {"source": str(place), "photos": str(place)}
    if changed and (folder / "result.json").is_file():
        run.log("the test photos were used before: the new test accuracy is a little too good")
        for name in ("result.json", "report.html"):
            (folder / name).unlink(missing_ok=True)
    if config != before:
        write_json(folder / CONFIG, config)
    return config


def discard(folder: RunFolder, was_there: bool) -> None:
    """Remove what a refused call has written, so that the next one finds the place free."""
    with contextlib.suppress(OSError):
        shutil.rmtree(folder / "photos", ignore_errors=True)
        for name in ("split.jsonl", "inspection.json", "skipped.csv", CONFIG, "run.lock"):
            (folder / name).unlink(missing_ok=True)
        if not was_there:
            folder.path.rmdir()


# --- Build, probe. ---


def build(run: Run) -> None:
    """Build the model in every process; the main one first, as it may have to fetch the weights."""
    torch.manual_seed(run.recipe.seed)
    try:
        with run.state.main_process_first():
            torch.manual_seed(run.recipe.seed)
            run.model, run.preprocessing = build_model(run.recipe, run.classes)
        if run.recipe.regime == "probe" and not has_linear_head(run.model):
            raise PhotosError(f"{run.recipe.model} has no linear last layer to probe; use full.")
    except BookError:
        begun = any(run.folder.path.glob("features-*")) or (run.folder / "log.jsonl").is_file()
        if run.main and not begun:
            discard(run.folder, was_there=not run.config.get("made_folder"))
        raise


def probe(run: Run) -> dict | None:
    """Return what the cross-validated probe found, stored or new; None if there is to be none.

    ``final`` is the probe that was fitted on all photos but the test's, ``first`` the one fitted on
    the training photos alone: fine-tuning starts from that and is compared with it.
    """
    recipe, path, pool = run.recipe, run.folder / "probe.pt", run.pool
    if recipe.regime not in ("auto", "probe", "head-then-full") or not has_linear_head(run.model):
        return None
    if path.is_file():
        return read_state(path)
    device = run.state.device
    model = run.model.to(device)
    plain = head_inputs(model, device, recipe.precision)

    def features_of(images: torch.Tensor) -> torch.Tensor:
        """Return (N, D), or with mirrored photos beside them (N, 2 D)."""
        found = [plain(images)]
        if recipe.mirror:
            found.append(plain(images.flip(3)))
        return torch.cat([part.flatten(1) for part in found], dim=1)

    key = feature_key(model, f"{run.preprocessing} {recipe.precision} {recipe.mirror}", pool)
    both = cache_features(
        features_of, run.data(pool), run.folder / f"features-{key}.npy", device,
        batch_size=16 if device.type == "cpu" else 128, workers=recipe.workers,
        progress=run.progress,
    )  # fmt: skip
    width = both.shape[1] // (2 if recipe.mirror else 1)
    features, mirrored = both[:, :width], both[:, width:] if recipe.mirror else None
    labels = torch.tensor([photo.label for photo in pool])
    groups, options = np.array(run.config["groups"]), {"with_bias": head(model).bias is not None}
    options["class_weights"] = class_weights(run, labels)
    found = cross_validate(
        features, labels, groups, len(run.classes), mirrored, seed=recipe.seed, **options
    )
    n = len(run.splits["train"])
    if len(labels.unique()) == len(labels[:n].unique()) and n < len(labels):
        x, y = torch.from_numpy(np.array(features[:n])).float(), labels[:n]
        if found.mirror:
            x = torch.cat([x, torch.from_numpy(np.array(mirrored[:n])).float()])
            y = y.repeat(2)
        *_, first = fit_path(x, y, len(run.classes), [found.probe.l2], **options)
        logits = probe_logits(first, features[n:])
        if found.mirror:
            logits = (logits + probe_logits(first, mirrored[n:])) / 2
    else:
        first, logits = found.probe, None
    truth = labels[found.rows]
    row = {
        "epoch": 0, "folds": found.folds, "l2": found.probe.l2, "mirror": found.mirror,
        "validation_loss": nn.functional.cross_entropy(found.logits, truth).item(),
        "accuracy": accuracy(found.logits, truth), "precision": recipe.precision,
    }  # fmt: skip
    run.log(
        f"linear probe: cross-validated accuracy {row['accuracy']:.3f} on {len(truth)} photos "
        f"({found.folds} folds, L2 {found.probe.l2:.3g}"
        + (", with mirrored photos)" if found.mirror else ")")
    )
    stored = {
        "final": vars(found.probe), "first": vars(first), "row": row, "mirror": found.mirror,
        "logits": found.logits, "rows": found.rows, "validation": logits,
        "curve": learning_curve(features, labels, groups, len(run.classes), found.probe.l2),
    }  # fmt: skip
    write_state(path, stored)
    return stored


def class_weights(run: Run, labels: torch.Tensor) -> torch.Tensor | None:
    """Return each class's weight, inverse to its frequency; their mean over the photos is 1."""
    if not run.recipe.class_weights:
        return None
    counts = torch.bincount(labels, minlength=len(run.classes)).clamp_min(1)
    return len(labels) / (len(run.classes) * counts.double())


# --- Fine-tune. ---


def fine_tune(run: Run, probed: dict | None) -> dict | None:
    """Fine-tune from the last finished epoch on; return the best epoch's row, None if none."""
    recipe = run.recipe
    if recipe.regime == "probe":
        return None
    if not run.splits["validation"]:
        if recipe.regime == "auto" and probed is not None:
            run.log("too few photos to judge fine-tuning: the probe it is")
            return None
        raise PhotosError(
            "too few photos: none is left for validation. Each class needs three or more photos, "
            "or use --regime probe."
        )
    if probed is not None:
        put_head(run.model, Probe(**probed["first"]))
    stored = on_main_process(run.state, run.folder.last)
    accelerator = Accelerator(
        cpu=run.cpu, mixed_precision="no", step_scheduler_with_optimizer=False
    )
    train, validation = run.splits["train"], run.splits["validation"]
    labels = torch.tensor([photo.label for photo in train])
    trainer = Trainer(
        recipe, run.model,
        run.data(train, train_transform(recipe.augmentation, run.preprocessing)),
        run.data(validation), len(run.classes), accelerator, recipe.precision,
        run.preprocessing["crop"], class_weights(run, labels), run.auto_batch,
    )  # fmt: skip
    if stored is not None:
        trainer.restore(stored["trainer"])
        now = trainer.progress
        run.log(f"going on after epoch {now.epoch}, step {now.step}")
        if run.main:
            write_lines(run.folder / "log.jsonl", run.folder.history(now.epoch))
    else:
        if recipe.find_lr:
            find_lr(run, trainer)
        if run.main:
            write_lines(run.folder / "log.jsonl", [probed["row"]] if probed else [])
    run.log(
        f"fine-tuning in {recipe.precision} on {accelerator.device} ({trainer.steps} steps for "
        "each epoch)"
    )
    train_epochs(run, trainer)
    return trainer.progress.best


def train_epochs(run: Run, trainer: Trainer) -> None:
    """Do the epochs that are left, each stored before the next begins; stop early if it is over."""
    recipe, now = run.recipe, trainer.progress

    def save() -> None:
        if run.main:
            write_state(run.folder / "last.pt", {"trainer": trainer.state()})

    bar = tqdm(
        total=recipe.epochs * trainer.steps, initial=now.epoch * trainer.steps + now.step,
        unit="step", desc="train", disable=None if run.progress else True,
    )  # fmt: skip
    with bar, stop_requests() as stop_asked:

        def after_step() -> None:
            bar.update()
            bar.set_postfix(loss=f"{now.loss / now.photos:.3f}", refresh=False)
            if stop_asked() and trainer.processes == 1:
                save()
                source, out = run.config["source"], str(run.folder.path)
                raise Stopped(
                    f"stopped in epoch {now.epoch + 1} after step {now.step}; nothing is lost. "
                    f"Go on with: {paste(['finetune', source, '--out', out, '--resume'])}"
                )

        while now.epoch < recipe.epochs:
            if 0 < recipe.patience <= now.since_best:
                run.log(f"the validation loss has not fallen for {recipe.patience} epochs: stopped")
                break
            bar.set_description(f"epoch {now.epoch + 1}/{recipe.epochs}")
            row = trainer.run_epoch(after_step)
            row["micro_batches"] = now.micro_batches
            if now.best is None or row["validation_loss"] < now.best["validation_loss"]:
                now.best, now.since_best = row, 0
                if run.main:
                    save_model(run, run.folder / "tuned.pt", trainer.current())
                    logits, labels = trainer.outputs
                    write_state(run.folder / "validation.pt", {"logits": logits, "labels": labels})
            else:
                now.since_best += 1
            if run.main:
                run.folder.log(row)
            save()  # the last thing: from here on the epoch counts
            (run.log if bar.disable else bar.write)(
                f"epoch {row['epoch']}: train loss {row['train_loss']:.3f}, validation loss "
                f"{row['validation_loss']:.3f}, accuracy {row['accuracy']:.3f}"
            )


def find_lr(run: Run, trainer: Trainer) -> None:
    """Set the trainer's learning rate by a range test, and note it in the run's folder."""
    rows = range_test(trainer)
    lr = suggest(rows)
    trainer.set_lr(lr)
    run.log(f"learning rate {lr:.2g}, from a range test of {len(rows)} steps")
    if run.main:
        write_json(run.folder / "lr.json", {"lr": lr, "rows": rows})


def save_model(run: Run, path: Path, model: nn.Module, decision: dict | None = None) -> None:
    """Write a model with its classes and preprocessing."""
    save_classifier(path, model, run.recipe.model, run.classes, run.preprocessing, decision)


# --- Choose, test once, report. ---


def choose(run: Run, probed: dict | None, tuned: dict | None, started: float) -> None:
    """Write best.pt: the probe, unless fine-tuning is better by a margin that the photos carry.

    Both are compared photo by photo on the validation photos, which neither has learned from, each
    at its own best temperature: fine-tuning must be right on as many of them, and its loss must be
    lower by ``MARGIN`` standard errors of the paired difference.
    """
    evidence, take_tuned = {}, tuned is not None
    if tuned is not None:
        kept = read_state(run.folder / "validation.pt")
        logits, labels = kept["logits"], kept["labels"]
        rows = torch.arange(len(run.splits["train"]), len(run.pool))
        if run.recipe.regime == "auto" and probed is not None and probed["validation"] is not None:
            evidence = paired_evidence(probed["validation"], logits, labels)
            take_tuned = evidence["take_tuned"]
            stays = "no margin that counts: the probe stays"
            run.log(evidence["said"] + (": fine-tuning is taken" if take_tuned else f": {stays}"))
    if take_tuned:
        model = load_classifier(run.folder / "tuned.pt").model
        mirror, epoch = False, tuned["epoch"]
    else:
        model = put_head(build_model(run.recipe, run.classes)[0], Probe(**probed["final"]))
        logits, rows, mirror, epoch = probed["logits"], probed["rows"], probed["mirror"], 0
        labels = torch.tensor([run.pool[i].label for i in rows.tolist()])
    temperature = fit_temperature(logits, labels)
    sure = (logits / temperature).softmax(dim=1).amax(dim=1)
    decision = {
        "temperature": temperature, "threshold": sure.quantile(RARE).item(), "mirror": mirror,
    }  # fmt: skip
    save_model(run, run.folder / "best.pt", model, decision)
    write_state(run.folder / "held_out.pt", {"logits": logits, "labels": labels, "rows": rows})
    result = {
        "chosen": "fine-tuning" if epoch else "probe", "epoch": epoch, "evidence": evidence,
        "cpu_seconds": round(time.process_time() - started, 2), "decision": decision,
        "validation": figures(logits, labels), "folds": probed["row"]["folds"] if probed else 0,
    }  # fmt: skip
    write_json(run.folder / "chosen.json", result)


def paired_evidence(probe_says: torch.Tensor, tuned_says: torch.Tensor, labels) -> dict:
    """Compare two models on the same photos: who is right where, and the paired loss difference."""
    right = [says.argmax(dim=1) == labels for says in (probe_says, tuned_says)]
    losses = [
        nn.functional.cross_entropy(says / fit_temperature(says, labels), labels, reduction="none")
        for says in (probe_says, tuned_says)
    ]
    difference = (losses[0] - losses[1]).double()
    error = (difference.std() / len(labels) ** 0.5).item() if len(labels) > 1 else float("inf")
    gain, (probe_right, tuned_right) = difference.mean().item(), [int(r.sum()) for r in right]
    return {
        "photos": len(labels), "probe_right": probe_right, "tuned_right": tuned_right,
        "only_probe": int((right[0] & ~right[1]).sum()),
        "only_tuned": int((right[1] & ~right[0]).sum()), "loss_gain": gain,
        "standard_error": error,
        "take_tuned": tuned_right >= probe_right and gain > MARGIN * error,
        "said": f"on the {len(labels)} validation photos the probe is right on {probe_right}, "
        f"fine-tuning on {tuned_right}; its loss is {abs(gain):.3f} "
        f"{'lower' if gain > 0 else 'higher'} (standard error {error:.3f})",
    }  # fmt: skip


def test_once(run: Run) -> None:
    """Open the test photos, all choices being made, and write the result."""
    run.state.wait_for_everyone()
    run.model = None
    classifier = load(run.folder.path, run.state.device)
    outputs, photos = None, run.splits["test"]
    if photos:
        model, data = asked_model(classifier), run.data(photos)
        outputs = predict_shared(model, data, run.state, run.recipe.workers)
    if run.main:
        result = run.folder.json("chosen.json")
        if outputs is not None:
            logits, labels = outputs
            write_state(run.folder / "test.pt", {"logits": logits, "labels": labels})
            result["test"] = figures(logits, labels)
            copies = set(run.config["copies"])
            fresh = torch.tensor([photo.path not in copies for photo in photos])
            result["test"]["copies"] = int((~fresh).sum())
            if copies and fresh.any():
                result["test"]["without_copies"] = figures(logits[fresh], labels[fresh])
            answers = answers_of([photo.path for photo in photos], logits, classifier)
            named = [run.classes[k] for k in labels.tolist()]
            rows = csv_rows(answers, run.classes, named)
            write_csv(run.folder / "predictions-test.csv", rows)
        run.config["test_opened"] = run.config.get("test_opened", 0) + 1
        result["test_opened"] = run.config["test_opened"]
        write_json(run.folder / CONFIG, run.config)
        write_json(run.folder / "result.json", result)
        for path in [*run.folder.path.glob("features-*"), run.folder / "chosen.json"]:
            path.unlink()
    run.state.wait_for_everyone()


def say_result(run: Run, result: Result) -> None:
    """Say in two lines what came out, against what, and on how many photos."""
    judged = f" (epoch {result.epoch}), validation" if result.epoch else ", cross-validated"
    run.log(f"best: {result.chosen}{judged} accuracy {result.validation:.3f}")
    if result.test is None:
        return
    test = run.folder.result()["test"]
    run.log(
        f"test accuracy {result.test:.3f} on {result.test_photos} photos (95 % interval "
        "{:.3f} to {:.3f}; always naming the largest class: ".format(*result.interval)
        + f"{test['majority']:.3f})"
    )
    if test["copies"]:
        clean = test.get("without_copies")
        run.log(
            f"but {test['copies']} of the test photos are copies of photos that were learned from"
            + (f"; without them: {clean['accuracy']:.3f}" if clean else "")
        )


def write_outputs(run: Run, export: Sequence[str]) -> None:
    """Write the report and the exported models, where they are missing."""
    if not (run.folder / "report.html").is_file():
        write_report(run.folder.path)
    run.log(f"report: {run.folder / 'report.html'}")
    for kind in export:
        path = export_classifier(load_classifier(run.folder / "best.pt"), run.folder.path, kind)
        run.log(f"exported and checked: {path}")


def read_result(folder: RunFolder) -> Result:
    """Return the result of a finished run."""
    values = folder.result()
    test = values.get("test", {"accuracy": None, "interval": None, "photos": 0})
    return Result(
        folder.path, values["chosen"], values["epoch"], values["validation"]["accuracy"],
        test["accuracy"], test["interval"] and tuple(test["interval"]), test["photos"],
    )  # fmt: skip
