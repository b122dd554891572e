"""What the program's commands cost: inspect, predict on one photo and on a thousand.

Each command runs in a process of its own with one thread; what counts is its CPU time (user and
system) and its peak memory. They get a thousand copies of the photos of `--photos`, each with a
pixel changed. The network's own time is that of the same network, folded as ``predict`` folds it
and asked about the mirror image if the run asks for it, on tensors that are in memory. What
``finetune`` costs stands in results/finetune_rivals.json.

Run it with `python benchmarks/finetune_commands.py --photos FOLDER`: about two minutes on one core.
It writes results/finetune_commands.json.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image

from tutorial_utils._decoding import read_photo
from tutorial_utils.checkpoints import eval_transform
from tutorial_utils.inference.predict import asked_model, load
from tutorial_utils.results import save_results

COUNT = 1000


# Linux counts what this large process held into a child's peak; the child's own mark does not.
CHILD = """
import sys
from pathlib import Path
from tutorial_utils.finetune.cli import main
assert main(sys.argv[1:]) == 0
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0], file=sys.stderr)
"""


def command(*arguments) -> dict:
    """Run a command of ours; return its CPU seconds and its peak memory in MB."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, *map(str, arguments)],
            env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=said,
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        assert status == 0, arguments
        said.seek(0)
        peak = int(said.read().split()[-1]) / 1024
    return {"cpu_seconds": used.ru_utime + used.ru_stime, "peak_mb": peak}


def memory_of_importing(module: str) -> int:
    """Return the peak memory in MB of a process that imports a module and ends."""
    code = f"import {module}; print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)
    return round(int(done.stdout) / 1024)


def many(photos: Path, root: Path) -> Path:
    """Write ``COUNT`` photos into class folders, no two alike."""
    files = sorted(photos.rglob("*.jpg"))
    for i in range(COUNT):
        path = files[i % len(files)]
        target = root / path.parent.name / f"{i}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            changed = image.convert("RGB")
        changed.putpixel((i % 7, i % 5), (i % 256, 0, 0))
        changed.save(target, quality=90)
    return root


def network_seconds(run: Path, folder: Path) -> dict:
    """Return what reading and computing cost for the photos, each alone, in CPU seconds."""
    classifier = load(run)
    model, preprocessing = asked_model(classifier), classifier.preprocessing
    transform, files = eval_transform(**preprocessing), sorted(folder.rglob("*.jpg"))
    images = torch.stack([transform(read_photo(f, preprocessing["resize"])) for f in files[:16]])
    with torch.inference_mode():
        model(images)
        started = time.process_time()
        for _ in range(COUNT // 16):
            model(images)
        network = (time.process_time() - started) / (COUNT // 16 * 16)
    started = time.process_time()
    for file in files[:200]:
        transform(read_photo(file, preprocessing["resize"]))
    return {"network": network, "reading": (time.process_time() - started) / 200}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/clothing"))
    parser.add_argument("--run", type=Path, help="a finished run on them; made if not given")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder, run = many(options.photos, Path(scratch) / "many"), options.run
        if run is None:
            run = Path(scratch) / "run"
            command("finetune", options.photos, "--out", run, "--regime=probe", "--quiet", "--cpu")
        inspect = command("inspect", folder)
        one = command("predict", run, next(folder.rglob("*.jpg")))
        many_of = command("predict", run, folder, "--csv", Path(scratch) / "answers.csv")
        each = network_seconds(run, folder)
    predicted = (many_of["cpu_seconds"] - one["cpu_seconds"]) / (COUNT - 1)
    results = {
        "photos": COUNT, "model": load(run).name, "mirror": load(run).decision["mirror"],
        "inspect_ms_a_photo": round(1000 * inspect["cpu_seconds"] / COUNT, 1),
        "predict_one_seconds": round(one["cpu_seconds"], 1),
        "peak_mb": {
            **{f"import {m}": memory_of_importing(m) for m in ("torch", "torchvision")},
            "predict one": round(one["peak_mb"]), "predict many": round(many_of["peak_mb"]),
            "inspect": round(inspect["peak_mb"]),
        },
        "ms_a_photo": {"predict": round(1000 * predicted, 1),
                       **{k: round(1000 * v, 1) for k, v in each.items()}},
        "network_share_of_predict": round(each["network"] / predicted, 2),
        "torch": torch.__version__.split("+")[0],
    }  # fmt: skip
    print(results)
    save_results("finetune_commands", results)


if __name__ == "__main__":
    main()
