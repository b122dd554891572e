"""The kernel on a photo: its arithmetic against torch, and every control, in Chromium."""

import base64
import io
import random
import re

import numpy as np
import pytest
import torch
from book_pages import settle
from PIL import Image
from torch.nn import functional as F

from tutorial_utils.interactive import KernelOnPhoto
from tutorial_utils.interactive.kernel_photo import KERNELS


def correlate(x, w, border="zeros"):
    """Cross-correlate with torch, padded to the input's size."""
    x, w = (torch.as_tensor(v, dtype=torch.float64)[None, None] for v in (x, w))
    p = w.shape[-1] // 2
    x = F.pad(x, [p] * 4, mode="constant" if border == "zeros" else "replicate")
    return F.conv2d(x, w)[0, 0]


def test_the_arithmetic_agrees_with_torch(load_module):
    rng, cases = random.Random(0), []
    for _ in range(250):
        H, W, K = rng.randint(3, 12), rng.randint(3, 12), rng.choice([1, 3, 5])
        x = [rng.randint(0, 255) for _ in range(H * W)]
        w = [[rng.randint(-9, 9) for _ in range(K)] for _ in range(K)]
        border = rng.choice(["zeros", "replicate"])
        cases.append({"x": x, "H": H, "W": W, "w": w, "border": border})
    found = load_module("kernel_photo.js", "[...m.correlate(c.x, c.W, c.H, c.w, c.border)]", cases)
    for case, y in zip(cases, found, strict=True):
        x = np.reshape(case["x"], (case["H"], case["W"]))
        assert y == correlate(x, case["w"], case["border"]).flatten().tolist()


def levels(y, show):
    y = {"clip": y, "absolute": y.abs(), "signed": 128 + y / 2}[show]
    return y.clamp(0, 255).round()  # half to even, as a browser's clamped bytes


def test_grey_levels_and_resizing_agree_with_torch(load_module):
    values = [*range(-600, 600), -0.5, 0.5, 1.5, 254.5]
    cases = [{"y": y, "show": s} for y in values for s in ("clip", "absolute", "signed")]
    found = load_module("kernel_photo.js", "m.level(c.y, c.show)", cases)
    for case, level in zip(cases, found, strict=True):
        assert level == levels(torch.tensor(float(case["y"])), case["show"])
    w = torch.arange(1, 10).reshape(3, 3)
    wide = F.pad(w, [1] * 4)
    cases = [{"w": w.tolist(), "size": 5}, {"w": wide.tolist(), "size": 3}]
    found = load_module("kernel_photo.js", "m.resized(c.w, c.size)", cases)
    assert found == [wide.tolist(), w.tolist()]


def pictures(html):
    found = re.findall(r'alt="([^"]*)" src="data:image/bmp;base64,([^"]*)"', html)
    return {alt: np.array(Image.open(io.BytesIO(base64.b64decode(b)))) for alt, b in found}


@pytest.mark.parametrize("first", KERNELS)
def test_the_fallback_shows_the_filtered_photo(first):
    seen = pictures(KernelOnPhoto(first=first, size=32).fallback())
    assert list(seen) == [
        "Photo: cat",
        "Photo: brick wall",
        "Photo: photographer",
        f"The photo after {first}",
    ]
    x, y = seen["Photo: cat"], seen[f"The photo after {first}"]
    w = torch.tensor(KERNELS[first], dtype=torch.float64)
    shown = "clip" if w.sum() else "signed"
    assert (levels(correlate(x, w) / max(w.sum(), 1), shown).numpy() == y).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KernelOnPhoto(first="none"), "no kernel 'none'"),
        (lambda: KernelOnPhoto(kernels={"a": [[1]]}, first="a"), "3 rows of 3 weights or 5 of 5"),
        (lambda: KernelOnPhoto(kernels={"a": [[1] * 3] * 2}, first="a"), "3 rows of 3 weights"),
        (lambda: KernelOnPhoto(photos=["dog"]), "no sample photo 'dog'"),
        (lambda: KernelOnPhoto(photos=[]), "at least one photo"),
        (lambda: KernelOnPhoto(size=400), "16 to 160 pixels"),
    ],
)
def test_bad_parameters_give_one_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- Behaviour, on small photos ---


