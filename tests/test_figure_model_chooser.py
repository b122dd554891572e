"""The model chooser: data against torchvision, choice against plain Python, its controls."""

import random

import pytest
from torchvision.models import get_model_weights

from tutorial_utils.interactive import ModelChooser
from tutorial_utils.interactive.model_chooser import SCENARIOS, pareto_front
from tutorial_utils.plotting import family_of
from tutorial_utils.results import load_results

CHECKPOINTS = load_results("checkpoints")["checkpoints"]
ROWS = ModelChooser().rows
COSTS = {3: "GMACs", 4: "M parameters", 5: "MB"}


def test_the_stored_figures_are_those_of_torchvision():
    for row in CHECKPOINTS:
        meta = get_model_weights(row["name"])[row["weights"]].meta
        figures = {"top1": meta["_metrics"]["ImageNet-1K"]["acc@1"], "gmacs": meta["_ops"]}
        figures |= {"parameters": meta["num_params"], "megabytes": meta["_file_size"]}
        assert row == {"name": row["name"], "weights": row["weights"], **figures}


def test_the_figure_shows_every_checkpoint_to_four_digits(load_module):
    (rows,) = load_module("model_chooser.js", "m.parse(c)", [ModelChooser().parameters()["rows"]])
    assert len(rows) == len(CHECKPOINTS) == 114
    families = list(ModelChooser().parameters()["rows"])
    assert [[*row[:6], families[row[6]]] for row in rows] == sorted(
        ROWS, key=lambda row: families.index(row[6])
    )
    for row, checkpoint in zip(ROWS, CHECKPOINTS, strict=True):
        figures = [checkpoint[key] for key in ("top1", "gmacs", "parameters", "megabytes")]
        figures[2] /= 1e6
        assert row[2:6] == pytest.approx(figures, rel=5e-4)
        assert row[0] == checkpoint["name"]
        assert family_of(row[0]) == row[6]


def test_rounding_to_four_digits_leaves_the_fronts_as_they_are():
    keys = ("name", "weights", "top1", "gmacs", "parameters", "megabytes")
    exact = [[row[key] for key in keys] for row in CHECKPOINTS]
    for cost in COSTS:
        names = [[row[0] for row in pareto_front(rows, cost)] for rows in (exact, ROWS)]
        assert names[0] == names[1]


def fits(row, limits):
    return all(row[int(column)] <= limit for column, limit in limits.items())


def beaten(row, rows, cost):
    """Say whether another row costs no more and is better, or costs less and is as good."""
    return any(
        (other[cost] <= row[cost] and other[2] > row[2])
        or (other[cost] < row[cost] and other[2] == row[2])
        for other in rows
    )


def random_rows(rng):
    """Return rows with many ties."""
    return [
        [f"net{rng.randint(0, 9)}", rng.choice("ab"), *(rng.randint(1, 9) / 2 for _ in range(4)), 0]
        for _ in range(rng.randint(0, 40))
    ]


def test_budget_front_and_sorting_agree_with_plain_python(load_module):
    rng, cases = random.Random(0), []
    for number in range(300):
        rows = random_rows(rng) if number % 2 else ROWS
        columns = rng.sample([3, 4, 5], rng.randint(0, 3))
        pick = {c: rng.choice(rows)[c] if rows else 1 for c in columns}
        limits = {str(c): v * rng.choice([1, 1, 0.9, 1.1]) for c, v in pick.items()}
        orders = {"k": rng.randint(0, 5), "down": rng.random() < 0.5, "cost": rng.choice([3, 4, 5])}
        cases.append({"rows": rows, "limits": limits, **orders})
    call = """(() => { const left = m.within(c.rows, c.limits);
        return {left, best: m.best(left) ?? null, front: m.front(left, c.cost),
            sorted: m.sorted(left, c.k, c.down)}; })()"""
    for case, answer in zip(cases, load_module("model_chooser.js", call, cases), strict=True):
        left = [row for row in case["rows"] if fits(row, case["limits"])]
        assert answer["left"] == left
        k = case["k"]
        assert answer["sorted"] == sorted(left, key=lambda row: row[k], reverse=case["down"])
        unbeaten = [row for row in left if not beaten(row, left, case["cost"])]
        pairs = {(row[case["cost"]], row[2]) for row in unbeaten}  # one row of each
        assert [(row[case["cost"]], row[2]) for row in answer["front"]] == sorted(pairs)
        assert all(row in unbeaten for row in answer["front"])
        found = [(row[case["cost"]], row[2]) for row in pareto_front(left, case["cost"])]
        assert found == sorted(pairs)
        if left:
            top = max(row[2] for row in left)
            assert answer["best"][2:4] == [top, min(row[3] for row in left if row[2] == top)]
        else:
            assert answer["best"] is None


def test_the_fallbacks_numbers_are_right():
    html = ModelChooser().fallback()
    assert f"of {len(CHECKPOINTS)} checkpoints" in html
    body = html.split("<tbody>")[1].removesuffix("</table>").split("<tr><td>")[1:]
    for line, (where, most, work) in zip(body, SCENARIOS, strict=True):
        name, label, top1, *_ = line.split("<td>")
        left = [row for row in ROWS if row[5] <= most and row[3] <= work]
        top = max(row[2] for row in left)
        assert (name, float(top1)) == (where, pytest.approx(top, abs=0.051))
        assert [row[:2] for row in left if row[2] == top] == [label.split(" ", 1)]


def test_bad_checkpoints_give_one_clear_error():
    row = {"name": "vgg16", "weights": "IMAGENET1K_V1", "top1": 70, "gmacs": 1, "parameters": 1e6}
    row["megabytes"] = 4
    with pytest.raises(ValueError, match="at least two"):
        ModelChooser([row])
    with pytest.raises(ValueError, match="'mynet' belongs to none"):
        ModelChooser([row, row | {"name": "mynet"}])
    with pytest.raises(ValueError, match="above 0"):
        ModelChooser([row, row | {"gmacs": 0}])
