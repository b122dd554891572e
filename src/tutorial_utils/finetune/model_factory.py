"""From a recipe to a model: weights and their preprocessing, and the precision that suits."""

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models import get_model, get_model_weights

from tutorial_utils.checkpoints import load_classifier
from tutorial_utils.errors import PhotosError
from tutorial_utils.finetune.recipe import Recipe
from tutorial_utils.inference.cpu_speed import fold_batchnorm
from tutorial_utils.models import head, load_pretrained, replace_head, train_mode

BF16_FLAGS = {"avx512_bf16", "amx_bf16"}


def pick_weights(recipe: Recipe) -> str:
    """Return the name of the recipe's weights.

    If it names none: IMAGENET1K_V1. The newer weights score higher on ImageNet, but were trained
    with label smoothing and mixing, which makes features suit other tasks less well (Kornblith et
    al. 2021, arXiv:2010.16402, measured it of label smoothing).
    """
    names = list(get_model_weights(recipe.model).__members__)
    if recipe.weights is not None:
        if recipe.weights not in names:
            raise PhotosError(f"{recipe.model} has no weights {recipe.weights}; it has {names}.")
        return recipe.weights
    return "IMAGENET1K_V1" if "IMAGENET1K_V1" in names else names[-1]


def build_model(recipe: Recipe, classes: Sequence[str]) -> tuple[nn.Module, dict]:
    """Return the model with a head for so many classes, and its preprocessing.

    ``recipe.start`` names an own model to begin from. The preprocessing holds the arguments of
    ``checkpoints.eval_transform``. The head is new and random: seed torch first.

    Raises:
        PhotosError: it has no such weights, or cannot take images of that size.
        WeightsError: the weights could not be had.
    """
    weights, num_classes = pick_weights(recipe), len(classes)
    if recipe.start is not None:
        return _from_own(recipe, classes)
    if recipe.regime == "scratch":
        model = get_model(recipe.model, weights=None)
        chosen = get_model_weights(recipe.model)["DEFAULT"]
    else:
        model, chosen = load_pretrained(recipe.model, weights)
    preset = chosen.transforms()
    crop, resize = preset.crop_size[0], preset.resize_size[0]
    if recipe.image_size is not None:
        crop, resize = recipe.image_size, round(resize * recipe.image_size / crop)
    if recipe.framing != "weights":
        resize = crop
    preprocessing = {"resize": resize, "crop": crop, "mean": preset.mean, "std": preset.std}
    preprocessing = {k: list(v) if isinstance(v, tuple) else v for k, v in preprocessing.items()}
    if preset.interpolation.value != "bilinear":
        preprocessing["interpolation"] = preset.interpolation.value
    if recipe.framing == "pad":
        preprocessing["pad"] = True
    replace_head(model, num_classes)
    return _ready(model, recipe, crop), preprocessing


def _from_own(recipe: Recipe, classes: Sequence[str]) -> tuple[nn.Module, dict]:
    """Return the best model of an earlier run; classes that it knows keep their row of the head."""
    path = Path(recipe.start)
    own = load_classifier(path / "best.pt" if path.is_dir() else path)
    if own.name != recipe.model:
        raise PhotosError(f"{path} is a {own.name}; add --model {own.name}.")
    model, old = own.model, head(own.model)
    known = [(classes.index(n), own.classes.index(n)) for n in classes if n in own.classes]
    if list(classes) != own.classes:
        new = head(replace_head(model, len(classes)))
        with torch.no_grad():
            for to, source in known:
                new.weight[to] = old.weight[source]
                if new.bias is not None:
                    new.bias[to] = old.bias[source]
    return _ready(model, recipe, own.preprocessing["crop"]), own.preprocessing


def _ready(model: nn.Module, recipe: Recipe, crop: int) -> nn.Module:
    """Fold BatchNorm, lay out the memory, and try one image."""
    fold_batchnorm(model)
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    model = model.to(memory_format=layout)
    try:
        with torch.inference_mode():
            model.eval()(torch.zeros(1, 3, crop, crop))
    except Exception as error:
        raise PhotosError(
            f"{recipe.model} cannot take images of {crop} pixels: {str(error).splitlines()[0]}"
        ) from None
    return model


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


def choose_precision(device: torch.device) -> str:
    """Return the precision in which this device computes fast, by a rule and not by a stopwatch.

    CUDA: bfloat16 where the GPU computes in it (no loss scaling needed), else float16. CPU:
    bfloat16 where the processor has instructions for it (AVX512-BF16, AMX), else float32. Others:
    float32. So the same command gives the same model on the same machine.
    """
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.get_device_capability(device)[0] >= 8 else "float16"
    return "bfloat16" if device.type == "cpu" and cpu_flags() & BF16_FLAGS else "float32"


def cpu_flags() -> set[str]:
    """Return the processor's features as Linux names them; nothing where it does not say."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return set()
    return set(re.search(r"^flags\s*:(.*)$", text + "\nflags :", re.MULTILINE)[1].split())


def default_micro_batches(batch_size: int, crop: int, device: torch.device) -> int:
    """Return in how many pieces a batch is best computed.

    GPUs: one. CPUs: 16 photos of 224 pixels at once, or as many pixels: the allocator gives larger
    activations back to the system after each use, and getting new ones is slow (measured with
    MobileNetV2 on Linux: a third of the time of a step).
    """
    if device.type != "cpu":
        return 1
    return max(1, round(batch_size * crop**2 / (16 * 224**2)))
