"""The report of a finished run: one HTML file with its pictures inside, from what the run holds.

Nothing is computed anew but sums: the logits of held-out and test photos lie in the run's folder.
The text is in ``report.html.j2``.
"""

import base64
import io
import json
import math
import shlex
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import jinja2
import matplotlib.pyplot as plt
import torch
from matplotlib import font_manager
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import nn

from tutorial_utils._decoding import read_photo
from tutorial_utils._files import read_lines, read_state, write_bytes
from tutorial_utils.errors import PhotosError
from tutorial_utils.evaluation import expected_calibration_error, wilson_interval
from tutorial_utils.finetune.recipe import Recipe
from tutorial_utils.finetune.run_folder import RunFolder, paste
from tutorial_utils.photo_folder.inspect import FEW_TEST
from tutorial_utils.photo_folder.names import printable
from tutorial_utils.plotting import BLUE, ORANGE, STYLE

MISTAKES = 12  # photos shown
SURE = 0.8  # probability of another class from which a label is suspected
TEMPLATE = Path(__file__).with_name("report.html.j2")
# Matplotlib's own font has no Chinese, Japanese or Korean; one of these comes with most systems.
WIDE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Microsoft YaHei", "SimHei", "PingFang SC",
    "Hiragino Sans GB", "WenQuanYi Zen Hei", "Arial Unicode MS",
)  # fmt: skip
PLAIN_TORCH = """import torch, torchvision
saved = torch.load("{path}", weights_only=True)
model = torchvision.models.get_model(saved["model"], num_classes=len(saved["classes"]))
model.load_state_dict(saved["state_dict"])
logits = model.eval()(images)  # (N, 3, H, W), resized and normalised as saved["preprocessing"] says
names = [saved["classes"][k] for k in logits.argmax(dim=1)]"""


def class_rows(matrix: torch.Tensor, classes: Sequence[str]) -> list[dict]:
    """Return each class's precision, recall (with Wilson's 95 % interval), F1 and photos.

    Args:
        matrix: counts (num_classes, num_classes), row = label, column = predicted class.
        classes: their names.

    A value whose denominator is 0 is None.
    """
    counts = torch.as_tensor(matrix)
    truth, said = counts.nonzero().T
    weights, k = counts[truth, said], len(counts)
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, said, labels=range(k), sample_weight=weights, zero_division=math.nan
    )
    rows = []
    for i, name in enumerate(classes):
        right, photos = int(counts[i, i]), int(counts[i].sum())
        values = {"precision": precision[i], "recall": recall[i], "f1": f1[i]}
        rows.append(
            {key: None if math.isnan(v) else float(v) for key, v in values.items()}
            | {"interval": wilson_interval(right, photos) if photos else None, "photos": photos}
            | {"name": name}
        )
    return rows


def draw_curves(history: Sequence[dict], path) -> None:
    """Draw losses and validation accuracy against the epoch; epoch 0 is the linear probe."""
    epochs = [row["epoch"] for row in history]
    figure, (left, right) = new_figure(7.5, 3.0, 1, 2)
    trained = [row for row in history if "train_loss" in row]
    left.plot([r["epoch"] for r in trained], [r["train_loss"] for r in trained], "o-", color=BLUE,
              label="train (with augmentation)")  # fmt: skip
    left.plot(epochs, [r["validation_loss"] for r in history], "s--", color=ORANGE,
              label="validation")  # fmt: skip
    left.set(xlabel="epoch", ylabel="cross-entropy")
    left.legend()
    right.plot(epochs, [row["accuracy"] for row in history], "s--", color=ORANGE)
    right.set(xlabel="epoch", ylabel="validation accuracy")
    figure.savefig(path)


