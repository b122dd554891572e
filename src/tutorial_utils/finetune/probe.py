"""The linear probe: a logistic regression on cached features, whose weights become the head.

The probe minimises the mean cross-entropy plus ``l2 / 2`` times the squared weights (not the
biases). Features are centred and divided by one number on the way in, which is folded into the
weights on the way out, so the network with this head gives the probe's logits. One number, not one
for each feature: dividing by its own deviation would blow up what hardly ever changes, which scored
worse on photos of clothes and made a head that augmented photos throw off.

How strong the penalty should be is found by cross-validation; then all photos are used for the fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

from tutorial_utils.errors import PhotosError
from tutorial_utils.evaluation import accuracy
from tutorial_utils.models import head, replace_head
from tutorial_utils.photo_folder.split import stratified_folds

L2 = tuple(10.0**k for k in (1, 0.5, 0, -0.5, -1, -1.5, -2, -2.5, -3, -3.5, -4))
FOLDS = 5
CHUNK = 8192  # rows in a piece: what is held in memory at once
SMALL = 20_000_000  # up to so many numbers all features are held in memory, in float64
ROUGH = 3e-4  # a fit that only ranks penalties: half the steps, the loss differs in its 4th digit
MANY = 20_000  # rows from which one fold of the cross-validation suffices


@dataclass(frozen=True)
class Probe:
    """A fitted probe: logits are ``features @ weight.T + bias``."""

    weight: torch.Tensor  # (num_classes, in_features), float32
    bias: torch.Tensor  # (num_classes,)
    l2: float
    path: list[dict] = field(default_factory=list)  # each l2 tried: its held-out loss and accuracy


def moments(features) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each column's mean and variance, in float64, piece by piece."""
    scaler = StandardScaler()
    for piece in pieces(features):
        scaler.partial_fit(piece.double().numpy())
    return torch.from_numpy(scaler.mean_), torch.from_numpy(scaler.var_)


def pieces(features):
    """Yield float32 or float64 tensors of up to ``CHUNK`` rows of an array or tensor."""
    for first in range(0, len(features), CHUNK):
        piece = features[first : first + CHUNK]
        piece = piece if isinstance(piece, torch.Tensor) else torch.from_numpy(np.array(piece))
        yield piece if piece.dtype in (torch.float32, torch.float64) else piece.float()


def fit_logistic(
    features,
    labels: torch.Tensor,
    num_classes: int,
    l2: float,
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
        l2: strength of the penalty on the squared weights.
        start: where to begin, such as the result for another penalty; zeros if not given.
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
        gradient[:, :-1] += l2 * current[:, :-1]
        if not with_bias:
            gradient[:, -1] = 0
        w.grad = gradient
        return loss + l2 / 2 * current[:, :-1].square().sum().item()

    optimizer.step(closure)
    return w.detach()


class Scaled:
    """Features that are centred and divided when they are read, a piece at a time, in float32."""

    def __init__(self, features, mean: torch.Tensor, scale: float):
        self.features, self.shape = features, features.shape
        self.mean, self.scale = mean.float(), scale

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: slice) -> torch.Tensor:
        return (next(pieces(self.features[rows])).float() - self.mean) / self.scale


