"""Drawings of whole networks and of their blocks."""

from tutorial_utils.interactive.drawing import (
    BLUE,
    BROWN,
    FROZEN,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    TEAL,
    Drawing,
)

# Runs of (layers, side of the output map, channels); a fully connected layer has the side 0.
NETWORKS = {
    "AlexNet": (
        FROZEN,
        "61.1 M parameters, 0.7 GMACs",
        [(1, 55, 64), (1, 27, 192), (1, 13, 384), (2, 13, 256), (2, 0, 4096), (1, 0, 1000)],
    ),
    "VGG-16": (
        BROWN,
        "138.4 M parameters, 15.5 GMACs",
        [
            *[(2, 224, 64), (2, 112, 128), (3, 56, 256), (3, 28, 512), (3, 14, 512)],
            *[(2, 0, 4096), (1, 0, 1000)],
        ],
    ),
    "Inception (GoogLeNet)": (
        TEAL,
        "6.6 M parameters, 1.5 GMACs",
        [
            *[(1, 112, 64), (1, 56, 64), (1, 56, 192), (2, 28, 256), (2, 28, 480)],
            *[(6, 14, 512), (2, 14, 528), (2, 14, 832), (2, 7, 832), (2, 7, 1024), (1, 0, 1000)],
        ],
    ),
    "ResNet-50": (
        BLUE,
        "25.6 M parameters, 4.1 GMACs",
        [(1, 112, 64)]
        + [(1, 56, 64), (1, 56, 64), (1, 56, 256)] * 3
        + [(1, 56, 128), (1, 28, 128), (1, 28, 512)]
        + [(2, 28, 128), (1, 28, 512)] * 3
        + [(1, 28, 256), (1, 14, 256), (1, 14, 1024)]
        + [(2, 14, 256), (1, 14, 1024)] * 5
        + [(1, 14, 512), (1, 7, 512), (1, 7, 2048)]
        + [(2, 7, 512), (1, 7, 2048)] * 2
        + [(1, 0, 1000)],
    ),
    "MobileNetV2": (
        GREEN,
        "3.5 M parameters, 0.3 GMACs",
        [(2, 112, 32), (1, 112, 16), (1, 112, 96), (1, 56, 96), (1, 56, 24), (2, 56, 144)]
        + [(1, 56, 24), (1, 56, 144), (1, 28, 144), (1, 28, 32)]
        + [(2, 28, 192), (1, 28, 32)] * 2
        + [(1, 28, 192), (1, 14, 192), (1, 14, 64)]
        + [(2, 14, 384), (1, 14, 64)] * 3
        + [(2, 14, 384), (1, 14, 96)]
        + [(2, 14, 576), (1, 14, 96)] * 2
        + [(1, 14, 576), (1, 7, 576), (1, 7, 160)]
        + [(2, 7, 960), (1, 7, 160)] * 2
        + [(2, 7, 960), (1, 7, 320)]
        + [(1, 7, 1280), (1, 0, 1000)],
    ),
}


def architectures() -> Drawing:
    """Five networks to scale: each layer a bar, its map's side upwards, its channels downwards."""
    d = Drawing(
        "Five networks to scale",
        "AlexNet, VGG-16, GoogLeNet, ResNet-50 and MobileNetV2, one bar for each layer, 8 to 53 "
        "of them. Upwards the side of the layer's maps, which shrinks from 224 pixels to 7; "
        "downwards its channels, which grow up to 2048. VGG keeps large maps with many channels, "
        "which makes it dear; fully connected layers have channels only.",
        574,
    )
    step = 6.4
    for index, (name, (color, words, runs)) in enumerate(NETWORKS.items()):
        y = 74 + 114 * index
        d.text(4, y - 62, name, anchor="start", bold=True, size=13)
        d.text(356, y - 62, words, anchor="end", size=11)
        x = 8.0
        for layers, side, channels in runs:
            for _ in range(layers):
                if side:
                    high = 48 * side / 224
                    d.box(x, y - high, step - 1, high, color=color, fill=0.75, line=0, radius=0)
                deep = max(30 * channels / 2048, 0.6) if side else min(30 * channels / 2048, 30)
                d.box(x, y + 1, step - 1, deep, color=color, fill=0.35, line=0, radius=0)
                x += step
        layers = sum(run[0] for run in runs)
        d.line((4, y + 0.5), (352, y + 0.5), width=0.7, opacity=0.6)
        d.text(352, y - 24, f"{layers} layers", anchor="end", size=11)
        if not index:
            d.text(352, y - 36, "up: side of the maps", anchor="end", size=11)
            d.text(352, y + 14, "down: channels", anchor="end", size=11)
    return d


