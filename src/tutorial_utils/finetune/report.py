"""The report of a finished run: one HTML file with its pictures inside, from what the run holds.

Nothing is computed anew but sums: the logits of held-out and test photos lie in the run's folder.
The text is in ``report.html.j2``.
"""

import base64
import io
import math
import shlex
import warnings
from collections.abc import Sequence
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
from tutorial_utils.inference.evaluate import evaluate as judge
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


def draw_curves(history: Sequence[dict]) -> Figure:
    """Draw losses and validation accuracy against the epoch; epoch 0 is the linear probe."""
    epochs = [row["epoch"] for row in history]
    trained = [row for row in history if "train_loss" in row]
    figure, (left, right) = new_figure(7.5, 3.0, 1, 2)
    left.plot([r["epoch"] for r in trained], [r["train_loss"] for r in trained], "o-", color=BLUE,
              label="train (with augmentation)")  # fmt: skip
    left.plot(epochs, [r["validation_loss"] for r in history], "s--", color=ORANGE,
              label="validation")  # fmt: skip
    left.set(xlabel="epoch", ylabel="cross-entropy")
    left.legend()
    right.plot(epochs, [row["accuracy"] for row in history], "s--", color=ORANGE)
    right.set(xlabel="epoch", ylabel="validation accuracy")
    return figure


def draw_confusion(matrix: torch.Tensor, classes: Sequence[str]) -> Figure:
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
    return figure


