import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from photo_folders import make_photos

from tutorial_utils import _files as storage
from tutorial_utils.checkpoints import load_classifier
from tutorial_utils.errors import PhotosError, Stopped
from tutorial_utils.finetune import pipeline as module
from tutorial_utils.finetune.cli import main
from tutorial_utils.finetune.inference import compare, evaluate
from tutorial_utils.finetune.pipeline import finetune
from tutorial_utils.finetune.recipe import Recipe

QUICK = {"image_size": 32, "batch_size": 8, "epochs": 3, "regime": "full", "ema": 0.0,
         "precision": "float32"}  # fmt: skip
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def quietly(photos, out, recipe=None, **options):
    options = {"bars": False, "say": lambda line: None, "cpu": True} | options
    return finetune(photos, out, Recipe(**{**QUICK, **(recipe or {})}), **options)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    counts = {"train": 8, "validation": 4, "test": 5}
    return make_photos(tmp_path_factory.mktemp("photos"), counts)


@pytest.fixture(scope="module")
def unbroken(photos, tmp_path_factory):
    """A run without any trouble: its folder and what it said."""
    out, lines = tmp_path_factory.mktemp("runs") / "unbroken", []
    return quietly(photos, out, say=lines.append), lines


def options(recipe):
    return [f"--{k.replace('_', '-')}={v}" for k, v in recipe.items()]


def weights(run):
    return load_classifier(Path(run) / "best.pt").model.state_dict()


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def last_epoch(run):
    path = Path(run) / "last.pt"
    return storage.read_state(path)["trainer"]["progress"]["epoch"] if path.is_file() else 0


# --- What a run leaves. ---


