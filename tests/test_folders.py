"""Folders of photos: what is wrong with them is said in one sentence, before any training."""

import subprocess

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from tutorial_utils import folders
from tutorial_utils.folders import (
    PhotoFolderError,
    check_photo_folder,
    fetch_clothing,
    load_splits,
    make_loader,
    open_photo,
)

TO_TENSOR = v2.Compose([v2.ToImage(), v2.Resize((8, 8)), v2.ToDtype(torch.float32, scale=True)])


def save(path, color="red", mode="RGB", size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).convert(mode).save(path)
    return path


@pytest.fixture
def root(tmp_path):
    for split in ("train", "validation", "test"):
        for name, color in (("猫 cat", "red"), ("dog", "blue")):
            for index in range(3):
                save(tmp_path / split / name / f"{index} é🙂.png", color)
    return tmp_path


def test_counts_and_classes(root):
    counts = check_photo_folder(root)
    assert counts["train"] == {"dog": 3, "猫 cat": 3}
    splits = load_splits(root, TO_TENSOR, TO_TENSOR)
    assert splits.classes == splits.train.classes == splits.test.classes
    images, labels = next(iter(make_loader(splits.train, batch_size=6)))
    assert images.shape == (6, 3, 8, 8)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert images[0].mean(dim=(1, 2)).tolist() == [0, 0, 1]  # the dog is blue


def test_val_serves_as_validation(root):
    (root / "validation").rename(root / "val")
    assert len(load_splits(root, TO_TENSOR, TO_TENSOR).validation) == 6


def test_the_order_depends_on_the_seed_alone(root):
    data = load_splits(root, TO_TENSOR, TO_TENSOR).train
    orders = [
        torch.cat([labels for _, labels in make_loader(data, 2, shuffle=True, seed=seed)]).tolist()
        for seed in (1, 1, 2, 3, 4)
    ]
    assert orders[0] == orders[1]
    assert any(order != orders[0] for order in orders[2:])


def remove(path):
    for file in sorted(path.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    path.rmdir()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: remove(root), "no folder"),
        (lambda root: remove(root / "test"), "no folder 'test'"),
        (lambda root: remove(root / "train" / "dog"), "at least two class folders"),
        (lambda root: [f.unlink() for f in (root / "train" / "dog").iterdir()], "no photos of dog"),
        (lambda root: (root / "test" / "dog").rename(root / "test" / "wolf"), "share.*dog, wolf"),
    ],
)
def test_a_bad_folder_gives_one_clear_error(root, spoil, message):
    spoil(root)
    with pytest.raises(PhotoFolderError, match=message):
        load_splits(root, TO_TENSOR, TO_TENSOR)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "YCbCr"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    path = save(tmp_path / "photo.tif", "white", mode)
    photo = open_photo(path)
    assert photo.mode == "RGB"
    assert np.asarray(photo).min() >= 250


def test_transparency_is_laid_on_white(tmp_path):
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert np.asarray(open_photo(tmp_path / "clear.png")).min() == 255


def test_sixteen_bits_keep_their_contrast(tmp_path):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    found = np.asarray(open_photo(tmp_path / "deep.png"))[:, :, 0].astype(int)
    assert np.abs(found - ramp / 257).max() <= 1


def test_exif_rotation_is_applied(tmp_path):
    photo = Image.new("RGB", (20, 10))
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(tmp_path / "turned.jpg", exif=exif)
    assert open_photo(tmp_path / "turned.jpg").size == (10, 20)


def test_reduced_decoding_keeps_enough_pixels(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (640, 480, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.jpg")
    assert open_photo(tmp_path / "large.jpg").size == (480, 640)
    assert open_photo(tmp_path / "large.jpg", smallest=100).size == (120, 160)


@pytest.mark.parametrize("content", [b"", b"no image", "cut"])
def test_unreadable_photos_are_named(tmp_path, content):
    path = tmp_path / "bad.jpg"
    if content == "cut":
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        content = path.read_bytes()[:800]
    path.write_bytes(content)
    with pytest.raises(PhotoFolderError, match=r"bad\.jpg cannot be read"):
        open_photo(path)


def test_a_missing_photo_and_a_bomb_are_named(tmp_path, monkeypatch):
    with pytest.raises(PhotoFolderError, match="there is no photo"):
        open_photo(tmp_path / "none.jpg")
    path = save(tmp_path / "huge.png", size=(50, 50))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(PhotoFolderError, match="too large"):
        open_photo(path)


def git(*command, cwd):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(
        ["git", *identity, *command], cwd=cwd, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_clothing_is_fetched_at_one_commit(root, tmp_path_factory, monkeypatch):
    git("init", "-q", cwd=root)
    git("add", ".", cwd=root)
    git("commit", "-qm", "photos", cwd=root)
    monkeypatch.setattr(folders, "CLOTHING_COMMIT", git("rev-parse", "HEAD", cwd=root))
    (root / "train" / "dog" / "later.png").write_bytes(b"not part of that commit")
    git("add", ".", cwd=root)
    git("commit", "-qm", "later", cwd=root)
    target = tmp_path_factory.mktemp("fetched") / "data" / "clothing"
    assert fetch_clothing(target, url=str(root)) == target
    assert check_photo_folder(target)["train"]["dog"] == 3
    assert fetch_clothing(target, url="nowhere") == target  # it is there: nothing is fetched


def test_without_network_the_clothing_error_says_what_to_do(tmp_path):
    with pytest.raises(RuntimeError, match="Connect to the network"):
        fetch_clothing(tmp_path / "clothing", url=str(tmp_path / "none"))
    assert list(tmp_path.iterdir()) == []
