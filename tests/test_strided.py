"""The gradient of strided depthwise convolutions is torch's own, for all sizes and paddings."""

import pytest
import torch
from torch.nn import functional as F

from tutorial_utils.finetune.strided import StridedConv2d, StridedDepthwise


@pytest.mark.parametrize("size", [(7, 7), (8, 8), (9, 12), (3, 3)])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [(2, 2), (1, 2), (3, 2)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_gradient_is_the_usual_one(size, kernel, stride, with_bias):
    torch.manual_seed(0)
    padding = (kernel // 2, kernel // 2)
    x = torch.randn(2, 4, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 1, kernel, kernel, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(4, dtype=torch.float64, requires_grad=True) if with_bias else None
    inputs = [x, weight, *([bias] if with_bias else [])]
    usual = F.conv2d(x, weight, bias, stride, padding, groups=4)
    ours = StridedDepthwise.apply(x, weight, bias, stride, padding)
    torch.testing.assert_close(ours, usual)
    direction = torch.randn_like(usual)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, direction),
        torch.autograd.grad(usual, inputs, direction),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_the_layer_takes_it_in_bfloat16_only():
    torch.manual_seed(0)
    layer = StridedConv2d(4, 4, 3, stride=2, padding=1, groups=4)
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    assert "Strided" not in type(layer(x).grad_fn).__name__
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert "Strided" in type(y.grad_fn).__name__
    y.float().square().sum().backward()
    rough, rough_weight, x.grad, layer.weight.grad = x.grad, layer.weight.grad, None, None
    layer(x).square().sum().backward()
    torch.testing.assert_close(rough, x.grad, rtol=0.05, atol=0.05)
    torch.testing.assert_close(rough_weight, layer.weight.grad, rtol=0.05, atol=0.1)
