"""What each stage of MobileNetV2 tells about a solid's class, with pretrained and random weights.

For five data sets of rendered solids, each stage's maps are averaged over their places, and a
logistic regression on the averages is trained on 24 images per class and scored on 40 further
images per class. The random network has its BatchNorm statistics measured on the training images.

Run `python benchmarks/pretraining_layers.py`; it writes results/pretraining_layers.json (about two
minutes on one core). book/pretraining.ipynb plots the file and runs one slice again.
"""

import torch
from pretraining_gain import probe, random_backbone

from tutorial_utils.folders import load_splits, make_loader
from tutorial_utils.models import load_pretrained
from tutorial_utils.results import save_results
from tutorial_utils.solids import VERSION, make_solids

SEEDS = range(5)
STAGES = (0, 1, 3, 6, 10, 13, 16, 18)


@torch.no_grad()
def means(model, loader) -> tuple[dict, torch.Tensor]:
    """Return {stage: mean of each map, (N, C)} and the labels."""
    rows, labels = {stage: [] for stage in STAGES}, []
    for images, batch_labels in loader:
        x = images
        for stage, layer in enumerate(model.features):
            x = layer(x)
            if stage in rows:
                rows[stage].append(x.mean(dim=(2, 3)))
        labels.append(batch_labels)
    return {stage: torch.cat(parts) for stage, parts in rows.items()}, torch.cat(labels)


def main() -> None:
    torch.set_num_threads(1)
    pretrained, weights = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    plain = weights.transforms(resize_size=96, crop_size=96)
    scores = {name: {str(s): [] for s in STAGES} for name in ("ImageNet weights", "random weights")}
    for seed in SEEDS:
        splits = load_splits(make_solids(seed=seed), plain, plain)
        train, comparison = (make_loader(part, 48) for part in (splits.train, splits.test))
        random = random_backbone(seed, make_loader(splits.train, 48, shuffle=True))
        for name, model in (("ImageNet weights", pretrained), ("random weights", random)):
            (a, a_labels), (b, b_labels) = means(model, train), means(model, comparison)
            for stage in STAGES:
                score = probe(a[stage], a_labels, b[stage], b_labels, 0.01)
                scores[name][str(stage)].append(score)
            print(seed, name, [round(v[-1], 3) for v in scores[name].values()], flush=True)
    save_results(
        "pretraining_layers",
        {
            "seeds": list(SEEDS),
            "solids_version": VERSION,
            "images": {"train": 24 * 8, "comparison": 40 * 8},
            "torch": torch.__version__.split("+")[0],
            "accuracy_by_stage": scores,
        },
    )


if __name__ == "__main__":
    main()
