"""From scratch, frozen features or full fine-tuning: MobileNetV2 on the rendered solids.

Every regime sees the same images, augmentation and epochs. Its learning rate is the one with the
best validation accuracy at seed 0; the test set is opened after that, once for each seed.

    python benchmarks/solids_regimes.py

writes benchmarks/results/solids_regimes.json.
"""

import time

import torch
from torchvision.models import get_model
from torchvision.transforms import v2

from tutorial_utils.evaluation import accuracy, mean_interval
from tutorial_utils.folders import load_splits, make_loader
from tutorial_utils.models import (
    freeze_backbone,
    load_pretrained,
    parameter_groups,
    replace_head,
)
from tutorial_utils.results import save_results
from tutorial_utils.scale import seed_everything
from tutorial_utils.solids import make_solids
from tutorial_utils.training import predict, train_epoch

SETTINGS = {
    "model": "mobilenet_v2, IMAGENET1K_V1",
    "images_per_class": {"train": 40, "validation": 20, "test": 40},
    "size": 96,
    "epochs": 12,
    "batch_size": 16,
    "optimizer": "AdamW, one-cycle",
    "weight_decay": 1e-4,
    "learning_rates_tried": {
        "scratch": [1e-3, 3e-3],
        "frozen": [3e-3, 1e-2],
        "full": [1e-3, 2e-3],
    },
    "seeds": [0, 1, 2],
}


def load_data():
    normalize = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    to_tensor = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), normalize]
    augment = [
        v2.RandomResizedCrop(SETTINGS["size"], scale=(0.6, 1), ratio=(0.9, 1.1)),
        v2.RandomHorizontalFlip(),
        v2.ColorJitter(brightness=0.3),
        v2.RandomChannelPermutation(),
    ]
    root = make_solids(SETTINGS["images_per_class"], SETTINGS["size"])
    return load_splits(root, v2.Compose([*augment, *to_tensor]), v2.Compose(to_tensor))


def train(regime, lr, seed, data):
    """Train one model and return it with the seconds that the epochs took."""
    seed_everything(seed)
    if regime == "scratch":
        model = get_model("mobilenet_v2")
    else:
        model, _ = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    replace_head(model, len(data.classes))
    if regime == "frozen":
        freeze_backbone(model)
    loader = make_loader(data.train, SETTINGS["batch_size"], shuffle=True, seed=seed)
    groups = parameter_groups(model, lr, weight_decay=SETTINGS["weight_decay"])
    optimizer = torch.optim.AdamW(groups, lr)
    steps = SETTINGS["epochs"] * len(loader)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    start = time.perf_counter()
    for _ in range(SETTINGS["epochs"]):
        train_epoch(model, loader, optimizer, scheduler=scheduler)
    return model, time.perf_counter() - start


def measure(model, dataset):
    return accuracy(*predict(model, make_loader(dataset, 64)))


def main():
    data = load_data()
    results = {"settings": SETTINGS, "regimes": {}}
    for regime, rates in SETTINGS["learning_rates_tried"].items():
        validation, first = {}, {}
        for lr in rates:
            first[lr], seconds = train(regime, lr, 0, data)
            validation[lr] = measure(first[lr], data.validation)
            print(f"{regime} lr {lr}: validation {validation[lr]:.3f}, {seconds:.0f} s", flush=True)
        best = max(rates, key=validation.get)
        models = [first[best]] + [train(regime, best, s, data)[0] for s in SETTINGS["seeds"][1:]]
        test = [measure(model, data.test) for model in models]
        mean, low, high = mean_interval(test)
        print(f"{regime}: test {mean:.3f} ({low:.3f} to {high:.3f}), lr {best}", flush=True)
        results["regimes"][regime] = {
            "learning_rate": best,
            "validation": {str(lr): round(v, 4) for lr, v in validation.items()},
            "test": [round(t, 4) for t in test],
            "mean": round(mean, 4),
            "interval": [round(low, 4), round(high, 4)],
        }
    print("wrote", save_results("solids_regimes", results))


if __name__ == "__main__":
    main()
