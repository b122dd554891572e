"""The linear probe against scikit-learn's; in pieces; and as a model's head."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F
from torchvision.models import get_model

from tutorial_utils.errors import PhotosError
from tutorial_utils.finetune import probe
from tutorial_utils.finetune.probe import (
    CHUNK,
    cross_validate,
    fit_logistic,
    fit_path,
    fit_probe,
    has_linear_head,
    moments,
    probe_logits,
    put_head,
)
from tutorial_utils.models import head


def blobs(n, width, classes, seed=0, scale=1.0, shift=0.0):
    """Return overlapping clouds of points and their labels; every class is there."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    centres = rng.normal(0, 1, (classes, width))
    points = (centres[labels] + rng.normal(0, 1.5, (n, width))) * scale + shift
    return torch.tensor(points), torch.tensor(labels)


def reference(x, y, strength, weights=None, with_bias=True):
    """Return scikit-learn's weights and biases for the same loss."""
    total = len(y) if weights is None else float(weights.sum())
    model = LogisticRegression(
        C=1 / (total * strength), tol=1e-10, max_iter=20_000, fit_intercept=with_bias
    )
    model.fit(x.numpy(), y.numpy(), None if weights is None else weights.numpy())
    return torch.tensor(model.coef_), torch.tensor(model.intercept_)


def assert_same_logits(x, ours, theirs, atol):
    """Compare logits up to the constant that a softmax does not see."""
    a, b = (x.double() @ w.double().T + bias.double() for w, bias in (ours, theirs))
    torch.testing.assert_close(a - a.mean(1, True), b - b.mean(1, True), atol=atol, rtol=1e-3)


