"""The book's drawings: each function returns one, made of the helpers in ``drawing.py``."""

from tutorial_utils.interactive.drawing import (
    BLUE,
    FROZEN,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    TRAINED,
    VERMILION,
    Drawing,
)
from tutorial_utils.interactive.drawings_layers import (
    batchnorm_axes,
    fully_connected,
    multi_channel_convolution,
    stride_padding_dilation,
)
from tutorial_utils.interactive.drawings_networks import (
    architectures,
    attention,
    inception_block,
    readers_of_a_digit,
    residual_block,
    separable_block,
)

__all__ = [
    "architectures",
    "attention",
    "batchnorm_axes",
    "checkpointing",
    "contrastive_matrix",
    "data_flow",
    "data_parallel",
    "five_regimes",
    "folder_tree",
    "fully_connected",
    "inception_block",
    "lora",
    "multi_channel_convolution",
    "number_formats",
    "readers_of_a_digit",
    "residual_block",
    "separable_block",
    "splits",
    "stride_padding_dilation",
    "two_tasks",
]


def _legend(d: Drawing, y: float, rows: list[tuple[dict, str]]) -> None:
    """Write one line for each kind of box, from ``y`` down."""
    for index, (look, words) in enumerate(rows):
        d.box(6, y + 19 * index, 22, 13, line=1.5, **look)
        d.text(36, y + 6.5 + 19 * index, words, anchor="start", size=11.5)


def five_regimes() -> Drawing:
    """Five ways to train: what is frozen (grey), what learns (coloured), at which rate."""
    d = Drawing(
        "Five ways to train one network",
        "The same network, four blocks and a head, five times. From scratch: all random at first, "
        "all trained at the rate eta. Frozen: the pretrained blocks stay as they are, only the new "
        "head learns. Head, then full: first only the head, then everything at a tenth of the "
        "rate. Full: everything learns at one rate. Discriminative rates: the blocks learn at a "
        "tenth of the head's rate.",
        1,
    )
    d.text(61 + 94, 10, "backbone: four blocks", size=11.5)
    d.text(278, 10, "head", size=11.5)
    fast, slow, off = "η", "η/10", "0"
    rows = [
        ("From scratch", [[fast] * 5], True),
        ("Frozen", [[off] * 4 + [fast]], False),
        ("Head, then full", [[off] * 4 + [fast], [slow] * 5], False),
        ("Full", [[fast] * 5], False),
        ("Discriminative rates", [[slow] * 4 + [fast]], False),
    ]
    looks = {
        off: {"color": FROZEN, "fill": 0.15},
        slow: {"color": TRAINED, "fill": 0.14},
        fast: {"color": TRAINED, "fill": 0.45},
    }
    y = 22
    for name, stages, random in rows:
        d.text(4, y + 7, name, anchor="start", bold=True, size=13)
        y += 18
        for number, stage in enumerate(stages):
            if len(stages) > 1:
                d.text(30, y + 14, ("first", "then")[number], size=11.5)
            for index, rate in enumerate(stage):
                x = 61 + 48 * index + (4 if index == 4 else 0)
                new = random or (index == 4 and number == 0)
                d.box(x, y, 42, 28, rate, dashed=new, line=1.6, **looks[rate])
                if index:
                    d.line((x - (10 if index == 4 else 6), y + 14), (x, y + 14))
            y += 35
        y += 7
    _legend(
        d,
        y + 4,
        [
            (looks[off], "frozen: rate 0, keeps its pretrained weights"),
            (looks[slow], "learns slowly, at a tenth of the rate η"),
            (looks[fast], "learns at the rate η"),
            ({"color": INK, "fill": 0, "dashed": True}, "dashed: starts from random weights"),
        ],
    )
    d.height = y + 82
    return d


