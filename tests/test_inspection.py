"""What inspection finds, skips and refuses; and how the photos are divided."""

import hashlib
import os
import random
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_folders import make_folders, photo
from PIL import Image

from tutorial_utils.errors import PhotosError
from tutorial_utils.photo_folder import inspect as inspection
from tutorial_utils.photo_folder.inspect import Inspection, Photo, inspect_photos
from tutorial_utils.photo_folder.split import split_photos


def inspect(root, **options):
    return inspect_photos(root, progress=False, **options)


@pytest.fixture
def photos(tmp_path):
    return make_folders(tmp_path / "photos", {"cat": 3, "dog": 2})


# --- What is found. ---


def test_what_is_kept_of_a_photo(photos):
    found = inspect(photos)
    assert found.classes == ["cat", "dog"]
    assert [(p.path, p.label, p.split) for p in found.photos] == [
        ("cat/0.jpg", 0, None), ("cat/1.jpg", 0, None), ("cat/2.jpg", 0, None),
        ("dog/0.jpg", 1, None), ("dog/1.jpg", 1, None),
    ]  # fmt: skip
    one = found.photos[4]
    assert (one.width, one.height, one.mode) == (48, 36, "RGB")
    data = (photos / "dog/1.jpg").read_bytes()
    assert one.sha == hashlib.sha256(data).hexdigest()[:32]
    assert found.counts() == {None: [3, 2]}
    assert found.skipped == found.notes == found.exact_groups == found.near_groups == []


def test_every_kind_of_image_is_a_photo(photos):
    folder, base = photos / "cat", photo(100)
    exif = Image.Exif()
    exif[0x0112] = 6
    base.save(folder / "turned.jpg", exif=exif)
    modes = ("L", "CMYK", "1", "LA", "RGBA", "I;16", "P")
    for number, mode in enumerate(modes):
        image = photo(101 + number)
        image = image.quantize(32) if mode == "P" else image.convert("L").convert(mode)
        image.save(folder / f"mode {mode}.{'tif' if mode == 'CMYK' else 'png'}")
    for ending in ("gif", "webp"):
        frames = [photo(130), photo(131), photo(132)]
        frames[0].save(folder / f"film.{ending}", save_all=True, append_images=frames[1:])
    found = inspect(photos)
    assert found.skipped == []
    assert len(found.photos) == 5 + 1 + len(modes) + 2
    stems = {Path(p.path).stem: p.mode for p in found.photos if p.path.startswith("cat/")}
    assert [stems["mode " + m] for m in modes] == list(modes)
    turned = next(p for p in found.photos if p.path == "cat/turned.jpg")
    assert (turned.width, turned.height) == (48, 36)  # as stored
    assert "modes: 7 RGB, 2 P, 1 " in found.summary()


def test_unreadable_files_are_skipped_and_said(photos):
    whole = (photos / "cat/0.jpg").read_bytes()
    spoiled = {
        "empty.jpg": (b"", "the file is empty"),
        "text.jpg": (b"<html>not found</html>", "cannot be read as an image"),
        "half.jpg": (whole[: len(whole) // 2], "cannot be read as an image: image file is trunc"),
        "head.png": (b"\x89PNG\r\n\x1a\n", "cannot be read as an image"),
    }
    for name, (data, _) in spoiled.items():
        (photos / "cat" / name).write_bytes(data)
    photo(50, 100, 101).save(photos / "cat" / "huge.png")
    found = inspect(photos, max_pixels=10_000)
    reasons = dict(found.skipped)
    assert len(found.photos) == 5
    assert reasons.pop("cat/huge.png").startswith("is too large to be a photo: 100 x 101 pixels")
    assert set(reasons) == {f"cat/{name}" for name in spoiled}
    for name, (_, reason) in spoiled.items():
        assert reason in reasons[f"cat/{name}"]
    assert "skipped: 5 files or folders\n  cat/empty.jpg: " in found.summary()


def test_a_file_that_goes_away_is_skipped(photos, monkeypatch):
    listed = inspection.list_photos(photos)
    (photos / "cat/0.jpg").unlink()
    monkeypatch.setattr(inspection, "list_photos", lambda _, **options: listed)
    assert [path for path, _ in inspect(photos).skipped] == ["cat/0.jpg"]


@pytest.mark.parametrize("workers", [1, 5])
def test_threads_change_nothing(photos, workers):
    (photos / "dog/x.jpg").write_bytes(b"x")
    assert inspect(photos, workers=workers) == inspect(photos)


# --- What is refused. ---


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "has no class folders.*Put the photos"),
        ({"a": 2}, r"one class only \('a'\); a classifier needs two or more"),
        ({"a": 0, "b": 0}, "has no photo that can be read.*Put the photos"),
        ({"a": 2, "b": 0, "c": 0}, "no photo that can be read of: 'b', 'c'.*Add photos or remove"),
        ({"a": 2, "b": 1}, "one photo only of: 'b'.*add some, or remove"),
        ({"train/a": 2, "test/a": 1, "test/b": 1}, "do not have the same classes.* test: 'b'"),
    ],
)
def test_folders_that_cannot_be_learned_from(tmp_path, counts, message):
    (tmp_path / "my photos").mkdir()
    with pytest.raises(PhotosError, match=message):
        inspect(make_folders(tmp_path / "my photos", counts))