def draw_confusion(matrix: torch.Tensor, classes: Sequence[str], path) -> None:
    """Draw the confusion matrix with its counts."""
    k = len(classes)
    side = min(2.0 + 0.45 * k, 14)
    figure, axis = new_figure(side + 0.6, side)
    shares = (matrix / matrix.sum(dim=1, keepdim=True).clamp_min(1)).numpy()
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if k <= 30:
        for i, j in matrix.nonzero().tolist():
            axis.text(j, i, int(matrix[i, j]), ha="center", va="center", fontsize=8,
                      color="white" if shares[i, j] > 0.5 else "black")  # fmt: skip
    ticks = range(0, k, -(-k // 50))
    axis.set(xlabel="predicted", ylabel="true", xticks=ticks, yticks=ticks)
    axis.set_xticklabels([classes[i] for i in ticks], rotation=90)
    axis.set_yticklabels([classes[i] for i in ticks])
    axis.grid(visible=False)
    figure.savefig(path)


def draw_reliability(logits: torch.Tensor, labels: torch.Tensor, path, bins: int = 10):
    """Draw accuracy against the predicted probability, in bins, with Wilson's 95 % intervals."""
    probability, answer = logits.softmax(dim=1).max(dim=1)
    right = answer == labels
    place = (probability * bins).long().clamp_max(bins - 1)
    figure, axis = new_figure(4.2, 3.6)
    axis.plot([0, 1], [0, 1], color="gray", linewidth=1, label="calibrated")
    for b in place.unique().tolist():
        inside = place == b
        k, n = int(right[inside].sum()), int(inside.sum())
        low, high = wilson_interval(k, n)
        x = probability[inside].mean().item()
        axis.plot([x, x], [low, high], color=BLUE)
        axis.plot(x, k / n, "o", color=BLUE)
    axis.set(xlabel="mean predicted probability", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    axis.legend(loc="upper left")
    figure.savefig(path)


def draw_mistakes(root: Path, rows: Sequence[dict], logits: torch.Tensor, labels: torch.Tensor,
                  classes: Sequence[str], path) -> list[str]:  # fmt: skip
    """Draw the most confident mistakes and return a line about each, the worst first."""
    probability, answer = logits.softmax(dim=1).max(dim=1)
    wrong = (answer != labels).nonzero().flatten()
    worst = wrong[probability[wrong].argsort(descending=True)][:MISTAKES].tolist()
    if not worst:
        return []
    columns = min(4, len(worst))
    figure, axes = new_figure(7.5, 2.3 * -(-len(worst) // columns), -(-len(worst) // columns),
                              columns)  # fmt: skip
    lines = []
    for axis in axes.flat if len(worst) > 1 else [axes]:
        axis.set_axis_off()
    for axis, index in zip(axes.flat if len(worst) > 1 else [axes], worst, strict=False):
        said, true = classes[answer[index]], classes[labels[index]]
        try:
            axis.imshow(read_photo(root / rows[index]["path"], 160))
        except PhotosError:  # taken away since
            axis.text(0.5, 0.5, "photo not found", ha="center", va="center")
        axis.set_title(f"{said} {probability[index]:.2f}\nis {true}", fontsize=8, loc="center")
        path_said = printable(rows[index]["path"])
        lines.append(f"{path_said}: {said} ({probability[index]:.2f}), is {true}")
    figure.savefig(path)
    return lines


def label_style() -> dict:
    """Return Matplotlib's settings under which any class name can be a label, dollars included."""
    fonts = set(font_manager.get_font_names())
    family = ["DejaVu Sans", *(name for name in WIDE_FONTS if name in fonts)]
    return STYLE | {"font.family": family, "text.parse_math": False}


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1):
    """Return a figure in the book's style and its axes, without touching the reader's own plots."""
    with plt.rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
        return figure, figure.subplots(rows, columns)


def data_uri(draw: Callable[[io.BytesIO], object]) -> str:
    """Return what a drawing function writes as an address that holds the picture itself."""
    buffer = io.BytesIO()
    draw(buffer)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def render(root: Path, paths: Sequence[str], logits: torch.Tensor, labels: torch.Tensor,
           classes: Sequence[str], suspects: dict | None = None, history: Sequence[dict] = (),
           **values: object) -> str:  # fmt: skip
    """Return the page about photos that were judged: (N, num_classes) logits and (N,) labels."""
    classes = [printable(name) for name in classes]
    k = len(classes)
    matrix = torch.from_numpy(confusion_matrix(labels, logits.argmax(dim=1), labels=range(k)))
    pictures, mistakes, doubts = {}, [], []
    with plt.rc_context(label_style()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a name that no font has: the page says it too
        if len(history) > 1:
            pictures["curves"] = data_uri(partial(draw_curves, history))
        pictures["confusion"] = data_uri(partial(draw_confusion, matrix, classes))
        pictures["reliability"] = data_uri(partial(draw_reliability, logits, labels))
        photos = [{"path": path} for path in paths]

        def draw(file) -> None:
            mistakes[:] = draw_mistakes(root, photos, logits, labels, classes, file)

        pictures["mistakes"] = data_uri(draw)
        if suspects is not None:
            rows = [{"path": path} for path in suspects["paths"]]

            def draw_doubts(file) -> None:
                doubts[:] = draw_mistakes(root, rows, suspects["logits"], suspects["labels"],
                                          classes, file)  # fmt: skip

            pictures["suspects"] = data_uri(draw_doubts)
    apart, worst = matrix.clone().fill_diagonal_(0), ""
    if apart.any():
        i, j = divmod(int(apart.argmax()), k)
        worst = (
            f" Most frequent mistake: {classes[i]} called {classes[j]}, {int(apart[i, j])} times."
        )
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        {"warnings": [], "advice": [], "temperature": None, "run": False} | values,
        classes=class_rows(matrix, classes), pictures=pictures | {"curves": pictures.get("curves")},
        mistakes=mistakes, suspects=doubts, worst_pair=worst, chance=math.log(k),
        calibration=expected_calibration_error(logits.softmax(dim=1), labels),
        loss=nn.functional.cross_entropy(logits, labels).item(),
        number=lambda value: "–" if value is None else f"{value:.2f}",
    )  # fmt: skip


def write_report(path: str | Path) -> Path:
    """Write ``report.html`` into the folder of a finished run; return its path.

    Raises:
        PhotosError: the run is not finished, or its folder cannot be written to.
    """
    run = RunFolder.open(path)
    if not (run / "result.json").is_file():
        raise PhotosError(f"{run.path} is not finished; go on with --resume.")
    config = run.config()
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    inspection = json.loads((run / "inspection.json").read_text(encoding="utf-8"))
    rows = read_lines(run / "split.jsonl")
    pool = [r for s in ("train", "validation") for r in rows if r["split"] == s]
    kept, decision = read_state(run / "held_out.pt"), result["decision"]
    split = "test" if (run / "test.pt").is_file() else "held-out"
    if split == "test":
        outputs, judged = read_state(run / "test.pt"), [r for r in rows if r["split"] == "test"]
    else:
        outputs, judged = kept, [pool[i] for i in kept["rows"].tolist()]
    logits, labels = outputs["logits"] / decision["temperature"], outputs["labels"]
    found = result.get("test") or result["validation"]
    history, classes = run.history(), [printable(name) for name in config["classes"]]
    plain = Recipe().to_json()
    versions = ", ".join(f"{name} {number}" for name, number in config["versions"].items())
    page = render(
        Path(config["photos"]), [r["path"] for r in judged], logits, labels, classes,
        suspects=suspected(run, pool), history=history, run=True,
        title=f"{Path(config['source']).name}: {config['recipe']['model']}",
        split=split, found=found, verdict=verdict(result, found),
        warnings=cautions(result, found, config), advice=advice(run, logits, labels, classes),
        origin=origin(config, result), temperature=decision["temperature"],
        threshold=decision["threshold"], training=training(history, result),
        use=paste(["predict", str(run.path), "PHOTO", "--csv", "answers.csv"]),
        plain=PLAIN_TORCH.format(path=run / "best.pt"), summary=inspection["summary"],
        command=shlex.join(config["command"]),
        versions=f"{versions}; {config['threads']} threads.",
        recipe=[(k, v, v != plain.get(k)) for k, v in config["recipe"].items()],
    )  # fmt: skip
    write_bytes(run / "report.html", page.encode("utf-8", "backslashreplace"))
    return run / "report.html"


def write_evaluation(path, run, inspection, photos, logits, labels, classes, values) -> None:
    """Write the page about a run's model on other photos."""
    notes = [f"skipped: {len(inspection.skipped)} files"] if inspection.skipped else []
    if values["learned_from"]:
        notes.append(f"{values['learned_from']} photos that the model was made from were left out")
    page = render(
        inspection.root, [p.path for p in photos], logits, labels, classes,
        title=f"{run} on {inspection.root}", split=values["split"], found=values,
        verdict=verdict({"chosen": "", "epoch": 0}, values), warnings=notes,
        origin=f"The model in {run}, on the photos in {inspection.root}.",
    )  # fmt: skip
    write_bytes(path, page.encode("utf-8", "backslashreplace"))


def verdict(result: dict, found: dict) -> str:
    """Return one sentence on how good the model is."""
    low, _ = found["interval"]
    if low <= found["majority"]:
        return (
            "These photos do not show that the model is better than always naming the largest "
            "class: the interval reaches down to that."
        )
    share = (found["accuracy"] - found["majority"]) / max(1e-9, 1 - found["majority"])
    word = "far" if share > 0.7 else "clearly" if share > 0.3 else "a little"
    return (
        f"The model is {word} better than always naming the largest class; about "
        f"{round(10 * (1 - found['accuracy']))} in ten photos like these will be named wrongly."
        if found["accuracy"] < 0.95
        else f"The model is {word} better than always naming the largest class; about "
        f"{max(1, round(100 * (1 - found['accuracy'])))} in a hundred photos like these will be "
        "named wrongly."
    )


def cautions(result: dict, found: dict, config: dict) -> list[str]:
    """Return what weakens the headline."""
    lines = []
    if found.get("copies"):
        clean = found.get("without_copies")
        lines.append(
            f"{found['copies']} of the test photos are copies of photos that were learned from."
            + (f" Without them the accuracy is {clean['accuracy']:.3f}." if clean else "")
        )
    if found["photos"] < FEW_TEST:
        lines.append(
            f"{found['photos']} photos say next to nothing about the accuracy: the interval is "
            f"wide. Test on {FEW_TEST} or more, better hundreds."
        )
    if "test" not in result:
        lines.append("There are no test photos: the held-out photos also chose the model, so this "
                     "is a little too good.")  # fmt: skip
    elif config.get("test_opened", 1) > 1:
        times = config["test_opened"]
        lines.append(f"The test photos were used {times} times, so this is a little too good.")
    return lines


def origin(config: dict, result: dict) -> str:
    """Return where the figure comes from, when, and what it cost."""
    how = (
        "a linear probe (one new last layer on the frozen pretrained network)"
        if result["chosen"] == "probe"
        else f"fine-tuning (all layers trained), epoch {result['epoch']}"
    )
    used = (
        "The test photos were used once, after every choice had been made. "
        if config.get("test_opened") == 1 and "test" in result
        else ""
    )
    compared = result["evidence"].get("said", "")
    compared = compared and f"{compared[0].upper()}{compared[1:]}. "
    return (
        f"Result of {how}. {compared}{used}Made on {config.get('date', '')} in "
        f"{result['cpu_seconds']:.0f} seconds of CPU time."
    )


def training(history: Sequence[dict], result: dict) -> str:
    """Return a sentence about the epochs."""
    tuned = [row for row in history if row["epoch"]]
    if not tuned:
        return ""
    best = min(tuned, key=lambda row: row["validation_loss"])
    return (
        f"Fine-tuning's least validation loss was {best['validation_loss']:.3f} in epoch "
        f"{best['epoch']}, with an accuracy of {best['accuracy']:.3f}. Epoch 0 is the linear "
        f"probe, cross-validated. The result is that of {result['chosen']}."
    )


def suspected(run: RunFolder, pool: Sequence[dict]) -> dict | None:
    """Return the photos whose labels the cross-validated probe doubts, the surest first."""
    if not (run / "probe.pt").is_file():
        return None
    stored = read_state(run / "probe.pt")
    labels = torch.tensor([pool[i]["label"] for i in stored["rows"].tolist()])
    probability, answer = stored["logits"].softmax(dim=1).max(dim=1)
    odd = ((answer != labels) & (probability > SURE)).nonzero().flatten()
    if not len(odd):
        return None
    return {
        "paths": [pool[stored["rows"][i]]["path"] for i in odd.tolist()],
        "logits": stored["logits"][odd], "labels": labels[odd],
    }  # fmt: skip


def advice(run: RunFolder, logits: torch.Tensor, labels: torch.Tensor, classes) -> list[str]:
    """Return what to do next: which classes, which pairs, more photos or not."""
    lines, k = [], len(classes)
    matrix = torch.from_numpy(confusion_matrix(labels, logits.argmax(dim=1), labels=range(k)))
    rows = [row for row in class_rows(matrix, classes) if row["recall"] is not None]
    mean = sum(row["recall"] for row in rows) / len(rows)
    curve = read_state(run / "probe.pt")["curve"] if (run / "probe.pt").is_file() else []
    weak = sorted((r for r in rows if r["recall"] < mean - 0.1), key=lambda row: row["recall"])[:3]
    if weak:
        names = ", ".join(f"{row['name']} (recall {row['recall']:.2f})" for row in weak)
        lines.append(f"Weakest classes: {names}. Add photos of these first.")
    apart = matrix.clone().fill_diagonal_(0)
    both = apart + apart.T
    for place in both.triu().flatten().argsort(descending=True)[:2].tolist():
        i, j = divmod(place, k)
        if both[i, j] > 1:
            lines.append(
                f"{classes[i]} and {classes[j]} are taken for one another {int(both[i, j])} times: "
                "look at these photos; are the classes distinct on them?"
            )
    if len(curve) == 3:
        gain, last = curve[2]["accuracy"] - curve[1]["accuracy"], curve[2]
        said = f"Learning from half of the photos gave {curve[1]['accuracy']:.3f}, from all "
        said += f"{last['accuracy']:.3f} (probe, held-out photos). "
        lines.append(
            said + (f"About {last['photos']} more photos would perhaps give {gain:+.3f} again."
                    if gain > 0.01 else "More photos of this kind will hardly help; a larger "
                    "network (--model resnet50) or larger photos (--image-size) may.")
        )  # fmt: skip
    return lines