@settings(deadline=None, max_examples=25)
@given(
    n=st.integers(12, 80), width=st.integers(1, 8), classes=st.integers(3, 6),
    strength=st.sampled_from([1.0, 0.1, 0.01]), with_bias=st.booleans(), weighted=st.booleans(),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_the_weights_are_scikit_learns(n, width, classes, strength, with_bias, weighted, seed):
    x, y = blobs(n, width, classes, seed)
    weights = None
    if weighted:
        weights = torch.rand(n, dtype=torch.float64) + 0.1
        weights *= n / weights.sum()
    w = fit_logistic(
        x, y, classes, strength, sample_weights=weights, with_bias=with_bias, tolerance=1e-9
    )
    coef, intercept = reference(x, y, strength, weights, with_bias)
    if not with_bias:
        assert w[:, -1].abs().max() == 0
        torch.testing.assert_close(w[:, :-1], coef, atol=1e-4, rtol=1e-3)
    assert_same_logits(x, (w[:, :-1], w[:, -1]), (coef, intercept), 1e-4)


@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_the_probe_is_scikit_learns_on_centred_features_of_one_scale(scale):
    x, y = blobs(150, 6, 4, scale=scale, shift=3 * scale)
    x[:, 2] *= 0.01  # a feature that hardly changes stays small
    found = fit_probe(x, y, x, y, 4, l2=[0.03])
    mean, deviation = x.mean(0), x.var(0, unbiased=False).mean().sqrt()
    coef, intercept = reference((x - mean) / deviation, y, 0.03)
    weight = coef / deviation
    assert_same_logits(
        x, (found.weight, found.bias), (weight, intercept - weight @ mean), atol=2e-3
    )
    assert found.weight.dtype == found.bias.dtype == torch.float32


def test_two_classes_are_the_binary_regression():
    x, y = blobs(60, 3, 2)
    w = fit_logistic(x, y, 2, 0.1, tolerance=1e-9)
    coef, intercept = reference(
        x, y, 0.05
    )  # two opposite rows share the penalty of one twice as long
    torch.testing.assert_close(w[1:, :-1] - w[:1, :-1], coef, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(w[1:, -1] - w[:1, -1], intercept, atol=1e-4, rtol=1e-4)


def test_class_weights_are_those_of_cross_entropy():
    x, y = blobs(90, 4, 3)
    weights = torch.tensor([1.0, 5.0, 0.5])
    found = fit_probe(x, y, x, y, 3, l2=[0.02], class_weights=weights)
    scale = x.var(0, unbiased=False).mean().sqrt()
    w = (found.weight.double() * scale).requires_grad_(True)
    b = (found.bias.double() + found.weight.double() @ x.mean(0)).requires_grad_(True)
    z = (x - x.mean(0)) / scale
    loss = F.cross_entropy(z @ w.T + b, y, weights.double()) + 0.01 * w.square().sum()
    for gradient in torch.autograd.grad(loss, (w, b)):
        assert gradient.abs().max() < 1e-4  # at the minimum of this loss


def test_without_biases_nothing_is_centred():
    x, y = blobs(90, 4, 3, shift=1.0)
    found = fit_probe(x, y, x, y, 3, l2=[0.02], with_bias=False)
    assert found.bias.abs().max() == 0
    scale = x.var(0, unbiased=False).mean().sqrt()
    coef, zero = reference(x / scale, y, 0.02, with_bias=False)
    assert_same_logits(x, (found.weight, found.bias), (coef / scale, zero), atol=2e-3)


# --- The search. ---


def test_the_penalty_with_the_least_validation_loss_is_kept():
    x, y = blobs(120, 20, 4)
    v, u = blobs(80, 20, 4, seed=0)[0] + 0.3, blobs(80, 20, 4, seed=0)[1]
    found = fit_probe(x[:60], y[:60], v, u, 4)
    tried = [row["l2"] for row in found.path]
    assert tried == sorted(probe.L2, reverse=True)[: len(tried)]
    losses = [row["loss"] for row in found.path]
    best = losses.index(min(losses))
    assert found.l2 == tried[best]
    assert len(losses) == min(best + 3, len(probe.L2))  # two more that were worse, then over
    logits = probe_logits(found, v)
    assert F.cross_entropy(logits, u).item() == pytest.approx(losses[best])
    accuracy = (logits.argmax(1) == u).double().mean().item()
    assert accuracy == pytest.approx(found.path[best]["accuracy"])


def test_a_warm_start_changes_the_time_and_not_the_result():
    x, y = blobs(80, 5, 3)
    cold = fit_logistic(x, y, 3, 0.01, tolerance=1e-9)
    warm = fit_logistic(x, y, 3, 0.01, start=fit_logistic(x, y, 3, 1.0), tolerance=1e-9)
    torch.testing.assert_close(cold, warm, atol=1e-5, rtol=0)


def test_constant_features_and_few_photos_do_no_harm():
    x = torch.ones(4, 3)
    y = torch.tensor([0, 1, 1, 1])
    found = fit_probe(x, y, x, y, 2)
    torch.testing.assert_close(
        probe_logits(found, x).softmax(1)[0], torch.tensor([0.25, 0.75]), atol=1e-3, rtol=0
    )


# --- In pieces. ---


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 60), width=st.integers(1, 5), chunk=st.integers(1, 70))
def test_moments_in_pieces_are_numpys(n, width, chunk):
    x = np.random.default_rng(n).normal(1000, 1, (n, width))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "CHUNK", chunk)
        mean, variance = moments(x)
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(variance, x.var(0), rtol=1e-6, atol=1e-9)


