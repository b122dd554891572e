"""Batches and cached features: the same with any number of workers and after any interruption."""

import os
import signal

import numpy as np
import pytest
import torch
from photo_folders import make_folders
from torch import nn
from torchvision.transforms import v2

from tutorial_utils._decoding import read_photo
from tutorial_utils.errors import PhotosError
from tutorial_utils.finetune import loading as photo_data
from tutorial_utils.finetune.inspect import inspect_photos
from tutorial_utils.finetune.loading import (
    PhotoDataset,
    batches,
    cache_features,
    feature_key,
    make_loader,
    mix,
    usable_workers,
)

PLAIN = v2.Compose([v2.Resize((24, 32)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
CHANCE = v2.Compose(
    [v2.RandomResizedCrop(20), v2.RandomHorizontalFlip(), v2.ColorJitter(0.5), PLAIN]
)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    root = make_folders(tmp_path_factory.mktemp("data") / "照片 📷", {"a": 5, "b c": 6})
    return inspect_photos(root, progress=False)


def dataset(found, transform=PLAIN, **options):
    return PhotoDataset(found.root, found.photos, transform, **options)


def epoch(loader, number):
    loader.sampler.set_epoch(number)
    return list(batches(loader))


def equal(a, b):
    """Tell whether two epochs have the same batches."""
    return all(torch.equal(x, y) and torch.equal(i, j) for (x, i), (y, j) in zip(a, b, strict=True))


# --- Photos and batches. ---


def test_an_item_is_the_transformed_photo_and_its_label(found):
    data = dataset(found)
    assert len(data) == 11
    assert data.labels.tolist() == [0] * 5 + [1] * 6
    image, label = data[7]
    assert label == 1
    assert torch.equal(image, PLAIN(read_photo(found.root / "b c" / "2.jpg")))


def test_chance_is_of_seed_epoch_and_photo_alone(found):
    def item(seed=0, epoch=0, index=3):
        data = dataset(found, lambda _: torch.rand(4), seed=seed)
        data.set_epoch(epoch)
        return data[index][0]

    torch.manual_seed(5)
    expected, state = torch.rand(2), torch.manual_seed(5).get_state()
    draws = [item(), item(1), item(0, 1), item(0, 0, 4)]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(draws[0], item())
    assert len({tuple(draw.tolist()) for draw in draws}) == 4


def test_mixed_seeds_differ():
    seeds = {mix(a, b, c) for a in range(10) for b in range(10) for c in range(10)}
    assert len(seeds) == 1000
    assert mix(1, 23) != mix(12, 3)
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(found, workers):
    alone = make_loader(dataset(found, CHANCE, seed=3), 4, train=True, seed=3)
    others = make_loader(dataset(found, CHANCE, seed=3), 4, train=True, seed=3, workers=workers)
    epochs = [epoch(alone, number) for number in range(3)]
    for number in (0, 1, 2, 1):  # an epoch again, as after an interruption
        assert equal(epoch(others, number), epochs[number])
    assert not equal(epochs[0], epochs[1])


def test_every_epoch_has_every_photo_once(found):
    data = dataset(found, lambda image: torch.tensor(image.getpixel((5, 5))))
    everything = sorted(tuple(data[i][0].tolist()) for i in range(11))
    for drop_last, sizes in ((False, [4, 4, 3]), (True, [4, 4])):
        loader = make_loader(data, 4, train=True, drop_last=drop_last)
        orders = [[tuple(x.tolist()) for xs, _ in epoch(loader, n) for x in xs] for n in range(2)]
        assert [len(labels) for _, labels in epoch(loader, 0)] == sizes
        assert orders[0] != orders[1]
        if not drop_last:
            assert [sorted(order) for order in orders] == [everything] * 2
    plain = make_loader(data, 4, train=False)
    assert torch.equal(torch.cat([labels for _, labels in plain]), data.labels)


def test_loading_leaves_the_random_numbers_alone(found, tmp_path):
    state = torch.manual_seed(9).get_state()
    epoch(make_loader(dataset(found, CHANCE), 4, train=True), 0)
    cache_features(flat, dataset(found, CHANCE), tmp_path / "f.npy", progress=False)
    assert torch.equal(torch.get_rng_state(), state)


# --- What goes wrong while reading. ---


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("damage", ["gone", "empty"])
def test_a_photo_that_went_bad_is_named_once(tmp_path, workers, damage):
    root = make_folders(tmp_path / "p", {"a": 3, "b": 3})
    found = inspect_photos(root, progress=False)
    bad = root / "b" / "1.jpg"
    bad.unlink() if damage == "gone" else bad.write_bytes(b"")
    with pytest.raises(PhotosError) as caught:
        list(batches(make_loader(dataset(found), 2, train=False, workers=workers)))
    message = str(caught.value)
    assert message.count(str(bad)) == 1
    assert "put it back, or start again" in message
    assert "Traceback" not in message
    assert "\n" not in message


def die(image):
    if torch.utils.data.get_worker_info() is not None:  # never the process of the tests
        os.kill(os.getpid(), signal.SIGKILL)
    return PLAIN(image)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_worker_that_dies_is_one_error(found):
    with pytest.raises(PhotosError, match=r"process that reads photos died .*try fewer workers"):
        list(batches(make_loader(dataset(found, die), 2, train=False, workers=2)))


def test_other_errors_are_left_as_they_are():
    def broken():
        yield 1
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        list(batches(broken()))


def test_workers_are_as_many_as_pay(monkeypatch):
    for processors, wanted in ((1, 0), (2, 2), (64, 8)):
        monkeypatch.setattr(
            photo_data.os, "sched_getaffinity", lambda _, n=processors: set(range(n)), raising=False
        )
        assert usable_workers() == wanted


# --- Cached features. ---


def flat(images):
    return images.flatten(1)[:, ::100] - 0.25


def cache(found, path, features=flat, **options):
    return cache_features(features, dataset(found), path, progress=False, batch_size=4, **options)


@pytest.mark.parametrize(("dtype", "workers"), [("float16", 0), ("float32", 0), ("float16", 2)])
def test_rows_are_the_photos_features(found, tmp_path, dtype, workers):
    rows = cache(found, tmp_path / "new" / "f.npy", dtype=dtype, workers=workers)
    images = torch.stack([image for image, _ in (dataset(found)[i] for i in range(11))])
    np.testing.assert_array_equal(rows, flat(images).numpy().astype(dtype))
    assert rows.dtype == dtype
    assert isinstance(rows, np.memmap)
    assert not rows.flags.writeable
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["f.npy"]
    np.testing.assert_array_equal(np.load(tmp_path / "new" / "f.npy"), rows)


def test_a_finished_file_is_not_computed_again(found, tmp_path):
    first = np.array(cache(found, tmp_path / "f.npy"))
    again = cache(found, tmp_path / "f.npy", features=None)
    np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize("cut", [None, -1, -37, 130, 60, 3, 0])
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(found, tmp_path, steps, cut):
    cache(found, tmp_path / "whole.npy")
    whole = (tmp_path / "whole.npy").read_bytes()
    count = 0

    def interrupted(images):
        nonlocal count
        count += 1
        if count > steps:
            raise KeyboardInterrupt
        return flat(images)

    path, partial = tmp_path / "f.npy", tmp_path / "f.npy.partial"
    with pytest.raises(KeyboardInterrupt):
        cache(found, path, interrupted)
    assert not path.exists()
    data = partial.read_bytes()
    assert whole.startswith(data)
    partial.write_bytes(data[:cut])  # what a power cut may leave
    seen = 0

    def counted(images):
        nonlocal seen
        seen += len(images)
        return flat(images)

    cache(found, path, counted)
    assert path.read_bytes() == whole
    assert not partial.exists()
    if cut is None:
        assert seen == 11 - 4 * steps


@pytest.mark.parametrize("rest", ["more rows", "other width", "noise"])
def test_a_strange_partial_file_is_not_trusted(found, tmp_path, rest):
    wanted = np.array(cache(found, tmp_path / "whole.npy"))
    partial = tmp_path / "f.npy.partial"
    if rest == "more rows":
        partial.write_bytes((tmp_path / "whole.npy").read_bytes() + bytes(1000))
    elif rest == "other width":
        with partial.open("wb") as file:
            np.save(file, np.zeros((12, 5), np.float16))
    else:
        partial.write_bytes(np.random.default_rng(0).bytes(2000))
    np.testing.assert_array_equal(cache(found, tmp_path / "f.npy"), wanted)
    assert (tmp_path / "f.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "objects", "zip"])
def test_a_damaged_file_is_said(found, tmp_path, damage):
    path = tmp_path / "f.npy"
    cache(found, path)
    if damage == "objects":
        np.save(path, np.array([{"a": 1}] * 11), allow_pickle=True)
    elif damage == "zip":
        with path.open("wb") as file:
            np.savez(file, a=np.zeros(3))
    else:
        path.write_bytes({"empty": b"", "text": b"text", "cut": path.read_bytes()[:-5]}[damage])
    with pytest.raises(PhotosError, match=r"f\.npy is damaged; delete it and start again"):
        cache(found, path)


def test_features_of_other_photos_are_refused(found, tmp_path):
    np.save(tmp_path / "f.npy", np.zeros((3, 2), np.float16))
    with pytest.raises(PhotosError, match=r"f\.npy has 3 rows for 11 photos; delete it"):
        cache(found, tmp_path / "f.npy")


def test_no_photos(found, tmp_path):
    with pytest.raises(PhotosError, match="there are no photos"):
        cache_features(flat, PhotoDataset(found.root, [], PLAIN), tmp_path / "f.npy")


@pytest.mark.parametrize("value", [1e5, float("nan"), float("inf")])
def test_numbers_that_cannot_be_kept_are_said(found, tmp_path, value):
    with pytest.raises(PhotosError, match=r"photos 0 to 3 are not finite in float16: look at"):
        cache(found, tmp_path / "f.npy", lambda images: images.flatten(1) * 0 + value)
    if value == 1e5:
        cache(found, tmp_path / "g.npy", lambda x: x.flatten(1) * 0 + value, dtype="float32")


@pytest.mark.parametrize(
    ("error", "message"),
    [(28, "No space left on device. Free some space"), (30, "Read-only .*Choose another folder")],
)
def test_a_disk_that_cannot_be_written_is_said(found, tmp_path, monkeypatch, error, message):
    wanted = np.array(cache(found, tmp_path / "whole.npy"))

    def refuse(*_):
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patch:
        patch.setattr(photo_data.os, "fsync", refuse)
        with pytest.raises(PhotosError, match=rf"cannot keep features in .*f\.npy: {message}"):
            cache(found, tmp_path / "f.npy")
    assert not (tmp_path / "f.npy").exists()
    np.testing.assert_array_equal(cache(found, tmp_path / "f.npy", features=None), wanted)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_while_writing_rows(found, tmp_path):
    (tmp_path / "f.npy.partial").symlink_to("/dev/full")
    with pytest.raises(PhotosError, match="cannot keep features in"):
        cache(found, tmp_path / "f.npy")


def test_a_file_in_the_way_of_the_folder(found, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(PhotosError, match=r"cannot keep features in .*Choose another folder"):
        cache(found, tmp_path / "file" / "f.npy")


def test_the_key_changes_with_weights_preprocessing_and_photos(found):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    keys = [feature_key(model, "x", found.photos)]
    assert feature_key(model, "x", found.photos) == keys[0]
    keys.append(feature_key(model, "y", found.photos))
    keys.append(feature_key(model, "x", found.photos[::-1]))
    with torch.no_grad():
        model[0].weight[1, 2] += 1e-6
    keys.append(feature_key(model, "x", found.photos))
    model[1].running_mean += 1
    keys.append(feature_key(model, "x", found.photos))
    keys.append(feature_key(model.bfloat16(), "x", found.photos))
    assert len(set(keys)) == 6
    assert {len(key) for key in keys} == {16}
