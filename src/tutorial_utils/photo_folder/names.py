"""Names as people give them: of files, of classes, and folders whose names speak of a split."""

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from tutorial_utils.errors import PhotosError

SPLITS = ("train", "validation", "test")
WORDS = {
    "train": "train", "training": "train", "trn": "train",
    "validation": "validation", "validate": "validation", "valid": "validation",
    "val": "validation", "dev": "validation", "eval": "validation", "evaluation": "validation",
    "test": "test", "testing": "test", "tst": "test",
}  # fmt: skip
FILLERS = {"set", "sets", "data", "dataset", "images", "imgs", "photos", "split", "folder", "seg"}


def natural_key(name: str) -> list:
    """Return a sort key under which ``10`` comes after ``2``."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(p), p) if p.isdecimal() else (1, p.casefold(), p) for p in parts if p]


def same_name(name: str) -> str:
    """Return a class name with accents composed and surrounding spaces cut off."""
    return unicodedata.normalize("NFC", name).strip()


def printable(name: str) -> str:
    """Return a file's name as text: bytes in it that are no UTF-8 become question marks."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def quoted(names: Iterable[str]) -> str:
    """Return names in quotes, invisible differences (accents, spaces) written out."""
    names = list(names)
    alike = len({same_name(n).casefold() for n in names}) < len(names)
    return " and ".join(ascii(n) if alike else repr(printable(n)) for n in names)


def split_names(names: Iterable[str]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return of each name that speaks of a split: which one, and what else is in the name."""
    found = {}
    for name in names:
        tokens = [t for t in re.split(r"[\s_.\-]+", name.lower()) if t]
        tokens = [re.sub(r"^(train|training|val|valid|test)(set|data|images|imgs)$", r"\1", t)
                  for t in tokens]  # fmt: skip
        hits = [t for t in tokens if t in WORDS]
        if len(hits) == 1:
            rest = tuple(t for t in tokens if t not in WORDS and t not in FILLERS)
            found[name] = (WORDS[hits[0]], rest)
    return found


def unique_classes(place: str, folders: dict[str, str]) -> dict[str, str]:
    """Return the classes in natural order under their plain names; refuse look-alikes."""
    alike = {}
    for name in folders:
        alike.setdefault(same_name(name).casefold(), []).append(name)
    for names in alike.values():
        if len(names) > 1:
            raise PhotosError(
                f"{place}: the class folders {quoted(names)} look the same. Merge them or rename "
                "one."
            )
    return {same_name(n): folders[n] for n in sorted(folders, key=natural_key)}


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of an error: a question that names what was probably meant, or nothing."""
    near = get_close_matches(name, list(known), 3, 0.5)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def nearest_path(path: Path) -> str:
    """Return the end of an error about a path that is not there, likewise."""
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    near = get_close_matches(path.name, beside, 1)
    return f" Did you mean {path.parent / near[0]}?" if near else ""


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is not meant for the eyes."""
    return name.startswith(".") or name == "__MACOSX"  # what macOS adds to zip archives


def join(folder: str, name: str) -> str:
    """Return the path of a name in a folder below the root, which is ``""``."""
    return f"{folder}/{name}" if folder else name
