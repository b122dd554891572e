"""What is in a folder of photos: read once, before any training, and said in plain words."""

import hashlib
import json
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from tqdm.auto import tqdm

from tutorial_utils._decoding import decode, open_header
from tutorial_utils.errors import PhotosError
from tutorial_utils.finetune.duplicates import difference_hash, frequency_hash, near_groups
from tutorial_utils.finetune.listing import HOW, SPLITS, Listing, PhotoFile, list_photos, printable

CACHE_VERSION = 2
HASH_SIZE = (
    64  # JPEGs are decoded at a scale that leaves the shorter side this long, for the hashes
)
IMBALANCE = 3.0  # largest class / smallest class from which the summary speaks of imbalance
LISTED = 5  # examples of each kind that the summary names


@dataclass(frozen=True, slots=True)
class Photo:
    """A readable photo.

    ``path`` is relative to the root; ``label`` the index of its class; ``split`` is ``"train"``,
    ``"validation"``, ``"test"`` or None (not given); ``width`` and ``height`` are in pixels, as
    stored (before EXIF rotation); ``mode`` is Pillow's for the file; ``sha`` a hash of the file's
    bytes (32 hex digits of SHA-256); ``dhash`` and ``phash`` the 64-bit hashes of
    ``duplicates.difference_hash`` and ``frequency_hash``.
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


class Content(NamedTuple):
    """What only reading a file tells: what is cached of it. Either ``reason`` or the rest."""

    width: int = 0
    height: int = 0
    mode: str = ""
    sha: str = ""
    dhash: int = 0
    phash: int = 0
    reason: str = ""


@dataclass
class Inspection:
    """What ``inspect_photos`` found; index in ``classes`` = label, paths relative to ``root``."""

    root: Path
    classes: list[str]
    photos: list[Photo]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

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

    def counts(self) -> dict[str | None, list[int]]:
        """Return the number of photos: split (or None) -> one number a class."""
        found = Counter((photo.split, photo.label) for photo in self.photos)
        splits = [s for s in (*SPLITS, None) if any(split == s for split, _ in found)]
        return {s: [found[s, label] for label in range(len(self.classes))] for s in splits}

    def summary(self) -> str:
        """Return some lines of text: counts, sizes, and whatever deserves a look."""
        return printable("\n".join(_summary_lines(self)))


def inspect_photos(
    root: str | Path,
    progress: bool = True,
    cache: str | Path | None = None,
    workers: int | None = None,
    max_pixels: int | None = None,
) -> Inspection:
    """Read every photo below ``root`` once, and say what is there.

    ``root`` is a folder of class folders, or one of train / validation (or val) / test with class
    folders in each. Every photo is decoded (JPEGs at a reduced scale), so that a file which cannot
    be read is found now and not in the middle of the training. It is then a stated skip.

    Args:
        root: the folder of photos.
        progress: show a bar with the time left (in a terminal or notebook).
        cache: a file (JSON lines) that remembers what was read, by path, size and time of change;
            a second inspection reads only what is new. Without it nothing is written.
        workers: threads; as many as there are processors (at most 8) if not given.
        max_pixels: see ``decoding.open_header``.

    Raises:
        PhotosError: the folder is missing or empty, there is one class only, a class has no
            readable photo (in some split) or one only, or the splits have different classes.
    """
    root = Path(root)
    listing = list_photos(root)
    result = Inspection(root, listing.classes, [], listing.skipped)
    interned = {}  # one string object for each mode
    for file, content in _contents(
        root, listing.files, cache, progress, workers, max_pixels, result
    ):
        if content.reason:
            result.skipped.append((file.path, content.reason))
            continue
        mode = interned.setdefault(content.mode, content.mode)
        result.photos.append(
            Photo(
                file.path, file.label, file.split, content.width, content.height, mode,
                content.sha, content.dhash, content.phash,
            )
        )  # fmt: skip
    _check(result, listing)
    return result


def _check(result: Inspection, listing: Listing) -> None:
    """Raise for classes without photos; note what ``split_photos`` will have to make."""
    if not result.photos:
        raise PhotosError(f"{result.root} has no photo that can be read.{_first(result)} {HOW}")
    counts = result.counts()
    for split in listing.splits or (None,):
        numbers = counts.get(split, [0] * len(result.classes))
        empty = [name for name, n in zip(result.classes, numbers, strict=True) if n == 0]
        if empty:
            place = f"{result.root}/{split}" if split else str(result.root)
            raise PhotosError(
                f"{place} has no photo that can be read of: {', '.join(empty)}."
                f"{_first(result)} Add photos or remove the class's folder."
            )
    totals = [sum(numbers) for numbers in zip(*counts.values(), strict=True)]
    if alone := [name for name, n in zip(result.classes, totals, strict=True) if n == 1]:
        raise PhotosError(
            f"one photo only of: {', '.join(alone)}. One photo cannot be both learned from and "
            "tested on: add some, or remove the class's folder."
        )
    missing = [split for split in SPLITS if listing.splits and split not in listing.splits]
    if missing:
        result.notes.append(f"no folder for {' and '.join(missing)}: made from the train photos")


def _first(result: Inspection) -> str:
    if not result.skipped:
        return ""
    path, reason = result.skipped[0]
    return f" {len(result.skipped)} files were skipped, the first: {path} ({reason})."


def _contents(
    root: Path,
    files: Sequence[PhotoFile],
    cache: str | Path | None,
    progress: bool,
    workers: int | None,
    max_pixels: int | None,
    result: Inspection,
) -> Iterator[tuple[PhotoFile, Content]]:
    """Yield each file with its content, from the cache or from reading it, in the files' order."""
    known = _read_cache(cache)
    workers = workers or min(8, os.cpu_count() or 1)
    waiting = deque()
    bar = tqdm(total=len(files), desc="inspect", unit="photo", disable=None if progress else True)
    with ThreadPoolExecutor(workers) as pool, bar, _CacheWriter(cache, result) as writer:

        def finish() -> tuple[PhotoFile, Content]:
            file, task = waiting.popleft()
            bar.update()
            if isinstance(task, Content):
                return file, task
            content = task.result()
            if not content.reason:  # it may be mended, or the limit be changed
                writer.add(file, content)
            return file, content

        for file in files:
            content = known.pop((file.path, file.size, file.mtime), None)
            if content and max_pixels and content.width * content.height > max_pixels:
                content = None  # refused when it is read
            task = content or pool.submit(read_content, root, file.path, max_pixels)
            waiting.append((file, task))
            if len(waiting) > 8 * workers:  # so few are held at a time, however many there are
                yield finish()
        while waiting:
            yield finish()


