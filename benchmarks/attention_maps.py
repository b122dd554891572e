"""Does a heat map lie on the object? Grad-CAM against masks, for two models and several layers.

Two models of rendered solids: a new head on MobileNetV2's frozen features of images enlarged to
224 pixels, and MobileNetV2 fine-tuned in full at 96 pixels. For validation images, asked for the
class that the model says, it stores the share of the heat on the solid, the share when each image
is given the heat of an image of another class, and how often the hottest point is on the solid;
for the trained model, with a random head, and with a random head and random last stages. The page
book/attention_maps.ipynb shows the results.

Run it with `python benchmarks/attention_maps.py`: about five minutes on one core.
"""

import copy

import torch
from torch import nn
from torchvision.transforms import v2

from tutorial_utils.evaluation import accuracy
from tutorial_utils.folders import load_splits, make_loader
from tutorial_utils.models import head, load_pretrained, parameter_groups, replace_head
from tutorial_utils.results import save_results
from tutorial_utils.scale import seed_everything
from tutorial_utils.solids import VERSION, load_mask, make_solids
from tutorial_utils.training import extract_features, predict, train_epoch

SEEDS = (0, 1, 2)
COUNTS = {"train": 40, "validation": 10}  # images per class
STAGES = (6, 13, 16, 18)
NORMAL = v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def grad_cam(
    model: nn.Module, layer: nn.Module, images: torch.Tensor, classes: torch.Tensor
) -> torch.Tensor:
    """Return one heat map per image, on the grid of the layer's output.

    Each channel of the layer's output is weighted by the mean, over all places, of the gradient of
    the class's logit; the weighted channels are summed, and what is negative becomes zero.

    Args:
        model: maps images (N, C, H, W) to logits (N, num_classes); used in eval mode.
        layer: one of its layers, with an output (N, K, h, w): usually the last with places.
        images: shape (N, C, H, W).
        classes: the class asked about for each image, shape (N,).

    Returns:
        Heat, at least 0 and not normalised, of shape (N, h, w).

    Raises:
        ValueError: the layer's output has no places, or the layer was not used.
    """
    kept = []

    def keep(_module, _inputs, output):
        kept.append(output.detach().requires_grad_())  # the gradient needs to go no further back
        return kept[-1]

    hook = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            chosen = model.eval()(images).gather(1, classes[:, None]).sum()
    finally:
        hook.remove()
    if len(kept) != 1 or kept[0].ndim != 4:
        raise ValueError("grad_cam needs a layer that runs once and gives (N, K, h, w).")
    (gradient,) = torch.autograd.grad(chosen, kept[0])  # (N, K, h, w)
    weights = gradient.mean(dim=(2, 3), keepdim=True)  # (N, K, 1, 1)
    return nn.functional.relu((weights * kept[0]).sum(dim=1)).detach()


