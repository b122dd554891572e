"""The five likeliest classes of four photos, and what a temperature makes of them."""

from html import escape

import numpy as np

from tutorial_utils.interactive.base import InteractiveFigure, file_uri
from tutorial_utils.interactive.inside_network import PHOTOS, PICTURES
from tutorial_utils.results import load_results


def shares(photo: dict, temperature: float) -> list[float]:
    """Return the probabilities of a stored photo's five likeliest classes, and of all others."""
    top = np.array([logit for _, logit in photo["top"]]) / temperature
    rest = np.array(photo["rest"])
    top, rest = np.exp(top - top[0]), rest[:, 1] * np.exp(rest[:, 0] / temperature - top[0])
    total = top.sum() + rest.sum()
    return [*(top / total).tolist(), float(rest.sum() / total)]


class TopFive(InteractiveFigure):
    """MobileNetV2's five likeliest classes for a photo, at a temperature that the reader sets.

    Args:
        photo: the photo that is shown first, a key of ``inside_network.PHOTOS``.
        temperature: between 0.25 and 4; the logits are divided by it.
    """

    script = "top_five.js"
    label = "Interactive figure: five likeliest classes"
    title = "What does the network see?"
    height = 430

    def __init__(self, photo: str = "chelsea", temperature: float = 1.0) -> None:
        if photo not in PHOTOS:
            raise ValueError(f"no logits of photo {photo!r}; choose one of {', '.join(PHOTOS)}.")
        if not 0.25 <= temperature <= 4:
            raise ValueError(f"choose a temperature from 0.25 to 4, not {temperature}.")
        self.photo, self.temperature = list(PHOTOS).index(photo), float(temperature)

    def parameters(self) -> dict:
        """Return the photos' names, their logits, and what is shown first."""
        stored = load_results("top_five")["photos"]
        return {
            "names": list(PHOTOS.values()),
            "photos": [stored[name] for name in PHOTOS],
            "photo": self.photo,
            "temperature": self.temperature,
        }

    def fallback(self) -> str:
        """Return the photos and the likeliest classes of each as a table."""
        stored, rows = load_results("top_five")["photos"], ""
        for key, name in PHOTOS.items():
            found = zip(stored[key]["top"][:3], shares(stored[key], 1.0)[:3], strict=True)
            cells = "".join(f"<td>{escape(label)} {p:.2f}</td>" for (label, _), p in found)
            rows += f"<tr><th scope='row'>{escape(name)}</th>{cells}</tr>"
        return (
            f'<img alt="Four photos: {", ".join(PHOTOS.values())}." style="max-width:100%" '
            f'src="{file_uri(PICTURES)}"><table><caption>The three likeliest of ImageNet\'s 1,000 '
            f"classes by MobileNetV2, with their probabilities.</caption><tbody>{rows}</tbody>"
            "</table>"
        )
