"""Set-up of every test run, also of ``pytest --nbval book/`` typed by hand, in any folder."""

import os
from pathlib import Path

from nbval.kernel import RunningKernel

ROOT = Path(__file__).resolve().parent
CELL_TIMEOUT = 300  # seconds; nbval's own 2,000 would let a hanging cell hang the run


def execute_cell_input(self, cell_input, allow_stdin=None):
    """Execute a cell as a notebook does: with ``In``, ``Out`` and ``_`` (nbval leaves them out)."""
    return self.kc.execute(
        cell_input, store_history=True, allow_stdin=allow_stdin, stop_on_error=False
    )


def pytest_configure(config):
    """Force the scale of the stored outputs, and give nbval its settings by absolute path."""
    os.environ["TUTORIAL_SCALE"] = "tiny"
    if not hasattr(config.option, "nbval"):
        return  # nbval is switched off (-p no:nbval)
    RunningKernel.execute_cell_input = execute_cell_input
    if config.option.nbval_sanitize_with is None:
        config.option.nbval_sanitize_with = str(ROOT / "tests" / "nbval_sanitize.cfg")
    config.option.nbval_cell_timeout = min(config.option.nbval_cell_timeout, CELL_TIMEOUT)
