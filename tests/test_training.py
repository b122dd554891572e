"""The training loop against plain torch, cached features against the whole model, intervals."""

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tutorial_utils.evaluation import accuracy, mean_interval, wilson_interval
from tutorial_utils.models import head
from tutorial_utils.training import extract_features, fit, predict, train_epoch


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(20, 2, 4, 4, generator=generator, dtype=torch.float64)
    return TensorDataset(images, (images.mean(dim=(1, 2, 3)) > 0).long())


def small_model():
    torch.manual_seed(1)
    layers = nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)
    return nn.Sequential(*layers).double()


def test_one_epoch_equals_the_same_steps_by_hand(data):
    model, twin = small_model(), small_model()
    loader = DataLoader(data, batch_size=8)  # the last batch holds 4 images
    loss = train_epoch(model, loader, torch.optim.SGD(model.parameters(), lr=0.1))
    total = 0.0
    for images, labels in loader:
        batch_loss = -twin(images).log_softmax(1)[torch.arange(len(labels)), labels].mean()
        total += batch_loss.item() * len(labels)
        gradients = torch.autograd.grad(batch_loss, list(twin.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(twin.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
    assert math.isclose(loss, total / 20, rel_tol=1e-12)
    for found, expected in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_fit_learns_and_its_history_agrees_with_predict(data):
    model = small_model()
    loader = DataLoader(data, batch_size=10, shuffle=True)
    history = fit(model, loader, loader, torch.optim.Adam(model.parameters(), 0.02), epochs=15)
    assert [row["epoch"] for row in history] == list(range(1, 16))
    assert history[-1]["validation_loss"] < 0.5 * history[0]["validation_loss"]
    logits, labels = predict(model, DataLoader(data, batch_size=7))
    assert history[-1]["accuracy"] == accuracy(logits, labels)


def test_the_schedule_is_stepped_after_each_batch(data):
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=3)
    train_epoch(model, DataLoader(data, batch_size=8), optimizer, scheduler=schedule)
    assert optimizer.param_groups[0]["lr"] == 0.0


def test_a_loss_that_is_no_number_stops_before_it_spoils_the_weights(data):
    model = small_model()
    before = [p.clone() for p in model.parameters()]
    data.tensors[0][0, 0, 0, 0] = float("nan")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(FloatingPointError, match="Lower the learning rate"):
        train_epoch(model, DataLoader(data, batch_size=20), optimizer)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))


def test_features_are_what_the_head_sees(data):
    model = small_model()
    features, labels = extract_features(model, DataLoader(data, batch_size=6))
    logits, same_labels = predict(model, DataLoader(data, batch_size=20))
    assert features.shape == (20, 12)
    assert torch.equal(labels, same_labels)
    torch.testing.assert_close(head(model)(features), logits)
    assert not head(model)._forward_pre_hooks


@given(st.integers(1, 40), st.integers(2, 6), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_accuracy_agrees_with_scikit_learn(n, classes, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, classes, generator=generator)
    labels = torch.randint(classes, (n,), generator=generator)
    assert accuracy(logits, labels) == pytest.approx(accuracy_score(labels, logits.argmax(1)))


@pytest.mark.parametrize("shape", [((3,), (3,)), ((3, 2), (2,)), ((0, 2), (0,))])
def test_accuracy_refuses_wrong_shapes(shape):
    with pytest.raises(ValueError, match="expected logits"):
        accuracy(torch.zeros(shape[0]), torch.zeros(shape[1]))


@given(st.integers(1, 500), st.data())
@settings(max_examples=50, deadline=None)
def test_wilson_interval_solves_its_own_equation(total, draw):
    """Its ends are the shares p at which the observed share is exactly z standard errors away."""
    correct = draw.draw(st.integers(0, total))
    low, high = wilson_interval(correct, total)
    z = NormalDist().inv_cdf(0.975)
    assert 0 <= low <= correct / total <= high <= 1
    for end in (low, high):
        if 1e-12 < end < 1 - 1e-12:
            gap = abs(correct / total - end)
            assert gap == pytest.approx(z * math.sqrt(end * (1 - end) / total), abs=1e-9)


def test_wilson_interval_agrees_with_scipy():
    expected = stats.binomtest(37, 50).proportion_ci(method="wilson")
    assert wilson_interval(37, 50) == pytest.approx((expected.low, expected.high))
    with pytest.raises(ValueError, match="0 <= correct <= total"):
        wilson_interval(5, 4)


def test_mean_interval_agrees_with_scipy_and_covers():
    values = [0.61, 0.66, 0.58, 0.63]
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((np.mean(values), low, high))
    rng = np.random.default_rng(0)
    covered = [low < 2 < high for _, low, high in map(mean_interval, rng.normal(2, 3, (2000, 3)))]
    assert 0.93 < np.mean(covered) < 0.97
    with pytest.raises(ValueError, match="at least two"):
        mean_interval([0.5])
