"""What a finished run is for: predictions, its accuracy on other photos, runs compared."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from pathlib import Path

import torch
from sklearn.metrics import confusion_matrix
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from tutorial_utils._decoding import read_photo
from tutorial_utils._files import read_state
from tutorial_utils.checkpoints import Classifier, eval_transform, load_classifier
from tutorial_utils.errors import PhotosError
from tutorial_utils.evaluation import expected_calibration_error, mcnemar, wilson_interval
from tutorial_utils.finetune.cpu_speed import fold_batchnorm
from tutorial_utils.finetune.run_folder import RunFolder
from tutorial_utils.photo_folder.inspect import inspect_photos
from tutorial_utils.photo_folder.listing import photos_to_predict
from tutorial_utils.photo_folder.loading import PhotoDataset, batches, eval_loader
from tutorial_utils.photo_folder.names import printable
from tutorial_utils.photo_folder.split import read_split
from tutorial_utils.training import predict


class Mirrored(nn.Module):
    """A network that is asked about each image and its mirror image; the mean of both logits."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of x (N, 3, H, W)."""
        return (self.model(x) + self.model(x.flip(3))) / 2


def load(run: str | Path, device: torch.device | str = "cpu") -> Classifier:
    """Return the classifier of a run's folder, or of a file of ``save_classifier``."""
    path = Path(run)
    classifier = load_classifier(path / "best.pt" if path.is_dir() else path, device)
    fold_batchnorm(classifier.model)
    if torch.device(device).type == "cpu":
        classifier.model.to(memory_format=torch.channels_last)
    return classifier


def asked_model(classifier: Classifier) -> nn.Module:
    """Return the network as it is to be asked: of photos and, if that helped, of their mirrors."""
    mirror = classifier.decision.get("mirror", False)
    return (Mirrored(classifier.model) if mirror else classifier.model).eval()


def best_device(cpu: bool = False) -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")


@dataclass(frozen=True)
class Answer:
    """What a photo was called: classes and probabilities, best first; or the error.

    ``unsure`` tells that the first probability is below the run's threshold: perhaps the photo
    shows none of these classes.
    """

    photo: str
    classes: list[str]
    probabilities: list[float]
    unsure: bool = False
    error: str = ""

    def to_json(self) -> dict:
        """Return plain values."""
        if self.error:
            return {"photo": self.photo, "error": self.error}
        both = zip(self.classes, self.probabilities, strict=True)
        rows = [{"class": name, "probability": p} for name, p in both]
        return {"photo": self.photo, "predictions": rows, "unsure": self.unsure}


class _Files(Dataset):
    """Photos that are read when asked for; an error takes an image's place."""

    def __init__(self, files: Sequence[tuple[Path, str | None]], classifier: Classifier):
        self.files, self.size = files, classifier.preprocessing["resize"]
        self.transform = eval_transform(**classifier.preprocessing)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int):
        path, reason = self.files[index]
        if reason:
            return reason
        try:
            return self.transform(read_photo(path, self.size))
        except PhotosError as error:
            return str(error)