def test_features_in_a_file_give_what_features_in_memory_give(tmp_path, monkeypatch):
    x, y = blobs(200, 6, 4)
    np.save(tmp_path / "f.npy", x.numpy().astype(np.float16))
    mapped = np.load(tmp_path / "f.npy", mmap_mode="r")
    tensor = torch.tensor(np.array(mapped))
    weights = torch.tensor([1.0, 2.0, 1.0, 0.5])
    whole = fit_probe(tensor, y, tensor, y, 4, class_weights=weights)
    monkeypatch.setattr(probe, "CHUNK", 17)
    pieces = fit_probe(mapped, y, mapped, y, 4, class_weights=weights)
    assert whole.l2 == pieces.l2
    torch.testing.assert_close(whole.weight, pieces.weight, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(probe_logits(whole, mapped), probe_logits(pieces, tensor),
                               atol=1e-4, rtol=1e-4)  # fmt: skip


def test_many_rows_are_read_in_pieces_and_give_the_same(monkeypatch):
    x, y = blobs(300, 7, 3)
    inside = fit_probe(x, y, x, y, 3, l2=[0.1, 0.01])
    monkeypatch.setattr(probe, "SMALL", 100)  # numbers, as if these were many
    monkeypatch.setattr(probe, "CHUNK", 64)
    outside = fit_probe(x, y, x, y, 3, l2=[0.1, 0.01])
    assert_same_logits(x, (inside.weight, inside.bias), (outside.weight, outside.bias), 1e-3)
    assert CHUNK > 64


def test_fewer_photos_than_features_are_fitted_in_their_own_space():
    x, y = blobs(30, 50, 3)
    (found,) = fit_path(x, y, 3, [0.1])
    scale = x.var(0, unbiased=False).mean().sqrt()
    coef, intercept = reference((x - x.mean(0)) / scale, y, 0.1)
    weight = coef / scale
    assert_same_logits(
        x, (found.weight, found.bias), (weight, intercept - weight @ x.mean(0)), 2e-3
    )


# --- Cross-validated. ---


def test_every_photo_is_judged_by_a_probe_that_has_not_seen_its_group():
    x, y = blobs(120, 6, 3)
    x, y = x.repeat_interleave(2, 0), y.repeat_interleave(2)  # every photo has a copy
    noise = torch.randint(0, 3, y.shape, generator=torch.Generator().manual_seed(0))
    groups = np.arange(120).repeat(2)
    found = cross_validate(x.float().numpy(), noise, groups, 3)
    assert sorted(found.rows.tolist()) == list(range(240))
    truth = noise[found.rows]
    # Labels are noise and nothing can be known of them; with copies in training it could.
    assert (found.logits.argmax(1) == truth).double().mean() < 0.48
    assert found.folds == 5
    real = cross_validate(x.float().numpy(), y, groups, 3)
    assert (real.logits.argmax(1) == y[real.rows]).double().mean() > 0.6
    (refit,) = fit_path(x.float(), y, 3, [real.probe.l2])
    torch.testing.assert_close(refit.weight, real.probe.weight, atol=1e-3, rtol=1e-2)


def test_mirrored_photos_are_used_where_they_help():
    x, y = blobs(150, 12, 3, scale=0.8)
    x = x.float()
    more = x + 1.5 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    noisy = x + 1.5 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    helps = cross_validate(noisy.numpy(), y, np.arange(150), 3, more.numpy())
    useless = cross_validate(x.numpy(), y, np.arange(150), 3, torch.randn(150, 12).numpy())
    assert helps.mirror
    assert not useless.mirror


def test_a_class_of_one_group_cannot_be_cross_validated():
    with pytest.raises(PhotosError, match="one photo"):
        cross_validate(np.zeros((4, 2), np.float32), torch.tensor([0, 0, 1, 1]),
                       np.array([0, 1, 2, 2]), 2)  # fmt: skip


# --- As a head. ---


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "densenet121"])
def test_a_model_with_the_probe_as_head_gives_its_logits(name):
    torch.manual_seed(0)
    model = get_model(name, weights=None, num_classes=5).eval()
    inputs = []
    hook = head(model).register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    images = torch.randn(12, 3, 32, 32)
    with torch.no_grad():
        model(images)
    hook.remove()
    features, labels = inputs[0], torch.arange(12) % 3
    found = fit_probe(features, labels, features, labels, 3, l2=[0.01])
    assert put_head(model, found) is model
    with torch.no_grad():
        logits = model(images)
    assert logits.shape == (12, 3)
    torch.testing.assert_close(logits, probe_logits(found, features), atol=1e-4, rtol=1e-4)


def test_only_linear_heads_can_be_probes():
    assert has_linear_head(get_model("resnet18", weights=None, num_classes=2))
    assert not has_linear_head(get_model("squeezenet1_1", weights=None, num_classes=2))


def test_a_head_without_biases_stays_so():
    model = get_model("resnet18", weights=None, num_classes=3)
    model.fc = nn.Linear(512, 3, bias=False)
    x, y = blobs(30, 512, 3)
    found = fit_probe(x, y, x, y, 3, l2=[0.1], with_bias=False)
    put_head(model, found)
    assert model.fc.bias is None
    assert torch.equal(model.fc.weight, found.weight)
