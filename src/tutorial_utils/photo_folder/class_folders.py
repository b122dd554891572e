"""Classes and splits from the names of folders, in the layouts that people have."""

import contextlib
import re
from pathlib import Path

from tutorial_utils._decoding import is_photo_name
from tutorial_utils.errors import PhotosError
from tutorial_utils.photo_folder.archives import ARCHIVES
from tutorial_utils.photo_folder.labels import table_hint
from tutorial_utils.photo_folder.names import (
    SPLITS,
    is_hidden,
    join,
    quoted,
    split_names,
    unique_classes,
)
from tutorial_utils.photo_folder.walk import HOW, Listing, PhotoFile, Walk, is_folder

# Folders that lie beside class folders by accident more often than as a class.
NOT_CLASSES = {
    "runs", "run", "results", "output", "outputs", "logs", "models", "checkpoints", "weights",
    "plots", "figures", "reports", "src", "code", "scripts", "notebooks", "__pycache__", "venv",
}  # fmt: skip


def from_folders(root: Path, only: set[str], smallest: int) -> Listing:
    """List the photos of class folders, with splits above or below them or without."""
    walk = Walk(root)
    listing = walk.listing
    top, names = _unwrap(walk, smallest)
    place = f"{root}/{top}" if top else str(root)
    splits = _split_folders(walk, top, names, place)
    if splits:
        folders = {s: {n: join(f, n) for n in walk.folders(f)} for s, f in splits.items()}
        beside = [n for n in names if join(top, n) not in splits.values()]
        listing.skipped += [(join(top, n), "beside the splits, but no split") for n in beside]
        listing.layout = "splits (" + ", ".join(splits.values()) + ") with class folders"
    elif per_class := _splits_in_classes(walk, top, names, place):
        folders, listing.layout = per_class, "class folders with splits in each"
    else:
        names = _plausible_classes(walk, top, names, place, only)
        folders = {None: {name: join(top, name) for name in names}}
        listing.layout = "class folders"
    if top:
        listing.layout += f", below {top}"
    folders = {split: unique_classes(place, part) for split, part in folders.items()}
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


def _unwrap(walk: Walk, smallest: int) -> tuple[str, list[str]]:
    """Go down through folders that hold one folder and nothing else that matters."""
    top = ""
    while True:
        names = walk.folders(top)
        photos = [e.name for e in walk.visible(top) if not is_folder(e) and is_photo_name(e.name)]
        if len(names) != 1 or photos or names[0] in split_names(names):
            if not names:
                raise PhotosError(_no_class_folders(walk.root, photos))
            return top, names
        inner = join(top, names[0])
        below = [e for e in walk.visible(inner) if is_folder(e)]
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
        beside = [p for p in above.iterdir() if p.is_dir() and not is_hidden(p.name)]
        if sum(any(is_photo_name(f.name) for f in p.iterdir()) for p in beside) > 1:
            hint = f" Did you mean {above}?"
    hint += table_hint(root)
    return f"the photos lie directly in {root}, without class folders.{hint} {HOW}"


def _split_folders(walk: Walk, top: str, names: list[str], place: str) -> dict[str, str]:
    """Return the folder of each split; none if these are the folders of classes."""
    spoken = split_names(names)
    holding = {n: s for n, s in spoken.items() if walk.has_folders(join(top, n))}
    if not holding:
        if len(spoken) > 1 and len(spoken) == len(names):
            raise PhotosError(
                f"{place}: {quoted(names)} look like splits, but have photos and no class folders "
                f"inside.{table_hint(walk.root)} {HOW}"
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
    return {split: join(top, found[split]) for split in SPLITS if split in found}


def _splits_in_classes(walk: Walk, top: str, names: list[str], place: str) -> dict | None:
    """Return split -> class -> folder where the splits lie inside the class folders."""
    inside = {}
    for name in names:
        folder = join(top, name)
        below = [e.name for e in walk.visible(folder) if is_folder(e)]
        spoken = {n: s for n, (s, rest) in split_names(below).items() if not rest}
        if "train" in spoken.values():
            inside[name] = {split: join(folder, n) for n, split in spoken.items()}
            deeper = [n for n in spoken if walk.has_folders(join(folder, n))]
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
        folder = join(top, name)
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
            below = sum(is_folder(e) for e in walk.visible(folder))
            if below > 1 and not walk.direct_photos(folder):
                walk.listing.notes.append(f"the {below} folders in {name!r} are one class")
    return kept


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
