"""The linear probe: a logistic regression on cached features, whose weights become the head.

The probe minimises the mean cross-entropy plus ``strength / 2`` times the squared weights (not the
biases). Features are centred and divided by one number on the way in, which is folded into the
weights on the way out, so the network with this head gives the probe's logits. One number, not one
a feature: dividing by its own deviation would blow up what hardly ever changes, which scored worse
on photos of clothes and made a head that augmented photos throw off.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from tutorial_utils.models import head, replace_head

STRENGTHS = tuple(10.0**k for k in (0, -0.5, -1, -1.5, -2, -2.5, -3, -3.5, -4))
CHUNK = 8192  # rows in a piece: what is held in memory at once
SMALL = 20_000_000  # up to so many numbers all features are held in memory, in float64


@dataclass(frozen=True)
class Probe:
    """A fitted probe: logits are ``features @ weight.T + bias``."""

    weight: torch.Tensor  # (num_classes, in_features), float32
    bias: torch.Tensor  # (num_classes,)
    strength: float
    path: list[dict]  # each strength tried, with its validation loss and accuracy


def moments(features) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each column's mean and variance, in float64, piece by piece."""
    count, mean, squares = 0, 0.0, 0.0
    for piece in pieces(features):
        piece = piece.double()
        n, m = len(piece), piece.mean(dim=0)
        step = m - mean
        squares = squares + ((piece - m) ** 2).sum(dim=0) + step**2 * (count * n / (count + n))
        count, mean = count + n, mean + step * (n / (count + n))
    return mean, squares / count


def pieces(features, start: int = 0):
    """Yield float32 or float64 tensors of up to ``CHUNK`` rows of an array or tensor."""
    for first in range(start, len(features), CHUNK):
        piece = features[first : first + CHUNK]
        piece = piece if isinstance(piece, torch.Tensor) else torch.from_numpy(np.array(piece))
        yield piece if piece.dtype in (torch.float32, torch.float64) else piece.float()


def fit_logistic(
    features,
    labels: torch.Tensor,
    num_classes: int,
    strength: float,
    start: torch.Tensor | None = None,
    sample_weights: torch.Tensor | None = None,
    with_bias: bool = True,
    dtype: torch.dtype = torch.float64,
    tolerance: float = 1e-5,
) -> torch.Tensor:
    """Fit a multinomial logistic regression with L-BFGS.

    Args:
        features: (N, in_features); an array, memory-mapped or not, or a tensor.
        labels: (N,), integers.
        num_classes: their number.
        strength: of the penalty on the squared weights.
        start: where to begin, such as the result for another strength; zeros if not given.
        sample_weights: (N,), how much each row counts, mean 1; all alike if not given.
        with_bias: fit a constant for each class, which is not penalised.
        dtype: of the sums over the rows.
        tolerance: of the gradient's largest value.

    Returns:
        (num_classes, in_features + 1), the biases in the last column.
    """
    n, width = len(labels), features.shape[1]
    shape = (num_classes, width + 1)
    w = torch.zeros(shape, dtype=torch.float64) if start is None else start.clone().double()
    w.requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [w], max_iter=500, tolerance_grad=tolerance, tolerance_change=1e-13, history_size=20,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> float:
        """Set the gradient by hand, X^T (p - y) / n, and return the loss."""
        current = w.detach()
        gradient, loss, first = torch.zeros_like(current), 0.0, 0
        for x in pieces(features):
            y, rows = labels[first : first + len(x)], slice(first, first + len(x))
            x = x.to(dtype)
            z = torch.addmm(current[:, -1].to(dtype), x, current[:, :-1].to(dtype).T)
            log_p = z.log_softmax(dim=1)
            picked = log_p.gather(1, y[:, None])[:, 0]
            error = log_p.exp()
            error[torch.arange(len(y)), y] -= 1
            if sample_weights is not None:
                picked = picked * sample_weights[rows]
                error *= sample_weights[rows, None].to(dtype)
            loss -= picked.sum().item() / n
            gradient[:, :-1] += (error.T @ x).double() / n
            gradient[:, -1] += error.sum(dim=0).double() / n
            first += len(x)
        gradient[:, :-1] += strength * current[:, :-1]
        if not with_bias:
            gradient[:, -1] = 0
        w.grad = gradient
        return loss + strength / 2 * current[:, :-1].square().sum().item()

    optimizer.step(closure)
    return w.detach()


