"""Errors that are meant for the reader's eyes: what is wrong, and what to do about it.

The command line shows the children of ``BookError`` as one line and ends with their exit code. Any
other exception is a fault of the program and shows its traceback.
"""


class BookError(Exception):
    """Something that the reader can mend; its message says how."""

    exit_code = 2


class PhotosError(BookError):
    """Something about the photos, the folders or the run; its message says what to change."""


class CheckpointError(BookError):
    """The file cannot be used as a classifier; the message says why."""


class WeightsError(BookError):
    """The weights could not be had, or what came is not what torchvision published."""


class RecipeError(BookError, ValueError):
    """A choice of the recipe is unknown, of the wrong kind or out of its range."""


class DivergedError(BookError, FloatingPointError):
    """The loss became infinite or NaN; what was good before is kept."""


class Stopped(BookError):
    """Ctrl-C was pressed (or the machine asked us to end); what was done is saved."""

    exit_code = 130
