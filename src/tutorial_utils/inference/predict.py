"""A finished model asked about photos: classes and probabilities, best first, or why not.

Chapter: *Your own photos*.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from tutorial_utils._decoding import read_photo
from tutorial_utils.checkpoints import Classifier, eval_transform, load_classifier
from tutorial_utils.errors import PhotosError
from tutorial_utils.inference.cpu_speed import fold_batchnorm
from tutorial_utils.photo_folder.listing import photos_to_predict
from tutorial_utils.photo_folder.loading import batches


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
