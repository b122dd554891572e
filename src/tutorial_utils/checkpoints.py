"""A trained classifier in one file, weights and all that it takes to use them (``walkthrough``)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import nn
from torchvision.models import get_model
from torchvision.transforms import v2

from tutorial_utils._decoding import decode, read_photo
from tutorial_utils._files import CheckpointError, read_state, write_state
from tutorial_utils.models import replace_head

PARTS = {"model", "classes", "preprocessing", "state_dict"}


@dataclass(frozen=True)
class Classifier:
    """A model, torchvision's name for it, its class names (index = label) and its preprocessing.

    ``decision`` says how the program turns logits into answers: ``temperature``, ``threshold``,
    ``mirror``; it is empty for other classifiers.
    """

    model: nn.Module
    name: str
    classes: list[str]
    preprocessing: dict
    decision: dict = field(default_factory=dict)


def eval_transform(
    resize: int,
    crop: int,
    mean: Sequence[float],
    std: Sequence[float],
    interpolation: str = "bilinear",
    pad: bool = False,
) -> v2.Compose:
    """Return the preprocessing without chance: an RGB image becomes a tensor (3, crop, crop).

    Args:
        resize: length of the shorter side, in pixels, before the crop.
        crop: side of the square that is cut from the middle, in pixels.
        mean: of each colour, subtracted from values in [0, 1].
        std: of each colour, divided by.
        interpolation: between pixels, such as ``"bilinear"`` or ``"bicubic"``.
        pad: keep the whole image, with grey bars beside it, instead of cropping.
    """
    frame = ShrinkAndPad if pad else ShrinkAndCrop
    return v2.Compose(
        [frame(resize, crop, v2.InterpolationMode(interpolation)), Normalize(mean, std)]
    )


class ShrinkAndCrop(v2.Compose):
    """``v2.Resize`` and ``v2.CenterCrop``; of a PIL image only what the crop keeps is computed.

    Values may differ by one shade of 255 (box edges are rounded in another place).
    """

    def __init__(self, resize: int, crop: int, interpolation: v2.InterpolationMode):
        super().__init__([v2.Resize(resize, interpolation), v2.CenterCrop(crop)])
        self.resize, self.crop = resize, crop
        smooth = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
        self.filter = smooth.get(interpolation.value)

    def forward(self, image):
        """Return the middle of the image, (crop, crop) pixels."""
        if not isinstance(image, Image.Image) or self.filter is None or self.crop > self.resize:
            return super().forward(image)
        short = min(image.size)
        size = [int(self.resize * side / short) for side in image.size]
        scales = [old / new for old, new in zip(image.size, size, strict=True)]
        starts = [round((side - self.crop) / 2) for side in size]
        box = [start * scale for start, scale in zip(starts, scales, strict=True)]
        box += [(start + self.crop) * scale for start, scale in zip(starts, scales, strict=True)]
        return image.resize((self.crop, self.crop), self.filter, box)


class ShrinkAndPad(nn.Module):
    """Shrink a PIL image until its longer side is ``crop``, and lay it on a grey square."""

    def __init__(self, resize: int, crop: int, interpolation: v2.InterpolationMode):
        super().__init__()
        self.crop = crop
        bicubic = interpolation == v2.InterpolationMode.BICUBIC
        self.filter = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR

    def forward(self, image: Image.Image) -> Image.Image:
        """Return the whole image on a square of (crop, crop) pixels."""
        return ImageOps.pad(image, (self.crop, self.crop), self.filter, (124, 116, 104))


class Normalize(v2.Compose):
    """``v2.ToImage``, ``v2.ToDtype`` and ``v2.Normalize``; the same values of an RGB image, faster.

    The tensor is laid out as (3, H, W) at once, where v2 works on a view of (H, W, 3).
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        steps = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
        super().__init__(steps)
        self.mean, self.std = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))

    def forward(self, image):
        """Return the normalised tensor."""
        if not isinstance(image, Image.Image) or image.mode != "RGB" or len(self.mean) != 3:
            return super().forward(image)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        values = torch.empty(pixels.shape).copy_(pixels)
        return values.mul_(1 / 255).sub_(self.mean).div_(self.std)