def read_content(root: Path, path: str, max_pixels: int | None = None) -> Content:
    """Read one photo: its size, mode and hashes, or the reason why it cannot be used."""
    full = root / path
    try:
        with open_header(full, max_pixels) as photo:
            width, height, mode = photo.width, photo.height, photo.mode
            image = decode(photo, HASH_SIZE, full).convert("L")
        with full.open("rb") as file:
            sha = hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except (PhotosError, OSError) as error:
        return Content(reason=str(error).removeprefix(f"{full} ").rstrip("."))
    return Content(width, height, mode, sha, difference_hash(image), frequency_hash(image))


def _read_cache(cache: str | Path | None) -> dict[tuple[str, int, int], Content]:
    """Return what the cache remembers; damaged lines (a kill while writing) are left out."""
    known = {}
    if cache is None or not Path(cache).is_file():
        return known
    with Path(cache).open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                version, path, size, mtime, *content = json.loads(line)
                if version == CACHE_VERSION:
                    known[path, size, mtime] = Content(*content)
            except (ValueError, TypeError):
                continue
    return known


class _CacheWriter:
    """Append to the cache; if that cannot be done, say so once and go on without."""

    def __init__(self, cache: str | Path | None, result: Inspection):
        self.path, self.result, self.file = cache, result, None

    def __enter__(self):
        if self.path is not None:
            try:
                path = Path(self.path)
                path.parent.mkdir(parents=True, exist_ok=True)
                self.file = path.open("a", encoding="utf-8")
                self.file.write("\n")  # after a line that was cut off
            except OSError as error:
                self._give_up(error)
        return self

    def add(self, file: PhotoFile, content: Content) -> None:
        if self.file is not None:
            try:
                line = [CACHE_VERSION, file.path, file.size, file.mtime, *content]
                self.file.write(json.dumps(line) + "\n")
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if self.file is not None:
            with suppress(OSError):
                self.file.close()
        self.file = None
        self.result.notes.append(
            f"what was read could not be remembered in {self.path} ({error.strerror}); "
            "the next start reads all photos again"
        )

    def __exit__(self, *_) -> None:
        if self.file is not None:
            try:
                self.file.close()
            except OSError as error:
                self._give_up(error)


