"""What the figure `InsideNetwork` shows: feature maps of MobileNetV2 for four photos, in 8 bits.

Float results differ between machines in their last bits, a stored sheet does not. Run
`python benchmarks/inside_network.py`; it writes the maps and the photos as two WebP files into the
package, and the channels, their ranges and the likeliest classes into results/inside_network.json
(seconds). book/pretraining.ipynb and tests/test_figure_inside_network.py compare the maps with maps
computed anew.
"""

import numpy as np
import torch
import torchvision
from PIL import Image

from tutorial_utils.interactive.inside_network import (
    CHANNELS,
    PHOTOS,
    PICTURES,
    SHEET,
    SIDE,
    SIZE,
    STAGES,
    place,
)
from tutorial_utils.models import load_pretrained
from tutorial_utils.photos import load_photo, photo_tensor
from tutorial_utils.results import save_results


def main() -> None:
    model, weights = load_pretrained("mobilenet_v2", "IMAGENET1K_V1")
    model = model.double().eval()
    transforms = weights.transforms()
    mean, std = (torch.tensor(v)[:, None, None].double() for v in (transforms.mean, transforms.std))
    photos = torch.stack([photo_tensor(name, SIZE, torch.float64) for name in PHOTOS])
    outputs = {}
    with torch.no_grad():
        x = (photos - mean) / std
        for stage, layer in enumerate(model.features):
            x = layer(x)  # (4, C, n, n)
            if stage in STAGES:
                outputs[stage] = x
        p = model.classifier(x.mean((2, 3))).softmax(1)
    likeliest = [
        [[weights.meta["categories"][i], round(row[i].item(), 4)] for i in row.topk(3).indices]
        for row in p
    ]
    sheet = np.full((2 * 196, 2 * 224), 255, dtype=np.uint8)
    stages = {}
    for stage, x in outputs.items():
        count = CHANNELS[stage]
        if stage < 18:  # the channels that vary most over the photos
            channels = x.std((0, 2, 3)).argsort(descending=True)[:count].tolist()
        else:  # of each photo, the channel that pushes most for its likeliest class
            push = x.mean((2, 3)) * model.classifier[1].weight[p.argmax(1)]
            channels = []
            for row in push:
                channels += [k for k in row.argsort(descending=True).tolist() if k not in channels][
                    :1
                ]
        maps = x[:, channels].detach().numpy()  # (4, count, n, n)
        low = np.floor(1000 * maps.min((0, 2, 3))) / 1000  # ranges are rounded outwards
        high = np.ceil(1000 * maps.max((0, 2, 3))) / 1000
        for photo, values in enumerate(maps):
            for number, value in enumerate(values):
                levels = (value - low[number]) / (high[number] - low[number]) * 255
                sheet[place(photo, stage, number)] = levels.round()
        ranges = {"low": low.tolist(), "high": high.tolist()}
        stages[stage] = {"of": x.shape[1], "channels": channels, **ranges}
    # Grey as RGB: WebP has no grey; lossless, so the levels come back as they are.
    Image.fromarray(sheet).convert("RGB").save(SHEET, lossless=True, quality=100, method=6)
    pictures = Image.new("RGB", (len(PHOTOS) * SIDE, SIDE))
    for number, name in enumerate(PHOTOS):
        pictures.paste(load_photo(name, SIDE), (number * SIDE, 0))
    pictures.save(PICTURES, quality=82, method=6)
    results = {"torchvision": torchvision.__version__, "classes": likeliest, "stages": stages}
    save_results("inside_network", results)


if __name__ == "__main__":
    main()
