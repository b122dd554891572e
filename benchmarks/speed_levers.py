"""What makes training and prediction faster or smaller on a CPU: ratios within one run.

Each round runs every variant once, in a new order, and divides by the plain one's time in the same
round; the medians over the rounds are stored, with the quarters. What is counted is the processor
time of one thread, which other programs on the machine disturb less than the time on the clock.
The plain variant is float32, channels first, uncompiled. Speed does not depend on the values of
the weights, so random ones do.

Run it with `python benchmarks/speed_levers.py`: about six minutes on one core. It writes
results/speed_levers.json; book/trends.ipynb plots it.
"""

import io
import platform
import random
import statistics
import time
from importlib.metadata import version

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint_sequential
from torchvision.models import get_model
from torchvision.transforms import v2

from tutorial_utils.photos import PHOTOS, load_photo
from tutorial_utils.results import save_results

MODELS = {"mobilenet_v2": (8, 224), "resnet50": (4, 224)}  # batch, pixels
ROUNDS = 12
LAST, BF16 = torch.channels_last, torch.bfloat16
# name -> memory format, autocast, compiled
VARIANTS = {
    "plain": (torch.contiguous_format, False, False),
    "channels-last": (LAST, False, False),
    "bfloat16": (torch.contiguous_format, True, False),
    "both": (LAST, True, False),
    "compiled": (torch.contiguous_format, False, True),
    "both, compiled": (LAST, True, True),
}


def took(action) -> float:
    """Return the processor time of an action."""
    begin = time.process_time()
    action()
    return time.process_time() - begin


def compare(actions: dict, reference: str, rounds: int) -> dict:
    """Return median and quarters of each action's time as a multiple of the reference's."""
    for action in actions.values():
        action()  # the first run sets things up, compilation too
        action()
    ratios, order = {name: [] for name in actions}, list(actions)
    for number in range(rounds):
        random.Random(number).shuffle(order)
        times = {name: took(actions[name]) for name in order}
        for name in actions:
            ratios[name].append(times[name] / times[reference])
    summary = {}
    for name, values in ratios.items():
        low, middle, high = statistics.quantiles(values, n=4)
        summary[name] = {"ratio": round(middle, 3), "quarters": [round(low, 3), round(high, 3)]}
        print(f"  {name:22} {middle:6.3f}  ({low:.3f} to {high:.3f})", flush=True)
    return summary


def predict(model, images, amp):
    """Predict once."""
    with torch.inference_mode(), torch.autocast("cpu", BF16, enabled=amp):
        model(images)


def step(model, images, amp):
    """Do the forward and the backward pass of one step."""
    labels = torch.zeros(len(images), dtype=torch.long)
    with torch.autocast("cpu", BF16, enabled=amp):
        loss = F.cross_entropy(model(images), labels)
    loss.backward()
    model.zero_grad()


def variants(name: str, training: bool) -> dict:
    """Return an action for each variant of a model."""
    batch, pixels = MODELS[name]
    images, actions = torch.randn(batch, 3, pixels, pixels), {}
    for label, (layout, amp, compiled) in VARIANTS.items():
        model = get_model(name, weights=None).to(memory_format=layout).train(training)
        x = images.to(memory_format=layout)
        run = torch.compile(model) if compiled else model
        action = step if training else predict
        actions[label] = lambda a=action, m=run, x=x, amp=amp: a(m, x, amp)
    return actions


def checkpointing() -> dict:
    """Return actions: a step of MobileNetV2's layers without and with checkpoints."""
    model = get_model("mobilenet_v2", weights=None).to(memory_format=LAST).train()
    images = torch.randn(8, 3, 224, 224).to(memory_format=LAST)

    def checkpointed():
        checkpoint_sequential(model.features, 4, images, use_reentrant=False).mean().backward()

    return {"plain": lambda: model.features(images).mean().backward(), "4 parts": checkpointed}


def frozen() -> dict:
    """Return actions: one step of the head through a frozen backbone, and on cached features."""
    model = get_model("mobilenet_v2", weights=None).to(memory_format=LAST).eval()
    model.features.requires_grad_(False)
    images = torch.randn(8, 3, 224, 224).to(memory_format=LAST)
    cached = model.features(images).mean((2, 3))
    labels = torch.zeros(8, dtype=torch.long)

    def train(x):
        F.cross_entropy(model.classifier(x), labels).backward()

    return {
        "through the backbone": lambda: train(model.features(images).mean((2, 3))),
        "cached features": lambda: [train(cached) for _ in range(50)],  # too short for one
    }


def few_parameters(name: str) -> dict:
    """Return actions: a training step that trains all weights, or the normalisations and the head.

    BatchNorm uses the batch's statistics in both, as in few_parameters.py.
    """
    batch, pixels = MODELS[name]
    images, actions = torch.randn(batch, 3, pixels, pixels).to(memory_format=LAST), {}
    for label in ("all", "norms"):
        model = get_model(name, weights=None).to(memory_format=LAST).train()
        if label == "norms":
            model.requires_grad_(False)
            for module in model.modules():
                if isinstance(module, torch.nn.BatchNorm2d | torch.nn.Linear):
                    module.requires_grad_(True)
        actions[label] = lambda m=model: step(m, images, False)
    return actions


def decoding() -> dict:
    """Return actions: a 12-megapixel JPEG to 256 pixels, decoded whole and at a reduced scale."""
    tiles = [np.array(load_photo(name, 512)) for name in PHOTOS]
    mosaic = np.concatenate([np.concatenate(tiles[i:] + tiles[:i], 1) for i in range(6)])
    file = io.BytesIO()
    Image.fromarray(mosaic).save(file, "JPEG", quality=90)
    shrink = v2.Resize(256)

    def decode(draft):
        file.seek(0)
        photo = Image.open(file)
        if draft:
            photo.draft("RGB", (256, 256))
        shrink(photo.convert("RGB"))

    print("  photo", mosaic.shape, len(file.getvalue()), "bytes")
    return {"whole": lambda: decode(False), "reduced": lambda: decode(True)}


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    results = {"predict": {}, "train": {}}
    for name in MODELS:
        for kind in results:
            print(name, kind)
            torch._dynamo.reset()
            results[kind][name] = compare(variants(name, kind == "train"), "plain", ROUNDS)
    print("checkpointing")
    results["checkpointing"] = compare(checkpointing(), "plain", ROUNDS)
    print("frozen")
    cached = compare(frozen(), "through the backbone", ROUNDS)
    for key in ("ratio", "quarters"):
        value = cached["cached features"][key]
        value = [v / 50 for v in value] if isinstance(value, list) else value / 50
        cached["cached features"][key] = value
    results["frozen"] = cached
    print("few parameters")
    results["few parameters"] = {n: compare(few_parameters(n), "all", ROUNDS) for n in MODELS}
    print("decoding")
    results["decoding"] = compare(decoding(), "whole", ROUNDS)
    results |= {
        "rounds": ROUNDS,
        "threads": 1,
        "batch_and_pixels": MODELS,
        "processor": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "bfloat16_instructions": bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()),
        "torch": version("torch").split("+")[0],
    }
    save_results("speed_levers", results)


if __name__ == "__main__":
    main()