class Scaled:
    """Features that are centred and divided when they are read, a piece at a time."""

    def __init__(self, features, mean: torch.Tensor, scale: float, dtype: torch.dtype):
        self.features, self.shape, self.dtype = features, features.shape, dtype
        self.mean, self.scale = mean.to(dtype), scale

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: slice) -> torch.Tensor:
        piece = next(pieces(self.features[rows]))
        return (piece.to(self.dtype) - self.mean) / self.scale


def fit_probe(
    features,
    labels: torch.Tensor,
    validation_features,
    validation_labels: torch.Tensor,
    num_classes: int,
    strengths: Sequence[float] = STRENGTHS,
    class_weights: torch.Tensor | None = None,
    with_bias: bool = True,
) -> Probe:
    """Fit probes from strong to weak penalty and keep the one with the least validation loss.

    The search ends after two strengths in a row that were worse than the best.

    Args:
        features: (N, in_features) of the training photos; read in pieces.
        labels: (N,).
        validation_features: the same for the validation photos.
        validation_labels: the same.
        num_classes: their number.
        strengths: of the penalty.
        class_weights: (num_classes,), how much a photo of each class counts.
        with_bias: whether the model's head has biases.
    """
    small = len(labels) * features.shape[1] < SMALL
    dtype = torch.float64 if small else torch.float32
    mean, variance = moments(features)
    if not with_bias:
        mean = torch.zeros_like(mean)
    scale = variance.mean().sqrt().item() or 1.0
    inputs = Scaled(features, mean, scale, dtype)
    if small:
        whole = torch.empty(features.shape, dtype=dtype)
        for first in range(0, len(labels), CHUNK):
            whole[first : first + CHUNK] = inputs[first : first + CHUNK]
        inputs = whole
    weights = None
    if class_weights is not None:
        weights = class_weights.double()[labels]
        weights = weights * (len(weights) / weights.sum())
    best, w, path, worse = None, None, [], 0
    for strength in sorted(strengths, reverse=True):
        w = fit_logistic(inputs, labels, num_classes, strength, w, weights, with_bias, dtype)
        weight = w[:, :-1] / scale
        bias = w[:, -1] - weight @ mean
        probe = Probe(weight.float(), bias.float(), strength, path)
        logits = probe_logits(probe, validation_features)
        row = {
            "strength": strength,
            "loss": nn.functional.cross_entropy(logits, validation_labels).item(),
            "accuracy": (logits.argmax(dim=1) == validation_labels).double().mean().item(),
        }
        path.append(row)
        if best is None or row["loss"] < best[0]:
            best, worse = (row["loss"], probe), 0
        else:
            worse += 1
            if worse == 2:
                break
    return best[1]


def probe_logits(probe: Probe, features) -> torch.Tensor:
    """Return the probe's logits, (N, num_classes)."""
    return torch.cat([x.float() @ probe.weight.T + probe.bias for x in pieces(features)])


def has_linear_head(model: nn.Module) -> bool:
    """Tell whether the model's last layer is a Linear: the only kind that a probe can stand for."""
    return isinstance(head(model), nn.Linear)


@torch.no_grad()
def put_head(model: nn.Module, probe: Probe) -> nn.Module:
    """Give the model the probe as its head, in place; its logits are then the probe's."""
    layer = head(model)
    if layer.out_features != len(probe.weight):
        layer = head(replace_head(model, len(probe.weight)))
    layer.weight.copy_(probe.weight)
    if layer.bias is not None:
        layer.bias.copy_(probe.bias)
    return model
