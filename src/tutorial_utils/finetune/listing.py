"""The files of a folder of photos: which are photos, of which class and split; what is left out.

All commands list files through this module, so what training skips, prediction skips too.
"""

import contextlib
import csv
import glob
import io
import os
import re
import shlex
import stat
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from tutorial_utils._decoding import is_photo_name, open_header, photo_suffixes
from tutorial_utils.errors import PhotosError
from tutorial_utils.finetune.archives import ARCHIVES

SPLITS = ("train", "validation", "test")
WORDS = {
    "train": "train", "training": "train", "trn": "train",
    "validation": "validation", "validate": "validation", "valid": "validation",
    "val": "validation", "dev": "validation", "eval": "validation", "evaluation": "validation",
    "test": "test", "testing": "test", "tst": "test",
}  # fmt: skip
FILLERS = {"set", "sets", "data", "dataset", "images", "imgs", "photos", "split", "folder", "seg"}
# Folders that lie beside class folders by accident more often than as a class.
NOT_CLASSES = {
    "runs", "run", "results", "output", "outputs", "logs", "models", "checkpoints", "weights",
    "plots", "figures", "reports", "src", "code", "scripts", "notebooks", "__pycache__", "venv",
}  # fmt: skip
HOW = (
    "Put the photos of each class into a folder with the class's name: PHOTOS/cat/1.jpg, "
    "PHOTOS/dog/1.jpg, or the same below PHOTOS/train, PHOTOS/validation and PHOTOS/test."
)
HEIC = "a HEIC photo: pip install pillow-heif, or convert it to JPEG"
VIDEOS = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"}


@dataclass(frozen=True)
class PhotoFile:
    """A file that should be a photo: path below the root, label, split, and group if given."""

    path: str
    label: int
    split: str | None
    group: str | None = None


@dataclass
class Listing:
    """The classes (index = label), the photo files in a fixed order, and what was left out.

    ``layout`` says in words how the folder was understood.
    """

    classes: list[str]
    files: list[PhotoFile] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    splits: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    layout: str = ""


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


def list_photos(
    root: str | Path,
    labels: str | Path | None = None,
    label_pattern: str | None = None,
    groups: str | None = None,
    classes: Iterable[str] | None = None,
    smallest: int = 2,
) -> Listing:
    """List the photos of a folder, with the class of each and, if the layout says so, its split.

    Understood are: class folders; splits (train, val, dev, test, ... in any case, also
    ``training_set`` or ``flowers_train``) with class folders in each; class folders with splits in
    each; any of these below one wrapping folder; a table; file names. Folders inside a class folder
    belong to the class. Links are followed, but no folder is entered twice, so that loops end.
    Hidden files and files that are no photos are skipped and said.

    Args:
        root: the folder.
        labels: a CSV file with the columns ``file`` (below ``root``) and ``label``, and perhaps
            ``split`` and ``group``. Folders then say nothing.
        label_pattern: a regular expression that finds the class in each file's path below
            ``root``: its group ``label``, or the first. Folders then say nothing.
        groups: a regular expression that finds in each path what belongs together (a patient, a
            burst): its first group.
        classes: take only these class folders.
        smallest: number of classes that are needed.

    Raises:
        PhotosError: the folder cannot be understood; the message names the likely intention.
    """
    root = Path(root)
    check_folder(root)
    if labels is not None:
        listing = _from_table(root, Path(labels))
    elif label_pattern is not None:
        listing = _from_names(root, label_pattern)
    else:
        listing = _from_folders(root, set(classes or ()), smallest)
    if groups is not None:
        pattern = _compiled(groups, "--groups")
        found = [(file, pattern.search(file.path)) for file in listing.files]
        if not any(match for _, match in found):
            raise PhotosError(f"--groups {groups!r} fits no file, such as {_example(listing)}.")
        listing.files = [replace(f, group=m[m.re.groups and 1]) if m else f for f, m in found]
    if len(listing.classes) < smallest:
        raise PhotosError(
            f"{root} has one class only ({quoted(listing.classes)}); a classifier needs two or "
            f"more.{_hint(root)} {HOW}"
        )
    return listing


