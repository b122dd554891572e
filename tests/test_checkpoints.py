"""A saved classifier comes back the same, and a bad file gives one clear error."""

import os
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import get_model
from torchvision.transforms import v2

from tutorial_utils.checkpoints import (
    CheckpointError,
    Normalize,
    eval_transform,
    load_classifier,
    predict_photo,
    save_classifier,
)
from tutorial_utils.folders import PhotoFolderError
from tutorial_utils.models import replace_head

CLASSES = ["cat", "dog", "owl"]
PREPROCESSING = {"resize": 40, "crop": 32, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return replace_head(get_model("mobilenet_v2", weights=None), 3).eval()


@pytest.fixture
def saved(model, tmp_path):
    return save_classifier(tmp_path / "model.pt", model, "mobilenet_v2", CLASSES, PREPROCESSING)


def test_it_comes_back_the_same(model, saved):
    loaded = load_classifier(saved)
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(loaded.model(images), model(images))
    assert (loaded.name, loaded.classes) == ("mobilenet_v2", CLASSES)
    assert loaded.preprocessing == PREPROCESSING
    assert not loaded.model.training
    assert [p.name for p in saved.parent.iterdir()] == ["model.pt"]  # no partial file is left


def test_loading_leaves_the_random_numbers_alone(saved):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load_classifier(saved)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("size", [(60, 50), (50, 61), (40, 40), (333, 97), (30, 20), (401, 400)])
@pytest.mark.parametrize(
    ("resize", "crop", "how"),
    [(40, 32, "bilinear"), (37, 32, "bicubic"), (32, 32, "bilinear"), (33, 32, "lanczos"),
     (24, 32, "bilinear")],
)  # fmt: skip
def test_the_preprocessing_is_torchvisions(size, resize, crop, how):
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    shapes = [v2.Resize(resize, v2.InterpolationMode(how)), v2.CenterCrop(crop)]
    colours = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
    ours = eval_transform(resize, crop, mean, std, how)
    images = [photo, photo.convert("L").convert("RGB")]
    if how != "lanczos":  # which older torchvisions do with PIL images only
        images.append(v2.functional.to_image(photo))
    for image in images:
        found, wanted = ours(image), v2.Compose([*shapes, *colours])(image)
        shades = ((found - wanted).abs() * torch.tensor(std)[:, None, None] * 255).round()
        assert found.shape == (3, crop, crop)
        assert shades.max() <= 1
        assert (shades > 0).float().mean() < 0.05
    same = Normalize(mean, std)(photo)
    assert torch.equal(same, v2.Compose(colours)(photo))
    assert same.is_contiguous()


def test_photos_from_files_and_in_memory_agree(saved, tmp_path):
    loaded = load_classifier(saved)
    photo = Image.effect_noise((60, 50), 80)
    photo.save(tmp_path / "photo.png")
    answer = predict_photo(loaded, tmp_path / "photo.png", top=5)
    assert answer == predict_photo(loaded, photo, top=5)
    assert sorted(name for name, _ in answer) == CLASSES
    assert [p for _, p in answer] == sorted((p for _, p in answer), reverse=True)
    assert sum(p for _, p in answer) == pytest.approx(1)
    batch = eval_transform(**PREPROCESSING)(photo.convert("RGB"))[None]
    assert batch.shape == (1, 3, 32, 32)
    assert answer[0][1] == pytest.approx(loaded.model(batch).softmax(1).max().item())
    with pytest.raises(PhotoFolderError, match="no photo"):
        predict_photo(loaded, tmp_path / "missing.png")


@pytest.mark.parametrize(
    ("name", "classes", "preprocessing", "message"),
    [
        ("mobilenet_v2", ["cat", "dog"], PREPROCESSING, "with 2 outputs"),
        ("mobilenet_v3_small", CLASSES, PREPROCESSING, "not torchvision's mobilenet_v3_small"),
        ("mobilenet_v2", CLASSES, {"size": 32}, "does not suit"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(
    model, tmp_path, name, classes, preprocessing, message
):
    with pytest.raises(ValueError, match=message):
        save_classifier(tmp_path / "model.pt", model, name, classes, preprocessing)
    assert not list(tmp_path.iterdir())


def test_a_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match="no file"):
        load_classifier(tmp_path / "model.pt")


def test_a_file_that_was_cut_off(saved):
    saved.write_bytes(saved.read_bytes()[:100_000])
    with pytest.raises(CheckpointError, match="damaged"):
        load_classifier(saved)


def test_a_file_with_one_wrong_byte_in_its_weights(saved):
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 1
    saved.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load_classifier(saved)


def test_something_else_altogether(tmp_path):
    path = tmp_path / "model.pt"
    path.write_text("not a model")
    with pytest.raises(CheckpointError, match="damaged"):
        load_classifier(path)
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="not written by"):
        load_classifier(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(CheckpointError, match="damaged"):
        load_classifier(path)


class Attack:
    """Unpickling one would make a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_code_in_a_file_does_not_run(saved, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # torch's way around the check
    parts = torch.load(saved, weights_only=True)
    parts["classes"] = Attack(str(tmp_path / "broken in"))
    torch.save(parts, saved)
    with pytest.raises(CheckpointError, match="more than tensors"):
        load_classifier(saved)
    assert not (tmp_path / "broken in").exists()


@pytest.mark.parametrize("classes", [["cat", "dog"], [*CLASSES, "fox"], []])
def test_classes_that_do_not_fit_the_weights(saved, classes):
    parts = torch.load(saved, weights_only=True)
    torch.save(parts | {"classes": classes}, saved)
    with pytest.raises(CheckpointError, match=f"{len(classes)} classes"):
        load_classifier(saved)
