"""The model chooser: data against torchvision, choice against plain Python, its controls."""

import random
import re

import pytest
from book_pages import settle
from torchvision.models import get_model_weights

from tutorial_utils.interactive import ModelChooser
from tutorial_utils.interactive.model_chooser import FAMILIES, pareto_front
from tutorial_utils.results import load_results

CHECKPOINTS = load_results("checkpoints")["checkpoints"]
ROWS = ModelChooser().rows
COSTS = {3: "GMACs", 4: "M parameters", 5: "MB"}


# --- The data ---


def test_the_stored_figures_are_those_of_torchvision():
    for row in CHECKPOINTS:
        meta = get_model_weights(row["name"])[row["weights"]].meta
        figures = {"top1": meta["_metrics"]["ImageNet-1K"]["acc@1"], "gmacs": meta["_ops"]}
        figures |= {"parameters": meta["num_params"], "megabytes": meta["_file_size"]}
        assert row == {"name": row["name"], "weights": row["weights"], **figures}


def test_the_figure_shows_every_checkpoint_to_four_digits(load_module):
    (rows,) = load_module("model_chooser.js", "m.parse(c)", [ModelChooser().parameters()])
    assert len(rows) == len(CHECKPOINTS) == 114
    families = list(dict.fromkeys(row[6] for row in ROWS))
    assert [[*row[:6], families[row[6]]] for row in rows] == sorted(
        ROWS, key=lambda row: families.index(row[6])
    )
    for row, checkpoint in zip(ROWS, CHECKPOINTS, strict=True):
        figures = [checkpoint[key] for key in ("top1", "gmacs", "parameters", "megabytes")]
        figures[2] /= 1e6
        assert row[2:6] == pytest.approx(figures, rel=5e-4)
        assert row[0] == checkpoint["name"]
        assert row[0].startswith(FAMILIES[row[6]])


def test_rounding_to_four_digits_leaves_the_fronts_as_they_are():
    keys = ("name", "weights", "top1", "gmacs", "parameters", "megabytes")
    exact = [[row[key] for key in keys] for row in CHECKPOINTS]
    for cost in COSTS:
        names = [[row[0] for row in pareto_front(rows, cost)] for rows in (exact, ROWS)]
        assert names[0] == names[1]


# --- Numerics: definitions in plain Python, written another way than the script ---


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


# --- Behaviour ---


def told(page):
    settle(page)
    return page.locator(".say").inner_text()


def limits(page):
    """Return {column: limit} as the sliders' texts say."""
    settle(page)
    found = {}
    for column, name in COSTS.items():
        text = page.get_by_role("slider", name=name).get_attribute("aria-valuetext")
        if text != "any":
            found[column] = float(text.removeprefix("≤ "))
    return found


def left(page):
    budget = limits(page)
    return [row for row in ROWS if fits(row, budget)]


def check_best(page):
    rows = left(page)
    if not rows:
        assert told(page) == "No checkpoint fits this budget."
        return
    best = min(rows, key=lambda row: (-row[2], row[3]))
    assert f"{len(rows)} of {len(ROWS)} fit. The best: {best[0]} ({best[1]}): " in told(page)
    assert re.search(r"\): ([\d.]+) %", told(page))[1] == f"{best[2]:.1f}".removesuffix(".0")


def pointed(page):
    """Return the row that the text says is pointed at, else the best."""
    text = told(page)
    text = text.split("Pointed at: ")[-1].split("The best: ")[-1]
    name, weights = re.match(r"(\w+) \(([\w ]+)\)", text).groups()
    return next(row for row in ROWS if row[:2] == [name, weights])


def table(page):
    return [
        [text.removesuffix(" ◆") for text in row.locator("td").all_inner_texts()]
        for row in page.locator(".view tbody tr").all()
    ]


