"""The model chooser: torchvision's checkpoints by accuracy and cost, and the best in a budget."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import takewhile

from tutorial_utils.interactive.base import InteractiveFigure
from tutorial_utils.results import load_results

# family -> how its models' names begin
FAMILIES = {
    "AlexNet, VGG": ("alexnet", "vgg"),
    "ResNet, ResNeXt": ("resnet", "resnext", "wide"),
    "DenseNet, Inception": ("densenet", "googlenet", "inception"),
    "mobile nets": ("mobilenet", "mnasnet", "shufflenet", "squeezenet"),
    "RegNet": ("regnet",),
    "EfficientNet": ("efficientnet",),
    "ConvNeXt": ("convnext",),
    "ViT, Swin, MaxViT": ("vit", "swin", "maxvit"),
}
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
    """

    script = "model_chooser.js"
    label = "Interactive figure: model chooser"
    height = 600

    def __init__(self, checkpoints: Sequence[Mapping] | None = None) -> None:
        if checkpoints is None:
            checkpoints = load_results("checkpoints")["checkpoints"]
        if len(checkpoints) < 2:
            raise ValueError("give at least two checkpoints.")
        self.rows = []  # [name, weights, top-1, GMACs, million parameters, MB, family]
        for row in checkpoints:
            families = [f for f, starts in FAMILIES.items() if row["name"].startswith(starts)]
            if not families:
                raise ValueError(f"{row['name']!r} belongs to none of {', '.join(FAMILIES)}.")
            weights = row["weights"].removeprefix(PREFIX)
            figures = (row["top1"], row["gmacs"], row["parameters"] / 1e6, row["megabytes"])
            short = [float(f"{figure:.4g}") for figure in figures]  # four digits
            self.rows.append([row["name"], SHORT.get(weights, weights), *short, families[0]])
        if min(min(row[2:6]) for row in self.rows) <= 0:
            raise ValueError("accuracies and costs must be above 0: the axes are logarithmic.")

    def parameters(self) -> dict:
        """Return each family's rows as one string: "name,weights,...;name,weights,...".

        What repeats the row before is left out: a whole value, or the first characters of a name,
        whose number (base 36) comes first.
        """
        families = {}
        for *values, family in self.rows:
            texts = values[:2] + [f"{v:g}".removeprefix("0") for v in values[2:]]
            lines, before = families.setdefault(family, ([], [""] * 6))
            pairs = takewhile(
                lambda pair: pair[0] == pair[1], zip(texts[0], before[0], strict=False)
            )
            shared = len(list(pairs))
            new = ["" if t == old else t for t, old in zip(texts, before, strict=True)]
            if new[0]:
                new[0] = "0123456789abcdefghijklmnopqrstuvwxyz"[shared] + new[0][shared:]
            lines.append(",".join(new))
            before[:] = texts
        return {family: ";".join(lines) for family, (lines, _) in families.items()}

    def fallback(self) -> str:
        """Return the Pareto front of accuracy against GMACs as a table."""
        rows = "".join(
            f"<tr><td>{escape(name)} {escape(weights)}<td>{top1:.1f}"
            f"<td>{gmacs:.{0 if gmacs > 99 else 2}f}<td>{millions:.1f}"
            for name, weights, top1, gmacs, millions, *_ in pareto_front(self.rows, 3)
        )
        return (
            f"<table><caption>Of {len(self.rows)} checkpoints, those that no cheaper one beats."
            "</caption><thead><tr><th>checkpoint<th>top-1 (%)<th>GMACs<th>parameters (M)"
            f"<tbody>{rows}</table>"
        )
