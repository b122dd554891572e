import json
import re

import numpy as np
import pytest
import torch
from photo_folders import make_photos
from PIL import Image
from sklearn import metrics

from tutorial_utils.errors import PhotosError
from tutorial_utils.finetune import finetune
from tutorial_utils.recipe import Recipe
from tutorial_utils.report import class_rows, confusion_matrix, write_report
from tutorial_utils.storage import read_state, write_state


def test_the_classes_figures_are_scikit_learns():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 5, (60,), generator=generator)
    logits = torch.randn(60, 5, generator=generator) + 2 * torch.nn.functional.one_hot(labels, 5)
    matrix = confusion_matrix(logits, labels)
    answer = logits.argmax(dim=1)
    assert np.array_equal(matrix, metrics.confusion_matrix(labels, answer))
    expected = metrics.precision_recall_fscore_support(labels, answer)
    rows = class_rows(matrix)
    for name, values in zip(("precision", "recall", "f1", "photos"), expected, strict=True):
        assert [row[name] for row in rows] == pytest.approx(values.tolist())


def test_a_class_without_photos_has_no_figures():
    logits = torch.eye(3)[[0, 0, 1]]
    rows = class_rows(confusion_matrix(logits, torch.tensor([0, 0, 1])))
    assert rows[2]["precision"] is rows[2]["recall"] is rows[2]["f1"] is None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    photos = make_photos(folder / "photos", {"train": 6, "validation": 4, "test": 5})
    for split in ("train", "validation", "test"):  # a name that HTML must escape
        (photos / split / "red").rename(photos / split / "<red> & more")
    recipe = Recipe(regime="full", epochs=2, image_size=32, batch_size=8, lr=1e-4)
    return finetune(photos, folder / "run", recipe, cpu=True, bars=False, say=lambda _: None).path


def test_the_page_says_what_the_run_found(run):
    page = (run / "report.html").read_text(encoding="utf-8")
    result = json.loads((run / "result.json").read_text())["test"]
    assert f"Test accuracy {result['accuracy']:.3f}" in page
    low, high = result["interval"]
    assert f"{low:.3f} to {high:.3f}, 15 photos" in page
    assert "&lt;red&gt; &amp; more" in page
    assert "<red>" not in page
    assert "score 0.333" in page  # three classes alike
    for name, alt in re.findall(r'<img src="([^"]+)" alt="([^"]+)"', page):
        assert Image.open(run / name).width > 200
        assert len(alt) > 15
    assert page.count("<img ") == len(list(run.glob("*.png")))


def test_a_run_without_mistakes_says_so(run, tmp_path):
    (tmp_path / "run").mkdir()
    for file in run.iterdir():
        if file.suffix != ".png":
            (tmp_path / "run" / file.name).write_bytes(file.read_bytes())
    labels = read_state(run / "test.pt")["labels"]
    write_state(
        tmp_path / "run" / "test.pt", {"logits": 9 * torch.eye(3)[labels], "labels": labels}
    )
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "None on the test photos" in page
    assert not (tmp_path / "run" / "mistakes.png").exists()


def test_a_run_that_is_not_finished_has_no_report(run, tmp_path):
    (tmp_path / "run.json").write_bytes((run / "run.json").read_bytes())
    with pytest.raises(PhotosError, match="not finished"):
        write_report(tmp_path)
