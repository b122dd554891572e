import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from photo_folders import make_photos
from PIL import Image

from tutorial_utils import _files as storage
from tutorial_utils.checkpoints import load_classifier
from tutorial_utils.errors import DivergedError, PhotosError, Stopped
from tutorial_utils.finetune import pipeline as module
from tutorial_utils.finetune.cli import main
from tutorial_utils.finetune.comparison import compare
from tutorial_utils.finetune.pipeline import finetune
from tutorial_utils.finetune.recipe import Recipe
from tutorial_utils.finetune.report import evaluate

QUICK = {
    "model": "shufflenet_v2_x0_5", "regime": "scratch", "batchnorm": "frozen", "image_size": 32,
    "batch_size": 8, "epochs": 3, "ema": 0.0, "precision": "float32", "augmentation": "light",
    "patience": 0,
}  # fmt: skip
# The fast tests train a small network from scratch; these take the pretrained one.
PRETRAINED = {"model": "mobilenet_v2", "regime": "auto", "batchnorm": "auto"}
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def quietly(photos, out, recipe=None, **options):
    options = {"progress": False, "log": lambda line: None, "cpu": True} | options
    return finetune(photos, out, Recipe(**{**QUICK, **(recipe or {})}), **options)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    counts = {"train": 8, "validation": 4, "test": 5}
    return make_photos(tmp_path_factory.mktemp("photos"), counts)


