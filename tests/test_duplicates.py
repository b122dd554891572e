"""Near duplicates: the fast search against comparing all pairs, and hashes of changed copies."""

import io
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_folders import photo
from PIL import Image, ImageEnhance
from scipy.fft import dctn

from tutorial_utils.photo_folder import duplicates
from tutorial_utils.photo_folder.duplicates import (
    DETAIL_DISTANCE,
    DISTANCE,
    PLAIN,
    difference_hash,
    frequency_hash,
    near_groups,
)
from tutorial_utils.photos import PHOTOS, load_photo


def all_pairs(hashes, details, distance):
    """Return the groups by comparing every pair."""
    group = list(range(len(hashes)))
    telling = [PLAIN <= h.bit_count() <= 64 - PLAIN for h in hashes]
    for i in range(len(hashes)):
        for j in range(i):
            close = (hashes[i] ^ hashes[j]).bit_count() <= distance
            close &= (details[i] ^ details[j]).bit_count() <= DETAIL_DISTANCE
            if close and telling[i] and telling[j]:
                old, new = group[i], group[j]
                group = [new if g == old else g for g in group]
    members = {}
    for i, g in enumerate(group):
        members.setdefault(g, []).append(i)
    return sorted(m for m in members.values() if len(m) > 1)


def families(seed, count, centres, flips, plain=False):
    """Return hashes and details scattered around a few centres, some of them equal or plain."""
    rng = np.random.default_rng(seed)

    def scatter(bits, flips):
        values = [int.from_bytes(rng.bytes(8), "big") % 2**bits for _ in range(centres)]
        if plain:
            values[0] = 0
        found = []
        for i in range(count):
            value = values[owner[i]]
            for bit in rng.choice(bits, rng.integers(flips + 1), replace=False):
                value ^= 1 << int(bit)
            found.append(value)
        return found

    owner = rng.integers(0, centres, count)
    return scatter(64, flips), scatter(63, flips)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10**6), st.integers(0, 60), st.integers(1, 12), st.integers(0, 8),
    st.integers(0, 7), st.booleans(),
)  # fmt: skip
def test_groups_are_those_of_comparing_all_pairs(seed, count, centres, flips, distance, plain):
    hashes, details = families(seed, count, centres, flips, plain)
    assert near_groups(hashes, details, distance) == all_pairs(hashes, details, distance)
    nothing = [0] * count
    assert near_groups(hashes, None, distance) == all_pairs(hashes, nothing, distance)


def test_many_that_share_a_band_are_searched_by_their_details(monkeypatch):
    hashes, details = families(1, 300, 200, 4)
    hashes = [value & 0x003C3C3C3C3C3C00 for value in hashes]  # as of photos on white
    wanted = all_pairs(hashes, details, DISTANCE)
    assert len(wanted) > 30
    for size in (7, 64):
        monkeypatch.setattr(duplicates, "BLOCK", size)
        assert near_groups(hashes, details) == wanted


def test_chains_are_one_group_and_plain_images_none():
    chain = [0xFF00FF00FF00FF00 ^ ((1 << 4 * i) - 1) for i in range(16)]
    assert near_groups(chain[::-1]) == [list(range(16))]
    assert near_groups([0, 0, 0b111, 2**64 - 1, 2**64 - 1]) == []


@pytest.mark.parametrize("distance", [-1, 8])
def test_distances_that_the_bands_cannot_find(distance):
    with pytest.raises(ValueError, match="0 to 7 bits"):
        near_groups([], distance=distance)


def test_the_difference_hash_by_hand():
    shades = np.arange(72, dtype=np.uint8).reshape(8, 9)
    assert difference_hash(Image.fromarray(shades)) == 2**64 - 1
    shades[0, 1] = 0  # not brighter than its left neighbour any more
    shades[7, 8] = 0
    assert difference_hash(Image.fromarray(shades)) == 2**64 - 1 - 2**63 - 1


def test_the_frequency_hash_is_scipys_transform():
    image = load_photo("chelsea").convert("L")
    small = np.asarray(image.resize((32, 32), Image.Resampling.BOX), dtype=float)
    low = dctn(small)[:8, :8].ravel()[1:]
    # scipy's rows of frequency 0 are scaled alike in this unnormalised form
    wanted = int("".join("01"[v] for v in (low > np.median(low)).astype(int)).ljust(64, "0"), 2)
    assert frequency_hash(image) == wanted


def changed(image):
    def jpeg(quality):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    grain = np.random.default_rng(0).normal(0, 8, (image.height, image.width, 3))
    return {
        "half": image.resize((image.width // 2, image.height // 2)),
        "jpeg": jpeg(30),
        "bright": ImageEnhance.Brightness(image).enhance(1.15),
        "noisy": Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8)),
        "grey": image.convert("L"),
    }


@pytest.mark.parametrize("change", ["half", "jpeg", "bright", "noisy", "grey"])
def test_changed_copies_are_found_and_other_photos_are_not(change):
    originals = [load_photo(name, 256) for name in PHOTOS]
    images = originals + [changed(image)[change] for image in originals]
    groups = near_groups(
        [difference_hash(image) for image in images], [frequency_hash(image) for image in images]
    )
    telling = len(originals)
    assert groups == [[i, i + telling] for i in range(telling)]


def test_photos_of_the_helper_are_no_duplicates():
    images = [photo(seed) for seed in range(300)]
    assert near_groups([difference_hash(i) for i in images]) == []


def test_many_photos_on_white_are_searched_fast():
    rng = np.random.default_rng(0)
    inner = rng.integers(0, 2**64, 20_000, dtype=np.uint64) & np.uint64(0x00003C3C3C3C0000)
    begin = time.process_time()
    near_groups(inner.tolist(), rng.integers(0, 2**63, 20_000).tolist())
    assert time.process_time() - begin < 5
