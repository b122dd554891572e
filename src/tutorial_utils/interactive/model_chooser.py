"""The model chooser: torchvision's checkpoints by accuracy and cost, and the best in a budget."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import takewhile

from tutorial_utils.interactive.base import InteractiveFigure
from tutorial_utils.plotting import FAMILY_COLORS, family_of
from tutorial_utils.results import load_results

MEGABYTES = (10, 25, 50, 125, 250)
GMACS = (0.3, 0.6, 2, 5, 20)
SCENARIOS = (  # name, megabytes, GMACs
    ("phone: 25 MB, 0.6 GMACs", 25, 0.6),
    ("laptop: 125 MB, 5 GMACs", 125, 5),
    ("server: any", float("inf"), float("inf")),
)
PREFIX = "IMAGENET1K_"
SHORT = {"SWAG_E2E_V1": "SWAG", "SWAG_LINEAR_V1": "SWAG linear"}


def pareto_front(rows: Sequence[Sequence], cost: int, gain: int = 2) -> list[Sequence]:
    """Return the rows that no row of at most their cost beats, cheapest first, one of equals."""
    front, record = [], float("-inf")
    for row in sorted(rows, key=lambda row: (row[cost], -row[gain])):
        if row[gain] > record:
            front.append(row)
            record = row[gain]
    return front


class ModelChooser(InteractiveFigure):
    """Checkpoints to choose from by top-1 accuracy, GMACs, parameters and file size.

    Args:
        checkpoints: dictionaries with ``name``, ``weights``, ``top1`` (percent), ``gmacs``,
            ``parameters`` and ``megabytes``; by default those of ``benchmarks/checkpoints.py``.
        megabytes: the largest file that fits at first, one of ``MEGABYTES``, or None for any.
        gmacs: the most work for one image that fits at first, one of ``GMACS``, or None.
    """

    script = "model_chooser.js"
    label = "Interactive figure: model chooser"
    title = "Which model fits your machine?"
    height = 560

    def __init__(
        self,
        checkpoints: Sequence[Mapping] | None = None,
        megabytes: float | None = 125,
        gmacs: float | None = 5,
    ) -> None:
        if checkpoints is None:
            checkpoints = load_results("checkpoints")["checkpoints"]
        if megabytes not in (None, *MEGABYTES) or gmacs not in (None, *GMACS):
            raise ValueError(f"choose megabytes of {MEGABYTES} and gmacs of {GMACS}, or None.")
        self.megabytes, self.gmacs = megabytes, gmacs
        if len(checkpoints) < 2:
            raise ValueError("give at least two checkpoints.")
        self.rows = []  # [name, weights, top-1, GMACs, million parameters, MB, family]
        for row in checkpoints:
            weights = row["weights"].removeprefix(PREFIX)
            figures = (row["top1"], row["gmacs"], row["parameters"] / 1e6, row["megabytes"])
            short = [float(f"{figure:.4g}") for figure in figures]  # four digits
            self.rows.append(
                [row["name"], SHORT.get(weights, weights), *short, family_of(row["name"])]
            )
        if min(min(row[2:6]) for row in self.rows) <= 0:
            raise ValueError("accuracies and costs must be above 0: the axes are logarithmic.")

    def parameters(self) -> dict:
        """Return each family's rows as one string ("name,weights,...;name,...") and its colour.

        What repeats the row before is left out: a whole value, or the first characters of a name,
        whose number (base 36) comes first.
        """
        families = {name: ([], [""] * 6) for name in FAMILY_COLORS}
        for *values, family in self.rows:
            texts = values[:2] + [f"{v:g}".removeprefix("0") for v in values[2:]]
            lines, before = families[family]
            pairs = takewhile(
                lambda pair: pair[0] == pair[1], zip(texts[0], before[0], strict=False)
            )
            shared = len(list(pairs))
            new = ["" if t == old else t for t, old in zip(texts, before, strict=True)]
            if new[0]:
                new[0] = "0123456789abcdefghijklmnopqrstuvwxyz"[shared] + new[0][shared:]
            lines.append(",".join(new))
            before[:] = texts
        return {
            "rows": {family: ";".join(lines) for family, (lines, _) in families.items() if lines},
            "colors": [FAMILY_COLORS[family] for family, (lines, _) in families.items() if lines],
            "mb": self.megabytes or "",
            "gmacs": self.gmacs or "",
        }

    def fallback(self) -> str:
        """Return the most accurate checkpoint within three budgets as a table."""
        rows = ""
        for where, most, work in SCENARIOS:
            fit = [row for row in self.rows if row[5] <= most and row[3] <= work]
            if fit:
                name, weights, top1, gmacs, millions, size, _ = pareto_front(fit, 3)[-1]
                rows += (
                    f"<tr><td>{where}<td>{escape(name)} {escape(weights)}<td>{top1:.1f}"
                    f"<td>{gmacs:.{0 if gmacs > 99 else 2}f}<td>{millions:.1f}<td>{size:.0f}"
                )
        return (
            f"<table><caption>The most accurate of {len(self.rows)} checkpoints within a budget."
            "</caption><thead><tr><th>budget<th>checkpoint<th>top-1 (%)<th>GMACs"
            f"<th>parameters (M)<th>MB<tbody>{rows}</table>"
        )