def draw_reliability(logits: torch.Tensor, labels: torch.Tensor, bins: int = 10) -> Figure:
    """Draw accuracy against the predicted probability, in bins, with Wilson's 95 % intervals."""
    probability, answer = logits.softmax(dim=1).max(dim=1)
    right = answer == labels
    place = (probability * bins).long().clamp_max(bins - 1)
    figure, axis = new_figure(4.2, 3.6)
    axis.plot([0, 1], [0, 1], color="gray", linewidth=1, label="calibrated")
    for b in place.unique().tolist():
        inside = place == b
        k, n = int(right[inside].sum()), int(inside.sum())
        x = probability[inside].mean().item()
        axis.plot([x, x], wilson_interval(k, n), color=BLUE)
        axis.plot(x, k / n, "o", color=BLUE)
    axis.set(xlabel="mean predicted probability", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    axis.legend(loc="upper left")
    return figure


def draw_mistakes(
    root: Path, paths: Sequence[str], logits: torch.Tensor, labels: torch.Tensor, classes
) -> tuple[str, list[str]]:
    """Return a picture of the most confident mistakes and a line about each, the worst first."""
    probability, answer = logits.softmax(dim=1).max(dim=1)
    wrong = (answer != labels).nonzero().flatten()
    worst = wrong[probability[wrong].argsort(descending=True)][:MISTAKES].tolist()
    if not worst:
        return "", []
    columns = min(4, len(worst))
    rows = -(-len(worst) // columns)
    figure, axes = new_figure(7.5, 2.3 * rows, rows, columns, squeeze=False)
    lines = []
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, index in zip(axes.flat, worst, strict=False):
        said, true, sure = classes[answer[index]], classes[labels[index]], probability[index]
        try:
            axis.imshow(read_photo(root / paths[index], 160))
        except PhotosError:  # taken away since
            axis.text(0.5, 0.5, "photo not found", ha="center", va="center")
        axis.set_title(f"{said} {sure:.2f}\nis {true}", fontsize=8, loc="center")
        lines.append(f"{printable(paths[index])}: {said} ({sure:.2f}), is {true}")
    return data_uri(figure), lines


def label_style() -> dict:
    """Return Matplotlib's settings under which any class name can be a label, dollars included."""
    fonts = set(font_manager.get_font_names())
    family = ["DejaVu Sans", *(name for name in WIDE_FONTS if name in fonts)]
    return STYLE | {"font.family": family, "text.parse_math": False}


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **options):
    """Return a figure in the book's style and its axes, without touching the reader's own plots."""
    with plt.rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
        return figure, figure.subplots(rows, columns, **options)


def data_uri(figure: Figure) -> str:
    """Return an address that holds the picture itself."""
    buffer = io.BytesIO()
    figure.savefig(buffer)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def render(root: Path, paths: Sequence[str], logits: torch.Tensor, labels: torch.Tensor,
           classes: Sequence[str], suspects: dict | None = None, history: Sequence[dict] = (),
           **values: object) -> str:  # fmt: skip
    """Return the page about photos that were judged: (N, num_classes) logits and (N,) labels."""
    classes = [printable(name) for name in classes]
    matrix = confusion_matrix(labels, logits.argmax(dim=1), labels=range(len(classes)))
    matrix = torch.from_numpy(matrix)
    with plt.rc_context(label_style()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a name that no font has: the page says it too
        pictures = {
            "curves": data_uri(draw_curves(history)) if len(history) > 1 else "",
            "confusion": data_uri(draw_confusion(matrix, classes)),
            "reliability": data_uri(draw_reliability(logits, labels)),
        }
        pictures["mistakes"], mistakes = draw_mistakes(root, paths, logits, labels, classes)
        doubts = []
        if suspects is not None:
            pictures["suspects"], doubts = draw_mistakes(root, classes=classes, **suspects)
    apart, worst = matrix.clone().fill_diagonal_(0), ""
    if apart.any():
        i, j = divmod(int(apart.argmax()), len(classes))
        worst = f"{classes[i]} called {classes[j]}, {int(apart[i, j])} times."
    rows = class_rows(matrix, classes)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        {"notes": [], "run": None} | values, classes=rows, pictures=pictures, mistakes=mistakes,
        suspects=doubts, worst_pair=worst, verdict=verdict(values["found"]), few=FEW_TEST,
        advice=advice(rows, apart, values["curve"]) if "curve" in values else [],
        calibration=expected_calibration_error(logits.softmax(dim=1), labels),
        loss=nn.functional.cross_entropy(logits, labels).item(), chance=math.log(len(classes)),
        number=lambda value: "–" if value is None else f"{value:.2f}",
    )  # fmt: skip


def write_report(path: str | Path) -> Path:
    """Write ``report.html`` into the folder of a finished run; return its path.

    Raises:
        PhotosError: the run is not finished, or its folder cannot be written to.
    """
    run = RunFolder.open(path)
    result, config = run.result(), run.config()
    rows = read_lines(run / "split.jsonl")
    pool = [row for split in ("train", "validation") for row in rows if row["split"] == split]
    if "test" in result:
        split, outputs = "test", read_state(run / "test.pt")
        judged = [row for row in rows if row["split"] == "test"]
    else:
        split, outputs = "held-out", read_state(run / "held_out.pt")
        judged = [pool[i] for i in outputs["rows"].tolist()]
    curve = read_state(run / "probe.pt")["curve"] if (run / "probe.pt").is_file() else []
    plain, history = Recipe().to_json(), run.history()
    versions = ", ".join(f"{name} {number}" for name, number in config["versions"].items())
    page = render(
        Path(config["photos"]), [row["path"] for row in judged],
        outputs["logits"] / result["decision"]["temperature"], outputs["labels"],
        config["classes"], suspects=suspected(run, pool), history=history, curve=curve,
        run=result, config=config, split=split,
        title=f"{Path(config['source']).name}: {config['recipe']['model']}",
        found=result.get("test", result["validation"]), training=training(history, result),
        use=paste(["predict", str(run.path), "PHOTO", "--csv", "answers.csv"]),
        model=run / "best.pt", summary=run.json("inspection.json")["summary"],
        command=shlex.join(config["command"]), versions=versions,
        recipe=[(k, v, v != plain.get(k)) for k, v in config["recipe"].items()],
    )  # fmt: skip
    write_bytes(run / "report.html", page.encode("utf-8", "backslashreplace"))
    return run / "report.html"


def evaluate(
    run: str | Path, photos: str | Path, report: str | Path | None = None, **options: object
) -> dict:
    """Return how good a run's model is on a folder of class folders, as plain values.

    Args:
        run: a run's folder or a saved classifier.
        photos: the folder.
        report: write a page like the run's report to this file.
        options: see ``inference.evaluate.evaluate``, which also says what the values are.
    """
    found = judge(run, photos, **options)
    values, skipped = found.values, found.inspection.skipped
    if report is None:
        return values
    notes = [f"skipped: {len(skipped)} files"] if skipped else []
    if values["learned_from"]:
        notes.append(f"{values['learned_from']} photos that the model was made from were left out")
    page = render(
        found.inspection.root, [p.path for p in found.photos], found.logits, found.labels,
        found.classes, title=f"{run} on {photos}", split=values["split"], found=values, notes=notes,
        origin=f"The model in {run}, on the photos in {photos}.",
    )  # fmt: skip
    write_bytes(Path(report), page.encode("utf-8", "backslashreplace"))
    return values


def verdict(found: dict) -> str:
    """Return one sentence on how good the model is."""
    if found["interval"][0] <= found["majority"]:
        return (
            "These photos do not show that the model is better than always naming the largest "
            "class: the interval reaches down to that."
        )
    share = (found["accuracy"] - found["majority"]) / max(1e-9, 1 - found["majority"])
    word = "far" if share > 0.7 else "clearly" if share > 0.3 else "a little"
    wrong = 1 - found["accuracy"]
    rate = f"{max(1, round(100 * wrong))} in a hundred"
    if found["accuracy"] < 0.95:
        rate = f"{round(10 * wrong)} in ten"
    return (
        f"The model is {word} better than always naming the largest class; about {rate} photos "
        "like these will be named wrongly."
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
    paths = [pool[stored["rows"][i]]["path"] for i in odd.tolist()]
    return {"paths": paths, "logits": stored["logits"][odd], "labels": labels[odd]}


def advice(rows: Sequence[dict], apart: torch.Tensor, curve: Sequence[dict]) -> list[str]:
    """Return what to do next: which classes, which pairs, more photos or not.

    Args:
        rows: of ``class_rows``.
        apart: the confusion matrix without its diagonal.
        curve: of ``probe.learning_curve``.
    """
    lines, judged = [], [row for row in rows if row["recall"] is not None]
    mean = sum(row["recall"] for row in judged) / len(judged)
    weak = [row for row in judged if row["recall"] < mean - 0.1]
    if weak := sorted(weak, key=lambda row: row["recall"])[:3]:
        names = ", ".join(f"{row['name']} (recall {row['recall']:.2f})" for row in weak)
        lines.append(f"Weakest classes: {names}. Add photos of these first.")
    both = apart + apart.T
    for place in both.triu().flatten().argsort(descending=True)[:2].tolist():
        i, j = divmod(place, len(rows))
        if both[i, j] > 1:
            lines.append(
                f"{rows[i]['name']} and {rows[j]['name']} are taken for one another "
                f"{int(both[i, j])} times: look at these photos; are the classes distinct on them?"
            )
    if len(curve) == 3:
        half, whole = curve[1]["accuracy"], curve[2]["accuracy"]
        then = (
            f"About {curve[2]['photos']} more photos would perhaps give {whole - half:+.3f} again."
        )
        if whole - half <= 0.01:
            then = (
                "More photos of this kind will hardly help; a larger network (--model resnet50) or "
                "larger photos (--image-size) may."
            )
        lines.append(f"Learning from half of the photos gave {half:.3f}, from all {whole:.3f} "
                     f"(probe, held-out photos). {then}")  # fmt: skip
    return lines
