"""Photos to batches, the same ones whatever the number of workers."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from tutorial_utils._decoding import read_photo
from tutorial_utils.errors import PhotosError
from tutorial_utils.photo_folder.inspect import Photo

IN_WORKER = re.compile(r"Caught (\w+) in DataLoader worker.*\n(?:[\w.]+\.)?\1: (.*)\Z", re.DOTALL)


class PhotoDataset(Dataset):
    """Photos of ``split_photos``, read when asked for: item i is (transform(image), label).

    A random transform gives what ``seed``, the epoch and i say, and nothing else: neither the
    number of workers or processes nor an interruption changes it. torch's global random state is
    left as it was.

    Args:
        root: the folder that was inspected.
        photos: with paths relative to ``root``.
        transform: from an upright RGB image to a tensor, such as (3, H, W).
        max_pixels: see ``_decoding.open_header``.
        read_size: see ``decoding.read_photo``: reduced-scale decoding of JPEGs.
        seed: of the random transform.
    """

    def __init__(
        self,
        root: str | Path,
        photos: Sequence[Photo],
        transform: Callable[[Image.Image], torch.Tensor],
        read_size: int | None = None,
        seed: int = 0,
        max_pixels: int | None = None,
    ):
        self.max_pixels = max_pixels
        self.root, self.photos, self.transform = Path(root), list(photos), transform
        self.read_size, self.seed = read_size, seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # workers see it change

    def __len__(self) -> int:
        return len(self.photos)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0) of the random transform."""
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Return the image and its label.

        Raises:
            PhotosError: the file cannot be read any more.
        """
        photo = self.photos[index]
        try:
            image = read_photo(self.root / photo.path, self.read_size, self.max_pixels)
        except PhotosError as error:
            raise PhotosError(
                f"{error} It could be read when the photos were inspected: put it back, or start "
                "again so that they are inspected anew."
            ) from None
        state = torch.get_rng_state()
        try:
            torch.default_generator.manual_seed(derive_seed(self.seed, int(self._epoch), index))
            return self.transform(image), photo.label
        finally:
            torch.set_rng_state(state)


def derive_seed(*numbers: int) -> int:
    """Return one 63-bit seed made of several numbers; neighbours get unrelated seeds."""
    text = ",".join(map(str, numbers)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def eval_loader(dataset: Dataset, batch_size: int, workers: int = 0) -> DataLoader:
    """Return a loader of images (N, 3, H, W) and labels (N,), in the dataset's order.

    Iterate through ``batches``, which turns what a worker can suffer into one clear error.
    """
    return DataLoader(
        dataset,
        batch_size,
        num_workers=workers,
        generator=torch.Generator().manual_seed(0),  # leave the global one alone
        pin_memory=torch.cuda.is_available(),
    )


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
