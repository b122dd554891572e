"""From torchvision's checkpoint and the scripts in this folder to the files that the page loads.

``tools/pack_lab.py`` calls :func:`pack`, which writes into one folder of the built book:

- ``lab.js``: all scripts as one, with the kernel's bytes inside, under 60 kB; ``lab.css``.
- ``weights.js``: MobileNetV2, BatchNorm folded, float16; what belongs to it: ImageNet's class names
  and a Python program that uses the exported head; 9.4 MB in all.
- ``ours.js``: rendered photos of solids, for readers who have no photos at hand.
- ``source/``: the scripts as they are, to read.

Weights and photos are scripts that set a variable, because a page that was opened from a folder
(``file://``) may load scripts and nothing else.
"""

import base64
import hashlib
import io
import json
import re
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
    "draw.js",
    "inside.js",
    "camera.js",
    "page.js",
)
# Worker and page are one script: a worker has no document, and is started from the text of it all.
WRAPPED = """(function bookLab() {
"use strict";
%s
if (typeof document === "undefined") return serve();
const FOLDER = document.currentScript.src.replace(/[^/]*$/, "");
if (!customElements.get("book-lab")) customElements.define("book-lab", BookLab);
})();
"""
CHECKPOINT = "mobilenet_v2-b0353104.pth"
OURS = ("cone", "torus", "cube")  # "Try it with ours": the classes,
# ... and the photos of each to learn from and to ask about afterwards. The last is for asking only:
# a head that knows cones and tori must call a cube one of them.
LEARN, ASK = (12, 12, 0), (3, 3, 2)
SIDE, SEED = 224, 700_000


# --- The scripts. ---


# What must stay as it is (strings, regular expressions), and what can go (comments).
TEXT = re.compile(r'"(?:\\.|[^"\\])*"')
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
PATTERN = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\n\[])+/[a-z]*")
TEMPLATE = re.compile(r"(?:\\.|[^`\\$]|\$(?!\{))*(`|\$\{)")  # to its end, or to the next ${


def tidy(source: str) -> str:
    """Drop comments, indentation and needless spaces; text in quotes and line ends stay."""
    out, code, at, depth = [], "", 0, []  # depth: of the braces inside each open ${

    def flush():
        nonlocal code
        code = re.sub(r"[ \n]*\n[ \n]*", "\n", code)
        # "+ +" and "- -" stay apart: without the space they would be another operator.
        code = re.sub(r" *([*/=<>?:;,(){}\[\]&|!%]) *|(?<![-+]) *([-+]) *(?![-+])", r"\1\2", code)
        out.append(code)
        code = ""

    while at < len(source):
        here = source[at]
        before = code.rstrip()[-1:] or "("
        kept = here == '"' and TEXT.match(source, at)
        if here == "/" and (found := COMMENT.match(source, at)):
            at = found.end()
            continue
        if here == "/" and before in "(=,:?&|![{};>":
            kept = PATTERN.match(source, at)
        if here == "`" or (here == "}" and depth and depth[-1] == 0):
            depth = depth[:-1] if here == "}" else depth
            kept = TEMPLATE.match(source, at + 1)
            depth += [0] * (kept[1] == "${")
        elif here in "{}" and depth:
            depth[-1] += 1 if here == "{" else -1
        if kept:
            flush()
            out.append(source[at : kept.end()])
            at = kept.end()
        else:
            code += here
            at += 1
    flush()
    return "".join(out).strip()


def read_scripts() -> str:
    """Return all scripts as one, with the kernel's bytes; tests call their functions."""
    kernel = base64.b64encode(assemble((FOLDER / "kernel.wat").read_text(encoding="utf-8")))
    parts = [tidy((FOLDER / name).read_text(encoding="utf-8")) for name in SCRIPTS]
    return "\n".join([f'const KERNEL = "{kernel.decode()}";', *parts])


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
    program = json.dumps((FOLDER / "take_along.py").read_text(encoding="utf-8"))
    content = f'half:{half},names:{listed},program:{program},data:"{data}"'
    return f"globalThis.bookLabWeights={{{content}}};\n"


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
    for place, (kind, learn, ask) in enumerate(zip(OURS, LEARN, ASK, strict=True)):
        numbers = range(1000 * place, 1000 * place + learn + ask)
        photos = [base64.b64encode(solid_photo(kind, number)).decode() for number in numbers]
        classes.append({"name": kind, "learn": photos[:learn], "ask": photos[learn:]})
    return f"globalThis.bookLabPhotos={json.dumps(classes, separators=(',', ':'))};\n"


# --- All of it. ---


def up_to_date(path: Path, *made_from: str | bytes) -> tuple[bool, str]:
    """Tell whether a script was made from these, and return its first line, which says so."""
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
    shutil.copyfile(FOLDER / "lab.css", folder / "lab.css")
    script = folder / "lab.js"
    text = WRAPPED % read_scripts()
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
