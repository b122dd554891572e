"""A small labelled data set, rendered: shaded solids on photo backgrounds (``first_model``).

The images are drawn by :mod:`tutorial_utils._renderer`, the same pixels on every machine, and kept
as PNG files: decoders agree on a PNG to the last bit, and do not on a JPEG.
"""

import json
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from tutorial_utils._renderer import BACKGROUNDS, CLASSES, check_scene, render_solid

__all__ = ["BACKGROUNDS", "CLASSES", "SPLITS", "load_mask", "make_solids", "render_solid"]

VERSION = 2  # of the renderer: raise it whenever a pixel changes
SPLITS = ("train", "validation", "test")


def cache_folder() -> Path:
    """Return the folder for files that can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tutorial_utils"


def make_solids(
    counts: dict[str, int] | None = None,
    size: int = 96,
    seed: int = 0,
    background: str = "photos",
    root: str | Path | None = None,
) -> Path:
    """Render a data set of solids as PNG files, or find it rendered already.

    The layout is torchvision's ImageFolder: ``root/train/CLASS/0001.png``, likewise ``validation``
    and ``test``; the masks lie in ``root/masks/train/CLASS/0001.png``. More images a class leave
    the first ones as they are, and no two images share a seed.

    Args:
        counts: images a class of each split; 24 train, 12 validation and 40 test where not given.
        size: of the images, in pixels.
        seed: another seed gives other images.
        background: one of ``BACKGROUNDS``; the solids are the same before each.
        root: where to put it; by default a folder of its own in the user's cache.

    Returns:
        The root folder.

    Raises:
        ValueError: a split, size or background is unknown, or a count is not positive.
        FileExistsError: ``root`` has something else in it.
    """
    counts = {"train": 24, "validation": 12, "test": 40} if counts is None else dict(counts)
    check_scene(size, background)
    if not counts or set(counts) - set(SPLITS) or min(counts.values()) < 1:
        raise ValueError(f"counts is {counts}; give a positive number for some of {SPLITS}.")
    counts = {split: counts[split] for split in SPLITS if split in counts}
    settings = {"version": VERSION, "seed": seed, "size": size, "background": background, **counts}
    if root is None:
        root = cache_folder() / "-".join(["solids", *(f"{k}_{v}" for k, v in settings.items())])
    root, marker = Path(root), json.dumps(settings) + "\n"
    done = root / "solids.json"
    if done.is_file() and done.read_text(encoding="utf-8") == marker:
        return root
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise FileExistsError(f"{root} has something else in it; remove it or choose another root.")

    # Work under another name and rename at the end: a run that is cut short leaves no half a set.
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{root.name}.partial-", dir=root.parent))
    try:
        jobs = []
        for split, count in counts.items():
            for kind in CLASSES:
                for folder in (partial / split / kind, partial / "masks" / split / kind):
                    folder.mkdir(parents=True)
                for i in range(count):
                    path = partial / split / kind / f"{i + 1:04d}.png"
                    jobs.append((path, kind, image_seed(seed, split, kind, i), size, background))
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy computes outside the global lock
            list(pool.map(write_solid, *zip(*jobs, strict=True)))
        (partial / "solids.json").write_text(marker, encoding="utf-8")
        partial.chmod(0o755)
        try:
            if root.is_dir():
                root.rmdir()  # it was empty
            partial.rename(root)
        except OSError:  # another process was faster
            if not done.is_file():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root


def image_seed(seed, split, kind, i):
    """Return the seed of image ``i`` of a class in a split: no two images share one."""
    number = (SPLITS.index(split) * 100_000 + i) * len(CLASSES) + CLASSES.index(kind)
    return seed * 10_000_000 + number


def write_solid(path, kind, seed, size, background):
    """Render one solid and save image and mask (as PNG: decoders agree on it to the last bit)."""
    image, mask = render_solid(kind, seed, size, background)
    Image.fromarray(image).save(path)
    Image.fromarray(mask.astype(np.uint8) * 255).save(mask_path(path))


def mask_path(image_path) -> Path:
    """Return where the mask of an image of the data set lies."""
    path = Path(image_path)
    return path.parents[2] / "masks" / path.parts[-3] / path.parts[-2] / path.name


def load_mask(image_path: str | Path) -> np.ndarray:
    """Return the mask of an image that ``make_solids`` wrote: (size, size), True on the solid."""
    with Image.open(mask_path(image_path)) as mask:
        return np.array(mask) > 127
