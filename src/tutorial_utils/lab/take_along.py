"""Use the classifier that learnt in the book: python classify.py PHOTO.jpg"""

import json
import sys
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

head = json.loads(Path(__file__).with_name("my-classifier.json").read_text(encoding="utf-8"))
weights = MobileNet_V2_Weights.IMAGENET1K_V1
model = mobilenet_v2(weights=weights)
model.classifier[1] = torch.nn.Linear(1280, len(head["classes"]))  # the new head
model.classifier[1].load_state_dict({key: torch.tensor(head[key]) for key in ("weight", "bias")})
model.eval()  # BatchNorm and Dropout as in use, not as in training


def classify(photo):
    """Return the probability of each class for an upright photo."""
    x = weights.transforms()(photo.convert("RGB"))  # resize, crop, normalise: (3, 224, 224)
    with torch.no_grad():
        probabilities = model(x[None]).softmax(dim=1)[0]
    return dict(zip(head["classes"], probabilities.tolist(), strict=True))


if __name__ == "__main__":
    for path in sys.argv[1:]:
        print(path, classify(ImageOps.exif_transpose(Image.open(path))))
