import copy
import importlib.util
import itertools
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import get_model

from tutorial_utils.inference.cpu_speed import FoldedPair, StridedDepthwise, fold_batchnorm


def shaken(model):
    """Give BatchNorm layers statistics and weights as after a training."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return model


BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MODELS = ["mobilenet_v2", "resnet18", "densenet121", "shufflenet_v2_x0_5", "googlenet"]  # fmt: skip


def build(name):
    options = {"init_weights": False} if name == "googlenet" else {}
    return shaken(get_model(name, weights=None, num_classes=5, **options)).double()


@pytest.mark.parametrize("name", MODELS)
def test_the_folded_model_is_the_same_function_with_the_same_gradients(name):
    plain = build(name).eval()
    folded = copy.deepcopy(plain)
    pairs = fold_batchnorm(folded)
    norms = sum(isinstance(m, nn.BatchNorm2d) for m in plain.modules())
    # DenseNet's norms come before convolutions; GoogLeNet's auxiliary heads rest in eval mode.
    assert 0 < pairs <= norms if name in ("densenet121", "googlenet") else pairs == norms
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    outputs = [model(images) for model in (plain, folded)]
    torch.testing.assert_close(*outputs)
    for output in outputs:
        output.square().sum().backward()
    for (key, a), b in zip(plain.named_parameters(), folded.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-8, rtol=1e-6, msg=key)


def test_train_mode_and_names_stay():
    plain = build("mobilenet_v2").train()
    folded = copy.deepcopy(plain)
    fold_batchnorm(folded)
    assert list(folded.state_dict()) == list(plain.state_dict())
    images = torch.randn(4, 3, 64, 64, dtype=torch.float64)
    outputs = []
    for model in (plain, folded):
        torch.manual_seed(1)  # dropout
        outputs.append(model(images))
    torch.testing.assert_close(*outputs)
    for a, b in zip(plain.buffers(), folded.buffers(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_copy_is_independent_of_the_original():
    folded = build("mobilenet_v2").eval()
    fold_batchnorm(folded)
    copied, images = copy.deepcopy(folded), torch.randn(1, 3, 64, 64, dtype=torch.float64)
    before = copied(images)
    with torch.no_grad():
        for parameter in folded.parameters():
            parameter.add_(1)
    assert torch.equal(copied(images), before)


class Shared(nn.Module):
    """A convolution whose output is used twice: it may not be folded."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x):
        z = self.conv(x)
        return self.norm(z) + z


class Choosing(nn.Module):
    """A network that torch.fx cannot trace."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.norm(self.conv(x)) if x.sum() > 0 else self.conv(x)


@pytest.mark.parametrize("kind", [Shared, Choosing])
def test_what_cannot_be_folded_is_left_alone(kind):
    model = shaken(kind()).eval()
    images = torch.rand(2, 3, 8, 8)
    before = model(images)
    assert fold_batchnorm(model) == 0
    assert not isinstance(model.conv, FoldedPair)
    assert torch.equal(model(images), before)


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


def fold_one(fast_gradient=True):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 4, 3, 2, 1, groups=4), nn.BatchNorm2d(4)).eval()
    assert fold_batchnorm(model, fast_gradient) == 1
    return model


def names_in_graph(output):
    """Return the names of all functions in an output's graph of gradients."""
    names, waiting = set(), [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None:
            names.add(type(node).__name__)
            waiting += [parent for parent, _ in node.next_functions]
    return names


def test_the_fast_gradient_is_taken_in_bfloat16_only_and_can_be_left_out():
    model, x = fold_one(), torch.randn(2, 4, 8, 8, requires_grad=True)
    assert "StridedDepthwiseBackward" not in names_in_graph(model(x))
    with torch.autocast("cpu", torch.bfloat16):
        y, usual = model(x), fold_one(fast_gradient=False)(x)
    assert "StridedDepthwiseBackward" in names_in_graph(y)
    assert "StridedDepthwiseBackward" not in names_in_graph(usual)
    grads = [torch.autograd.grad(z.float().square().sum(), x)[0] for z in (y, usual)]
    torch.testing.assert_close(*grads, rtol=0.05, atol=0.05)


def test_the_rungs_of_the_benchmark_call_different_code():
    spec = importlib.util.spec_from_file_location("finetune_step", BENCHMARKS / "finetune_step.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    seen = {}

    def graph(model, images, labels, optimizer, amp=None):
        if type(model).__name__ == "OptimizedModule":  # the compiled rung
            return None
        with torch.autocast("cpu", torch.bfloat16, enabled=amp is not None):
            output = model(images)
        names = names_in_graph(output)
        last = next(model.parameters()).is_contiguous(memory_format=torch.channels_last)
        return names, amp, last, model.training and model.features[0][1].training

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "plain_step", graph)
        patch.setattr(torch, "compile", lambda model: model)
        images = torch.randn(2, 3, 32, 32)
        seen = module.ladder(images, torch.tensor([0, 1]))
    rungs = [seen[n] for n in seen if n != "the same, compiled"]
    assert len(rungs) == 6
    assert all(a != b for a, b in itertools.pairwise(rungs))
    fast = ["StridedDepthwiseBackward" in rung[0] for rung in rungs]
    assert fast == [False] * 5 + [True]
    folded = ["NativeBatchNormBackward0" in rung[0] for rung in rungs]
    assert folded[-2:] == [False, False]
