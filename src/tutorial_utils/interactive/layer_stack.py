"""The layer-stack calculator: sizes, parameters, MACs and the receptive field, layer by layer."""

from collections.abc import Mapping, Sequence
from html import escape

from tutorial_utils.interactive.base import InteractiveFigure, photo_uri
from tutorial_utils.photos import load_photo

# kernel, stride, padding, output channels (0: a pool), dilation, groups, bias
Layer = tuple[int, int, int, int, int, int, int]


def conv(channels, kernel, stride=1, padding=0, dilation=1, groups=1, bias=True) -> Layer:
    """Return a convolutional layer with so many output channels and a square kernel."""
    return kernel, stride, padding, channels, dilation, groups, int(bias)


def pool(kernel, stride, padding=0) -> Layer:
    """Return a pooling layer; whether it takes the largest value or the mean is all the same."""
    return kernel, stride, padding, 0, 1, 1, 1


def bottleneck(inner: int) -> list[Layer]:
    """Return the three convolutions of a ResNet block, its normalisation and shortcut left out."""
    return [
        conv(inner, 1, bias=False),
        conv(inner, 3, padding=1, bias=False),
        conv(4 * inner, 1, bias=False),
    ]


def vgg(*blocks: tuple[int, int]) -> list[Layer]:
    """Return blocks of 3 × 3 layers, given as (layers, channels), with a 2 × 2 pool after each."""
    return [
        layer
        for count, channels in blocks
        for layer in [*[conv(channels, 3, padding=1)] * count, pool(2, 2)]
    ]


def separable(channels: int, out: int, stride: int = 1) -> list[Layer]:
    """Return a depthwise 3 × 3 and a 1 × 1 layer."""
    return [conv(channels, 3, stride, 1, groups=channels), conv(out, 1)]


# name -> (input channels, input rows and columns, layers)
STACKS = {
    "VGG-16": (3, 224, vgg((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))),
    "LeNet-5": (1, 32, [conv(6, 5), pool(2, 2), conv(16, 5), pool(2, 2), conv(120, 5)]),
    "ResNet-50: stem, stage 1": (
        3,
        224,
        [conv(64, 7, 2, 3, bias=False), pool(3, 2, 1), *(3 * bottleneck(64))],
    ),
    "depthwise separable": (
        3,
        224,
        [conv(32, 3, 2, 1), *separable(32, 64), *separable(64, 128, stride=2)],
    ),
    "dilated: 1, 2, 4, 8": (3, 64, [conv(16, 3, 1, d, d) for d in (1, 2, 4, 8)]),
    "dilated: always 2": (3, 64, [conv(16, 3, 1, 2, 2)] * 4),
}


def measure(channels: int, size: int, layers: Sequence[Layer]) -> list[dict[str, int]]:
    """Return each layer's output channels and size, parameters, MACs, jump and receptive field."""
    rows, jump, field = [], 1, 1
    for kernel, stride, padding, out, dilation, groups, bias in layers:
        span = dilation * (kernel - 1) + 1
        if size + 2 * padding < span:
            raise ValueError(f"layer {len(rows) + 1}: {span} pixels do not fit into {size}.")
        size, weights = (size + 2 * padding - span) // stride + 1, 0
        if out:
            if channels % groups or out % groups:
                raise ValueError(f"layer {len(rows) + 1}: {groups} groups do not divide channels.")
            weights, channels = out * (channels // groups) * kernel**2, out
        elif 2 * padding > kernel:
            raise ValueError(f"layer {len(rows) + 1}: a pool pads at most half of its kernel.")
        field, jump = field + (span - 1) * jump, stride * jump
        row = {"channels": channels, "size": size, "parameters": weights + bias * out}
        rows.append(row | {"macs": weights * size**2, "jump": jump, "field": field})
    return rows


class LayerStack(InteractiveFigure):
    """Layers as boxes with bars of what they cost; a unit's field on a photo; all can be changed.

    Args:
        stacks: name -> (input channels, input size, layers made with ``conv`` and ``pool``).
        photo: name from ``tutorial_utils.photos``, drawn at the size of the input.
    """

    script = "layer_stack.js"
    label = "Interactive figure: layer-stack calculator"
    title = "What each layer costs and sees"
    height = 470

    def __init__(
        self,
        stacks: Mapping[str, tuple[int, int, Sequence[Layer]]] = STACKS,
        photo: str = "astronaut",
    ) -> None:
        if not stacks:
            raise ValueError("give at least one stack of layers.")
        for name, (channels, size, layers) in stacks.items():
            if not layers or len(layers) > 24 or not 8 <= size <= 512:
                raise ValueError(f"{name}: give 1 to 24 layers and an input size of 8 to 512.")
            measure(channels, size, layers)
        self.stacks = dict(stacks)
        self.photo = load_photo(photo, 128)

    def parameters(self) -> dict:
        """Return the stacks; a layer's last numbers are left out where the script fills them in."""

        def short(layer: Layer) -> list:
            numbers, empty = list(layer), [1, 1, 0, 0, 1, 1, 1]
            while numbers[-1] == empty[len(numbers) - 1]:
                numbers.pop()
            return numbers

        return {
            "stacks": {
                name: (channels, size, [short(layer) for layer in layers])
                for name, (channels, size, layers) in self.stacks.items()
            }
        }

    def fallback(self) -> str:
        """Return the photo and the shortest stack's table."""
        name, (channels, size, layers) = min(self.stacks.items(), key=lambda item: len(item[1][2]))
        rows = "".join(
            f"<tr><td>{'conv' if out else 'pool'} {kernel}×{kernel}{f' /{stride}' * (stride > 1)}"
            f"<td>{row['channels']}×{row['size']}×{row['size']}<td>{row['parameters']:,}"
            f"<td>{row['macs']:,}<td>{row['jump']}<td>{row['field']}"
            for (kernel, stride, _, out, *_), row in zip(
                layers, measure(channels, size, layers), strict=True
            )
        )
        heads = ("layer", "C×H×W", "parameters", "MACs", "jump", "field")
        return (
            '<div style="display:flex;flex-wrap:wrap;gap:16px;align-items:center">'
            f'<img alt="A photo as the input" src="{photo_uri(self.photo)}" width="200">'
            f"<table><caption>{escape(name)}, input {channels}×{size}×{size}. “/2”: stride 2. Jump "
            f"and receptive field in input pixels.</caption><tr><th>{'<th>'.join(heads)}{rows}"
            "</table></div>"
        )
