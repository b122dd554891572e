"""Tiny photos for the tests of the fine-tuning engine."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"blue": (60, 80, 170), "green": (70, 160, 80), "red": (180, 70, 60)}


def photo(seed: int, width: int = 48, height: int = 36) -> Image.Image:
    """Return a picture of coloured clouds; no two seeds give near duplicates."""
    grain = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(grain).resize((width, height), Image.Resampling.BICUBIC)


def make_folders(root: Path, counts: dict[str, int]) -> Path:
    """Write photos 0.jpg, 1.jpg, ... into each folder (such as ``"train/cat"``), all different."""
    seed = 0
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True)
        for i in range(count):
            photo(seed).save(root / folder / f"{i}.jpg", quality=90)
            seed += 1
    return root


def make_photos(root: Path, counts: dict[str, int], size: int = 40, noise: int = 90) -> Path:
    """Write coloured noise below ``root/split/class``, one colour a class.

    ``counts`` says how many a class for each split.
    """
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        for name, colour in COLOURS.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                grain = rng.integers(-noise, noise + 1, (size, size, 3))
                spot = rng.integers(0, 60, 3)
                pixels = (np.array(colour) + spot + grain).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return root
