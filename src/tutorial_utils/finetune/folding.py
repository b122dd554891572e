"""BatchNorm with frozen statistics folded into the convolution before it: the same, but faster.

Such a BatchNorm computes ``(z - mean) / sqrt(var + eps) * weight + bias`` for each channel of a
convolution's output z. That is linear, so the convolution can do it: its kernels are multiplied by
``weight / sqrt(var + eps)`` and its bias is shifted. Two passes over the activations fall away,
forward and backward, which are what takes the time in networks like MobileNet. The parameters stay
where they were and get the same gradients, up to rounding.
"""

import torch
from torch import fx, nn

from tutorial_utils.finetune.strided import conv2d


class FoldedConv2d(nn.Conv2d):
    """A ``Conv2d`` that does the work of the BatchNorm after it, while that one is in eval mode."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return convolution and normalisation of x (N, in_channels, H, W)."""
        norm = self.norm[0]
        if norm.training:
            return conv2d(self, x, self.weight, self.bias)
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        shift = norm.running_mean if self.bias is None else norm.running_mean - self.bias
        weight = self.weight * scale[:, None, None, None]
        return conv2d(self, x, weight, norm.bias - shift * scale)


class FoldedBatchNorm2d(nn.BatchNorm2d):
    """A ``BatchNorm2d`` whose work in eval mode is done by the convolution before it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x in eval mode."""
        return super().forward(x) if self.training else x


def fold_batchnorm(model: nn.Module) -> int:
    """Fold every BatchNorm2d that directly follows a Conv2d into it, in place.

    Names, parameters, buffers and ``state_dict`` stay as they are, and in train mode the layers
    compute what they did before.

    Args:
        model: any; one that ``torch.fx`` cannot trace is left as it is.

    Returns:
        The number of pairs that were folded.
    """
    try:
        graph = fx.symbolic_trace(model).graph
    except Exception:  # control flow that depends on values: there are many ways to fail
        return 0
    modules = dict(model.named_modules())
    calls = [node.target for node in graph.nodes if node.op == "call_module"]
    count = 0
    for node in graph.nodes:
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module":
            continue
        conv, norm = modules[before.target], modules[node.target]
        if (
            type(conv) is nn.Conv2d
            and type(norm) is nn.BatchNorm2d
            and norm.affine
            and norm.track_running_stats
            and len(before.users) == 1
            and calls.count(before.target) == calls.count(node.target) == 1
        ):
            conv.__class__, norm.__class__ = FoldedConv2d, FoldedBatchNorm2d
            conv.norm = (norm,)  # in a tuple, so that it is not registered a second time
            count += 1
    return count
