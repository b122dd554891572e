"""Train, validation and test: divided by content, what belongs together on one side; and folds."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from tutorial_utils._files import read_lines, write_lines
from tutorial_utils.errors import PhotosError
from tutorial_utils.photo_folder.inspect import Inspection, Photo
from tutorial_utils.photo_folder.names import SPLITS

SHARES = (0.7, 0.15, 0.15)


def split_photos(
    inspection: Inspection,
    seed: int = 0,
    shares: tuple[float, float, float] = SHARES,
    earlier: dict[str, str] | None = None,
) -> dict[str, list[Photo]]:
    """Divide the photos into train, validation and test.

    Splits that the folders give are kept; one that is missing is taken out of train. Otherwise
    every class is divided by the shares, seeded. Copies and photos of one group (a patient, a
    burst) stay together. The order comes from the photos' content, not from file names or folders,
    so that the same photos are divided in the same way on every machine. A class of two photos (or
    groups) has none in validation; a class that is one group is in train only.

    Args:
        inspection: from ``inspect_photos``.
        seed: another seed, another division.
        shares: of train, validation and test; they add up to 1.
        earlier: a photo's hash -> the split it had in an earlier run, which it keeps.

    Returns:
        ``{"train": [...], "validation": [...], "test": [...]}``.

    Raises:
        PhotosError: the shares are not positive or do not add up to 1.
    """
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise PhotosError(f"the shares must be three positive numbers that add up to 1: {shares}.")
    photos, earlier = inspection.photos, earlier or {}
    result = {split: [] for split in SPLITS}
    for photo in photos:
        if photo.split is not None:
            result[photo.split].append(photo)
    given = [split for split in SPLITS if result[split]]
    wanted = [split for split in SPLITS if split == "train" or split not in given]
    if len(wanted) > 1:
        pool = [i for i, p in enumerate(photos) if p.split in (None, "train")]
        groups = groups_of(inspection, pool)
        kept = {split: [] for split in wanted}
        if earlier:
            new = []
            for group in groups:
                sides = [earlier[photos[i].sha] for i in group if photos[i].sha in earlier]
                side = min(sides, key=SPLITS.index) if sides else None  # train wins
                kept.get(side, new).append(group)
            groups = new
        parts = {split: shares[SPLITS.index(split)] for split in wanted}
        result |= _divide(photos, groups, parts, seed)
        for split, old in kept.items():
            result[split] += [photos[i] for group in old for i in group]
    for part in result.values():
        part.sort(key=lambda photo: (_order(photo.sha, seed), photo.path))
    return result


def write_split(path: Path, splits: dict[str, list[Photo]]) -> None:
    """Write the photos of each split, a line each, whole or not at all."""
    write_lines(path, [asdict(p) | {"split": s} for s, part in splits.items() for p in part])


def read_split(path: Path) -> dict[str, list[Photo]]:
    """Return what ``write_split`` wrote; nothing in any split if there is no such file."""
    parts = {split: [] for split in SPLITS}
    for row in read_lines(path):
        parts[row["split"]].append(Photo(**row))
    return parts


def _order(sha: str, seed: int) -> str:
    """Return a key that shuffles by content: the same for the same bytes and seed, anywhere."""
    return hashlib.sha256(f"{seed}:{sha}".encode()).hexdigest()


def group_numbers(inspection: Inspection, photos: Sequence[Photo]) -> np.ndarray:
    """Return a number for each photo, the same for copies and for photos of one group."""
    places, named = {photo.path: k for k, photo in enumerate(photos)}, {}
    for k, photo in enumerate(photos):
        if photo.group is not None:
            named.setdefault(photo.group, []).append(k)
    paths = [p.path for p in inspection.photos]
    copies = [
        [places[paths[i]] for i in group if paths[i] in places]
        for group in (*inspection.exact_groups, *inspection.near_groups)
    ]
    pairs = [(group[0], k) for group in (*copies, *named.values()) for k in group[1:]]
    rows, columns = np.array(pairs, dtype=int).reshape(-1, 2).T
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=[len(photos)] * 2)
    return connected_components(graph, directed=False)[1]


def groups_of(inspection: Inspection, pool: Sequence[int]) -> list[list[int]]:
    """Return the photos of ``pool`` in groups that must stay together, singles too."""
    numbers, found = group_numbers(inspection, [inspection.photos[i] for i in pool]), {}
    for index, number in zip(pool, numbers.tolist(), strict=True):
        found.setdefault(number, []).append(index)
    return list(found.values())


def copies_of_training(inspection: Inspection, splits: dict[str, list[Photo]]) -> set[str]:
    """Return the paths of test photos that show the same picture as a photo learned from."""
    learned = {p.path for part in ("train", "validation") for p in splits[part]}
    test, found = {p.path for p in splits["test"]}, set()
    for group in (*inspection.exact_groups, *inspection.near_groups):
        paths = {inspection.photos[i].path for i in group}
        if paths & learned:
            found |= paths & test
    return found


def stratified_folds(
    labels: np.ndarray, groups: np.ndarray, folds: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (training rows, held-out rows) of stratified group k-fold cross-validation.

    As many folds as the rarest class has groups, if that is fewer; none if it has one only.
    """
    each = [len(set(groups[labels == k])) for k in np.unique(labels)]
    folds = min(folds, *each)
    if folds >= 2:
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        yield from splitter.split(labels, labels, groups)


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
