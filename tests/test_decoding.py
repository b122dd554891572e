"""Every kind of image file becomes upright RGB, or one error that names it."""

import struct
import threading
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tutorial_utils._decoding import open_header, photo_suffixes, read_photo
from tutorial_utils.errors import PhotosError
from tutorial_utils.photos import load_photo


@pytest.fixture(scope="module")
def jpeg(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "coffee 咖啡 ☕.jpg"
    load_photo("coffee").save(path, quality=92)  # 600 x 400
    return path


def pixels(image):
    return np.asarray(image).astype(int)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_full_decoding_equals_torchvisions(jpeg):
    io = pytest.importorskip("torchvision.io")
    other = io.decode_image(str(jpeg)).permute(1, 2, 0).numpy().astype(int)
    assert np.abs(pixels(read_photo(jpeg)) - other).max() <= 2  # two builds of libjpeg-turbo


@pytest.mark.parametrize("size", [40, 99, 150, 201, 400])
def test_reduced_decoding_equals_full_decoding_and_shrinking(jpeg, size):
    reduced = read_photo(jpeg, size)
    assert min(reduced.size) >= size
    scale = 600 // reduced.width
    assert scale == max(s for s in (1, 2, 4, 8) if 400 // s >= size)
    full = read_photo(jpeg).resize(reduced.size, Image.Resampling.BOX)
    assert np.abs(pixels(reduced) - pixels(full)).mean() < 2.5
    if scale == 1:
        assert reduced.tobytes() == full.tobytes()


def test_only_the_shorter_side_counts(tmp_path):
    Image.new("RGB", (1600, 200)).save(tmp_path / "wide.jpg")
    assert read_photo(tmp_path / "wide.jpg", 100).size == (800, 100)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [None, 50])
def test_exif_orientation_puts_the_corner_where_it_belongs(tmp_path, orientation, size):
    upright = Image.new("RGB", (320, 240), "white")
    ImageDraw.Draw(upright).rectangle((0, 0, 120, 80), fill="red")  # top left
    stored = {
        1: upright, 2: upright.transpose(0), 3: upright.transpose(3), 4: upright.transpose(1),
        5: upright.transpose(5), 6: upright.transpose(2), 7: upright.transpose(6),
        8: upright.transpose(4),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.jpg", exif=exif)
    found = read_photo(tmp_path / "turned.jpg", size)
    assert found.width * 240 == found.height * 320
    shades = pixels(found)
    assert shades[5, 5, 1] < 40
    assert min(shades[5, -5, 1], shades[-5, 5, 1], shades[-5, -5, 1]) > 215


def test_broken_exif_leaves_the_photo_readable(tmp_path, jpeg):
    load_photo("coffee").save(tmp_path / "odd.jpg", exif=b"Exif\0\0MM\0*\0\0\0\xff\xff")
    assert read_photo(tmp_path / "odd.jpg").size == (600, 400)


@pytest.mark.parametrize(
    ("mode", "ending"),
    [("L", "jpg"), ("CMYK", "jpg"), ("P", "png"), ("1", "png"), ("LA", "png"), ("RGBA", "png"),
     ("P", "gif"), ("RGB", "webp"), ("RGBA", "webp"), ("CMYK", "tif"), ("RGB", "bmp"),
     ("RGB", "jp2")],
)  # fmt: skip
def test_every_mode_shows_the_same_picture(tmp_path, mode, ending):
    grey = load_photo("coffee").resize((120, 80)).convert("L")
    photo = grey.quantize(256) if mode == "P" else grey.convert("RGB").convert(mode)
    path = tmp_path / f"photo.{ending}"
    photo.save(path, **({"quality": 95} if ending == "jpg" else {}))
    with Image.open(path) as stored:
        assert stored.mode == ("RGB" if (mode, ending) == ("RGBA", "webp") else mode)
    found = read_photo(path)
    assert (found.mode, found.size) == ("RGB", (120, 80))
    shades, wanted = pixels(found).mean(axis=2), pixels(grey)
    if mode == "1":  # dithered: only averages can agree
        shades, wanted = shades.mean(), wanted.mean()
    assert np.abs(shades - wanted).mean() < 4


def test_transparency_is_laid_on_white(tmp_path):
    half = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    half.save(tmp_path / "half.png")
    assert np.abs(pixels(read_photo(tmp_path / "half.png")) - (255, 127, 127)).max() <= 1
    palette = Image.new("P", (4, 4), 3)
    palette.save(tmp_path / "clear.gif", transparency=3)
    assert pixels(read_photo(tmp_path / "clear.gif")).min() == 255
    keyed = Image.new("RGB", (4, 4), (1, 2, 3))
    keyed.save(tmp_path / "keyed.png", transparency=(1, 2, 3))
    assert pixels(read_photo(tmp_path / "keyed.png")).min() == 255


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_keep_their_contrast(tmp_path, ending):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / f"deep.{ending}")
    assert np.abs(pixels(read_photo(tmp_path / f"deep.{ending}"))[:, :, 2] - ramp / 257).max() <= 1


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tif"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path, ending):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    path = tmp_path / f"film.{ending}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert np.abs(pixels(read_photo(path)) - (255, 0, 0)).max() <= 3


def png_bomb(width, height):
    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_000, 60_000])  # beyond Pillow's warning, beyond its error