def test_a_class_of_which_nothing_can_be_read(tmp_path):
    make_folders(tmp_path, {"a": 2, "b": 0})
    (tmp_path / "b" / "x.jpg").write_bytes(b"")
    message = r"of: 'b'\. 1 files were skipped, the first: b/x\.jpg \(.*the file is empty\)\. Add"
    with pytest.raises(PhotosError, match=message):
        inspect(tmp_path)


def test_missing_splits_are_said(tmp_path):
    make_folders(tmp_path, {"train/a": 2, "train/b": 2, "val/a": 1, "val/b": 1})
    found = inspect(tmp_path)
    assert found.counts() == {"train": [2, 2], "validation": [1, 1]}
    assert found.notes == ["no folder for test: made from the train photos"]


# --- What is said. ---


def test_the_summary_tells_of_duplicates_and_imbalance(tmp_path):
    make_folders(tmp_path, {"train/a": 10, "train/b": 3, "test/a": 1, "test/b": 1})
    shutil.copy(tmp_path / "train/a/0.jpg", tmp_path / "test/a/copy.jpg")
    with Image.open(tmp_path / "train/b/1.jpg") as image:
        image.resize((96, 72)).save(tmp_path / "train/a/larger.png")
    found = inspect(tmp_path)
    paths = [p.path for p in found.photos]
    exact = [{paths[i] for i in group} for group in found.exact_groups]
    near = [{paths[i] for i in group} for group in found.near_groups]
    assert exact == [{"train/a/0.jpg", "test/a/copy.jpg"}]
    assert near == [*exact, {"train/b/1.jpg", "train/a/larger.png"}]
    text = found.summary()
    assert "17 photos in 2 classes" in text
    assert "imbalance: 11 photos in the largest class, 3 in the smallest (3.7 times)" in text
    assert "exact duplicates: 2 photos in 1 group; 1 group across splits, 0 across" in text
    assert "another file): 2 photos in 1 group; 0 groups across splits, 1 across classes" in text
    assert "train/a/0.jpg = test/a/copy.jpg" in text
    assert "shorter side: 36 to 72 pixels, median 36" in text
    rows = [line.split() for line in text.splitlines()[2:5]]
    assert rows == [["train", "test", "class"], ["11", "2", "a"], ["3", "1", "b"]]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_text_are_found_and_can_be_printed(photos):
    name = os.fsdecode(b"cat/\xff \xe7\x8c\xab.jpg")
    (photos / "cat/0.jpg").rename(photos / name)
    (photos / os.fsdecode(b"dog/\xfe.jpg")).write_bytes(b"")
    found = inspect(photos)
    assert name in [p.path for p in found.photos]
    assert "dog/\ufffd.jpg: " in found.summary()
    found.summary().encode("utf-8")


def test_names_in_every_script_are_found(photos):
    names = ["两 只 猫.jpg", "🐈‍⬛.jpg", "a b\t'\".jpg", "e\u0301.jpg"]
    for number, name in enumerate(names):
        photo(60 + number).save(photos / "dog" / name)
    assert {f"dog/{name}" for name in names} < {p.path for p in inspect(photos).photos}


# --- The division. ---