def check_folder(root: Path) -> None:
    """Raise an error that tells what stands in place of a folder of photos."""
    if str(root).startswith(("http:", "https:")):
        raise PhotosError(f"{root} is an address; download it first and give the file's name.")
    if not root.exists():
        near = []
        if root.parent.is_dir():
            near = get_close_matches(root.name, [p.name for p in root.parent.iterdir()], 1)
        hint = f" Did you mean {root.parent / near[0]}?" if near else ""
        raise PhotosError(f"there is no folder {root}.{hint} {HOW}")
    if root.suffix.lower() in (".csv", ".tsv") and root.is_file():
        raise PhotosError(f"{root} is a table: name the folder of photos, and the table with "
                          f"--labels {root.name}.")  # fmt: skip
    if root.suffix.lower() in (".rar", ".7z", ".zst"):
        raise PhotosError(f"{root} is an archive of a kind that is not read here: unpack it first.")
    if not root.is_dir():
        raise PhotosError(f"{root} is a file, not a folder of photos. {HOW}")


# --- Folders. ---


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


def _from_folders(root: Path, only: set[str], smallest: int) -> Listing:
    listing = Listing(classes=[])
    walk = _Walk(root, listing, {_identity(root)})
    top, names = _unwrap(walk, smallest)
    place = f"{root}/{top}" if top else str(root)
    splits = _split_folders(walk, top, names, place)
    if splits:
        folders = {s: {n: _join(f, n) for n in walk.folders(f)} for s, f in splits.items()}
        beside = [n for n in names if _join(top, n) not in splits.values()]
        listing.skipped += [(_join(top, n), "beside the splits, but no split") for n in beside]
        listing.layout = "splits (" + ", ".join(splits.values()) + ") with class folders"
    elif per_class := _splits_in_classes(walk, top, names, place):
        folders, listing.layout = per_class, "class folders with splits in each"
    else:
        names = _plausible_classes(walk, top, names, place, only)
        folders = {None: {name: _join(top, name) for name in names}}
        listing.layout = "class folders"
    if top:
        listing.layout += f", below {top}"
    folders = {split: _unique(place, part) for split, part in folders.items()}
    if only:
        folders = {s: {k: v for k, v in part.items() if k in only} for s, part in folders.items()}
        if absent := sorted(only - set().union(*folders.values())):
            raise PhotosError(f"{place} has no class folder {quoted(absent)}.")
    listing.classes = _shared_classes(place, folders, listing, smallest)
    listing.splits = tuple(s for s in SPLITS if s in folders)
    for split, part in folders.items():
        for name, folder in part.items():
            label = listing.classes.index(name)
            listing.files += [PhotoFile(p, label, split) for p in walk.photos(folder)]
    return listing


def _unwrap(walk: "_Walk", smallest: int) -> tuple[str, list[str]]:
    """Go down through folders that hold one folder and nothing else that matters."""
    top = ""
    while True:
        names = walk.folders(top)
        photos = [e.name for e in walk.visible(top) if not _is_folder(e) and is_photo_name(e.name)]
        if len(names) != 1 or photos or names[0] in split_names(names):
            if not names:
                raise PhotosError(_no_class_folders(walk.root, photos))
            return top, names
        inner = _join(top, names[0])
        below = [e for e in walk.visible(inner) if _is_folder(e)]
        if smallest < 2 or not below or walk.direct_photos(inner):
            return top, names
        top = inner