def check_choice(page):
    """Hold text, points and table against plain Python, for the state that the controls show."""
    check_best(page)
    rows, cost = left(page), int(page.get_by_label("cost axis").input_value())
    edge = [row[0] for row in pareto_front(rows, cost)]
    if page.get_by_role("button", name="Table").get_attribute("aria-pressed") == "true":
        heads = page.locator(".view th").evaluate_all("h => h.map(e => e.ariaSort)")
        (column,) = (i for i, order in enumerate(heads) if order)
        wanted = sorted(rows, key=lambda row: row[column], reverse=heads[column] == "descending")
        cells = page.locator(".view tbody tr").evaluate_all(
            "rows => rows.map(r => [...r.children].map(c => c.textContent))"
        )
        assert [
            float(r[column]) if column > 1 else r[column].removesuffix(" ◆") for r in cells
        ] == [round(row[column], 3) if column > 1 else row[column] for row in wanted]
        assert sorted(r[0].removesuffix(" ◆") for r in cells if "◆" in r[0]) == sorted(edge)
        names = sorted(r[0].removesuffix(" ◆") for r in cells)
        assert names == sorted(row[0] for row in rows)
        return
    assert page.locator(".view svg > g[transform]:has(path)").count() == len(rows)
    assert page.locator("g[opacity] > g").count() == len(ROWS) - len(rows)
    d = page.locator(".view svg > path").get_attribute("d")
    assert len(re.findall("[ML]", d)) == 2 * len(edge)
    assert pointed(page) in rows


def test_the_budget_follows_keys_and_mouse(show):
    page = show(ModelChooser())
    check_best(page)
    for column, name in COSTS.items():
        slider = page.get_by_role("slider", name=name)
        for key in ("PageDown", "ArrowLeft", "PageDown"):
            slider.press(key)
        assert column in limits(page)
        check_best(page)
        box = slider.bounding_box()
        page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2)
        check_best(page)
    assert 0 < len(left(page)) < 80
    assert page.locator("g[opacity] > g").count() == len(ROWS) - len(left(page))
    page.get_by_role("slider", name="GMACs").press("Home")
    page.get_by_role("slider", name="MB").press("Home")
    check_best(page)
    assert left(page) == []
    page.get_by_role("application").press("ArrowRight")  # nothing to go to, nothing breaks
    page.get_by_role("slider", name="GMACs").press("End")
    page.get_by_role("slider", name="MB").press("End")
    check_best(page)


def test_points_answer_to_keys_on_every_axis(show):
    page = show(ModelChooser())
    for _ in range(4):
        page.get_by_role("slider", name="GMACs").press("PageDown")
    for column, name in COSTS.items():
        page.get_by_label("cost axis").select_option(str(column))
        rows = sorted(left(page), key=lambda row: row[column])
        plot = page.get_by_role("application")
        plot.press("Home")
        assert pointed(page)[column] == rows[0][column]
        plot.press("ArrowRight")
        assert pointed(page)[column] == rows[1][column]
        plot.press("ArrowLeft")
        assert pointed(page)[column] == rows[0][column]
        plot.press("End")
        assert pointed(page)[column] == rows[-1][column]
        assert name in page.locator(".view svg").text_content()


def test_points_answer_to_the_pointer_and_lie_in_order(show):
    page = show(ModelChooser())
    marks = page.locator(".view svg > g[transform]:has(path)")
    assert marks.count() == len(ROWS)
    for number in range(0, len(ROWS), 8):
        box = marks.nth(number).bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        settle(page)
        ring = page.locator(".view circle[r='9']").bounding_box()
        assert pointed(page) in ROWS
        for key, size in (("x", "width"), ("y", "height")):
            middle = box[key] + box[size] / 2
            assert ring[key] + ring[size] / 2 == pytest.approx(middle, abs=6)
    places = marks.evaluate_all("all => all.map(e => e.getAttribute('transform'))")
    places = [tuple(map(float, re.findall(r"[\d.]+", place))) for place in places]
    families = list(dict.fromkeys(row[6] for row in ROWS))
    rows = sorted(ROWS, key=lambda row: families.index(row[6]))
    for axis, column, sign in ((0, 3, 1), (1, 2, -1)):
        order = sorted(range(len(rows)), key=lambda i: (rows[i][column], sign * places[i][axis]))
        drawn = [sign * places[i][axis] for i in order]
        assert drawn == sorted(drawn)


