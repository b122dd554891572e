"""Folders as people have them: understood, or refused with the likely intention named."""

import csv
import io
import json
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from photo_folders import make_folders, make_photos, photo
from PIL import Image
from torchvision.models import list_models

from tutorial_utils import _decoding
from tutorial_utils.checkpoints import eval_transform, load_classifier, predict_photo
from tutorial_utils.errors import PhotosError, Stopped
from tutorial_utils.finetune.cli import main
from tutorial_utils.finetune.pipeline import finetune
from tutorial_utils.finetune.recipe import Recipe, torchvision_models
from tutorial_utils.finetune.report import evaluate, training
from tutorial_utils.inference.predict import answer_of, predict_files
from tutorial_utils.photo_folder import walk
from tutorial_utils.photo_folder.inspect import inspect_photos
from tutorial_utils.photo_folder.listing import list_photos, photos_to_predict
from tutorial_utils.photo_folder.split import split_photos
from tutorial_utils.photo_folder.walk import HEIC


def make(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def both(*folders):
    return [f"{folder}/{name}/1.jpg" for folder in folders for name in ("a", "b")]


# --- Layouts. ---


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("training_set", "test_set"), ("train", "test")),
        (("TRAIN", "DEV", "Eval_Test"), None),
        (("seg_train", "seg_test"), ("train", "test")),
        (("flowers_train", "flowers_val"), ("train", "validation")),
        (("train-data", "dev", "test images"), ("train", "validation", "test")),
        (("wrap/Training", "wrap/Testing"), ("train", "test")),
        (("a/b/train", "a/b/eval"), ("train", "validation")),
    ],
)
def test_splits_have_many_names(tmp_path, names, splits):
    make(tmp_path, *both(*names))
    if splits is None:  # Eval_Test speaks of two splits at once
        listing = list_photos(tmp_path)
        assert ("Eval_Test", "beside the splits, but no split") in listing.skipped
        return
    listing = list_photos(tmp_path)
    assert listing.splits == splits
    assert listing.classes == ["a", "b"]
    assert "splits (" in listing.layout


def test_splits_inside_class_folders(tmp_path):
    make(tmp_path, "cat/train/1.jpg", "cat/test/2.jpg", "dog/train/1.jpg", "dog/test/2.jpg")
    listing = list_photos(tmp_path)
    assert listing.splits == ("train", "test")
    assert [(f.path, f.label, f.split) for f in listing.files] == [
        ("cat/train/1.jpg", 0, "train"), ("dog/train/1.jpg", 1, "train"),
        ("cat/test/2.jpg", 0, "test"), ("dog/test/2.jpg", 1, "test"),
    ]  # fmt: skip


def test_one_wrapping_folder_is_gone_through(tmp_path):
    listing = list_photos(make(tmp_path, *both("photos of pets"), "__MACOSX/x/1.jpg"))
    assert listing.classes == ["a", "b"]
    assert "below photos of pets" in listing.layout


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([*both("pets/train", "pets/test"), "notes/x/1.jpg"], "did you mean .*pets"),
        (["a/1.jpg", "b/1.jpg", "results/plot.png"], "is 'results' a class.*--classes"),
        (["train/1.jpg", "test/1.jpg"], "look like splits, but have photos and no class"),
        (["cat.0.jpg", "cat.1.jpg", "dog.0.jpg"], "--label-pattern"),
        (["cat/train/1.jpg", "cat/test/1.jpg", "dog/1.jpg"], "'cat' has splits inside, 'dog' has"),
        (["Cat/1.jpg", "cat/1.jpg"], r"'Cat' and 'cat' look the same"),
        (["caf\u00e9/1.jpg", "cafe\u0301/1.jpg"], r"'cafe\\u0301' and 'caf\\xe9' look the same"),
        (["dog /1.jpg", "dog/1.jpg"], r"'dog' and 'dog ' look the same|'dog ' and 'dog' look"),
        ([*both("train"), "test/a/1.jpg", "test/B/1.jpg"], "only in test: 'B' .is it 'b'"),
    ],
)
def test_what_is_not_sure_is_refused_with_the_likely_intention(tmp_path, paths, message):
    with pytest.raises(PhotosError, match=message):
        list_photos(make(tmp_path / "photos", *paths))


