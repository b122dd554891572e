"""A classifier for other programs: as ONNX, or as torch.export's .pt2; each checked to be equal."""

from pathlib import Path

import torch

from tutorial_utils._files import write_json
from tutorial_utils.checkpoints import Classifier
from tutorial_utils.errors import PhotosError, RecipeError

KINDS = {"onnx": "model.onnx", "torch": "model.pt2"}
TOLERANCE = 1e-4  # of the logits, relative to the largest: other programs add in another order


def export_classifier(classifier: Classifier, folder: str | Path, kind: str) -> Path:
    """Write ``model.onnx`` or ``model.pt2``, and ``model.json`` with classes and preprocessing.

    The model maps ``images`` (N, 3, crop, crop), float32, any N, resized, cropped and normalised as
    ``model.json`` says, to ``logits`` (N, num_classes).

    Args:
        classifier: from ``checkpoints.load_classifier``.
        folder: where to write.
        kind: ``"onnx"`` (needs the packages onnx, onnxscript and onnxruntime) or ``"torch"``.

    Raises:
        RecipeError: there is no such kind.
        PhotosError: a package is missing, the file cannot be written, or its logits differ.
    """
    if kind not in KINDS:
        raise RecipeError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}.")
    path = Path(folder) / KINDS[kind]
    crop = classifier.preprocessing["crop"]
    model = classifier.model.cpu().eval()
    images = torch.rand(
        3, 3, crop, crop, generator=torch.Generator().manual_seed(0)
    )  # not the number that was traced
    with torch.no_grad():
        expected = model(images)
        run = (write_onnx if kind == "onnx" else write_torch)(model, images[:2], path)
        found = run(images)
    gap = ((found - expected).abs().max() / expected.abs().max()).item()
    if not gap <= TOLERANCE:
        path.unlink()
        raise PhotosError(f"the exported model's logits differ by {gap:.2g}; it was not kept.")
    write_json(
        path.with_name("model.json"),
        {"classes": classifier.classes, "preprocessing": classifier.preprocessing,
         "input": f"images (N, 3, {crop}, {crop})", "output": "logits (N, classes)"},
    )  # fmt: skip
    return path


def write_torch(model: torch.nn.Module, images: torch.Tensor, path: Path):
    """Write torch.export's file and return a function that runs what was written."""
    n = torch.export.Dim("n", min=1)
    torch.export.save(torch.export.export(model, (images,), dynamic_shapes=({0: n},)), path)
    return torch.export.load(path).module()


def write_onnx(model: torch.nn.Module, images: torch.Tensor, path: Path):
    """Write an ONNX file and return a function that runs what was written with onnxruntime."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError as error:
        raise PhotosError(
            f"ONNX needs the package {error.name}: pip install onnx onnxscript onnxruntime."
        ) from None
    torch.onnx.export(
        model, (images,), path, input_names=["images"], output_names=["logits"], dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("n", min=1)},), external_data=False, verbose=False,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(["logits"], {"images": x.numpy()})[0])