def _no_class_folders(root: Path, photos: list[str]) -> str:
    if not photos:
        zips = sorted(p.name for p in root.iterdir() if p.suffix.lower() in ARCHIVES)
        if zips:
            return f"{root} holds archives ({', '.join(zips[:3])}): unpack them first. {HOW}"
        return f"{root} has no class folders. {HOW}"
    stem = re.match(r"([^\W\d]+)[ ._\-(]*\d+", photos[0])
    if stem and len({re.match(r"[^\W\d]*", name)[0] for name in photos}) > 1:
        return (
            f"{root} has no class folders, but file names that look like {photos[0]}: if the class "
            r"is in the name, add --label-pattern '([A-Za-z]+)[ ._-]*\d+'. " + HOW
        )
    hint, above = "", root.resolve().parent
    with contextlib.suppress(OSError):  # is this one of several class folders?
        beside = [p for p in above.iterdir() if p.is_dir() and not _is_hidden(p.name)]
        if sum(any(is_photo_name(f.name) for f in p.iterdir()) for p in beside) > 1:
            hint = f" Did you mean {above}?"
    return f"the photos lie directly in {root}, without class folders.{hint}{_hint(root)} {HOW}"


def _hint(root: Path) -> str:
    """Return a sentence on a table in the folder that has the classes; nothing if there is none."""
    for table in sorted(root.glob("*.[ct]sv")):
        with contextlib.suppress(PhotosError):
            _table(table)
            return f" If the classes stand in {table.name}: --labels {shlex.quote(str(table))}."
    return ""


def _split_folders(walk: "_Walk", top: str, names: list[str], place: str) -> dict[str, str]:
    """Return the folder of each split; none if these are the folders of classes."""
    spoken = split_names(names)
    holding = {n: s for n, s in spoken.items() if walk.has_folders(_join(top, n))}
    if not holding:
        if len(spoken) > 1 and len(spoken) == len(names):
            raise PhotosError(
                f"{place}: {quoted(names)} look like splits, but have photos and no class folders "
                f"inside.{_hint(walk.root)} {HOW}"
            )
        return {}
    plain = {n: s for n, (s, rest) in holding.items() if not rest}
    rests = {rest for _, rest in holding.values()}
    chosen = plain or ({n: s for n, (s, _) in holding.items()} if len(rests) == 1 else {})
    if len(holding) > 1 and len(chosen) < len(holding) and "train" not in chosen.values():
        raise PhotosError(f"{place}: are {quoted(holding)} splits? Name them train and test.")
    found = {}
    for name, split in chosen.items():
        if split in found:
            raise PhotosError(f"{place} has both {found[split]} and {name}; keep one of them.")
        found[split] = name
    if "train" not in found:
        if len(found) > 1:
            raise PhotosError(
                f"{place} has {' and '.join(found.values())}, but no folder train. {HOW}"
            )
        return {}
    return {split: _join(top, found[split]) for split in SPLITS if split in found}


def _splits_in_classes(walk: "_Walk", top: str, names: list[str], place: str) -> dict | None:
    """Return split -> class -> folder where the splits lie inside the class folders."""
    inside = {}
    for name in names:
        folder = _join(top, name)
        below = [e.name for e in walk.visible(folder) if _is_folder(e)]
        spoken = {n: s for n, (s, rest) in split_names(below).items() if not rest}
        if "train" in spoken.values():
            inside[name] = {split: _join(folder, n) for n, split in spoken.items()}
            deeper = [n for n in spoken if walk.has_folders(_join(folder, n))]
            if deeper:
                raise PhotosError(
                    f"the splits ({', '.join(spoken)}) lie one level down, in {folder}: did you "
                    f"mean {walk.root / folder}?"
                )
    if not inside:
        return None
    if len(inside) < len(names):
        raise PhotosError(
            f"{place}: {quoted(inside)} has splits inside, {quoted(set(names) - set(inside))} has "
            "not. Move the odd ones out, or lay the photos as PHOTOS/train/CLASS/1.jpg."
        )
    result = {s: {n: f[s] for n, f in inside.items() if s in f} for s in SPLITS}
    return {split: part for split, part in result.items() if part}


