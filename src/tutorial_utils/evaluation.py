"""How good is it, and how sure are we? Taught in ``evaluation``; two models in ``comparing``."""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

import torch

# scipy is imported where it is used: that takes half a second, which a command need not wait for.


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of images whose largest logit is the label's, 0 to 1.

    Args:
        logits: shape (N, num_classes).
        labels: shape (N,), integers.

    Raises:
        ValueError: the shapes do not fit or there are no images.
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or len(labels) == 0:
        raise ValueError(
            f"expected logits (N, num_classes) and labels (N,), N > 0; got {tuple(logits.shape)} "
            f"and {tuple(labels.shape)}."
        )
    return (logits.argmax(dim=1) == labels).double().mean().item()


def wilson_interval(correct: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval for a share, such as an accuracy on ``total`` test images.

    Unlike the normal interval it stays inside [0, 1] and works for few images and for shares near
    0 or 1 (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    Raises:
        ValueError: not ``0 <= correct <= total`` with ``total > 0``.
    """
    if not 0 <= correct <= total or total == 0:
        raise ValueError(f"expected 0 <= correct <= total and total > 0, got {correct} of {total}.")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share = correct / total
    scale = 1 + z**2 / total
    centre = (share + z**2 / (2 * total)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    # The ends are exactly 0 and 1 there; rounding would leave them a hair off.
    low = 0.0 if correct == 0 else centre - half
    high = 1.0 if correct == total else centre + half
    return low, high


def mean_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Return mean, low and high of Student's t interval for the mean of repeated runs.

    Args:
        values: one result a seed, at least two.
        level: the share of such intervals that hold the true mean, if runs scatter normally.

    Raises:
        ValueError: fewer than two values.
    """
    if len(values) < 2:
        raise ValueError("an interval needs at least two runs.")
    from scipy import stats

    values = [float(value) for value in values]
    mean, n = fmean(values), len(values)  # rounded once: the same number on every machine
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * stdev(values) / math.sqrt(n)
    return mean, mean - half, mean + half


def expected_calibration_error(
    probabilities: torch.Tensor, labels: torch.Tensor, bins: int = 10
) -> float:
    """Return the expected calibration error (ECE) of the most probable class, 0 to 1.

    The images are put into bins of equal width by their largest probability; the ECE is the mean
    over the images of the gap between their bin's accuracy and its mean probability (Naeini et al.
    2015; Guo et al. 2017). It depends on the number of bins, and is above 0 for few images even
    where the probabilities are right.

    Args:
        probabilities: shape (N, num_classes), rows that sum to 1 (softmax of the logits).
        labels: shape (N,), integers.
        bins: their number.
    """
    confidence, answer = probabilities.double().max(dim=1)
    correct = (answer == labels).double()
    inner = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=confidence.device)[1:-1]
    index = torch.bucketize(confidence, inner)  # a bin holds its upper edge
    gaps = torch.zeros(bins, dtype=torch.float64, device=confidence.device)
    gaps.index_add_(0, index, correct - confidence)
    return (gaps.abs().sum() / len(labels)).item()


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the temperature T, 0.01 to 100, at which logits / T have the least cross-entropy.

    Fit it on validation images, never on the test set. It changes no predicted class.

    Args:
        logits: shape (N, num_classes).
        labels: shape (N,), integers.
    """
    from scipy import optimize

    logits = logits.double()

    def loss(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        return torch.nn.functional.cross_entropy(scaled, labels).item()

    bounds = (math.log(0.01), math.log(100))
    found = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-7})
    return math.exp(found.x)


def mcnemar(correct_a: torch.Tensor, correct_b: torch.Tensor) -> tuple[int, int, float]:
    """Compare two models on the same test images by McNemar's exact test.

    Args:
        correct_a: shape (N,), True where model A is right.
        correct_b: the same for model B.

    Returns:
        The number of images that only A gets right, the number that only B gets right, and the
        two-sided p-value: how probable so uneven a split is if both are equally often right.
    """
    correct_a, correct_b = correct_a.bool(), correct_b.bool()
    only_a = int((correct_a & ~correct_b).sum())
    only_b = int((correct_b & ~correct_a).sum())
    if only_a + only_b == 0:
        return 0, 0, 1.0
    from scipy import stats

    return only_a, only_b, float(stats.binomtest(only_a, only_a + only_b).pvalue)
