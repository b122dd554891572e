"""Photos out of an archive, and nothing else: no file lands outside the folder."""

import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from tutorial_utils.errors import PhotosError

# Photos hardly shrink in an archive. One that unfolds into more than this many times its size, and
# more than SMALL bytes, is made to fill a disk.
RATIO, SMALL = 100, 1 << 28
LEFT = 1 << 28  # bytes that must stay free
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz")


def is_archive(path: str | Path) -> bool:
    """Tell whether a path is a file with an archive's name."""
    return Path(path).suffix.lower() in ARCHIVES and Path(path).is_file()


@contextmanager
def unpacked(photos: str | Path) -> Iterator[str | Path]:
    """Give an archive's photos in a folder that is there for a while; a folder as it is."""
    with tempfile.TemporaryDirectory() as scratch:
        yield unpack_photos(photos, Path(scratch) / "photos") if is_archive(photos) else photos


def unpack_photos(archive: str | Path, folder: str | Path, nested: bool = True) -> Path:
    """Unpack a zip or tar archive into a new folder, all of it or nothing.

    Archives inside it (one for each class, say) become folders of their names, one level deep.

    Args:
        archive: ``.zip``, ``.tar``, ``.tar.gz``, ``.tar.bz2`` or ``.tar.xz``.
        folder: is made; it must not exist yet.
        nested: also unpack the archives inside.

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
                with zipfile.ZipFile(archive) as opened:
                    infos = opened.infolist()
                    for info in infos:  # some programs on Windows write their own separator
                        info.filename = info.filename.replace("\\", "/")
                    _check(archive, target, [(i.filename, i.file_size, _fault(i)) for i in infos])
                    opened.extractall(target, infos)  # never more than the announced sizes
            elif tarfile.is_tarfile(archive):
                with tarfile.open(archive) as opened:
                    faults = []
                    for i in opened:
                        odd = None if i.isfile() or i.isdir() else "is a link or device"
                        faults.append((i.name, i.size, odd))
                    _check(archive, target, faults)
                    # Python has it since 3.11.4; links, devices and paths are refused above.
                    opened.extraction_filter = getattr(tarfile, "data_filter", None)
                    opened.extractall(target)
            else:
                raise PhotosError(f"{archive} is no zip or tar archive, or is damaged.")
            for inner in sorted(filter(is_archive, target.rglob("*"))) if nested else ():
                place = inner.with_name(inner.name.split(".")[0] or inner.name)
                if not place.exists() and (zipfile.is_zipfile(inner) or tarfile.is_tarfile(inner)):
                    unpack_photos(inner, place, nested=False)
                    inner.unlink()
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


def _fault(info: zipfile.ZipInfo) -> str | None:
    """Return why a member of a zip archive cannot be unpacked."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link"
    return "is encrypted; unpack it yourself first" if info.flag_bits & 1 else None


def _check(archive: Path, target: Path, members: list[tuple[str, int, str | None]]) -> None:
    """Refuse the whole archive for one bad member, or for its size."""
    for name, _, fault in members:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or "\\" in name:
            fault = "would land outside the folder"
        if fault:
            raise PhotosError(f"{archive} was not unpacked: {name!r} {fault}.")
    size = sum(size for _, size, _ in members)
    if size > shutil.disk_usage(target).free - LEFT:
        raise PhotosError(f"{archive} was not unpacked: it needs more than the free disk space.")
    if size > max(SMALL, RATIO * archive.stat().st_size):
        raise PhotosError(
            f"{archive} was not unpacked: it unfolds into more than {RATIO} times its size, "
            "which photos do not. If you trust it, unpack it yourself."
        )
