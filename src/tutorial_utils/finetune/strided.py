"""Depthwise convolutions with a stride, in bfloat16 on the CPU: the same gradient, much sooner.

oneDNN has fast kernels for the gradient of a depthwise convolution's input at stride 1, but in
bfloat16 falls back on a slow one at stride 2: the four such layers of MobileNetV2 took 40 % of a
whole training step (`benchmarks/finetune_step.py` measures it). The same gradient is a depthwise
convolution at stride 1, with the kernels turned by 180 degrees, of the output's gradient with zeros
between its values; for that there is a fast kernel.
"""

import torch
from torch import nn
from torch.nn import functional as F


class StridedDepthwise(torch.autograd.Function):
    """A depthwise convolution (one kernel a channel, no dilation) with that backward pass."""

    @staticmethod
    def forward(ctx, x, weight, bias, stride, padding):
        """Return the convolution of x (N, C, H, W) with weight (C, 1, kH, kW)."""
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding, ctx.has_bias = stride, padding, bias is not None
        return F.conv2d(x, weight, bias, stride, padding, groups=x.shape[1])

    @staticmethod
    def backward(ctx, gradient):
        """Return the gradients of x, weight and bias."""
        (x, weight), stride, padding = ctx.saved_tensors, ctx.stride, ctx.padding
        kernel, channels = weight.shape[2:], x.shape[1]
        for_x = None
        if ctx.needs_input_grad[0]:
            size = [n + 2 * p - k + 1 for n, p, k in zip(x.shape[2:], padding, kernel, strict=True)]
            spread = torch.empty(
                (*x.shape[:2], *size), dtype=gradient.dtype, memory_format=torch.channels_last
            ).zero_()
            spread[:, :, :: stride[0], :: stride[1]] = gradient
            rest = [k - 1 - p for k, p in zip(kernel, padding, strict=True)]
            for_x = F.conv2d(spread, weight.flip(2, 3), padding=rest, groups=channels)
        _, for_weight, for_bias = torch.ops.aten.convolution_backward(
            gradient, x, weight, [channels] if ctx.has_bias else None, stride, padding, [1, 1],
            False, [0, 0], channels, [False, *ctx.needs_input_grad[1:3]],
        )  # fmt: skip
        return for_x, for_weight, for_bias, None, None


def conv2d(
    layer: nn.Conv2d, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """Return what ``layer._conv_forward`` does, with the fast gradient where there is one."""
    autocast = x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    dtype = torch.get_autocast_dtype("cpu") if autocast else x.dtype
    if (
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
    ):
        x, weight, bias = (None if t is None else t.to(dtype) for t in (x, weight, bias))
        return StridedDepthwise.apply(x, weight, bias, layer.stride, layer.padding)
    return layer._conv_forward(x, weight, bias)


class StridedConv2d(nn.Conv2d):
    """A ``Conv2d`` that goes through ``conv2d`` of this module."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the convolution of x (N, in_channels, H, W)."""
        return conv2d(self, x, self.weight, self.bias)