def make_inspection(sizes, groups=(), splits=(None,), seed=0):
    """Return an inspection of photos that no file holds: ``groups`` says who copies whom."""
    rng, photos = random.Random(seed), []
    for split in splits:
        for label, size in enumerate(sizes):
            for i in range(size):
                sha = f"{rng.getrandbits(128):032x}"
                name = f"{split}/{label}/{i}.jpg"
                photos.append(
                    Photo(
                        name,
                        label,
                        split,
                        9,
                        9,
                        "RGB",
                        sha,
                        rng.getrandbits(64),
                        rng.getrandbits(63),
                    )
                )
    for first, second, exact in groups:
        a, b = photos[first % len(photos)], photos[second % len(photos)]
        fields = {"sha": a.sha} if exact else {}
        near = a.dhash if exact else a.dhash ^ 1 << second % 64
        copy = {**{k: getattr(b, k) for k in Photo.__slots__}, "dhash": near, "phash": a.phash}
        photos[second % len(photos)] = Photo(**copy | fields)
    return Inspection(Path("photos"), [str(i) for i in range(len(sizes))], photos)


SHARES = st.sampled_from([(0.7, 0.15, 0.15), (0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.1, 0.3, 0.6)])
COPIES = st.lists(st.tuples(st.integers(0, 999), st.integers(0, 999), st.booleans()), max_size=30)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.integers(2, 60), min_size=2, max_size=5), SHARES, st.integers(0, 9))
def test_classes_are_divided_by_the_shares(sizes, shares, seed):
    parts = split_photos(make_inspection(sizes), seed, shares)
    for label, size in enumerate(sizes):
        counts = [sum(p.label == label for p in part) for part in parts.values()]
        assert sum(counts) == size
        assert counts[0] >= 1
        assert counts[2] >= 1
        assert counts[1] >= (size > 2)
        if size * min(shares) >= 1:
            assert max(abs(n - size * s) for n, s in zip(counts, shares, strict=True)) <= 1


@settings(deadline=None, max_examples=80)
@given(st.lists(st.integers(2, 25), min_size=2, max_size=4), COPIES, SHARES, st.integers(0, 9))
def test_copies_stay_on_one_side_and_no_photo_is_lost(sizes, copies, shares, seed):
    found = make_inspection(sizes, copies)
    parts = split_photos(found, seed, shares)
    sides = {photo.path: split for split, part in parts.items() for photo in part}
    assert sum(map(len, parts.values())) == len(sides) == len(found.photos)
    for group in found.exact_groups + found.near_groups:
        assert len({sides[found.photos[i].path] for i in group}) == 1


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(2, 25), min_size=2, max_size=4), COPIES, st.randoms())
def test_the_order_of_the_files_does_not_matter(sizes, copies, chance):
    found = make_inspection(sizes, copies)
    mixed = Inspection(found.root, found.classes, chance.sample(found.photos, len(found.photos)))
    assert split_photos(mixed, 3) == split_photos(found, 3)


def test_seeds_divide_differently_and_each_the_same_again():
    found = make_inspection([40, 40])
    parts = [split_photos(found, seed) for seed in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]
    assert {p.path for p in parts[0]["test"]} != {p.path for p in parts[2]["test"]}
    labels = [p.label for p in parts[0]["train"]]
    assert labels != sorted(labels)  # shuffled


@pytest.mark.parametrize("given_splits", [("train", "validation", "test"), ("train", "validation"),
                                          ("train", "test"), ("train",)])  # fmt: skip
def test_given_splits_are_kept_and_missing_ones_made(given_splits):
    found = make_inspection([20, 40], splits=given_splits)
    parts = split_photos(found, 0, (0.6, 0.2, 0.2))
    for split, part in parts.items():
        source = split if split in given_splits else "train"
        assert {p.split for p in part} == {source}
        if split in given_splits[1:]:
            assert len(part) == 60
    made = 3 - len(given_splits)
    share = 0.6 + 0.2 * made
    taken = Counter(p.label for s, part in parts.items() if s not in given_splits for p in part)
    wanted = {label: round(size * 0.2 * made / share) for label, size in enumerate([20, 40])}
    assert taken == (wanted if made else {})
    assert sum(map(len, parts.values())) == 60 * len(given_splits)


@pytest.mark.parametrize("shares", [(1, 0, 0), (0.5, 0.5), (0.5, 0.3, 0.3), (1.2, -0.1, -0.1)])
def test_shares_must_add_up(shares):
    with pytest.raises(PhotosError, match="three positive numbers that add up to 1"):
        split_photos(make_inspection([3, 3]), 0, shares)
