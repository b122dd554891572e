"""Photos in folders: one per split, in it one per class; checked first (``walkthrough``)."""

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from tutorial_utils._decoding import read_photo
from tutorial_utils.errors import PhotosError

SPLITS = ("train", "validation", "test")
OTHER_NAMES = {"validation": ("val", "valid")}
CLOTHING_URL = "https://github.com/alexeygrigorev/clothing-dataset-small"
CLOTHING_COMMIT = "11961516512414bf9f6c150a832cfd21b54a6b54"
PhotoFolderError = PhotosError


@dataclass(frozen=True)
class Splits:
    """The three data sets and their shared class names, index = label."""

    train: Dataset
    validation: Dataset
    test: Dataset
    classes: list[str]


def open_photo(path: str | Path, smallest: int | None = None) -> Image.Image:
    """Open a photo as upright 8-bit RGB, whatever its file holds (grey, palette, CMYK, RGBA).

    Args:
        path: the image's file.
        smallest: if given, JPEGs are decoded at a reduced scale that leaves both sides at least
            this long. See ``tutorial_utils._decoding.read_photo``, which does the work.

    Raises:
        PhotoFolderError: the file is missing, is no image, is cut off, or is suspiciously huge.
    """
    return read_photo(path, smallest)


def check_photo_folder(root: str | Path) -> dict[str, dict[str, int]]:
    """Check a folder of splits and return the number of photos: split -> class -> count.

    Raises:
        PhotoFolderError: a split is missing or empty, a class has no photo, or the splits have
            different classes.
    """
    root = Path(root)
    if not root.is_dir():
        raise PhotoFolderError(f"there is no folder {root}.")
    counts = {}
    for split in SPLITS:
        folder = _split_folder(root, split)
        classes = sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
        counts[split] = {p.name: len(_photo_files(p)) for p in classes}
        if len(classes) < 2:
            raise PhotoFolderError(
                f"{folder} needs at least two class folders, has {len(classes)}."
            )
        empty = [name for name, count in counts[split].items() if count == 0]
        if empty:
            raise PhotoFolderError(f"{folder} has no photos of {', '.join(empty)}.")
    for split in SPLITS[1:]:
        odd = sorted(counts["train"].keys() ^ counts[split].keys())
        if odd:
            raise PhotoFolderError(f"train and {split} do not share the classes {', '.join(odd)}.")
    return counts


def _split_folder(root: Path, split: str) -> Path:
    for name in (split, *OTHER_NAMES.get(split, ())):
        if (root / name).is_dir():
            return root / name
    raise PhotoFolderError(f"{root} has no folder '{split}'; expected {', '.join(SPLITS)}.")


def _photo_files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.suffix.lower() in IMG_EXTENSIONS]


def load_splits(
    root: str | Path,
    train_transform: Callable[[Image.Image], torch.Tensor],
    eval_transform: Callable[[Image.Image], torch.Tensor],
) -> Splits:
    """Load ``root/train``, ``root/validation`` (or ``val``) and ``root/test``, each CLASS/photo.

    Args:
        root: the folder of splits.
        train_transform: from an RGB image to a tensor (3, H, W), with augmentation, for training.
        eval_transform: the same without chance, for validation and test.

    Raises:
        PhotoFolderError: see ``check_photo_folder``; also while iterating, for an unreadable photo.
    """
    counts = check_photo_folder(root)
    transforms = (train_transform, eval_transform, eval_transform)
    sets = [
        ImageFolder(_split_folder(Path(root), split), transform, loader=open_photo)
        for split, transform in zip(SPLITS, transforms, strict=True)
    ]
    return Splits(*sets, classes=list(counts["train"]))


def make_loader(
    dataset: Dataset, batch_size: int, shuffle: bool = False, seed: int = 0, workers: int = 0
) -> DataLoader:
    """Return a loader of images (N, 3, H, W) and labels (N,), its order fixed by ``seed`` alone."""
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(
        dataset,
        batch_size,
        shuffle,
        num_workers=workers,
        generator=generator,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
    )


def fetch_clothing(folder: str | Path = "data/clothing", url: str = CLOTHING_URL) -> Path:
    """Fetch 3,781 photos of clothes in ten classes (CC0, 100 MB) at one fixed commit.

    git itself verifies every byte: a commit's name is a hash over all that it holds.

    Args:
        folder: where the photos shall lie; nothing is fetched if they lie there already.
        url: the repository, github.com/alexeygrigorev/clothing-dataset-small.

    Returns:
        The folder, with ``train``, ``validation`` and ``test`` inside.

    Raises:
        RuntimeError: git is missing or the repository cannot be reached.
    """
    folder = Path(folder)
    if folder.is_dir():
        check_photo_folder(folder)
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        checkout = Path(scratch) / "checkout"
        checkout.mkdir()
        steps = (
            ["git", "init", "--quiet"],
            ["git", "fetch", "--quiet", "--depth=1", url, CLOTHING_COMMIT],
            ["git", "checkout", "--quiet", "FETCH_HEAD"],
        )
        try:
            for step in steps:
                subprocess.run(step, cwd=checkout, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", None) or error
            raise RuntimeError(
                f"Could not fetch the clothing photos from {url}: {reason}\n"
                f"Connect to the network and run this again, or put photos of your own at {folder}."
            ) from None
        check_photo_folder(checkout)
        checkout.replace(folder)
    return folder
