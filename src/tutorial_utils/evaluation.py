"""How good is it, and how sure are we: accuracy, and intervals over images and over seeds."""

import math
from collections.abc import Sequence

import torch
from scipy import stats


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
    z = float(stats.norm.ppf(0.5 + level / 2))
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
    values = torch.as_tensor(values, dtype=torch.float64)
    mean, n = values.mean().item(), len(values)
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * values.std().item() / math.sqrt(n)
    return mean, mean - half, mean + half
