"""What torchvision's metadata tell of every ImageNet checkpoint: accuracy, cost and size.

Run `python benchmarks/checkpoints.py`; it writes results/checkpoints.json (seconds; nothing is
downloaded). book/faq.ipynb and the figure `ModelChooser` show it;
tests/test_figure_model_chooser.py compares it with the installed torchvision.
"""

import math

import torchvision
from torchvision import models

from tutorial_utils.results import save_results

COLUMNS = ("name", "weights", "top1", "gmacs", "parameters", "megabytes")


def read_metadata() -> dict[tuple[str, str], dict]:
    """Return (name, weights) -> the checkpoint's row, of every classifier with a top-1 accuracy."""
    rows = {}
    for name in models.list_models(module=models):
        for entry in models.get_model_weights(name):
            meta = entry.meta
            top1 = meta["_metrics"]["ImageNet-1K"]["acc@1"]
            figures = (top1, meta["_ops"], meta["num_params"], meta["_file_size"])
            if math.isfinite(top1):
                values = (name, entry.name, *figures)
                rows[name, entry.name] = dict(zip(COLUMNS, values, strict=True))
    return rows


def main() -> None:
    rows = list(read_metadata().values())
    save_results("checkpoints", {"torchvision": torchvision.__version__, "checkpoints": rows})
    print(f"{len(rows)} checkpoints")


if __name__ == "__main__":
    main()
