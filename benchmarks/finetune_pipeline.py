"""From a JPEG file to a normalised tensor of 224 pixels: our path beside the fastest on PyPI.

Every path reads the file, makes the shorter side 256 pixels, cuts 224 x 224 from the middle and
returns float32 (3, 224, 224), normalised. The photos: of a folder (a sample of clothing, 400
pixels), and of 12 megapixels (scikit-image's, made larger, with grain like a camera's, in a
temporary folder). Each round runs every path over the same photos, in a new order; times are
processor time of one thread, and a path's ratio to ours is taken in each round; medians are stored.
"difference" is the mean distance to our tensor, in shades of 255.

Run it with `python benchmarks/finetune_pipeline.py --photos FOLDER`: about three minutes on one
core. Paths whose package is not installed are left out and named; all of them came with
`pip install simplejpeg opencv-python-headless pyvips[binary]`. It writes
results/finetune_pipeline.json.
"""

import argparse
import importlib
import os
import random
import statistics
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path

os.environ["VIPS_CONCURRENCY"] = "1"

import numpy as np
import torch
from PIL import Image
from torchvision import io as tvio
from torchvision.transforms import v2

from tutorial_utils._decoding import read_photo
from tutorial_utils.checkpoints import eval_transform
from tutorial_utils.photos import PHOTOS, load_photo
from tutorial_utils.results import save_results

RESIZE, CROP = 256, 224
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
ROUNDS = {"small": 9, "large": 7}
TRANSFORM = eval_transform(RESIZE, CROP, MEAN, STD)
ON_TENSORS = v2.Compose(
    [
        v2.Resize(RESIZE, antialias=True),
        v2.CenterCrop(CROP),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(MEAN, STD),
    ]
)
# The cheapest way to normalise uint8 pixels: one multiplication and one addition.
SCALE = torch.tensor([1 / (255 * s) for s in STD]).view(3, 1, 1)
SHIFT = torch.tensor([-m / s for m, s in zip(MEAN, STD, strict=True)]).view(3, 1, 1)


def ours(path):
    """Decode at a reduced scale with Pillow, shrink and normalise as the engine does."""
    return TRANSFORM(read_photo(path, RESIZE))


def pillow(path):
    """Do what most tutorials do: Pillow, decoded whole."""
    with Image.open(path) as image:
        return TRANSFORM(image.convert("RGB"))


def torchvision_io(path):
    """Decode with torchvision's own decoder, then v2 transforms of tensors."""
    return ON_TENSORS(_decode_tensor(path))


def torchvision_cut(path):
    """Do the same, but cut first and shrink only what is kept, and normalise in two steps."""
    pixels = _decode_tensor(path)
    top, left, side = _square(*pixels.shape[1:])
    cut = pixels[:, top : top + side, left : left + side]
    return (v2.functional.resize(cut, [CROP, CROP], antialias=True) * SCALE).add_(SHIFT)


def simplejpeg_v2(path):
    """Decode at a reduced scale with libjpeg-turbo, then v2 transforms of tensors."""
    return ON_TENSORS(torch.from_numpy(_simplejpeg(path)).permute(2, 0, 1))


def simplejpeg_cv2(path):
    """Decode at a reduced scale with libjpeg-turbo; cut; OpenCV's shrinking by areas."""
    return _finish(_shrink(_simplejpeg(path)))


def opencv(path):
    """Do all with OpenCV, decoding at 1/1, 1/2, 1/4 or 1/8 of the size; cut; shrink by areas."""
    return _finish(_shrink(_imread(path)))


def opencv_aliased(path):
    """Do the same, but shrink without a filter: less work and a rougher picture."""
    return _finish(_shrink(_imread(path), "INTER_LINEAR"))


