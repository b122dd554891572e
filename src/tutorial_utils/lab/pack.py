"""From torchvision's checkpoint and the scripts in this folder to the files that the page loads.

``tools/pack_lab.py`` calls :func:`pack`, which writes into one folder of the built book:

- ``lab.js``: all scripts as one, with the style and the kernel's bytes inside; under 60 kB.
- ``weights.js``: MobileNetV2, BatchNorm folded, float16, and ImageNet's class names; 9.4 MB.
- ``ours.js``: rendered photos of solids, for readers who have no photos at hand.
- ``source/``: the scripts as they are, to read.

Weights and photos are scripts that set a variable, because a page that was opened from a folder
(``file://``) may load scripts and nothing else.
"""

import base64
import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tutorial_utils.lab.wat import assemble
from tutorial_utils.solids import render_solid

FOLDER = Path(__file__).parent
# In this order; each may use what stands before it. page.js comes last and starts all.
SCRIPTS = (
    "network.js",
    "untrained.js",
    "photo.js",
    "head.js",
    "export.js",
    "worker.js",
)
CHECKPOINT = "mobilenet_v2-b0353104.pth"
OURS = ("cone", "torus", "cube")  # "Try it with ours": the classes,
LEARN, ASK = 12, 4  # photos of each to learn from, and to ask about afterwards
SIDE, SEED = 224, 700_000


# --- The scripts. ---


def tidy(source: str) -> str:
    """Drop comment lines, doc comments and indentation: the page loads what the browser needs."""
    lines, comment = [], False
    for line in source.splitlines():
        line = line.strip()
        comment = comment or line.startswith("/**")
        if line and not comment and not line.startswith("//"):
            lines.append(line)
        comment = comment and not line.endswith("*/")
    return "\n".join(lines)


def read_scripts(names: tuple[str, ...] = SCRIPTS) -> str:
    """Return scripts behind one another, with the kernel's bytes; tests call their functions."""
    kernel = base64.b64encode(assemble((FOLDER / "kernel.wat").read_text(encoding="utf-8")))
    program = (FOLDER / "take_along.py").read_text(encoding="utf-8")
    parts = [f'const KERNEL = "{kernel.decode()}";', f"const PYTHON = {json.dumps(program)};"]
    return "\n".join(parts + [tidy((FOLDER / name).read_text(encoding="utf-8")) for name in names])


# --- The weights. ---


def folded_layers(model) -> Iterator[tuple[np.ndarray, np.ndarray, bool]]:
    """Yield each layer's weights (inputs, outputs), biases and whether it is depthwise, in float64.

    In use BatchNorm is a fixed scale and shift of each channel, ``scale * (x - mean) + bias``, so
    it goes into the convolution before it: ``scale`` into the weights, the rest into the biases.

    Args:
        model: torchvision's MobileNetV2.
    """
    import torch

    kinds = (torch.nn.Conv2d, torch.nn.BatchNorm2d)
    modules = [module for module in model.features.modules() if isinstance(module, kinds)]
    with torch.no_grad():
        for conv, norm in zip(modules[::2], modules[1::2], strict=True):
            scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
            weight = conv.weight.double() * scale[:, None, None, None]
            # (outputs, inputs, rows, columns) -> (rows * columns * inputs, outputs)
            flat = weight.permute(2, 3, 1, 0).reshape(-1, len(weight))
            bias = norm.bias.double() - norm.running_mean.double() * scale
            yield flat.numpy(), bias.numpy(), conv.groups > 1
        head = model.classifier[1]
        yield head.weight.double().T.numpy(), head.bias.double().numpy(), False


