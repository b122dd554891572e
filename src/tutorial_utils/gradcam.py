"""Grad-CAM: which places of an image raise a class's logit (Selvaraju et al. 2017)."""

import torch
from torch import nn
from torch.nn import functional as F


def grad_cam(
    model: nn.Module, layer: nn.Module, images: torch.Tensor, classes: torch.Tensor
) -> torch.Tensor:
    """Return one heat map per image, on the grid of the layer's output.

    Each channel of the layer's output is weighted by the mean, over all places, of the gradient of
    the class's logit; the weighted channels are summed, and what is negative becomes zero.

    Args:
        model: maps images (N, C, H, W) to logits (N, num_classes); used in eval mode.
        layer: one of its layers, with an output (N, K, h, w): usually the last with places.
        images: shape (N, C, H, W).
        classes: the class asked about for each image, shape (N,).

    Returns:
        Heat, at least 0 and not normalised, of shape (N, h, w).

    Raises:
        ValueError: the layer's output has no places, or the layer was not used.
    """
    kept = []

    def keep(_module, _inputs, output):
        kept.append(output.detach().requires_grad_())  # the gradient needs to go no further back
        return kept[-1]

    hook = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            chosen = model.eval()(images).gather(1, classes[:, None]).sum()
    finally:
        hook.remove()
    if len(kept) != 1 or kept[0].ndim != 4:
        raise ValueError("grad_cam needs a layer that runs once and gives (N, K, h, w).")
    (gradient,) = torch.autograd.grad(chosen, kept[0])  # (N, K, h, w)
    weights = gradient.mean(dim=(2, 3), keepdim=True)  # (N, K, 1, 1)
    return F.relu((weights * kept[0]).sum(dim=1)).detach()


def share_inside(heat: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Return how much of each image's heat lies on its object, 0 to 1; NaN where there is no heat.

    Args:
        heat: shape (N, h, w); it is brought to the masks' size by bilinear interpolation.
        masks: shape (N, H, W) of bool, True on the object.
    """
    heat = F.interpolate(heat[:, None], size=masks.shape[-2:], mode="bilinear")[:, 0]
    return (heat * masks).sum(dim=(1, 2)) / heat.sum(dim=(1, 2))
