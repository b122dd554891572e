"""What the scale `full` asks of a T4, the GPU of a free Colab: time and memory, reckoned.

Two chapters do far more at `full` than at `tiny`: *Fine-tuning in five steps* and *The walkthrough*
train ResNet-50 on 3,068 photos of clothes. ``WORK`` says how many images each sends through its
network, counted from its cells. Counted here: the multiply-adds of a forward pass (torch's
FlopCounterMode, on tensors without memory), and the bytes that one training step keeps:
activations for the backward pass, weights, gradients and the optimiser's two moments.

Time: training on an image takes three forward passes (the walk back is two). A T4 does 8.1 TFLOP/s
in float32 at most (NVIDIA's data sheet); a quarter of that is reckoned. Reading is measured on this
machine, one process, on the photos of ``--photos``, and added, as if nothing ran at the same time.
It is an estimate to plan by, not a measurement.

Run it with `python benchmarks/full_scale.py --photos FOLDER`: under a minute. It writes
results/full_scale.json; the heads of these chapters show the minutes.
"""

import argparse
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from tutorial_utils.checkpoints import eval_transform
from tutorial_utils.folders import open_photo
from tutorial_utils.results import save_results

TFLOPS = 8.1 / 4
TRAIN, VALIDATION, TEST = 3068, 341, 372  # fetch_clothing
# Images that are trained on, images that only pass forward, images of a batch. Partly frozen
# training counts as whole: an upper bound.
WORK = {
    "five_steps": ("resnet50", 224, 7 * TRAIN, 4 * TRAIN + 6 * VALIDATION + TEST, 64),
    "walkthrough": ("resnet50", 224, 10 * TRAIN, 12 * VALIDATION + 2 * TEST, 32),
}


def count(name: str, size: int, batch: int) -> dict:
    """Return the GFLOP of an image's forward pass and the GB that a training step keeps."""
    with torch.device("meta"):
        model = models.get_model(name, weights=None).train()
        images = torch.empty(batch, 3, size, size)
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    counter = FlopCounterMode(display=False)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t), counter:
        model(images)
    weights = sum(p.numel() for p in model.parameters()) * 4
    return {
        "gflop_forward": counter.get_total_flops() / batch / 1e9,
        "gigabytes": (sum(kept.values()) + 3 * weights) / 1e9,  # the weights are among the kept
    }


def reading_seconds(photos: Path, most: int = 100) -> float:
    """Return the CPU seconds to decode a photo and bring it to 224 pixels."""
    files = [p for p in sorted(photos.rglob("*")) if p.suffix.lower() in (".jpg", ".jpeg")][:most]
    transform = eval_transform(resize=256, crop=224, mean=[0.5] * 3, std=[0.5] * 3)
    begin = time.process_time()
    for path in files:
        transform(open_photo(path))
    return (time.process_time() - begin) / len(files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/clothing"))
    reading = reading_seconds(parser.parse_args().photos)
    chapters = {}
    for chapter, (name, size, trained, forward, batch) in WORK.items():
        counted = count(name, size, batch)
        computing = (3 * trained + forward) * counted["gflop_forward"] / (TFLOPS * 1000)
        waiting = (trained + forward) * reading
        chapters[chapter] = {
            "model": name, "size": size, "batch": batch, "trained": trained, "forward": forward,
            **{key: round(value, 2) for key, value in counted.items()},
            "gpu_seconds": round(computing), "reading_seconds": round(waiting),
            "minutes": round((computing + waiting) / 60, 1),
        }  # fmt: skip
        print(chapter, chapters[chapter])
    values = {"reading_seconds_a_photo": round(reading, 4), "tflops": TFLOPS}
    save_results("full_scale", values | {"chapters": chapters})


if __name__ == "__main__":
    main()
