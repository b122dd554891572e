"""Inside a real network: point at a unit of MobileNetV2 and see which pixels reach it."""

import numpy as np
from PIL import Image

from tutorial_utils.interactive.base import FOLDER, InteractiveFigure, photo_uri
from tutorial_utils.photos import load_photo
from tutorial_utils.results import load_results

PHOTO, SIZE = "chelsea", 224  # the network's input: load_photo(PHOTO, SIZE)
SHEET = FOLDER / "inside_network.png"  # all maps in one picture; benchmarks/inside_network.py
CHANNELS = 6
# Strides of the 3 x 3 layers, all with padding 1, of model.features[0], [1], ..., [17]; the last
# stage, [18], is a 1 x 1 layer. In a block with a shortcut the field is that of the longer way.
STRIDES = (2, 1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)
# stage: (side of a map in units; where its maps lie in the sheet: left, top, maps a row)
STAGES = {
    0: (112, 0, 0, 3),
    3: (56, 0, 224, 6),
    6: (28, 0, 280, 6),
    10: (14, 168, 280, 6),
    13: (14, 252, 280, 6),
    18: (7, 168, 294, 6),
}


def place(stage: int, number: int) -> tuple[slice, slice]:
    """Return the rows and columns of the sheet that hold a stage's map of that number."""
    side, left, top, columns = STAGES[stage]
    top, left = top + side * (number // columns), left + side * (number % columns)
    return slice(top, top + side), slice(left, left + side)


def load_maps(stage: int) -> tuple[list[int], np.ndarray, float]:
    """Return the stored maps of a stage: their channels, values (CHANNELS, n, n), and error.

    The values lie within ``error`` of those that the network computes; they are kept in 8 bits.
    """
    stored = load_results("inside_network")["stages"][str(stage)]
    with Image.open(SHEET) as image:
        sheet = np.array(image)
    low, high = (np.array(stored[key])[:, None, None] for key in ("low", "high"))
    levels = np.stack([sheet[place(stage, number)] for number in range(CHANNELS)])
    error = float((high - low).max()) / 255 / 2
    return stored["channels"], low + levels / 255 * (high - low), error


class InsideNetwork(InteractiveFigure):
    """A photo, feature maps of six stages of MobileNetV2, and the receptive field of each unit.

    Args:
        stage: the one that is shown first, a key of ``STAGES``.
    """

    script = "inside_network.js"
    label = "Interactive figure: inside MobileNetV2"
    height = 650

    def __init__(self, stage: int = 6) -> None:
        if stage not in STAGES:
            raise ValueError(f"no maps of stage {stage!r}; choose one of {list(STAGES)}.")
        self.stage = stage

    def parameters(self) -> dict:
        """Return the layers' strides and, of each stage, its layout, channels and ranges."""
        stored = load_results("inside_network")["stages"]
        keys = ("of", "channels", "low", "high")
        return {
            "size": SIZE,
            "strides": STRIDES,
            "stages": [
                [s, *layout, *(stored[str(s)][key] for key in keys)] for s, layout in STAGES.items()
            ],
            "stage": self.stage,
        }

    def fallback(self) -> str:
        """Return the photo and the sheet of maps, with what to see in them."""
        sides = " × ".join(2 * ["{}"])
        rows = "; ".join(f"stage {s}, {sides.format(n, n)}" for s, (n, *_) in STAGES.items())
        with Image.open(SHEET) as image:
            sheet = photo_uri(image)
        picture = '<img style="max-width:100%;margin:0 12px 8px 0" alt="{}" src="{}">'
        return (
            "<figure style='margin:0'>"
            + picture.format("Photo of a cat's face.", photo_uri(load_photo(PHOTO, 144)))
            + picture.format(
                f"Sheet of {CHANNELS} feature maps for each of six stages: at first like the "
                "photo, in grey or drawn as edges, at the end a few bright squares.",
                sheet,
            )
            + f"<figcaption>The photo, and {CHANNELS} feature maps of each of six stages of "
            f"MobileNetV2 (maps from large to small: {rows} units). A unit of stage 0 sees 3 × 3 "
            "pixels of the photo, one of stage 6 up to 59 × 59, one of stage 18 all of it."
            "</figcaption></figure>"
        )