def _bars(d: Drawing, x: float, y: float, rows: list[tuple[str, float]], width: float) -> None:
    """Draw horizontal bars with their label at the left."""
    for index, (label, value) in enumerate(rows):
        top = y + 17 * index
        d.text(x - 5, top + 6, label, anchor="end", size=11)
        d.box(x, top, max(width * value, 1), 12, color=GREEN, fill=0.55, line=0, radius=1)
        d.text(x + width * value + 4, top + 6, f"{value:.2f}", anchor="start", size=11)


def data_flow() -> Drawing:
    """From a photo to probabilities: the stations of a classifier, each with its shape."""
    d = Drawing(
        "From a photo to probabilities",
        "Seven stations with the shapes between them, for MobileNetV2. A photo of 640 by 480 "
        "pixels is resized, cropped to 224 by 224 and normalised; the backbone turns it into 1280 "
        "maps of 7 by 7; their means are 1280 features; the head turns these into one logit for "
        "each of 1000 classes, and softmax makes probabilities that sum to 1.",
        460,
    )
    # Photo and preprocessing.
    d.text(4, 9, "1  photo", anchor="start", bold=True)
    d.picture(12, 28, 62)
    d.box(4, 24, 78, 70, fill=0, line=1)
    d.text(43, 106, "480 × 640\npixels, RGB", size=11)
    d.line((43, 118), (43, 122), opacity=0)
    d.text(112, 9, "2  preprocessing", anchor="start", bold=True)
    d.arrow((86, 59), (109, 59))
    d.box(114, 24, 78, 58, fill=0, line=0.8, dashed=True)
    d.picture(122, 27, 52)
    d.text(153, 106, "resize: short\nside 256", size=11)
    d.arrow((196, 59), (211, 59))
    d.picture(217, 33, 52)
    d.text(243, 106, "crop 224,\nto 0 … 1", size=11)
    d.arrow((273, 59), (288, 59))
    for index, color in enumerate((BLUE, GREEN, VERMILION)):
        d.box(294 + 6 * index, 45 - 6 * index, 46, 46, color=color, fill=0.35, line=1, radius=0)
    d.text(315, 106, "normalise\n3×224×224", size=11)
    # Backbone.
    d.arrow((323, 122), (323, 138), (14, 138), (14, 172))
    d.text(4 + 24, 152, "3  backbone: smaller maps, more channels", anchor="start", bold=True)
    stages = [(112, 32), (56, 24), (28, 32), (14, 96), (7, 1280)]
    x = 8
    for side, channels in stages:
        high, wide = 8 + 0.5 * side, 6 + 0.55 * channels**0.65
        d.volume(x, 214 - high / 2 + 10, wide, high, 6 + 0.18 * side, color=TRAINED, fill=0.25)
        label = f"{channels}\n{side}×{side}"
        d.text(x + wide / 2 + 10, 276, label, size=11)
        x += wide + 6 + 0.13 * side + 26
    # Features.
    d.arrow((322, 292), (322, 306), (14, 306), (14, 330))
    d.text(28, 319, "4  features: the mean of each map", anchor="start", bold=True)
    shades = [0.1, 0.5, 0.2, 0.8, 0.05, 0.3, 0.6, 0.1, 0.9, 0.2, 0.4, 0.15, 0.7, 0.05, 0.35, 0.55]
    for index, shade in enumerate(shades):
        d.box(8 + 12 * index, 334, 12, 18, color=PURPLE, fill=shade, line=0.8, radius=0)
    d.text(8 + 12 * 16 + 8, 343, "… 1280 numbers", anchor="start")
    # Head and probabilities.
    d.arrow((14, 354), (14, 388))
    d.text(28, 371, "5  head", anchor="start", bold=True)
    d.box(4, 392, 108, 42, color=ORANGE, fill=0.3)
    d.text(58, 413, "W: 1000 × 1280\nb: 1000", size=12)
    d.arrow((116, 413), (136, 413))
    d.text(140, 371, "6  logits", anchor="start", bold=True)
    d.grid(142, 386, [["17.1"], ["16.0"], ["2.3"]], side=44, height=18, size=11.5)
    d.text(150, 449, "… 1000", size=11)
    d.arrow((190, 413), (228, 413))
    d.text(211, 449, "softmax", size=11)
    d.text(224, 371, "7  probabilities", anchor="start", bold=True)
    _bars(d, 266, 389, [("cat", 0.72), ("lynx", 0.24), ("cup", 0.0)], 56)
    d.text(305, 449, "… sum to 1", size=11)
    return d


