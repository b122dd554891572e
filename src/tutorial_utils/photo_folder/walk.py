"""Through the folders below a root, each once: what may be a photo, and why the rest is skipped."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tutorial_utils._decoding import is_photo_name, open_header, photo_suffixes
from tutorial_utils.errors import PhotosError
from tutorial_utils.photo_folder.archives import ARCHIVES
from tutorial_utils.photo_folder.names import is_hidden, join, natural_key

HOW = (
    "Put the photos of each class into a folder with the class's name: PHOTOS/cat/1.jpg, "
    "PHOTOS/dog/1.jpg, or the same below PHOTOS/train, PHOTOS/validation and PHOTOS/test."
)
HEIC = "a HEIC photo: pip install pillow-heif, or convert it to JPEG"
VIDEOS = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"}


@dataclass(frozen=True)
class PhotoFile:
    """A file that should be a photo: path below the root, label, split, and group if given."""

    path: str
    label: int
    split: str | None
    group: str | None = None


@dataclass
class Listing:
    """The classes (index = label), the photo files in a fixed order, and what was left out.

    ``layout`` says in words how the folder was understood.
    """

    classes: list[str]
    files: list[PhotoFile] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    splits: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    layout: str = ""


class Walk:
    """Looks into the folders below a root, each once; notes in ``listing`` what is skipped."""

    def __init__(self, root: Path):
        self.root, self.listing, self.seen = root, Listing([]), {identity(root)}

    def visible(self, folder: str) -> list[os.DirEntry]:
        """Return what is in a folder but hidden files, in natural order."""
        try:
            with os.scandir(self.root / folder) as entries:
                found = sorted(entries, key=lambda entry: natural_key(entry.name))
        except OSError:
            return []
        return [entry for entry in found if not is_hidden(entry.name)]

    def skip_hidden(self, folder: str) -> None:
        """Note the hidden files of a folder, or that it cannot be listed."""
        try:
            with os.scandir(self.root / folder) as entries:
                names = sorted(entry.name for entry in entries)
        except OSError as error:
            self.listing.skipped.append((folder or ".", f"cannot be listed: {error.strerror}"))
            return
        hidden = [join(folder, name) for name in names if is_hidden(name)]
        self.listing.skipped += [(path, "hidden") for path in hidden]

    def has_folders(self, folder: str) -> bool:
        """Tell whether there are folders in a folder."""
        return any(is_folder(entry) for entry in self.visible(folder))

    def direct_photos(self, folder: str) -> bool:
        """Tell whether photos lie directly in a folder."""
        return any(is_photo_name(e.name) for e in self.visible(folder) if not is_folder(e))

    def any_photo(self, folder: str) -> bool:
        """Tell whether there is a photo in a folder or below it."""
        for _, folders, names in os.walk(self.root / folder):
            folders[:] = [f for f in folders if not is_hidden(f)]
            if any(is_photo_name(n) and not is_hidden(n) for n in names):
                return True
        return False

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder; files there are skipped and said."""
        names = []
        self.skip_hidden(folder)
        for entry in self.visible(folder):
            path = join(folder, entry.name)
            if not is_folder(entry):
                self.listing.skipped.append((path, "not in a class folder"))
            elif self.enter(entry, path):
                names.append(entry.name)
        return names

    def enter(self, entry: os.DirEntry, path: str) -> bool:
        """Tell whether a folder may be entered: not if it was before, through a link."""
        try:
            key = identity(entry.path)
        except OSError as error:
            self.listing.skipped.append((path, f"cannot be opened: {error.strerror}"))
            return False
        if key in self.seen:
            self.listing.skipped.append((path, "a link to a folder that was read already"))
            return False
        self.seen.add(key)
        return True

    def photos(self, folder: str) -> Iterator[str]:
        """Yield the paths of the photos in a folder and in the folders inside it."""
        self.skip_hidden(folder)
        for entry in self.visible(folder):
            path = join(folder, entry.name)
            if is_folder(entry):
                if self.enter(entry, path):
                    yield from self.photos(path)
            elif reason := why_no_photo(Path(entry.path)):
                self.listing.skipped.append((path, reason))
            else:
                yield path


def why_no_photo(path: Path) -> str | None:
    """Return why a file cannot be a photo, from its name and kind; None if it may be one."""
    suffix = path.suffix.lower()
    if suffix in (".heic", ".heif") and suffix not in photo_suffixes():
        return HEIC
    if suffix in VIDEOS:
        return "a video; take single pictures out of it first"
    if suffix in ARCHIVES:
        return "an archive; unpack it first"
    if suffix and not is_photo_name(path.name):
        return f"not an image's name ({suffix})"
    try:
        status = path.stat()
    except OSError as error:
        return f"a broken link or unreadable: {error.strerror}"
    if not stat.S_ISREG(status.st_mode):  # to open a pipe would wait for ever
        return "no plain file"
    if not suffix:  # a photo whose name lost its ending?
        try:
            open_header(path).close()
        except PhotosError:
            return "not an image's name (no ending)"
    return None


def identity(path: str | Path) -> tuple[int, int]:
    """Return what is the same for a folder and for all links to it."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def is_folder(entry: os.DirEntry) -> bool:
    """Tell whether an entry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:
        return False
