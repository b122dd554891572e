"""Real photos out of scikit-image's wheel: no page has to download one (``convolution``)."""

import numpy as np
import torch
from PIL import Image
from skimage import data

# All are in the public domain or CC0; see skimage.data for each one's source.
PHOTOS = ("astronaut", "brick", "camera", "chelsea", "coffee", "grass", "gravel", "rocket")


def load_photo(name: str, size: int | None = None) -> Image.Image:
    """Load a sample photo as an 8-bit RGB image.

    Args:
        name: one of ``PHOTOS``; ``chelsea`` is a cat, ``camera`` a grey photographer.
        size: if given, the photo is cropped to its central square and resized to ``size`` pixels.

    Raises:
        ValueError: ``name`` is not in ``PHOTOS``.
    """
    if name not in PHOTOS:
        raise ValueError(f"no sample photo {name!r}; choose one of {', '.join(PHOTOS)}.")
    photo = Image.fromarray(getattr(data, name)()).convert("RGB")
    if size is None:
        return photo
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    square = photo.crop((left, top, left + side, top + side))
    return square.resize((size, size), Image.Resampling.BILINEAR)


def photo_tensor(
    name: str, size: int | None = None, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """Load a sample photo as a tensor of shape (3, H, W) with values in [0, 1]."""
    pixels = np.array(load_photo(name, size))  # (H, W, 3), uint8
    return torch.from_numpy(pixels).permute(2, 0, 1).to(dtype) / 255