def _summary_lines(found: Inspection) -> Iterator[str]:
    counts = found.counts()
    yield f"{len(found.photos):,} photos in {len(found.classes)} classes in {found.root}"
    columns = {"photos": counts[None]} if None in counts else counts
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    for row, name in zip(rows, ["class", *found.classes], strict=True):
        yield "  " + "".join(f"{value:>12}" for value in row) + f"  {name}"
    sides = sorted(min(photo.width, photo.height) for photo in found.photos)
    yield (
        f"shorter side: {sides[0]} to {sides[-1]} pixels, median {sides[len(sides) // 2]}; modes: "
        + ", ".join(f"{n:,} {m}" for m, n in Counter(p.mode for p in found.photos).most_common())
    )
    shares = next(iter(columns.values()))
    if max(shares) > IMBALANCE * min(shares):
        yield (
            f"imbalance: {max(shares):,} photos in the largest class, {min(shares):,} in the "
            f"smallest ({max(shares) / min(shares):.1f} times); consider class weights"
        )
    yield from _duplicate_lines(found, "exact duplicates", found.exact_groups)
    yield from _duplicate_lines(
        found,
        "near duplicates (the same picture in another file)",
        [group for group in found.near_groups if len({found.photos[i].sha for i in group}) > 1],
    )
    if found.skipped:
        yield f"skipped: {len(found.skipped):,} files or folders"
        yield from (f"  {path}: {reason}" for path, reason in found.skipped[:LISTED])
        if len(found.skipped) > LISTED:
            yield f"  and {len(found.skipped) - LISTED:,} more"
    yield from (f"note: {note}" for note in found.notes)


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


def split_photos(
    inspection: Inspection,
    seed: int = 0,
    shares: tuple[float, float, float] = (0.7, 0.15, 0.15),
) -> dict[str, list[Photo]]:
    """Divide the photos into train, validation and test.

    Splits that the folders give are kept; one that is missing is taken out of train. Otherwise
    every class is divided by the shares, seeded. Exact and near duplicates stay together. The order
    comes from the photos' content, not from file names or folders, so that the same photos are
    divided in the same way on every machine. A class of two photos (or groups of duplicates) has
    none in validation; a class that is one group of duplicates is in train only.

    Args:
        inspection: from ``inspect_photos``.
        seed: another seed, another division.
        shares: of train, validation and test; they add up to 1.

    Returns:
        ``{"train": [...], "validation": [...], "test": [...]}``.

    Raises:
        PhotosError: the shares are not positive or do not add up to 1.
    """
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise PhotosError(f"the shares must be three positive numbers that add up to 1: {shares}.")
    photos = inspection.photos
    result = {split: [] for split in SPLITS}
    for photo in photos:
        if photo.split is not None:
            result[photo.split].append(photo)
    given = [split for split in SPLITS if result[split]]
    wanted = [split for split in SPLITS if split == "train" or split not in given]
    if len(wanted) > 1:
        pool = [i for i, p in enumerate(photos) if p.split in (None, "train")]
        parts = {split: shares[SPLITS.index(split)] for split in wanted}
        result |= _divide(photos, _groups(inspection, pool), parts, seed)
    for part in result.values():
        part.sort(key=lambda photo: (_order(photo.sha, seed), photo.path))
    return result


def _order(sha: str, seed: int) -> str:
    """Return a key that shuffles by content: the same for the same bytes and seed, anywhere."""
    return hashlib.sha256(f"{seed}:{sha}".encode()).hexdigest()


def _groups(inspection: Inspection, pool: Sequence[int]) -> list[list[int]]:
    """Return the photos of ``pool`` in groups that must stay together, singles too."""
    parent = {index: index for index in pool}

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for group in (*inspection.exact_groups, *inspection.near_groups):
        inside = [index for index in group if index in parent]
        for index in inside[1:]:
            parent[root(index)] = root(inside[0])
    groups = {}
    for index in pool:
        groups.setdefault(root(index), []).append(index)
    return list(groups.values())


def _divide(
    photos: Sequence[Photo], groups: list[list[int]], parts: dict[str, float], seed: int
) -> dict[str, list[Photo]]:
    """Give each class's groups to the parts: large ones first, each to the part that lacks most."""
    by_class = {}
    for group in groups:
        label = min(Counter(photos[i].label for i in group).items(), key=lambda c: (-c[1], c[0]))[0]
        key = min(_order(photos[i].sha, seed) for i in group)
        by_class.setdefault(label, []).append((-len(group), key, group))
    result = {split: [] for split in parts}
    for entries in by_class.values():
        entries.sort(key=lambda entry: entry[:2])
        total = -sum(entry[0] for entry in entries)
        lacks = {split: total * share / sum(parts.values()) for split, share in parts.items()}
        # With two groups for three parts, validation goes without: a test without the class
        # would be the greater loss.
        needed = [s for s in ("train", "test", "validation") if s in parts][: len(entries)]
        for number, (_, _, group) in enumerate(entries):
            must = len(entries) - number <= len(needed)
            choice = max(needed if must else parts, key=lambda split: lacks[split])
            if choice in needed:
                needed.remove(choice)
            lacks[choice] -= len(group)
            result[choice].extend(photos[index] for index in group)
    return result
