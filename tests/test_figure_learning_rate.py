"""The figure on the learning rate: its steps against torch.optim.SGD, and its controls."""

import math
import random
import re

import pytest
import torch
from book_pages import settle
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR, SequentialLR, StepLR

from tutorial_utils.interactive.learning_rate import SCHEDULES, SURFACES, LearningRate

SCRIPT = "learning_rate.js"
LOSSES = {
    "valley": lambda x, y: (x**2 + 15 * y**2) / 2,
    "bowl": lambda x, y: (x**2 + y**2) / 2,
    "bend": lambda x, y: (1 - x) ** 2 / 2 + 4 * (y - x**2 + 0.5) ** 2,
    "dips": lambda x, y: (x**2 - 1) ** 2 + 0.4 * x + y**2 + 0.45,
}


def scheduler(name, optimizer):
    if name == "constant":
        return LambdaLR(optimizer, lambda step: 1)
    if name == "steps":
        return StepLR(optimizer, 20, 0.1)
    if name == "cosine":
        return CosineAnnealingLR(optimizer, 60)
    parts = [LinearLR(optimizer, 1 / 6, 1, 5), CosineAnnealingLR(optimizer, 54)]
    return SequentialLR(optimizer, parts, [6])


def descend(surface, start, rate, momentum, schedule):
    """The same descent by torch: 61 losses, gradients by autograd."""
    w = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=rate, momentum=momentum)
    schedule = scheduler(schedule, optimizer)
    losses = []
    for _ in range(61):
        loss = LOSSES[surface](*w)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return losses


@pytest.mark.filterwarnings("ignore:.*epoch parameter.*")
def test_the_steps_agree_with_torch(load_module):
    rng = random.Random(0)
    cases = [
        {
            "surface": rng.choice(SURFACES),
            "start": [rng.uniform(-2, 2), rng.uniform(-1.5, 1.5)],
            "rate": 10 ** rng.uniform(-3, -1.3),
            "momentum": rng.choice([0, 0.5, 0.9]),
            "schedule": rng.choice(SCHEDULES),
        }
        for _ in range(240)
    ]
    expression = "m.descend(c.surface, c.start, c.rate, c.momentum, c.schedule)"
    compared = 0
    for case, way in zip(cases, load_module(SCRIPT, expression, cases), strict=True):
        expected = torch.tensor(descend(**case))
        if expected.isfinite().all() and expected.max() < 1e3:  # beyond, rounding is magnified
            found = torch.tensor([point[2] for point in way])
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
            compared += 1
    assert compared >= 200


def test_the_verdict_tells_the_three_fates(load_module):
    cases = [{"rate": 0.003}, {"rate": 0.1}, {"rate": 0.14}, {"rate": 1.9}]
    way = "m.descend('valley', [-1.8, 0.9], c.rate, 0, 'constant')"
    words = load_module(SCRIPT, f"m.verdict({way}.map(p => p[2]))[0]", cases)
    assert words[0].startswith("It crawls")
    assert words[1:] == ["It converges", "It blows up", "It blows up"]


def said(page):
    settle(page)
    return page.locator(".say").inner_text()


def loss_of(text):
    return float(re.search(r"loss (?:< )?([\d.]+) ", text)[1])