def residual_block() -> Drawing:
    """ResNet-50's bottleneck block: a branch of three convolutions, and the input added to it."""
    d = Drawing(
        "A residual block (ResNet-50's bottleneck)",
        "The input of 256 channels goes two ways. The branch: a 1 by 1 convolution down to 64 "
        "channels, a 3 by 3 convolution on 64, a 1 by 1 convolution back up to 256, with "
        "BatchNorm after each and ReLU between. The shortcut: the input unchanged. Both are added, "
        "then ReLU. The gradient flows back through the plus unchanged.",
        352,
    )
    d.volume(74, 16, 72, 20, 14, color=INK, fill=0.1)
    d.text(110, 26, "x: 256", bold=True)
    rows = [
        (72, 54, "1×1, 256 → 64", "16,384 weights", "BatchNorm, ReLU"),
        (140, 54, "3×3, 64 → 64", "36,864 weights", "BatchNorm, ReLU"),
        (208, 54, "1×1, 64 → 256", "16,384 weights", "BatchNorm"),
    ]
    for y, _, words, weights, after in rows:
        d.arrow((110, y - 28 if y > 72 else 38), (110, y))
        d.box(38, y, 144, 22, words, color=BLUE, fill=0.4, bold=True)
        d.box(38, y + 22, 144, 18, after, color=GREEN, fill=0.18, size=11.5)
        d.text(192, y + 12, weights, anchor="start", size=11)
    d.arrow((110, 250), (110, 268))
    d.circle(110, 280, 11, "+", color=ORANGE, fill=0.25)
    d.arrow((110, 292), (110, 308))
    d.box(74, 310, 72, 20, "ReLU", color=GREEN, fill=0.18)
    d.text(110, 342, "y: 256", bold=True)
    d.arrow((158, 22), (330, 22), (330, 280), (123, 280), color=ORANGE, width=2.4)
    d.text(262, 40, "shortcut: x itself,\nno weights", size=11.5)
    d.text(240, 262, "the branch F(x):\na correction", size=11.5)
    d.text(256, 318, "y = ReLU(x + F(x))", size=13)
    return d


def inception_block() -> Drawing:
    """GoogLeNet's first Inception block: four branches side by side, their maps stacked."""
    d = Drawing(
        "An Inception block (GoogLeNet's 3a)",
        "192 channels go into four branches at once: a 1 by 1 convolution to 64; a 1 by 1 to 96, "
        "then 3 by 3 to 128; a 1 by 1 to 16, then 5 by 5 to 32; and 3 by 3 max pooling, then 1 by "
        "1 to 32. The four results, 64, 128, 32 and 32 channels, are stacked to 256.",
        300,
    )
    d.box(120, 4, 120, 24, "192 × 28 × 28", color=INK, fill=0.08, bold=True)
    branches = [
        ("", "1×1\n→ 64", 64, BLUE),
        ("1×1\n→ 96", "3×3\n→ 128", 128, ORANGE),
        ("1×1\n→ 16", "5×5\n→ 32", 32, GREEN),
        ("3×3\nmax pool", "1×1\n→ 32", 32, PURPLE),
    ]
    d.line((180, 28), (180, 44))
    d.line((46, 44), (316, 44))
    for index, (first, second, _, color) in enumerate(branches):
        x = 46 + 90 * index
        if first:
            d.arrow((x, 44), (x, 62))
            d.box(x - 38, 64, 76, 40, first, color=color, fill=0.15)
            d.arrow((x, 104), (x, 130))
        else:
            d.arrow((x, 44), (x, 130))
        d.box(x - 38, 132, 76, 40, second, color=color, fill=0.45)
        d.arrow((x, 172), (x, 196))
    x = 8.0
    for _, _, channels, color in branches:
        wide = 344 * channels / 256
        d.box(x, 200, wide, 26, channels, color=color, fill=0.45, radius=0, bold=True)
        x += wide
    d.text(180, 240, "stacked: 256 × 28 × 28", bold=True)
    d.text(
        180,
        272,
        "The 1×1 layers make the thick input thin first,\nso that the dear 3×3 and 5×5 kernels "
        "have\nlittle to read.",
        size=11.5,
    )
    return d