def test_the_front_is_drawn(show):
    page = show(ModelChooser())
    for column in COSTS:
        page.get_by_label("cost axis").select_option(str(column))
        settle(page)
        d = page.locator(".view svg > path").get_attribute("d")
        assert len(re.findall("[ML]", d)) == 2 * len(pareto_front(ROWS, column))


def test_the_table_sorts_by_every_column_with_keys_and_mouse(show):
    page = show(ModelChooser())
    page.get_by_role("slider", name="GMACs").press("PageDown")
    page.get_by_role("button", name="Table").press("Enter")
    rows = left(page)
    assert len(table(page)) == len(rows)
    heads = page.locator(".view th")
    assert heads.nth(2).get_attribute("aria-sort") == "descending"
    front = [row[0] for row in pareto_front(rows, 3)]
    marked = page.locator(".view td:first-child", has_text="◆").all_inner_texts()
    assert sorted(text.removesuffix(" ◆") for text in marked) == sorted(front)
    for column in range(6):
        button = heads.nth(column).locator("button")
        for press in (lambda b=button: b.press("Enter"), button.click):
            press()
            settle(page)
            direction = heads.nth(column).get_attribute("aria-sort")
            assert page.locator("[aria-sort]").count() == 1
            assert button.evaluate("b => b.getRootNode().activeElement === b")
            shown = [row[column] for row in table(page)]
            shown = [float(v) for v in shown] if column > 1 else shown
            down = direction == "descending"
            assert shown == sorted((row[column] for row in rows), reverse=down)
    page.get_by_role("button", name="Table").click()
    settle(page)
    assert page.locator(".view table").count() == 0
    assert page.get_by_role("application").is_visible()


# --- The still, and errors ---


def test_the_fallbacks_numbers_are_right():
    html = ModelChooser().fallback()
    assert f"Of {len(CHECKPOINTS)} checkpoints" in html
    body = html.split("<tbody>")[1].removesuffix("</table>").split("<tr><td>")[1:]
    exact = {(row["name"], row["weights"]): row for row in CHECKPOINTS}
    found = [line.split("<td>") for line in body]
    unbeaten = [row for row in ROWS if not beaten(row, ROWS, 3)]
    assert len(found) == len(unbeaten)
    for (label, top1, gmacs, millions), row in zip(
        found, sorted(unbeaten, key=lambda row: row[3]), strict=True
    ):
        name, weights = label.split(" ", 1)
        assert [name, weights] == row[:2]
        entry = exact[name, "IMAGENET1K_" + {"SWAG": "SWAG_E2E_V1"}.get(weights, weights)]
        assert float(top1) == pytest.approx(entry["top1"], abs=0.056)
        assert float(gmacs) == pytest.approx(entry["gmacs"], rel=2e-3, abs=0.0051)
        assert float(millions) == pytest.approx(entry["parameters"] / 1e6, rel=5e-4, abs=0.051)


def test_bad_checkpoints_give_one_clear_error():
    row = {"name": "vgg16", "weights": "IMAGENET1K_V1", "top1": 70, "gmacs": 1, "parameters": 1e6}
    row["megabytes"] = 4
    with pytest.raises(ValueError, match="at least two"):
        ModelChooser([row])
    with pytest.raises(ValueError, match="'mynet' belongs to none"):
        ModelChooser([row, row | {"name": "mynet"}])
    with pytest.raises(ValueError, match="above 0"):
        ModelChooser([row, row | {"gmacs": 0}])
