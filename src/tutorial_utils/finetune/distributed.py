"""Several processes that give the result of one: equal shards of each batch, gradients summed.

One process computes on rows ``[0, n)`` of a batch; with two, each computes on its half. Dropout is
drawn from a seed of its own in each process, so runs agree across numbers of processes up to that.
"""

from collections.abc import Callable

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object


def shard_range(total: int, shards: int, index: int) -> tuple[int, int]:
    """Return first and end of the ``index``-th of so many shards of nearly equal size."""
    return total * index // shards, total * (index + 1) // shards


def on_main_process(state: PartialState, work: Callable[[], object]) -> object:
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
    """Put together what the processes computed for their shard of the rows, in order."""
    if state.num_processes == 1:
        return rows
    return torch.cat([r for r in gather_object([rows]) if len(r)])
