"""The report of a finished run: one HTML page with four plots beside it, from what the run holds.

Nothing is computed anew but sums: the logits of validation and test photos lie in the run's folder.
"""

import html
import json
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib import font_manager
from matplotlib.figure import Figure
from torch import nn

from tutorial_utils._decoding import read_photo
from tutorial_utils._files import read_lines, read_state
from tutorial_utils.errors import PhotosError
from tutorial_utils.evaluation import expected_calibration_error, fit_temperature, wilson_interval
from tutorial_utils.finetune.listing import printable
from tutorial_utils.finetune.recipe import Recipe
from tutorial_utils.finetune.run_folder import RunFolder
from tutorial_utils.plotting import BLUE, ORANGE, STYLE

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse}}td,th{{padding:.2rem .8rem .2rem 0;text-align:left}}
td.n,th.n{{text-align:right}}tr{{border-bottom:1px solid #8884}}img{{max-width:100%;height:auto;
background:#fff}}pre{{overflow-x:auto;padding:.6rem;border:1px solid #8884}}.big{{font-size:1.4rem}}
.wide{{overflow-x:auto}}:root{{color-scheme:light dark}}
</style></head><body><main>
{body}
</main></body></html>
"""
MISTAKES = 12  # photos shown
# Matplotlib's own font has no Chinese, Japanese or Korean; one of these comes with most systems.
WIDE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Microsoft YaHei", "SimHei", "PingFang SC",
    "Hiragino Sans GB", "WenQuanYi Zen Hei", "Arial Unicode MS",
)  # fmt: skip


def confusion_matrix(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return counts (num_classes, num_classes): row = label, column = predicted class."""
    k = logits.shape[1]
    return torch.bincount(labels * k + logits.argmax(dim=1), minlength=k * k).reshape(k, k)


def class_rows(matrix: torch.Tensor) -> list[dict]:
    """Return each class's precision, recall (with Wilson's 95 % interval), F1 and photos.

    A value whose denominator is 0 is None.
    """
    rows = []
    for k in range(len(matrix)):
        right, photos, called = (
            int(v) for v in (matrix[k, k], matrix[k].sum(), matrix[:, k].sum())
        )
        rows.append(
            {
                "precision": right / called if called else None,
                "recall": right / photos if photos else None,
                "interval": wilson_interval(right, photos) if photos else None,
                "f1": 2 * right / (photos + called) if photos + called else None,
                "photos": photos,
            }
        )
    return rows


def draw_curves(history: Sequence[dict], path: Path) -> None:
    """Draw losses and validation accuracy against the epoch; epoch 0 is the linear probe."""
    epochs = [row["epoch"] for row in history]
    figure, (left, right) = new_figure(7.5, 3.0, 1, 2)
    trained = [row for row in history if "train_loss" in row]
    left.plot([r["epoch"] for r in trained], [r["train_loss"] for r in trained], "o-", color=BLUE,
              label="train (with augmentation)")  # fmt: skip
    left.plot(epochs, [r["validation_loss"] for r in history], "s--", color=ORANGE,
              label="validation")  # fmt: skip
    left.set(xlabel="epoch", ylabel="cross-entropy (nats)")
    left.legend()
    right.plot(epochs, [row["accuracy"] for row in history], "s--", color=ORANGE)
    right.set(xlabel="epoch", ylabel="validation accuracy")
    figure.savefig(path)


def draw_confusion(matrix: torch.Tensor, classes: Sequence[str], path: Path) -> None:
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


def draw_reliability(logits: torch.Tensor, labels: torch.Tensor, path: Path, bins: int = 10):
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
                  classes: Sequence[str], path: Path) -> list[str]:  # fmt: skip
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


def write_report(path: str | Path) -> Path:
    """Write ``report.html`` and its plots into the folder of a finished run; return its path.

    Raises:
        PhotosError: the run is not finished, or its folder cannot be written to.
    """
    run = RunFolder.open(path)
    if not (run / "result.json").is_file():
        raise PhotosError(f"{run.path} is not finished; go on with --resume.")
    config = run.config()
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    root, classes = Path(config["photos"]), [printable(name) for name in config["classes"]]
    split = "test" if (run / "test.pt").is_file() else "validation"
    outputs = {s: read_state(run / f"{s}.pt") for s in {split, "validation"}}
    logits, labels = outputs[split]["logits"], outputs[split]["labels"]
    rows = [row for row in read_lines(run / "split.jsonl") if row["split"] == split]
    matrix = confusion_matrix(logits, labels)
    history = run.history()
    with plt.rc_context(label_style()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a name that no font has: the page says it too
        if len(history) > 1:
            draw_curves(history, run / "curves.png")
        draw_confusion(matrix, classes, run / "confusion.png")
        draw_reliability(logits, labels, run / "reliability.png")
        mistakes = draw_mistakes(root, rows, logits, labels, classes, run / "mistakes.png")
    body = [
        *headline(config, result, split, labels),
        *curve_section(history),
        *class_section(matrix, classes, split),
        *calibration_section(outputs, split),
        *mistake_section(mistakes, split),
        *origin_section(run, config),
    ]
    title = f"{Path(config['source']).name}: {config['recipe']['model']}"
    page = PAGE.format(title=html.escape(title), body="\n".join(body))
    target = run / "report.html"
    target.write_text(page, encoding="utf-8", errors="backslashreplace")
    return target


def headline(config: dict, result: dict, split: str, labels: torch.Tensor) -> list[str]:
    """Return the first lines: how good it is, and against what."""
    found, recipe = result[split], config["recipe"]
    low, high = found["interval"]
    most = torch.bincount(labels).max().item() / len(labels)
    how = "the linear probe" if result["chosen"] == "probe" else f"epoch {result['epoch']}"
    note = (
        "The test photos were used once, after every choice had been made."
        if split == "test"
        else "There are no test photos: the validation photos also chose the epoch, so this is "
        "a little too good."
    )
    return [
        f"<h1>{html.escape(Path(config['source']).name)}</h1>",
        f"<p class=big><b>{split.capitalize()} accuracy {found['accuracy']:.3f}</b> "
        f"(95 % interval {low:.3f} to {high:.3f}, {found['photos']} photos)</p>",
        f"<p>{recipe['model']}, regime {recipe['regime']}, result of {how}. Always naming the most "
        f"frequent class would score {most:.3f}. {note}</p>",
    ]


def curve_section(history: list[dict]) -> list[str]:
    """Return the section on the training, if there was one."""
    if len(history) < 2:
        return []
    best = max(history, key=lambda row: row["accuracy"])
    return [
        "<h2>Training</h2>",
        f"<p>Best validation accuracy {best['accuracy']:.3f} in epoch {best['epoch']} (0 is the "
        "linear probe).</p>",
        '<img src="curves.png" alt="Loss of training and validation photos, and validation '
        'accuracy, against the epoch.">',
    ]


def class_section(matrix: torch.Tensor, classes: Sequence[str], split: str) -> list[str]:
    """Return the section on the classes."""

    def number(value: float | None) -> str:
        return f"<td class=n>{'–' if value is None else f'{value:.2f}'}</td>"

    lines = [
        "<h2>Classes</h2>",
        f"<p>Of the {split} photos. Recall: the share of a class's photos that is found; "
        "precision: the share of those called so that is right.</p>",
        "<div class=wide tabindex=0 role=region aria-label=Classes><table>"
        "<tr><th scope=col>class</th><th scope=col class=n>photos</th>"
        "<th scope=col class=n>recall</th><th scope=col class=n>95 % interval</th>"
        "<th scope=col class=n>precision</th><th scope=col class=n>F1</th></tr>",
    ]
    for name, row in zip(classes, class_rows(matrix), strict=True):
        interval = "–" if row["interval"] is None else "{:.2f} to {:.2f}".format(*row["interval"])
        lines.append(
            f"<tr><th scope=row>{html.escape(name)}</th><td class=n>{row['photos']}</td>"
            f"{number(row['recall'])}<td class=n>{interval}</td>{number(row['precision'])}"
            f"{number(row['f1'])}</tr>"
        )
    apart = matrix.clone().fill_diagonal_(0)
    alt = "Confusion matrix."
    if apart.any():
        i, j = divmod(int(apart.argmax()), len(classes))
        alt += (
            f" Most frequent mistake: {classes[i]} called {classes[j]}, {int(apart[i, j])} times."
        )
    return [
        *lines, "</table></div>", f'<img src="confusion.png" alt="{html.escape(alt)}">',
    ]  # fmt: skip


def calibration_section(outputs: dict, split: str) -> list[str]:
    """Return the section on how far the probabilities can be believed."""
    logits, labels = outputs[split]["logits"], outputs[split]["labels"]
    error = expected_calibration_error(logits.softmax(dim=1), labels)
    loss = nn.functional.cross_entropy(logits, labels).item()
    lines = [
        "<h2>Probabilities</h2>",
        f"<p>Expected calibration error {error:.3f} (10 bins), cross-entropy {loss:.3f} nats.",
    ]
    if split == "test":
        temperature = fit_temperature(
            outputs["validation"]["logits"], outputs["validation"]["labels"]
        )
        cooled = logits / temperature
        lines.append(
            f"With logits divided by {temperature:.2f}, the temperature that suits the validation "
            f"photos best: {expected_calibration_error(cooled.softmax(dim=1), labels):.3f} and "
            f"{nn.functional.cross_entropy(cooled, labels).item():.3f} nats."
        )
    return [
        *lines, "</p>",
        '<img src="reliability.png" alt="Accuracy against predicted probability, in bins: points '
        'under the diagonal are too sure, points above it not sure enough.">',
    ]  # fmt: skip


def mistake_section(mistakes: Sequence[str], split: str) -> list[str]:
    """Return the section on the most confident mistakes."""
    if not mistakes:
        return ["<h2>Mistakes</h2>", f"<p>None on the {split} photos.</p>"]
    return [
        "<h2>Most confident mistakes</h2>",
        "<p>Look at each: a wrong label, two classes on one photo, or a true mistake?</p>",
        '<img src="mistakes.png" alt="The photos listed below.">',
        "<ul>", *(f"<li>{html.escape(line)}</li>" for line in mistakes), "</ul>",
    ]  # fmt: skip


def block(text: str) -> str:
    """Return preformatted text that keys can scroll where it is wider than the page."""
    return f"<pre tabindex=0>{html.escape(text)}</pre>"


def origin_section(run: RunFolder, config: dict) -> list[str]:
    """Return the last section: the photos, the recipe, and how to repeat and to use the run."""
    inspection = json.loads((run / "inspection.json").read_text(encoding="utf-8"))
    plain = Recipe().to_json()
    rows = [
        f"<tr><th scope=row>{name}</th><td>{html.escape(str(value))}</td>"
        f"<td>{'' if value == plain.get(name) else 'not the default'}</td></tr>"
        for name, value in config["recipe"].items()
    ]
    versions = ", ".join(f"{name} {number}" for name, number in config["versions"].items())
    return [
        "<h2>Use it</h2>",
        block(f"tutorial-utils predict {shlex.quote(str(run.path))} PHOTO ..."),
        "<h2>Photos</h2>", block(inspection["summary"]),
        "<h2>Repeat it</h2>", block(shlex.join(config["command"])),
        f"<p>{html.escape(versions)}; {config['threads']} threads.</p>",
        "<details><summary>Recipe</summary><table>", *rows, "</table></details>",
    ]  # fmt: skip
