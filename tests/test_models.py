"""Every torchvision classification family through the model surgery, and frozen BatchNorm."""

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import get_model, list_models

from tutorial_utils.models import (
    count_parameters,
    freeze,
    freeze_backbone,
    head,
    head_name,
    load_pretrained,
    parameter_groups,
    replace_head,
    train_mode,
)

ALL = list_models(module=torchvision.models)
# The smallest member of each family, with the smallest square input that it allows.
FAMILIES = {
    "alexnet": 63,
    "convnext_tiny": 32,
    "densenet121": 32,
    "efficientnet_b0": 32,
    "efficientnet_v2_s": 32,
    "googlenet": 33,
    "inception_v3": 75,
    "maxvit_t": 224,
    "mnasnet0_5": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "regnet_x_400mf": 32,
    "resnet18": 32,
    "resnext50_32x4d": 32,
    "shufflenet_v2_x0_5": 32,
    "squeezenet1_0": 21,
    "squeezenet1_1": 17,
    "swin_t": 32,
    "swin_v2_t": 32,
    "vgg11": 32,
    "vit_b_32": 224,
    "wide_resnet50_2": 32,
}
EXTRAS = {"googlenet": {"init_weights": False}, "inception_v3": {"init_weights": False}}


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    return get_model(name, weights=None, **EXTRAS.get(name, {}))


def test_every_family_of_torchvision_is_listed():
    def family(name):
        module = torchvision.models.get_model_builder(name).__module__.rsplit(".", 1)[-1]
        return module

    assert {family(name) for name in ALL} == {family(name) for name in FAMILIES}


@pytest.mark.parametrize(("name", "size"), FAMILIES.items())
def test_replace_head_gives_new_logits_and_keeps_the_rest(name, size):
    model = build(name).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    replaced = head_name(model)
    assert head(model).weight.shape[0] == 1000
    assert replace_head(model, 7) is model
    with torch.no_grad():
        assert model(torch.randn(2, 3, size, size)).shape == (2, 7)
    changed = {
        key.rsplit(".", 1)[0]
        for key, value in model.state_dict().items()
        if value.shape != before[key].shape or not torch.equal(value, before[key])
    }
    auxiliary = {key for key in changed if key.lower().startswith("aux")}
    assert changed - auxiliary == {replaced}
    assert bool(auxiliary) == (name in ("googlenet", "inception_v3"))


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_replace_head_serves_the_auxiliary_heads_in_train_mode(name):
    model = replace_head(build(name), 5).train()
    outputs = model(torch.randn(2, 3, 128 if name == "googlenet" else 299, 299)[:, :, :, :299])
    assert all(output.shape == (2, 5) for output in outputs if output is not None)


# RegNet's builder computes with tensors, which the meta device cannot; its family is tested above.
@pytest.mark.parametrize("name", [name for name in ALL if not name.startswith("regnet")])
def test_the_head_of_every_model_makes_the_1000_logits(name):
    with torch.device("meta"):
        model = get_model(name, weights=None, **EXTRAS.get(name, {}))
    assert head(model).weight.shape[0] == 1000


@pytest.mark.parametrize("num_classes", [1, 0, -3])
def test_replace_head_refuses_too_few_classes(num_classes):
    with pytest.raises(ValueError, match="at least 2 classes"):
        replace_head(build("squeezenet1_1"), num_classes)


def test_a_model_without_layers_gives_one_clear_error():
    with pytest.raises(ValueError, match="no Linear or Conv2d"):
        replace_head(nn.Sequential(nn.ReLU()), 3)


def test_frozen_batch_norm_does_not_drift_and_plain_train_mode_does():
    images = torch.randn(8, 3, 32, 32) * 3 + 1
    for mode, drifts in ((train_mode, False), (nn.Module.train, True)):
        model = freeze_backbone(build("mobilenet_v2"))
        before = {k: v.clone() for k, v in model.named_buffers()}
        mode(model)
        model(images)
        moved = any(not torch.equal(v, before[k]) for k, v in model.named_buffers())
        assert moved == drifts
        assert model.classifier[0].training  # the head's Dropout stays on


def test_train_mode_leaves_trainable_batch_norm_training():
    model = train_mode(build("resnet18"))
    assert all(module.training for module in model.modules())
    freeze(model.layer1)
    train_mode(model)
    assert not model.layer1[0].bn1.training
    assert model.layer2[0].bn1.training


def test_parameter_groups_hold_each_parameter_once_with_its_rate():
    model = build("resnet18")
    groups = parameter_groups(model, lr=0.1, backbone_lr=0.01, weight_decay=0.5)
    ids = [id(p) for group in groups for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in model.parameters())
    by_id = {id(p): group for group in groups for p in group["params"]}
    assert by_id[id(model.fc.weight)]["lr"] == 0.1
    assert by_id[id(model.conv1.weight)]["lr"] == 0.01
    assert by_id[id(model.conv1.weight)]["weight_decay"] == 0.5
    assert by_id[id(model.bn1.weight)]["weight_decay"] == 0.0
    assert by_id[id(model.fc.bias)]["weight_decay"] == 0.0


def test_parameter_groups_leave_frozen_parameters_out():
    model = freeze_backbone(build("resnet18"))
    groups = parameter_groups(model, lr=0.1)
    assert {id(p) for g in groups for p in g["params"]} == {id(p) for p in model.fc.parameters()}
    assert count_parameters(model, trainable_only=True) == 512 * 1000 + 1000
    with pytest.raises(ValueError, match="frozen"):
        parameter_groups(freeze(model), lr=0.1)


def test_count_parameters_agrees_with_torchvision():
    weights = torchvision.models.ResNet18_Weights.DEFAULT
    assert count_parameters(build("resnet18")) == weights.meta["num_params"]


def test_load_pretrained_is_the_real_model():
    model, weights = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    assert not model.training
    from skimage import data

    cat = torch.from_numpy(data.chelsea()).permute(2, 0, 1)
    with torch.no_grad():
        top = model(weights.transforms()(cat)[None]).softmax(1).topk(3).indices[0]
    names = [weights.meta["categories"][i] for i in top]
    assert {"tabby", "Egyptian cat", "tiger cat"} & set(names)


def test_load_pretrained_names_what_there_is():
    with pytest.raises(ValueError, match="no classifier 'resnet51'"):
        load_pretrained("resnet51")
    with pytest.raises(ValueError, match="IMAGENET1K_V1"):
        load_pretrained("mobilenet_v2", "V3")
