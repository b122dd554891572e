"""The lab: a pretrained network in the page that learns from the reader's photos."""

from tutorial_utils.lab.element import Lab

__all__ = ["Lab"]