def test_a_run_holds_all_that_belongs_to_it(unbroken):
    result, lines = unbroken
    names = {p.name for p in result.path.iterdir()}
    assert names == {
        "run.json", "inspection.json", "split.jsonl", "log.jsonl", "best.pt", "last.pt",
        "result.json", "validation.pt", "test.pt", "report.html", "curves.png", "confusion.png",
        "reliability.png",
    } | ({"mistakes.png"} if result.test < 1 else set())  # fmt: skip
    config = json.loads((result.path / "run.json").read_text())
    assert config["classes"] == ["blue", "green", "red"]
    assert config["recipe"] == Recipe(**QUICK).to_json()
    assert config["versions"]["torch"] == torch.__version__
    log = [json.loads(line) for line in (result.path / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in log] == [1, 2, 3]
    assert result.epoch == max(log, key=lambda r: (r["accuracy"], -r["validation_loss"]))["epoch"]
    assert any(f"test accuracy {result.test:.3f} on 15 photos" in line for line in lines)


def test_the_test_accuracy_is_that_of_the_saved_model(unbroken, photos):
    result, _ = unbroken
    found = evaluate(result.path, photos / "test")
    assert found["accuracy"] == result.test
    assert found["photos"] == result.test_photos == 15
    assert found["interval"] == result.interval
    assert sum(right for right, _ in found["classes"].values()) == round(result.test * 15)


def test_the_same_run_again_gives_the_same_weights(unbroken, photos, tmp_path):
    again = quietly(photos, tmp_path / "again")
    assert equal(weights(again.path), weights(unbroken[0].path))


def test_auto_keeps_the_probe_if_fine_tuning_does_not_win(photos, tmp_path):
    recipe = {"regime": "auto", "lr": 1e-7, "epochs": 1, "image_size": 64}
    result = quietly(photos, tmp_path / "auto", recipe)
    log = [json.loads(line) for line in (result.path / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in log] == [0, 1]
    keys = [(row["accuracy"], -row["validation_loss"]) for row in log]
    assert result.chosen == ("probe" if keys[0] >= keys[1] else "fine-tuning")
    assert log[0]["accuracy"] > 0.8


@pytest.mark.parametrize("regime", ["probe", "head-then-full", "discriminative", "scratch"])
def test_every_regime_ends_with_a_model(regime, photos, tmp_path):
    result = quietly(photos, tmp_path / regime, {"regime": regime, "epochs": 1, "workers": 0})
    assert evaluate(result.path, photos / "test")["accuracy"] == result.test
    assert (result.chosen == "probe") == (regime == "probe")


@pytest.mark.parametrize("amount", ["none", "flip", "light", "standard", "strong"])
def test_every_augmentation_trains(amount, photos, tmp_path):
    recipe = {"augmentation": amount, "epochs": 1, "mixup": 0.2, "cutmix": 1.0, "ema": 0.9,
              "class_weights": True, "find_lr": amount == "light"}  # fmt: skip
    result = quietly(photos, tmp_path / amount, recipe)
    assert (result.path / "lr.json").is_file() == (amount == "light")


def test_patience_ends_a_run_that_gets_no_better(photos, tmp_path):
    result = quietly(photos, tmp_path / "run", {"lr": 1e-12, "epochs": 9, "patience": 2})
    assert len((result.path / "log.jsonl").read_text().splitlines()) <= 6


# --- Broken off and gone on with. ---


def test_ctrl_c_saves_says_how_to_go_on_and_the_end_is_the_same(unbroken, photos, tmp_path):
    def press_after_epoch_one(line):
        if line.startswith("epoch 1:"):
            os.kill(os.getpid(), signal.SIGINT)

    out = tmp_path / "run"
    with pytest.raises(Stopped, match=r"epoch 2 after step 1; nothing is lost.*--resume"):
        quietly(photos, out, say=press_after_epoch_one)
    assert last_epoch(out) == 1
    finetune(photos, out, resume=True, cpu=True, bars=False, say=lambda line: None)
    assert equal(weights(out), weights(unbroken[0].path))
    log = [re.sub(r'"seconds": [\d.]+', "", (p / "log.jsonl").read_text())
           for p in (out, unbroken[0].path)]  # fmt: skip
    assert log[0] == log[1]


def test_a_full_disk_is_said_and_the_run_goes_on_later(unbroken, photos, tmp_path, monkeypatch):
    out, sync, left = tmp_path / "run", os.fsync, [9]

    def full(descriptor):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PhotosError, match=r"is full.*Free some space and go on with --resume"):
        quietly(photos, out)
    monkeypatch.undo()
    assert not list(out.glob("*.partial"))
    quietly(photos, out, resume=True)
    assert equal(weights(out), weights(unbroken[0].path))


def test_a_loss_that_is_no_number_keeps_the_best_epoch(photos, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(FloatingPointError, match="Lower the learning rate"):
        quietly(photos, out, {"lr": 1e30, "epochs": 40, "warmup": 0.5})
    assert not (out / "result.json").exists()
    if (out / "best.pt").exists():
        assert all(v.isfinite().all() for v in weights(out).values())


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
sys.path[:0] = {path!r}
import matplotlib.figure, torchvision.models
from tutorial_utils.finetune import pipeline as finetune
from tutorial_utils import _files as storage
from tutorial_utils.checkpoints import load_classifier
from tutorial_utils.finetune.recipe import Recipe

photos, folder, recipe = {photos!r}, Path({folder!r}), Recipe(**{recipe!r})
random.seed(0)
kills, number, done, whole = 0, 0, 0, None
while kills < 30 or (folder / str(number)).exists():
    run, started = folder / str(number), time.monotonic()
    child = os.fork()
    if child == 0:
        finetune.finetune(photos, run, recipe, True, cpu=True, bars=False, say=lambda line: None)
        os._exit(0)
    if whole and kills < 30:
        time.sleep(random.uniform(0, 0.8 * whole))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    now = 0
    if (run / "last.pt").exists():
        now = storage.read_state(run / "last.pt")["trainer"]["progress"]["epoch"]
    assert now >= done, "a finished epoch was lost"
    if (run / "best.pt").exists():
        load_classifier(run / "best.pt")
    done = now
    if os.WIFSIGNALED(status):
        kills += 1
    else:
        assert status == 0
        number, done, whole = number + 1, 0, whole or time.monotonic() - started
print(number)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_at_30_random_moments_loses_no_finished_epoch(photos, tmp_path):
    # One process after another is killed, and each goes on where the last one was; when a run
    # ends, a new one is begun. All must end like a run without trouble.
    recipe = QUICK | {"epochs": 4, "model": "shufflenet_v2_x0_5", "regime": "scratch"}
    script = KILLED.format(
        path=sys.path, photos=str(photos), folder=str(tmp_path), recipe=recipe
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    whole = subprocess.run(
        [sys.executable, "-m", "tutorial_utils.finetune", "finetune", str(photos), "--out",
         str(tmp_path / "whole"), "--cpu", "--quiet", *options(recipe)],
        env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert whole.returncode == 0, whole.stderr
    for number in range(int(done.stdout)):
        assert equal(weights(tmp_path / str(number)), weights(tmp_path / "whole"))
        rows = [storage.read_lines(tmp_path / n / "log.jsonl") for n in (str(number), "whole")]
        losses = [[row["validation_loss"] for row in part] for part in rows]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)  # sums may round by memory's layout
    assert int(done.stdout) >= 2  # the first one, which was only timed, and the killed ones


def test_a_resumed_run_keeps_its_recipe_and_its_photos(unbroken, photos, tmp_path):
    out = unbroken[0].path
    with pytest.raises(PhotosError, match=r"begun with another lr;"):
        quietly(photos, out, {"lr": 1e-2}, resume=True)
    with pytest.raises(PhotosError, match="is a run on"):
        quietly(tmp_path, out, resume=True)
    with pytest.raises(PhotosError, match=r"holds a run already\. Add --resume"):
        quietly(photos, out)
    assert quietly(photos, out, resume=True) == unbroken[0]


def test_a_damaged_checkpoint_is_said(photos, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        quietly(photos, out, say=lambda line: line.startswith("epoch 1:")
                and os.kill(os.getpid(), signal.SIGINT))  # fmt: skip
    content = bytearray((out / "last.pt").read_bytes())
    content[len(content) // 2] ^= 255
    (out / "last.pt").write_bytes(content)
    with pytest.raises(storage.CheckpointError, match="damaged"):
        quietly(photos, out, resume=True)


def test_an_archive_is_unpacked_into_the_run_and_can_be_resumed(unbroken, photos, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "photos"), "zip", photos.parent, photos.name)
    with pytest.raises(Stopped):
        quietly(archive, tmp_path / "run", say=lambda line: line.startswith("epoch 1:")
                and os.kill(os.getpid(), signal.SIGINT))  # fmt: skip
    quietly(archive, tmp_path / "run", resume=True)
    assert equal(weights(tmp_path / "run"), weights(unbroken[0].path))


# --- Several processes. ---


@pytest.fixture(scope="module")
def torchrun():
    return [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2",
        "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", "-m", "tutorial_utils.finetune",
    ]  # fmt: skip


@pytest.mark.parametrize("launcher", ["torchrun", "accelerate"])
def test_two_processes_give_the_result_of_one(launcher, torchrun, photos, tmp_path):
    recipe = QUICK | {"regime": "head-then-full", "epochs": 2}
    one = quietly(photos, tmp_path / "one", recipe)
    command = torchrun if launcher == "torchrun" else [
        sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes=2",
        "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0",
        "-m", "tutorial_utils.finetune",
    ]  # fmt: skip
    arguments = ["finetune", str(photos), "--out", str(tmp_path / "two"), "--cpu", "--quiet"]
    done = subprocess.run(
        [*command, *arguments, *options(recipe)], env=ENVIRONMENT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    logs = [[json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
            for name in ("one", "two")]  # fmt: skip
    for a, b in zip(*logs, strict=True):
        assert b["train_loss"] == pytest.approx(a["train_loss"], rel=1e-4)
        assert b["validation_loss"] == pytest.approx(a["validation_loss"], rel=1e-3)
    logits = [storage.read_state(tmp_path / name / "test.pt")["logits"] for name in ("one", "two")]
    assert (logits[0] - logits[1]).abs().max() < 0.01 * logits[0].std()
    assert one.test_photos == 15


# --- The command. ---


def test_the_command_from_photos_to_predictions(photos, tmp_path, capsys):
    run = str(tmp_path / "my run 照片")
    arguments = ["finetune", str(photos), "--out", run, "--cpu", "--quiet"]
    assert main([*arguments, *options(QUICK | {"epochs": 1})]) == 0
    said = capsys.readouterr()
    assert "51 photos in 3 classes" in said.out
    assert "Traceback" not in said.err
    assert main(["evaluate", run, str(photos / "test")]) == 0
    assert re.fullmatch(
        r"accuracy \d\.\d{3} on 15 photos \(95 % interval .* to .*\), loss .*\n",
        capsys.readouterr().out,
    )
    assert main(["predict", run, str(photos / "test" / "red"), "--json", "--top=2"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 5
    assert all(len(row["predictions"]) == 2 for row in rows)
    assert main(["compare", run]) == 0
    assert f"mobilenet_v2, full  {run}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["finetune", "{tmp}/none", "--out", "{tmp}/run"], "there is no folder"),
        (["finetune", "{photos}", "--out", "{photos}"], "holds other files"),
        (["finetune", "{photos}", "--out", "/proc/run"], "/proc"),
        (["finetune", "{photos}", "--out", "{tmp}/a", "--model", "resnet51"], "no classifier"),
        (["finetune", "{photos}", "--out", "{tmp}/b", "--epochs", "0"], "at least 1"),
        (["finetune", "{photos}", "--out", "{tmp}/c", "--model", "resnet18", "--cpu"], "resnet18"),
        (["finetune", "{photos}", "--out", "{tmp}/d", "--precision", "float16", "--cpu"], "CUDA"),
        (["predict", "{tmp}/none", "{photos}"], "there is no file"),
        (["predict", "{tmp}/evil.pt", "{photos}"], "perhaps code"),
        (["evaluate", "{run}", "{photos}/none"], "there is no folder"),
        (["compare", "{tmp}"], "holds no run"),
    ],
)
def test_a_mistake_gets_one_clear_line(arguments, message, photos, unbroken, tmp_path, capsys,
                                       monkeypatch):  # fmt: skip
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    torch.save({"model": print}, tmp_path / "evil.pt")
    places = {"tmp": tmp_path, "photos": photos, "run": unbroken[0].path}
    assert main([a.format(**places) for a in arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("tutorial-utils: ")
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) <= 3


def test_one_unreadable_photo_does_not_stop_the_others(unbroken, photos, tmp_path, capsys):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    files = [str(tmp_path / "broken.jpg"), str(photos / "test" / "red" / "0.png")]
    with pytest.raises(SystemExit):
        main(["predict", str(unbroken[0].path), *files])
    said = capsys.readouterr()
    assert "broken.jpg cannot be read as an image" in said.err
    assert "0.png: " in said.out


def test_unknown_classes_are_said(unbroken, photos, tmp_path):
    other = tmp_path / "other"
    for name in ("red", "violet"):
        (other / name).mkdir(parents=True)
        (other / name / "a.png").write_bytes((photos / "test" / "red" / "0.png").read_bytes())
        (other / name / "b.png").write_bytes((photos / "test" / "red" / "1.png").read_bytes())
    with pytest.raises(PhotosError, match="does not know the classes violet"):
        evaluate(unbroken[0].path, other)


def test_runs_are_compared_photo_by_photo(unbroken, photos, tmp_path):
    other = quietly(photos, tmp_path / "other", {"regime": "probe"})
    table = compare([unbroken[0].path, other.path])
    outputs = [storage.read_state(r.path / "test.pt") for r in (unbroken[0], other)]
    right = [o["logits"].argmax(dim=1) == o["labels"] for o in outputs]
    alone = [int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())]
    assert f"alone is right on {alone[0]} photos, {other.path} alone on {alone[1]}" in table


def test_the_recipe_file_and_options_together(photos, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "finetune", lambda *a, **k: seen.append(a[2]))
    (tmp_path / "recipe.json").write_text(json.dumps({"lr": 0.01, "epochs": 4}))
    main(["finetune", "p", "--out", "r", "--recipe", str(tmp_path / "recipe.json"), "--lr=0.02",
          "--no-channels-last"])  # fmt: skip
    assert seen == [Recipe(lr=0.02, epochs=4, channels_last=False)]
