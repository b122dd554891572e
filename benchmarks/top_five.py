"""What the figure `TopFive` shows: MobileNetV2's logits for four photos (seconds).

Run `python benchmarks/top_five.py`; it writes results/top_five.json. Of each photo the five largest
logits are kept, and of the other 995 how many lie in each tenth and their mean, which is enough for
their share at any temperature of the figure.
"""

import math

import torch

from tutorial_utils.interactive.inside_network import PHOTOS
from tutorial_utils.models import load_pretrained
from tutorial_utils.photos import load_photo
from tutorial_utils.results import save_results


def main() -> None:
    model, weights = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    prepare, model = weights.transforms(), model.double().eval()
    photos = {}
    for name in PHOTOS:
        with torch.no_grad():
            logits = model(prepare(load_photo(name))[None].double())[0]
        top = logits.topk(5)
        rest = logits.sort(descending=True).values[5:].tolist()
        bins = {}
        for value in rest:
            bins.setdefault(math.floor(value * 2.5), []).append(value)
        photos[name] = {
            "top": [
                [weights.meta["categories"][i], round(v, 3)]
                for v, i in zip(top.values.tolist(), top.indices.tolist(), strict=True)
            ],
            "rest": [[round(sum(v) / len(v), 3), len(v)] for v in bins.values()],
        }
    save_results("top_five", {"photos": photos})


if __name__ == "__main__":
    main()
