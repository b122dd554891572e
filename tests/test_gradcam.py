import pytest
import torch
from attention_maps import grad_cam, share_inside
from captum.attr import LayerGradCam
from torchvision.models import mobilenet_v2, resnet18

from tutorial_utils.models import freeze, head


def tiny_net(build):
    torch.manual_seed(0)
    return build(num_classes=5).eval()


@pytest.mark.parametrize(
    ("build", "layer"),
    [
        (mobilenet_v2, "features.18"),
        (mobilenet_v2, "features.13"),
        (resnet18, "layer4"),
        (resnet18, "layer2"),
    ],
)
def test_it_equals_captum(build, layer):
    net = tiny_net(build).double()
    images, classes = torch.rand(3, 3, 96, 96, dtype=torch.float64), torch.tensor([0, 3, 4])
    heat = grad_cam(net, net.get_submodule(layer), images, classes)
    reference = LayerGradCam(net, net.get_submodule(layer)).attribute(
        images, target=classes, relu_attributions=True
    )
    assert heat.shape == reference[:, 0].shape
    assert heat.sum() > 0
    torch.testing.assert_close(heat, reference[:, 0])


def test_on_the_last_layer_before_a_global_average_the_weights_are_the_heads():
    net = tiny_net(mobilenet_v2)
    images, classes = torch.rand(2, 3, 96, 96), torch.tensor([1, 2])
    heat = grad_cam(net, net.features, images, classes)
    activations = net.features(images)
    by_hand = torch.einsum("nk,nkhw->nhw", head(net).weight[classes], activations).relu() / 9
    torch.testing.assert_close(heat, by_hand)


def test_a_frozen_model_can_be_asked_too_and_nothing_is_left_behind():
    net = tiny_net(mobilenet_v2)
    images, classes = torch.rand(2, 3, 64, 64), torch.tensor([1, 2])
    expected = grad_cam(net, net.features, images, classes)
    with torch.no_grad():
        found = grad_cam(freeze(net).train(), net.features, images, classes)
    torch.testing.assert_close(found, expected)
    assert not net.features._forward_hooks
    assert all(p.grad is None for p in net.parameters())


def test_a_layer_without_places_is_refused():
    net = tiny_net(mobilenet_v2)
    with pytest.raises(ValueError, match="layer"):
        grad_cam(net, net.classifier, torch.rand(1, 3, 64, 64), torch.tensor([0]))


def test_share_inside():
    masks = torch.zeros(3, 6, 6, dtype=torch.bool)
    masks[:, :, 3:] = True
    heat = torch.zeros(3, 6, 6)
    heat[0, 2, 4] = heat[1, 2, 1] = 5.0
    heat[2] = 0.2
    assert share_inside(heat, masks).tolist() == pytest.approx([1.0, 0.0, 0.5])
    assert share_inside(torch.zeros(1, 3, 3), masks[:1]).isnan().all()
    assert share_inside(torch.ones(1, 2, 2), masks[:1]).item() == pytest.approx(0.5)
