"""How good a finished model is on photos with known classes.

Chapter: *Your own photos*; the measures themselves are in *How to evaluate a classifier*.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from sklearn.metrics import confusion_matrix
from torch import nn

from tutorial_utils.checkpoints import eval_transform
from tutorial_utils.errors import PhotosError
from tutorial_utils.evaluation import expected_calibration_error, wilson_interval
from tutorial_utils.inference.predict import asked_model, best_device, load
from tutorial_utils.photo_folder.inspect import Inspection, Photo, inspect_photos
from tutorial_utils.photo_folder.loading import PhotoDataset, batches, eval_loader
from tutorial_utils.photo_folder.names import printable
from tutorial_utils.photo_folder.split import read_split
from tutorial_utils.training import predict


@dataclass(frozen=True)
class Evaluation:
    """What was found, and from what.

    ``values`` are plain: photos, accuracy, interval, loss, majority, calibration_error, classes
    (right, photos, called so), confusion (row = label), classes that are missing or unknown, what
    was skipped, and how many photos were left out as learned from. ``logits`` (N, num_classes) are
    the answers to the N ``photos`` that were judged, ``labels`` (N,) what they show.
    """

    values: dict
    inspection: Inspection
    photos: list[Photo]
    logits: torch.Tensor
    labels: torch.Tensor
    classes: Sequence[str]


def figures(logits: torch.Tensor, labels: torch.Tensor) -> dict:
    """Return how good logits (N, num_classes) are: photos, accuracy and its interval, the loss.

    ``majority`` is the accuracy of always naming the largest class.
    """
    right = int((logits.argmax(dim=1) == labels).sum())
    return {
        "photos": len(labels), "accuracy": right / len(labels),
        "interval": wilson_interval(right, len(labels)),
        "loss": nn.functional.cross_entropy(logits, labels).item(),
        "majority": torch.bincount(labels).max().item() / len(labels),
    }  # fmt: skip


def evaluate(
    run: str | Path,
    photos: str | Path,
    split: str | None = None,
    cpu: bool = False,
    progress: bool = False,
    **layout: object,
) -> Evaluation:
    """Return how good a run's model is on a folder of class folders.

    Photos that the run learned from or chose by are left out (known by their content). If the
    folder has splits, its test photos are meant. A folder with one class only is enough: its recall
    is the answer.

    Args:
        run: a run's folder or a saved classifier.
        photos: the folder.
        split: ``"train"``, ``"validation"``, ``"test"`` or ``"all"`` of a folder with splits.
        cpu: leave a GPU alone.
        progress: show bars.
        layout: see ``listing.list_photos``.

    Raises:
        PhotosError: no photo is left that the model knows a class for.
    """
    device = best_device(cpu)
    classifier = load(run, device)
    classes, preprocessing = classifier.classes, classifier.preprocessing
    found = inspect_photos(photos, progress, smallest=1, **layout)
    chosen, given = found.photos, {photo.split for photo in found.photos} - {None}
    if given and split != "all":
        split = split or ("test" if "test" in given else sorted(given)[0])
        chosen = [photo for photo in chosen if photo.split == split]
    earlier = read_split(Path(run) / "split.jsonl")
    learned = {photo.sha for part in ("train", "validation") for photo in earlier[part]}
    seen = [photo for photo in chosen if photo.sha in learned]
    present = {found.classes[photo.label] for photo in chosen}
    unknown = sorted(present - set(classes))
    kept = [photo for photo in chosen if photo.sha not in learned
            and found.classes[photo.label] in classes]  # fmt: skip
    if not kept:
        reason = "all were learned from" if seen else f"the model does not know {unknown}"
        raise PhotosError(f"no photo in {photos} can be judged: {reason}.")
    data = PhotoDataset(photos, kept, eval_transform(**preprocessing), preprocessing["resize"])
    logits, _ = predict(asked_model(classifier), batches(eval_loader(data, 32)), device)
    logits = logits / classifier.decision.get("temperature", 1.0)
    labels = torch.tensor([classes.index(found.classes[photo.label]) for photo in kept])
    matrix = confusion_matrix(labels, logits.argmax(dim=1), labels=range(len(classes)))
    values = figures(logits, labels) | {
        "split": split or "all",
        "calibration_error": expected_calibration_error(logits.softmax(dim=1), labels),
        "classes": {
            name: {"right": int(row[i]), "photos": int(row.sum()), "called": int(column.sum())}
            for i, (name, row, column) in enumerate(zip(classes, matrix, matrix.T, strict=True))
        },
        "confusion": matrix.tolist(), "learned_from": len(seen), "unknown_classes": unknown,
        "missing_classes": [n for i, n in enumerate(classes) if not matrix[i].any()],
        "skipped": found.skipped,
    }  # fmt: skip
    return Evaluation(values, found, kept, logits, labels, classes)


def evaluation_text(found: dict) -> str:
    """Return what ``evaluate`` found in words and a table."""
    lines = [
        f"accuracy {found['accuracy']:.3f} on {found['photos']} photos (95 % interval "
        f"{found['interval'][0]:.3f} to {found['interval'][1]:.3f}), loss {found['loss']:.3f}, "
        f"calibration error {found['calibration_error']:.3f}; always naming the largest class: "
        f"{found['majority']:.3f}",
        "  photos   right  called so  class",
    ]
    for name, row in found["classes"].items():
        lines.append(f"{row['photos']:8}{row['right']:8}{row['called']:11}  {printable(name)}")
    if found["learned_from"]:
        lines.append(f"left out: {found['learned_from']} photos that the model was made from")
    if found["unknown_classes"]:
        lines.append(f"the model does not know: {', '.join(found['unknown_classes'])}")
    if found["missing_classes"]:
        lines.append(f"no photos here of: {', '.join(found['missing_classes'])}")
    if found["skipped"]:
        lines.append(f"skipped: {len(found['skipped'])} files, such as {found['skipped'][0][0]} "
                     f"({found['skipped'][0][1]})")  # fmt: skip
    return "\n".join(lines)
