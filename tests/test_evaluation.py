"""Calibration and McNemar's test against scikit-learn, scipy and cases known by hand."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.calibration import calibration_curve

from tutorial_utils.evaluation import expected_calibration_error, fit_temperature, mcnemar


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(4000, 5, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]
    return logits, labels  # calibrated by construction


@pytest.mark.parametrize("bins", [1, 5, 10, 15])
def test_ece_is_the_weighted_gap_of_scikit_learns_calibration_curve(batch, bins):
    logits, labels = batch
    p, answer = (3 * logits).softmax(dim=1).max(dim=1)
    correct = (answer == labels).numpy()
    accuracy, confidence = calibration_curve(correct, p.numpy(), n_bins=bins)
    edges = np.linspace(0, 1, bins + 1)
    counts = np.bincount(np.searchsorted(edges[1:-1], p.numpy()), minlength=bins)
    expected = np.sum(counts[counts > 0] / len(p) * np.abs(accuracy - confidence))
    found = expected_calibration_error((3 * logits).softmax(dim=1), labels, bins)
    assert math.isclose(found, expected, rel_tol=1e-12)


def test_ece_by_hand():
    p = torch.tensor([[0.9, 0.1], [0.85, 0.15], [0.4, 0.6], [0.45, 0.55]])
    labels = torch.tensor([0, 1, 1, 1])  # right, wrong; right, right
    # The bin to 0.9 holds both of the first: |0.5 - 0.875|; 0.6 and 0.55 share theirs: |1 - 0.575|.
    expected = 0.5 * 0.375 + 0.5 * 0.425
    assert math.isclose(expected_calibration_error(p.double(), labels), expected, rel_tol=1e-6)


def test_ece_is_zero_for_a_sure_and_right_model_and_one_for_a_sure_and_wrong_one():
    p = torch.eye(3)
    assert expected_calibration_error(p, torch.tensor([0, 1, 2])) == 0
    assert expected_calibration_error(p, torch.tensor([1, 2, 0])) == 1


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_temperature_undoes_a_factor_and_lowers_the_error(batch, factor):
    logits, labels = batch
    temperature = fit_temperature(factor * logits, labels)
    assert math.isclose(temperature, factor * fit_temperature(logits, labels), rel_tol=1e-4)
    assert abs(temperature / factor - 1) < 0.1
    scaled = factor * logits / temperature
    assert expected_calibration_error(scaled.softmax(dim=1), labels) < 0.03


def test_the_gradient_vanishes_at_the_fitted_temperature(batch):
    logits, labels = batch
    temperature = torch.tensor(fit_temperature(3 * logits, labels), requires_grad=True)
    torch.nn.functional.cross_entropy(3 * logits / temperature, labels).backward()
    assert abs(temperature.grad) < 1e-5


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (5, 5), (1, 8), (12, 21), (0, 6)])
def test_mcnemar_is_a_sign_test_on_the_images_that_differ(only_a, only_b):
    a = torch.tensor([1] * only_a + [0] * only_b + [1] * 30 + [0] * 7)
    b = torch.tensor([0] * only_a + [1] * only_b + [1] * 30 + [0] * 7)
    found = mcnemar(a, b)
    assert found[:2] == (only_a, only_b)
    twice = 2 * stats.binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)
    assert math.isclose(found[2], min(1, twice), rel_tol=1e-9)
    assert mcnemar(b, a)[2] == found[2]
