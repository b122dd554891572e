"""A kernel on a photo: change a weight, and the filtered photo follows at once."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from PIL import Image

from tutorial_utils.interactive.base import InteractiveFigure, photo_uri
from tutorial_utils.photos import load_photo

KERNELS = {
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "box blur": [[1, 1, 1, 1, 1]] * 5,
    "Gaussian blur": np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]).tolist(),
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "Sobel x": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "Sobel y": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "Laplacian": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    "emboss": [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],
}
TITLES = {"chelsea": "cat", "brick": "brick wall", "camera": "photographer"}


class KernelOnPhoto(InteractiveFigure):
    """A grey photo, a kernel to edit, and the photo that it makes, pixel by pixel.

    A kernel whose weights add up to more than 1 is divided by their sum when it is chosen; one
    whose weights add up to 0 is drawn with 0 as mid-grey. The reader can change both.

    Args:
        photos: names from ``tutorial_utils.photos``; the first is shown first.
        kernels: name -> 3 or 5 rows of as many whole numbers.
        first: name of the kernel that is shown first.
        size: rows and columns of the photos, 16 to 160; a photo makes about 1.4 size² characters.
    """

    script = "kernel_photo.js"
    label = "Interactive figure: a kernel on a photo"
    height = 718

    def __init__(
        self,
        photos: Sequence[str] = ("chelsea", "brick", "camera"),
        kernels: Mapping[str, Sequence[Sequence[int]]] = KERNELS,
        first: str = "Sobel x",
        size: int = 128,
    ) -> None:
        if first not in kernels:
            raise ValueError(f"no kernel {first!r}; choose one of {', '.join(kernels)}.")
        for name, rows in kernels.items():
            if {len(rows), *map(len, rows)} not in ({3}, {5}):
                raise ValueError(f"kernel {name!r} must have 3 rows of 3 weights or 5 of 5.")
        if not photos or not 16 <= size <= 160:
            raise ValueError("give at least one photo, and a size of 16 to 160 pixels.")
        self.kernels = {name: np.array(w, dtype=int).tolist() for name, w in kernels.items()}
        self.photos = {
            TITLES.get(name, name): load_photo(name, size).convert("L") for name in photos
        }
        self.first = first

    def parameters(self) -> dict:
        """Return the photos' names and size, the kernels and which of them is shown first."""
        return {
            "photos": list(self.photos),
            "size": next(iter(self.photos.values())).width,
            "kernels": self.kernels,
            "first": self.first,
        }

    def filtered(self) -> Image.Image:
        """Return the first photo as the first kernel makes it, as the script draws it."""
        x, w = np.array(next(iter(self.photos.values())), int), np.array(self.kernels[self.first])
        padded = np.pad(x, len(w) // 2)
        y = (np.lib.stride_tricks.sliding_window_view(padded, w.shape) * w).sum((2, 3))
        shown = 128 + y / 2 if w.sum() == 0 else y / max(w.sum(), 1)
        return Image.fromarray(np.rint(shown).clip(0, 255).astype(np.uint8))

    def fallback(self) -> str:
        """Return the photo, the kernel as a table and the filtered photo; other photos hidden.

        The script finds the photos by their order: all of them come before the filtered one.
        """
        w, name = self.kernels[self.first], escape(self.first)
        total = sum(map(sum, w))
        how = ", divided by their sum" if total > 1 else ", 0 as mid-grey" * (total == 0)
        photos = "".join(
            f'<img alt="Photo: {escape(title)}" src="{photo_uri(photo)}" width="200"'
            f"{' style=display:none' * (n > 0)}>"
            for n, (title, photo) in enumerate(self.photos.items())
        )
        rows = "".join("<tr>" + "".join(f"<td>{v}</td>" for v in row) + "</tr>" for row in w)
        return (
            '<div style="display:flex;flex-wrap:wrap;gap:16px;align-items:center">'
            f"{photos}<table><tbody>{rows}</tbody></table>"
            f'<img alt="The photo after {name}" src="{photo_uri(self.filtered())}" '
            'width="200"></div>'
            f"<p>A photo, the kernel “{name}”, and what it makes of the photo: at each pixel the "
            f"{len(w)} × {len(w)} pixels around it times the weights, added up{how}. Outside the "
            "photo all is 0.</p>"
        )
