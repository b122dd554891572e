"""Does the default recipe's fine-tuning beat its linear probe? Three seeds, three splits.

`tutorial-utils finetune PHOTOS --out RUN`, once with `--regime probe` and once as it is, one
thread. The photos of `--photos` (folders train, validation, test) are put together and divided anew
by each seed, 0.7, 0.15 and 0.15 of every class, so that the result does not hang on one small test
set. Both models of a seed see the same photos and are compared on the same test photos (McNemar's
test, over all seeds). The recipe's defaults (epochs, augmentation, moving average, framing) were
chosen among ten on 120 of these photos; those are a part of each split, so the tuned models' lead,
if any, is a little too large. What is stored are counts and CPU seconds.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from tutorial_utils._files import read_lines, read_state
from tutorial_utils.evaluation import mcnemar, mean_interval
from tutorial_utils.finetune.recipe import Recipe
from tutorial_utils.results import save_results

SEEDS = (0, 1, 2)


def run(photos: Path, out: Path, *options: str) -> tuple[torch.Tensor, float]:
    """Fine-tune in a process of its own; return which test photos are right, and CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "tutorial_utils.finetune", "finetune", str(photos),
         "--out", str(out), "--quiet", "--cpu", *options],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    outputs = read_state(out / "test.pt")
    return outputs["logits"].argmax(dim=1) == outputs["labels"], seconds


def pool(photos: Path, out: Path) -> Path:
    """Put the photos of all splits into class folders, as links."""
    for path in sorted(photos.glob("*/*/*")):
        target = out / path.parent.name / f"{path.parts[-3]}-{path.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path.resolve())
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/clothing"))
    photos = parser.parse_args().photos
    if not (photos / "train").is_dir():
        parser.error(f"there are no photos in {photos}: name a folder with --photos.")
    rows = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            pooled = pool(photos, folder / "photos")
            probe, probe_seconds = run(pooled, folder / "a", "--regime=probe", f"--seed={seed}")
            tuned, tuned_seconds = run(pooled, folder / "b", f"--seed={seed}")
            result = json.loads((folder / "b" / "result.json").read_text())
            log = read_lines(folder / "b" / "log.jsonl")
        only_probe, only_tuned, p = mcnemar(probe, tuned)
        rows.append(
            {"seed": seed, "photos": len(probe), "probe": int(probe.sum()),
             "tuned": int(tuned.sum()), "only_probe": only_probe, "only_tuned": only_tuned, "p": p,
             "chosen": result["chosen"], "epoch": result["epoch"],
             "validation": [row["accuracy"] for row in log],
             "precision": log[0]["precision"],
             "probe_seconds": round(probe_seconds, 1), "tuned_seconds": round(tuned_seconds, 1)}
        )  # fmt: skip
        print(rows[-1], flush=True)
        summary = {}
        if len(rows) > 1:
            for name in ("probe", "tuned"):
                summary[name] = mean_interval([row[name] / row["photos"] for row in rows])
        results = {"recipe": Recipe().to_json(), "runs": rows, "mean_low_high": summary}
        save_results("finetune_accuracy", results)


if __name__ == "__main__":
    main()
