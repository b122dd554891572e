"""Random augmentation of the training photos: crops, mirror images, colours, mixed photos.

Everything is from torchvision's ``transforms.v2``. A recipe names the amount:

========  =========================================================================
none      the preprocessing alone, as in evaluation
flip      and mirrored half of the time
light     a random piece of 50 to 100 % of the photo, mirrored half of the time
standard  a piece of 35 to 100 %, mirrored, with brightness, contrast and colour changed
strong    likewise with TrivialAugment's random operation instead, and a patch erased at times
========  =========================================================================
"""

import torch
from torch import nn
from torchvision.transforms import v2

from tutorial_utils.checkpoints import Normalize, eval_transform
from tutorial_utils.finetune.recipe import Recipe


def train_transform(amount: str, preprocessing: dict) -> v2.Compose:
    """Return the training transform: an RGB image becomes a tensor (3, crop, crop).

    Args:
        amount: one of ``recipe.AUGMENTATIONS``.
        preprocessing: the arguments of ``checkpoints.eval_transform``.
    """
    if amount == "none":
        return eval_transform(**preprocessing)
    if amount == "flip":
        return v2.Compose([v2.RandomHorizontalFlip(), eval_transform(**preprocessing)])
    smallest = {"light": 0.5, "standard": 0.35, "strong": 0.35}[amount]
    how = v2.InterpolationMode(preprocessing.get("interpolation", "bilinear"))
    steps = [
        v2.RandomResizedCrop(preprocessing["crop"], scale=(smallest, 1.0), interpolation=how),
        v2.RandomHorizontalFlip(),
    ]
    if amount == "standard":
        steps.append(v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2))
    if amount == "strong":
        steps.append(v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR))
    steps += [
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        Normalize(preprocessing["mean"], preprocessing["std"]),
    ]
    if amount == "strong":
        steps.append(v2.RandomErasing(0.25))
    return v2.Compose(steps)


def mixer(recipe: Recipe, num_classes: int) -> nn.Module | None:
    """Return torchvision's mixup, cutmix, or one of both at random; None if neither is asked for.

    It takes images (N, C, H, W) and labels (N,), and returns mixed images and the classes' shares
    (N, num_classes). Photos are mixed with others that the same process computes on.
    """
    mixes = []
    if recipe.mixup > 0:
        mixes.append(v2.MixUp(alpha=recipe.mixup, num_classes=num_classes))
    if recipe.cutmix > 0:
        mixes.append(v2.CutMix(alpha=recipe.cutmix, num_classes=num_classes))
    if not mixes:
        return None
    return mixes[0] if len(mixes) == 1 else v2.RandomChoice(mixes)
