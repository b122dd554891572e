"""The small photos that interactive figures carry, as WebP files in the package.

Encoders differ between releases, stored files do not. Run `python benchmarks/figure_photos.py`
(seconds) after a change to what a figure shows.
"""

import numpy as np
from PIL import Image

from tutorial_utils.interactive.kernel_photo import KERNELS, PHOTOS, PICTURES, SIDE, STILL
from tutorial_utils.photos import load_photo


def main() -> None:
    pictures = Image.new("RGB", (len(PHOTOS) * SIDE, SIDE))
    for number, name in enumerate(PHOTOS):
        pictures.paste(load_photo(name, SIDE), (number * SIDE, 0))
    pictures.save(PICTURES, quality=88, method=6)
    x = np.pad(np.array(pictures.crop((0, 0, SIDE, SIDE)), float), ((1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(0, 1))
    y = (windows * np.array(KERNELS["Sobel x"])).sum((3, 4))
    still = Image.fromarray(np.rint(128 + y / 2).clip(0, 255).astype(np.uint8))
    still.save(STILL, quality=80, method=6)


if __name__ == "__main__":
    main()