def share_inside(heat: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Return how much of each image's heat lies on its object, 0 to 1; NaN where there is no heat.

    Args:
        heat: shape (N, h, w); it is brought to the masks' size by bilinear interpolation.
        masks: shape (N, H, W) of bool, True on the object.
    """
    heat = nn.functional.interpolate(heat[:, None], size=masks.shape[-2:], mode="bilinear")[:, 0]
    return (heat * masks).sum(dim=(1, 2)) / heat.sum(dim=(1, 2))


def preparation(size: int) -> v2.Compose:
    """Return the plain transform to a square of that size."""
    resize = [] if size == 96 else [v2.Resize((size, size))]
    return v2.Compose([v2.ToImage(), *resize, v2.ToDtype(torch.float32, scale=True), NORMAL])


def frozen(root) -> tuple[nn.Module, object]:
    """Train a new head on frozen features at 224 pixels."""
    plain = preparation(224)
    splits = load_splits(root, plain, plain)
    model, _ = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    layer = head(replace_head(model, len(splits.classes)))
    features, labels = extract_features(model, make_loader(splits.train, 64))
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.01, weight_decay=1e-4)
    for _ in range(200):
        loss = nn.functional.cross_entropy(layer(features), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, splits.validation


def tuned(root, epochs: int = 4, rate: float = 3e-4) -> tuple[nn.Module, object]:
    """Fine-tune in full at 96 pixels, with the rate that five_regimes.py chose."""
    plain = preparation(96)
    splits = load_splits(root, v2.Compose([v2.RandomHorizontalFlip(), plain]), plain)
    model, _ = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    replace_head(model, len(splits.classes)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(parameter_groups(model, rate, weight_decay=1e-4))
    loader = make_loader(splits.train, 16, shuffle=True)
    rates = [group["lr"] for group in optimizer.param_groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, epochs * len(loader))
    for _ in range(epochs):
        train_epoch(model, loader, optimizer, scheduler=schedule)
    return model, splits.validation


def look(model, images, classes, masks) -> dict:
    """Return the measures of each stage's heat maps."""
    rows = {}
    for stage in STAGES:
        parts = zip(images.split(40), classes.split(40), strict=True)
        heat = torch.cat([grad_cam(model, model.features[stage], *part) for part in parts])
        other = heat.roll(len(heat) // 2, dims=0)  # of another class
        large = nn.functional.interpolate(heat[:, None], masks.shape[-2:], mode="bilinear")
        hottest = large.flatten(1).argmax(dim=1, keepdim=True)
        rows[str(stage)] = {
            "places": " x ".join(map(str, heat.shape[1:])),
            "own": round(share_inside(heat, masks).nanmean().item(), 4),
            "other": round(share_inside(other, masks).nanmean().item(), 4),
            "hottest": round(masks.flatten(1).gather(1, hottest).double().mean().item(), 4),
            "without heat": int((heat.flatten(1).amax(dim=1) == 0).sum()),
        }
    return rows


def measure(train, seed: int) -> dict:
    """Train one model and look at it with its own weights and with random ones."""
    root = make_solids({**COUNTS, "test": 1}, seed=seed)
    seed_everything(seed)
    model, validation = train(root)
    logits, labels = predict(model, make_loader(validation, 40))
    said = logits.argmax(dim=1)
    images = torch.cat([batch for batch, _ in make_loader(validation, 40)])
    masks = torch.stack([torch.tensor(load_mask(path)) for path, _ in validation.samples])
    random_head = replace_head(copy.deepcopy(model), logits.shape[1])
    random_blocks = copy.deepcopy(random_head)
    for stage in range(14, 19):
        for layer in random_blocks.features[stage].modules():
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
    nets = {"trained": model, "random head": random_head, "random last stages": random_blocks}
    looks = {name: look(net, images, said, masks) for name, net in nets.items()}
    area = round(masks.double().mean().item(), 4)
    return {"accuracy": round(accuracy(logits, labels), 4), "area": area, **looks}


def main() -> None:
    torch.set_num_threads(1)
    settings = {}
    for name, train in {"head only, 224 px": frozen, "fine-tuned, 96 px": tuned}.items():
        runs = []
        for seed in SEEDS:
            runs.append(measure(train, seed))
            print(name, seed, runs[-1]["accuracy"], runs[-1]["trained"], flush=True)
        settings[name] = {key: [run[key] for run in runs] for key in ("accuracy", "area")}
        for kind in ("trained", "random head", "random last stages"):
            settings[name][kind] = {
                stage: {
                    key: [run[kind][stage][key] for run in runs] if key != "places" else value
                    for key, value in row.items()
                }
                for stage, row in runs[0][kind].items()
            }
    save_results(
        "attention_maps",
        {
            "seeds": list(SEEDS),
            "images_per_class": COUNTS,
            "renderer": VERSION,
            "torch": torch.__version__.split("+")[0],
            "settings": settings,
        },
    )


if __name__ == "__main__":
    main()