def test_folders_of_runs_and_results_are_no_classes(tmp_path):
    make(tmp_path, "a/1.jpg", "b/1.jpg", "run1/run.json", "run1/x.png", "logs/x.txt")
    listing = list_photos(tmp_path)
    assert listing.classes == ["a", "b"]
    assert {"run1", "logs"} <= {path for path, _ in listing.skipped}
    make(tmp_path, "results/plot.png")
    assert list_photos(tmp_path, classes=["a", "b", "results"]).classes == ["a", "b", "results"]


def test_composed_and_decomposed_names_of_two_splits_are_one_class(tmp_path):
    make(
        tmp_path, "train/caf\u00e9/1.jpg", "train/b/1.jpg", "test/cafe\u0301/1.jpg", "test/b/1.jpg"
    )
    listing = list_photos(tmp_path)
    assert listing.classes == ["b", "caf\u00e9"]
    assert len(listing.files) == 4


def test_numbers_are_in_natural_order(tmp_path):
    make(tmp_path, *(f"{k}/{i}.jpg" for k in (0, 1, 2, 10, 11) for i in (2, 10, 1)))
    listing = list_photos(tmp_path)
    assert listing.classes == ["0", "1", "2", "10", "11"]
    assert [f.path for f in listing.files][:3] == ["0/1.jpg", "0/2.jpg", "0/10.jpg"]


def test_a_test_split_without_a_class_is_used_and_said(tmp_path):
    make_folders(tmp_path, {"train/a": 3, "train/b": 3, "test/a": 2})
    found = inspect_photos(tmp_path, progress=False)
    assert "test has no photos of 'b'" in found.notes
    assert len(split_photos(found)["test"]) == 2


# --- Files. ---


def test_photos_without_an_ending_and_mpo_are_photos(tmp_path):
    make_folders(tmp_path, {"a": 2, "b": 2})
    photo(50).save(tmp_path / "a" / "IMG0001", format="JPEG")
    (tmp_path / "a" / "README").write_text("text")
    photo(51).save(tmp_path / "b" / "two.mpo", format="MPO", save_all=True,
                   append_images=[photo(52)])  # fmt: skip
    make(tmp_path, "b/film.mp4")
    found = inspect_photos(tmp_path, progress=False)
    assert {"a/IMG0001", "b/two.mpo"} < {p.path for p in found.photos}
    assert dict(found.skipped)["b/film.mp4"].startswith("a video")
    assert dict(found.skipped)["a/README"] == "not an image's name (no ending)"


@pytest.fixture
def without_heif(monkeypatch):
    plain = frozenset({".jpg", ".png"})
    monkeypatch.setattr(_decoding, "photo_suffixes", lambda: plain)
    monkeypatch.setattr(walk, "photo_suffixes", lambda: plain)


@pytest.mark.usefixtures("without_heif")
def test_heic_says_what_to_do(tmp_path):
    make_folders(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "a" / "x.HEIC").touch()
    assert dict(inspect_photos(tmp_path, progress=False).skipped) == {"a/x.HEIC": HEIC}


