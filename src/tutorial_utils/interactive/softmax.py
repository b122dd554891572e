"""Softmax and cross-entropy: drag the logits, see probabilities, loss and gradient."""

from collections.abc import Sequence
from html import escape

import numpy as np

from tutorial_utils.interactive.base import InteractiveFigure


class SoftmaxFigure(InteractiveFigure):
    """Logits to drag, a temperature and a true class; e^z, p, the loss and p - y follow.

    Args:
        names: of the classes, 2 to 8.
        logits: one a class, between -5 and 5.
        target: index of the true class.
        temperature: between 0.1 and 10; the logits are divided by it.
    """

    script = "softmax.js"
    label = "Interactive figure: logits, softmax and cross-entropy"
    title = "Push one logit: every probability moves"
    height = 400

    def __init__(
        self,
        names: Sequence[str] = ("cat", "dog", "fox", "owl"),
        logits: Sequence[float] = (2.0, 1.0, 0.0, -1.0),
        target: int = 0,
        temperature: float = 1.0,
    ) -> None:
        if not 2 <= len(names) == len(logits) <= 8 or not 0 <= target < len(names):
            raise ValueError("give 2 to 8 names, as many logits, and a target among them.")
        self.names, self.logits = list(names), [float(x) for x in logits]
        self.target, self.temperature = target, float(temperature)

    def parameters(self) -> dict:
        """Return names, logits, target and temperature."""
        return {
            "names": self.names,
            "logits": self.logits,
            "target": self.target,
            "temperature": self.temperature,
        }

    def fallback(self) -> str:
        """Return the figure's numbers as a table."""
        z = np.array(self.logits) / self.temperature
        p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        y = np.eye(len(z))[self.target]
        rows = "".join(
            f"<tr><th scope='row'>{escape(name)}</th><td>{logit:.1f}</td><td>{share:.3f}</td>"
            f"<td>{slope:.3f}</td></tr>"
            for name, logit, share, slope in zip(
                self.names, self.logits, p, (p - y) / self.temperature + 0.0, strict=True
            )
        )
        return (
            f"<table><caption>Logits, softmax at T = {self.temperature:g}, and the gradient of the "
            f"cross-entropy. True class: {escape(self.names[self.target])}, loss "
            f"{-np.log(p[self.target]):.3f} nats.</caption><thead><tr><th>class</th><th>logit</th>"
            f"<th>probability</th><th>gradient</th></tr></thead><tbody>{rows}</tbody></table>"
        )
