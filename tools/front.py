"""Render the picture on the front page: one of each class of solids."""

from pathlib import Path

import numpy as np
from PIL import Image

from tutorial_utils.solids import CLASSES, render_solid

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "book" / "_assets" / "front.jpg"
COLUMNS, SIZE, GAP = 8, 176, 6


def draw_front(path: Path = PICTURE, first_seed: int = 0) -> None:
    """Write a sheet of solids, on white."""
    rows = -(-len(CLASSES) // COLUMNS)
    step = SIZE + GAP
    sheet = np.full((rows * step - GAP, COLUMNS * step - GAP, 3), 255, np.uint8)
    for index, kind in enumerate(CLASSES):
        top, left = index // COLUMNS * step, index % COLUMNS * step
        image, _ = render_solid(kind, first_seed + index, SIZE)
        sheet[top : top + SIZE, left : left + SIZE] = image
    Image.fromarray(sheet).save(path, quality=88, optimize=True)


if __name__ == "__main__":
    draw_front()