def cells(page, name):
    settle(page)
    return page.locator(f"[role=grid][aria-label={name}] [role=row]").evaluate_all(
        "rows => rows.map(r => [...r.children].map(c => c.textContent.replace('−', '-')))"
    )


def numbers(page, name):
    return np.array([[float(t) for t in row] for row in cells(page, name)])


def drawn(page):
    """Read the filtered photo from its canvas."""
    settle(page)
    url = page.locator("[aria-label='filtered photo']").evaluate("c => c.toDataURL()")
    rgba = np.array(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGBA"))
    assert (rgba[..., 3] == 255).all()
    assert (rgba[..., :1] == rgba[..., :3]).all()
    return torch.from_numpy(rgba[..., 0].astype(float))


def photo(figure, name="cat"):
    return np.array(figure.photos[name])


def text(page):
    settle(page)
    return page.locator(".say").inner_text().replace("−", "-")


def check_photo(page):
    """Hold what is drawn against torch, for the state that the controls show."""
    names = ("photo", "weights", "show", "outside")
    boxes = [page.get_by_role("combobox", name=name, exact=name == "photo") for name in names]
    photo, divide, show, border = (box.input_value() for box in boxes)
    x = list(KernelOnPhoto().photos.values())[int(photo)]
    x, w = np.array(x, dtype=int), numbers(page, "kernel")
    divisor = w.sum() if divide and w.sum() else 1
    y = correlate(x, w, border) / divisor
    assert (drawn(page) - levels(y, show)).abs().max() <= (divisor != 1)  # halves, after a division
    said = text(page)
    i, j = map(int, re.match(r"y\[(\d+), (\d+)\]", said).groups())
    p = len(w) // 2
    padded = np.pad(x, p, **({"mode": "edge"} if border == "replicate" else {}))
    window = padded[i : i + len(w), j : j + len(w)]
    assert numbers(page, "window").tolist() == window.tolist()
    assert numbers(page, "products").tolist() == (window * w).tolist()
    value = float(re.search(r"= (-?[\d.]+), drawn", said)[1])
    assert value == pytest.approx(y[i, j].item(), abs=0.051)
    assert f"The weights add up to {int(w.sum())}" in said


@pytest.mark.parametrize("name", KERNELS)
def test_each_kernel_draws_what_torch_makes(show, name):
    figure = KernelOnPhoto(size=32)
    page = show(figure)
    page.get_by_role("combobox", name="kernel").select_option(name)
    w = torch.tensor(KERNELS[name], dtype=torch.float64)
    y = correlate(photo(figure), w) / max(w.sum(), 1)
    assert drawn(page).equal(levels(y, "clip" if w.sum() else "signed"))
    assert numbers(page, "kernel").tolist() == w.tolist()
    assert f"The weights add up to {int(w.sum())}." in text(page)


def test_every_choice_is_followed(show):
    figure = KernelOnPhoto(size=32)
    page = show(figure)
    w = torch.tensor(KERNELS["Sobel x"], dtype=torch.float64)
    page.get_by_role("combobox", name="show").select_option("absolute")
    assert drawn(page).equal(levels(correlate(photo(figure), w), "absolute"))
    page.get_by_role("combobox", name="show").select_option("clip")
    page.get_by_role("combobox", name="outside").select_option("replicate")
    page.get_by_role("combobox", name="photo", exact=True).select_option("brick wall")
    wall = photo(figure, "brick wall")
    assert drawn(page).equal(levels(correlate(wall, w, "replicate"), "clip"))
    page.get_by_role("combobox", name="weights").select_option("divided by their sum")
    assert "add up to 0, and cannot be divided by it." in text(page)
    page.get_by_role("combobox", name="kernel").select_option("Gaussian blur")
    page.get_by_role("combobox", name="size").select_option("3 × 3")
    inner = torch.tensor(KERNELS["Gaussian blur"], dtype=torch.float64)[1:4, 1:4]
    assert numbers(page, "kernel").tolist() == inner.tolist()
    y = correlate(wall, inner, "replicate") / inner.sum()
    assert drawn(page).equal(levels(y, "clip"))
    page.get_by_role("combobox", name="weights").select_option("as they stand")
    assert drawn(page).equal(levels(correlate(wall, inner, "replicate"), "clip"))


def test_weights_are_typed_and_stepped(show):
    figure = KernelOnPhoto(size=32)
    page = show(figure)
    w = torch.tensor(KERNELS["Sobel x"], dtype=torch.float64)
    page.locator("[aria-label=kernel] .cell").first.focus()
    for key in ("-", "4", "ArrowRight", "3"):
        page.keyboard.press(key)
    w[0, 0], w[0, 1] = -4, 3
    page.get_by_role("button", name="+ 1").click()  # the framed one, the last that had the focus
    w[0, 1] += 1
    page.locator("[aria-label=kernel] .cell").nth(8).click()
    page.get_by_role("button", name="− 1").focus()
    page.keyboard.press("Enter")
    w[2, 2] -= 1
    assert numbers(page, "kernel").tolist() == w.tolist()
    assert drawn(page).equal(levels(correlate(photo(figure), w), "signed"))
    assert page.get_by_role("combobox", name="kernel").input_value() == ""


def check_sum(page, figure, i, j):
    """Hold the grids and the written sum at one output pixel against torch."""
    w = torch.tensor(KERNELS["Sobel x"], dtype=torch.float64)
    y = int(correlate(photo(figure), w)[i, j])
    window = np.pad(photo(figure), 1)[i : i + 3, j : j + 3]
    assert numbers(page, "window").tolist() == window.tolist()
    assert numbers(page, "products").tolist() == (window * w.numpy()).tolist()
    assert text(page).startswith(f"y[{i}, {j}] = {y}, drawn as 128 + ")


def test_pointer_and_keys_show_a_window_and_its_sum(show):
    figure = KernelOnPhoto(size=32)
    page = show(figure)
    check_sum(page, figure, 13, 12)
    left, right = page.locator(".view").all()
    right.focus()
    for key in ("ArrowDown", "ArrowRight", "Shift+ArrowRight", "ArrowUp", "ArrowLeft"):
        page.keyboard.press(key)
    check_sum(page, figure, 13, 22)
    for view in (left, right):
        box = view.bounding_box()
        pixel = box["width"] / 32
        page.mouse.move(box["x"] + 5.5 * pixel, box["y"] + 20.5 * pixel)
        check_sum(page, figure, 20, 5)
        page.mouse.move(box["x"] + 31.5 * pixel, box["y"] + 0.5 * pixel)
        check_sum(page, figure, 0, 31)
    page.mouse.move(1, 1)
    check_sum(page, figure, 13, 22)  # back to the one that was kept
    page.mouse.click(box["x"] + 3.5 * pixel, box["y"] + 4.5 * pixel)
    page.mouse.move(1, 1)
    check_sum(page, figure, 4, 3)


def test_a_finger_moves_the_window(show):
    figure = KernelOnPhoto(size=32)
    page = show(figure, width=360, has_touch=True, is_mobile=True)
    box = page.locator(".view").nth(1).bounding_box()
    pixel = box["width"] / 32
    page.touchscreen.tap(box["x"] + 9.5 * pixel, box["y"] + 7.5 * pixel)
    check_sum(page, figure, 7, 9)


def test_the_division_is_written_out(show):
    figure = KernelOnPhoto(size=32)
    page = show(figure)
    page.get_by_role("combobox", name="kernel").select_option("Gaussian blur")
    w = torch.tensor(KERNELS["Gaussian blur"], dtype=torch.float64)
    y = correlate(photo(figure), w)[13, 12].item()
    assert text(page).startswith(
        f"y[13, 12] = {y:.0f} / 256 = {y / 256:.1f}".rstrip("0").rstrip(".")
    )
