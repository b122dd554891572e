"""The figure of threshold and metrics: its arithmetic against scikit-learn, and every control."""

import random
import re
import warnings

import numpy as np
import pytest
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
    cases = list(random_cases(160))
    call = "(x => [x, m.metrics(x)])(m.confusion(c.t, c.s, c.y, c.w))"
    for case, (ours, values) in zip(cases, load_module(SCRIPT, call, cases), strict=True):
        matrix, wanted = reference(case["y"], np.array(case["s"]) >= case["t"], case["w"])
        assert [ours[k] for k in ("tn", "fp", "fn", "tp")] == matrix.ravel().tolist()
        assert [values[name] for name in NAMES] == pytest.approx(wanted, rel=1e-12)
    assert any(max(case["s"]) < case["t"] for case in cases)  # nothing called positive


def test_curves_and_areas_agree_with_scikit_learn(load_module):
    cases = [case for case in random_cases(200) if 0 < sum(case["y"]) < len(case["y"])]
    assert len(cases) >= 120
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"separation": 4.2}, "separation must be 0, 0.2"),
        ({"separation": 0.3}, "separation must be 0, 0.2"),
        ({"positives": 0}, "from 1 to 99, is 0"),
        ({"positives": 2.5}, "whole percentage"),
        ({"threshold": 6}, "between 0.005 and 0.995"),
    ],
)
def test_bad_parameters_give_one_clear_error(options, message):
    with pytest.raises(ValueError, match=message):
        ThresholdMetrics(**options)


def test_the_fallbacks_numbers_are_right():
    html = ThresholdMetrics(1.0, 7, 0.6).fallback()
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
