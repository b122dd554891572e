"""The convolution explorer: point at an output value and see the sum that makes it."""

from collections.abc import Mapping, Sequence

import numpy as np

from tutorial_utils.interactive.base import InteractiveFigure

KERNELS = {
    "edge, left to right": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "edge, top to bottom": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "sum": [[1, 1, 1], [1, 1, 1], [1, 1, 1]],
    "shift": [[0, 0, 0], [0, 0, 1], [0, 0, 0]],
    "2 × 2": [[1, 2], [0, -1]],
}


class ConvolutionExplorer(InteractiveFigure):
    """A small input and kernel to edit, with stride, padding, dilation and the kernel's direction.

    Args:
        input: rows of whole numbers between -9 and 9, 3 to 8 rows and columns.
        kernels: name -> rows of weights; the first is shown first.
        title: what to look for, in place of the usual title.
        simple: leave out the menus for stride, padding and the like.
        columns: show im2col's matrix too, a column for each window.
        stride, padding, dilation: the setting in which it opens.
        at: the output, row and column, whose window is marked at first.
    """

    script = "convolution.js"
    label = "Interactive figure: convolution explorer"
    title = "Each output is one sum"

    def __init__(
        self,
        input: Sequence[Sequence[int]] | None = None,
        kernels: Mapping[str, Sequence[Sequence[int]]] = KERNELS,
        *,
        title: str = "Each output is one sum",
        simple: bool = False,
        columns: bool = False,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        at: tuple[int, int] = (1, 1),
    ) -> None:
        if input is None:
            input = [[0, 0, 1, 2, 2, 2], [0, 1, 2, 3, 2, 1], [1, 2, 3, 3, 1, 0]]
            input = [*input, [1, 3, 3, 2, 0, 0], [2, 3, 1, 0, 0, 1], [2, 2, 0, 0, 1, 2]]
        self.input = np.array(input, dtype=int)
        if self.input.ndim != 2 or not all(3 <= side <= 8 for side in self.input.shape):
            raise ValueError(f"the input must have 3 to 8 rows and columns, is {self.input.shape}.")
        self.kernels = {name: np.array(w, dtype=int).tolist() for name, w in kernels.items()}
        self.title, self.simple, self.columns = title, simple, columns
        self.start = {"stride": stride, "padding": padding, "dilation": dilation, "at": list(at)}
        self.height = 300 if simple else 460

    def parameters(self) -> dict:
        """Return the input and the kernels as lists of rows, and how the figure opens."""
        how = {"simple": self.simple, "columns": self.columns, "start": self.start}
        return {"input": self.input.tolist(), "kernels": self.kernels, **how}

    def fallback(self) -> str:
        """Return input, kernel and output as three tables."""
        name, kernel = next(iter(self.kernels.items()))
        kernel = np.array(kernel)
        stride, padding, dilation, _ = self.start.values()
        reach = [dilation * (side - 1) + 1 for side in kernel.shape]
        padded = np.pad(self.input, padding)
        windows = np.lib.stride_tricks.sliding_window_view(padded, reach)[::stride, ::stride]
        windows = windows[..., ::dilation, ::dilation]
        output = (windows * kernel).sum(axis=(2, 3))

        def table(caption: str, rows: np.ndarray) -> str:
            body = "".join(
                "<tr>" + "".join(f"<td>{value}</td>" for value in row) + "</tr>" for row in rows
            )
            return f"<table><caption>{caption}</caption><tbody>{body}</tbody></table>"

        return (
            table("Input x", padded)
            + table(f"Kernel w ({name})", kernel)
            + (
                table("Each window of x, one column", windows.reshape(-1, kernel.size).T)
                if self.columns
                else ""
            )
            + table("Output y: each window of x times w, summed up", output)
        )
