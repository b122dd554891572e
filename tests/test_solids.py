"""The rendered solids: right shapes, the same pixels everywhere, nothing but the shape tells."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tutorial_utils import _renderer as rendering
from tutorial_utils import solids
from tutorial_utils.solids import BACKGROUNDS, CLASSES, load_mask, make_solids, render_solid

SMALL = {"counts": {"train": 2, "validation": 1, "test": 1}, "size": 16}

# SHA-256 over the decoded pixels of image and mask, at 48 pixels. Whoever changes the renderer on
# purpose raises solids.VERSION and writes the new digests here.
DIGESTS = {
    "capsule": "846d750849782ee63efa07b28854522e7951430231079024345f5de496c81172",
    "cone": "69636ab8060367c8aa36a9581e200b6c18cd6daa49e2f3eef2882e26fc9effbc",
    "cube": "b32fbb6fb70409158f934b7b55267cfc795c1b0e1fd5a19409da4e6a48bc5ea6",
    "cylinder": "dad3b7ee27d9b7f99989f7f4a2d6d1eab5258ae62e148800e2edc524526bfe2e",
    "octahedron": "0fa279b686071db61e9daaf3579ae30ba11b1fb9ff27e2b19444d79a08e89928",
    "pyramid": "f3d26e1bc9fdaafc59d1d325d5baaa32b811668566df2a0e5f78819d60ee41cf",
    "sphere": "b174949cab64e9fc807a4a0c4e78a8aa0be5414717ae2bd8272b5d0183240549",
    "torus": "ede26ff14b0dba5bfc5abe48813c348be1aeb578095f8cb7035e3d6d529e5a2c",
}
PRINT_DIGESTS = """
import hashlib
from tutorial_utils.solids import BACKGROUNDS, CLASSES, render_solid
for i, kind in enumerate(CLASSES):
    image, mask = render_solid(kind, 1000 + i, 48, BACKGROUNDS[i % 3])
    print(kind, hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest())