def strips(weight: np.ndarray) -> np.ndarray:
    """Return weights (inputs, outputs) in the kernel's order: (outputs / 8, inputs, 8)."""
    inputs, outputs = weight.shape
    return weight.reshape(inputs, outputs // 8, 8).transpose(1, 0, 2)


def pack_weights(model, dtype: str = "<f2") -> bytes:
    """Return all biases as float32, then each layer's weights as ``dtype`` (``<f2`` or ``<f4``)."""
    layers = list(folded_layers(model))
    parts = [bias.astype("<f4").tobytes() for _, bias, _ in layers]
    for weight, _, depthwise in layers:
        ordered = weight if depthwise else strips(weight)
        parts.append(ordered.astype(dtype).tobytes())
    return b"".join(parts)


def weights_script(model, names: list[str], dtype: str = "<f2") -> str:
    """Return the script that hands the weights to the page."""
    data = base64.b64encode(pack_weights(model, dtype)).decode()
    half = "true" if dtype == "<f2" else "false"
    listed = json.dumps(names, ensure_ascii=False, separators=(",", ":"))
    return f'globalThis.bookLabWeights={{half:{half},names:{listed},data:"{data}"}};\n'


# --- Photos to try it with. ---


def solid_photo(kind: str, number: int) -> bytes:
    """Return a rendered solid before a photo, as a JPEG."""
    pixels, _ = render_solid(kind, SEED + number, SIDE, "photos")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=88)
    return file.getvalue()


def photos_script() -> str:
    """Return the script with our photos: of each class some to learn from and some to ask about."""
    classes = []
    for place, kind in enumerate(OURS):
        first = 1000 * place
        photos = [
            base64.b64encode(solid_photo(kind, first + i)).decode() for i in range(LEARN + ASK)
        ]
        classes.append({"name": kind, "learn": photos[:LEARN], "ask": photos[LEARN:]})
    return f"globalThis.bookLabPhotos={json.dumps(classes, separators=(',', ':'))};\n"


# --- All of it. ---


def up_to_date(path: Path, *made_from: str | bytes) -> tuple[bool, str]:
    """Tell whether a script was made from these; return the line that says so at its top."""
    digest = hashlib.sha256()
    for part in made_from:
        digest.update(part.encode() if isinstance(part, str) else part)
    line = f"// made from {digest.hexdigest()[:16]}\n"
    if not path.is_file():
        return False, line
    with path.open(encoding="utf-8") as file:
        return file.readline() == line, line


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all: a build that is stopped leaves no half a script."""
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    partial.replace(path)


def pack(folder: str | Path) -> list[str]:
    """Write what is missing or out of date; return a line for each thing that was done.

    Without the checkpoint in torch.hub's cache there will be no ``weights.js``; the page says then
    what to do, and the last line returned says so too.
    """
    folder, done = Path(folder), []
    (folder / "source").mkdir(parents=True, exist_ok=True)
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in (".js", ".css", ".wat"):
            shutil.copyfile(path, folder / "source" / path.name)
    script = folder / "lab.js"
    text = read_scripts()
    fresh, line = up_to_date(script, text)
    if not fresh:
        write(script, line + text)
        done.append(f"{script.name}: {script.stat().st_size / 1000:.0f} kB")

    own = Path(__file__).read_bytes()
    photos = folder / "ours.js"
    fresh, line = up_to_date(photos, own, (FOLDER.parent / "_renderer.py").read_bytes())
    if not fresh:
        write(photos, line + photos_script())
        done.append(f"{photos.name}: {photos.stat().st_size / 1e6:.1f} MB of photos")

    weights = folder / "weights.js"
    fresh, line = up_to_date(weights, own, CHECKPOINT)
    if fresh:
        return done
    from torchvision.models import MobileNet_V2_Weights, mobilenet_v2  # four seconds

    from tutorial_utils.weights import cache_path, is_intact

    kind = MobileNet_V2_Weights.IMAGENET1K_V1
    if not is_intact(cache_path(kind)):
        weights.unlink(missing_ok=True)
        return [
            *done,
            f"no {weights.name}: run `python -m tutorial_utils.weights`, then build again",
        ]
    model = mobilenet_v2(weights=kind)
    write(weights, line + weights_script(model, kind.meta["categories"]))
    done.append(f"{weights.name}: {weights.stat().st_size / 1e6:.1f} MB of weights")
    return done
