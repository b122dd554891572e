"""Files are written whole or not at all, and reading one never runs code in it."""

import errno
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tutorial_utils import _files as storage
from tutorial_utils._files import (
    CheckpointError,
    explained,
    read_lines,
    read_state,
    write_bytes,
    write_json,
    write_lines,
    write_state,
)
from tutorial_utils.errors import PhotosError

STATE = {"weights": torch.arange(12.0).view(3, 4), "epoch": 3, "names": ["a", "猫"], "none": None}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_states_come_back_the_same(tmp_path):
    write_state(tmp_path / "x.pt", STATE)
    found = read_state(tmp_path / "x.pt")
    assert torch.equal(found.pop("weights"), STATE["weights"])
    assert found == {k: v for k, v in STATE.items() if k != "weights"}
    assert names(tmp_path) == ["x.pt"]


def test_json_and_lines_come_back_the_same(tmp_path):
    values = {"photos": "C:\\照片", "cat 🐈": [1, 0.1, None]}
    write_json(tmp_path / "x.json", values)
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == values
    assert "照片" in (tmp_path / "x.json").read_text(encoding="utf-8")
    write_lines(tmp_path / "x.jsonl", [values, {"b": 2}])
    assert read_lines(tmp_path / "x.jsonl") == [values, {"b": 2}]
    assert read_lines(tmp_path / "none.jsonl") == []


def test_names_that_are_no_text_come_back_the_same(tmp_path):
    values = {"path": os.fsdecode(b"\xff\xfe.jpg"), "class": "猫"}
    write_json(tmp_path / "x.json", values)
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == values
    write_lines(tmp_path / "x.jsonl", [values])
    assert read_lines(tmp_path / "x.jsonl") == [values]


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    write_lines(tmp_path / "x.jsonl", [{"a": 1}, {"b": "猫"}])
    whole = (tmp_path / "x.jsonl").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "x.jsonl").write_bytes(whole[:length])
        wanted = [{"a": 1}, {"b": "猫"}][: whole[: length + 1].count(b"\n")]
        assert read_lines(tmp_path / "x.jsonl") == wanted