def save_classifier(
    path: str | Path,
    model: nn.Module,
    name: str,
    classes: Sequence[str],
    preprocessing: dict,
    decision: dict | None = None,
) -> Path:
    """Save a classifier; the file holds tensors and plain values only, no code.

    Args:
        path: the file to write; it is replaced in one step, so that no half file is left.
        model: torchvision's ``name`` with the head replaced, on any device.
        name: as in ``torchvision.models.list_models()``, such as ``"mobilenet_v2"``.
        classes: the class names, index = label.
        preprocessing: the arguments of ``eval_transform``.
        decision: see ``Classifier``.

    Raises:
        ValueError: the model is not ``name`` with one output a class, or the preprocessing is not
            what ``eval_transform`` takes.
    """
    try:
        eval_transform(**preprocessing)
    except (TypeError, ValueError) as error:
        raise ValueError(f"preprocessing does not suit eval_transform: {error}") from None
    state = {key: value.detach().cpu() for key, value in model.state_dict().items()}
    wanted = _build(name, len(classes)).state_dict()
    if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in wanted.items()}:
        raise ValueError(f"the model is not torchvision's {name} with {len(classes)} outputs.")
    parts = (name, list(classes), dict(preprocessing), state)
    path = Path(path)
    names = ("model", "classes", "preprocessing", "state_dict")
    stored = dict(zip(names, parts, strict=True))
    write_state(path, stored | ({"decision": dict(decision)} if decision else {}))
    return path


def load_classifier(path: str | Path, device: torch.device | str = "cpu") -> Classifier:
    """Load what ``save_classifier`` wrote, in eval mode. No code in the file can run.

    Raises:
        CheckpointError: the file is missing or damaged, holds more than tensors and plain values,
            or its weights do not fit its model and classes.
    """
    path = Path(path)
    parts = read_state(path)
    if not isinstance(parts, dict) or set(parts) - {"decision"} != PARTS:
        raise CheckpointError(f"{path} was not written by save_classifier.")
    name, classes = parts["model"], parts["classes"]
    try:
        eval_transform(**parts["preprocessing"])
        model = _build(name, len(classes))
        model.load_state_dict(parts["state_dict"])
    except (RuntimeError, TypeError, ValueError):
        raise CheckpointError(
            f"the weights in {path} do not fit {name} with {len(classes)} classes."
        ) from None
    model = model.eval().to(device, memory_format=torch.channels_last)  # as load_pretrained does
    return Classifier(model, name, classes, parts["preprocessing"], parts.get("decision", {}))


def _build(name: str, num_classes: int) -> nn.Module:
    """Return torchvision's model with a head for so many classes, weights random."""
    with torch.random.fork_rng(devices=[]):  # loading a file must not shift later random numbers
        return replace_head(get_model(name, weights=None), num_classes)


@torch.no_grad()
def predict_photo(
    classifier: Classifier, photo: str | Path | Image.Image, top: int = 3
) -> list[tuple[str, float]]:
    """Return the most probable classes of one photo with their probabilities, best first.

    The probabilities are over the known classes: a picture of anything else gets one of them too.

    Args:
        classifier: from ``load_classifier``.
        photo: a file, or an image; both are read in the same way.
        top: how many classes to return.

    Raises:
        PhotoFolderError: the file is missing or is no image.
    """
    if isinstance(photo, Image.Image):
        try:
            turned = ImageOps.exif_transpose(photo)  # a copy: the caller's image stays as it is
        except Exception:  # broken EXIF data
            turned = photo.copy()
        image = decode(turned, None, "the image")
    else:
        image = read_photo(photo)
    batch = eval_transform(**classifier.preprocessing)(image)[None]  # (1, 3, H, W)
    batch = batch.to(next(classifier.model.parameters()))  # its device, and its precision
    probabilities = classifier.model.eval()(batch)[0].softmax(dim=0)
    best = probabilities.topk(min(top, len(classifier.classes)))
    return [
        (classifier.classes[i], p)
        for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
