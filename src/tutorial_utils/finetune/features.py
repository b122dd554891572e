"""Features of photos: what a network's head sees of them, computed once and kept in a file."""

import errno
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import Subset
from tqdm.auto import tqdm

from tutorial_utils._files import PARTIAL
from tutorial_utils.errors import PhotosError
from tutorial_utils.models import head
from tutorial_utils.photo_folder.inspect import Photo
from tutorial_utils.photo_folder.loading import PhotoDataset, batches, eval_loader

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def head_inputs(model: nn.Module, device: torch.device, precision: str) -> Callable:
    """Return a function from images to what the model's head sees of them, in eval mode."""
    model.eval()

    def features(images: torch.Tensor) -> torch.Tensor:
        seen = []
        hook = head(model).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        amp = torch.autocast(device.type, DTYPES[precision], enabled=precision != "float32")
        try:
            with torch.inference_mode(), amp:
                model(images)
        finally:
            hook.remove()
        return seen[-1]

    return features


def feature_key(model: nn.Module, preprocessing: str, photos: Sequence[Photo]) -> str:
    """Return 16 hex digits that change with the weights, the preprocessing or the photos.

    Args:
        model: its weights and buffers are hashed; on any device.
        preprocessing: whatever describes it, such as ``repr(transform)``.
        photos: their content and order are hashed; names and folders do not matter.
    """
    digest = hashlib.sha256(preprocessing.encode())
    for name, value in model.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    for photo in photos:
        digest.update(photo.sha.encode())
    return digest.hexdigest()[:16]


@torch.no_grad()
def cache_features(
    features: Callable[[torch.Tensor], torch.Tensor],
    dataset: PhotoDataset,
    path: str | Path,
    device: torch.device | str = "cpu",
    batch_size: int = 32,
    workers: int = 0,
    dtype: str = "float16",
    progress: bool = True,
) -> np.ndarray:
    """Compute the features of all photos once, and keep them in a file.

    Only one batch is in memory at a time. Rows are written into ``path + ".partial"`` and their
    number into ``path + ".rows"``; an interrupted run goes on after them. A finished file is opened
    and not computed again, so put ``feature_key`` into its name.

    Args:
        features: from images (N, 3, H, W) on ``device`` to (N, D), such as a frozen backbone in
            eval mode (eval mode is the caller's business; so is autocast).
        dataset: gives the order of the rows; its transform must not be random.
        path: the ``.npy`` file.
        device: where ``features`` computes.
        batch_size: images at once.
        workers: processes that read photos.
        dtype: ``"float16"`` (relative error below 0.0005, values up to 65,504) or ``"float32"``.
        progress: show a bar with the time left.

    Returns:
        A read-only memory map of shape (len(dataset), D): rows are read from disk when used.

    Raises:
        PhotosError: a photo cannot be read, the disk is full or read-only, a feature is not finite
            (or too large for float16), the file is damaged or of other photos, or there are none.
    """
    if not len(dataset):
        raise PhotosError("there are no photos to compute features of.")
    path = Path(path)
    partial, counter = (path.with_name(path.name + end) for end in (PARTIAL, ".rows"))
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(features, dataset, partial, counter, torch.device(device), batch_size, workers,
                   dtype, progress)  # fmt: skip
            partial.replace(path)
            counter.unlink()
        found = np.lib.format.open_memmap(path, mode="r")  # refuses Python objects
    except OSError as error:
        need = "Free some space" if error.errno == errno.ENOSPC else "Choose another folder"
        raise PhotosError(f"cannot keep features in {path}: {error.strerror}. {need}.") from None
    except ValueError as error:
        raise PhotosError(f"{path} is damaged; delete it and start again ({error}).") from None
    if found.ndim != 2 or len(found) != len(dataset):
        raise PhotosError(f"{path} has {len(found)} rows for {len(dataset)} photos; delete it.")
    return found


def _write(features, dataset, partial, counter, device, batch_size, workers, dtype, progress):
    """Write the rows that the partial file does not have yet."""
    rows, done = _opened(partial, counter, len(dataset), dtype)
    bar = tqdm(total=len(dataset), initial=done, desc="features", unit="photo",
               disable=None if progress else True)  # fmt: skip
    with bar:
        loader = eval_loader(Subset(dataset, range(done, len(dataset))), batch_size, workers)
        for images, _ in batches(loader):
            block = features(images.to(device, non_blocking=True)).float().cpu().numpy()
            with np.errstate(over="ignore"):  # checked below
                kept = block.astype(dtype)
            if not np.isfinite(kept).all():
                raise PhotosError(
                    f"features of the photos {done} to {done + len(block) - 1} are not finite in "
                    f"{dtype}: look at these photos and the weights, or keep them as float32."
                )
            if rows is None:
                shape = (len(dataset), *kept.shape[1:])
                rows = np.lib.format.open_memmap(partial, "w+", np.dtype(dtype), shape)
                if hasattr(os, "posix_fallocate"):  # a full disk is an error now, not a crash later
                    with partial.open("r+b") as file:
                        os.posix_fallocate(file.fileno(), 0, partial.stat().st_size)
            rows[done : done + len(kept)] = kept
            rows.flush()
            done += len(kept)
            counter.write_text(str(done))
            bar.update(len(kept))


def _opened(partial: Path, counter: Path, count: int, dtype: str) -> tuple:
    """Return the rows of an interrupted run and how many of them are done; else None and 0."""
    try:
        rows = np.lib.format.open_memmap(partial, "r+")
        done = int(counter.read_text())
    except (OSError, ValueError):
        return None, 0
    if rows.dtype != np.dtype(dtype) or rows.ndim != 2 or len(rows) != count or done > count:
        return None, 0
    return rows, done
