"""What more photos cost: memory, and time a photo, from 1,000 to 100,000 rendered images.

The images are coloured clouds of 96 x 72 pixels, all different, so that the fixed cost of a file
shows most. Each measurement is a process of its own: of a folder (1) inspection, division, and one
pass of the loader over all photos at 32 pixels; (2) cached features, 1,280 a photo in float16, of a
net of one convolution; and (3) the linear probe on as many rows of made-up features, ten classes,
two strengths. What is counted
is the processor time of one thread, and the most memory that the process held beyond its imports:
all of it, and "own", without the pages of mapped files, which the system may take back at any time.

Run it with `python benchmarks/finetune_growth.py`: about six minutes on one core, 1 GB of disk in
the temporary folder. It writes results/finetune_growth.json.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from tutorial_utils.checkpoints import eval_transform
from tutorial_utils.finetune.features import cache_features
from tutorial_utils.finetune.probe import fit_probe
from tutorial_utils.photo_folder.inspect import Photo, inspect_photos
from tutorial_utils.photo_folder.listing import list_photos
from tutorial_utils.photo_folder.loading import PhotoDataset, batches, eval_loader
from tutorial_utils.photo_folder.split import split_photos
from tutorial_utils.results import save_results

COUNTS = (1_000, 5_000, 20_000, 50_000, 100_000)
ROWS = (1_000, 15_000, 100_000)
CLASSES, FEATURES, PIXELS = 10, 1280, 32
TRANSFORM = eval_transform(PIXELS, PIXELS, [0.5] * 3, [0.25] * 3)


def render(root: Path, first: int, count: int) -> None:
    """Write the images from ``first`` to ``count``, the same number for each class."""
    for i in range(first, count):
        rng = np.random.default_rng(i)
        folder = root / f"class {i % CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        clouds = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        image = Image.fromarray(clouds).resize((96, 72), Image.Resampling.BICUBIC)
        image.save(folder / f"{i}.jpg", quality=85)


def memory() -> np.ndarray:
    """Return what this process holds, and what of it is no page of a file, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    values = {line.split(":")[0]: line.split()[1] for line in lines if "kB" in line}
    return np.array([int(values["VmRSS"]), int(values["RssAnon"])]) / 1000


class Meter:
    """The processor time of each part, and the peak of the memory beyond what was held at first."""

    def __init__(self):
        self.first, self.peak, self.seconds = memory(), memory(), {}
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        while True:
            self.peak = np.maximum(self.peak, memory())
            time.sleep(0.02)

    @contextmanager
    def part(self, name: str):
        """Measure the time of a part."""
        begin = time.thread_time()
        yield
        self.seconds[name] = round(time.thread_time() - begin, 3)

    def result(self) -> dict:
        """Return what was measured."""
        rss, own = (self.peak - self.first).round().astype(int).tolist()
        return {"seconds": self.seconds, "peak_mb": rss, "own_peak_mb": own}


def photos_task(root: Path, meter: Meter) -> None:
    begin = time.process_time()
    found = inspect_photos(root, progress=False, workers=1)
    meter.seconds["inspect"] = round(time.process_time() - begin, 3)  # it reads in a thread
    with meter.part("near duplicates"):
        groups = len(found.near_groups)
    with meter.part("split"):
        parts = split_photos(found)
    assert groups == 0
    assert sum(map(len, parts.values())) == len(found.photos)
    with meter.part("loader pass"):
        data = PhotoDataset(root, found.photos, TRANSFORM, read_size=PIXELS)
        seen = sum(len(labels) for _, labels in batches(eval_loader(data, 32)))
    assert seen == len(found.photos)


def features_task(root: Path, meter: Meter) -> None:
    listing = list_photos(root)
    photos = [Photo(f.path, f.label, None, 96, 72, "RGB", "", 0) for f in listing.files]
    data = PhotoDataset(root, photos, TRANSFORM, read_size=PIXELS)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, FEATURES, PIXELS, 4), nn.ReLU(), nn.Flatten()).eval()
    with tempfile.TemporaryDirectory() as folder, meter.part("features"):
        rows = cache_features(net, data, Path(folder) / "f.npy", progress=False)
    assert rows.shape == (len(photos), FEATURES)


def probe_task(count: int, meter: Meter) -> None:
    rng = np.random.default_rng(0)
    labels = torch.arange(count) % CLASSES
    centres = rng.normal(0, 0.15, (CLASSES, FEATURES))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npy"
        rows = np.lib.format.open_memmap(path, "w+", np.float16, (count, FEATURES))
        for i in range(0, count, 1000):
            noise = rng.standard_normal((1000, FEATURES), dtype=np.float32)
            rows[i : i + 1000] = np.abs(noise + centres[labels[i : i + 1000]])
        del rows
        few = np.load(path, mmap_mode="r")[:1000]
        meter.first = memory()
        meter.peak = memory()
        with meter.part("probe"):
            rows = np.load(path, mmap_mode="r")
            fit_probe(rows, labels, few, labels[:1000], CLASSES, l2=(1.0, 0.1))


def run(task: str, argument: str) -> None:
    """Measure one task in this process and print the result."""
    torch.set_num_threads(1)
    meter = Meter()
    if task == "probe":
        probe_task(int(argument), meter)
    else:
        {"photos": photos_task, "features": features_task}[task](Path(argument), meter)
    print(json.dumps(meter.result()))


def measure(task: str, argument) -> dict:
    """Measure one task in a process of its own."""
    command = [sys.executable, __file__, task, str(argument)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def main() -> None:
    results = {"photos": {}, "features": {}, "probe": {}}
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "photos"
        for before, count in pairwise((0, *COUNTS)):
            render(root, before, count)
            for task in ("photos", "features"):
                found = results[task][str(count)] = measure(task, root)
                found["ms_a_photo"] = {
                    name: round(1000 * s / count, 4) for name, s in found["seconds"].items()
                }
                print(count, task, found, flush=True)
    for count in ROWS:
        results["probe"][str(count)] = measure("probe", count)
        print(count, "probe", results["probe"][str(count)], flush=True)
    results["torch"] = torch.__version__.split("+")[0]
    save_results("finetune_growth", results)


if __name__ == "__main__":
    run(*sys.argv[1:]) if len(sys.argv) == 3 else main()