def separable_block() -> Drawing:
    """MobileNetV2's block: widen by 1×1, filter each channel by itself, narrow by 1×1, add."""
    d = Drawing(
        "A depthwise separable block (MobileNetV2's inverted residual)",
        "24 channels are widened by a 1 by 1 convolution to 144; each of the 144 is filtered by "
        "its own 3 by 3 kernel, which does not look at the other channels; a 1 by 1 convolution "
        "mixes them down to 24, without ReLU; the input is added. Weights: 3456, 1296 and 3456. "
        "An ordinary 3 by 3 convolution on 144 channels would have 186,624.",
        362,
    )
    rows = [
        (40, "1×1 widens: 24 → 144", "3,456 weights", "BatchNorm, ReLU6", 1, 6),
        (134, "3×3 depthwise: 144 alone", "1,296 weights", "BatchNorm, ReLU6", 6, 6),
        (228, "1×1 narrows: 144 → 24", "3,456 weights", "BatchNorm, no ReLU", 6, 1),
    ]
    for index in range(2):
        d.box(76 + 20 * index, 4, 14, 14, color=INK, fill=0.2, radius=0)
    d.text(126, 11, "x: 24 channels", anchor="start")
    for y, words, weights, after, sources, targets in rows:
        top, low = y - 20, y
        a = [93 + 12 * (k - (sources * 2 - 1) / 2) for k in range(sources * 2)]
        b = [93 + 12 * (k - (targets * 2 - 1) / 2) for k in range(targets * 2)]
        pairs = zip(a, b, strict=True) if sources == targets else [(s, t) for s in a for t in b]
        for s, t in pairs:
            d.line((s, top + 0), (t, low + 18), width=0.7, opacity=0.75, color=BLUE)
        for t in b:
            d.box(t - 5, low + 20, 10, 12, color=BLUE, fill=0.4, radius=0, line=0.8)
        d.text(186, y - 4, words, anchor="start", size=11.5, bold=True)
        d.text(186, y + 12, weights, anchor="start", size=11.5)
        d.text(186, y + 27, after, anchor="start", size=11.5)
        for t in b:
            if y < 228:
                d.line((t, low + 32), (t, low + 72), width=0.5, opacity=0.4)
    d.arrow((70, 11), (10, 11), (10, 290), (80, 290), color=ORANGE, width=2)
    d.line((93, 260), (93, 278))
    d.circle(93, 290, 11, "+", color=ORANGE, fill=0.25)
    d.text(120, 290, "y = x + F(x): 24 channels", anchor="start")
    d.text(
        180,
        334,
        "8,208 weights in all. One ordinary 3×3 convolution\non 144 channels has 186,624: it mixes "
        "places and\nchannels at once, this block one after the other.",
        size=11.5,
    )
    return d


def attention() -> Drawing:
    """Patches become tokens; attention mixes each token with all others, by likeness."""
    d = Drawing(
        "Patches, tokens, attention",
        "A photo is cut into nine patches. Each patch, flattened and multiplied by a matrix, "
        "becomes a token, a vector. One token asks with its query; its products with the keys of "
        "all nine tokens, through softmax, give nine weights that sum to 1, drawn as lines of "
        "different thickness; the weighted mean of the nine values is the token's new vector.",
        420,
    )
    d.text(4, 10, "1  patches", anchor="start", bold=True)
    d.picture(8, 24, 84)
    for i in range(4):
        d.line((8 + 28 * i, 22), (8 + 28 * i, 110), width=1.6)
        d.line((6, 24 + 28 * i), (94, 24 + 28 * i), width=1.6)
    d.arrow((100, 66), (126, 66))
    d.text(132, 10, "2  one token for each patch", anchor="start", bold=True)
    shades = [3, 7, 2, 5, 9, 4, 1, 6, 3]
    for index in range(9):
        x = 134 + 24 * index
        for row in range(4):
            fill = ((shades[index] * (row + 2)) % 9 + 1) / 12
            color = ORANGE if index == 4 else PURPLE
            d.box(x, 36 + 15 * row, 17, 15, color=color, fill=fill, line=0.8, radius=0)
        d.text(x + 8, 108, index + 1, size=11)
    d.text(4, 146, "3  token 5 asks all tokens: how alike are we?", anchor="start", bold=True)
    weights = [0.05, 0.22, 0.04, 0.12, 0.3, 0.11, 0.02, 0.1, 0.04]
    for index, weight in enumerate(weights):
        x = 22 + 39.5 * index
        d.line((180, 204), (x, 258), color=ORANGE, width=0.8 + 18 * weight, opacity=0.75)
        d.box(x - 13, 258, 26, 22, index + 1, color=PURPLE, fill=0.25)
        d.text(x, 292, f"{weight:.2f}", size=11)
    d.box(134, 164, 92, 40, "query of 5", color=ORANGE, fill=0.35)
    d.text(180, 312, "weights = softmax(query · keys / √D), sum 1", size=12)
    d.text(4, 342, "4  its new vector: the weighted mean of all values", anchor="start", bold=True)
    d.grid(14, 358, [["0.05 v₁", "+ 0.22 v₂", "+ …", "+ 0.04 v₉"]], side=68, height=26, size=11.5)
    d.arrow((290, 371), (310, 371))
    d.box(314, 358, 34, 26, "5′", color=ORANGE, fill=0.5, bold=True)
    d.text(180, 404, "Every token does so at once, in several heads.", size=11.5)
    return d


