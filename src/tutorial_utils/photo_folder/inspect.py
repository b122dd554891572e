"""What is in a folder of photos: read once, before any training, and said in plain words."""

import hashlib
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from PIL import Image
from tqdm.auto import tqdm

from tutorial_utils._decoding import decode, open_header
from tutorial_utils.errors import PhotosError
from tutorial_utils.photo_folder.duplicates import difference_hash, frequency_hash, near_groups
from tutorial_utils.photo_folder.listing import list_photos
from tutorial_utils.photo_folder.names import SPLITS, printable
from tutorial_utils.photo_folder.walk import HOW, Listing, PhotoFile

HASH_SIZE = 64  # JPEGs are decoded at a scale that leaves the shorter side this long, for hashes
IMBALANCE = 3.0  # largest class / smallest class from which the summary speaks of imbalance
LISTED = 5  # examples of each kind that the summary names
TINY, HUGE = 64, 50_000_000  # shorter side in pixels; pixels
PLAIN = 1.5  # bits of entropy of the shades under which a picture is perhaps a placeholder
FEW_TEST = 30  # test photos under which an accuracy says next to nothing


@dataclass(frozen=True, slots=True)
class Photo:
    """A readable photo.

    ``path`` is relative to the root; ``label`` the index of its class; ``split`` is ``"train"``,
    ``"validation"``, ``"test"`` or None (not given); ``width`` and ``height`` are in pixels, as
    stored (before EXIF rotation); ``mode`` is Pillow's for the file; ``sha`` a hash of the file's
    bytes (32 hex digits of SHA-256); ``dhash`` and ``phash`` the 64-bit hashes of
    ``duplicates.difference_hash`` and ``frequency_hash``; ``group`` what it belongs to, if given;
    ``entropy`` that of its shades of grey, in bits (0 to 6).
    """

    path: str
    label: int
    split: str | None
    width: int
    height: int
    mode: str
    sha: str
    dhash: int
    phash: int = 0
    group: str | None = None
    entropy: float = 6.0


@dataclass
class Inspection:
    """What ``inspect_photos`` found; index in ``classes`` = label, paths relative to ``root``."""

    root: Path
    classes: list[str]
    photos: list[Photo]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    layout: str = ""

    @cached_property
    def exact_groups(self) -> list[list[int]]:
        """Indices of photos whose files are equal byte by byte, in groups of two or more."""
        groups = {}
        for index, photo in enumerate(self.photos):
            groups.setdefault(photo.sha, []).append(index)
        return [group for group in groups.values() if len(group) > 1]

    @cached_property
    def near_groups(self) -> list[list[int]]:
        """Indices of photos that show the same picture (``duplicates.near_groups``), in groups."""
        return near_groups([p.dhash for p in self.photos], [p.phash for p in self.photos])

    @property
    def placeholders(self) -> list[Photo]:
        """Photos of hardly any shades: perhaps "this photo is no longer available"."""
        return [photo for photo in self.photos if photo.entropy < PLAIN]

    def counts(self) -> dict[str | None, list[int]]:
        """Return the number of photos: split (or None) -> one number for each class."""
        found = Counter((photo.split, photo.label) for photo in self.photos)
        splits = [s for s in (*SPLITS, None) if any(split == s for split, _ in found)]
        return {s: [found[s, label] for label in range(len(self.classes))] for s in splits}

    def majority(self) -> float:
        """Return the accuracy of always naming the largest class."""
        totals = Counter(photo.label for photo in self.photos)
        return max(totals.values()) / len(self.photos)

    def summary(self) -> str:
        """Return some lines of text: counts, sizes, and whatever deserves a look."""
        return printable("\n".join(_summary_lines(self)))

    def to_json(self) -> dict:
        """Return all that the summary says, and every skip, as plain values."""

        def paths(groups: list[list[int]]) -> list[list[str]]:
            return [[self.photos[i].path for i in group] for group in groups]

        return {
            "root": str(self.root), "layout": self.layout, "classes": self.classes,
            "photos": len(self.photos),
            "counts": {str(split or "all"): row for split, row in self.counts().items()},
            "majority": self.majority(), "exact_duplicates": paths(self.exact_groups),
            "near_duplicates": paths(self.near_groups),
            "placeholders": [photo.path for photo in self.placeholders],
            "tiny": [p.path for p in self.photos if min(p.width, p.height) < TINY],
            "huge": [p.path for p in self.photos if p.width * p.height > HUGE],
            "skipped": ordered_skips(self.skipped), "notes": self.notes,
        }  # fmt: skip


