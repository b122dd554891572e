"""Photos to batches, the same ones whatever the number of workers, and to cached features."""

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm.auto import tqdm

from tutorial_utils._decoding import read_photo
from tutorial_utils.errors import PhotosError
from tutorial_utils.finetune.inspect import Photo

IN_WORKER = re.compile(r"Caught (\w+) in DataLoader worker.*\n(?:[\w.]+\.)?\1: (.*)\Z", re.DOTALL)


class PhotoDataset(Dataset):
    """Photos of ``split_photos``, read when asked for: item i is (transform(image), label).

    A transform with chance gives what ``seed``, the epoch and i say, and nothing else: neither the
    number of workers or processes nor an interruption changes it. torch's global random state is
    left as it was.

    Args:
        root: the folder that was inspected.
        photos: with paths relative to ``root``.
        transform: from an upright RGB image to a tensor, such as (3, H, W).
        read_size: see ``decoding.read_photo``: reduced-scale decoding of JPEGs.
        seed: of the transform's chance.
    """

    def __init__(
        self,
        root: str | Path,
        photos: Sequence[Photo],
        transform: Callable[[Image.Image], torch.Tensor],
        read_size: int | None = None,
        seed: int = 0,
    ):
        self.root, self.photos, self.transform = Path(root), list(photos), transform
        self.read_size, self.seed = read_size, seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # workers see it change

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def labels(self) -> torch.Tensor:
        """The labels of all photos, (N,), without reading any."""
        return torch.tensor([photo.label for photo in self.photos])

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0) that the chance in the transform belongs to."""
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Return the image and its label.

        Raises:
            PhotosError: the file cannot be read any more.
        """
        photo = self.photos[index]
        try:
            image = read_photo(self.root / photo.path, self.read_size)
        except PhotosError as error:
            raise PhotosError(
                f"{error} It could be read when the photos were inspected: put it back, or start "
                "again so that they are inspected anew."
            ) from None
        state = torch.get_rng_state()
        try:
            torch.default_generator.manual_seed(mix(self.seed, int(self._epoch), index))
            return self.transform(image), photo.label
        finally:
            torch.set_rng_state(state)


def mix(*numbers: int) -> int:
    """Return one 63-bit seed made of several numbers; neighbours get unrelated seeds."""
    text = ",".join(map(str, numbers)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


class EpochSampler(Sampler[int]):
    """The order of an epoch, from the seed and the epoch's number alone (or 0, 1, 2, ...)."""

    def __init__(self, dataset: PhotoDataset, shuffle: bool, seed: int):
        self.dataset, self.shuffle, self.seed, self.epoch = dataset, shuffle, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0), for the order and for the chance in the transform."""
        self.epoch = epoch
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[int]:
        if not self.shuffle:
            return iter(range(len(self)))
        generator = torch.Generator().manual_seed(mix(self.seed, self.epoch))
        return iter(torch.randperm(len(self), generator=generator).tolist())


def make_loader(
    dataset: PhotoDataset,
    batch_size: int,
    train: bool,
    seed: int = 0,
    workers: int = 0,
    drop_last: bool = False,
) -> DataLoader:
    """Return a loader of images (N, 3, H, W) and labels (N,).

    Call ``loader.sampler.set_epoch(epoch)`` before each training epoch; then that epoch's order and
    augmentation are the same in an unbroken and in a resumed run. Iterate through ``batches``,
    which turns what a worker can suffer into one clear error.

    Args:
        dataset: the photos.
        batch_size: images a step.
        train: shuffle, by seed and epoch; else in the dataset's order.
        seed: of the order.
        workers: processes that read photos; 0: this process does.
        drop_last: leave out a last batch that is not full.
    """
    return DataLoader(
        dataset,
        batch_size,
        sampler=EpochSampler(dataset, train, seed),
        num_workers=workers,
        drop_last=drop_last,
        generator=torch.Generator().manual_seed(seed),  # leave the global one alone
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
    )


def usable_workers(limit: int = 8) -> int:
    """Return how many worker processes pay: one a processor that is free for them, 0 if one."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return 0 if (available or 1) < 2 else min(available, limit)


