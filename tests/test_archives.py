"""Archives give photos, or one error: nothing lands outside the folder, and no half is left."""

import io
import os
import stat
import tarfile
import zipfile

import numpy as np
import pytest

from tutorial_utils.errors import PhotosError
from tutorial_utils.photo_folder import archives
from tutorial_utils.photo_folder.archives import unpack_photos

FILES = {"photos/cat/1.jpg": b"one", "photos/狗 🐕/2 2.jpg": b"two" * 1000, "photos/cat/3.jpg": b""}


def make_zip(path, files, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def make(path, files):
    if path.suffix == ".zip":
        return make_zip(path, files, compression=zipfile.ZIP_DEFLATED)
    return make_tar(path, files, "w:" + path.suffix[1:].replace("tar", ""))


def content(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def refused(archive, message):
    """Assert the error, and that nothing is left beside the archive."""
    before = content(archive.parent)
    with pytest.raises(PhotosError, match=message) as caught:
        unpack_photos(archive, archive.parent / "out" / "photos")
    assert archive.name in str(caught.value)
    assert content(archive.parent) == before
    assert not (archive.parent / "out" / "photos").exists()
    return str(caught.value)


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_photos_come_out(tmp_path, ending):
    archive = make(tmp_path / f"p.{ending}", FILES | {"__MACOSX/photos/._cat": b"x"})
    assert unpack_photos(archive, tmp_path / "new" / "out") == tmp_path / "new" / "out" / "photos"
    assert content(tmp_path / "new" / "out") == FILES | {"__MACOSX/photos/._cat": b"x"}
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["out"]


def test_with_several_folders_it_is_the_folder_itself(tmp_path):
    archive = make_zip(tmp_path / "p.zip", {"cat/1.jpg": b"", "dog/": b"", "./owl/2.jpg": b""})
    assert unpack_photos(archive, tmp_path / "out") == tmp_path / "out"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["cat", "dog", "owl"]


OUTSIDE = ["../evil.jpg", "a/../../evil.jpg", "/tmp/evil.jpg", "a\\..\\..\\evil.jpg", "C:/evil.jpg",
           "C:evil.jpg", "//host/share/evil.jpg"]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_paths_that_lead_outside_are_refused(tmp_path, kind, name):
    archive = make(tmp_path / f"p.{kind}", {"a/1.jpg": b"1"} | {name: b"evil"})
    refused(archive, "would land outside the folder")


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("SYM", "a link"),
        ("LNK", "a link"),
        ("CHR", "a link or device"),
        ("FIFO", "a link or device"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind, what):
    with tarfile.open(tmp_path / "p.tar", "w") as archive:
        info = tarfile.TarInfo("a/link")
        info.type, info.linkname = getattr(tarfile, f"{kind}TYPE"), "/etc"
        archive.addfile(info)
        inside = tarfile.TarInfo("a/link/evil.jpg")
        archive.addfile(inside, io.BytesIO())
    refused(tmp_path / "p.tar", f"'a/link' is {what}")


def test_links_in_a_zip_are_refused(tmp_path):
    info = zipfile.ZipInfo("a/link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr(info, "/etc")
    refused(tmp_path / "p.zip", "'a/link' is a link")


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(archives, "SMALL", 1_000_000)
    zeros = {f"a/{i}.bmp": bytes(100_000) for i in range(50)}  # 5 MB in a few kB
    archive = make(tmp_path / f"bomb.{ending}", zeros)
    assert archive.stat().st_size < 40_000
    refused(archive, "more than 100 times its size")
    monkeypatch.setattr(archives, "SMALL", 10_000_000)
    unpack_photos(archive, tmp_path / "small")


def test_more_than_the_free_space_is_refused(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "p.zip", {"a/1.jpg": bytes(2000)})
    usage = type("Usage", (), {"free": archives.LEFT + 1999})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage)
    refused(archive, "more than the free disk space")


def test_a_zip_that_lies_about_a_size_is_refused(tmp_path):
    archive = make_zip(tmp_path / "p.zip", {"a/1.jpg": bytes(5000)}, compression=8)
    data = archive.read_bytes()
    assert data.count((5000).to_bytes(4, "little")) == 2
    archive.write_bytes(data.replace((5000).to_bytes(4, "little"), (50).to_bytes(4, "little")))
    refused(archive, "damaged or of an unknown kind: Bad CRC-32")


def test_encrypted_and_unknown_compression(tmp_path):
    archive = make_zip(tmp_path / "p.zip", {"a/1.jpg": b"x"})
    data = bytearray(archive.read_bytes())
    start = data.index(b"PK\1\2")
    archive.write_bytes(data[: start + 8] + b"\1" + data[start + 9 :])
    refused(archive, "encrypted; unpack it yourself")
    archive.write_bytes(data[: start + 10] + b"\x63" + data[start + 11 :])
    refused(archive, "damaged or of an unknown kind")


def test_a_missing_archive_a_folder_in_the_way_and_no_archive(tmp_path):
    with pytest.raises(PhotosError, match=r"there is no archive .*none\.zip"):
        unpack_photos(tmp_path / "none.zip", tmp_path / "out")
    archive = make_zip(tmp_path / "p.zip", FILES)
    with pytest.raises(PhotosError, match="exists already; name a new folder or remove it"):
        unpack_photos(archive, tmp_path)
    with pytest.raises(PhotosError, match=r"p\.zip cannot be unpacked into .*p\.zip"):
        unpack_photos(archive, archive / "below" / "out")
    (tmp_path / "p.rar").write_bytes(b"Rar!\x1a\x07" + bytes(100))
    refused(tmp_path / "p.rar", "no zip or tar archive, or is damaged")


def test_names_that_are_too_long(tmp_path):
    archive = make_zip(tmp_path / "p.zip", {"a/" + "x" * 300 + ".jpg": b""})
    refused(archive, "cannot be unpacked into .*: File name too long")


def test_a_disk_that_fills_up_while_unpacking_leaves_nothing(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "p.zip", FILES)

    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(archives.shutil, "copyfileobj", full)
    refused(archive, "No space left on device")


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_damage_anywhere_gives_the_files_or_one_error(tmp_path, ending):
    rng = np.random.default_rng(0)
    archive = make(tmp_path / f"p.{ending}", FILES | {"a/4.jpg": rng.bytes(3000)})
    whole, errors = archive.read_bytes(), 0
    for number in range(40):
        data = bytearray(whole)
        if number % 2:
            data = data[: rng.integers(len(data))]
        else:
            for place in rng.integers(0, len(data), 6):
                data[place] = rng.integers(256)
        archive.write_bytes(data)
        try:
            unpack_photos(archive, tmp_path / f"out{number}")
        except PhotosError as error:
            errors += f"p.{ending}" in str(error)
            assert not (tmp_path / f"out{number}").exists()
    assert errors >= 10


def test_archives_inside_an_archive_become_folders(tmp_path):
    for name in ("cat", "dog"):
        make_zip(tmp_path / f"{name}.zip", {"1.jpg": name.encode(), "2.jpg": b"2"})
    inner = {f"all/{n}.zip": (tmp_path / f"{n}.zip").read_bytes() for n in ("cat", "dog")}
    outer = make_zip(tmp_path / "outer.zip", {**inner, "all/broken.zip": b"no archive"})
    found = unpack_photos(outer, tmp_path / "out")
    assert content(found) == {
        "cat/1.jpg": b"cat", "cat/2.jpg": b"2", "dog/1.jpg": b"dog", "dog/2.jpg": b"2",
        "broken.zip": b"no archive",
    }  # fmt: skip
    make_zip(tmp_path / "bad.zip", {"../x.jpg": b"x"})
    refusing = make_zip(tmp_path / "o.zip", {"bad.zip": (tmp_path / "bad.zip").read_bytes()})
    with pytest.raises(PhotosError, match="outside the folder"):
        unpack_photos(refusing, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


def test_separators_of_windows_are_folders(tmp_path):
    archive = make_zip(tmp_path / "p.zip", {"cat\\1.jpg": b"1", "dog\\": b"", "dog\\2.jpg": b"2"})
    found = unpack_photos(archive, tmp_path / "out")
    assert content(found) == {"cat/1.jpg": b"1", "dog/2.jpg": b"2"}
