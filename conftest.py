"""Set-up of every test run, also of ``pytest --nbval book/`` typed by hand, in any folder."""

import os
from pathlib import Path

from nbval.plugin import IPyNbFile

ROOT = Path(__file__).resolve().parent
CELL_TIMEOUT = 300  # seconds; nbval's own 2,000 would let a hanging cell hang the run


def pytest_collectstart(collector):
    """Let nbval pass over a plot's SVG as it does over PNG: fonts and versions change its text."""
    if isinstance(collector, IPyNbFile):
        collector.skip_compare += ("image/svg+xml",)


def pytest_configure(config):
    """Force the scale of the stored outputs, and give nbval its settings by absolute path."""
    os.environ["TUTORIAL_SCALE"] = "tiny"
    if not hasattr(config.option, "nbval"):
        return  # nbval is switched off (-p no:nbval)
    if config.option.nbval_sanitize_with is None:
        config.option.nbval_sanitize_with = str(ROOT / "tests" / "nbval_sanitize.cfg")
    config.option.nbval_cell_timeout = min(config.option.nbval_cell_timeout, CELL_TIMEOUT)


def pytest_collection_modifyitems(items):
    """Build the book first, then do the longest, so that all workers end together."""
    order = ["test_book_build.py", "*.ipynb", "test_book.py", "test_figures.py", "test_finetune.py"]

    def turn(item):
        places = [place for place, pattern in enumerate(order) if item.path.match(pattern)]
        return places[0] if places else len(order)

    items.sort(key=turn)
