"""Five regimes and images per class: the measured accuracy with its interval."""

from html import escape

from tutorial_utils.evaluation import mean_interval
from tutorial_utils.interactive.base import InteractiveFigure
from tutorial_utils.plotting import METHOD_COLORS
from tutorial_utils.results import load_results

# name here and in METHOD_COLORS -> name in the results
REGIMES = {
    "scratch": "scratch",
    "frozen": "frozen",
    "head then full": "head, then full",
    "full": "full",
    "discriminative": "discriminative rates",
}


def measured() -> dict[str, dict[int, list[float]]]:
    """Return regime -> images per class -> accuracy of each seed.

    All regimes have been trained on 40 images per class (benchmarks/five_regimes.py). With fewer
    there is a logistic regression on the frozen features (benchmarks/pretraining_gain.py).
    """
    forty, few = load_results("five_regimes"), load_results("pretraining_gain")
    images = forty["setting"]["counts"]["train"]
    found = {name: {images: forty["regimes"][key]["comparison"]} for name, key in REGIMES.items()}
    points = few["accuracy_by_images_a_class"]["ImageNet weights, 96 px"]
    fewer = {int(count): tests for count, tests in points.items()}
    found["frozen"] = {**fewer, **found["frozen"]}
    return found


class RegimeExplorer(InteractiveFigure):
    """Choose a regime and how many images per class it gets: its measured accuracy.

    Args:
        regime: the one that is shown first, a key of ``REGIMES``.
        images: images per class at first; only the frozen regime has been measured
            with fewer than 40.
    """

    script = "regimes.js"
    label = "Interactive figure: five regimes by images per class"
    title = "How far do your labels go?"
    height = 470

    def __init__(self, regime: str = "frozen", images: int = 40) -> None:
        if regime not in REGIMES:
            raise ValueError(f"no regime {regime!r}; choose one of {', '.join(REGIMES)}.")
        if images not in measured()[regime]:
            raise ValueError(f"nothing was measured with {images} images per class.")
        self.regime, self.images = regime, images

    def parameters(self) -> dict:
        """Return every regime's colour and points: images, seeds' accuracies, mean and interval."""
        found = {
            name: [
                [images, tests, *(round(v, 6) for v in mean_interval(tests))]
                for images, tests in points.items()
            ]
            for name, points in measured().items()
        }
        return {
            "points": found,
            "colors": METHOD_COLORS,
            "regime": self.regime,
            "images": self.images,
        }

    def fallback(self) -> str:
        """Return all measured accuracies as a table."""
        rows = "".join(
            f"<tr><th scope='row'>{escape(name)}</th><td>{images}</td><td>{mean:.3f}</td>"
            f"<td>{low:.3f} to {high:.3f}</td><td>{len(tests)}</td></tr>"
            for name, points in self.parameters()["points"].items()
            for images, tests, mean, low, high in points
        )
        return (
            "<table><caption>MobileNetV2 on eight classes of rendered solids: share that is right "
            "of 320 images which chose nothing, with the 95 % t interval over seeds. With fewer "
            "than 40 images per class: a logistic regression on the frozen features.</caption>"
            "<thead><tr>"
            "<th>regime</th><th>images per class</th><th>accuracy</th><th>interval</th>"
            f"<th>seeds</th></tr></thead><tbody>{rows}</tbody></table>"
        )