def fit_path(
    features,
    labels: torch.Tensor,
    num_classes: int,
    l2: Sequence[float],
    class_weights: torch.Tensor | None = None,
    with_bias: bool = True,
    tolerance: float = 1e-5,
):
    """Yield a probe for each penalty, from strong to weak; each fit starts from the last one.

    Fewer rows than columns are rotated into the rows' own space, in which the fit is the same and
    smaller. Many numbers are read in pieces.
    """
    mean, variance = moments(features)
    if not with_bias:
        mean = torch.zeros_like(mean)
    scale = variance.mean().sqrt().item() or 1.0
    basis, dtype = None, torch.float64
    if len(features) * features.shape[1] > SMALL:
        x, dtype = Scaled(features, mean, scale), torch.float32
    else:
        x = torch.cat([(piece.double() - mean) / scale for piece in pieces(features)])
        if len(x) < x.shape[1]:
            basis = torch.linalg.qr(x.T).Q  # (in_features, N)
            x = x @ basis
    weights, w = None, None
    if class_weights is not None:
        weights = class_weights.double()[labels]
        weights = weights * (len(weights) / weights.sum())
    for value in sorted(l2, reverse=True):
        w = fit_logistic(x, labels, num_classes, value, w, weights, with_bias, dtype, tolerance)
        weight = (w[:, :-1] if basis is None else w[:, :-1] @ basis.T) / scale
        bias = w[:, -1] - weight @ mean
        yield Probe(weight.float(), bias.float(), value)


def fit_probe(
    features,
    labels: torch.Tensor,
    validation_features,
    validation_labels: torch.Tensor,
    num_classes: int,
    l2: Sequence[float] = L2,
    class_weights: torch.Tensor | None = None,
    with_bias: bool = True,
) -> Probe:
    """Fit probes from strong to weak penalty and keep the one with the least validation loss.

    The search ends after two penalties in a row that were worse than the best.

    Args:
        features: (N, in_features) of the training photos; read in pieces.
        labels: (N,).
        validation_features: (M, in_features).
        validation_labels: (M,).
        num_classes: their number.
        l2: penalties to try.
        class_weights: (num_classes,), how much a photo of each class counts.
        with_bias: see ``fit_logistic``.
    """
    best, path, worse = None, [], 0
    for probe in fit_path(features, labels, num_classes, l2, class_weights, with_bias):
        logits = probe_logits(probe, validation_features)
        path.append(_row(probe.l2, logits, validation_labels))
        if best is None or path[-1]["loss"] < best[0]:
            best, worse = (path[-1]["loss"], probe), 0
        else:
            worse += 1
        if worse == 2:
            break
    return Probe(best[1].weight, best[1].bias, best[1].l2, path)


def _row(l2: float, logits: torch.Tensor, labels: torch.Tensor) -> dict:
    loss = nn.functional.cross_entropy(logits, labels).item()
    return {"l2": l2, "loss": loss, "accuracy": accuracy(logits, labels)}


@dataclass(frozen=True)
class CrossValidated:
    """A probe fitted on all photos, and what each photo was called by probes that had not seen it.

    ``logits`` (M, num_classes) are the held-out ones of the photos ``rows`` (M,); ``mirror`` tells
    whether the probe learned from mirrored photos too and is to be asked about both.
    """

    probe: Probe
    logits: torch.Tensor
    rows: torch.Tensor
    mirror: bool
    folds: int


