"""The same numbers, sooner on a CPU: folded BatchNorm, and a gradient by another kernel.

**Folding.** A BatchNorm with frozen statistics computes ``(z - mean) / sqrt(var + eps) * weight +
bias`` for each channel of a convolution's output z. That is linear, so the convolution can do it:
its kernels are multiplied by ``weight / sqrt(var + eps)`` and its bias is shifted. Two passes over
the activations fall away, forward and backward. The parameters stay where they were and get the
same gradients, up to rounding.

**Strided depthwise convolutions.** oneDNN has fast kernels for the gradient of a depthwise
convolution's input at stride 1, but in bfloat16 falls back on a slow one at stride 2: the four such
layers of MobileNetV2 took 40 % of a whole training step (`benchmarks/finetune_step.py` measures
it). The same gradient is a depthwise convolution at stride 1, with the kernels turned by 180
degrees, of the output's gradient with zeros between its values; for that there is a fast kernel.
"""

import torch
from torch import fx, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight


class FoldedPair(nn.Conv2d):
    """A convolution that does the work of the BatchNorm after it, while that one is in eval mode.

    It shares the parameters of both, whose names in the model stay as they were.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, fast_gradient: bool = True):
        super().__init__(
            conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding,
            conv.dilation, conv.groups, conv.bias is not None, conv.padding_mode, device="meta",
        )  # fmt: skip
        self.weight, self.bias = conv.weight, conv.bias
        self.norm = (norm,)  # in a tuple, so that it is not registered a second time
        self.fast_gradient = fast_gradient

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return convolution and normalisation of x (N, in_channels, H, W)."""
        norm = self.norm[0]
        weight, bias = self.weight, self.bias
        if not norm.training:
            scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
            shift = norm.running_mean if bias is None else norm.running_mean - bias
            weight, bias = weight * scale[:, None, None, None], norm.bias - shift * scale
        if self.fast_gradient and suits_fast_gradient(self, x):
            dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
            x, weight, bias = (None if t is None else t.to(dtype) for t in (x, weight, bias))
            return StridedDepthwise.apply(x, weight, bias, self.stride, self.padding)
        return self._conv_forward(x, weight, bias)


class FoldedBatchNorm2d(nn.BatchNorm2d):
    """A ``BatchNorm2d`` whose work in eval mode is done by the convolution before it."""

    def __init__(self, norm: nn.BatchNorm2d):
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x in eval mode."""
        return super().forward(x) if self.training else x


def fold_batchnorm(model: nn.Module, fast_gradient: bool = True) -> int:
    """Fold every BatchNorm2d that directly follows a Conv2d into it, in place.

    Names, parameters, buffers and ``state_dict`` stay as they are, and in train mode the layers
    compute what they did before.

    Args:
        model: any; one that ``torch.fx`` cannot trace is left as it is.
        fast_gradient: use ``StridedDepthwise`` where it is faster.

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
            folded = FoldedBatchNorm2d(norm).train(norm.training)
            pair = FoldedPair(conv, folded, fast_gradient).train(conv.training)
            model.set_submodule(before.target, pair)
            model.set_submodule(node.target, folded)
            count += 1
    return count


class StridedDepthwise(torch.autograd.Function):
    """A depthwise convolution (a kernel for each channel, no dilation) with that backward."""

    @staticmethod
    def forward(ctx, x, weight, bias, stride, padding):
        """Return the convolution of x (N, C, H, W) with weight (C, 1, kH, kW)."""
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, bias, stride, padding, groups=x.shape[1])

    @staticmethod
    def backward(ctx, gradient):
        """Return the gradients of x, weight and bias."""
        (x, weight), stride, padding = ctx.saved_tensors, ctx.stride, ctx.padding
        kernel, channels = weight.shape[2:], x.shape[1]
        for_x = for_weight = for_bias = None
        if ctx.needs_input_grad[0]:
            size = [n + 2 * p - k + 1 for n, p, k in zip(x.shape[2:], padding, kernel, strict=True)]
            spread = torch.empty(
                (*x.shape[:2], *size), dtype=gradient.dtype, memory_format=torch.channels_last
            ).zero_()
            spread[:, :, :: stride[0], :: stride[1]] = gradient
            rest = [k - 1 - p for k, p in zip(kernel, padding, strict=True)]
            for_x = F.conv2d(spread, weight.flip(2, 3), padding=rest, groups=channels)
        if ctx.needs_input_grad[1]:
            for_weight = conv2d_weight(x, weight.shape, gradient, stride, padding, groups=channels)
        if ctx.needs_input_grad[2]:
            for_bias = gradient.sum(dim=(0, 2, 3))
        return for_x, for_weight, for_bias, None, None


def suits_fast_gradient(layer: nn.Conv2d, x: torch.Tensor) -> bool:
    """Tell whether ``StridedDepthwise`` gives this layer's gradient sooner than torch does."""
    autocast = x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    dtype = torch.get_autocast_dtype("cpu") if autocast else x.dtype
    return (
        torch.is_grad_enabled()
        and x.device.type == "cpu"
        and dtype == torch.bfloat16
        and layer.groups == layer.in_channels == layer.out_channels > 1
        and max(layer.stride) > 1
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
        and all(p < k for p, k in zip(layer.padding, layer.kernel_size, strict=True))
        and not torch.compiler.is_compiling()
    )
