"""Inside a real network: four photos through MobileNetV2's stages to the label, unit by unit."""

import numpy as np
from PIL import Image

from tutorial_utils.interactive.base import FOLDER, InteractiveFigure, file_uri
from tutorial_utils.results import load_results

PHOTOS = {"chelsea": "cat", "coffee": "coffee", "camera": "camera", "astronaut": "astronaut"}
SIZE = 224  # the network's input: load_photo(NAME, SIZE)
SIDE = 160  # of a photo in the page
# All maps in one picture and all photos in another; both from benchmarks/inside_network.py.
SHEET, PICTURES = FOLDER / "inside_network.webp", FOLDER / "inside_photos.webp"
# Strides of the 3 x 3 layers, all with padding 1, of model.features[0], [1], ..., [17]; the last
# stage, [18], is a 1 x 1 layer. In a block with a shortcut the field is that of the longer way.
STRIDES = (2, 1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)
# stage: (side of a map in units; where its maps, in a row, begin in a photo's part of the sheet)
STAGES = {
    0: (112, 0, 0),
    3: (56, 0, 112),
    6: (28, 0, 168),
    10: (14, 112, 168),
    13: (14, 168, 168),
    18: (7, 112, 182),
}
CHANNELS = {0: 2, 3: 4, 6: 4, 10: 4, 13: 4, 18: 4}


def place(photo: int, stage: int, number: int) -> tuple[slice, slice]:
    """Return the rows and columns of the sheet that hold a photo's map of a stage."""
    side, left, top = STAGES[stage]
    top, left = top + 196 * (photo // 2), left + 224 * (photo % 2) + side * number
    return slice(top, top + side), slice(left, left + side)


def load_maps(stage: int, photo: str = "chelsea") -> tuple[list[int], np.ndarray, float]:
    """Return the stored maps of a stage: their channels, values (channels, n, n), and error.

    The values lie within ``error`` of those that the network computes; they are kept in 8 bits.
    """
    stored = load_results("inside_network")["stages"][str(stage)]
    with Image.open(SHEET) as image:
        sheet = np.array(image)[:, :, 0]
    low, high = (np.array(stored[key])[:, None, None] for key in ("low", "high"))
    index = list(PHOTOS).index(photo)
    levels = np.stack([sheet[place(index, stage, n)] for n in range(CHANNELS[stage])])
    error = float((high - low).max()) / 255 / 2
    return stored["channels"], low + levels / 255 * (high - low), error


class InsideNetwork(InteractiveFigure):
    """Photos, feature maps of six stages of MobileNetV2, the label, and each unit's field.

    Args:
        stage: the one that is shown first, a key of ``STAGES``.
        photo: the photo that is shown first, a key of ``PHOTOS``.
    """

    script = "inside_network.js"
    label = "Interactive figure: inside MobileNetV2"
    title = "From pixels to a label, stage by stage"
    height = 560

    def __init__(self, stage: int = 6, photo: str = "chelsea") -> None:
        if stage not in STAGES:
            raise ValueError(f"no maps of stage {stage!r}; choose one of {list(STAGES)}.")
        if photo not in PHOTOS:
            raise ValueError(f"no maps of photo {photo!r}; choose one of {', '.join(PHOTOS)}.")
        self.stage, self.photo = stage, list(PHOTOS).index(photo)

    def parameters(self) -> dict:
        """Return photos and classes, the layers' strides, and each stage's layout and ranges."""
        stored = load_results("inside_network")
        keys = ("of", "channels", "low", "high")
        return {
            "size": SIZE,
            "strides": STRIDES,
            "photos": list(PHOTOS.values()),
            "classes": stored["classes"],
            "stages": [
                [s, *layout, *(stored["stages"][str(s)][key] for key in keys)]
                for s, layout in STAGES.items()
            ],
            "stage": self.stage,
            "photo": self.photo,
        }

    def fallback(self) -> str:
        """Return the photos and the sheet of maps, with what to see in them."""
        stored = load_results("inside_network")
        labels = "; ".join(
            f"{name}: {row[0][0]} ({row[0][1]:.0%})"
            for name, row in zip(PHOTOS.values(), stored["classes"], strict=True)
        )

        def picture(path, alt: str) -> str:
            return (
                f'<img style="display:block;max-width:100%;margin-bottom:8px" alt="{alt}" '
                f'src="{file_uri(path)}">'
            )

        return (
            "<figure style='margin:0'>"
            + picture(PICTURES, f"Four photos: {', '.join(PHOTOS.values())}.")
            + picture(
                SHEET,
                "Feature maps of the four photos at six stages: at first like the photo, drawn as "
                "edges, at the end a few bright squares.",
            )
            + "<figcaption>Four photos, and feature maps of six stages of MobileNetV2, two to four "
            "channels each, from 112 × 112 down to 7 × 7 units. A unit of stage 0 sees 3 × 3 "
            "pixels of the photo, one of stage 6 up to 59 × 59, one of stage 18 all of it. What "
            f"the network makes of them: {labels}.</figcaption></figure>"
        )
