"""Drawings of single layers: convolution in its several views, and normalisation's axes."""

from tutorial_utils.interactive.drawing import (
    BLUE,
    FROZEN,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    VERMILION,
    Drawing,
)

RGB = (VERMILION, GREEN, BLUE)
PAPER = "var(--pst-color-background,var(--jp-layout-color0,Canvas))"


def _sheets(d: Drawing, x: float, y: float, cells: int, side: float, window: int) -> None:
    """Draw three sheets of cells behind one another, blue at the back, a window marked on each."""
    for back in (2, 1, 0):
        left, top = x + 13 * back, y - 11 * back
        whole = cells * side
        d.box(left, top, whole, whole, color=PAPER, fill=1, line=0)
        d.box(left, top, whole, whole, color=RGB[back], fill=0.12, line=1, radius=0)
        for i in range(1, cells):
            for line in (
                [(left + i * side, top), (left + i * side, top + whole)],
                [(left, top + i * side), (left + whole, top + i * side)],
            ):
                d.line(*line, color=RGB[back], width=0.5, opacity=0.7)
        if window:
            d.box(
                left, top, window * side, window * side, color=RGB[back], fill=0.5, line=2, radius=0
            )


def multi_channel_convolution() -> Drawing:
    """Convolution over several channels: a kernel is as deep as its input and makes one map."""
    d = Drawing(
        "Convolution over several channels",
        "An input of three channels, 5 by 5 each. A kernel has three sheets too, 3 by 3 each: it "
        "is as deep as the input. It covers one window in all three channels, 27 products and a "
        "bias add up to one number, and sliding makes one map of 3 by 3. Four such kernels make "
        "an output of four channels: the weight has the shape 4, 3, 3, 3.",
        366,
    )
    _sheets(d, 8, 40, 5, 18, 3)
    d.text(62, 150, "input: 3 channels,\n5 × 5 each", size=11.5)
    d.text(154, 78, "·", size=26, bold=True)
    _sheets(d, 176, 58, 3, 18, 0)
    d.text(214, 150, "one kernel:\n3 sheets, 3 × 3", size=11.5)
    d.arrow((262, 76), (290, 76))
    d.grid(296, 49, [[" "] * 3] * 3, side=18, colors={(0, 0): ORANGE}, fill=0.7)
    d.text(322, 150, "one map,\n3 × 3", size=11.5)
    d.text(180, 182, "one number: 3 × 3 × 3 = 27 products + bias", size=12, bold=True)
    d.line((4, 202), (356, 202), width=0.6, opacity=0.5)
    colors = (ORANGE, PURPLE, GREEN, FROZEN)
    for index, color in enumerate(colors):
        y = 236 + 30 * index
        d.volume(106, y - 10, 20, 20, 10, color=color, fill=0.3)
        d.arrow((144, y), (206, y), color=color)
        d.volume(214, y - 13, 26, 26, 2.5, color=color, fill=0.4)
    d.text(48, 281, "4 kernels,\n3 × 3 × 3\neach", size=11.5)
    d.text(302, 281, "output:\n4 channels,\none for each\nkernel", size=11.5)
    d.text(180, 356, "weight (4, 3, 3, 3), bias (4): 112 numbers", size=12)
    return d


