import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from tutorial_utils.interactive.grids import cell_text, draw_grid
from tutorial_utils.plotting import BLUE, ORANGE


@pytest.fixture
def axis():
    figure, axis = plt.subplots()
    yield axis
    plt.close(figure)


@pytest.mark.parametrize(
    ("value", "text"),
    [(3, "3"), (3.0, "3"), (-0.0, "0"), (-1e-9, "0"), (0.125, "0.12"), (-2, "−2"), ("2·1", "2·1")],
)
def test_cell_text(value, text):
    assert cell_text(value) == text


def test_cell_text_takes_large_whole_numbers():
    assert cell_text(12345678) == "12345678"


def texts(axis):
    return [text.get_text() for text in axis.texts]


@pytest.mark.parametrize("convert", [list, np.array, torch.tensor])
def test_values_are_written_in_reading_order(axis, convert):
    draw_grid(axis, convert([[1, 2, 3], [4, 5, 6]]))
    assert texts(axis) == list("123456")


def test_tensor_with_gradient(axis):
    draw_grid(axis, torch.ones(1, 1, requires_grad=True))
    assert texts(axis) == ["1"]


def test_padding_is_drawn_as_zeros(axis):
    right, middle = draw_grid(axis, [[7]], padding=1)
    assert sorted(texts(axis)) == ["0"] * 8 + ["7"]
    assert (right, middle) == (2, 0.5)


def test_place_and_limits(axis):
    assert draw_grid(axis, [[1, 2], [3, 4]], at=(5, 1)) == (7, 2)
    draw_grid(axis, [[1]])
    assert axis.dataLim.x1 == 7
    assert axis.dataLim.y1 == 3
    assert axis.yaxis_inverted()


def test_windows_and_tinted_cells(axis):
    draw_grid(
        axis, np.zeros((3, 3)), windows=[(0, 0, 2, 2), (2, 2, 1, 1)], tinted=[(0, 2)],
        colors=[BLUE, ORANGE],
    )  # fmt: skip
    cells, frames = [], []
    for patch in axis.patches:
        assert isinstance(patch, Rectangle)
        (cells if patch.get_fill() else frames).append(patch)
    faces = {patch.get_xy(): patch.get_facecolor() for patch in cells}
    for place in [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0)]:  # x, y
        assert faces[place] == pytest.approx(to_rgba("#bfdcec"), abs=0.002)
    assert faces[2, 2] == pytest.approx(to_rgba("#f9e7bf"), abs=0.002)
    assert faces[0, 2][3] == 0  # the page shows through
    assert [frame.get_edgecolor() for frame in frames] == [to_rgba(BLUE), to_rgba(ORANGE)]


def test_a_vector_is_refused(axis):
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        draw_grid(axis, [1, 2, 3])