def vips(path):
    """Do all with libvips: it decodes at a reduced scale and shrinks while it reads."""
    pyvips = importlib.import_module("pyvips")
    image = pyvips.Image.thumbnail(str(path), 10**7, height=RESIZE)
    if image.width < RESIZE:
        image = pyvips.Image.thumbnail(str(path), RESIZE, height=10**7)
    left, top = ((n - CROP) // 2 for n in (image.width, image.height))
    return _finish(image.crop(left, top, CROP, CROP).numpy())


def _decode_tensor(path):
    with warnings.catch_warnings():  # torchvision announces the decoder's end
        warnings.simplefilter("ignore")
        return tvio.decode_jpeg(tvio.read_file(str(path)), tvio.ImageReadMode.RGB)


def _simplejpeg(path):
    data = Path(path).read_bytes()
    decode = importlib.import_module("simplejpeg").decode_jpeg
    return decode(data, min_height=RESIZE, min_width=RESIZE)


def _imread(path):
    cv2 = importlib.import_module("cv2")
    with Image.open(path) as header:  # OpenCV does not tell the size before it decodes
        side = min(header.size)
    scale = max(s for s in (1, 2, 4, 8) if s == 1 or side // s >= RESIZE)
    flag = cv2.IMREAD_COLOR if scale == 1 else getattr(cv2, f"IMREAD_REDUCED_COLOR_{scale}")
    return cv2.cvtColor(cv2.imread(str(path), flag), cv2.COLOR_BGR2RGB)


def _square(height, width):
    """Return top, left and side of the pixels that the crop keeps, before shrinking."""
    side = round(min(height, width) * CROP / RESIZE)
    return (height - side) // 2, (width - side) // 2, side


def _shrink(pixels, how="INTER_AREA"):
    cv2 = importlib.import_module("cv2")
    top, left, side = _square(*pixels.shape[:2])
    cut = pixels[top : top + side, left : left + side]
    return cv2.resize(cut, (CROP, CROP), interpolation=getattr(cv2, how))


def _finish(pixels):
    """Normalise (224, 224, 3) uint8 with as little work as can be."""
    values = torch.empty(3, CROP, CROP).copy_(torch.from_numpy(pixels).permute(2, 0, 1))
    return values.mul_(SCALE).add_(SHIFT)


# name -> the path, and the packages that it needs
PATHS = {
    "ours": (ours, ["pillow"]),
    "Pillow, whole": (pillow, ["pillow"]),
    "torchvision.io, v2": (torchvision_io, ["torchvision"]),
    "torchvision.io, cut first": (torchvision_cut, ["torchvision"]),
    "simplejpeg, v2": (simplejpeg_v2, ["simplejpeg"]),
    "simplejpeg, OpenCV": (simplejpeg_cv2, ["simplejpeg", "cv2"]),
    "OpenCV": (opencv, ["cv2"]),
    "OpenCV, aliased": (opencv_aliased, ["cv2"]),
    "libvips": (vips, ["pyvips"]),
}
DISTRIBUTIONS = {"cv2": "opencv-python-headless", "pyvips": "pyvips-binary"}


def installed(packages) -> bool:
    """Tell whether a path can run here."""
    try:
        for package in packages:
            importlib.import_module("PIL" if package == "pillow" else package)
    except (ImportError, OSError):
        return False
    return True


def large_photos(folder: Path) -> list[Path]:
    """Write photos of 4,000 x 3,000 pixels and return their paths."""
    rng, paths = np.random.default_rng(0), []
    for name in PHOTOS[:6]:
        image = load_photo(name).resize((4000, 3000), Image.Resampling.BICUBIC)
        grain = rng.normal(0, 6, (3000, 4000, 1)).astype(np.float32)
        pixels = (np.asarray(image) + grain).clip(0, 255).astype(np.uint8)
        paths.append(folder / f"{name}.jpg")
        Image.fromarray(pixels).save(paths[-1], quality=90)
    return paths


def compare(paths: list[Path], names: list[str], rounds: int) -> dict:
    """Return each path's photos a second, its time as a multiple of ours, and its difference."""
    wanted = [ours(path) for path in paths]
    distances = {}
    for name in names:
        found = [PATHS[name][0](path) for path in paths]
        assert {tuple(x.shape) for x in found} == {(3, CROP, CROP)}
        apart = [(a - b).abs() * torch.tensor(STD).view(3, 1, 1)
                 for a, b in zip(found, wanted, strict=True)]  # fmt: skip
        distances[name] = 255 * torch.stack(apart).mean().item()
    seconds, order = {name: [] for name in names}, list(names)
    for number in range(rounds):
        random.Random(number).shuffle(order)
        for name in order:
            begin = time.process_time()
            for path in paths:
                PATHS[name][0](path)
            seconds[name].append(time.process_time() - begin)
    results = {}
    for name, values in seconds.items():
        ratios = [a / b for a, b in zip(values, seconds["ours"], strict=True)]
        results[name] = {
            "photos_a_second": round(len(paths) / statistics.median(values), 1),
            "ratio": round(statistics.median(ratios), 3),
            "difference": round(distances[name], 2),
        }
        print(f"  {name:26}", results[name], flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/clothing"))
    photos = sorted(parser.parse_args().photos.rglob("*.jpg"))
    torch.set_num_threads(1)
    if installed(["cv2"]):
        importlib.import_module("cv2").setNumThreads(1)
    names = [name for name, (_, packages) in PATHS.items() if installed(packages)]
    needed = {package for name in names for package in PATHS[name][1]}
    results = {
        "versions": {p: version(DISTRIBUTIONS.get(p, p)).split("+")[0] for p in sorted(needed)},
        "left out": [name for name in PATHS if name not in names],
    }
    with tempfile.TemporaryDirectory() as folder:
        sets = {"small": photos[:: max(1, len(photos) // 80)], "large": large_photos(Path(folder))}
        for kind, paths in sets.items():
            with Image.open(paths[0]) as first:
                print(f"{len(paths)} photos like {first.width} x {first.height}")
            results[kind] = compare(paths, names, ROUNDS[kind])
    save_results("finetune_pipeline", results)


if __name__ == "__main__":
    main()
