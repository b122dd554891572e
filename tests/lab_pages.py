"""What the tests of the lab share: pictures, bytes as text, the network's input."""

import base64
import io

import numpy as np
import torch
from PIL import Image
from torchvision.models import MobileNet_V2_Weights

from tutorial_utils.photos import PHOTOS, load_photo

WEIGHTS = MobileNet_V2_Weights.IMAGENET1K_V1
TRANSFORMS = WEIGHTS.transforms()


def encode(array: np.ndarray) -> str:
    """Return an array's bytes as base64."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def decode(text: str, dtype: str = "<f4") -> np.ndarray:
    """Return numbers from base64."""
    return np.frombuffer(base64.b64decode(text), dtype)


def some_crops(count: int, seed: int = 0) -> np.ndarray:
    """Return random squares of scikit-image's photos, (count, 224, 224, 3), uint8."""
    rng = np.random.default_rng(seed)
    photos = [load_photo(name) for name in PHOTOS if name not in ("brick", "grass", "gravel")]
    crops = []
    for i in range(count):
        photo = photos[i % len(photos)]
        side = int(rng.integers(min(photo.size) // 2, min(photo.size) + 1))
        left, top = (int(rng.integers(0, n - side + 1)) for n in photo.size)
        square = photo.crop((left, top, left + side, top + side))
        crops.append(np.array(square.resize((224, 224), Image.Resampling.BILINEAR)))
    return np.stack(crops)


def normalise(crops: np.ndarray) -> torch.Tensor:
    """Return crops (N, H, W, 3) as the network's input, (N, 3, H, W)."""
    x = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v)[:, None, None] for v in (TRANSFORMS.mean, TRANSFORMS.std))
    return (x - mean) / std


def jpeg(image: Image.Image, **options) -> bytes:
    """Return an image's file."""
    file = io.BytesIO()
    image.save(file, **({"format": "JPEG", "quality": 92} | options))
    return file.getvalue()