@pytest.mark.parametrize("step", ["open", "write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_whole(tmp_path, monkeypatch, step):
    path = tmp_path / "last.pt"
    write_state(path, STATE)
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Full(io.BytesIO):
        write = full

    if step in ("fsync", "replace"):
        monkeypatch.setattr(os, step, full)
    else:
        fake = full if step == "open" else lambda *_: Full()
        monkeypatch.setattr(storage, "open", fake, raising=False)
    with pytest.raises(PhotosError, match=r"is full, last\.pt was not written; .*--resume"):
        write_state(path, {"other": torch.zeros(9)})
    assert path.read_bytes() == before
    assert names(tmp_path) == ["last.pt"]


FILL = """
import subprocess, sys
from pathlib import Path
import torch
from tutorial_utils.errors import PhotosError
from tutorial_utils._files import read_state, write_state
disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=True)
write_state(disk / "last.pt", {"epoch": 1})
try:
    write_state(disk / "last.pt", {"epoch": torch.zeros(100_000)})
except PhotosError as error:
    print(error)
print(read_state(disk / "last.pt"), [path.name for path in disk.iterdir()])
subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
try:
    write_state(disk / "last.pt", {"epoch": 2})
except PhotosError as error:
    print(error)
print(read_state(disk / "last.pt"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small disk")
def test_a_small_disk_that_is_full_and_then_read_only(tmp_path):
    unshare = ["unshare", "--mount", "--map-root-user"]
    if os.geteuid() == 0:
        unshare.pop()
    trial = [*unshare, "mount", "-t", "tmpfs", "none", str(tmp_path)]
    try:
        subprocess.run(trial, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("may not mount here")
    found = subprocess.run(
        [*unshare, sys.executable, "-c", FILL, str(tmp_path)], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    full, kept, read_only, still = found.stdout.splitlines()
    assert "is full, last.pt was not written" in full
    assert kept == "{'epoch': 1} ['last.pt']"
    assert "cannot be written to (Read-only file system)" in read_only
    assert still == "{'epoch': 1}"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_device_that_is_full(tmp_path):
    (tmp_path / "last.pt.partial").symlink_to("/dev/full")
    with pytest.raises(PhotosError, match="is full"):
        write_bytes(tmp_path / "last.pt", b"x")
    assert names(tmp_path) == []


def test_a_missing_folder_and_a_folder_in_the_way(tmp_path):
    with pytest.raises(PhotosError, match=r"cannot write .*none.x: No such file"):
        write_bytes(tmp_path / "none" / "x", b"")
    (tmp_path / "x").mkdir()
    with pytest.raises(PhotosError, match=r"cannot write .*x: "):
        write_bytes(tmp_path / "x", b"")
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_read_only_folders_are_named(code):
    error = explained(Path("/runs/a/last.pt"), OSError(code, os.strerror(code)))
    assert str(error) == f"{Path('/runs/a')} cannot be written to ({os.strerror(code)})."


# --- Reading what others made. ---


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no file .*none\.pt"):
        read_state(tmp_path / "none.pt")
    with pytest.raises(CheckpointError, match="there is no file"):
        read_state(tmp_path)
    for content in (b"", b"text", bytes(1000), b"PK\3\4" + bytes(100)):
        (tmp_path / "x.pt").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"x\.pt is damaged or no checkpoint"):
            read_state(tmp_path / "x.pt")


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    path = tmp_path / "x.pt"
    write_state(path, STATE)
    whole = path.read_bytes()
    for length in np.linspace(0, len(whole) - 1, 60).astype(int):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"x\.pt is damaged"):
            read_state(path)


def test_a_changed_byte_gives_the_same_values_or_an_error(tmp_path):
    path, rng = tmp_path / "x.pt", np.random.default_rng(0)
    write_state(path, {"weights": torch.arange(2000.0)})
    whole, refused = path.read_bytes(), 0
    for place in rng.integers(0, len(whole), 60):
        data = bytearray(whole)
        data[place] ^= 0x55
        path.write_bytes(data)
        try:  # a byte between the parts of the file means nothing
            assert torch.equal(read_state(path)["weights"], torch.arange(2000.0))
        except CheckpointError:
            refused += 1
    assert refused > 40


class Malicious:
    """A pickle of it makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def as_torch(path, value):
    torch.save(value, path)


def as_old_torch(path, value):
    torch.save(value, path, _use_new_zipfile_serialization=False)


def as_pickle(path, value):
    path.write_bytes(pickle.dumps(value))


def as_tar(path, value):
    with tarfile.open(path, "w") as archive:
        for name in ("pickle", "storages", "tensors"):
            info, data = tarfile.TarInfo(name), pickle.dumps(value)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def as_pickle_before_a_zip(path, value):
    """Torch goes by the first bytes of a file, zipfile by the last ones."""
    as_old_torch(path, value)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x", b"")


def as_script(path, value):
    torch.save({}, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x/constants.pkl", pickle.dumps(value))
        archive.writestr("archive/constants.pkl", pickle.dumps(value))


KINDS = [as_torch, as_old_torch, as_pickle, as_tar, as_pickle_before_a_zip, as_script]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("write", KINDS)
def test_code_in_a_checkpoint_does_not_run(tmp_path, write):
    path, trace = tmp_path / "evil.pt", tmp_path / "ran"
    write(path, {"state_dict": Malicious(trace), "weights": torch.zeros(2)})
    with pytest.raises(CheckpointError, match=r"evil\.pt .*(perhaps code|no checkpoint)"):
        read_state(path)
    assert not trace.exists()
    if write in (as_torch, as_old_torch):  # the file does run code where it may
        torch.load(path, weights_only=False)
        assert trace.exists()


@pytest.mark.parametrize("write", [as_old_torch, as_pickle, as_tar, as_pickle_before_a_zip])
def test_other_kinds_of_files_do_not_even_reach_torch(tmp_path, write, monkeypatch):
    write(tmp_path / "x.pt", {"weights": torch.zeros(2)})
    monkeypatch.setattr(torch, "load", None)  # its readers of these kinds have had holes
    with pytest.raises(CheckpointError, match=r"x\.pt is damaged or no checkpoint; it was not"):
        read_state(tmp_path / "x.pt")


def test_a_whole_model_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="holds more than tensors and plain values"):
        read_state(tmp_path / "model.pt")
