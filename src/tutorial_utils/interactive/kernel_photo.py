"""A kernel on a photo: change a weight, and the filtered photo follows at once."""

from collections.abc import Mapping, Sequence

import numpy as np

from tutorial_utils.interactive.base import FOLDER, InteractiveFigure, file_uri

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
PHOTOS = {"chelsea": "cat", "coffee": "coffee", "brick": "brick wall"}
SIDE = 144
# The photos side by side, and the first one as "Sobel x" makes it; benchmarks/figure_photos.py.
PICTURES, STILL = FOLDER / "kernel_photos.webp", FOLDER / "kernel_still.webp"


class KernelOnPhoto(InteractiveFigure):
    """A colour photo, a kernel to choose or edit, and the photo that it makes, pixel by pixel.

    The output of a kernel whose weights add up to more than 1 is divided by their sum; that of one
    whose weights add up to 0 is drawn with 0 as mid-grey, unless the reader asks for another look.

    Args:
        kernels: name -> 3 or 5 rows of as many whole numbers.
        first: name of the kernel that is shown first.
    """

    script = "kernel_photo.js"
    label = "Interactive figure: a kernel on a photo"
    title = "Nine numbers make an edge detector"
    height = 560

    def __init__(
        self, kernels: Mapping[str, Sequence[Sequence[int]]] = KERNELS, first: str = "Sobel x"
    ) -> None:
        if first not in kernels:
            raise ValueError(f"no kernel {first!r}; choose one of {', '.join(kernels)}.")
        for name, rows in kernels.items():
            if {len(rows), *map(len, rows)} not in ({3}, {5}):
                raise ValueError(f"kernel {name!r} must have 3 rows of 3 weights or 5 of 5.")
        self.kernels = {name: np.array(w, dtype=int).tolist() for name, w in kernels.items()}
        self.first = first

    def parameters(self) -> dict:
        """Return the photos' names, the kernels and which of them is shown first."""
        return {"photos": list(PHOTOS.values()), "kernels": self.kernels, "first": self.first}

    def fallback(self) -> str:
        """Return the photos, and what "Sobel x" makes of the first photo."""
        picture = '<img alt="{}" src="{}" style="max-width:100%">'
        return (
            '<div style="display:flex;flex-wrap:wrap;gap:16px;align-items:center">'
            + picture.format(f"Three photos: {', '.join(PHOTOS.values())}.", file_uri(PICTURES))
            + picture.format("The cat's edges, left to right, on grey.", file_uri(STILL))
            + "</div><p>Photos, and what the kernel “Sobel x” makes of the first: at each pixel "
            "the 3 × 3 pixels around it times the weights, added up, with 0 as mid-grey. Outside "
            "the photo all is 0.</p>"
        )
