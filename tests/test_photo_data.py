"""Batches and cached features: the same with any number of workers and after any interruption."""

import gc
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
from tutorial_utils.finetune import features
from tutorial_utils.finetune.features import cache_features, feature_key
from tutorial_utils.photo_folder.inspect import inspect_photos
from tutorial_utils.photo_folder.loading import PhotoDataset, batches, derive_seed, eval_loader

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


# --- Photos and batches. ---


def test_an_item_is_the_transformed_photo_and_its_label(found):
    data = dataset(found)
    assert len(data) == 11
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


def test_derived_seeds_differ():
    seeds = {derive_seed(a, b, c) for a in range(10) for b in range(10) for c in range(10)}
    assert len(seeds) == 1000
    assert derive_seed(1, 23) != derive_seed(12, 3)
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize("workers", [1])
def test_workers_change_nothing(found, workers):
    def loaded(count, number):
        data = dataset(found, CHANCE, seed=3)
        data.set_epoch(number)
        return list(batches(eval_loader(data, 4, count)))

    alone, others, next_epoch = loaded(0, 1), loaded(workers, 1), loaded(0, 2)
    for (x, i), (y, j), (z, _) in zip(alone, others, next_epoch, strict=True):
        assert torch.equal(x, y)
        assert torch.equal(i, j)
        assert not torch.equal(x, z)
    assert [len(i) for _, i in alone] == [4, 4, 3]


def test_loading_leaves_the_random_numbers_alone(found, tmp_path):
    state = torch.manual_seed(9).get_state()
    list(eval_loader(dataset(found, CHANCE), 4))
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
        list(batches(eval_loader(dataset(found), 2, workers)))
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
def test_a_worker_that_dies_is_one_error(found, monkeypatch):
    # How long torch waits, for each process, before it ends those that hang on the dead one.
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.2)
    with pytest.raises(PhotosError, match=r"process that reads photos died .*try fewer workers"):
        list(batches(eval_loader(dataset(found, die), 2, 2)))
    gc.collect()


def test_other_errors_are_left_as_they_are():
    def broken():
        yield 1
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        list(batches(broken()))


# --- Cached features. ---


def flat(images):
    return images.flatten(1)[:, ::100] - 0.25


def cache(found, path, function=flat, **options):
    return cache_features(function, dataset(found), path, progress=False, batch_size=4, **options)


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
    again = cache(found, tmp_path / "f.npy", function=None)
    np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize("cut", [None, -37, 0])
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
    if cut is not None and partial.exists():
        partial.write_bytes(partial.read_bytes()[:cut])  # what a power cut may leave
    seen = 0

    def counted(images):
        nonlocal seen
        seen += len(images)
        return flat(images)

    cache(found, path, counted)
    assert path.read_bytes() == whole
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f.npy", "whole.npy"]
    if cut is None:
        assert seen == 11 - 4 * steps


@pytest.mark.parametrize("rest", ["more rows", "other width", "noise", "no number of rows"])
def test_a_strange_partial_file_is_not_trusted(found, tmp_path, rest):
    wanted = np.array(cache(found, tmp_path / "whole.npy"))
    partial = tmp_path / "f.npy.partial"
    (tmp_path / "f.npy.rows").write_text("12" if rest == "more rows" else "4")
    if rest == "more rows":
        partial.write_bytes((tmp_path / "whole.npy").read_bytes())
    elif rest == "other width":
        with partial.open("wb") as file:
            np.save(file, np.zeros((12, 5), np.float16))
    elif rest == "noise":
        partial.write_bytes(np.random.default_rng(0).bytes(2000))
    else:
        (tmp_path / "f.npy.rows").write_text("")
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
        patch.setattr(features.os, "posix_fallocate", refuse)
        with pytest.raises(PhotosError, match=rf"cannot keep features in .*f\.npy: {message}"):
            cache(found, tmp_path / "f.npy")
    assert not (tmp_path / "f.npy").exists()
    np.testing.assert_array_equal(cache(found, tmp_path / "f.npy", function=flat), wanted)


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
