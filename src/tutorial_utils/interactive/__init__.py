"""Figures that answer when touched, in the built page and in every notebook, without a kernel."""

from tutorial_utils.interactive.augmentation import Augmentation
from tutorial_utils.interactive.convolution import ConvolutionExplorer
from tutorial_utils.interactive.feature_maps import FeatureMaps
from tutorial_utils.interactive.inside_network import InsideNetwork
from tutorial_utils.interactive.kernel_photo import KernelOnPhoto
from tutorial_utils.interactive.layer_stack import LayerStack
from tutorial_utils.interactive.learning_rate import LearningRate
from tutorial_utils.interactive.model_chooser import ModelChooser
from tutorial_utils.interactive.pooling_shift import PoolingShift
from tutorial_utils.interactive.question import Question
from tutorial_utils.interactive.regimes import RegimeExplorer
from tutorial_utils.interactive.softmax import SoftmaxFigure
from tutorial_utils.interactive.threshold import ThresholdMetrics
from tutorial_utils.interactive.top_five import TopFive

__all__ = [
    "Augmentation",
    "ConvolutionExplorer",
    "FeatureMaps",
    "InsideNetwork",
    "KernelOnPhoto",
    "LayerStack",
    "LearningRate",
    "ModelChooser",
    "PoolingShift",
    "Question",
    "RegimeExplorer",
    "SoftmaxFigure",
    "ThresholdMetrics",
    "TopFive",
]
