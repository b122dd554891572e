"""What the figure `InsideNetwork` shows: feature maps of MobileNetV2, in 8 bits.

Float results differ between machines in their last bits, a stored sheet does not. Run
`python benchmarks/inside_network.py`; it writes the maps as a PNG sheet into the package, and their
channels and ranges into results/inside_network.json (seconds). book/pretraining.ipynb and
tests/test_figure_inside_network.py compare both with maps computed anew.
"""

import numpy as np
import torch
import torchvision
from PIL import Image

from tutorial_utils.interactive.inside_network import CHANNELS, PHOTO, SHEET, SIZE, STAGES, place
from tutorial_utils.models import load_pretrained
from tutorial_utils.photos import photo_tensor
from tutorial_utils.results import save_results


def main() -> None:
    model, weights = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    transforms = weights.transforms()
    mean, std = (torch.tensor(v)[:, None, None].double() for v in (transforms.mean, transforms.std))
    x = ((photo_tensor(PHOTO, SIZE, torch.float64) - mean) / std)[None]
    sheet = np.full((308, 336), 255, dtype=np.uint8)
    stages = {}
    for stage, layer in enumerate(model.double().features):
        with torch.no_grad():
            x = layer(x)  # (1, C, n, n)
        if stage not in STAGES:
            continue
        # The channels that vary most over the photo. Ranges are rounded outwards.
        channels = x[0].std((1, 2)).argsort(descending=True)[:CHANNELS].tolist()
        maps = x[0, channels].numpy()
        low = np.floor(1000 * maps.min((1, 2))) / 1000
        high = np.ceil(1000 * maps.max((1, 2))) / 1000
        for number, values in enumerate(maps):
            levels = (values - low[number]) / (high[number] - low[number]) * 255
            sheet[place(stage, number)] = levels.round()
        ranges = {"low": low.tolist(), "high": high.tolist()}
        stages[stage] = {"of": x.shape[1], "channels": channels, **ranges}
    Image.fromarray(sheet).save(SHEET, optimize=True)
    save_results("inside_network", {"torchvision": torchvision.__version__, "stages": stages})


if __name__ == "__main__":
    main()
