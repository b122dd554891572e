"""The figure of threshold and metrics: its arithmetic against scikit-learn, and every control."""

import random
import re
import warnings

import numpy as np
import pytest
from book_pages import settle
from sklearn import metrics as sk

from tutorial_utils.interactive import ThresholdMetrics
from tutorial_utils.interactive.threshold import half_counts

SCRIPT = "threshold.js"
NAMES = ("precision", "recall", "specificity", "F1", "accuracy", "balanced accuracy")


def random_cases(count):
    """Yield scores with and without ties, thresholds beyond them, weights, and lone classes."""
    rng = random.Random(0)
    for number in range(count):
        n = rng.randint(1, 40)
        share = rng.choice([0, 0.1, 0.5, 0.9, 1]) if number % 4 == 0 else 0.5
        scores = [rng.choice([rng.randint(-3, 3), rng.gauss(0, 2)]) for _ in range(n)]
        yield {
            "s": scores,
            "y": [int(rng.random() < share) for _ in range(n)],
            "w": [rng.randint(1, 99) for _ in range(n)] if number % 2 else [1] * n,
            "t": rng.choice([*scores, -9, 9, rng.gauss(0, 2)]),
        }


def reference(y, said, w):
    """Return the confusion matrix (tn, fp, fn, tp) and the metrics, all from scikit-learn."""
    matrix = sk.confusion_matrix(y, said, labels=[0, 1], sample_weight=w)
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        y, said, labels=[0, 1], sample_weight=w, zero_division=0
    )
    accuracy = sk.accuracy_score(y, said, sample_weight=w)
    return matrix, (precision[1], recall[1], recall[0], f1[1], accuracy, recall.mean())


def test_matrix_and_metrics_agree_with_scikit_learn(load_module):
    cases = list(random_cases(400))
    call = "(x => [x, m.metrics(x)])(m.confusion(c.t, c.s, c.y, c.w))"
    for case, (ours, values) in zip(cases, load_module(SCRIPT, call, cases), strict=True):
        matrix, wanted = reference(case["y"], np.array(case["s"]) >= case["t"], case["w"])
        assert [ours[k] for k in ("tn", "fp", "fn", "tp")] == matrix.ravel().tolist()
        assert [values[name] for name in NAMES] == pytest.approx(wanted, rel=1e-12)
    assert any(max(case["s"]) < case["t"] for case in cases)  # nothing called positive


def test_curves_and_areas_agree_with_scikit_learn(load_module):
    cases = [case for case in random_cases(500) if 0 < sum(case["y"]) < len(case["y"])]
    assert len(cases) >= 300
    for case, ours in zip(
        cases, load_module(SCRIPT, "m.curves(c.s, c.y, c.w)", cases), strict=True
    ):
        y, s, w = case["y"], case["s"], case["w"]
        points = {key: [p[key] for p in ours["all"]] for key in ours["all"][0]}
        fpr, tpr, _ = sk.roc_curve(y, s, sample_weight=w, drop_intermediate=False)
        precision, recall, _ = sk.precision_recall_curve(y, s, sample_weight=w)
        assert points["fpr"] == pytest.approx(fpr.tolist(), abs=1e-12)
        assert points["tpr"] == pytest.approx(tpr.tolist(), abs=1e-12)
        assert points["tpr"] == pytest.approx(recall[::-1].tolist(), abs=1e-12)
        assert points["precision"] == pytest.approx(precision[::-1].tolist(), abs=1e-12)
        assert ours["auc"] == pytest.approx(sk.roc_auc_score(y, s, sample_weight=w), abs=1e-12)
        wanted = sk.average_precision_score(y, s, sample_weight=w)
        assert ours["ap"] == pytest.approx(wanted, abs=1e-12)


