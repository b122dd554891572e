"""Grids of numbers, the one figure style for the arithmetic of windows (convolution, pooling)."""

from collections.abc import Iterable, Sequence
from itertools import cycle

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from tutorial_utils.plotting import COLORS, INK


def cell_text(value: object) -> str:
    """Write one cell: strings as they are, whole numbers without a point, others to 2 digits."""
    if isinstance(value, str):
        return value
    number = round(float(value), 2) + 0.0  # + 0.0 turns -0.0 into 0.0
    return f"{number:.10g}".replace("-", "\N{MINUS SIGN}")


def draw_grid(
    axis: Axes,
    values: np.ndarray | torch.Tensor | Sequence[Sequence[object]],
    at: tuple[float, float] = (0, 0),
    *,
    windows: Sequence[tuple[int, int, int, int]] = (),
    tinted: Iterable[tuple[int, int]] = (),
    colors: Sequence[str] = COLORS,
    padding: int = 0,
    title: str | None = None,
    fontsize: float = 11,
) -> tuple[float, float]:
    """Draw a matrix as a grid of unit squares with its values written in them.

    Several grids may share one axis: put each one somewhere else with ``at``. The axis is set up
    on the way (equal units, rows growing downwards, no ticks), and its limits grow with each grid.
    Cells are counted as in the array, from 0; those of the padding have negative indices or lie
    past the end.

    Args:
        axis: where to draw.
        values: (rows, columns): numbers, or strings that are written as they are ("" for none).
        at: x and y of the upper left corner of cell (0, 0), in cells.
        windows: framed and tinted blocks (row, column, height, width), one colour each, in turn.
        tinted: single cells (row, column) that get the first colour, without a frame.
        colors: the colours of the windows; the first one is that of the tinted cells too.
        padding: rings of zeros around the matrix, drawn dashed.
        title: a line above the grid.
        fontsize: of the values, in points.

    Returns:
        The x of the grid's right edge and the y of its middle row, padding included: where an
        operator, an arrow or the next grid can go.

    Raises:
        ValueError: ``values`` is not a matrix.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    values = np.asarray(values)
    if values.ndim != 2:
        raise ValueError(f"draw_grid draws a matrix; this array has shape {values.shape}.")
    rows, columns = values.shape
    left, top = at
    tints = {cell: colors[0] for cell in tinted}
    for (row, column, height, width), color in zip(windows, cycle(colors), strict=False):
        tints |= {
            (i, j): color for i in range(row, row + height) for j in range(column, column + width)
        }

    for i in range(-padding, rows + padding):
        for j in range(-padding, columns + padding):
            inside = 0 <= i < rows and 0 <= j < columns
            # Pale and solid, with black numbers: read on a light and on a dark ground.
            tint = (i, j) in tints and [0.75 + 0.25 * part for part in to_rgb(tints[i, j])]
            line = {} if inside else {"linestyle": (0, (2, 2))}
            axis.add_patch(
                Rectangle((left + j, top + i), 1, 1, fc=tint or "none", edgecolor="#8c8c8c", **line)
            )
            axis.text(
                left + j + 0.5,
                top + i + 0.5,
                cell_text(values[i, j]) if inside else "0",
                ha="center",
                va="center",
                fontsize=fontsize,
                color="black" if tint else INK,
            )
    for (row, column, height, width), color in zip(windows, cycle(colors), strict=False):
        axis.add_patch(
            Rectangle(
                (left + column, top + row),
                width,
                height,
                fill=False,
                edgecolor=color,
                linewidth=2.5,
                zorder=3,
            )
        )
    if title:
        axis.text(
            left + columns / 2,
            top - padding - 0.25,
            title,
            ha="center",
            va="bottom",
            fontsize=fontsize,
        )
    axis.set_aspect("equal")
    axis.set_axis_off()
    axis.autoscale_view()
    if not axis.yaxis_inverted():
        axis.invert_yaxis()
    return left + columns + padding, top + rows / 2
