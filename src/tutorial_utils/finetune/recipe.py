"""A recipe: every choice of a fine-tuning run in one place, checked, to and from JSON."""

import dataclasses
import importlib.util
import json
import math
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import get_args, get_type_hints

from tutorial_utils.errors import RecipeError
from tutorial_utils.photo_folder.names import did_you_mean

REGIMES = ("auto", "probe", "head-then-full", "full", "discriminative", "scratch")
AUGMENTATIONS = ("none", "flip", "light", "standard", "strong")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
BATCHNORMS = ("auto", "frozen", "batch")
FRAMINGS = ("weights", "whole", "pad")

RENAMED = {"backbone_share": "backbone_lr_scale", "accumulate": "gradient_accumulation_steps"}


def choice(default: object, text: str, *among: str, low=-math.inf, below=math.inf):
    """Return a dataclass field with its help text, and its allowed values or their range."""
    metadata = {"help": text, "among": among, "low": low, "below": below}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Recipe:
    """How to train. Every field has a default that suits a few hundred photos.

    Raises:
        RecipeError: a value is out of its range; the message names the field and the range.
    """

    model: str = choice("mobilenet_v2", "any classifier of torchvision, by its name there")
    weights: str | None = choice(
        None, "its pretrained weights; if not given IMAGENET1K_V1, else torchvision's default"
    )
    regime: str = choice("auto", "what to train: auto probes first, then fine-tunes", *REGIMES)
    epochs: int = choice(12, "passes over the training photos", low=1)
    batch_size: int = choice(32, "photos in a step, over all processes", low=1)
    gradient_accumulation_steps: int | None = choice(
        None, "micro-batches that a step's photos are computed in; if None what is fast", low=1
    )
    lr: float = choice(3e-4, "highest learning rate (of the head, where rates differ)")
    find_lr: bool = choice(False, "try rising rates first and take a tenth of the best (lr_finder)")
    backbone_lr_scale: float = choice(
        0.1, "backbone's learning rate as a share of lr, in regime discriminative"
    )
    weight_decay: float = choice(0.05, "AdamW's decay of kernels and weight matrices", low=0)
    warmup: float = choice(
        0.1, "share of the steps in which the learning rate rises", low=0, below=1
    )
    image_size: int | None = choice(
        None, "side of the photos in pixels; the weights' own if None", low=16
    )
    framing: str = choice(
        "whole", "what is seen of a photo to be judged: what the weights' preprocessing crops "
        "(a rim is lost), the whole shorter side, or all of it with bars (pad)", *FRAMINGS,
    )  # fmt: skip
    augmentation: str = choice(
        "standard", "how much random augmentation changes photos", *AUGMENTATIONS
    )
    mixup: float = choice(0.0, "alpha of mixup; 0 for none", low=0)
    cutmix: float = choice(0.0, "alpha of cutmix; 0 for none", low=0)
    label_smoothing: float = choice(
        0.1, "share of the target that goes to all classes alike", low=0, below=1
    )
    class_weights: bool = choice(False, "weigh classes by the inverse of their frequency")
    ema: float = choice(
        0.97, "decay of the moving average of the weights, a step; 0 for none", low=0, below=1
    )
    patience: int = choice(
        3, "stop when the validation loss has not fallen for so many epochs; 0 for never", low=0
    )
    batchnorm: str = choice(
        "auto", "BatchNorm normalises by stored or batch statistics; auto: batch from scratch",
        *BATCHNORMS,
    )  # fmt: skip
    precision: str = choice("auto", "of the computation; auto goes by the processor", *PRECISIONS)
    channels_last: bool = choice(True, "lay images out as N, H, W, C in memory")
    compile: bool = choice(False, "use torch.compile; pays on GPUs and long runs")
    mirror: bool = choice(True, "let the probe see mirrored photos too, if that helps")
    start: str | None = choice(None, "begin from this run's (or classifier's) best model")
    max_pixels: int | None = choice(None, "largest photo that is read; Pillow's limit if None")
    seed: int = choice(0, "draws split, order, augmentation and new weights", low=0)
    workers: int = choice(0, "processes that decode photos", low=0)

    def __post_init__(self):
        types = get_type_hints(Recipe)
        for f in dataclasses.fields(self):
            _check(f, types[f.name], getattr(self, f.name))
        known = torchvision_models()
        if known and self.model not in known:
            hint = did_you_mean(self.model, known)
            raise RecipeError(f"torchvision has no classifier {self.model!r}.{hint}")
        if self.lr <= 0 or not 0 < self.backbone_lr_scale <= 1:
            raise RecipeError(
                f"lr must be above 0 and backbone_lr_scale in (0, 1]; got {self.lr} and "
                f"{self.backbone_lr_scale}."
            )
        if (self.gradient_accumulation_steps or 1) > self.batch_size:
            raise RecipeError(
                f"gradient_accumulation_steps is {self.gradient_accumulation_steps}, more than the "
                f"{self.batch_size} photos of a batch."
            )

    def frozen_batchnorm(self) -> bool:
        """Tell whether BatchNorm layers keep the statistics that they came with."""
        return self.batchnorm == "frozen" or (self.batchnorm == "auto" and self.regime != "scratch")

    def to_json(self) -> dict:
        """Return the recipe as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict | str) -> "Recipe":
        """Make a recipe from a dict or JSON text; fields that are left out get their defaults.

        Raises:
            RecipeError: the text is no JSON object, or a field is unknown or out of range.
        """
        if isinstance(values, str):
            try:
                values = json.loads(values)
            except json.JSONDecodeError as error:
                raise RecipeError(f"the recipe is not JSON: {error}.") from None
        if not isinstance(values, dict):
            raise RecipeError("a recipe is a JSON object of field: value.")
        values = {RENAMED.get(name, name): value for name, value in values.items()}
        names = [f.name for f in dataclasses.fields(cls)]
        unknown = [name for name in values if name not in names]
        if unknown:
            raise RecipeError(f"a recipe has no {', '.join(unknown)}; it has {', '.join(names)}.")
        return cls(**values)


def _check(f: dataclasses.Field, kind: object, value: object) -> None:
    """Check that a field's value is of its kind, one of the allowed ones and in its range."""
    among, low, below = (f.metadata[key] for key in ("among", "low", "below"))
    if among and value not in among:
        raise RecipeError(f"{f.name} is {value!r}; it must be one of {', '.join(among)}.")
    kinds = get_args(kind) or (kind,)
    fits = isinstance(value, (*kinds, int) if float in kinds else kinds)
    fits = fits and (kind is bool or not isinstance(value, bool))
    if not fits or (isinstance(value, float) and not math.isfinite(value)):
        raise RecipeError(f"{f.name} is {value!r}; expected {getattr(kind, '__name__', kind)}.")
    if isinstance(value, int | float) and not low <= value < below:
        end = "" if below == math.inf else f" and below {below}"
        raise RecipeError(f"{f.name} must be at least {low}{end}, got {value}.")


@cache
def torchvision_models() -> list[str]:
    """Return the names of torchvision's classifiers, read from its files without importing it."""
    found = importlib.util.find_spec("torchvision")
    files = Path(found.origin).parent.glob("models/*.py") if found else []
    pattern = re.compile(r"^@register_model\(\)\n(?:@.*\n)*def (\w+)", re.MULTILINE)
    return [name for file in files for name in pattern.findall(file.read_text(encoding="utf-8"))]
