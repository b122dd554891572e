import copy

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from tutorial_utils.finetune.folding import FoldedConv2d, fold_batchnorm


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


MODELS = ["mobilenet_v2", "resnet18", "densenet121", "shufflenet_v2_x0_5", "efficientnet_b0",
          "googlenet", "vgg11_bn"]  # fmt: skip


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
    assert not isinstance(model.conv, FoldedConv2d)
    assert torch.equal(model(images), before)
