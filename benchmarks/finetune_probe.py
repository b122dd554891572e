"""The probe before and after: chosen on 15 % of the photos, or by cross-validation and refitted.

Before: fitted to the training photos, its penalty chosen on the validation photos. After: chosen by
stratified 5-fold cross-validation over both, refitted on both, with mirrored photos where that
helps in cross-validation. Both are judged on the same test photos; three divisions of each folder.

Run it with `python benchmarks/finetune_probe.py FOLDER ...` (class folders); it writes
results/finetune_probe.json.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from tutorial_utils.checkpoints import eval_transform
from tutorial_utils.evaluation import mcnemar
from tutorial_utils.finetune.features import cache_features, head_inputs
from tutorial_utils.finetune.model_factory import build_model
from tutorial_utils.finetune.probe import cross_validate, fit_probe, probe_logits
from tutorial_utils.finetune.recipe import Recipe
from tutorial_utils.photo_folder.inspect import inspect_photos
from tutorial_utils.photo_folder.loading import PhotoDataset
from tutorial_utils.photo_folder.split import split_photos
from tutorial_utils.results import save_results


def measure(folder: Path, seeds: int, image_size: int | None) -> dict:
    """Return the accuracies of both ways for some divisions of one folder."""
    found = inspect_photos(folder, progress=False)
    model, preprocessing = build_model(Recipe(image_size=image_size), found.classes)
    plain = head_inputs(model, torch.device("cpu"), "float32")
    data = PhotoDataset(
        folder, found.photos, eval_transform(**preprocessing), preprocessing["resize"]
    )
    started = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        both = np.array(
            cache_features(
                lambda x: torch.cat([plain(x), plain(x.flip(3))], dim=1), data,
                Path(scratch) / "f.npy", progress=False,
            )
        )  # fmt: skip
    seconds = time.process_time() - started
    width, classes = both.shape[1] // 2, len(found.classes)
    places = {photo.path: k for k, photo in enumerate(found.photos)}
    runs, right_before, right_after = [], [], []
    for seed in range(seeds):
        splits = split_photos(found, seed)
        rows = {s: [places[p.path] for p in part] for s, part in splits.items()}
        y = {s: torch.tensor([p.label for p in part]) for s, part in splits.items()}
        x, m = ({s: f[r] for s, r in rows.items()} for f in (both[:, :width], both[:, width:]))
        start = time.process_time()
        before = fit_probe(x["train"], y["train"], x["validation"], y["validation"], classes)
        middle = time.process_time()
        pool = np.concatenate([x["train"], x["validation"]])
        mirrored = np.concatenate([m["train"], m["validation"]])
        labels = torch.cat([y["train"], y["validation"]])
        after = cross_validate(pool, labels, np.arange(len(labels)), classes, mirrored, seed=seed)
        end = time.process_time()
        logits = probe_logits(after.probe, x["test"])
        if after.mirror:
            logits = (logits + probe_logits(after.probe, m["test"])) / 2
        a = probe_logits(before, x["test"]).argmax(1) == y["test"]
        b = logits.argmax(1) == y["test"]
        right_before.append(a)
        right_after.append(b)
        truth = labels[after.rows]
        runs.append(
            {"seed": seed, "test_photos": len(a), "before": a.double().mean().item(),
             "after": b.double().mean().item(), "mirror": after.mirror, "l2": after.probe.l2,
             "cross_validated": (after.logits.argmax(1) == truth).double().mean().item(),
             "fit_seconds": [round(middle - start, 2), round(end - middle, 2)]}
        )  # fmt: skip
        print(runs[-1], flush=True)
    only_before, only_after, p = mcnemar(torch.cat(right_before), torch.cat(right_after))
    return {
        "photos": len(found.photos), "classes": classes, "feature_seconds": round(seconds, 1),
        "only_before": only_before, "only_after": only_after, "p": p, "runs": runs,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--image-size", type=int, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = {f.name: measure(f, options.seeds, options.image_size) for f in options.folders}
    save_results("finetune_probe", results | {"image_size": options.image_size or 224})


if __name__ == "__main__":
    main()
