import json

import onnxruntime
import pytest
import torch
from torchvision.models import get_model

from tutorial_utils.checkpoints import Classifier
from tutorial_utils.errors import PhotosError, RecipeError
from tutorial_utils.inference import export
from tutorial_utils.inference.export import export_classifier

PREPROCESSING = {"resize": 72, "crop": 64, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]}


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    model = get_model("squeezenet1_1", weights=None, num_classes=4).eval()
    return Classifier(model, "squeezenet1_1", list("abcd"), PREPROCESSING)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "torch"])
def test_the_exported_model_answers_like_the_model(kind, classifier, tmp_path):
    path = export_classifier(classifier, tmp_path, kind)
    for n in (1, 5):  # any number of images
        images = torch.randn(n, 3, 64, 64)
        expected = classifier.model(images).detach()
        if kind == "onnx":
            session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            found = torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])
        else:
            found = torch.export.load(path).module()(images).detach()
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    described = json.loads((tmp_path / "model.json").read_text())
    assert described["classes"] == ["a", "b", "c", "d"]
    assert described["preprocessing"] == PREPROCESSING


def test_a_model_that_differs_is_not_kept(classifier, tmp_path, monkeypatch):
    def wrong(model, images, path):
        path.write_bytes(b"")
        return lambda x: model(x) + 0.1

    monkeypatch.setattr(export, "write_torch", wrong)
    with pytest.raises(PhotosError, match="logits differ"):
        export_classifier(classifier, tmp_path, "torch")
    assert not list(tmp_path.iterdir())


def test_unknown_kinds_and_missing_packages_are_said(classifier, tmp_path, monkeypatch):
    with pytest.raises(RecipeError, match="must be one of onnx, torch"):
        export_classifier(classifier, tmp_path, "tflite")
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(PhotosError, match="pip install onnx onnxscript onnxruntime"):
        export_classifier(classifier, tmp_path, "onnx")
