import base64
import csv
import html
import io
import json
import os
import re
import sys

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from photo_folders import make_photos
from PIL import Image
from sklearn import metrics

from tutorial_utils._files import read_state, write_state
from tutorial_utils.checkpoints import load_classifier
from tutorial_utils.errors import PhotosError
from tutorial_utils.finetune.cli import main
from tutorial_utils.finetune.pipeline import finetune
from tutorial_utils.finetune.recipe import Recipe
from tutorial_utils.finetune.report import class_rows, write_report


def test_the_classes_figures_are_scikit_learns():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 5, (60,), generator=generator)
    logits = torch.randn(60, 5, generator=generator) + 2 * torch.nn.functional.one_hot(labels, 5)
    answer = logits.argmax(dim=1)
    expected = metrics.precision_recall_fscore_support(labels, answer)
    rows = class_rows(metrics.confusion_matrix(labels, answer), "abcde")
    for name, values in zip(("precision", "recall", "f1", "photos"), expected, strict=True):
        assert [row[name] for row in rows] == pytest.approx(values.tolist())


def test_a_class_without_photos_has_no_figures():
    rows = class_rows(torch.diag(torch.tensor([2, 1, 0])), "abc")
    assert rows[2]["precision"] is rows[2]["recall"] is rows[2]["f1"] is None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    photos = make_photos(folder / "photos", {"train": 6, "validation": 4, "test": 5})
    for split in ("train", "validation", "test"):  # a name that HTML must escape
        (photos / split / "red").rename(photos / split / "<red> & more")
    recipe = Recipe(regime="full", epochs=2, image_size=32, batch_size=8, lr=1e-4)
    return finetune(
        photos, folder / "run", recipe, cpu=True, progress=False, log=lambda _: None
    ).path


def test_the_page_says_what_the_run_found(run):
    page = (run / "report.html").read_text(encoding="utf-8")
    result = json.loads((run / "result.json").read_text())["test"]
    assert f"Test accuracy {result['accuracy']:.3f}" in page
    low, high = result["interval"]
    assert f"{low:.3f} to {high:.3f}, 15 photos" in page
    assert "&lt;red&gt; &amp; more" in page
    assert "<red>" not in page
    assert "largest class: 0.333" in page  # three classes alike
    for name, alt in re.findall(r'<img src="([^"]+)" alt="([^"]+)"', page):
        kind, data = name.split(",")
        assert kind == "data:image/png;base64"  # the page can be mailed
        assert Image.open(io.BytesIO(base64.b64decode(data))).width > 200
        assert len(alt) > 15
    assert page.count("<img ") >= 3
    assert "15 photos say next to nothing" in page
    assert "The test photos were used once" in page
    assert not list(run.glob("*.png"))
    rows = list(csv.DictReader((run / "predictions-test.csv").open(encoding="utf-8")))
    assert len(rows) == 15
    right = [row["label"] == row["class"] for row in rows]
    assert sum(right) / 15 == pytest.approx(result["accuracy"])


def test_the_model_loads_in_plain_torch_as_the_page_says(run):
    page = html.unescape((run / "report.html").read_text(encoding="utf-8"))
    code = re.search(r"import torch, torchvision.*?\n</?pre|import torch, torchvision.*?(?=</pre>)",
                     page, re.DOTALL)[0]  # fmt: skip
    place = {"images": torch.rand(2, 3, 32, 32)}
    exec(code, place)
    expected = load_classifier(run / "best.pt").model(place["images"])
    torch.testing.assert_close(place["logits"], expected)
    assert set(place["names"]) <= {"blue", "green", "<red> & more"}


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


def test_a_run_that_is_not_finished_has_no_report(run, tmp_path):
    (tmp_path / "run.json").write_bytes((run / "run.json").read_bytes())
    with pytest.raises(PhotosError, match="not finished"):
        write_report(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems' file names are always text")
def test_every_class_name_can_be_reported_and_printed(tmp_path, monkeypatch):
    photos = make_photos(tmp_path / "photos", {"train": 4, "validation": 4, "test": 4})
    names = {"blue": b"$\\frac$", "green": "帽子 🎩".encode(), "red": b"caf\xe9"}
    for split in ("train", "validation", "test"):
        for old, new in names.items():
            os.rename(photos / split / old, os.fsencode(photos / split) + b"/" + new)
    recipe = Recipe(regime="full", epochs=1, image_size=32, batch_size=12, lr=1e-6)
    finetune(photos, tmp_path / "run", recipe, cpu=True, progress=False, log=lambda _: None)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    for name in ("$\\frac$", "帽子 🎩", "caf\ufffd"):
        assert f"<th scope=row>{name}</th>" in html.unescape(page)
    photo = os.fsencode(photos / "test") + b"/caf\xe9/0.png"
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")  # one with few letters
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["predict", str(tmp_path / "run"), os.fsdecode(photo)]) == 0
    terminal.flush()
    said = terminal.buffer.getvalue()
    assert rb"/caf\udce9/0.png: " in said
    assert len(re.findall(rb" [01]\.\d{3}", said)) == 3  # three classes


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_can_be_read_by_everyone(run, chromium, theme):
    page = chromium.new_page(color_scheme=theme, viewport={"width": 360, "height": 700})
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((run / "report.html").as_uri())
    found = Axe().run(page).response
    assert len(found["passes"]) > 10
    assert [(v["id"], n["html"]) for v in found["violations"] for n in v["nodes"]] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert errors == []
    assert asked
    assert all(url.startswith(("file:", "data:")) for url in asked)
    page.close()
