"""One photo file to one upright RGB image, whatever the file holds, or one clear error."""

import threading
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

from PIL import Image, ImageOps

from tutorial_utils.errors import PhotosError

# What cameras, phones and the web produce. Pillow reads more, such as EPS, for which it would start
# another program: a folder of photos has no business with that.
FORMATS = (
    "JPEG", "MPO", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "TGA",
    "HEIF",
)  # fmt: skip
_warnings_lock = threading.Lock()


@cache
def readable_formats() -> tuple[str, ...]:
    """Return those of ``FORMATS`` that this build of Pillow can read."""
    Image.init()
    with suppress(ImportError):  # iPhones' HEIC, where the reader has installed that package
        import pillow_heif

        pillow_heif.register_heif_opener()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@cache
def photo_suffixes() -> frozenset[str]:
    """Return the file name endings of those formats, in lower case: ``.jpg``, ``.png``, ..."""
    wanted = readable_formats()
    found = {s for s, name in Image.registered_extensions().items() if name in wanted}
    return frozenset(found | {".mpo"})


def is_photo_name(name: str) -> bool:
    """Tell whether a file's name ends like a photo's."""
    return Path(name).suffix.lower() in photo_suffixes()


def open_header(path: str | Path, max_pixels: int | None = None) -> Image.Image:
    """Open a photo without decoding it: its size and mode are known, its pixels are not.

    Args:
        path: the image's file.
        max_pixels: refuse larger images; Pillow's ``Image.MAX_IMAGE_PIXELS`` (89 million) if not
            given. A small file can unfold into many gigabytes.

    Raises:
        PhotosError: the file is missing, empty, too large or no image; the message names it.
    """
    limit = Image.MAX_IMAGE_PIXELS if max_pixels is None else max_pixels
    try:
        with _warnings_lock, warnings.catch_warnings():  # Pillow's own limits are checked below
            warnings.simplefilter("ignore")
            photo = Image.open(path, formats=readable_formats())
    except FileNotFoundError:
        raise PhotosError(f"there is no photo at {path}.") from None
    except Image.DecompressionBombError as error:
        raise PhotosError(f"{path} is too large to be a photo: {error}") from None
    except Exception as error:
        raise _unreadable(path, error) from None
    if limit is not None and photo.width * photo.height > limit:
        photo.close()
        raise PhotosError(
            f"{path} is too large to be a photo: {photo.width} x {photo.height} pixels, "
            f"more than {limit:,}. Make it smaller or take it out."
        )
    return photo


def read_photo(
    path: str | Path, size: int | None = None, max_pixels: int | None = None
) -> Image.Image:
    """Read a photo as upright 8-bit RGB.

    Grey, palette and CMYK images are converted; transparency is laid on white; EXIF rotation is
    applied; of an animation or a document with pages, the first is taken. Values of 16 or 32 bits
    and floats are stretched from the image's own darkest and brightest to 0 and 255.

    Args:
        path: the image's file.
        size: if given, a JPEG is decoded at the smallest of 1/1, 1/2, 1/4 and 1/8 of its size that
            leaves its shorter side at least this long (in pixels): several times faster for big
            photos. Other formats, and JPEGs already smaller, keep their size.
        max_pixels: see ``open_header``; it is the full size that counts.

    Raises:
        PhotosError: the file is missing, empty, cut off, too large or no image; it is named.
    """
    with open_header(path, max_pixels) as photo:
        return decode(photo, size, path)


def decode(photo: Image.Image, size: int | None, path: str | Path) -> Image.Image:
    """Do the second half of ``read_photo`` for an image from ``open_header``."""
    try:
        if size is not None:
            photo.draft("RGB", (size, size))
        photo.load()
        with suppress(Exception):  # broken EXIF data: the photo stays as its pixels lie
            ImageOps.exif_transpose(photo, in_place=True)
        if photo.mode in ("I", "F") or photo.mode.startswith("I;16"):
            photo = _eight_bits(photo)
        if photo.has_transparency_data:
            photo = photo.convert("RGBA")
            photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo)
        return photo.convert("RGB") if photo.mode != "RGB" else photo
    except Exception as error:  # decoders fail in many ways on damaged bytes
        raise _unreadable(path, error) from None


def _unreadable(path: str | Path, error: Exception) -> PhotosError:
    file = Path(path)
    if file.is_file() and file.stat().st_size == 0:
        reason = "the file is empty"
    elif isinstance(error, MemoryError):
        reason = "there is not enough memory"
    else:
        reason = str(error).replace(f" {str(path)!r}", "") or type(error).__name__
    return PhotosError(f"{path} cannot be read as an image: {reason}.")


def _eight_bits(photo: Image.Image) -> Image.Image:
    """Scale a 16-bit, 32-bit or float image to 8 bits; plain ``convert`` would clip it to white."""
    low, high = photo.getextrema()
    scale = 255 / (high - low) if high > low else 0.0
    return photo.convert("F").point(lambda value: value * scale - low * scale).convert("L")
