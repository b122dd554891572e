"""Threshold and metrics: two classes of images, a threshold to drag, and all that follows."""

import math
from itertools import pairwise
from statistics import NormalDist

from tutorial_utils.interactive.base import InteractiveFigure

STEP = 0.1  # log-odds lie in bins this wide; thresholds and shifts are whole numbers of bins
IMAGES = 100_000
BINS = 33  # on either side of the middle of a class
FARTHEST = 55  # the threshold lies between - and + this many bins


def half_counts() -> list[int]:
    """Return how many of a class's 1,000 images lie in each bin above its middle: a normal."""
    below = [round(1000 * NormalDist().cdf(k * STEP)) for k in range(BINS + 1)]
    return [high - low for low, high in pairwise(below)]


def metrics(tp: int, fp: int, fn: int, tn: int) -> dict[str, float]:
    """Return the rates of a 2 x 2 confusion matrix; 0 / 0 counts as 0, as in scikit-learn."""

    def share(part: int, whole: int) -> float:
        return part / whole if whole else 0.0

    return {
        "recall": share(tp, tp + fn),
        "false positive rate": share(fp, fp + tn),
        "precision": share(tp, tp + fp),
        "F1": share(2 * tp, 2 * tp + fp + fn),
        "accuracy": share(tp + tn, tp + fp + fn + tn),
    }


class ThresholdMetrics(InteractiveFigure):
    """Predicted probabilities of two classes, a threshold, and the metrics that it makes.

    The log-odds of either class are normal with standard deviation 1, in bins of 0.1.

    Args:
        separation: between the two classes' mean log-odds, 0 to 4 in steps of 0.2.
        positives: percent of the 100,000 images that are positive, a whole number from 1 to 99.
        threshold: images with this probability or more are called positive, 0.005 to 0.995; it
            is moved to the nearest bin.
    """

    script = "threshold.js"
    label = "Interactive figure: threshold, confusion matrix and curves"
    title = "Move the threshold: all else follows"
    height = 520

    def __init__(
        self, separation: float = 2.0, positives: int = 20, threshold: float = 0.5
    ) -> None:
        if not 0 <= separation <= 4 or abs(separation * 5 - round(separation * 5)) > 1e-9:
            raise ValueError(f"separation must be 0, 0.2, ... or 4, is {separation}.")
        if not 1 <= positives <= 99 or positives != int(positives):
            raise ValueError(f"positives must be a whole percentage from 1 to 99, is {positives}.")
        if not 0.005 <= threshold <= 0.995:
            raise ValueError(f"threshold must lie between 0.005 and 0.995, is {threshold}.")
        self.shift = round(separation / 2 / STEP)  # bins that each class lies from the middle
        self.positives = int(positives)
        self.threshold = round(math.log(threshold / (1 - threshold)) / STEP)

    def parameters(self) -> dict:
        """Return the state in bins and percent, and the counts of a class, from its middle up."""
        return {
            "shift": self.shift,
            "positives": self.positives,
            "threshold": self.threshold,
            "counts": half_counts(),
        }

    def matrix(self, positives: int) -> dict[str, int]:
        """Return the confusion matrix of 100,000 images at a percentage of positives."""

        def called(middle: int) -> int:  # of 1,000 images
            counts = enumerate(half_counts()[::-1] + half_counts(), start=middle - BINS)
            return sum(count for k, count in counts if k >= self.threshold)

        hits, alarms = called(self.shift), called(-self.shift)
        return {
            "tp": positives * hits,
            "fp": (100 - positives) * alarms,
            "fn": positives * (1000 - hits),
            "tn": (100 - positives) * (1000 - alarms),
        }

    def fallback(self) -> str:
        """Return the confusion matrix, and the metrics at several class balances."""
        m = self.matrix(self.positives)
        threshold = 1 / (1 + math.exp(-self.threshold * STEP))
        balances = sorted({self.positives, 50, 1}, reverse=True)
        table = {p: metrics(**self.matrix(p)) for p in balances}
        heads = "".join(f"<th>{name}</th>" for name in metrics(**m))
        rows = "".join(
            f"<tr><th scope='row'>{p} %</th>"
            + "".join(f"<td>{value:.3f}</td>" for value in values.values())
            + "</tr>"
            for p, values in table.items()
        )
        return (
            f"<table><caption>{IMAGES:,} images, {self.positives} % of them positive; mean "
            f"log-odds {self.shift * 2 * STEP:.1f} apart, threshold {threshold:.2f}."
            "</caption><thead><tr><td></td><th>called positive</th><th>called negative</th></tr>"
            f"</thead><tbody><tr><th scope='row'>positive</th><td>{m['tp']:,}</td>"
            f"<td>{m['fn']:,}</td></tr><tr><th scope='row'>negative</th><td>{m['fp']:,}</td>"
            f"<td>{m['tn']:,}</td></tr></tbody></table>"
            "<table><caption>The same at other shares of positives: "
            "precision changes.</caption><thead><tr>"
            f"<th>positives</th>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        )
