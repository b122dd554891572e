"""Figures that answer when touched, in the built page and in every notebook, without a kernel."""

from tutorial_utils.interactive.convolution import ConvolutionExplorer
from tutorial_utils.interactive.inside_network import InsideNetwork
from tutorial_utils.interactive.softmax import SoftmaxFigure

__all__ = ["ConvolutionExplorer", "InsideNetwork", "SoftmaxFigure"]