def splits() -> Drawing:
    """Training, validation and test images: who looks at which, when, and what for."""
    d = Drawing(
        "Who looks at which images, and when",
        "Three sets of images: training, validation and test. Rows are moments. At every step the "
        "gradient looks at training images. After every epoch, and to choose rate, augmentation "
        "and when to stop, you look at the validation images. Once, at the very end, you look at "
        "the test images, and change nothing afterwards.",
        336,
    )
    columns = [
        ("training", BLUE, 62, 132),
        ("validation", ORANGE, 199, 90),
        ("test", GREEN, 294, 64),
    ]
    for name, color, x, wide in columns:
        d.box(x, 4, wide, 34, name, color=color, fill=0.35, size=12, bold=True)
    moments = [
        ("every\nstep", 0, "the gradient\nchanges the weights"),
        ("every\nepoch", 1, "how far\nare we?"),
        ("every\nchoice", 1, "rate? stop?\nwhich model?"),
        ("once, at\nthe end", 2, "how good\nis it?"),
    ]
    for row, (when, looks, why) in enumerate(moments):
        y = 50 + 62 * row
        d.text(56, y + 27, when, anchor="end", size=12, bold=True)
        for index, (_, color, x, wide) in enumerate(columns):
            if index == looks:
                d.box(x, y, wide, 54, color=color, fill=0.22)
                _eye(d, x + wide / 2, y + 12)
                d.text(x + wide / 2, y + 36, why, size=11)
            else:
                d.box(x, y, wide, 54, color=FROZEN, fill=0.05, line=0.7, dashed=True)
    d.text(
        180,
        314,
        "After the last row nothing is changed any more:\n"
        "images that chose something cannot judge it.",
        size=12,
    )
    return d


def _eye(d: Drawing, x: float, y: float) -> None:
    """Draw an eye."""
    upper = [(x - 11, y), (x - 5, y - 5.5), (x, y - 6.5), (x + 5, y - 5.5), (x + 11, y)]
    d.polygon(upper + [(2 * x - a, 2 * y - b) for a, b in upper[1:-1]], fill=0, width=1.2)
    d.circle(x, y, 2.8, fill=1)