def stride_padding_dilation() -> Drawing:
    """Stride, padding and dilation: where the kernel goes, and how large the output is."""
    d = Drawing(
        "Stride, padding and dilation",
        "An input of 5 by 5 and a kernel of 3 by 3, in four ways. Plain: nine places, output 3 by "
        "3. Stride 2: the kernel moves two pixels at a time, output 2 by 2. Padding 1: a rim of "
        "zeros is put around, output 5 by 5. Dilation 2: the kernel's cells stand two pixels "
        "apart, it covers 5 by 5, output 1 by 1.",
        424,
    )
    cases = [
        ("plain", 1, 0, 1),
        ("stride s = 2", 2, 0, 1),
        ("padding P = 1", 1, 1, 1),
        ("dilation d = 2", 1, 0, 2),
    ]
    side = 16
    for index, (name, stride, padding, dilation) in enumerate(cases):
        x, y = 4 + 184 * (index % 2), 8 + 206 * (index // 2)
        d.text(x, y + 4, name, anchor="start", bold=True, size=13)
        left, top = x + side, y + 34
        for i in range(-padding, 5 + padding):
            for j in range(-padding, 5 + padding):
                rim = not (0 <= i < 5 and 0 <= j < 5)
                d.box(
                    left + side * j,
                    top + side * i,
                    side,
                    side,
                    "0" if rim else "",
                    color=FROZEN if rim else INK,
                    fill=0.12 if rim else 0,
                    line=0.6,
                    radius=0,
                    size=11,
                    dashed=rim,
                )
        for a in range(3):
            for b in range(3):
                i, j = a * dilation - padding, b * dilation - padding
                d.box(left + side * j, top + side * i, side, side, color=ORANGE, fill=0.6, radius=0)
        out = (5 + 2 * padding - dilation * 2 - 1) // stride + 1
        if out > 1:
            second = stride - padding
            corner = (left + side * second, top - side * padding)
            d.box(*corner, 3 * side, 3 * side, color=BLUE, fill=0.12, line=2, radius=0)
        small = 10
        edge = left + side * (5 + padding)
        d.arrow((edge + 4, top + 40), (edge + 20, top + 40))
        right, up = edge + 25, top + 40 - small * out / 2
        colors = {(0, 0): ORANGE, (0, 1): BLUE} if out > 1 else {(0, 0): ORANGE}
        d.grid(right, up, [[""] * out] * out, small, colors, fill=0.7)
        span = dilation * 2 + 1
        words = f"({5 + 2 * padding} − {span}) / {stride} + 1 = {out}"
        if stride == 1:
            words = f"{5 + 2 * padding} − {span} + 1 = {out}"
        d.text(x + 4, top + side * (5 + padding) + 14, words, anchor="start", size=12)
        d.text(x + 4, top + side * (5 + padding) + 30, f"output {out} × {out}", anchor="start")
    return d


def batchnorm_axes() -> Drawing:
    """Which numbers share one mean and variance, and what train and eval mode use."""
    d = Drawing(
        "Which numbers are normalised together",
        "A batch of four images with six channels: each cell is one map of H by W. BatchNorm takes "
        "mean and variance over one channel of all images, a column. LayerNorm takes them over all "
        "channels of one image, a row. GroupNorm takes a part of the row. Below: in train mode "
        "BatchNorm uses this batch's statistics and updates the running ones; in eval mode it uses "
        "the stored running ones and changes nothing.",
        428,
    )
    side = 20
    panels = [
        ("BatchNorm", "one channel, all images", [(i, 1) for i in range(4)], ORANGE),
        ("LayerNorm", "one image, all channels", [(1, j) for j in range(6)], BLUE),
        ("GroupNorm", "one image, some channels", [(1, j) for j in range(3)], GREEN),
        ("InstanceNorm", "one image, one channel", [(1, 1)], PURPLE),
    ]
    for index, (name, words, cells, color) in enumerate(panels):
        x, y = 26 + 180 * (index % 2), 10 + 142 * (index // 2)
        d.text(x, y, name, anchor="start", bold=True, size=13)
        d.grid(x, y + 12, [[""] * 6] * 4, side, dict.fromkeys(cells, color), fill=0.6)
        d.text(x + 60, y + 104, words, size=11)
        d.text(x - 12, y + 52, "N images", size=11, turn=-90)
        if index < 2:
            d.text(x + 120, y, "C →", anchor="end", size=11)
    d.line((4, 284), (356, 284), width=0.6, opacity=0.5)
    for x, name, color in ((4, "BatchNorm in train mode", ORANGE), (186, "in eval mode", FROZEN)):
        d.text(x, 300, name, anchor="start", bold=True)
        d.box(x, 314, 62, 34, "batch", color=INK, fill=0.06)
        d.arrow((x + 64, 331), (x + 92, 331))
        d.box(x + 94, 314, 70, 34, "(x − μ) / σ", color=color, fill=0.35, size=11)
    d.arrow((35, 350), (35, 366))
    d.box(4, 368, 62, 38, "its own\nμ, σ²", color=ORANGE, fill=0.35)
    d.arrow((66, 378), (134, 378), (134, 350), color=ORANGE)
    d.arrow((66, 396), (92, 396), color=ORANGE, dashed=True)
    d.box(94, 386, 78, 38, "stored μ, σ²:\na tenth new", color=FROZEN, fill=0.15, size=11)
    d.box(280, 368, 70, 38, "stored\nμ, σ²", color=FROZEN, fill=0.35)
    d.arrow((315, 366), (315, 350))
    d.text(228, 388, "the batch\nplays no part", size=11)
    return d


def fully_connected() -> Drawing:
    """A fully connected layer with the softmax chapter's numbers, and the probabilities."""
    d = Drawing(
        "From two features to three probabilities",
        "The features 2 and 1 are joined to three classes by six weights: 1 and 1 for class 0, 1 "
        "and minus 1 for class 1, 0 and minus 1 for class 2. With the biases minus 1, 0 and 1 the "
        "logits are 2, 1 and 0. Softmax turns them into the probabilities 0.665, 0.245 and 0.090.",
        214,
    )
    weights = [(1, 1), (1, -1), (0, -1)]
    rows = zip(weights, (-1, 0, 1), (2, 1, 0), (0.665, 0.245, 0.09), strict=True)
    for x, words in ((22, "features"), (160, "logits"), (282, "probabilities")):
        d.text(x + (10 if x == 22 else 0), 10, words, bold=True)
    for k, (row, bias, logit, share) in enumerate(rows):
        y = 46 + 62 * k
        for weight, left, color in zip(row, (77, 139), (BLUE, ORANGE), strict=True):
            d.line((38, left), (144, y), color=color, width=1.4, dashed=weight == 0)
            at = 0.66 if color == BLUE else 0.27
            d.text(
                38 + 106 * at + (0 if color == BLUE else 2),
                left + (y - left) * at - 8,
                f"{weight:+d}" if weight else "0",
                size=11,
                color=color,
                bold=True,
            )
        d.circle(160, y, 15, logit, fill=0.05)
        d.text(160, y + 23, f"bias {bias:+d}" if bias else "bias 0", size=11)
        d.arrow((178, y), (204, y))
        d.box(210, y - 10, 100 * share, 20, color=GREEN, fill=0.5, line=0, radius=1)
        d.text(216 + 100 * share, y, f"{share:.3f}", anchor="start")
    for y, value, color in ((77, 2, BLUE), (139, 1, ORANGE)):
        d.circle(22, y, 15, value, color=color, fill=0.15)
    d.text(257, 206, "softmax: e^z, divided by the sum", size=11)
    return d
