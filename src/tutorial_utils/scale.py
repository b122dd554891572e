"""One notebook, two scales: what this run may spend, and on which device.

``tiny`` runs on any CPU in seconds and is what the stored outputs come from. ``full`` is for a GPU.
"""

import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from tqdm.auto import tqdm

SCALES = ("tiny", "full")
T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """The choices of one run: its scale (``"tiny"`` or ``"full"``), its device and its seed."""

    scale: str
    device: torch.device
    seed: int

    def pick(self, *, tiny: T, full: T) -> T:
        """Return the value that belongs to this run's scale."""
        return tiny if self.scale == "tiny" else full


def choose_scale() -> str:
    """Return the scale: the variable ``TUTORIAL_SCALE`` if set, else ``full`` on a CUDA GPU.

    Raises:
        ValueError: ``TUTORIAL_SCALE`` is neither ``tiny`` nor ``full``.
    """
    wanted = os.environ.get("TUTORIAL_SCALE", "").strip().lower()
    if not wanted:
        return "full" if torch.cuda.is_available() else "tiny"
    if wanted not in SCALES:
        raise ValueError(f"TUTORIAL_SCALE is {wanted!r}; set it to 'tiny' or 'full', or unset it.")
    return wanted


def choose_device(scale: str) -> torch.device:
    """Return the CPU for ``tiny``; for ``full`` a CUDA GPU, else Apple's, else the CPU."""
    if scale == "full" and torch.cuda.is_available():
        return torch.device("cuda")
    if scale == "full" and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's generators (torch seeds all devices)."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries that still use the global generator
    torch.manual_seed(seed)


def start(seed: int = 0) -> Run:
    """Choose scale and device, seed all generators, print one line and return the choices."""
    scale = choose_scale()
    run = Run(scale, choose_device(scale), seed)
    seed_everything(seed)
    print(f"scale: {run.scale} | device: {run.device.type} | seed: {run.seed}")
    return run


def progress(iterable: Iterable[T], description: str) -> Iterator[T]:
    """Wrap ``iterable`` in a progress bar with time left; silent at ``tiny``."""
    return tqdm(iterable, desc=description, leave=False, disable=choose_scale() == "tiny")
