"""A Sphinx extension: after the HTML is built, put the lab's files into ``_static/lab``."""

from pathlib import Path

from sphinx.util import logging

from tutorial_utils.lab.pack import pack


def pack_lab(app, exception) -> None:
    """Pack scripts, weights and photos; what is up to date stays as it is."""
    if exception is None and app.builder.format == "html":
        for line in pack(Path(app.outdir) / "_static" / "lab"):
            logging.getLogger(__name__).info("The lab: %s", line)


def setup(app) -> dict:
    """Connect the function above to the end of the build."""
    app.connect("build-finished", pack_lab)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
