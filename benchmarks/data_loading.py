"""What loader workers gain: 0, 1 and 2 processes that decode JPEGs, alone and beside a busy device.

A loader reads photos of 1.6 megapixels and crops them at random to 224 pixels. First it runs
alone; then each batch is followed by a wait that stands for a step on a GPU, during which the
processor is free. The wait is 0.6 of the seconds d that a batch takes in the main process. Each
round runs every way once, in a new order. Workers need cores of their own, and other programs take
them away; so of all rounds the least time on the clock is stored, as a multiple of d.

Run it with `python benchmarks/data_loading.py`: some minutes. It writes results/data_loading.json;
book/trends.ipynb shows it.
"""

import os
import random
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from tutorial_utils.folders import make_loader
from tutorial_utils.photos import PHOTOS, load_photo
from tutorial_utils.results import save_results

WORKERS, STEP = (0, 1, 2), 0.6  # a step takes about this share of the seconds d a batch
BATCH, BATCHES, SKIPPED, ROUNDS = 4, 16, 6, 25  # the first batches wait for the workers' start


def write_photos(folder: Path) -> None:
    """Write the JPEGs that the loader reads."""
    (folder / "photos").mkdir()
    tiles = [np.array(load_photo(name, 512)) for name in PHOTOS]
    for number in range(16):
        order = random.Random(number).sample(range(len(tiles)), 6)
        rows = [np.concatenate([tiles[i] for i in part], 1) for part in (order[:3], order[3:])]
        image = Image.fromarray(np.concatenate(rows))
        image.save(folder / "photos" / f"{number:02}.jpg", quality=90)


def seconds_a_batch(dataset, workers: int, step: float) -> float:
    """Return the seconds a batch once the workers are at work."""
    loader = make_loader(dataset, BATCH, workers=workers)
    for number, _ in enumerate(loader):
        if number == SKIPPED:
            begin = time.perf_counter()
        if step:
            time.sleep(step)
    return (time.perf_counter() - begin - step) / (BATCHES - SKIPPED - 1)


def main() -> None:
    torch.set_num_threads(1)
    crop = [v2.RandomResizedCrop(224), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder))
        photos = ImageFolder(folder, v2.Compose(crop))
        photos.samples = (photos.samples * BATCH * BATCHES)[: BATCH * BATCHES]
        wait = STEP * min(seconds_a_batch(photos, 0, 0) for _ in range(15))
        ways = [(step, workers) for step in (0, STEP) for workers in WORKERS]
        least = dict.fromkeys(ways, float("inf"))
        for number in range(ROUNDS):
            random.Random(number).shuffle(ways)
            for step, workers in ways:
                seconds = seconds_a_batch(photos, workers, step and wait)
                least[step, workers] = min(seconds, least[step, workers])
            print(f"round {number}: {1000 * least[0, 0]:.0f} ms", flush=True)
    d = least[0, 0]
    results = {"alone": {}, "beside a step": {}}
    for (step, workers), seconds in sorted(least.items()):
        key = "beside a step" if step else "alone"
        results[key][str(workers)] = round(seconds / d, 3)
        print(f"{key:14} {workers} workers {seconds / d:.2f}")
    results |= {"step": round(wait / d, 3), "rounds": ROUNDS, "cores": os.cpu_count()}
    save_results("data_loading", results | {"torch": version("torch").split("+")[0]})


if __name__ == "__main__":
    main()
