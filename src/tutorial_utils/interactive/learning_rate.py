"""The learning rate: gradient descent with momentum on a loss surface, step by step."""

import math

from tutorial_utils.interactive.base import InteractiveFigure

SURFACES = ("valley", "bowl", "bend", "dips")
SCHEDULES = ("constant", "steps", "cosine", "warm-up, cosine")


class LearningRate(InteractiveFigure):
    """60 steps of SGD on a surface of two weights; rate, momentum, schedule and start to choose.

    The update is that of ``torch.optim.SGD``: ``v = momentum * v + gradient``, then
    ``w = w - rate * v``.

    Args:
        surface: "valley" (curvatures 1 and 15), "bowl" (1 and 1), "bend" or "dips".
        rate: learning rate, between 0.001 and 3.
        momentum: between 0 and 0.98.
        schedule: "constant", "steps" (a tenth every 20), "cosine" or "warm-up, cosine".
    """

    script = "learning_rate.js"
    label = "Interactive figure: learning rate, momentum and schedule"
    title = "One step size for every direction"
    height = 440

    def __init__(
        self,
        surface: str = "valley",
        rate: float = 0.03,
        momentum: float = 0.0,
        schedule: str = "constant",
    ) -> None:
        if surface not in SURFACES or schedule not in SCHEDULES:
            raise ValueError(f"choose a surface of {SURFACES} and a schedule of {SCHEDULES}.")
        if not 0.001 <= rate <= 3 or not 0 <= momentum <= 0.98:
            raise ValueError("choose a rate from 0.001 to 3 and a momentum from 0 to 0.98.")
        self.surface, self.rate = surface, float(rate)
        self.momentum, self.schedule = float(momentum), schedule

    def parameters(self) -> dict:
        """Return surface, rate, momentum and schedule."""
        return {
            "surface": self.surface,
            "rate": self.rate,
            "momentum": self.momentum,
            "schedule": self.schedule,
        }

    def fallback(self) -> str:
        """Return what three rates do in the long valley, from the closed form, as a table."""
        start, curvatures = (-1.8, 0.9), (1, 15)
        rows = ""
        for rate, what in ((0.003, "crawls"), (0.1, "converges"), (0.14, "blows up")):
            # Without momentum a quadratic's steps have a closed form: w_k = (1 - rate * c)^k w_0.
            losses = (
                sum(
                    c / 2 * (w * (1 - rate * c) ** k) ** 2
                    for c, w in zip(curvatures, start, strict=True)
                )
                for k in (0, 10, 30, 60)
            )
            cells = "".join(f"<td>{self._short(loss)}</td>" for loss in losses)
            rows += f"<tr><th scope='row'>{rate:g}</th>{cells}<td>{what}</td></tr>"
        return (
            "<table><caption>Gradient descent on the loss (x² + 15 y²) / 2 from (−1.8, 0.9), "
            "without momentum: the loss after some steps. A rate above 2 / 15 makes it grow."
            "</caption><thead><tr><th>learning rate</th><th>start</th><th>step 10</th>"
            f"<th>step 30</th><th>step 60</th><th>it</th></tr></thead><tbody>{rows}</tbody></table>"
        )

    @staticmethod
    def _short(loss: float) -> str:
        """Three significant digits, at most six decimals, no exponent."""
        digits = 2 - math.floor(math.log10(loss))
        return f"{round(loss, digits):.{min(6, max(0, digits))}f}"