def _plausible_classes(walk, top: str, names: list[str], place: str, only: set[str]) -> list[str]:
    """Return the folders that can be classes; refuse what is probably something else."""
    kept = []
    for name in names:
        folder = _join(top, name)
        if name in only:
            kept.append(name)
        elif (walk.root / folder / "run.json").is_file():
            walk.listing.skipped.append((folder, "the folder of a run"))
        elif name.lower() in NOT_CLASSES and not walk.any_photo(folder):
            walk.listing.skipped.append((folder, "no photos in it, and no class by its name"))
        elif name.lower() in NOT_CLASSES:
            raise PhotosError(
                f"{place}: is {name!r} a class? It looks like a folder of results. Move it out, or "
                "name the classes with --classes."
            )
        else:
            kept.append(name)
            below = sum(_is_folder(e) for e in walk.visible(folder))
            if below > 1 and not walk.direct_photos(folder):
                walk.listing.notes.append(f"the {below} folders in {name!r} are one class")
    return kept


def _unique(place: str, folders: dict[str, str]) -> dict[str, str]:
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


def _shared_classes(place: str, folders: dict, listing: Listing, smallest: int) -> list[str]:
    """Return the classes of the training folders; the other splits may lack some."""
    first = next(iter(folders))
    classes = list(folders[first])
    if not classes:
        raise PhotosError(f"{place} has no class folders. {HOW}")
    for split, part in folders.items():
        if odd := [name for name in part if name not in classes]:
            near = {c.casefold(): c for c in classes}
            hint = [f" (is it {near[o.casefold()]!r}?)" for o in odd if o.casefold() in near]
            raise PhotosError(
                f"{place}: {first} and {split} do not have the same classes; only in {split}: "
                f"{', '.join(map(repr, odd))}{''.join(hint)}. Rename, add or remove these folders."
            )
        if lacking := [name for name in classes if name not in part]:
            listing.notes.append(f"{split} has no photos of {', '.join(map(repr, lacking))}")
    return classes