def heic(path, size=(64, 48), **options):
    """Write a HEIC photo, red on its left side."""
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    picture = photo(60, *size)
    picture.paste((220, 20, 20), (0, 0, size[0] // 4, size[1]))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, format="HEIF", quality=95, **options)
    return picture


def test_heic_is_read_where_the_package_is(tmp_path, run):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter to the right
    picture = heic(tmp_path / "red" / "IMG_1.HEIC", exif=exif.tobytes())
    heic(tmp_path / "blue" / "IMG_2.heif", (72, 48))
    found = inspect_photos(tmp_path, progress=False, smallest=1)
    assert {p.path for p in found.photos} == {"red/IMG_1.HEIC", "blue/IMG_2.heif"}
    assert not found.skipped
    read = _decoding.read_photo(tmp_path / "red" / "IMG_1.HEIC")
    wanted = picture.transpose(Image.Transpose.ROTATE_270)
    assert read.size == wanted.size
    assert np.abs(np.asarray(read, float) - np.asarray(wanted, float)).mean() < 15
    answers = list(predict_files(run, tmp_path, device="cpu"))
    assert [a.error for a in answers] == ["", ""]


@pytest.mark.usefixtures("without_heif")
def test_a_folder_of_heic_without_the_package_is_an_answer_and_an_error(tmp_path, run, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.HEIC").touch()
    (tmp_path / "film.mov").touch()
    with pytest.raises(SystemExit) as end:
        main(["predict", str(run), str(tmp_path), str(tmp_path / "film.mov"), "--json", "--cpu"])
    assert end.value.code == 2
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "pip install pillow-heif" in rows[0]["error"]
    assert "a video" in rows[1]["error"]


def test_unreadable_photos_are_named_first_and_all_skips_are_in_a_file(tmp_path, capsys):
    make_folders(tmp_path / "p", {"a": 6, "b": 6})
    for i in range(20):
        (tmp_path / "p" / "a" / f"{i}.txt").touch()
    (tmp_path / "p" / "b" / "zz.jpg").write_bytes(b"bad")
    found = inspect_photos(tmp_path / "p", progress=False)
    assert found.summary().split("skipped: ")[1].splitlines()[1].strip().startswith("b/zz.jpg")
    assert len(found.to_json()["skipped"]) == 21


def test_placeholders_and_tiny_photos_are_said(tmp_path):
    make_folders(tmp_path, {"a": 3, "b": 3})
    Image.new("RGB", (300, 200), "white").save(tmp_path / "a" / "gone.png")
    found = inspect_photos(tmp_path, progress=False)
    assert [p.path for p in found.placeholders] == ["a/gone.png"]
    text = found.summary()
    assert "perhaps placeholders: 1 photos (a/gone.png)" in text
    assert "shorter side under 64 pixels: 6 photos" in text
    assert "always naming the largest class would be right on 0.571" in text


# --- Labels and groups. ---


def test_labels_from_a_table(tmp_path):
    make_folders(tmp_path / "p", {"all": 6})
    table = tmp_path / "labels.csv"
    lines = [f"all/{i}.jpg,{'cat' if i < 3 else 'dog'},{'test' if i % 3 == 2 else ''},p{i // 2}"
             for i in range(6)]  # fmt: skip
    table.write_text("\ufeffFile,Label,Split,Group\n" + "\n".join([*lines, "gone.jpg,cat,,"]),
                     encoding="utf-8")  # fmt: skip
    listing = list_photos(tmp_path / "p", labels=table)
    assert listing.classes == ["cat", "dog"]
    assert [(f.label, f.split, f.group) for f in listing.files][1:3] == [
        (0, "train", "p0"), (0, "test", "p1"),
    ]  # fmt: skip
    assert listing.skipped[0][0] == "gone.jpg"
    for text, message in (("a,b\n1,2", "needs a first line"), ("file,label\nx.jpg,a\nx.jpg,b",
                                                               "two labels")):  # fmt: skip
        table.write_text(text)
        with pytest.raises(PhotosError, match=message):
            list_photos(tmp_path / "p", labels=table)


@pytest.mark.parametrize(
    ("head", "line", "encoding"),
    [
        ("file;label", "all/{i}.jpg;Käfer{k}", "utf-8-sig"),  # as spreadsheets save
        ("Filename\tClass", "{i}.jpg\tKäfer{k}", "utf-16"),
        ("image_id,breed", "{i},Käfer{k}", "cp1252"),  # a name without folder and ending
        ("path,category", "all\\{i}.jpg,Käfer{k}\r", "utf-8"),
    ],
)
def test_tables_as_people_have_them(tmp_path, head, line, encoding):
    make_folders(tmp_path / "p", {"all": 4})
    lines = [head, *(line.format(i=i, k=i % 2) for i in range(4))]
    (tmp_path / "t.csv").write_bytes("\n".join(lines).encode(encoding))
    listing = list_photos(tmp_path / "p", labels=tmp_path / "t.csv")
    assert listing.classes == ["Käfer0", "Käfer1"]
    assert sorted(f.path for f in listing.files) == [f"all/{i}.jpg" for i in range(4)]


@pytest.mark.parametrize("folders", [("images",), ("train", "test"), ("",)])
def test_a_table_beside_photos_without_class_folders_is_named(tmp_path, folders):
    make(tmp_path, *(f"{folder}/{i}.jpg".lstrip("/") for folder in folders for i in range(3)))
    (tmp_path / "notes.csv").write_text("day,weather\n1,sun\n")
    (tmp_path / "train labels.csv").write_text("id,breed\n0,a\n1,b\n")
    with pytest.raises(
        PhotosError, match=r"If the classes stand in .*--labels '.*train labels.csv'"
    ):
        list_photos(tmp_path)
    if len(folders) == 1:
        found = list_photos(tmp_path, labels=tmp_path / "train labels.csv")
        assert found.classes == ["a", "b"]


def test_other_archives_are_said(tmp_path):
    make(tmp_path, "photos.rar")
    with pytest.raises(PhotosError, match="kind that is not read here: unpack it"):
        list_photos(tmp_path / "photos.rar")


def test_a_name_that_two_photos_have_is_not_guessed(tmp_path):
    make_folders(tmp_path / "p", {"one": 2, "two": 1})
    (tmp_path / "t.csv").write_text("file,label\n0.jpg,a\n1.jpg,b\none/0.jpg,a\n")
    listing = list_photos(tmp_path / "p", labels=tmp_path / "t.csv")
    assert [f.path for f in listing.files] == ["one/1.jpg", "one/0.jpg"]
    assert listing.skipped[0][0] == "0.jpg"


def test_labels_and_groups_from_file_names(tmp_path):
    make(tmp_path, "cat.0.jpg", "dog.0.jpg", "cat.1.jpg", "odd.jpg")
    listing = list_photos(tmp_path, label_pattern=r"([a-z]+)\.\d+", groups=r"\.(\d+)\.")
    assert listing.classes == ["cat", "dog"]
    assert [f.group for f in listing.files] == ["0", "1", "0"]
    assert listing.skipped == [("odd.jpg", "the pattern of labels does not fit")]
    with pytest.raises(PhotosError, match="no regular expression"):
        list_photos(tmp_path, label_pattern="(")


def test_groups_stay_on_one_side(tmp_path):
    make_folders(tmp_path, {"a": 12, "b": 12})
    for folder in ("a", "b"):
        for i in range(12):
            (tmp_path / folder / f"{i}.jpg").rename(tmp_path / folder / f"patient{i // 3}-{i}.jpg")
    found = inspect_photos(tmp_path, progress=False, groups=r"(\w/patient\d+)")
    sides = {}
    for split, part in split_photos(found).items():
        for one in part:
            sides.setdefault(one.group, set()).add(split)
    assert len(sides) == 8
    assert all(len(side) == 1 for side in sides.values())


# --- One lister, one decoding, one path. ---

TINY = Recipe(
    model="shufflenet_v2_x0_5", regime="scratch", batchnorm="frozen", image_size=32, epochs=1,
    batch_size=16, precision="float32", augmentation="none", ema=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("p"), {"train": 5, "validation": 3, "test": 4})


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("r") / "run"
    shutil.copy(photos / "train" / "red" / "0.png", photos / "test" / "red" / "copy.png")
    finetune(photos, out, TINY, cpu=True, progress=False, log=lambda _: None)
    return out


def test_one_path_is_one_photo(run, photos):
    path = photos / "test" / "red" / "0.png"
    for one in (path, str(path), [path]):
        answers = list(predict_files(run, one, device="cpu"))
        assert [a.photo for a in answers] == [str(path)]
    with pytest.raises(PhotosError, match="no photos in"):
        list(predict_files(run, make_empty(photos.parent)))


def make_empty(folder):
    (folder / "empty").mkdir(exist_ok=True)
    return folder / "empty"


def test_prediction_lists_like_training(tmp_path):
    make_folders(tmp_path / "album.jpg", {"a": 1})
    make(tmp_path, "album.jpg/._x.jpg", "album.jpg/.ipynb_checkpoints/1.jpg", "album.jpg/n.txt")
    (tmp_path / "linked").symlink_to(tmp_path / "album.jpg")
    for folder in ("album.jpg", "linked"):
        found = list(photos_to_predict(tmp_path / folder))
        assert found == [(tmp_path / folder / "a" / "0.jpg", None)]
    assert next(photos_to_predict(str(tmp_path / "*" / "a" / "*.jpg")))[1] is None
    for item, message in ((str(tmp_path / "*.gif"), "no file fits"),):
        with pytest.raises(PhotosError, match=message):
            list(photos_to_predict(item))
    reasons = [r for _, r in photos_to_predict(["https://x.org/a.jpg", tmp_path / "no.jpg"])]
    assert "download" in reasons[0]
    assert "there is no photo" in reasons[1]


def test_a_list_on_standard_input(tmp_path, monkeypatch):
    make_folders(tmp_path, {"a": 2})
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{tmp_path / 'a' / '0.jpg'}\n\n"))
    assert list(photos_to_predict("-")) == [(tmp_path / "a" / "0.jpg", None)]


def test_a_photo_is_decoded_in_one_way(run, photos, tmp_path):
    classifier = load_classifier(run / "best.pt")
    picture = Image.open(photos / "test" / "blue" / "0.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.resize((200, 120)).save(tmp_path / "turned.jpg", exif=exif)
    alpha = picture.convert("RGBA")
    alpha.putalpha(picture.convert("L").point(lambda v: 255 if v > 120 else 0))
    alpha.save(tmp_path / "clear.png")
    Image.fromarray(np.arange(1600, dtype=np.uint16).reshape(40, 40) * 40).save(tmp_path / "16.png")
    for name in ("turned.jpg", "clear.png", "16.png"):
        from_file = predict_photo(classifier, tmp_path / name, top=3)
        (answer,) = predict_files(run, tmp_path / name, device="cpu")
        if not classifier.decision["mirror"]:
            z = np.log([p for _, p in from_file]) / classifier.decision["temperature"]
            p = np.exp(z) / np.exp(z).sum()
            assert answer.classes == [label for label, _ in from_file]
            assert answer.probabilities == pytest.approx(p.tolist(), abs=1e-4)
        with Image.open(tmp_path / name) as image:
            size = image.size
            assert predict_photo(classifier, image, top=3) == from_file
            assert image.size == size


def test_failures_are_in_the_table_and_in_the_json(run, photos, tmp_path, capsys):
    (tmp_path / "bad.jpg").write_bytes(b"no")
    files = [str(tmp_path / "bad.jpg"), str(photos / "test" / "red")]
    table = tmp_path / "answers.csv"
    with pytest.raises(SystemExit) as end:
        main(["predict", str(run), *files, "--csv", str(table), "--cpu"])
    assert end.value.code == 2
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert len(rows) == 6
    assert "cannot be read" in rows[0]["error"]
    p = [float(rows[1][f"p({name})"]) for name in ("blue", "green", "red")]
    assert sum(p) == pytest.approx(1, abs=1e-4)
    assert float(rows[1]["probability"]) == pytest.approx(max(p))
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["predict", str(run), *files, "--json", "--cpu"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "cannot be read" in lines[0]["error"]
    assert len(lines) == 6


def test_the_temperature_is_applied_and_the_unsure_are_marked(run, photos):
    classifier = load_classifier(run / "best.pt")
    path = photos / "test" / "red" / "1.png"
    (answer,) = predict_files(run, path, device="cpu")
    image = eval_transform(**classifier.preprocessing)(Image.open(path).convert("RGB"))
    logits = classifier.model(image[None])[0].detach() / classifier.decision["temperature"]
    assert answer.probabilities[0] == pytest.approx(logits.softmax(0).max().item(), abs=1e-4)
    assert answer.unsure == (answer.probabilities[0] < classifier.decision["threshold"])


# --- evaluate, the headline, the same model again. ---


def test_evaluate_takes_the_test_part_and_leaves_out_what_was_learned_from(run, photos):
    found = evaluate(run, photos, cpu=True)
    assert found["split"] == "test"
    assert (found["photos"], found["learned_from"]) == (12, 1)
    with pytest.raises(PhotosError, match="all were learned from"):
        evaluate(run, photos / "train", cpu=True)
    assert sum(map(sum, found["confusion"])) == 12


def test_evaluate_says_what_it_skipped(run, photos, tmp_path, capsys):
    shutil.copytree(photos / "test", tmp_path / "p")
    (tmp_path / "p" / "red" / "bad.jpg").write_bytes(b"no photo")
    assert main(["evaluate", str(run), str(tmp_path / "p"), "--cpu", "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "skipped: 1 files, such as red/bad.jpg" in said
    assert "called so" in said  # the table of classes


def test_workers_give_the_same_answers(run, photos):
    answers = [list(predict_files(run, photos / "test", 4, n, "cpu")) for n in (0, 2)]
    assert answers[0] == answers[1]


def test_an_answer_that_is_no_number_is_an_error():
    answer = answer_of("x.jpg", torch.tensor([0.0, torch.nan]), ["a", "b"], {})
    assert answer.to_json() == {"photo": "x.jpg", "error": answer.error}
    assert "infinite or NaN" in answer.error


def test_evaluate_takes_one_class_and_writes_a_report(run, photos, tmp_path):
    shutil.copytree(photos / "test" / "red", tmp_path / "one" / "red")
    found = evaluate(run, tmp_path / "one", report=tmp_path / "page.html", cpu=True)
    assert found["photos"] == 4
    assert found["missing_classes"] == ["blue", "green"]
    assert "recall" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_copies_of_training_photos_in_the_test_are_in_the_headline(run):
    result = json.loads((run / "result.json").read_text())["test"]
    assert result["copies"] == 1
    assert result["without_copies"]["photos"] == 12
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "1 of the test photos are copies" in page


def test_every_skip_is_in_the_runs_table_the_unreadable_first(photos, tmp_path):
    shutil.copytree(photos / "train", tmp_path / "p")
    for i in range(20):
        (tmp_path / "p" / "blue" / f"{i}.txt").touch()
    (tmp_path / "p" / "red" / "zz.jpg").write_bytes(b"bad")
    finetune(tmp_path / "p", tmp_path / "run", TINY, cpu=True, progress=False, log=print)
    rows = list(csv.DictReader((tmp_path / "run" / "skipped.csv").open(encoding="utf-8")))
    assert len(rows) == 21
    assert rows[0]["file"] == "red/zz.jpg"


def test_the_printed_command_can_be_pasted(photos, tmp_path):
    def press(line):
        if line.startswith("epoch 1:"):
            signal.raise_signal(signal.SIGINT)

    odd, out = tmp_path / "my photos; old", tmp_path / "the run's folder"
    shutil.copytree(photos, odd)
    with pytest.raises(Stopped) as stopped:
        finetune(odd, out, replace(TINY, epochs=2), cpu=True, progress=False, log=press)
    command = str(stopped.value).split("Go on with: ")[1]
    code = f"cd /; {command} --cpu --quiet"
    done = subprocess.run(code, shell=True, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "report: " in done.stdout


def test_two_photos_of_a_class_are_warned_of_and_full_training_is_refused(tmp_path):
    make_folders(tmp_path / "p", {"a": 2, "b": 2, "c": 2})
    lines, options = [], {"cpu": True, "progress": False, "log": lambda line: lines.append(line)}
    with pytest.raises(PhotosError, match="Each class needs three or more photos"):
        finetune(tmp_path / "p", tmp_path / "run", TINY, **options)
    assert any("say next to nothing; 30 would be few" in line for line in lines)


def test_the_report_says_when_and_what_next_in_plain_words(run):
    page = (run / "report.html").read_text(encoding="utf-8")
    assert re.search(r"Made on 20\d\d-\d\d-\d\d", page)
    assert "What to do next" in page
    assert not re.search(r"\bnats\b|logits divided", page)
    result = {"chosen": "fine-tuning", "epoch": 1}
    rows = [{"epoch": k, "validation_loss": 0.5, "accuracy": 0.9} for k in (1, 2)]
    assert "in epoch 1," in training(rows, result)  # ties: the first, as in the training itself


def test_the_readme_and_the_chapter_name_every_command():
    root = Path(__file__).parents[1]
    for name in ("README.md", "book/own_photos.ipynb"):
        text = (root / name).read_text(encoding="utf-8")
        for word in ("inspect", "evaluate", "predict", "--export", "--csv"):
            assert word in text, (name, word)


def test_the_precision_is_stored_and_a_network_that_diverged_is_not_kept(run, photos, tmp_path):
    recipe = json.loads((run / "run.json").read_text())["recipe"]
    assert recipe["precision"] == "float32"
    arguments = ["finetune", str(photos), "--out", str(tmp_path / "x"), "--cpu", "--quiet",
                 "--model=shufflenet_v2_x0_5", "--regime=scratch", "--batchnorm=frozen",
                 "--lr=1e30", "--epochs=3", "--image-size=32"]  # fmt: skip
    assert main(arguments) == 2
    assert not (tmp_path / "x" / "best.pt").exists()
    stored = json.loads((tmp_path / "x" / "run.json").read_text())["recipe"]["precision"]
    assert stored in ("float32", "bfloat16")


def test_a_wide_photo_stays_whole_with_padding():
    wide = Image.new("RGB", (90, 30), "white")
    wide.paste((255, 0, 0), (0, 0, 10, 30))  # red at the left end
    options = {"resize": 24, "crop": 24, "mean": [0, 0, 0], "std": [1, 1, 1]}
    cropped, padded = eval_transform(**options)(wide), eval_transform(**options, pad=True)(wide)
    assert padded.shape == cropped.shape == (3, 24, 24)
    assert cropped[1].min() > 0.99
    assert padded[1, 12, 0] < 0.2


# --- inspect. ---


def test_inspect_says_what_would_be_learned(tmp_path, capsys):
    make_folders(tmp_path, {"a": 10, "b": 10})
    assert main(["inspect", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "understood as: class folders" in said
    assert "would learn from 14, choose by" in said
    assert main(["inspect", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["majority"] == 0.5
    assert found["would_split"]["train"] == 14
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]  # nothing is written


def test_inspect_and_evaluate_take_an_archive(run, photos, tmp_path, capsys):
    archive = shutil.make_archive(tmp_path / "photos", "zip", photos / "test")
    assert main(["inspect", archive]) == 0
    said = capsys.readouterr().out
    assert f"classes in {archive}" in said
    assert "would learn from" in said
    assert main(["evaluate", str(run), archive, "--cpu"]) == 0
    assert "on 12 photos" in capsys.readouterr().out
    (tmp_path / "zips").mkdir()
    shutil.move(archive, tmp_path / "zips" / "cats.zip")
    with pytest.raises(PhotosError, match=r"holds archives .cats.zip.: unpack them"):
        list_photos(tmp_path / "zips")
    assert next(photos_to_predict(tmp_path / "zips" / "cats.zip"))[1].endswith("unpack it first.")


def test_what_is_mistyped_is_named_in_a_blink(run, tmp_path):
    make_folders(tmp_path / "photos", {"a": 2, "b": 2})
    (tmp_path / "labels.csv").touch()
    calls = {
        f"finetune {tmp_path}/photos --out {tmp_path}/x --model mobilnet_v2": "mean mobilenet_v2",
        f"finetune {tmp_path}/photo --out {tmp_path}/x": "mean .*/photos",
        f"finetune {tmp_path}/labels.csv --out {tmp_path}/x": "--labels labels.csv",
        f"inspect {tmp_path}/photos/a": f"mean {tmp_path}/photos",
        f"predict {run}n {tmp_path}/photos": f"mean {run}",
        f"finetune {tmp_path}/photos --out {tmp_path}/x --start {run}n": f"mean {run}",
        f"inspect {tmp_path}/photos --labels {tmp_path}/label.csv": "mean .*labels.csv",
    }
    for call, message in calls.items():
        command = [sys.executable, "-X", "importtime", "-m", "tutorial_utils.finetune"]
        done = subprocess.run([*command, *call.split()], capture_output=True, text=True)
        said = [s for s in done.stderr.splitlines() if not s.startswith("import time")]
        assert done.returncode == 2
        assert re.search(message, said[-1]), said
        assert "inspect" in call or "| torch" not in done.stderr  # which takes seconds
    assert not (tmp_path / "x").exists()


def test_every_classifier_of_torchvision_is_known_without_importing_it():
    assert sorted(torchvision_models()) == list_models(module=torchvision.models)


def test_likely_wrong_labels_are_shown(tmp_path):
    from tutorial_utils._files import write_state
    from tutorial_utils.finetune.report import suspected
    from tutorial_utils.finetune.run_folder import RunFolder

    run = RunFolder(tmp_path)
    pool = [{"path": f"{i}.jpg", "label": i % 2} for i in range(6)]
    logits = 4.0 * torch.eye(2)[[0, 1, 1, 1, 0, 1]]  # photo 2 is called 1, its label is 0
    write_state(tmp_path / "probe.pt", {"rows": torch.arange(6), "logits": logits})
    assert suspected(run, pool)["paths"] == ["2.jpg"]
