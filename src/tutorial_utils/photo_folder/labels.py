"""Classes from a table (CSV) or from the names of the files: folders then say nothing."""

import contextlib
import csv
import io
import re
import shlex
from dataclasses import replace
from pathlib import Path

from tutorial_utils.errors import PhotosError
from tutorial_utils.photo_folder.names import SPLITS, WORDS, same_name, unique_classes
from tutorial_utils.photo_folder.walk import Listing, PhotoFile, Walk, why_no_photo

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
    for path in Walk(root).photos(""):
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


def from_table(root: Path, table: Path) -> Listing:
    """List the photos that a table names, with the labels, splits and groups that it gives."""
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


def from_names(root: Path, label_pattern: str) -> Listing:
    """List all photos below the root, their labels found in their paths by a pattern."""
    pattern, walk, found = compiled(label_pattern, "--label-pattern"), Walk(root), []
    for path in walk.photos(""):
        match = pattern.search(path)
        if match is None or not pattern.groups:
            walk.listing.skipped.append((path, "the pattern of labels does not fit"))
            continue
        named = match.groupdict()
        split = WORDS.get((named.get("split") or "").lower())
        found.append((path, same_name(named.get("label") or match[1]), split, named.get("group")))
    return _listing(
        root, found, walk.listing.skipped, f"labels from file names by {label_pattern!r}"
    )


def _listing(root: Path, found: list, skipped: list, layout: str) -> Listing:
    if not found:
        raise PhotosError(f"no photo in {root} has a label: {layout}.")
    names = {name: "" for _, name, _, _ in found}
    classes = list(unique_classes(str(root), names))
    files = [PhotoFile(p, classes.index(n), s, g) for p, n, s, g in dict.fromkeys(found)]
    given = {file.split for file in files} - {None}
    if given and None in {file.split for file in files}:
        files = [replace(f, split=f.split or "train") for f in files]
        given.add("train")
    if given and "train" not in given:
        raise PhotosError(f"{layout}: there is no split train.")
    return Listing(classes, files, skipped, tuple(s for s in SPLITS if s in given), [], layout)


def compiled(pattern: str, option: str) -> re.Pattern:
    """Return a regular expression, or raise an error that names the option it came from."""
    try:
        return re.compile(pattern)
    except re.error as error:
        raise PhotosError(f"{option} {pattern!r} is no regular expression: {error}.") from None


def table_hint(root: Path) -> str:
    """Return a sentence on a table in the folder that has the classes; nothing if there is none."""
    for table in sorted(root.glob("*.[ct]sv")):
        with contextlib.suppress(PhotosError):
            _table(table)
            return f" If the classes stand in {table.name}: --labels {shlex.quote(str(table))}."
    return ""
