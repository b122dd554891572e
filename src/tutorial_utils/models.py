"""Pretrained classifiers: load one, give it a new head, freeze parts of it (``five_steps``)."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models import WeightsEnum, get_model, get_model_weights

from tutorial_utils.weights import fetch_weights


def load_pretrained(name: str, weights: str = "DEFAULT") -> tuple[nn.Module, WeightsEnum]:
    """Load one of torchvision's classifiers with its weights, in eval mode.

    Taught in *The five steps*, step 1.

    Args:
        name: as in ``torchvision.models.list_models()``, such as ``"mobilenet_v2"``.
        weights: a member of the model's weights enum, such as ``"IMAGENET1K_V1"``. Where the
            network cannot be reached, only MobileNetV2's ``"IMAGENET1K_V1"`` can be had.

    Returns:
        The model, stored as N, H, W, C in memory, which is faster (``trends``; shapes stay N, C, H,
        W), and the weights' description: ``weights.transforms()`` is the preprocessing that
        belongs to them and ``weights.meta["categories"]`` the class names.

    Raises:
        ValueError: torchvision has no such model, or the model no such weights.
        WeightsError: the file could not be had; the message says what to do.
    """
    try:
        members = get_model_weights(name)
    except ValueError:
        raise ValueError(
            f"torchvision has no classifier {name!r}; see torchvision.models.list_models()."
        ) from None
    if weights not in members.__members__:
        raise ValueError(f"{name} has no weights {weights!r}; it has {list(members.__members__)}.")
    chosen = members[weights]
    path = fetch_weights(chosen)
    # torchvision's builders unpickle whatever their verified file holds. This reading of the same
    # file comes first and refuses anything but tensors.
    torch.load(path, map_location="cpu", weights_only=True)
    model = get_model(name, weights=chosen)
    return model.eval().to(memory_format=torch.channels_last), chosen


def head_name(model: nn.Module) -> str:
    """Return the dotted name of the layer that makes the logits: the last Linear or Conv2d.

    Every classifier of torchvision registers it last (SqueezeNet's is a 1x1 convolution).

    Raises:
        ValueError: the model has no such layer.
    """
    names = [name for name, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if not names:
        raise ValueError(f"{type(model).__name__} has no Linear or Conv2d layer to replace.")
    return names[-1]


def head(model: nn.Module) -> nn.Module:
    """Return the layer that makes the logits."""
    return model.get_submodule(head_name(model))


def replace_head(model: nn.Module, num_classes: int) -> nn.Module:
    """Give a classifier a fresh output layer for ``num_classes`` classes, in place.

    Works for every classifier of torchvision. The auxiliary heads that GoogLeNet and Inception v3
    have while training are replaced with it. All other layers keep their weights.

    Returns:
        The same model; its logits now have shape (N, num_classes).

    Raises:
        ValueError: ``num_classes`` is below 2, or the model has no output layer.
    """
    if num_classes < 2:
        raise ValueError(f"a classifier needs at least 2 classes, got {num_classes}.")
    main = head_name(model)
    old_classes = _out_features(model.get_submodule(main))
    auxiliary = [
        name
        for name, module in model.named_modules()
        if name.lower().startswith("aux")
        and isinstance(module, nn.Linear)
        and module.out_features == old_classes
    ]
    for name in [main, *auxiliary]:
        _set_submodule(model, name, _fresh_like(model.get_submodule(name), num_classes))
    return model


def _out_features(layer: nn.Module) -> int:
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels


def _fresh_like(layer: nn.Module, num_classes: int) -> nn.Module:
    """Return a new layer of the same kind, dtype and device with ``num_classes`` outputs."""
    place = {"device": layer.weight.device, "dtype": layer.weight.dtype}
    bias = layer.bias is not None
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, num_classes, bias=bias, **place)
    return nn.Conv2d(layer.in_channels, num_classes, layer.kernel_size, bias=bias, **place)


def _set_submodule(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def freeze(module: nn.Module) -> nn.Module:
    """Take the module's parameters out of training; call ``train_mode`` before each epoch."""
    return module.requires_grad_(False)


def unfreeze(module: nn.Module) -> nn.Module:
    """Put the module's parameters back into training."""
    return module.requires_grad_(True)


def freeze_backbone(model: nn.Module) -> nn.Module:
    """Freeze every layer but the head, in place, and return the model."""
    freeze(model)
    unfreeze(head(model))
    return model


def train_mode(model: nn.Module) -> nn.Module:
    """Put the model in train mode, except frozen BatchNorm layers, which stay in eval mode.

    Freezing stops the gradient, not the running statistics: in train mode a frozen BatchNorm would
    still normalise by the batch and let its statistics drift away from its weights.
    """
    model.train()
    for module in model.modules():
        frozen = not any(p.requires_grad for p in module.parameters())
        if isinstance(module, _BatchNorm) and module.affine and frozen:
            module.eval()
    return model


def parameter_groups(
    model: nn.Module, lr: float, backbone_lr: float | None = None, weight_decay: float = 0.0
) -> list[dict]:
    """Return groups for an optimizer: head and backbone, each with and without weight decay.

    Args:
        model: frozen parameters are left out.
        lr: learning rate of the head.
        backbone_lr: learning rate of all other layers; ``lr`` if not given.
        weight_decay: for weight matrices and kernels; biases and normalisation get none.

    Raises:
        ValueError: every parameter is frozen.
    """
    in_head = {id(p) for p in head(model).parameters()}
    groups = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        rate = lr if id(parameter) in in_head or backbone_lr is None else backbone_lr
        decay = weight_decay if parameter.ndim > 1 else 0.0
        group = groups.setdefault((rate, decay), {"params": [], "lr": rate, "weight_decay": decay})
        group["params"].append(parameter)
    if not groups:
        raise ValueError("every parameter is frozen; unfreeze the head at least.")
    return list(groups.values())


def count_parameters(module: nn.Module, trainable_only: bool = False) -> int:
    """Return the number of parameters, or of those that are not frozen."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable_only)
