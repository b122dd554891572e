"""Files that are written whole or not at all, and read without running any code in them."""

import contextlib
import errno
import io
import json
import os
import pickle
import zipfile
from collections.abc import Iterable
from pathlib import Path

import torch

from tutorial_utils.errors import CheckpointError, PhotosError

PARTIAL = ".partial"
FULL = (errno.ENOSPC, errno.EDQUOT)


def explained(path: Path, error: OSError) -> PhotosError:
    """Turn an error of the file system into one that says what to do."""
    if error.errno in FULL:
        return PhotosError(
            f"the disk of {path.parent} is full, {path.name} was not written; what was saved "
            "before is kept. Free some space and go on with --resume."
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return PhotosError(f"{path.parent} cannot be written to ({error.strerror}).")
    return PhotosError(f"cannot write {path}: {error.strerror or error}.")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a partial one, forced to the disk, then renamed.

    Raises:
        PhotosError: the disk is full, the folder is read-only, ...
    """
    partial = path.with_name(path.name + PARTIAL)
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise explained(path, error) from None


def _sync_folder(folder: Path) -> None:
    """Force a rename to the disk, where the system can."""
    with contextlib.suppress(OSError):  # Windows opens no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_json(path: Path, values: object) -> None:
    """Write JSON, whole or not at all."""
    try:
        text = json.dumps(values, indent=1, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:  # a file name that is no text
        text = json.dumps(values, indent=1).encode("ascii")
    write_bytes(path, text + b"\n")


def write_lines(path: Path, rows: Iterable[dict]) -> None:
    """Write JSON lines, whole or not at all."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    write_bytes(path, text.encode("ascii"))


def read_lines(path: Path) -> list[dict]:
    """Read JSON lines; a last line that was cut off is left out."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def write_state(path: Path, state: dict) -> None:
    """Write tensors and plain values, whole or not at all."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(path, buffer.getbuffer())


def read_state(path: Path) -> object:
    """Read what ``write_state`` or ``torch.save`` wrote. No code in the file can run.

    Raises:
        CheckpointError: the file is missing or damaged, or holds more than tensors and plain
            values.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}.")
    try:
        with path.open("rb") as file:  # torch.load goes by these, and reads all else as a pickle
            if file.read(4) != b"PK\3\4":
                raise CheckpointError(f"{path} is damaged or no checkpoint; it was not loaded.")
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch.load does not check the tensors' checksums
        if damaged is not None:
            raise CheckpointError(f"{path} is damaged; save or copy it again.")
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path} holds more than tensors and plain values, perhaps code; it was not loaded."
        ) from None
    except CheckpointError:
        raise
    except Exception as error:  # a damaged file can break the reader anywhere
        raise CheckpointError(f"{path} is damaged or no checkpoint: {error}") from None