def cross_validate(
    features,
    labels: torch.Tensor,
    groups: np.ndarray,
    num_classes: int,
    mirrored=None,
    l2: Sequence[float] = L2,
    class_weights: torch.Tensor | None = None,
    with_bias: bool = True,
    seed: int = 0,
) -> CrossValidated:
    """Choose the penalty by stratified group k-fold cross-validation, then fit on all photos.

    If features of the mirrored photos are given, a second series of probes learns from both kinds
    and averages their logits; it is taken if its held-out loss is lower by more than one standard
    error of the paired difference.

    Args:
        features: (N, in_features).
        labels: (N,).
        groups: (N,); photos with the same number are held out together.
        num_classes: their number.
        mirrored: (N, in_features) of the same photos, mirrored; or None.
        l2: penalties to try.
        class_weights: (num_classes,), how much a photo of each class counts.
        with_bias: see ``fit_logistic``.
        seed: of the division into folds.

    Raises:
        PhotosError: a class has one photo (or group) only.
    """
    folds = list(stratified_folds(labels.numpy(), groups, FOLDS, seed))
    if len(labels) > MANY:
        folds = folds[:1]
    if not folds:
        raise PhotosError("a class has one photo (or group) only to learn from; add some.")
    rows = torch.cat([torch.from_numpy(np.sort(held)) for _, held in folds])
    options = {"class_weights": class_weights, "with_bias": with_bias}

    def held_out(mirror: bool, grid: Sequence[float]) -> dict[float, torch.Tensor]:
        """Return the held-out logits for each penalty."""
        parts = {value: [] for value in grid}
        for fold, (learned, held) in enumerate(folds):
            held, best, worse = np.sort(held), np.inf, 0
            x, y = _rows(features, learned), labels[learned]
            if mirror:
                x, y = torch.cat([x, _rows(mirrored, learned)]), y.repeat(2)
            for probe in fit_path(x, y, num_classes, grid, **options, tolerance=ROUGH):
                logits = probe_logits(probe, _rows(features, held))
                if mirror:
                    logits = (logits + probe_logits(probe, _rows(mirrored, held))) / 2
                parts[probe.l2].append(logits)
                if fold == 0:  # later folds try no weaker penalties than the first found sensible
                    loss = nn.functional.cross_entropy(logits, labels[held]).item()
                    best, worse = min(best, loss), 0 if loss < best else worse + 1
                    if worse == 3:
                        break
            if fold == 0:
                parts = {value: found for value, found in parts.items() if found}
                grid = list(parts)
        return {value: torch.cat(found) for value, found in parts.items()}

    truth = labels[rows]

    def loss_of(logits: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(logits, truth, reduction="none")

    plain = held_out(False, sorted(l2, reverse=True))
    best = min(plain, key=lambda value: loss_of(plain[value]).mean())
    logits, mirror = plain[best], False
    path = [_row(value, found, truth) for value, found in plain.items()]
    if mirrored is not None:
        near = sorted(l2, key=lambda value: abs(np.log(value / best)))[:3]
        both = held_out(True, sorted(near, reverse=True))
        value = min(both, key=lambda v: loss_of(both[v]).mean())
        gain = loss_of(logits) - loss_of(both[value])
        if gain.mean() > gain.std() / len(gain) ** 0.5:
            best, logits, mirror = value, both[value], True
    x, y = features, labels
    if mirror:
        x, y = torch.cat([*pieces(features), *pieces(mirrored)]), labels.repeat(2)
    *_, fitted = fit_path(x, y, num_classes, [v for v in l2 if v >= best] or [best], **options)
    probe = Probe(fitted.weight, fitted.bias, best, path)
    return CrossValidated(probe, logits, rows, mirror, len(folds))


def _rows(features, rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(features[np.asarray(rows)])).float()


def learning_curve(
    features, labels: torch.Tensor, groups: np.ndarray, num_classes: int, l2: float, seed: int = 0
) -> list[dict]:
    """Return the accuracy on held-out photos after learning from 25, 50 and 100 % of the rest.

    The advice in the report about "more photos" rests on it.
    """
    folds = list(stratified_folds(labels.numpy(), groups, FOLDS, seed))
    if not folds or len(labels) > MANY:
        return []
    draw, rows = np.random.default_rng(seed), []
    for share in (0.25, 0.5, 1.0):
        right = photos = used = 0
        for learned, held in folds[:3]:
            kept = []
            for c in range(num_classes):  # the same share of each class, one photo at least
                of_class = draw.permutation(learned[labels.numpy()[learned] == c])
                kept += of_class[: max(1, round(share * len(of_class)))].tolist()
            *_, probe = fit_path(
                _rows(features, kept), labels[kept], num_classes, [l2], tolerance=ROUGH
            )
            answer = probe_logits(probe, _rows(features, held)).argmax(dim=1)
            right, photos = right + int((answer == labels[held]).sum()), photos + len(held)
            used += len(kept)
        rows.append({"photos": used // len(folds[:3]), "accuracy": right / photos})
    return rows


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