def check_descent(page):
    """Hold text and drawn curve against torch, for the state that the controls show."""
    text = said(page)
    numbers = {
        name: float(page.get_by_role("slider", name=name).input_value())
        for name in ("learning rate", "momentum", "step")
    }
    surface, schedule = (
        page.get_by_role("combobox", name=name).input_value() for name in ("surface", "schedule")
    )
    label = page.get_by_role("application").get_attribute("aria-label").replace("−", "-")
    start = [float(v) for v in re.search(r"x = (-?[\d.]+), y = (-?[\d.]+)", label).groups()]
    # A figure may start beside the slider's grid, as 0.03 does.
    rate = page.locator(".figure").evaluate("e => e.getRootNode().host.rate")
    assert math.log10(rate) == pytest.approx(numbers["learning rate"], abs=0.01251)
    step = int(numbers["step"])
    way = descend(surface, start, rate, numbers["momentum"], schedule)
    assert text.startswith(f"Step {step}: ")
    assert float(re.search(r"first: ([\d.]+)", text)[1]) == pytest.approx(way[0], abs=6e-4)
    told = re.search(r"loss (< |> )?([\d.]+)", text)
    if told[1]:
        assert way[step] < 1e-4 if told[1] == "< " else not way[step] <= 1e4
    else:
        assert float(told[2]) == pytest.approx(way[step], abs=6e-5, rel=1e-5)
    curve = page.locator(".chart path").nth(1).get_attribute("d")
    drawn = [tuple(map(float, p)) for p in re.findall(r"([\d.]+) ([\d.]+)", curve)]
    left, right = 54, 312
    for k, (x, y) in enumerate(drawn):
        share = math.log(min(max(way[k], 1e-5), 100) / 1e-5) / math.log(1e7)
        assert (x, y) == pytest.approx(
            (left + (right - left) * k / 60, 196 - 188 * share), abs=0.11
        )
    assert len(drawn) == sum(not math.isnan(loss) for loss in way[: step + 1])


def test_every_control_is_followed(show):
    page = show(LearningRate())
    state = {"rate": 0.03, "momentum": 0.0, "schedule": "constant"}
    way = descend("valley", [-1.8, 0.9], **state)
    assert loss_of(said(page)) == pytest.approx(way[60], abs=6e-5)
    page.get_by_role("slider", name="momentum").press("ArrowRight")
    page.get_by_role("slider", name="learning rate").press("ArrowLeft")
    page.locator("select").nth(1).select_option("steps")
    text = said(page)
    rate = 10 ** (-3 + 0.025 * 58)  # the slider's grid
    way = descend("valley", [-1.8, 0.9], rate, 0.02, "steps")
    assert loss_of(text) == pytest.approx(way[60], abs=6e-5)
    page.get_by_role("slider", name="step").press("Home")
    assert said(page).startswith("Step 0: loss 7.695 ")
    page.locator("select").first.select_option("bowl")
    page.get_by_role("application").press("ArrowRight")
    way = descend("bowl", [-1.45, 1.0], rate, 0.02, "steps")
    assert loss_of(said(page)) == pytest.approx(way[60], abs=6e-5)


def test_a_descent_that_overflows_is_drawn_too(show):
    page = show(LearningRate("bend", rate=3.0))
    check_descent(page)  # and errors on the page fail the test
    assert "loss > 10000" in said(page)


def test_the_start_is_dragged_and_the_descent_plays(show):
    page = show(LearningRate(rate=0.1))
    box = page.get_by_role("application").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 241, box["y"] + 81)  # to x = 1, y = 0.5
    page.mouse.up()
    assert "(first: 2.375)" in said(page)
    assert "x = 1, y = 0.5" in page.get_by_role("application").get_attribute("aria-label")
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(700)
    page.get_by_role("button", name="Pause").click()
    step = int(re.match(r"Step (\d+)", said(page))[1])
    assert 1 <= step < 60
    way = descend("valley", [1.0, 0.5], 0.1, 0.0, "constant")
    assert loss_of(said(page)) == pytest.approx(way[step], abs=6e-4)


def test_the_fallbacks_numbers_are_torchs():
    rows = re.findall(r"<tr><th scope='row'>([\d.]+)</th>(.*?)</tr>", LearningRate().fallback())
    assert len(rows) == 3
    for rate, cells in rows:
        way = descend("valley", [-1.8, 0.9], float(rate), 0.0, "constant")
        shown = [float(x) for x in re.findall(r"<td>([\d.]+)</td>", cells)]
        assert shown == pytest.approx([way[k] for k in (0, 10, 30, 60)], rel=6e-3, abs=1e-6)


@pytest.mark.parametrize("bad", [{"rate": 9}, {"momentum": 1}, {"surface": "hill"}])
def test_bad_parameters_give_one_clear_error(bad):
    with pytest.raises(ValueError, match="choose a"):
        LearningRate(**bad)
