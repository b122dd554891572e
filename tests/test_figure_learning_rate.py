"""The figure on the learning rate: its steps against torch.optim.SGD, and its controls."""

import random
import re

import pytest
import torch
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
        for _ in range(120)
    ]
    expression = "m.descend(c.surface, c.start, c.rate, c.momentum, c.schedule)"
    compared = 0
    for case, way in zip(cases, load_module(SCRIPT, expression, cases), strict=True):
        expected = torch.tensor(descend(**case))
        if expected.isfinite().all() and expected.max() < 1e3:  # beyond, rounding is magnified
            found = torch.tensor([point[2] for point in way])
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
            compared += 1
    assert compared >= 100


def test_the_verdict_tells_the_three_fates(load_module):
    cases = [{"rate": 0.003}, {"rate": 0.1}, {"rate": 0.14}, {"rate": 1.9}]
    way = "m.descend('valley', [-1.8, 0.9], c.rate, 0, 'constant')"
    words = load_module(SCRIPT, f"m.verdict({way}.map(p => p[2]))[0]", cases)
    assert words[0] == "It crawls"
    assert words[1:] == ["It converges", "It blows up", "It blows up"]


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