def batches(loader: Iterable) -> Iterator:
    """Iterate over a loader; what goes wrong in a worker becomes one ``PhotosError``.

    Raises:
        PhotosError: a photo cannot be read (it is named), or a worker process died.
    """
    try:
        yield from loader
    except PhotosError as error:
        if found := IN_WORKER.search(str(error)):  # without the worker's traceback
            raise PhotosError(found[2].strip()) from None
        raise
    except RuntimeError as error:
        if "DataLoader worker" in str(error) and "Caught" not in str(error):
            raise PhotosError(
                f"a process that reads photos died ({str(error).splitlines()[0]}). Most often the "
                "memory was used up: try fewer workers (0: none), or a smaller batch."
            ) from error
        raise


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

    Only one batch is in memory at a time. Each is appended to ``path + ".partial"``; an interrupted
    run goes on after the last whole row there. A finished file is opened and not computed again, so
    put ``feature_key`` into its name.

    Args:
        features: from images (N, 3, H, W) on ``device`` to (N, D), such as a frozen backbone in
            eval mode (eval mode is the caller's business; so is autocast).
        dataset: gives the order of the rows; a transform without chance, or with that of one epoch.
        path: the ``.npy`` file.
        device: where ``features`` computes.
        batch_size: images a step.
        workers: processes that read photos.
        dtype: ``"float16"`` (relative error below 0.0005, values up to 65,504) or ``"float32"``.
            bfloat16 features are converted: NumPy has no such type.
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
    partial = path.with_name(path.name + ".partial")
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_features(
                features,
                dataset,
                partial,
                torch.device(device),
                batch_size,
                workers,
                dtype,
                progress,
            )
            partial.replace(path)
        found = np.lib.format.open_memmap(path, mode="r")  # refuses Python objects
    except OSError as error:
        need = "Free some space" if error.errno == errno.ENOSPC else "Choose another folder"
        raise PhotosError(f"cannot keep features in {path}: {error.strerror}. {need}.") from None
    except ValueError as error:
        if isinstance(error, PhotosError):
            raise
        raise PhotosError(f"{path} is damaged; delete it and start again ({error}).") from None
    if found.ndim != 2 or len(found) != len(dataset):
        raise PhotosError(f"{path} has {len(found)} rows for {len(dataset)} photos; delete it.")
    return found


def _write_features(features, dataset, partial, device, batch_size, workers, dtype, progress):
    """Append the rows that the partial file does not have yet."""
    done, row = _rows_done(partial, len(dataset), dtype)
    rest = torch.utils.data.Subset(dataset, range(done, len(dataset)))
    loader = DataLoader(
        rest,
        batch_size,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        generator=torch.Generator().manual_seed(0),  # leave the global one alone
    )
    bar = tqdm(
        total=len(dataset), initial=done, desc="features", unit="photo",
        disable=None if progress else True,
    )  # fmt: skip
    with partial.open("ab") as file, bar:
        for images, _ in batches(loader):
            block = features(images.to(device, non_blocking=True)).float().cpu().numpy()
            with np.errstate(over="ignore"):  # checked below
                kept = block.astype(dtype)
            if not np.isfinite(kept).all():
                raise PhotosError(
                    f"features of the photos {done} to {done + len(block) - 1} are not finite in "
                    f"{dtype}: look at these photos and the weights, or keep them as float32."
                )
            if row is None:
                row = kept.shape[1:]
                header = {"descr": np.dtype(dtype).str, "fortran_order": False}
                np.lib.format.write_array_header_1_0(file, header | {"shape": (len(dataset), *row)})
            file.write(kept.tobytes())
            file.flush()
            done += len(kept)
            bar.update(len(kept))
        os.fsync(file.fileno())


def _rows_done(partial: Path, rows: int, dtype: str) -> tuple[int, tuple[int, ...] | None]:
    """Return how many whole rows a partial file holds, and a row's shape; cut off half a row."""
    if not partial.exists():
        return 0, None
    with partial.open("r+b") as file:
        try:
            np.lib.format.read_magic(file)
            shape, _, found = np.lib.format.read_array_header_1_0(file)
        except ValueError:
            shape, found = (), None
        start = file.tell()
        if found != np.dtype(dtype) or len(shape) != 2 or shape[0] != rows:
            file.truncate(0)
            return 0, None
        width = shape[1] * found.itemsize
        done = min(rows, (partial.stat().st_size - start) // width)
        file.truncate(start + done * width)
    return done, shape[1:]
