"""Live controls where a kernel runs, and a still picture of them everywhere else."""

import io
from collections.abc import Callable

import ipywidgets as widgets
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
NOTE = "A still. It is live when you run the notebook, on Colab or your own machine."


class Playground:
    """A figure redrawn by sliders and menus, as ``ipywidgets.interactive`` makes them.

    A live notebook shows the controls. The book's pages, GitHub and whoever has no kernel show the
    picture of the first settings, with a line that says so.

    Args:
        draw: takes one keyword argument a control and returns a matplotlib figure.
        controls: widgets, or the abbreviations of ``ipywidgets.interact``: a list makes a menu,
            ``(low, high)`` or ``(low, high, step)`` a slider, which starts at the default value
            of ``draw``'s argument, or in its middle.
    """

    def __init__(self, draw: Callable[..., Figure], **controls) -> None:
        self.draw = draw
        # `interactive` turns the abbreviations into widgets; "manual" leaves the drawing to us.
        self.controls = widgets.interactive(draw, {"manual": True}, **controls).kwargs_widgets
        self.picture = widgets.Image(format="png")
        for control in self.controls:
            # A long drag redraws once, at its end.
            if hasattr(control, "continuous_update"):
                control.continuous_update = False
            control.style.description_width = "initial"
            control.observe(self._redraw, names="value")
        self.widget = widgets.VBox([*self.controls, self.picture])

    def values(self) -> dict:
        """Return the controls' present values by name."""
        return {control._kwarg: control.value for control in self.controls}

    def png(self, note: str = "") -> bytes:
        """Return the figure at the present values as a PNG, with a note under it."""
        with plt.ioff():
            figure = self.draw(**self.values())
        if note:
            figure.text(0, -0.02, note, va="top", fontsize=8)
        data = io.BytesIO()
        figure.savefig(data, format="png", bbox_inches="tight")
        plt.close(figure)
        return data.getvalue()

    def _redraw(self, change=None) -> None:
        self.picture.value = self.png()

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        self._redraw()
        live = self.widget._repr_mimebundle_() or {}
        settings = ", ".join(f"{k.replace('_', ' ')}: {v}" for k, v in self.values().items())
        still = self.png(f"{settings}\n{NOTE}")
        bundle = {"text/plain": repr(self), "image/png": still}
        return bundle | {key: live[key] for key in (WIDGET_VIEW,) if key in live}

    def __repr__(self) -> str:
        return f"Playground({', '.join(self.values())})"