def readers_of_a_digit() -> Drawing:
    """How a CNN, an RNN and a Vision Transformer read the same digit."""
    d = Drawing(
        "Three ways to read a digit",
        "The same 8 by 8 picture of a seven, three times. A CNN slides a small window over it and "
        "reads neighbours together, the same weights in every place. An RNN reads row after row "
        "from top to bottom and carries a memory along. A Vision Transformer cuts it into patches "
        "and lets every patch look at every other from the first layer on.",
        470,
    )
    seven = [
        "........",
        ".######.",
        ".....##.",
        "....##..",
        "...##...",
        "...##...",
        "..##....",
        "........",
    ]
    side = 15

    def digit(x: float, y: float) -> None:
        d.box(x, y, 8 * side, 8 * side, fill=0.04, line=1, radius=0)
        for i, row in enumerate(seven):
            for j, mark in enumerate(row):
                if mark == "#":
                    box = (x + side * j, y + side * i, side, side)
                    d.box(*box, fill=0.5, line=0, radius=0)

    digit(10, 24)
    d.text(10, 10, "CNN: a small window slides", anchor="start", bold=True, size=13)
    d.box(10 + side, 24 + side, 45, 45, color=ORANGE, fill=0.3, line=2.4, radius=0)
    d.arrow((88, 62), (116, 62), color=ORANGE, width=2)
    d.arrow((48, 88), (48, 116), color=ORANGE, width=2)
    d.text(
        150,
        82,
        "Neighbours are read together,\nwith the same weights in\nevery place. Far pixels "
        "meet\nonly in later layers.",
        anchor="start",
        size=11.5,
    )
    y = 182
    digit(10, y)
    d.text(10, y - 14, "RNN: row after row", anchor="start", bold=True, size=13)
    d.box(10, y + 4 * side, 120, side, color=BLUE, fill=0.3, line=2.4, radius=0)
    for row in range(8):
        d.circle(150, y + 7.5 + side * row, 5, color=BLUE, fill=0.75 if row <= 4 else 0.1)
        if row:
            d.line((150, y - 2.5 + side * row), (150, y + 2.5 + side * row), color=BLUE, width=2)
    d.arrow((131, y + 67), (144, y + 67), color=BLUE)
    d.text(
        168,
        y + 58,
        "A memory is carried down:\nthe last row hears of the\nfirst only through all "
        "the\nrows between.",
        anchor="start",
        size=11.5,
    )
    y = 340
    digit(10, y)
    d.text(10, y - 14, "ViT: patches, all with all", anchor="start", bold=True, size=13)
    centres = [(10 + 20 + 40 * j, y + 20 + 40 * i) for i in range(3) for j in range(3)]
    for index, a in enumerate(centres):
        for b in centres[index + 1 :]:
            d.line(a, b, color=PURPLE, width=0.8, opacity=0.7)
    for i in range(1, 3):
        d.line((10 + 40 * i, y), (10 + 40 * i, y + 120), color=PURPLE, width=1.6)
        d.line((10, y + 40 * i), (130, y + 40 * i), color=PURPLE, width=1.6)
    for a in centres:
        d.circle(*a, 4, color=PURPLE, fill=1)
    d.text(
        150,
        y + 60,
        "Every patch may look at every\nother at once. Where each one\nstood it must "
        "be told: by a\nposition added to it.",
        anchor="start",
        size=11.5,
    )
    return d
