"""Set-up of every test run, also of ``pytest --nbval book/`` typed by hand, in any folder."""

import os
from pathlib import Path

import pytest
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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Keep a notebook's cells, and a file's tests, on one worker and in their order.

    The book is built first, by one worker; single tests come last and fill both to the end.
    """
    if not config.pluginmanager.hasplugin("xdist"):
        return

    def turn(item):
        alone = item.get_closest_marker("xdist_group") or item.get_closest_marker("alone")
        if not alone:
            item.add_marker(pytest.mark.xdist_group(item.path.name))
        kinds = [item.path.name == "test_book_build.py", item.path.suffix == ".ipynb", not alone]
        return [*kinds, True].index(True)

    items.sort(key=turn)