def predict_files(
    run: str | Path,
    files: str | Path | Iterable[str | Path],
    batch_size: int = 16,
    workers: int = 0,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> Iterator[Answer]:
    """Yield what each photo shows, all classes with their probabilities, or why it cannot be told.

    Logits are divided by the run's temperature, so that the probabilities can be believed.

    Args:
        run: a run's folder or a saved classifier.
        files: see ``listing.photos_to_predict``: one path or several; folders, patterns.
        batch_size: photos that are computed at once.
        workers: processes that read photos.
        device: where to compute; a GPU if there is one.
        progress: show a bar.

    Raises:
        PhotosError: a folder has no photos.
        CheckpointError: the run's model cannot be read.
    """
    device = torch.device(device) if device is not None else best_device()
    classifier = load(run, device)
    model, decision = asked_model(classifier), classifier.decision
    found = list(photos_to_predict(files))
    loader = DataLoader(
        _Files(found, classifier), batch_size, num_workers=workers, collate_fn=list,
    )  # fmt: skip
    bar = tqdm(total=len(found), desc="predict", unit="photo", disable=None if progress else True)
    paths = iter(found)
    with torch.inference_mode(), bar:
        for rows in batches(loader):
            images = [row for row in rows if not isinstance(row, str)]
            logits = iter(model(torch.stack(images).to(device)).cpu().float() if images else [])
            for row, (path, _) in zip(rows, islice(paths, len(rows)), strict=True):
                if isinstance(row, str):
                    yield Answer(str(path), [], [], error=row)
                else:
                    yield answer_of(str(path), next(logits), classifier.classes, decision)
            bar.update(len(rows))


def answer_of(path: str, logits: torch.Tensor, classes: Sequence[str], decision: dict) -> Answer:
    """Return the answer that a photo's logits (num_classes,) give."""
    p = (logits / decision.get("temperature", 1.0)).softmax(dim=0)
    if not p.isfinite().all():
        return Answer(path, [], [], error=f"{path}: the model's answer is infinite or NaN.")
    best = p.sort(descending=True)
    unsure = best.values[0].item() < decision.get("threshold", 0.0)
    return Answer(path, [classes[i] for i in best.indices.tolist()], best.values.tolist(), unsure)


def answers_of(paths: Sequence[str], logits: torch.Tensor, classifier: Classifier):
    """Yield the answers that logits (N, num_classes) give."""
    for path, z in zip(paths, logits, strict=True):
        yield answer_of(path, z, classifier.classes, classifier.decision)


def csv_rows(
    answers: Iterable[Answer], classes: Sequence[str], labels: Iterable[str] | None = None
) -> Iterator[list]:
    """Yield the heading and the lines of a table of predictions, failures among them."""
    known = ["label"] if labels is not None else []
    yield ["file", *known, "class", "probability", "unsure", *(f"p({n})" for n in classes), "error"]
    labels = iter(labels or [])
    for answer in answers:
        label = [next(labels)] if known else []
        if answer.error:
            yield [answer.photo, *label, *[""] * (3 + len(classes)), answer.error]
            continue
        named = {n: f"{p:.6f}" for n, p in zip(answer.classes, answer.probabilities, strict=True)}
        first = answer.classes[0]
        numbers = [named[name] for name in classes]
        yield [answer.photo, *label, first, named[first], int(answer.unsure), *numbers, ""]


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
    report: str | Path | None = None,
    cpu: bool = False,
    progress: bool = False,
    **layout: object,
) -> dict:
    """Return how good a run's model is on a folder of class folders.

    Photos that the run learned from or chose by are left out (known by their content). If the
    folder has splits, its test photos are meant. A folder with one class only is enough: its recall
    is the answer.

    Args:
        run: a run's folder or a saved classifier.
        photos: the folder.
        split: ``"train"``, ``"validation"``, ``"test"`` or ``"all"`` of a folder with splits.
        report: write a page like the run's report to this file.
        cpu: leave a GPU alone.
        progress: show bars.
        layout: see ``listing.list_photos``.

    Returns:
        Plain values: photos, accuracy, interval, loss, majority, calibration_error, classes (right,
        photos, called so), confusion (row = label), classes that are missing or unknown, what was
        skipped, and how many photos were left out as learned from.

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
    if report is not None:
        from tutorial_utils.finetune.report import write_evaluation

        write_evaluation(Path(report), run, found, kept, logits, labels, classes, values)
    return values


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


def compare(runs: Sequence[str | Path]) -> str:
    """Return a table of finished runs, best validation first, and McNemar's test for each pair.

    Runs are compared photo by photo where they share their test photos (by content).
    """
    rows = []
    for path in runs:
        run = RunFolder.open(path)
        if not (run / "test.pt").is_file():
            raise PhotosError(f"{path} is not finished, or has no test photos.")
        outputs, recipe, result = read_state(run / "test.pt"), run.config()["recipe"], run.result()
        right = outputs["logits"].argmax(dim=1) == outputs["labels"]
        photos = read_split(run / "split.jsonl")["test"]
        by_photo = dict(zip([photo.sha for photo in photos], right.tolist(), strict=True))
        rows.append((result["validation"]["accuracy"], str(path), result["test"], recipe, by_photo))
    rows.sort(key=lambda row: -row[0])
    lines = ["validation      test   95 % interval   photos  run"]
    for validation, path, test, recipe, _ in rows:
        low, high = test["interval"]
        lines.append(
            f"{validation:10.3f}{test['accuracy']:10.3f}   {low:.3f} to {high:.3f} "
            f"{test['photos']:7}  {recipe['model']}, {recipe['regime']}  {path}"
        )
    for (_, a, _, _, outcomes_a), (_, b, _, _, outcomes_b) in combinations(rows, 2):
        shared = sorted(outcomes_a.keys() & outcomes_b.keys())
        if len(shared) < max(len(outcomes_a), len(outcomes_b)):
            lines.append(f"{a} and {b} do not share their test photos: not compared.")
            continue
        pair = [torch.tensor([part[sha] for sha in shared]) for part in (outcomes_a, outcomes_b)]
        only_a, only_b, p = mcnemar(*pair)
        lines.append(
            f"{a} alone is right on {only_a} photos, {b} alone on {only_b}: McNemar's p = {p:.3g}"
        )
    return "\n".join(lines)