@dataclass
class _Walk:
    """Looks into the folders below a root, each once."""

    root: Path
    listing: Listing
    seen: set

    def visible(self, folder: str) -> list[os.DirEntry]:
        """Return what is in a folder but hidden files, in natural order."""
        try:
            with os.scandir(self.root / folder) as entries:
                found = sorted(entries, key=lambda entry: natural_key(entry.name))
        except OSError:
            return []
        return [entry for entry in found if not _is_hidden(entry.name)]

    def skip_hidden(self, folder: str) -> None:
        try:
            with os.scandir(self.root / folder) as entries:
                names = sorted(entry.name for entry in entries)
        except OSError as error:
            self.listing.skipped.append((folder or ".", f"cannot be listed: {error.strerror}"))
            return
        hidden = [_join(folder, name) for name in names if _is_hidden(name)]
        self.listing.skipped += [(path, "hidden") for path in hidden]

    def has_folders(self, folder: str) -> bool:
        return any(_is_folder(entry) for entry in self.visible(folder))

    def direct_photos(self, folder: str) -> bool:
        return any(is_photo_name(e.name) for e in self.visible(folder) if not _is_folder(e))

    def any_photo(self, folder: str) -> bool:
        for _, folders, names in os.walk(self.root / folder):
            folders[:] = [f for f in folders if not _is_hidden(f)]
            if any(is_photo_name(n) and not _is_hidden(n) for n in names):
                return True
        return False

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder; files there are skipped and said."""
        names = []
        self.skip_hidden(folder)
        for entry in self.visible(folder):
            path = _join(folder, entry.name)
            if not _is_folder(entry):
                self.listing.skipped.append((path, "not in a class folder"))
            elif self.enter(entry, path):
                names.append(entry.name)
        return names

    def enter(self, entry: os.DirEntry, path: str) -> bool:
        """Tell whether a folder may be entered: not if it was before, through a link."""
        try:
            key = _identity(entry.path)
        except OSError as error:
            self.listing.skipped.append((path, f"cannot be opened: {error.strerror}"))
            return False
        if key in self.seen:
            self.listing.skipped.append((path, "a link to a folder that was read already"))
            return False
        self.seen.add(key)
        return True

    def photos(self, folder: str) -> Iterator[str]:
        """Yield the paths of the photos in a folder and in the folders inside it."""
        self.skip_hidden(folder)
        for entry in self.visible(folder):
            path = _join(folder, entry.name)
            if _is_folder(entry):
                if self.enter(entry, path):
                    yield from self.photos(path)
            elif reason := why_no_photo(Path(entry.path)):
                self.listing.skipped.append((path, reason))
            else:
                yield path


def why_no_photo(path: Path) -> str | None:
    """Return why a file cannot be a photo, from its name and kind; None if it may be one."""
    suffix = path.suffix.lower()
    if suffix in (".heic", ".heif") and suffix not in photo_suffixes():
        return HEIC
    if suffix in VIDEOS:
        return "a video; take single pictures out of it first"
    if suffix in ARCHIVES:
        return "an archive; unpack it first"
    if suffix and not is_photo_name(path.name):
        return f"not an image's name ({suffix})"
    try:
        status = path.stat()
    except OSError as error:
        return f"a broken link or unreadable: {error.strerror}"
    if not stat.S_ISREG(status.st_mode):  # to open a pipe would wait for ever
        return "no plain file"
    if not suffix:  # a photo whose name lost its ending?
        try:
            open_header(path).close()
        except PhotosError:
            return "not an image's name (no ending)"
    return None


def _identity(path: str | Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"  # what macOS adds to zip archives


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


# --- Tables and file names. ---

COLUMNS = {
    "file": ("file", "filename", "file_name", "filepath", "file_path", "path", "image", "photo",
             "image_id", "image_path", "image_name", "id"),
    "label": ("label", "labels", "class", "class_name", "category", "target", "species", "breed"),
    "split": ("split", "set", "subset"),
    "group": ("group", "patient", "visit"),
}  # fmt: skip


def _table_rows(table: Path) -> list[dict]:
    """Return a table's rows as spreadsheets write them: comma, semicolon or tab; any encoding."""
    data = table.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252")
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t|", key=first.count)
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


def _names_below(root: Path) -> dict[str, list[str]]:
    """Return for each file's name, with and without its ending, the paths that have it."""
    found = {}
    for path in _Walk(root, Listing([]), {_identity(root)}).photos(""):
        name = Path(path).name
        for key in {name, Path(name).stem}:
            found.setdefault(key, []).append(path)
    return found