def two_tasks() -> Drawing:
    """ImageNet's task beside yours: the backbone is handed over, the head is new."""
    d = Drawing(
        "ImageNet's task, and yours",
        "Above, pretraining: 1.28 million photos of 1000 classes train a backbone and a head of "
        "1000 outputs. Below, your task: a few hundred photos of 8 classes. The backbone's weights "
        "are copied down; the head of 1000 outputs is left behind and a new one of 8, with random "
        "weights, takes its place.",
        306,
    )
    for y, title, pictures, count, classes, color in (
        (6, "ImageNet's task", 12, "1.28 million photos", "1000\nclasses", BLUE),
        (166, "Your task", 3, "a few hundred", "8\nclasses", ORANGE),
    ):
        d.text(4, y + 4, title, anchor="start", bold=True, size=13)
        for index in range(pictures):
            d.picture(6 + 22 * (index % 4), y + 20 + 22 * (index // 4), 20)
        d.text(4, y + 112 if pictures > 4 else y + 56, count, anchor="start", size=11)
        d.arrow((100, y + 50), (116, y + 50))
        for index in range(4):
            high = 60 - 10 * index
            d.box(120 + 32 * index, y + 50 - high / 2, 26, high, color=BLUE, fill=0.3)
        d.arrow((246, y + 50), (262, y + 50))
        d.box(
            266,
            y + 32,
            34,
            36,
            "head",
            color=color,
            fill=0.4,
            dashed=pictures == 3,
            size=11,
        )
        d.arrow((302, y + 50), (314, y + 50))
        d.text(336, y + 50, classes, size=11)
    d.text(180, 98, "backbone: 2.2 million weights", size=11)
    d.arrow((180, 110), (180, 176), color=BLUE, width=3)
    d.text(190, 136, "copied", anchor="start", bold=True)
    d.line((283, 80), (283, 132), dashed=True, color=FROZEN)
    d.text(283, 140, "stays behind", size=11)
    d.text(286, 250, "new: starts random,\nsays what you need", size=11)
    d.text(160, 268, "starts from what\nImageNet taught", size=11)
    return d


def lora() -> Drawing:
    """LoRA: the large matrix stays frozen, two thin ones beside it learn."""
    d = Drawing(
        "LoRA: a thin detour learns",
        "An input of 768 numbers goes through the frozen matrix W, 768 by 768, and beside it "
        "through two thin trained matrices: A, 8 by 768, and B, 768 by 8, whose product is scaled "
        "by alpha over r. The two results are added. Frozen 589,824 weights, trained 12,288.",
        300,
    )
    d.text(180, 10, "x: 768 numbers", bold=True)
    d.arrow((170, 20), (90, 20), (90, 46))
    d.arrow((190, 20), (270, 20), (270, 46))
    d.box(24, 48, 132, 132, "W, frozen\n768 × 768\n589,824", color=FROZEN, fill=0.2, size=13)
    d.box(204, 48, 132, 20, "A, learns: 8 × 768", color=TRAINED, fill=0.4, size=11)
    d.arrow((270, 68), (270, 92))
    d.text(278, 80, "r = 8 numbers", anchor="start", size=11)
    d.box(260, 94, 20, 86, color=TRAINED, fill=0.4)
    d.text(288, 126, "B, learns:\n768 × 8,\nstarts at 0", anchor="start", size=11)
    d.arrow((270, 180), (270, 190))
    d.box(236, 192, 68, 22, "× α / r", color=INK, fill=0.06)
    d.arrow((270, 214), (270, 232), (193, 232))
    d.arrow((90, 180), (90, 232), (167, 232))
    d.circle(180, 232, 11, "+", color=TRAINED, fill=0.25)
    d.arrow((180, 244), (180, 258))
    d.text(180, 268, "W x + (α / r) B A x", bold=True, size=13)
    d.text(180, 288, "2 % of the weights learn; afterwards B A is added into W", size=11)
    return d


def number_formats() -> Drawing:
    """float32, bfloat16 and float16: how the bits are shared out, and what that allows."""
    d = Drawing(
        "Three ways to store a number",
        "float32 has 1 sign bit, 8 exponent bits and 23 mantissa bits. bfloat16 keeps the 8 "
        "exponent bits, so the same range, with only 7 for the mantissa, about 2 digits. float16 "
        "has 5 and 10: 3 digits, but it overflows above 65504 and loses small gradients.",
        268,
    )
    formats = [
        ("float32", 8, 23, "up to 3 · 10³⁸, about 7 digits"),
        ("bfloat16", 8, 7, "up to 3 · 10³⁸, about 2 to 3 digits"),
        ("float16", 5, 10, "up to 65,504, about 3 digits"),
    ]
    side = 10.8
    for index, (name, exponent, mantissa, words) in enumerate(formats):
        y = 8 + 76 * index
        d.text(4, y + 4, name, anchor="start", bold=True, size=13)
        d.text(356, y + 4, words, anchor="end", size=11)
        for bit in range(1 + exponent + mantissa):
            color = FROZEN if not bit else ORANGE if bit <= exponent else BLUE
            d.box(6 + side * bit, y + 16, side, 22, color=color, fill=0.4, line=0.8, radius=0)
        x = 6 + side
        d.text(x + side * exponent / 2, y + 50, f"exponent {exponent}", size=11, color=INK)
        x += side * exponent
        d.text(x + side * mantissa / 2, y + 50, f"mantissa {mantissa}", size=11)
    _legend(
        d,
        232,
        [
            ({"color": ORANGE, "fill": 0.4}, "how large (range)"),
            ({"color": BLUE, "fill": 0.4}, "how exact"),
        ],
    )
    return d


def checkpointing() -> Drawing:
    """Checkpointing: keep a few activations, compute the others again when they are needed."""
    d = Drawing(
        "Checkpointing: memory for time",
        "Eight layers. Usually all eight outputs are kept from the forward pass until the backward "
        "pass has used them. With checkpoints only two are kept; when the backward pass reaches a "
        "segment, its outputs are computed once more. Less memory, about one more forward pass.",
        262,
    )
    for y, title, kept in (
        (6, "Usually: all outputs are kept", range(8)),
        (104, "With checkpoints: every fourth is kept", (3, 7)),
    ):
        d.text(4, y + 4, title, anchor="start", bold=True)
        d.text(4, y + 30, "forward", anchor="start", size=11)
        for index in range(8):
            x = 62 + 37 * index
            stays = index in kept
            color = TRAINED if stays else FROZEN
            d.box(
                x,
                y + 18,
                28,
                26,
                index + 1,
                color=color,
                fill=0.5 if stays else 0.05,
                dashed=not stays,
            )
            if index:
                d.arrow((x - 9, y + 31), (x - 0.5, y + 31))
        d.arrow((350, y + 56), (62, y + 56), color=BLUE)
        d.text(4, y + 56, "backward", anchor="start", size=11)
    d.bracket(62, 178, 201, 178, depth=5)
    d.text(132, 190, "computed again", size=11)
    d.bracket(210, 178, 349, 178, depth=5)
    d.text(280, 190, "computed again", size=11)
    _legend(
        d,
        208,
        [
            ({"color": TRAINED, "fill": 0.5}, "kept in memory until the backward pass"),
            ({"color": FROZEN, "fill": 0.05, "dashed": True}, "thrown away, computed once more"),
        ],
    )
    d.height = 252
    return d


def data_parallel() -> Drawing:
    """Data parallel training: each device a part of the batch, then one averaged gradient."""
    d = Drawing(
        "Data parallel: one batch, two devices",
        "A batch of eight images is split in two. Each of two devices holds a whole copy of the "
        "model, computes the gradient of its own four images, and the two gradients are averaged "
        "while the backward pass still runs. Both copies take the same step and stay equal.",
        318,
    )
    d.text(180, 10, "one batch", bold=True)
    for index in range(8):
        d.picture(68 + 28 * index, 20, 24)
    for x, name in ((90, "device 1"), (270, "device 2")):
        d.arrow((x + (34 if x < 180 else -34), 48), (x, 72))
        d.box(x - 74, 74, 148, 156, color=INK, fill=0.03, dashed=True)
        d.text(x, 86, name, bold=True)
        d.box(
            x - 58, 98, 116, 46, "the whole model\n(same weights)", color=TRAINED, fill=0.3, size=11
        )
        d.arrow((x, 146), (x, 164))
        d.box(
            x - 58,
            166,
            116,
            46,
            f"gradient of\nimages {'1–4' if x < 180 else '5–8'}",
            color=BLUE,
            fill=0.3,
            size=11.5,
        )
    d.arrow((90, 232), (90, 254), (122, 254))
    d.arrow((270, 232), (270, 254), (238, 254))
    d.box(124, 242, 112, 26, "mean of both", color=GREEN, fill=0.3, bold=True)
    d.text(
        180,
        290,
        "The same gradient goes back to both: both take\nthe same step and stay equal.",
        size=11.5,
    )
    return d


def contrastive_matrix() -> Drawing:
    """CLIP's training: each photo must find its own caption in the batch, and the other way."""
    d = Drawing(
        "Each photo must find its own caption",
        "Four photos as rows and their four captions as columns; each cell holds the likeness of a "
        "photo's vector and a caption's vector. On the diagonal stand the true pairs: training "
        "makes them large and all others small, by a softmax along each row and along each column.",
        322,
    )
    captions = ("a cat", "a cup of\ncoffee", "a rocket", "a brick\nwall")
    likeness = [
        [9.1, 2.0, 1.1, 0.7],
        [1.6, 8.4, 0.9, 1.8],
        [0.8, 1.2, 8.8, 1.3],
        [0.5, 2.2, 1.4, 7.9],
    ]
    x, y, side = 96, 62, 54
    colors = {(i, j): GREEN if i == j else FROZEN for i in range(4) for j in range(4)}
    d.text(x + 108, 10, "text encoder: one vector for each caption", size=11)
    for index, caption in enumerate(captions):
        d.text(x + side * (index + 0.5), 32, caption, size=11)
        d.arrow((x + side * (index + 0.5), 47), (x + side * (index + 0.5), 60))
        d.text(46, y + side * (index + 0.5), f"photo {index + 1}", size=12)
        d.arrow((74, y + side * (index + 0.5)), (94, y + side * (index + 0.5)))
    for i in range(4):
        for j in range(4):
            same = i == j
            d.box(
                x + side * j,
                y + side * i,
                side,
                side,
                likeness[i][j],
                color=colors[i, j],
                fill=0.55 if same else 0.08,
                line=1,
                radius=0,
                bold=same,
                size=13,
            )
    d.text(10, y + 108, "image encoder", size=11, turn=-90)
    d.text(
        180,
        299,
        "softmax along each row: which caption is mine?\n"
        "and along each column: which photo is mine?",
        size=11.5,
    )
    return d


def folder_tree() -> Drawing:
    """What goes in, a folder for each class, and what comes out: model, report, predictions."""
    d = Drawing(
        "A folder goes in, a model and a report come out",
        "Left, your photos: a folder with one folder for each class, cats and dogs, and the photos "
        "in them. One command makes of it a folder with the model, a report to open in a browser "
        "and, later, a table of predictions for new photos.",
        250,
    )
    d.text(4, 10, "your photos", anchor="start", bold=True, size=13)
    rows = [(0, "photos/"), (1, "cats/"), (2, "felix.jpg"), (2, "minka.jpg"), (2, "…")]
    rows += [(1, "dogs/"), (2, "rex.jpg"), (2, "bello.png"), (2, "…")]
    for index, (level, name) in enumerate(rows):
        x, y = 6 + 22 * level, 34 + 22 * index
        folder = name.endswith("/")
        if folder:
            tab = [(x, y - 7), (x + 7, y - 7), (x + 9, y - 4), (x + 18, y - 4), (x + 18, y + 7)]
            d.polygon([*tab, (x, y + 7)], color=ORANGE, fill=0.45)
        elif name != "…":
            d.picture(x + 1, y - 8, 16)
        d.text(x + 24, y, name, anchor="start", bold=folder)
        if level:
            d.line((x - 14, y - 12), (x - 14, y), (x - 3, y), width=0.8, opacity=0.7)
    d.line((14, 42), (14, 144), width=0.8, opacity=0.7)
    d.arrow((140, 122), (186, 122), width=3, color=BLUE)
    d.text(163, 144, "one\ncommand", size=11)
    d.text(200, 10, "what comes out", anchor="start", bold=True, size=13)
    d.box(200, 30, 154, 40, "the model\nloads again anywhere", color=GREEN, fill=0.25, size=11)
    d.box(200, 80, 154, 104, color=BLUE, fill=0.1)
    d.text(277, 92, "the report", bold=True)
    for index, wide in enumerate((120, 96, 74)):
        d.box(212, 104 + 12 * index, wide, 7, color=GREEN, fill=0.5, line=0, radius=0)
    d.grid(216, 144, [["9", "1"], ["2", "8"]], 17, {(0, 0): GREEN, (1, 1): GREEN}, size=11)
    d.picture(266, 144, 34)
    d.picture(308, 144, 34)
    d.box(200, 194, 154, 40, "predictions\nfor new photos", color=ORANGE, fill=0.25, size=11)
    return d