@pytest.mark.filterwarnings("error")
def test_a_decompression_bomb_is_refused_before_it_is_unfolded(tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(png_bomb(side, side))
    with pytest.raises(PhotosError, match=r"bomb\.png is too large to be a photo"):
        read_photo(tmp_path / "bomb.png")


def test_the_limit_can_be_set(jpeg):
    assert open_header(jpeg, max_pixels=240_000).size == (600, 400)
    with pytest.raises(PhotosError, match=r"600 x 400 pixels, more than 239,999"):
        read_photo(jpeg, size=50, max_pixels=239_999)


@pytest.mark.parametrize("size", [None, 64])
@pytest.mark.parametrize("spoil", ["empty", "text", "half", "only a header", "zeros"])
def test_unreadable_files_are_named(tmp_path, jpeg, spoil, size):
    whole = jpeg.read_bytes()
    path = tmp_path / "bad 坏 💥.jpg"
    path.write_bytes(
        {
            "empty": b"",
            "text": b"no image",
            "half": whole[: len(whole) // 2],
            "only a header": whole[:700],
            "zeros": bytes(1000),
        }[spoil]
    )
    message = "the file is empty" if spoil == "empty" else "cannot be read as an image"
    with pytest.raises(PhotosError, match=message) as caught:
        read_photo(path, size)
    assert str(path) in str(caught.value)
    assert str(caught.value).count("坏") == 1
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("ending", ["png", "webp", "gif", "tif", "bmp"])
def test_truncated_files_of_other_formats_are_named(tmp_path, ending):
    path = tmp_path / f"cut.{ending}"
    load_photo("coffee").save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(PhotosError, match=rf"cut\.{ending} cannot be read"):
        read_photo(path)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(PhotosError, match="there is no photo at"):
        read_photo(tmp_path / "none.jpg")
    with pytest.raises(PhotosError, match="cannot be read"):
        read_photo(tmp_path)


def test_no_format_that_starts_other_programs():
    assert ".eps" not in photo_suffixes()
    assert {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"} <= photo_suffixes()


def test_many_threads_read_the_same(jpeg):
    wanted, found = read_photo(jpeg, 100).tobytes(), []
    threads = [
        threading.Thread(target=lambda: found.append(read_photo(jpeg, 100).tobytes()))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [wanted] * 16


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it repairs
def test_random_damage_never_gives_another_error(tmp_path, jpeg):
    rng = np.random.default_rng(0)
    small = tmp_path / "small"
    sources = []
    for ending in ("jpg", "png", "gif", "webp", "tif"):
        load_photo("coffee").resize((60, 40)).save(small.with_suffix(f".{ending}"))
        sources.append(small.with_suffix(f".{ending}").read_bytes())
    path = tmp_path / "damaged.jpg"
    readable = 0
    for number in range(200):
        data = bytearray(sources[number % len(sources)])
        for place in rng.integers(0, len(data), 8):
            data[place] = rng.integers(0, 256)
        path.write_bytes(data)
        with suppress(PhotosError):  # any other error fails the test
            readable += pixels(read_photo(path, 16)).ndim == 3
    assert 0 < readable < 200
