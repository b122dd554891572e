"""Helpers of the book: one module, one subject. Start with :mod:`tutorial_utils.scale`."""

__version__ = "0.1.0"
