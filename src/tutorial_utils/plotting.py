"""One look for every figure: style, colours, and the few plots that several chapters share."""

import sys
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

# Okabe and Ito's palette, told apart with every common colour blindness (jfly.uni-koeln.de/color).
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILION, YELLOW, GREY = "#56B4E9", "#D55E00", "#F0E442", "#767676"
COLORS = (BLUE, ORANGE, GREEN, PINK, SKY, VERMILION, GREY, YELLOW)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

# One colour for each way to train and for each family of models, in every figure of the book. All
# have a contrast of 3 or more on white and on the dark theme's ground; a family has its own marker
# too, since nobody tells eleven colours apart.
PURPLE, BROWN, TEAL = "#8B6FE8", "#A6761D", "#2A93A8"
METHOD_COLORS = {
    "scratch": GREY,
    "frozen": BLUE,
    "head then full": GREEN,
    "full": VERMILION,
    "discriminative": PINK,
}
FAMILY_COLORS = {
    "AlexNet": GREY,
    "VGG": BROWN,
    "Inception": TEAL,
    "ResNet": BLUE,
    "DenseNet": "#5B7A99",
    "MobileNet": GREEN,
    "EfficientNet": "#5E9421",
    "RegNet": "#8A8D1F",
    "ConvNeXt": VERMILION,
    "ViT": PURPLE,
    "Swin": "#B0578D",
}
FAMILY_MARKERS = dict(zip(FAMILY_COLORS, "XPdo*svh^Dp", strict=True))
# How torchvision's names of a family's models begin.
FAMILY_NAMES = {
    "AlexNet": ("alexnet",),
    "VGG": ("vgg",),
    "Inception": ("googlenet", "inception"),
    "ResNet": ("resnet", "resnext", "wide_resnet"),
    "DenseNet": ("densenet",),
    "MobileNet": ("mobilenet", "mnasnet", "shufflenet", "squeezenet"),
    "EfficientNet": ("efficientnet",),
    "RegNet": ("regnet",),
    "ConvNeXt": ("convnext",),
    "ViT": ("vit", "deit", "maxvit"),
    "Swin": ("swin",),
}


def family_of(name: str) -> str:
    """Return the family of a model, a key of ``FAMILY_COLORS``, from its torchvision name.

    Raises:
        ValueError: the name begins as no family's names do.
    """
    for family, starts in FAMILY_NAMES.items():
        if name.startswith(starts):
            return family
    raise ValueError(f"{name!r} belongs to none of {', '.join(FAMILY_NAMES)}.")


INK = "#757575"  # of type and axes, read on white and on dark; the pages put their own in its place
STYLE = {
    "figure.figsize": (5.0, 3.2),
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": plt.cycler(color=COLORS),
    "grid.alpha": 0.25,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "lines.markersize": 5,
    "image.cmap": "gray",
    "image.interpolation": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "book",
}
STYLE |= dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none")
STYLE |= dict.fromkeys(
    ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"),
    INK,
)
MOST_PIXELS = 20_000  # an SVG holds its images whole; a figure of more pixels is a PNG


def use_style() -> None:
    """Set the book's style: in a notebook figures are SVG, those with photos PNG at double size."""
    plt.rcParams.update(STYLE)
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None or not hasattr(shell, "kernel"):
        return
    from IPython.core.pylabtools import print_figure, retina_figure

    def has_photos(figure):
        images = [image for axis in figure.axes for image in axis.images]
        return sum(image.get_array().size for image in images) > MOST_PIXELS

    def draw(figure):
        nothing = {"Date": None, "Creator": None}
        return None if has_photos(figure) else print_figure(figure, "svg", metadata=nothing)

    shell.run_line_magic("matplotlib", "inline")
    formats = shell.display_formatter.formatters
    formats["image/svg+xml"].for_type(Figure, draw)
    formats["image/png"].for_type(Figure, lambda f: retina_figure(f) if has_photos(f) else None)


def to_image(image: torch.Tensor | np.ndarray | Image.Image) -> np.ndarray:
    """Return an array that ``imshow`` takes: (H, W) or (H, W, 3).

    Args:
        image: a PIL image, an array (H, W) or (H, W, 3), or a tensor (H, W), (1, H, W) or
            (3, H, W). Floats of a colour image are clipped to [0, 1].

    Raises:
        ValueError: the shape is none of these.
    """
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu()
        if image.ndim == 3 and image.shape[0] in (1, 3):
            image = image.permute(1, 2, 0)
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise ValueError(
            f"cannot show an image of shape {array.shape}; expected (H, W) or 3 channels."
        )
    if array.ndim == 3 and array.dtype.kind == "f":
        array = array.clip(0, 1)
    return array


def show_images(
    images: Sequence[torch.Tensor | np.ndarray | Image.Image],
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    size: float = 1.4,
    **imshow: object,
) -> Figure:
    """Show images in a grid without axes and return the figure.

    Args:
        images: what ``to_image`` takes, one each.
        titles: one line above each image.
        columns: images in a row; all in one row if not given.
        size: inches for one image.
        imshow: passed to ``imshow``, such as ``cmap``, ``vmin`` and ``vmax``.
    """
    columns = columns or len(images)
    rows = -(-len(images) // columns)
    height = size * (1.2 if titles else 1.02)
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * size, rows * height), squeeze=False
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for index, (axis, image) in enumerate(zip(axes.flat, images, strict=False)):
        axis.imshow(to_image(image), **imshow)
        if titles:
            axis.set_title(titles[index], fontsize=10, loc="center")
    return figure
