"""For a kernel, before its notebook: the scale `full` on a machine without a GPU or a network.

What a GPU, the network and hours would bring has a stand-in here: random weights of the right
shapes, and a handful of rendered photos in place of the fetched ones: an epoch is one batch.
A second device is played on the CPU: tensors carry a mark that says where they would lie, and an
operation that mixes the two places raises the error that a GPU would.

A cell with the tag ``measured`` asserts what training reaches; `test_full_scale.py` leaves such
cells out. All others run and must hold.
"""

import os
import re
import sys
import tempfile
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

import torch
import torchvision
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torchvision.transforms import v2

DEVICE = torch.device("cpu", 7)  # plays the GPU: real tensors are never on it
CROSSING = {"to", "cpu", "copy_", "type", "numpy", "tolist", "item", "__repr__", "__format__"}
CROSSING |= {"_has_compatible_shallow_copy_type", "__set__"}  # inside Module.to
PLACE = "_rehearsed_place"


def place(tensor: torch.Tensor) -> str | None:
    """Return where a tensor would lie; None where nobody has said (a gradient, a view in C++)."""
    return getattr(tensor, PLACE, None)


def put(values: object, where: str) -> None:
    """Say of all tensors in a value where they would lie."""
    for leaf in tree_leaves(values):
        if isinstance(leaf, torch.Tensor):
            setattr(leaf, PLACE, where)


def is_device(value: object) -> bool:
    """Tell whether an argument names a device."""
    named = isinstance(value, str) and re.fullmatch(r"(cpu|cuda|mps|meta)(:\d+)?", value)
    return isinstance(value, torch.device) or bool(named)


def is_pretended(value: object) -> bool:
    """Tell whether an argument names the pretended device."""
    # By name: outside of the mode, a call of torch.device is intercepted as well.
    return is_device(value) and str(value) == str(DEVICE)


class TwoDevices(TorchFunctionMode):
    """Let `DEVICE` be another place than the CPU."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if func is torch.device and any(is_pretended(a) for a in args):
            return DEVICE
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        asked = [d for d in (*args, kwargs.get("device")) if is_device(d)]
        # A single number may lie on the CPU, as in torch itself.
        places = {place(t) for t in inputs if t.ndim > 0} - {None}
        if len(places) > 1 and name not in CROSSING and not name.startswith("__get"):
            shapes = [(tuple(t.shape), place(t)) for t in inputs]
            raise RuntimeError(f"{name}: tensors on two devices: {shapes}")
        if name in ("numpy", "__array__") and places == {"gpu"}:
            raise TypeError("can't convert a tensor on the GPU to numpy; use .cpu() first")
        real = [_real(a) for a in args]
        kwargs = {k: _real(v) for k, v in kwargs.items()}
        result = func(*real, **kwargs)
        if name == "cpu":
            where = "cpu"
        elif asked:
            where = "gpu" if is_pretended(asked[-1]) else "cpu"
        elif name == "to" and len(inputs) > 1:  # to where another tensor lies
            where = place(inputs[1])
        elif places:
            first = name in ("copy_", "__getitem__")
            where = place(inputs[0]) if first else next(iter(places))
        else:
            where = None if inputs else "cpu"
        if where is not None and result is not None:
            if name in ("to", "cpu") and result is inputs[0]:  # on the CPU `to` copies nothing
                result = result.view_as(result)
            put(result, where)
        return result


def _real(value: object) -> object:
    return torch.device("cpu") if is_pretended(value) else value


def move(method):
    """Wrap a module's ``to`` or ``cpu``: its parameters and buffers move as well."""

    def moved(self, *args, **kwargs):
        result = method(self, *args, **kwargs)
        asked = [d for d in (*args, kwargs.get("device")) if is_device(d)]
        if asked or method.__name__ == "cpu":
            where = "gpu" if asked and is_pretended(asked[-1]) else "cpu"
            put([*self.parameters(), *self.buffers()], where)
        return result

    return moved


def random_state(weights: torchvision.models.WeightsEnum, *_args, **_kwargs) -> dict:
    """Return random weights of the shapes that a checkpoint of torchvision has."""
    models = torchvision.models
    for name in models.list_models():
        if models.get_model_weights(name) is type(weights):
            with torch.random.fork_rng(devices=[]):
                return models.get_model(name, weights=None).state_dict()
    raise LookupError(weights)


def a_few_photos(folder: object = None, url: object = None) -> Path:
    """Stand in for ``fetch_clothing``: ten classes with four photos in each split."""
    from tutorial_utils.solids import CLASSES, render_solid

    root = Path(tempfile.gettempdir()) / "rehearsed-clothing"
    kinds = [*CLASSES, *CLASSES][:10]
    for split, first in (("train", 0), ("validation", 4), ("test", 8)):
        for number, kind in enumerate(kinds):
            for seed in range(first, first + 4):
                path = root / split / f"{number}_{kind}" / f"{seed}.jpg"
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    from PIL import Image

                    Image.fromarray(render_solid(kind, 10_000 + seed, 96)[0]).save(path)
    return root


def stand_in_timm() -> types.ModuleType:
    """Return a module with the calls of timm that the chapters make, for a machine without it."""
    timm = types.ModuleType("timm")
    timm.__spec__ = ModuleSpec("timm", loader=None)

    def create_model(name, *, pretrained=False, num_classes=1000):
        if "." not in name or num_classes != 0:
            raise ValueError(f"{name}: expected architecture.weights and num_classes=0")
        with torch.random.fork_rng(devices=[]):
            model = torchvision.models.mobilenet_v2(weights=None)
        model.classifier = torch.nn.Identity()
        return model

    def create_transform(input_size, mean, std, is_training=False):
        size = input_size[1:]
        steps = v2.ToImage(), v2.Resize(size), v2.ToDtype(torch.float32, scale=True)
        return v2.Compose([*steps, v2.Normalize(mean, std)])

    sizes = {"input_size": (3, 64, 64), "mean": [0.5] * 3, "std": [0.5] * 3}
    timm.create_model = create_model
    timm.data = types.SimpleNamespace(
        resolve_model_data_config=lambda _model: dict(sizes), create_transform=create_transform
    )
    return timm


def rehearse() -> None:
    """Put the stand-ins in place."""
    from tutorial_utils import folders, models, scale, weights

    scale.choose_device = lambda _scale: DEVICE
    cached = weights.fetch_weights

    def fetch(chosen, progress=True):
        path = weights.cache_path(chosen)
        if path.exists():
            return cached(chosen, progress)
        path = Path(tempfile.mkdtemp()) / path.name
        torch.save(random_state(chosen), path)
        return path

    def state_dict(self, *args, **kwargs):
        path = weights.cache_path(self)
        if path.exists():
            return torch.load(path, map_location="cpu", weights_only=True)
        return random_state(self)

    weights.fetch_weights = models.fetch_weights = fetch
    torchvision.models.WeightsEnum.get_state_dict = state_dict
    folders.fetch_clothing = a_few_photos
    torch.nn.Module.to, torch.nn.Module.cpu = move(torch.nn.Module.to), move(torch.nn.Module.cpu)
    os.environ["HF_HUB_OFFLINE"] = "1"
    sys.modules["timm"] = stand_in_timm()
    TwoDevices().__enter__()
