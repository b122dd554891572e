"""The files of a folder of photos: which are photos, of which class and split; what is left out."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tutorial_utils._decoding import photo_suffixes
from tutorial_utils.errors import PhotosError

SPLITS = ("train", "validation", "test")
SPLIT_FOLDERS = {
    "train": "train", "training": "train", "validation": "validation", "val": "validation",
    "valid": "validation", "test": "test", "testing": "test",
}  # fmt: skip
HOW = (
    "Put the photos of each class into a folder with the class's name: PHOTOS/cat/1.jpg, "
    "PHOTOS/dog/1.jpg, or the same below PHOTOS/train, PHOTOS/validation and PHOTOS/test."
)


@dataclass(frozen=True)
class PhotoFile:
    """A file that should be a photo: path below the root, label, split, bytes, time in ns."""

    path: str
    label: int
    split: str | None
    size: int
    mtime: int


@dataclass
class Listing:
    """The classes (index = label), the photo files in a fixed order, and what was left out."""

    classes: list[str]
    files: list[PhotoFile] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    splits: tuple[str, ...] = ()


def list_photos(root: str | Path) -> Listing:
    """List a folder of class folders, or of train / validation (val, valid) / test with those.

    It is a folder of splits if ``train`` (or ``Train``, ``training``) has folders in it. Folders
    inside a class folder belong to the class. Links are followed, but no folder is entered twice,
    so that loops end. Hidden files, and files whose names do not end like an image's, are skipped
    and said.

    Raises:
        PhotosError: the folder is missing or has no class folders, there is one class only, the
            splits have different classes, or there are splits without train.
    """
    root = Path(root)
    if not root.exists():
        raise PhotosError(f"there is no folder {root}. {HOW}")
    if not root.is_dir():
        raise PhotosError(f"{root} is a file, not a folder of photos. {HOW}")
    listing = Listing(classes=[])
    seen = {_identity(root)}
    names = _folders(root, "", listing, seen)
    splits = _splits(root, names, listing)
    listing.splits = tuple(split for split in SPLITS if split in splits)
    tops = [(split, splits[split]) for split in listing.splits] or [(None, "")]
    folders = {top: _folders(root, top, listing, seen) if top else names for _, top in tops}
    listing.classes = _check_classes(root, folders)
    for split, top in tops:
        for label, name in enumerate(listing.classes):
            folder = f"{top}/{name}" if top else name
            listing.files.extend(_files(root, folder, label, split, listing, seen))
    return listing


def printable(name: str) -> str:
    """Return a file's name as text: bytes in it that are no UTF-8 become question marks."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _splits(root: Path, names: list[str], listing: Listing) -> dict[str, str]:
    """Return the folder of each split; none if these are the folders of classes."""
    found = {}
    for name in names:
        if (split := SPLIT_FOLDERS.get(name.lower())) and _has_folders(root / name):
            if split in found:
                raise PhotosError(f"{root} has both {found[split]} and {name}; keep one of them.")
            found[split] = name
    if len(found) > 1 and "train" not in found:
        raise PhotosError(f"{root} has {' and '.join(found.values())}, but no folder train. {HOW}")
    if "train" not in found:
        return {}
    others = [name for name in names if name not in found.values()]
    listing.skipped.extend((name, f"beside {found['train']}, but no split") for name in others)
    return found


def _check_classes(root: Path, folders: dict[str, list[str]]) -> list[str]:
    """Return the class names that all splits share, or say what is wrong with them."""
    classes = next(iter(folders.values()))
    if not classes:
        raise PhotosError(f"{root} has no class folders. {HOW}")
    for top, names in folders.items():
        if odd := sorted(set(names) ^ set(classes)):
            raise PhotosError(
                f"{root}: {next(iter(folders))} and {top} do not have the same classes; in one of "
                f"them only: {', '.join(odd)}. Rename, add or remove these folders."
            )
    if len(classes) == 1:
        raise PhotosError(
            f"{root} has one class only ({classes[0]}); a classifier needs two or more. {HOW}"
        )
    return classes


def _identity(path: str | Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _has_folders(folder: Path) -> bool:
    try:
        return any(entry.is_dir() for entry in folder.iterdir() if not _is_hidden(entry.name))
    except OSError:
        return False


def _scan(root: Path, folder: str, listing: Listing) -> list[os.DirEntry]:
    """Return what is in a folder, hidden entries skipped and said, in the order of the names."""
    try:
        with os.scandir(root / folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        listing.skipped.append((folder or ".", f"cannot be listed: {error.strerror}"))
        return []
    hidden = [entry for entry in found if _is_hidden(entry.name)]
    listing.skipped.extend((_join(folder, entry.name), "hidden") for entry in hidden)
    return [entry for entry in found if not _is_hidden(entry.name)]


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"  # what macOS adds to zip archives


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _enter(entry: os.DirEntry, path: str, listing: Listing, seen: set) -> bool:
    """Tell whether a folder may be entered: not if it was before, through a link."""
    try:
        key = _identity(entry.path)
    except OSError as error:
        listing.skipped.append((path, f"cannot be opened: {error.strerror}"))
        return False
    if key in seen:
        listing.skipped.append((path, "a link to a folder that was read already"))
        return False
    seen.add(key)
    return True


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _folders(root: Path, folder: str, listing: Listing, seen: set) -> list[str]:
    """Return the names of the folders in a folder; files there are skipped and said."""
    names = []
    for entry in _scan(root, folder, listing):
        path = _join(folder, entry.name)
        if not _is_folder(entry):
            listing.skipped.append((path, "not in a class folder"))
        elif _enter(entry, path, listing, seen):
            names.append(entry.name)
    return names


def _files(
    root: Path, folder: str, label: int, split: str | None, listing: Listing, seen: set
) -> Iterator[PhotoFile]:
    """Yield the photo files in a class folder and in the folders inside it."""
    for entry in _scan(root, folder, listing):
        path = _join(folder, entry.name)
        if _is_folder(entry):
            if _enter(entry, path, listing, seen):
                yield from _files(root, path, label, split, listing, seen)
            continue
        suffix = os.path.splitext(entry.name)[1].lower()
        if suffix not in photo_suffixes():
            listing.skipped.append((path, f"not an image's name ({suffix or 'no ending'})"))
            continue
        try:
            status = entry.stat()
        except OSError as error:
            listing.skipped.append((path, f"a broken link or unreadable: {error.strerror}"))
            continue
        if not stat.S_ISREG(status.st_mode):  # to open a pipe would wait for ever
            listing.skipped.append((path, "no plain file"))
            continue
        yield PhotoFile(path, label, split, status.st_size, status.st_mtime_ns)
