"""What a finished run is for: predictions, its accuracy on other photos, runs compared."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn

from tutorial_utils._decoding import photo_suffixes, read_photo
from tutorial_utils._files import read_lines, read_state
from tutorial_utils.checkpoints import Classifier, eval_transform, load_classifier
from tutorial_utils.errors import PhotosError
from tutorial_utils.evaluation import mcnemar, wilson_interval
from tutorial_utils.finetune.folding import fold_batchnorm
from tutorial_utils.finetune.inspect import inspect_photos
from tutorial_utils.finetune.loading import PhotoDataset, batches, make_loader
from tutorial_utils.finetune.run_folder import RunFolder
from tutorial_utils.training import predict


def load(run: str | Path) -> Classifier:
    """Return the classifier of a run's folder, or of a file of ``save_classifier``."""
    path = Path(run)
    classifier = load_classifier(path / "best.pt" if path.is_dir() else path)
    fold_batchnorm(classifier.model)
    return classifier


def predict_files(
    run: str | Path, files: Sequence[str | Path], top: int = 3, batch_size: int = 16
) -> Iterator[tuple[str, list[tuple[str, float]] | str]]:
    """Yield each photo's path with its most probable classes, or with the reason why not.

    Args:
        run: a run's folder or a saved classifier.
        files: photos, or folders: all photos in them.
        top: how many classes, best first.
        batch_size: photos that are computed at once.
    """
    if top < 1:
        raise PhotosError(f"top must be at least 1, got {top}.")
    classifier = load(run)
    transform = eval_transform(**classifier.preprocessing)
    waiting, images = [], []

    def answers():
        logits = iter(classifier.model(torch.stack(images)) if images else [])
        for path, reason in waiting:
            if reason:
                yield path, reason
                continue
            best = next(logits).softmax(dim=0).topk(min(top, len(classifier.classes)))
            names = [classifier.classes[i] for i in best.indices.tolist()]
            yield path, list(zip(names, best.values.tolist(), strict=True))

    with torch.inference_mode():
        for path in all_photos(files):
            try:
                images.append(transform(read_photo(path, classifier.preprocessing["resize"])))
                waiting.append((str(path), ""))
            except PhotosError as error:
                waiting.append((str(path), str(error)))
            if len(images) == batch_size:
                yield from answers()
                waiting, images = [], []
        yield from answers()


def all_photos(files: Sequence[str | Path]) -> Iterator[Path]:
    """Yield the files, and of each folder the photos in it and below, in order."""
    for file in map(Path, files):
        if file.is_dir():
            inside = (p for p in file.rglob("*") if p.suffix.lower() in photo_suffixes())
            yield from sorted(inside)
        else:
            yield file


def evaluate(run: str | Path, photos: str | Path) -> dict:
    """Return accuracy, interval, loss and more of a run's model on a folder of class folders.

    Raises:
        PhotosError: the folder cannot be used, or has a class that the model does not know.
    """
    classifier = load(run)
    found = inspect_photos(photos)
    if strange := sorted(set(found.classes) - set(classifier.classes)):
        raise PhotosError(f"the model does not know the classes {', '.join(strange)}.")
    preprocessing = classifier.preprocessing
    data = PhotoDataset(
        photos, found.photos, eval_transform(**preprocessing), preprocessing["resize"]
    )
    logits, labels = predict(classifier.model, batches(make_loader(data, 32, train=False)))
    places = torch.tensor([classifier.classes.index(name) for name in found.classes])
    labels = places[labels]
    right = logits.argmax(dim=1) == labels
    return {
        "photos": len(labels),
        "accuracy": right.double().mean().item(),
        "interval": wilson_interval(int(right.sum()), len(labels)),
        "loss": nn.functional.cross_entropy(logits, labels).item(),
        "classes": {
            found.classes[k]: [int(right[labels == place].sum()), int((labels == place).sum())]
            for k, place in enumerate(places.tolist())
        },
    }


def compare(runs: Sequence[str | Path]) -> str:
    """Return a table of finished runs, best validation first, and McNemar's test for each pair.

    Runs are compared photo by photo where they share their test photos (by content).
    """
    rows, outcomes = [], {}
    for path in runs:
        run = RunFolder.open(path)
        if not (run / "test.pt").is_file():
            raise PhotosError(f"{path} is not finished, or has no test photos.")
        outputs, recipe = read_state(run / "test.pt"), run.config()["recipe"]
        right = outputs["logits"].argmax(dim=1) == outputs["labels"]
        names = [row["sha"] for row in read_lines(run / "split.jsonl") if row["split"] == "test"]
        outcomes[str(path)] = dict(zip(names, right.tolist(), strict=True))
        low, high = wilson_interval(int(right.sum()), len(right))
        share = right.double().mean().item()
        rows.append(
            f"{share:8.3f}   {low:.3f} to {high:.3f} {len(right):7}  {recipe['model']}, "
            f"{recipe['regime']}  {path}"
        )
    lines = ["accuracy   95 % interval   photos  run", *rows]
    names = list(outcomes)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            shared = sorted(outcomes[a].keys() & outcomes[b].keys())
            if len(shared) < max(len(outcomes[a]), len(outcomes[b])):
                lines.append(f"{a} and {b} do not share their test photos: not compared.")
                continue
            pair = [torch.tensor([outcomes[name][s] for s in shared]) for name in (a, b)]
            only_a, only_b, p = mcnemar(*pair)
            lines.append(
                f"{a} alone is right on {only_a} photos, {b} alone on {only_b}: McNemar's p = "
                f"{p:.3g}"
            )
    return "\n".join(lines)
