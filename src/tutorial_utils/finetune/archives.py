"""Photos out of an archive, and nothing else: no file lands outside the folder."""

import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from tutorial_utils.errors import PhotosError

# Photos hardly shrink in an archive. One that unfolds into more than this many times its size, and
# more than SMALL bytes, is made to fill a disk.
RATIO, SMALL = 100, 1 << 28
LEFT = 1 << 28  # bytes that must stay free


def unpack_photos(archive: str | Path, folder: str | Path) -> Path:
    """Unpack a zip or tar archive into a new folder, all of it or nothing.

    Args:
        archive: ``.zip``, ``.tar``, ``.tar.gz``, ``.tar.bz2`` or ``.tar.xz``.
        folder: is made; it must not exist yet.

    Returns:
        The folder, or the one folder inside it if that is all the archive holds (what macOS adds
        does not count).

    Raises:
        PhotosError: the archive is missing, damaged or encrypted, is larger unpacked than the free
            space or than photos can be, or holds a link, a device, an absolute path or one with
            ``..``; or the folder cannot be written.
    """
    archive, folder = Path(archive), Path(folder)
    if not archive.is_file():
        raise PhotosError(f"there is no archive {archive}.")
    if folder.exists():
        raise PhotosError(f"{folder} exists already; name a new folder or remove it.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unpack-") as scratch:
            target = Path(scratch) / "photos"
            target.mkdir()
            if zipfile.is_zipfile(archive):
                _unpack(archive, target, _zip_members)
            elif tarfile.is_tarfile(archive):
                _unpack(archive, target, _tar_members)
            else:
                raise PhotosError(f"{archive} is no zip or tar archive, or is damaged.")
            target.replace(folder)
    except PhotosError:
        raise
    except OSError as error:  # a full or read-only disk, a name that is too long, ...
        reason = error.strerror or str(error) or "it is damaged"
        raise PhotosError(f"{archive} cannot be unpacked into {folder.parent}: {reason}.") from None
    except Exception as error:  # a damaged archive can break the reader anywhere
        raise PhotosError(f"{archive} is damaged or of an unknown kind: {error}") from None
    inside = [path for path in folder.iterdir() if path.name != "__MACOSX"]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _unpack(archive: Path, target: Path, members) -> None:
    free = shutil.disk_usage(target).free - LEFT
    allowed = max(SMALL, RATIO * archive.stat().st_size)
    for name, size, source in members(archive):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or "\\" in name:
            raise PhotosError(
                f"{archive} was not unpacked: {name!r} would land outside the folder."
            )
        free, allowed = free - size, allowed - size
        if free < 0:
            raise PhotosError(
                f"{archive} was not unpacked: it needs more than the free disk space."
            )
        if allowed < 0:
            raise PhotosError(
                f"{archive} was not unpacked: it unfolds into more than {RATIO} times its size, "
                "which photos do not. If you trust it, unpack it yourself."
            )
        if source is None:
            (target / path).mkdir(parents=True, exist_ok=True)
            continue
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        with source, (target / path).open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)  # never more than the announced size


def _zip_members(archive: Path) -> Iterator[tuple[str, int, BinaryIO | None]]:
    """Yield name, size in bytes and the open file (None for a folder) of each member."""
    with zipfile.ZipFile(archive) as members:
        for info in members.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise PhotosError(f"{archive} was not unpacked: {info.filename!r} is a link.")
            if info.flag_bits & 1:
                raise PhotosError(f"{archive} is encrypted; unpack it yourself first.")
            yield info.filename, info.file_size, None if info.is_dir() else members.open(info)


def _tar_members(archive: Path) -> Iterator[tuple[str, int, BinaryIO | None]]:
    """Do the same for a tar archive."""
    with tarfile.open(archive) as members:
        for info in members:
            if not (info.isfile() or info.isdir()):
                kind = "a link" if info.issym() or info.islnk() else "no plain file"
                raise PhotosError(f"{archive} was not unpacked: {info.name!r} is {kind}.")
            yield info.name, info.size, None if info.isdir() else members.extractfile(info)
