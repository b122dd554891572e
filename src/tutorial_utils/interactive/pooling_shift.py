"""Pooling and shift: drag a picture by one pixel and see what four ways of halving make of it."""

from collections.abc import Mapping
from html import escape

import numpy as np
from PIL import Image

from tutorial_utils.interactive.base import InteractiveFigure, photo_uri
from tutorial_utils.photos import load_photo

# "max + blur" takes the largest of each 2 × 2, blurs and then halves.
METHODS = ("every 2nd", "max", "average", "max + blur")


def faded(pixels: np.ndarray) -> np.ndarray:
    """Let a picture fade to its mean along its edges, so that as a ring it has no seam."""
    n, ramp = len(pixels), 5
    edge = np.minimum(np.arange(n), np.arange(n)[::-1])
    weight = np.minimum(np.minimum.outer(edge, edge), ramp)
    mean = int(pixels.sum()) // pixels.size
    return (mean * ramp + weight * (pixels.astype(int) - mean)) // ramp


def draw_card() -> np.ndarray:
    """Draw stripes, lines, a checkerboard and a slope, 1 or 2 pixels thin: (48, 48)."""
    row, column = np.mgrid[:20, :20]
    card = np.zeros((48, 48), dtype=bool)
    card[2:22, 2:22] = column % 4 > 1
    card[2:22, 26:46] = row % 3 == 0
    card[26:46, 2:22] = (row + column) % 2
    card[26:46, 26:46] = row + column == 19
    return np.where(card, 230, 30)


def default_pictures() -> dict[str, np.ndarray]:
    """Return two small photos and the test card."""
    wall = np.array(load_photo("brick", 128).convert("L"))[40:88, 30:78]
    cat = np.array(load_photo("chelsea", 96).convert("L"))[8:56, 22:70]
    return {"brick wall": faded(wall), "cat": faded(cat), "test card": draw_card()}


def halve(x: np.ndarray, method: str) -> np.ndarray:
    """Halve a square map, taken as a ring, in one of the ``METHODS``: (n, n) -> (n / 2, n / 2)."""
    right, down = np.roll(x, -1, 1), np.roll(x, -1, 0)
    windows = np.stack([x, right, down, np.roll(right, -1, 0)])
    if method == "every 2nd":
        return x[::2, ::2]
    if method == "average":
        return windows.mean(axis=0)[::2, ::2]
    x = windows.max(axis=0)
    if method == "max + blur":
        for axis in (0, 1):
            x = (np.roll(x, 1, axis) + 2 * x + np.roll(x, -1, axis)) / 4
    return x[::2, ::2]


def moved(y: np.ndarray, pixels: float, axis: int) -> np.ndarray:
    """Move a ring by a fraction of a pixel: turn the phase of each of its frequencies."""
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(len(y)) * pixels)
    turn = turn[:, None] if axis == 0 else turn
    return np.fft.irfft(np.fft.rfft(y, axis=axis) * turn, n=len(y), axis=axis)


def aliasing_error(x: np.ndarray, method: str, right: int, down: int = 0) -> float:
    """Return how far halving the moved is from moving the halved, against the latter's spread."""
    y = halve(x, method)
    wanted = moved(moved(y, down / 2, 0), right / 2, 1)
    gap = halve(np.roll(x, (down, right), (0, 1)), method) - wanted
    return float(np.sqrt(np.square(gap).sum() / np.square(y - y.mean()).sum()))


class PoolingShift(InteractiveFigure):
    """A picture to move by whole pixels, halved in four ways, and how much each output changes.

    Args:
        pictures: name -> grey values 0 to 255, of shape (n, n), n a multiple of 8 from 16 to 64.
            Each is taken as a ring: what leaves on one side comes in on the other.
    """

    script = "pooling_shift.js"
    label = "Interactive figure: pooling and a shift by one pixel"
    title = "Move a picture one pixel, then halve it"
    height = 480

    def __init__(self, pictures: Mapping[str, np.ndarray] | None = None) -> None:
        if pictures is None:
            pictures = default_pictures()
        self.pictures = {name: np.array(values, dtype=int) for name, values in pictures.items()}
        for name, values in self.pictures.items():
            n = len(values) if values.ndim else 0
            if values.shape != (n, n) or n % 8 or not 16 <= n <= 64:
                raise ValueError(
                    f"picture {name!r} must be square with a side of 16, 24, ... or 64 pixels, "
                    f"has shape {values.shape}."
                )
            if values.min() < 0 or values.max() > 255 or values.min() == values.max():
                raise ValueError(f"picture {name!r} must have different values from 0 to 255.")
        if len({values.shape for values in self.pictures.values()}) != 1:
            raise ValueError("give one picture or more, all of the same size.")

    def parameters(self) -> dict:
        """Return the pictures' names, their side, and the methods with what they do."""
        side = len(next(iter(self.pictures.values())))
        return {"names": list(self.pictures), "side": side, "methods": list(METHODS)}

    def fallback(self) -> str:
        """Return the first picture, in place and moved, with its four outputs and their errors."""

        def image(values: np.ndarray, alt: str, width: int, data: str = "") -> str:
            uri = photo_uri(Image.fromarray(np.floor(values + 0.5).astype(np.uint8)))
            return f'<img alt="{escape(alt)}" width="{width}" {data}src="{uri}">'

        def source(name: str, width: int) -> str:  # the script reads it
            return image(self.pictures[name], name, width, f'data-picture="{escape(name)}" ')

        name, x = next(iter(self.pictures.items()))
        rows = ""
        right = np.roll(x, 1, axis=1)
        for text, values, picture in (
            ("in place", x, source(name, 132)),
            ("moved by 1", right, image(right, f"{name}, moved by 1", 132)),
        ):
            outputs = "".join(
                f"<td>{image(halve(values, m), f'{m}, {text}', 88)}</td>" for m in METHODS
            )
            rows += f"<tr><th scope='row'>{text}</th><td>{picture}</td>{outputs}</tr>"
        errors = "".join(f"<td>{aliasing_error(x, method, 1):.2f}</td>" for method in METHODS)
        others = "".join(source(other, 66) for other in list(self.pictures)[1:])
        heads = "".join(f"<th>{method}</th>" for method in METHODS)
        return (
            "<div style='image-rendering:pixelated;text-align:center'><table><caption>Four ways to "
            "halve a picture, before and after it moves one pixel to the right. The change is "
            "what a move of the output by half a pixel does not explain, in units of its standard "
            "deviation.</caption>"
            f"<thead><tr><td></td><th>picture</th>{heads}</tr></thead><tbody>{rows}"
            f"<tr><th scope='row'>change</th><td></td>{errors}</tr></tbody></table>"
            f"<p>{others}</p></div>"
        )