@pytest.fixture(scope="module")
def unbroken(photos, tmp_path_factory):
    """A run without any trouble: its folder and what it said."""
    out, lines = tmp_path_factory.mktemp("runs") / "unbroken", []
    return quietly(photos, out, log=lines.append), lines


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
        "run.json", "inspection.json", "skipped.csv", "split.jsonl", "log.jsonl", "best.pt",
        "last.pt", "tuned.pt", "held_out.pt", "result.json", "validation.pt", "test.pt",
        "predictions-test.csv", "report.html",
    }  # fmt: skip
    config = json.loads((result.path / "run.json").read_text())
    assert config["classes"] == ["blue", "green", "red"]
    assert config["recipe"] == Recipe(**QUICK).to_json()
    assert config["versions"]["torch"] == torch.__version__
    log = [json.loads(line) for line in (result.path / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in log] == [1, 2, 3]
    assert result.epoch == min(log, key=lambda r: r["validation_loss"])["epoch"]
    assert any(f"test accuracy {result.test:.3f} on 15 photos" in line for line in lines)


def test_the_test_accuracy_is_that_of_the_saved_model(unbroken, photos):
    result, _ = unbroken
    found = evaluate(result.path, photos / "test")
    assert found["accuracy"] == result.test
    assert found["photos"] == result.test_photos == 15
    assert tuple(found["interval"]) == result.interval
    assert sum(row["right"] for row in found["classes"].values()) == round(result.test * 15)


def test_the_same_run_again_gives_the_same_weights(unbroken, photos, tmp_path):
    again = quietly(photos, tmp_path / "again")
    assert equal(weights(again.path), weights(unbroken[0].path))


def test_auto_keeps_the_probe_if_fine_tuning_does_not_win(photos, tmp_path, monkeypatch):
    recipe = PRETRAINED | {"lr": 1e-7, "epochs": 1, "image_size": 64}
    result = quietly(photos, tmp_path / "auto", recipe)
    log = [json.loads(line) for line in (result.path / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in log] == [0, 1]
    assert log[0]["accuracy"] > 0.8
    assert log[0]["folds"] == 5
    values = json.loads((result.path / "result.json").read_text())
    assert result.chosen == "probe"  # a step of 1e-7 changes nothing
    assert values["validation"]["photos"] == 36  # judged on all that are not test photos
    assert values["evidence"]["photos"] == 12
    # With mirrored photos or without, the saved network gives the probe's answers on the test.
    assert evaluate(result.path, photos / "test", cpu=True)["accuracy"] == result.test


def test_a_margin_decides_and_not_a_lucky_epoch():
    labels = torch.arange(60) % 3
    truth = 4.0 * torch.nn.functional.one_hot(labels, 3)
    noise = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    weak, same, strong = truth + 4 * noise, truth + 4 * noise.roll(1, 0), truth + noise
    assert module.paired_evidence(weak, strong, labels)["take_tuned"]
    assert not module.paired_evidence(weak, same, labels)["take_tuned"]
    assert not module.paired_evidence(strong, weak, labels)["take_tuned"]


@pytest.mark.parametrize("regime", ["probe", "head-then-full", "discriminative", "scratch"])
def test_every_regime_ends_with_a_model(regime, photos, tmp_path):
    recipe = PRETRAINED | {"regime": regime, "epochs": 1}
    result = quietly(photos, tmp_path / regime, recipe)
    assert evaluate(result.path, photos / "test")["accuracy"] == result.test
    assert (result.chosen == "probe") == (regime == "probe")


@pytest.mark.parametrize("amount", ["none", "flip", "light", "standard", "strong"])
def test_every_augmentation_trains(amount, photos, tmp_path):
    recipe = {"augmentation": amount, "epochs": 1, "mixup": 0.2, "cutmix": 1.0, "ema": 0.9,
              "class_weights": True, "find_lr": amount == "light"}  # fmt: skip
    result = quietly(photos, tmp_path / amount, recipe)
    assert (result.path / "lr.json").is_file() == (amount == "light")


def test_patience_ends_a_run_that_gets_no_better(photos, tmp_path):
    result = quietly(
        photos, tmp_path / "run", {"lr": 1e-12, "epochs": 9, "patience": 1, "ema": 0.0}
    )
    assert len((result.path / "log.jsonl").read_text().splitlines()) < 9


# --- Broken off and gone on with. ---


def test_ctrl_c_saves_says_how_to_go_on_and_the_end_is_the_same(unbroken, photos, tmp_path):
    def press_after_epoch_one(line):
        if line.startswith("epoch 1:"):
            os.kill(os.getpid(), signal.SIGINT)

    out = tmp_path / "run"
    with pytest.raises(Stopped, match=r"epoch 2 after step 1; nothing is lost.*--resume"):
        quietly(photos, out, log=press_after_epoch_one)
    assert last_epoch(out) == 1
    finetune(photos, out, resume=True, cpu=True, progress=False, log=lambda line: None)
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
    with pytest.raises(DivergedError, match="Lower the learning rate"):
        quietly(photos, out, {"lr": 1e30, "epochs": 9, "warmup": 0.5})
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
while kills < {kills} or (folder / str(number)).exists():
    run, started = folder / str(number), time.monotonic()
    child = os.fork()
    if child == 0:
        finetune.finetune(photos, run, recipe, True, cpu=True,
                          progress=False, log=lambda line: None)
        os._exit(0)
    if whole and kills < {kills}:
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


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_at_random_moments_loses_no_finished_epoch(photos, tmp_path):
    # One process after another is killed, and each goes on where the last one was; when a run
    # ends, a new one is begun. All must end like the first, which has no trouble.
    recipe = QUICK | {"epochs": 4}
    kills = 30 if os.environ.get("SCHEDULED") else 4
    script = KILLED.format(
        path=sys.path, photos=str(photos), folder=str(tmp_path), recipe=recipe, kills=kills
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    ended = int(done.stdout)
    assert ended >= 2  # the first one, which was only timed, and the killed ones
    first, *others = [storage.read_lines(tmp_path / str(n) / "log.jsonl") for n in range(ended)]
    for number, rows in enumerate(others, 1):
        assert equal(weights(tmp_path / str(number)), weights(tmp_path / "0"))
        losses = [[row["validation_loss"] for row in part] for part in (rows, first)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)  # sums may round by memory's layout


def test_a_resumed_run_keeps_its_recipe_and_its_photos(unbroken, photos, tmp_path):
    out = unbroken[0].path
    with pytest.raises(PhotosError, match=r"begun with another lr;"):
        quietly(photos, out, {"lr": 1e-2}, resume=True)
    with pytest.raises(PhotosError, match="is a run on"):
        quietly(tmp_path, out, resume=True)
    with pytest.raises(PhotosError, match=r"holds a run already\. Add --resume"):
        quietly(photos, out)
    assert quietly(photos, out, resume=True) == unbroken[0]


def test_a_run_goes_on_for_more_epochs_and_where_the_photos_moved(photos, tmp_path):
    here, there, out = tmp_path / "here", tmp_path / "there", tmp_path / "run"
    shutil.copytree(photos, here)
    quietly(here, out, {"epochs": 1})
    here.rename(there)
    lines = []
    quietly(there, out, {"epochs": 2}, resume=True, log=lines.append)
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in log] == [1, 2]
    assert any("used before" in line for line in lines)
    assert "The test photos were used 2 times" in (out / "report.html").read_text()


def test_a_new_run_starts_from_an_own_model_with_one_more_class(photos, unbroken, tmp_path):
    more = tmp_path / "more"
    shutil.copytree(photos, more)
    for split, count in (("train", 6), ("validation", 3), ("test", 3)):
        (more / split / "grey").mkdir()
        for i in range(count):
            noise = np.random.default_rng([i, count]).integers(60, 200, (40, 40), dtype=np.uint8)
            Image.fromarray(noise).save(more / split / "grey" / f"{i}.png")
    recipe = {"start": str(unbroken[0].path), "regime": "full", "epochs": 1, "lr": 1e-9}
    result = quietly(more, tmp_path / "run", recipe)
    old, new = weights(unbroken[0].path), weights(result.path)
    torch.testing.assert_close(new["fc.weight"][[0, 1, 3]], old["fc.weight"], atol=1e-6, rtol=0)
    assert new["fc.weight"].shape[0] == 4


def test_auto_precision_is_decided_once_also_if_the_run_goes_on_elsewhere(
    photos, tmp_path, monkeypatch
):
    for epochs, fast in ((1, "float32"), (2, "bfloat16")):  # on another machine the second time
        monkeypatch.setattr(module, "choose_precision", lambda device, fast=fast: fast)
        lines, recipe = [], {"precision": "auto", "epochs": epochs}
        quietly(photos, tmp_path / "run", recipe, resume=epochs > 1, log=lines.append)
        config = json.loads((tmp_path / "run" / "run.json").read_text())
        assert config["recipe"]["precision"] == "float32"
        assert any(line.startswith("fine-tuning in float32") for line in lines)
    assert last_epoch(tmp_path / "run") == 2


def test_a_damaged_checkpoint_is_said(photos, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        quietly(photos, out, log=lambda line: line.startswith("epoch 1:")
                and os.kill(os.getpid(), signal.SIGINT))  # fmt: skip
    content = bytearray((out / "last.pt").read_bytes())
    content[len(content) // 2] ^= 255
    (out / "last.pt").write_bytes(content)
    with pytest.raises(storage.CheckpointError, match="damaged"):
        quietly(photos, out, resume=True)


def test_an_archive_is_unpacked_into_the_run_and_can_be_resumed(unbroken, photos, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "photos"), "zip", photos.parent, photos.name)
    with pytest.raises(Stopped):
        quietly(archive, tmp_path / "run", log=lambda line: line.startswith("epoch 1:")
                and os.kill(os.getpid(), signal.SIGINT))  # fmt: skip
    quietly(archive, tmp_path / "run", resume=True)
    assert equal(weights(tmp_path / "run"), weights(unbroken[0].path))


# --- Several processes. ---


MODULE = ["-m", "tutorial_utils.finetune"]
# What a launcher does: it starts processes and tells each by its environment which one it is. These
# two share their imports, so the test is fast; the true launchers have their turn once a week.
FORK = f"""
import os, socket, sys
sys.path[:0] = {sys.path!r}
import matplotlib.figure, torchvision.models
from tutorial_utils.finetune import pipeline
from tutorial_utils.finetune.cli import main

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
os.environ.update(WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
children = []
for rank in "01":
    children.append(os.fork())
    if children[-1] == 0:
        os.environ.update(RANK=rank, LOCAL_RANK=rank)
        sys.exit(main(sys.argv[1:]))
sys.exit(any([os.waitpid(child, 0)[1] for child in children]))
"""
LAUNCHERS = {
    "fork": ["-c", FORK],
    "torchrun": ["-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d",
                 "--rdzv-endpoint=localhost:0", *MODULE],
    "accelerate": ["-m", "accelerate.commands.launch", "--cpu", "--num_processes=2",
                   "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no",
                   "--main_process_port=0", *MODULE],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    [
        pytest.param(
            "fork", marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
        ),
        pytest.param("torchrun", marks=pytest.mark.scheduled),
        pytest.param("accelerate", marks=pytest.mark.scheduled),
    ],
)
def test_two_processes_give_the_result_of_one(launcher, photos, tmp_path):
    recipe = QUICK | {"epochs": 2}  # a network without dropout
    one = quietly(photos, tmp_path / "one", recipe)
    command = [sys.executable, *LAUNCHERS[launcher]]
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
    assert re.match(
        r"accuracy \d\.\d{3} on 15 photos \(95 % interval .* to .*\), loss .*\n",
        capsys.readouterr().out,
    )
    assert main(["predict", run, str(photos / "test" / "red"), "--json", "--top=2"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 5
    assert all(len(row["predictions"]) == 2 for row in rows)
    assert main(["compare", run]) == 0
    assert f"shufflenet_v2_x0_5, scratch  {run}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["finetune", "{tmp}/none", "--out", "{tmp}/run"], "there is no folder"),
        (["finetune", "{photos}", "--out", "{photos}"], "holds other files"),
        (["finetune", "{photos}", "--out", "/proc/run"], "/proc"),
        (["finetune", "{photos}", "--out", "{tmp}/a", "--model", "resnet51"], "Did you mean"),
        (["finetune", "{photos}", "--out", "{tmp}/b", "--epochs", "0"], "at least 1"),
        (["finetune", "{photos}", "--out", "{tmp}/c", "--model", "resnet18", "--cpu"], "resnet18"),
        (
            [
                "finetune",
                "{photos}",
                "--out",
                "{tmp}/e",
                "--model",
                "inception_v3",
                "--image-size",
                "32",
                "--regime",
                "scratch",
                "--cpu",
                "--quiet",
            ],
            "cannot take images",
        ),
        (["finetune", "{photos}", "--out", "{tmp}/d", "--precision", "float16", "--cpu"], "CUDA"),
        (["predict", "{tmp}/none", "{photos}"], "there is no run"),
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
    assert not [p for p in tmp_path.iterdir() if p.is_dir() and p.name != "empty"]  # nothing left


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
    found = evaluate(unbroken[0].path, other)
    assert found["unknown_classes"] == ["violet"]
    assert found["missing_classes"] == ["blue", "green"]
    assert found["photos"] == 2


def test_runs_are_compared_photo_by_photo(unbroken, photos, tmp_path):
    other = quietly(photos, tmp_path / "other", PRETRAINED | {"regime": "probe"})
    table = compare([unbroken[0].path, other.path])
    outputs = [storage.read_state(r.path / "test.pt") for r in (unbroken[0], other)]
    right = [o["logits"].argmax(dim=1) == o["labels"] for o in outputs]
    alone = [int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())]
    pairs = [(unbroken[0].path, other.path), (other.path, unbroken[0].path)]
    assert any(
        f"{a} alone is right on {alone[k]} photos, {b} alone on {alone[1 - k]}" in table
        for k, (a, b) in enumerate(pairs)
    )
    validation = [float(line.split()[0]) for line in table.splitlines()[1:3]]
    assert validation == sorted(validation, reverse=True)


def test_the_recipe_file_and_options_together(photos, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "finetune", lambda *a, **k: seen.append(a[2]))
    (tmp_path / "recipe.json").write_text(json.dumps({"lr": 0.01, "epochs": 4}))
    main(["finetune", str(photos), "--out", "r", "--recipe", str(tmp_path / "recipe.json"),
          "--lr=0.02", "--no-channels-last"])  # fmt: skip
    assert seen == [Recipe(lr=0.02, epochs=4, channels_last=False)]


# --- Errors and bugs. ---


def test_a_bug_shows_its_traceback_and_an_error_does_not(photos, tmp_path, monkeypatch, capsys):
    def bug(*_, **__):
        return list(zip([1], [], strict=True))

    monkeypatch.setattr(module, "open_run", bug)
    with pytest.raises(ValueError, match="shorter"):
        main(["finetune", str(photos), "--out", str(tmp_path / "run")])


def test_a_bug_while_resuming_is_not_called_a_misfit(photos, tmp_path, monkeypatch):
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        quietly(photos, out, log=lambda line: line.startswith("epoch 1:")
                and os.kill(os.getpid(), signal.SIGINT))  # fmt: skip
    monkeypatch.setattr(module.Trainer, "restore", lambda self, state: self.no_such_thing)
    with pytest.raises(AttributeError):
        quietly(photos, out, resume=True)


def test_a_typo_answers_before_torch_is_loaded():
    code = (
        "import sys; from tutorial_utils.finetune.cli import main\n"
        "try: main(['finetune', 'p', '--out', 'r', '--epoch', '3'])\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2 False\n"
    assert "did you mean --epochs?" in done.stderr


def test_help_has_examples_and_no_backticks(capsys):
    for command in ("inspect", "finetune", "evaluate", "predict", "compare"):
        with pytest.raises(SystemExit) as end:
            main([command, "--help"])
        said = capsys.readouterr().out
        assert end.value.code == 0
        assert "``" not in said
        assert f"tutorial-utils {command}" in said
    with pytest.raises(SystemExit):
        main(["--version"])
    assert re.match(r"tutorial-utils (\d|not)", capsys.readouterr().out)
