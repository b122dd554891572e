"""The files of a folder of photos: which are photos, of which class and split; what is left out.

All commands list files through this module, so what training skips, prediction skips too.
"""

import glob
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tutorial_utils.errors import PhotosError
from tutorial_utils.photo_folder.class_folders import from_folders
from tutorial_utils.photo_folder.labels import compiled, from_names, from_table, table_hint
from tutorial_utils.photo_folder.names import natural_key, nearest_path, quoted
from tutorial_utils.photo_folder.walk import HEIC, HOW, Listing, Walk, why_no_photo


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
        listing = from_table(root, Path(labels))
    elif label_pattern is not None:
        listing = from_names(root, label_pattern)
    else:
        listing = from_folders(root, set(classes or ()), smallest)
    if groups is not None:
        pattern = compiled(groups, "--groups")
        found = [(file, pattern.search(file.path)) for file in listing.files]
        if not any(match for _, match in found):
            example = listing.files[0].path if listing.files else "none"
            raise PhotosError(f"--groups {groups!r} fits no file, such as {example}.")
        listing.files = [replace(f, group=m[m.re.groups and 1]) if m else f for f, m in found]
    if len(listing.classes) < smallest:
        raise PhotosError(
            f"{root} has one class only ({quoted(listing.classes)}); a classifier needs two or "
            f"more.{table_hint(root)} {HOW}"
        )
    return listing


def check_folder(root: Path) -> None:
    """Raise an error that tells what stands in place of a folder of photos."""
    if str(root).startswith(("http:", "https:")):
        raise PhotosError(f"{root} is an address; download it first and give the file's name.")
    if not root.exists():
        raise PhotosError(f"there is no folder {root}.{nearest_path(root)} {HOW}")
    if root.suffix.lower() in (".csv", ".tsv") and root.is_file():
        raise PhotosError(f"{root} is a table: name the folder of photos, and the table with "
                          f"--labels {root.name}.")  # fmt: skip
    if root.suffix.lower() in (".rar", ".7z", ".zst"):
        raise PhotosError(f"{root} is an archive of a kind that is not read here: unpack it first.")
    if not root.is_dir():
        raise PhotosError(f"{root} is a file, not a folder of photos. {HOW}")


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
            walk = Walk(path)
            found = list(walk.photos(""))
            shown = [(p, r) for p, r in walk.listing.skipped if r == HEIC]
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
