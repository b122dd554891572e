"""Several processes that give the result of one: equal shares of each batch, one set of dice.

One process computes on rows ``[0, n)`` of a batch; with two, each computes on its half, and
gradients are summed. Chance must not depend on who computes what: dropout draws a mask for the
whole batch from a seed that all processes share, and each uses the rows of its own part. The same
holds for a batch that is computed in pieces to save memory.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from torch import nn
from torchvision.ops import StochasticDepth


@dataclass
class Part:
    """Which rows of a batch are being computed: ``count`` from ``first``, of ``total``."""

    first: int = 0
    count: int = 0
    total: int = 0

    def rows_of(self, draw: Callable[[int], torch.Tensor], rows: int) -> torch.Tensor:
        """Draw something for each row of the whole batch and return this part's.

        Args:
            draw: takes a number of rows.
            rows: of the layer's input; a multiple of ``count`` where a layer cuts images up.
        """
        if self.total == 0:
            return draw(rows)
        each = rows // self.count
        return draw(self.total * each)[self.first * each : (self.first + self.count) * each]


class SharedDropout(nn.Module):
    """``nn.Dropout`` whose mask does not depend on how a batch is divided."""

    def __init__(self, p: float, part: Part):
        super().__init__()
        self.p, self.part = p, part

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Set a share p of the values to 0 and scale the others by 1 / (1 - p)."""
        if not self.training or self.p == 0:
            return x

        def draw(rows: int) -> torch.Tensor:
            return torch.rand(rows, *x.shape[1:], device=x.device) >= self.p

        return x * self.part.rows_of(draw, len(x)) / (1 - self.p)


class SharedDepth(nn.Module):
    """torchvision's ``StochasticDepth`` by rows, likewise: whole branches are left out."""

    def __init__(self, p: float, part: Part):
        super().__init__()
        self.p, self.part = p, part

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Set a share p of the images' branches to 0 and scale the others by 1 / (1 - p)."""
        if not self.training or self.p == 0:
            return x

        def draw(rows: int) -> torch.Tensor:
            return torch.rand(rows, device=x.device) >= self.p

        keep = self.part.rows_of(draw, len(x)).view(-1, *[1] * (x.ndim - 1))
        return x * keep / (1 - self.p) if self.p < 1 else x * 0


def share_dice(model: nn.Module) -> Part:
    """Replace the model's layers of chance, in place, by ones that follow the ``Part`` returned."""
    part = Part()
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, SharedDropout(child.p, part))
            elif type(child) is StochasticDepth and child.mode == "row":
                setattr(parent, name, SharedDepth(child.p, part))
    return part


def share(total: int, parts: int, index: int) -> tuple[int, int]:
    """Return first and end of the ``index``-th of so many parts of nearly equal size."""
    return total * index // parts, total * (index + 1) // parts


def together(state: PartialState, work: Callable[[], object]) -> object:
    """Do something in the main process only, and return its result, or raise its error, in all."""
    if state.num_processes == 1:
        return work()
    answer = [None, None]
    if state.is_main_process:
        try:
            answer[0] = work()
        except Exception as error:
            answer[1] = error
    broadcast_object_list(answer)
    if answer[1] is not None:
        raise answer[1]
    return answer[0]


def gather_rows(state, rows: torch.Tensor) -> torch.Tensor:
    """Put together what the processes computed for their ``share`` of the rows, in order."""
    if state.num_processes == 1:
        return rows
    return torch.cat([r for r in gather_object([rows]) if len(r)])
