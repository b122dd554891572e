"""Playgrounds: live controls, a still for everyone else."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from tutorial_utils.playground import WIDGET_VIEW, Playground


def draw(colour, height=2):
    figure, axes = plt.subplots(figsize=(2, 1), dpi=50)
    axes.set_facecolor(colour)
    axes.set_ylim(0, height)
    drawn.append((colour, height))
    return figure


drawn = []


@pytest.fixture
def playground():
    drawn.clear()
    return Playground(draw, colour=["red", "blue"], height=(1, 5))


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3).tolist()


def test_it_shows_live_controls_and_a_still_and_starts_at_the_default(playground):
    bundle = playground._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "image/png", WIDGET_VIEW}
    assert bundle["text/plain"] == "Playground(colour, height)"
    assert playground.values() == {"colour": "red", "height": 2}
    assert [255, 0, 0] in pixels(bundle["image/png"])
    assert len(bundle["image/png"]) > len(playground.png())  # the note


def test_a_control_redraws_the_live_picture(playground):
    figures = plt.get_fignums()
    playground._repr_mimebundle_()
    playground.controls[0].value = "blue"
    playground.controls[1].value = 4
    assert drawn[-1] == ("blue", 4)
    assert [0, 0, 255] in pixels(playground.picture.value)
    assert [255, 0, 0] not in pixels(playground.picture.value)
    assert plt.get_fignums() == figures
