"""From a recipe to a model: weights and their preprocessing, and the precision that is fastest."""

import time

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models import get_model, get_model_weights

from tutorial_utils.errors import PhotosError
from tutorial_utils.finetune.folding import fold_batchnorm
from tutorial_utils.finetune.recipe import Recipe
from tutorial_utils.models import load_pretrained, replace_head, train_mode

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_weights(recipe: Recipe) -> str:
    """Return the name of the recipe's weights.

    If it names none: IMAGENET1K_V1. The newer weights score higher on ImageNet, but were trained
    with label smoothing and mixing, which makes features suit other tasks less well (Kornblith et
    al. 2021, arXiv:2010.16402, measured it of label smoothing).
    """
    try:
        names = list(get_model_weights(recipe.model).__members__)
    except ValueError:
        raise PhotosError(
            f"torchvision has no classifier {recipe.model!r}; see torchvision.models.list_models()."
        ) from None
    if recipe.weights is not None:
        return recipe.weights
    return "IMAGENET1K_V1" if "IMAGENET1K_V1" in names else names[-1]


def build_model(recipe: Recipe, num_classes: int) -> tuple[nn.Module, dict]:
    """Return the model with a head for so many classes, and its preprocessing.

    The preprocessing holds the arguments of ``checkpoints.eval_transform``. The head is new and
    random: seed torch first.

    Raises:
        PhotosError: torchvision has no such classifier, or it cannot take images of that size.
        WeightsError: the weights could not be had.
    """
    weights = pick_weights(recipe)
    if recipe.regime == "scratch":
        model = get_model(recipe.model, weights=None)
        chosen = get_model_weights(recipe.model)["DEFAULT"]
    else:
        model, chosen = load_pretrained(recipe.model, weights)
    preset = chosen.transforms()
    crop, resize = preset.crop_size[0], preset.resize_size[0]
    if recipe.image_size is not None:
        crop, resize = recipe.image_size, round(resize * recipe.image_size / crop)
    if recipe.framing == "whole":
        resize = crop
    preprocessing = {"resize": resize, "crop": crop, "mean": preset.mean, "std": preset.std}
    preprocessing = {k: list(v) if isinstance(v, tuple) else v for k, v in preprocessing.items()}
    if preset.interpolation.value != "bilinear":
        preprocessing["interpolation"] = preset.interpolation.value
    replace_head(model, num_classes)
    fold_batchnorm(model)
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    try:
        with torch.inference_mode():
            model.eval()(torch.zeros(1, 3, crop, crop))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise PhotosError(
            f"{recipe.model} cannot take images of {crop} pixels: {str(error).splitlines()[0]}"
        ) from None
    return model, preprocessing


def training_mode(model: nn.Module, frozen_batchnorm: bool) -> nn.Module:
    """Put the model in train mode; BatchNorm layers in eval mode if their statistics stay.

    Stored statistics make a photo's output independent of the others in its batch: the same result
    whether a batch is computed at once, in pieces or by several processes. Their scale and shift
    are trained like other weights.
    """
    train_mode(model)
    if frozen_batchnorm:
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
    return model


def logits_and_loss(output, targets: torch.Tensor, **options) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits and each photo's cross-entropy; auxiliary heads (Inception) count for 0.3.

    Args:
        output: what the model returned, a tensor or a named tuple of logits.
        targets: labels (N,) or shares of the classes (N, num_classes).
        options: of ``torch.nn.functional.cross_entropy``.
    """
    outputs = [output] if isinstance(output, torch.Tensor) else [o for o in output if o is not None]
    losses = [
        nn.functional.cross_entropy(o.float(), targets, reduction="none", **options)
        for o in outputs
    ]
    return outputs[0], losses[0] + 0.3 * sum(losses[1:])


def candidates(device: torch.device) -> list[str]:
    """Return the precisions that may pay on this device.

    CUDA: bfloat16 where the GPU computes in it (no loss scaling needed), else float16. CPU: float32
    and bfloat16; which is faster depends on the processor's instructions, so it is tried. Others:
    float32.
    """
    if device.type == "cuda":
        return ["bfloat16" if torch.cuda.get_device_capability(device)[0] >= 8 else "float16"]
    return ["float32", "bfloat16"] if device.type == "cpu" else ["float32"]


def default_pieces(batch_size: int, crop: int, device: torch.device) -> int:
    """Return in how many pieces a batch is best computed.

    GPUs: one. CPUs: 16 photos of 224 pixels at once, or as many pixels: the allocator gives larger
    activations back to the system after each use, and getting new ones is slow (measured with
    MobileNetV2 on Linux: a third of the time of a step).
    """
    if device.type != "cpu":
        return 1
    return max(1, round(batch_size * crop**2 / (16 * 224**2)))


def choose_precision(
    model: nn.Module, size: int, device: torch.device, train: bool, photos: int = 4
) -> tuple[str, dict[str, float]]:
    """Return the precision that computes a few random images in the least time, and the times.

    Args:
        model: on the device; its weights and statistics stay as they are.
        size: side of the images in pixels.
        device: where to compute.
        train: time forward and backward pass; else the forward pass.
        photos: images in the trial.
    """
    names = candidates(device)
    if len(names) == 1:
        return names[0], {}
    images = torch.zeros(photos, 3, size, size, device=device)
    training_mode(model, frozen_batchnorm=True) if train else model.eval()
    times = {name: [] for name in names}
    state = torch.random.get_rng_state()
    for name in names * 4:  # in turns, so that what else the machine does hits both
        started = time.perf_counter()
        with (
            torch.set_grad_enabled(train),
            torch.autocast(device.type, DTYPES[name], enabled=name != "float32"),
        ):
            output = model(images)
        if train:
            output = output if isinstance(output, torch.Tensor) else output[0]
            torch.autograd.grad(
                output.float().sum(), [p for p in model.parameters() if p.requires_grad],
                allow_unused=True,
            )  # fmt: skip
        times[name].append(time.perf_counter() - started)
    seconds = {name: min(t[1:]) for name, t in times.items()}  # the first also takes memory
    torch.random.set_rng_state(state)
    return min(seconds, key=seconds.get), {k: round(v, 4) for k, v in seconds.items()}
