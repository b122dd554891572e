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
