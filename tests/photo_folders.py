"""Tiny photos for the tests of the fine-tuning engine: coloured noise, one colour a class."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"blue": (60, 80, 170), "green": (70, 160, 80), "red": (180, 70, 60)}


def make_photos(root: Path, counts: dict[str, int], size: int = 40, noise: int = 90) -> Path:
    """Write photos below ``root/split/class``; ``counts`` says how many a class for each split."""
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