def ordered_skips(skipped: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return what was skipped, photos that cannot be read first, hidden files last."""

    def rank(reason: str) -> int:
        if "cannot be read" in reason or "too large" in reason or "HEIC" in reason:
            return 0
        return 2 if reason == "hidden" else 1

    return sorted(skipped, key=lambda pair: rank(pair[1]))


def inspect_photos(
    root: str | Path,
    progress: bool = True,
    workers: int | None = None,
    max_pixels: int | None = None,
    smallest: int = 2,
    **layout: object,
) -> Inspection:
    """Read every photo below ``root`` once, and say what is there.

    Every photo is decoded (JPEGs at a reduced scale), so that a file which cannot be read is found
    now and not in the middle of the training. It is then a stated skip.

    Args:
        root: the folder of photos; see ``listing.list_photos`` for what it may look like.
        progress: show a bar with the time left (in a terminal or notebook).
        workers: threads; as many as there are processors (at most 8) if not given.
        max_pixels: see ``_decoding.open_header``.
        smallest: number of classes, and of photos of each class, that are needed.
        layout: ``labels``, ``label_pattern``, ``groups``, ``classes`` of ``list_photos``.

    Raises:
        PhotosError: the folder is missing or empty, there is one class only, or a class has no
            readable photo to train on or one only.
    """
    root = Path(root)
    listing = list_photos(root, smallest=smallest, **layout)
    result = Inspection(
        root, listing.classes, [], listing.skipped, listing.notes, listing.layout
    )  # fmt: skip
    workers = workers or min(8, os.cpu_count() or 1)
    bar = tqdm(total=len(listing.files), desc="inspect", unit="photo",
               disable=None if progress else True)  # fmt: skip
    waiting = deque()
    with ThreadPoolExecutor(workers) as pool, bar:

        def finish() -> None:
            file, task = waiting.popleft()
            photo = task.result()
            if isinstance(photo, str):
                result.skipped.append((file.path, photo))
            else:
                result.photos.append(photo)
            bar.update()

        for file in listing.files:
            waiting.append((file, pool.submit(read_content, root, file, max_pixels)))
            if len(waiting) > 8 * workers:  # so few are held at a time, however many there are
                finish()
        while waiting:
            finish()
    _check(result, listing, smallest)
    return result


def read_content(root: Path, file: PhotoFile, max_pixels: int | None = None) -> Photo | str:
    """Read one photo: its size, mode and hashes, or the reason why it cannot be used."""
    full = root / file.path
    try:
        with open_header(full, max_pixels) as photo:
            width, height, mode = photo.width, photo.height, photo.mode
            image = decode(photo, HASH_SIZE, full).convert("L")
        with full.open("rb") as opened:
            sha = hashlib.file_digest(opened, "sha256").hexdigest()[:32]
    except (PhotosError, OSError) as error:
        return str(error).removeprefix(f"{full} ").rstrip(".")
    shades = image.resize((64, 64), Image.Resampling.BOX).point(lambda v: v // 4)
    return Photo(
        file.path, file.label, file.split, width, height, mode, sha, difference_hash(image),
        frequency_hash(image), file.group, round(shades.entropy(), 3),
    )  # fmt: skip


def _check(result: Inspection, listing: Listing, smallest: int) -> None:
    """Raise for classes without photos; note what ``split_photos`` will have to make."""
    if not result.photos:
        raise PhotosError(f"{result.root} has no photo that can be read.{_first(result)} {HOW}")
    if smallest < 2:
        return
    counts = result.counts()
    first = "train" if listing.splits else None
    for split, numbers in ({first: [0] * len(result.classes)} | counts).items():
        empty = [name for name, n in zip(result.classes, numbers, strict=True) if n == 0]
        if empty and split == first:
            place = f"{result.root}/{split}" if split else str(result.root)
            raise PhotosError(
                f"{place} has no photo that can be read of: {', '.join(map(repr, empty))}."
                f"{_first(result)} Add photos or remove the class's folder."
            )
    totals = [sum(numbers) for numbers in zip(*counts.values(), strict=True)]
    if alone := [name for name, n in zip(result.classes, totals, strict=True) if n == 1]:
        raise PhotosError(
            f"one photo only of: {', '.join(map(repr, alone))}. One photo cannot be both learned "
            "from and tested on: add some, or remove the class's folder."
        )
    missing = [split for split in SPLITS if listing.splits and split not in listing.splits]
    if missing:
        result.notes.append(f"no folder for {' and '.join(missing)}: made from the train photos")


def _first(result: Inspection) -> str:
    if not result.skipped:
        return ""
    path, reason = ordered_skips(result.skipped)[0]
    return f" {len(result.skipped)} files were skipped, the first: {path} ({reason})."


def _summary_lines(found: Inspection) -> Iterator[str]:
    counts = found.counts()
    yield f"{len(found.photos):,} photos in {len(found.classes)} classes in {found.root}"
    yield f"understood as: {found.layout}"
    columns = {"photos": counts[None]} if None in counts else counts
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    for row, name in zip(rows, ["class", *found.classes], strict=True):
        yield "  " + "".join(f"{value:>12}" for value in row) + f"  {name}"
    yield f"always naming the largest class would be right on {found.majority():.3f} of the photos"
    sides = sorted(min(photo.width, photo.height) for photo in found.photos)
    yield (
        f"shorter side: {sides[0]} to {sides[-1]} pixels, median {sides[len(sides) // 2]}; modes: "
        + ", ".join(f"{n:,} {m}" for m, n in Counter(p.mode for p in found.photos).most_common())
    )
    yield from _photo_lines(f"shorter side under {TINY} pixels",
                            [p for p in found.photos if min(p.width, p.height) < TINY])  # fmt: skip
    yield from _photo_lines(f"more than {HUGE // 10**6} million pixels",
                            [p for p in found.photos if p.width * p.height > HUGE])  # fmt: skip
    yield from _photo_lines("hardly any shades, perhaps placeholders", found.placeholders)
    shares = next(iter(columns.values()))
    if max(shares) > IMBALANCE * max(1, min(shares)):
        yield (
            f"imbalance: {max(shares):,} photos in the largest class, {min(shares):,} in the "
            f"smallest ({max(shares) / max(1, min(shares)):.1f} times); consider class weights"
        )
    yield from _duplicate_lines(found, "exact duplicates", found.exact_groups)
    yield from _duplicate_lines(
        found,
        "near duplicates (the same picture in another file)",
        [group for group in found.near_groups if len({found.photos[i].sha for i in group}) > 1],
    )
    if found.skipped:
        yield f"skipped: {len(found.skipped):,} files or folders"
        yield from (f"  {path}: {why}" for path, why in ordered_skips(found.skipped)[:LISTED])
        if len(found.skipped) > LISTED:
            yield f"  and {len(found.skipped) - LISTED:,} more"
    yield from (f"note: {note}" for note in found.notes)


def _photo_lines(name: str, photos: Sequence[Photo]) -> Iterator[str]:
    if photos:
        shown = ", ".join(photo.path for photo in photos[:LISTED])
        yield f"{name}: {len(photos):,} photos ({shown}{', ...' if len(photos) > LISTED else ''})"


def _count_groups(members: Sequence) -> str:
    return f"{len(members):,} group" + ("" if len(members) == 1 else "s")


def _duplicate_lines(found: Inspection, name: str, groups: list[list[int]]) -> Iterator[str]:
    if not groups:
        yield f"{name}: none"
        return
    members = [[found.photos[index] for index in group] for group in groups]
    splits = [group for group in members if len({photo.split for photo in group}) > 1]
    classes = [group for group in members if len({photo.label for photo in group}) > 1]
    yield (
        f"{name}: {sum(map(len, members)):,} photos in {_count_groups(members)}; "
        f"{_count_groups(splits)} across splits, {len(classes):,} across classes"
    )
    telling = splits + [group for group in classes if group not in splits]
    for group in (telling or members)[:LISTED]:
        rest = f" and {len(group) - 3} more" if len(group) > 3 else ""
        yield "  " + " = ".join(photo.path for photo in group[:3]) + rest
