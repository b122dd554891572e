"""Scale, sample photos, figures and stored results."""

import matplotlib as mpl
import numpy as np
import pytest
import torch

mpl.use("agg")

from tutorial_utils import plotting, results, scale
from tutorial_utils.photos import PHOTOS, load_photo, photo_tensor


def test_the_variable_chooses_the_scale(monkeypatch, capsys):
    monkeypatch.setenv("TUTORIAL_SCALE", "tiny")
    run = scale.start(seed=3)
    assert capsys.readouterr().out == "scale: tiny | device: cpu | seed: 3\n"
    assert run.pick(tiny=1, full=2) == 1
    monkeypatch.setenv("TUTORIAL_SCALE", "FULL ")
    assert scale.start().pick(tiny=1, full=2) == 2
    monkeypatch.setenv("TUTORIAL_SCALE", "huge")
    with pytest.raises(ValueError, match="'tiny' or 'full'"):
        scale.start()


@pytest.mark.parametrize(("gpu", "expected"), [(True, "full"), (False, "tiny")])
def test_without_the_variable_the_gpu_chooses(monkeypatch, gpu, expected):
    monkeypatch.delenv("TUTORIAL_SCALE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert scale.choose_scale() == expected
    assert scale.choose_device("tiny").type == "cpu"
    assert scale.choose_device("full").type == ("cuda" if gpu else "cpu")


def test_seeds_repeat_every_generator():
    def draw():
        scale.seed_everything(5)
        return scale.random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002

    assert draw() == draw()


def test_progress_is_silent_at_tiny_and_shows_at_full(monkeypatch, capsys):
    for name, silent in (("tiny", True), ("full", False)):
        monkeypatch.setenv("TUTORIAL_SCALE", name)
        assert list(scale.progress(range(3), "work")) == [0, 1, 2]
        assert (capsys.readouterr().err == "") == silent


@pytest.mark.parametrize("name", PHOTOS)
def test_photos_are_rgb_and_real(name):
    assert load_photo(name).mode == "RGB"
    pixels = photo_tensor(name, size=64)
    assert pixels.shape == (3, 64, 64)
    assert 0 <= pixels.min() < pixels.max() <= 1
    assert pixels.std() > 0.05


def test_an_unknown_photo_names_those_there_are():
    with pytest.raises(ValueError, match="chelsea"):
        load_photo("dog")


@pytest.mark.parametrize("shape", [(5, 4), (1, 5, 4), (3, 5, 4)])
def test_to_image_takes_tensors(shape):
    tensor = torch.rand(shape)
    found = plotting.to_image(tensor)
    assert found.shape[:2] == (5, 4)
    expected = tensor.permute(1, 2, 0) if shape[0] == 3 else tensor.reshape(5, 4)
    np.testing.assert_array_equal(found, expected.numpy())


def test_to_image_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"shape \(2, 5, 4\)"):
        plotting.to_image(torch.rand(2, 5, 4))


def test_figures_show_what_they_are_given():
    plotting.use_style()
    figure = plotting.show_images([torch.rand(3, 4, 4)] * 5, titles=list("abcde"), columns=3)
    assert len(figure.axes) == 6
    assert [len(axis.images) for axis in figure.axes] == [1, 1, 1, 1, 1, 0]


def test_results_come_back_as_they_were_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "IN_REPOSITORY", tmp_path)
    stored = {"settings": {"seeds": [0, 1]}, "accuracy": [0.5, 0.25]}
    results.save_results("trial", stored)
    assert results.load_results("trial") == stored
    with pytest.raises(FileNotFoundError, match=r"benchmarks/none\.py"):
        results.load_results("none")
