"""Finished runs side by side."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import torch

from tutorial_utils._files import read_state
from tutorial_utils.errors import PhotosError
from tutorial_utils.evaluation import mcnemar
from tutorial_utils.finetune.run_folder import RunFolder
from tutorial_utils.photo_folder.split import read_split


def compare(runs: Sequence[str | Path]) -> str:
    """Return a table of finished runs, best validation first, and McNemar's test for each pair.

    Runs are compared photo by photo where they share their test photos (by content).
    """
    rows = []
    for path in runs:
        run = RunFolder.open(path)
        if not (run / "test.pt").is_file():
            raise PhotosError(f"{path} is not finished, or has no test photos.")
        outputs, recipe, result = read_state(run / "test.pt"), run.config()["recipe"], run.result()
        right = outputs["logits"].argmax(dim=1) == outputs["labels"]
        photos = read_split(run / "split.jsonl")["test"]
        by_photo = dict(zip([photo.sha for photo in photos], right.tolist(), strict=True))
        rows.append((result["validation"]["accuracy"], str(path), result["test"], recipe, by_photo))
    rows.sort(key=lambda row: -row[0])
    lines = ["validation      test   95 % interval   photos  run"]
    for validation, path, test, recipe, _ in rows:
        low, high = test["interval"]
        lines.append(
            f"{validation:10.3f}{test['accuracy']:10.3f}   {low:.3f} to {high:.3f} "
            f"{test['photos']:7}  {recipe['model']}, {recipe['regime']}  {path}"
        )
    for (_, a, _, _, outcomes_a), (_, b, _, _, outcomes_b) in combinations(rows, 2):
        shared = sorted(outcomes_a.keys() & outcomes_b.keys())
        if len(shared) < max(len(outcomes_a), len(outcomes_b)):
            lines.append(f"{a} and {b} do not share their test photos: not compared.")
            continue
        pair = [torch.tensor([part[sha] for sha in shared]) for part in (outcomes_a, outcomes_b)]
        only_a, only_b, p = mcnemar(*pair)
        lines.append(
            f"{a} alone is right on {only_a} photos, {b} alone on {only_b}: McNemar's p = {p:.3g}"
        )
    return "\n".join(lines)