def test_with_one_class_the_rates_are_undefined_as_in_scikit_learn(load_module):
    cases = [{"s": [1, 2, 2], "y": [k] * 3, "w": [1] * 3} for k in (0, 1)]
    call = "m.curves(c.s, c.y, c.w).all.map(p => [p.fpr, p.tpr].map(Number.isNaN))"
    for case, nan in zip(cases, load_module(SCRIPT, call, cases), strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fpr, tpr, _ = sk.roc_curve(case["y"], case["s"], drop_intermediate=False)
        assert nan == np.isnan(np.stack([fpr, tpr], axis=1)).tolist()
    ap = load_module(SCRIPT, "m.curves(c.s, c.y, c.w).ap", cases)
    assert ap == [0, 1]  # scikit-learn: 0.0 with a warning, 1.0


# --- Behaviour ---


def expected(threshold=5, shift=10, positives=20):
    """Return what the figure must show: matrix (tp, fn, fp, tn), metrics, both areas."""
    counts, start = half_counts()[::-1] + half_counts(), -len(half_counts())
    bins = np.arange(start, -start)
    s = np.concatenate([bins + shift, bins - shift])
    y = np.repeat([1, 0], len(bins))
    w = np.concatenate([np.array(counts) * positives, np.array(counts) * (100 - positives)])
    matrix, values = reference(y, s >= threshold, w)
    tn, fp, fn, tp = matrix.ravel().astype(int).tolist()
    auc = sk.roc_auc_score(y, s, sample_weight=w)
    ap = sk.average_precision_score(y, s, sample_weight=w)
    return [f"{n:,}" for n in (tp, fn, fp, tn)], list(values), [auc, ap]


def check(page, **state):
    settle(page)
    matrix, values, areas = expected(**state)
    cells = page.locator(".tables table").first.locator("td").all_inner_texts()
    assert cells == [f"{k} {n}" for k, n in zip(("TP", "FN", "FP", "TN"), matrix, strict=True)]
    shown = page.locator(".tables table").nth(1).locator("td").all_inner_texts()
    if matrix[0] == matrix[2] == "0":
        assert shown[0] == "0/0 → 0"
        shown[0] = "0"
    assert [float(text) for text in shown] == pytest.approx(values, abs=5.1e-4)
    labels = page.locator(".parts p").all_inner_texts()
    found = [float(re.search(r"[\d.]+$", text)[0]) for text in labels]
    assert found == pytest.approx(areas, abs=5.1e-4)
    return values


def check_threshold(page):
    """Hold all numbers and both points against scikit-learn, for what the controls show."""
    settle(page)
    names = {"threshold": "threshold", "positives": "positives", "shift": "separation"}
    state = {
        key: int(page.get_by_role("slider", name=name).input_value()) for key, name in names.items()
    }
    precision, recall, specificity = check(page, **state)[:3]
    assert dots(page)[1] == pytest.approx((1 - specificity, recall), abs=1e-9)
    if "nothing" not in page.locator(".say").inner_text():
        assert dots(page)[3] == pytest.approx((recall, precision), abs=1e-9)
    if aim := page.get_by_label("set threshold").input_value():
        state.pop("threshold")
        scores = {t: expected(t, **state)[1][NAMES.index(aim)] for t in range(-55, 56)}
        at = int(page.get_by_role("slider", name="threshold").input_value())
        assert scores[at] == pytest.approx(max(scores.values()), abs=1e-12)


def dots(page):
    """Return the points drawn in ROC and PR as (x, y) between 0 and 1; balanced classes' first."""
    moves = page.locator(".parts circle").evaluate_all(
        "e => e.map(x => x.getAttribute('transform'))"
    )
    numbers = [[float(n) for n in re.findall(r"[\d.]+", move)] for move in moves]
    return [((x - 44) / 136, (150 - y) / 142) for x, y in numbers]


def test_the_first_view_agrees_with_scikit_learn(show):
    check(show(ThresholdMetrics()))
    check(show(ThresholdMetrics(1.2, 7, -0.8)), threshold=-8, shift=6, positives=7)


def test_every_control_is_followed_by_keys(show):
    page = show(ThresholdMetrics())
    page.get_by_role("slider", name="threshold").press("ArrowRight")
    check(page, threshold=6)
    page.get_by_role("slider", name="positives").press("ArrowLeft")
    check(page, threshold=6, positives=19)
    page.get_by_role("slider", name="separation").press("ArrowLeft")
    check(page, threshold=6, positives=19, shift=9)
    page.get_by_role("slider", name="threshold").press("End")
    check(page, threshold=55, positives=19, shift=9)
    assert "nothing is called positive" in page.locator(".say").inner_text()
    assert not page.locator(".parts circle").nth(3).is_visible()
    page.get_by_role("slider", name="threshold").press("Home")
    check(page, threshold=-55, positives=19, shift=9)
    page.wait_for_timeout(450)
    assert page.get_by_role("status").inner_text().startswith("t = −5.5: 19,000 of 100,000 called")


def test_the_pointer_drags_the_threshold(show):
    page = show(ThresholdMetrics())
    box = page.locator(".plot").bounding_box()

    def at(score):
        return box["x"] + (score + 5.6) / 11.2 * box["width"]

    page.mouse.move(at(2.0), box["y"] + 30)
    page.mouse.down()
    check(page, threshold=20)
    page.mouse.move(at(-1.3), box["y"] + 90, steps=4)
    check(page, threshold=-13)
    page.mouse.up()
    page.mouse.move(at(3), box["y"] + 90)
    check(page, threshold=-13)
    line = page.locator(".line").bounding_box()
    assert line["x"] + line["width"] / 2 == pytest.approx(at(-1.3), abs=1.5)
    page.keyboard.press("ArrowLeft")  # the keys take over where the pointer stopped
    check(page, threshold=-14)


def test_a_finger_drags_the_threshold(show):
    page = show(ThresholdMetrics(), width=360, has_touch=True)
    box = page.locator(".plot").bounding_box()
    touch = page.context.new_cdp_session(page)
    for kind, score in (
        ("touchStart", 0),
        ("touchMove", 0.4),
        ("touchMove", 1),
        ("touchEnd", None),
    ):
        x = box["x"] + ((score or 0) + 5.6) / 11.2 * box["width"]
        points = [] if score is None else [{"x": x, "y": box["y"] + 40}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    check(page, threshold=10)


def test_the_class_balance_moves_precision_and_not_the_roc_point(show):
    page = show(ThresholdMetrics(threshold=0.5))
    found = {}
    for positives in (99, 50, 10, 1):
        page.get_by_role("slider", name="positives").fill(str(positives))
        values = check(page, threshold=5, positives=positives)
        found[positives] = dots(page)
        assert found[positives][1] == pytest.approx((1 - values[2], values[1]), abs=1e-9)
        assert found[positives][3] == pytest.approx((values[1], values[0]), abs=1e-9)
    assert len({tuple(points[1]) for points in found.values()}) == 1
    assert len({points[2] for points in found.values()}) == 1  # the ring of balanced classes
    heights = [points[3][1] for points in found.values()]
    assert heights == sorted(heights, reverse=True)
    assert heights[0] > 0.9 > 0.1 > heights[-1]


@pytest.mark.parametrize("name", NAMES[3:])
def test_the_best_threshold_is_the_best(show, name):
    page = show(ThresholdMetrics(positives=8))
    page.get_by_label("set threshold").select_option(name)
    settle(page)
    scores = {t: expected(t, positives=8)[1][NAMES.index(name)] for t in range(-55, 56)}
    found = round(float(page.locator("label b").first.inner_text().replace("−", "-")) * 10)
    assert scores[found] == pytest.approx(max(scores.values()), abs=1e-12)
    check(page, threshold=found, positives=8)
    page.get_by_role("slider", name="threshold").press("ArrowRight")
    check(page, threshold=found + 1, positives=8)
    assert page.get_by_label("set threshold").input_value() == ""


def test_the_areas_are_in_proportion_to_the_images(show):
    page = show(ThresholdMetrics(positives=20, threshold=0.3))
    areas = page.locator(".plot svg path:not(.thin)").evaluate_all(
        """paths => paths.map(p => {
            const q = p.getAttribute("d").slice(1).split("L").map(s => s.split(" ").map(Number));
            return Math.abs(q.reduce((s, [x, y], i) =>
                s + x * q[(i + 1) % q.length][1] - y * q[(i + 1) % q.length][0], 0)) / 2;
        })"""
    )
    counts = [int(n.replace(",", "")) for n in expected(3, positives=20)[0]]
    shares = np.array(areas) / sum(areas)
    assert shares == pytest.approx(np.array(counts) / 100_000, abs=2e-3)


@pytest.mark.parametrize("width", [360, 760])
def test_nothing_jumps(show, width):
    page = show(ThresholdMetrics(), width=width)
    heights = set()
    for t in (-55, -10, 0, 12, 55):
        page.get_by_role("slider", name="threshold").fill(str(t))
        page.get_by_role("slider", name="positives").fill(str(60 + t // 2))
        settle(page)
        heights.add(page.locator(".tables").bounding_box()["height"])
    assert len(heights) == 1


# --- Parameters and fallback ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"separation": 4.2}, "separation must be 0, 0.2"),
        ({"separation": 0.3}, "separation must be 0, 0.2"),
        ({"positives": 0}, "from 1 to 99, is 0"),
        ({"positives": 2.5}, "whole percentage"),
        ({"threshold": 6}, "between -5.5 and 5.5"),
    ],
)
def test_bad_parameters_give_one_clear_error(options, message):
    with pytest.raises(ValueError, match=message):
        ThresholdMetrics(**options)


def test_the_fallbacks_numbers_are_right():
    html = ThresholdMetrics(1.0, 7, 0.4).fallback()
    first, second = html.split("</table>")[:2]
    matrix = expected(4, 5, 7)[0]
    assert re.findall(r"<td>([\d,]+)</td>", first) == matrix
    rows = re.findall(r"<th scope='row'>(\d+) %</th>(.*?)</tr>", second)
    assert [int(share) for share, _ in rows] == [50, 7, 1]
    for share, row in rows:
        precision, recall, specificity, f1, accuracy, _ = expected(4, 5, int(share))[1]
        found = [float(value) for value in re.findall(r"[\d.]+(?=</td>)", row)]
        wanted = [recall, 1 - specificity, precision, f1, accuracy]
        assert found == pytest.approx(wanted, abs=5.1e-4)