"""


def digests_in_new_process(**environment):
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRINT_DIGESTS],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split() for line in run.stdout.splitlines())


def digest_of_folder(root):
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.png")):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(np.array(Image.open(path)).tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def many():
    """Forty small images a class with their masks: (8, 40, 32, 32, 3) and (8, 40, 32, 32)."""
    rendered = [
        [render_solid(kind, 40 * c + i, 32) for i in range(40)] for c, kind in enumerate(CLASSES)
    ]
    return tuple(np.array([[pair[part] for pair in row] for row in rendered]) for part in (0, 1))


# --- Shapes ---


@pytest.mark.parametrize("kind", CLASSES)
def test_solid_reaches_as_far_as_it_says(kind):
    distance, reach = rendering.SOLIDS[kind]
    grid = np.linspace(-1.5, 1.5, 61)
    points = np.stack(np.meshgrid(grid, grid, grid)).reshape(3, -1)
    rng = np.random.default_rng(0)
    for half_height in (0.85, 1.1):
        inside = points[:, distance(*points, half_height) <= 0]
        assert np.sqrt((inside**2).sum(0)).max() < rendering.REACH
        for _ in range(10):
            direction = rng.normal(size=3)
            direction /= np.linalg.norm(direction)
            claimed = reach(*direction, half_height)
            assert -1e-9 <= claimed - (direction @ inside).max() < 0.13  # the edges are rounded


@pytest.mark.parametrize("kind", CLASSES)
def test_distance_is_never_too_long_a_step(kind):
    distance, _ = rendering.SOLIDS[kind]
    a, b = np.random.default_rng(0).uniform(-3, 3, (2, 3, 20_000))
    apart = np.sqrt(((a - b) ** 2).sum(0))
    assert (np.abs(distance(*a, 1.0) - distance(*b, 1.0)) <= apart + 1e-9).all()


def test_rotations_are_rotations_and_uniform():
    rng = np.random.Generator(np.random.PCG64(0))
    turns = np.array([rendering.random_rotation(rng) for _ in range(4000)])
    np.testing.assert_allclose(
        turns @ turns.transpose(0, 2, 1), np.eye(3)[None].repeat(4000, 0), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    assert abs(turns.mean(0)).max() < 0.04  # no direction is favoured
    # Archimedes: each coordinate of a uniformly random direction is uniform on [-1, 1].
    assert abs(np.sort(turns[:, 0, 1]) - np.linspace(-1, 1, 4000)).max() < 0.06


def test_sphere_is_an_ellipse():
    for seed in range(8):
        mask = render_solid("sphere", seed)[1]
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert mask.sum() == pytest.approx(np.pi / 4 * height * width, rel=0.05)


def test_only_the_torus_has_a_hole_and_the_others_are_convex(many):
    masks = many[1]
    holes = np.array([[ndimage.binary_fill_holes(m).sum() > m.sum() for m in row] for row in masks])
    torus = CLASSES.index("torus")
    assert 0.2 < holes[torus].mean() < 0.95
    assert not np.delete(holes, torus, 0).any()
    # A convex mask has one run of pixels in every row and in every column.
    for axis in (-1, -2):
        starts = (np.diff(masks.astype(int), axis=axis, prepend=0) == 1).sum(axis)
        assert (np.delete(starts, torus, 0) <= 1).mean() > 0.999


def test_framing(many):
    masks = many[1]
    sides = np.maximum(masks.any(2).sum(2), masks.any(3).sum(2)) / 32
    assert 0.45 < np.median(sides) < 0.75
    assert sides.min() > 0.25
    border = np.ones((32, 32), bool)
    border[1:-1, 1:-1] = False
    assert (masks & border).any((2, 3)).mean() < 0.15


def test_mask_is_where_the_background_does_not_matter():
    for i, kind in enumerate(CLASSES):
        images, masks = zip(*(render_solid(kind, i, 64, b) for b in BACKGROUNDS), strict=True)
        assert all((mask == masks[0]).all() for mask in masks)
        same = (images[0] == images[1]).all(2) & (images[0] == images[2]).all(2)
        assert same[ndimage.binary_erosion(masks[0], np.ones((3, 3)))].all()
        assert same[~ndimage.binary_dilation(masks[0])].mean() < 0.03


def test_solid_casts_a_shadow():
    image, mask = render_solid("sphere", 0, 64, "plain")
    below = np.roll(mask, 3, axis=0) & ~ndimage.binary_dilation(mask)
    assert image[below].mean() < 0.8 * image[~mask].mean()


# --- Only the shape tells the class ---


def test_colour_does_not_give_the_class_away(many):
    images, masks = many[0].reshape(-1, 32, 32, 3), many[1].reshape(-1, 32, 32)
    labels = np.repeat(np.arange(len(CLASSES)), 40)
    bins = [np.histogram(image[..., c], 6, (0, 256))[0] for image in images for c in range(3)]
    features = {
        "mean colour": images.mean((1, 2)),
        "mean colour of the solid": np.array(
            [i[m].mean(0) for i, m in zip(images, masks, strict=True)]
        ),
        "histogram": np.reshape(bins, (len(images), -1)),
    }
    for name, values in features.items():
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
        score = cross_val_score(model, values, labels, cv=5).mean()
        assert score < 0.22, f"{name}: {score:.2f}, where chance is 0.125"


# --- The same pixels everywhere ---


def test_pixels_are_the_pinned_ones():
    found = {}
    for i, kind in enumerate(CLASSES):
        image, mask = render_solid(kind, 1000 + i, 48, BACKGROUNDS[i % 3])
        assert image.shape == (48, 48, 3)
        assert image.dtype == np.uint8
        assert mask.shape == (48, 48)
        assert mask.dtype == bool
        found[kind] = hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest()
    assert found == DIGESTS


def test_pixels_do_not_depend_on_the_processor():
    found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    for first in range(len(found)):  # all of them off, then all but the oldest, ...
        disabled = digests_in_new_process(NPY_DISABLE_CPU_FEATURES=" ".join(found[first:]))
        assert disabled == DIGESTS, f"with {found[first:]} switched off"


# --- The data set on disk ---


def test_layout_and_balance(tmp_path):
    root = make_solids(**SMALL, root=tmp_path / "solids")
    assert root == tmp_path / "solids"
    seen = set()
    for split, count in SMALL["counts"].items():
        assert tuple(sorted(p.name for p in (root / split).iterdir())) == CLASSES
        for kind in CLASSES:
            paths = sorted((root / split / kind).iterdir())
            assert [p.name for p in paths] == [f"{i + 1:04d}.png" for i in range(count)]
            for path in paths:
                image = np.array(Image.open(path))
                assert image.shape == (16, 16, 3)
                assert load_mask(path).shape == (16, 16)
                assert load_mask(path).dtype == bool
                seen.add(image.tobytes())
    assert len(seen) == 4 * len(CLASSES)  # no image twice


def test_image_and_mask_are_those_of_one_render(tmp_path):
    path = make_solids(**SMALL, seed=3, root=tmp_path / "a") / "test" / "cone" / "0001.png"
    image, mask = render_solid("cone", solids.image_seed(3, "test", "cone", 0), 16)
    assert (np.array(Image.open(path)) == image).all()
    assert (load_mask(path) == mask).all()


def test_no_two_images_share_a_seed():
    seeds = {
        solids.image_seed(seed, split, kind, i)
        for seed in range(3)
        for split in solids.SPLITS
        for kind in CLASSES
        for i in (*range(50), 99_999)
    }
    assert len(seeds) == 3 * 3 * len(CLASSES) * 51


def test_more_images_keep_the_first_ones(tmp_path):
    few = make_solids({"train": 1}, 16, root=tmp_path / "few")
    more = make_solids({"train": 2, "test": 1}, 16, root=tmp_path / "more")
    for kind in CLASSES:
        name = f"train/{kind}/0001.png"
        assert (few / name).read_bytes() == (more / name).read_bytes()


def test_threads_do_not_change_it(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    one = digest_of_folder(make_solids(**SMALL, root=tmp_path / "one"))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert digest_of_folder(make_solids(**SMALL, root=tmp_path / "four")) == one


def test_cached_under_a_name_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = make_solids({"train": 1}, 16)
    assert root.parent == tmp_path / "tutorial_utils"
    others = [
        make_solids({"train": 1}, 16, seed=1),
        make_solids({"train": 1}, 16, background="plain"),
    ]
    assert len({root, *others}) == 3
    monkeypatch.setattr(solids, "write_solid", None)  # from here on rendering would fail
    assert make_solids({"train": 1}, 16) == root


def test_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    def stop(path, kind, *settings):
        if kind == "cube":
            raise KeyboardInterrupt
        write_solid(path, kind, *settings)

    write_solid = solids.write_solid
    monkeypatch.setattr(solids, "write_solid", stop)
    with pytest.raises(KeyboardInterrupt):
        make_solids(**SMALL, root=tmp_path / "solids")
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert make_solids(**SMALL, root=tmp_path / "solids").is_dir()


def test_two_processes_at_once(tmp_path):
    code = "from tutorial_utils.solids import *; make_solids({'train': 3}, 16, root='solids')"
    runs = [subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path) for _ in range(2)]
    assert [run.wait(60) for run in runs] == [0, 0]
    assert [p.name for p in tmp_path.iterdir()] == ["solids"]
    assert len(list(tmp_path.glob("solids/train/*/*.png"))) == 3 * len(CLASSES)


def test_root_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="something else"):
        make_solids(**SMALL, root=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
    root = make_solids(**SMALL, root=tmp_path / "solids")
    with pytest.raises(FileExistsError, match="something else"):
        make_solids(**SMALL, seed=1, root=root)


# --- Bad inputs ---


def test_bad_inputs(tmp_path):
    with pytest.raises(ValueError, match=r"no solid 'ball'; choose one of capsule, .*torus"):
        render_solid("ball", 0)
    with pytest.raises(ValueError, match="at least 16 pixels"):
        render_solid("cube", 0, size=15)
    with pytest.raises(ValueError, match="no background 'sky'; choose one of photos"):
        render_solid("cube", 0, background="sky")
    for wrong in ({"training": 3}, {"train": 0}, {}):
        with pytest.raises(ValueError, match="counts is"):
            make_solids(wrong, root=tmp_path / "solids")
    with pytest.raises(ValueError, match="at least 16 pixels"):
        make_solids(size=8, root=tmp_path / "solids")
    assert not list(tmp_path.iterdir())