def _table(table: Path) -> tuple[list[dict], dict]:
    """Return a table's rows, and which of its columns holds what."""
    try:
        rows = _table_rows(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PhotosError(f"the table {table} cannot be read: {error}.") from None
    given = {} if not rows else {(name or "").strip().lower(): name for name in rows[0]}
    columns = {k: next((given[n] for n in names if n in given), None)
               for k, names in COLUMNS.items()}  # fmt: skip
    if columns["file"] is None or columns["label"] is None:
        raise PhotosError(
            f"the table {table} needs a first line with the columns file and label (and perhaps "
            f"split and group); it has {', '.join(given) or 'nothing'}."
        )
    return rows, columns


def _from_table(root: Path, table: Path) -> Listing:
    rows, columns = _table(table)
    found, skipped, seen, names = [], [], {}, None
    for row in rows:
        cell = {k: (row.get(c) or "").strip() if c else "" for k, c in columns.items()}
        path, label = cell["file"], same_name(cell["label"])
        if path and not (root / path).is_file():  # a path of Windows, or a name without its folder
            path = path.replace("\\", "/")
            names = _names_below(root) if names is None else names
            if not (root / path).is_file() and len(names.get(path, ())) == 1:
                path = names[path][0]
        if not path or not label:
            skipped.append((path or "a line of the table", "without a file or a label"))
            continue
        if seen.setdefault(path, label) != label:
            raise PhotosError(f"{table} gives {path!r} two labels: {seen[path]!r} and {label!r}.")
        split = None
        if cell["split"] and (split := WORDS.get(cell["split"].lower())) is None:
            raise PhotosError(f"{table}: {cell['split']!r} is no split; use train, validation or "
                              "test.")  # fmt: skip
        if reason := why_no_photo(root / path):
            skipped.append((path, reason))
        else:
            found.append((path, label, split, cell["group"] or None))
    return _listing(root, found, skipped, f"labels from the table {table}")


def _from_names(root: Path, label_pattern: str) -> Listing:
    pattern, listing = _compiled(label_pattern, "--label-pattern"), Listing([])
    found = []
    walk = _Walk(root, listing, {_identity(root)})
    for path in walk.photos(""):
        match = pattern.search(path)
        if match is None or not pattern.groups:
            listing.skipped.append((path, "the pattern of labels does not fit"))
            continue
        named = match.groupdict()
        split = WORDS.get((named.get("split") or "").lower())
        found.append((path, same_name(named.get("label") or match[1]), split, named.get("group")))
    return _listing(root, found, listing.skipped, f"labels from file names by {label_pattern!r}")


def _listing(root: Path, found: list, skipped: list, layout: str) -> Listing:
    if not found:
        raise PhotosError(f"no photo in {root} has a label: {layout}.")
    names = {name: "" for _, name, _, _ in found}
    classes = list(_unique(str(root), names))
    files = [PhotoFile(p, classes.index(n), s, g) for p, n, s, g in dict.fromkeys(found)]
    given = {file.split for file in files} - {None}
    if given and None in {file.split for file in files}:
        files = [replace(f, split=f.split or "train") for f in files]
        given.add("train")
    if given and "train" not in given:
        raise PhotosError(f"{layout}: there is no split train.")
    return Listing(classes, files, skipped, tuple(s for s in SPLITS if s in given), [], layout)


def _compiled(pattern: str, option: str) -> re.Pattern:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise PhotosError(f"{option} {pattern!r} is no regular expression: {error}.") from None


def _example(listing: Listing) -> str:
    return listing.files[0].path if listing.files else "none"


# --- Files to predict. ---


def photos_to_predict(
    items: str | Path | Iterable[str | Path],
) -> Iterator[tuple[Path, str | None]]:
    """Yield the photos that are meant, each with None or the reason why it cannot be one.

    Args:
        items: one or several of: a photo, a folder (all photos in it and below), a pattern such as
            ``"*.jpg"``, or ``"-"``: a list of these on the standard input, a line each.

    Raises:
        PhotosError: a folder or a pattern has no photos.
    """
    if isinstance(items, str | Path):
        items = [items]
    for item in items:
        path = Path(item)
        if str(item) == "-":
            yield from photos_to_predict(line.strip() for line in sys.stdin if line.strip())
        elif path.is_dir():
            listing = Listing([])
            found = list(_Walk(path, listing, {_identity(path)}).photos(""))
            shown = [(p, r) for p, r in listing.skipped if r == HEIC]
            if not found and not shown:
                raise PhotosError(f"there are no photos in {path}.")
            yield from ((path / name, None) for name in found)
            yield from ((path / name, f"{path / name} is {reason}.") for name, reason in shown)
        elif not path.exists() and glob.has_magic(str(item)):
            names = sorted(glob.glob(str(item), recursive=True), key=natural_key)
            if not names:
                raise PhotosError(f"no file fits {item}.")
            yield from photos_to_predict(names)
        elif str(item).startswith(("http:", "https:")):
            yield path, f"{item} is an address; download the photo first."
        elif not path.exists():
            yield path, f"there is no photo at {path}."
        else:
            reason = why_no_photo(path)
            yield path, reason and f"{path} is skipped: {reason}."
