"""Random augmentations of a photo, drawn in the page: how far may they go?"""

from tutorial_utils.interactive.base import InteractiveFigure, file_uri
from tutorial_utils.interactive.kernel_photo import PHOTOS, PICTURES

KINDS = ("flip", "crop", "rotation", "colour", "erasing")


class Augmentation(InteractiveFigure):
    """A photo and eight random copies of it, as strong as the reader wants.

    Args:
        kinds: which of ``KINDS`` are switched on at first.
        strength: from 0 (the photo as it is) to 1.
    """

    script = "augmentation.js"
    label = "Interactive figure: augmentation"
    title = "Still the same label?"
    height = 480

    def __init__(
        self, kinds: tuple[str, ...] = ("flip", "crop", "colour"), strength: float = 0.4
    ) -> None:
        if not set(kinds) <= set(KINDS):
            raise ValueError(f"choose kinds of {', '.join(KINDS)}, not {kinds}.")
        if not 0 <= strength <= 1:
            raise ValueError(f"choose a strength from 0 to 1, not {strength}.")
        self.kinds, self.strength = list(kinds), float(strength)

    def parameters(self) -> dict:
        """Return the photos' names, the kinds, and what is shown first."""
        return {
            "names": list(PHOTOS.values()),
            "all": KINDS,
            "kinds": self.kinds,
            "strength": self.strength,
        }

    def fallback(self) -> str:
        """Return the photos that are augmented, and what is done to them."""
        return (
            f'<img alt="Three photos: {", ".join(PHOTOS.values())}." style="max-width:100%" '
            f'src="{file_uri(PICTURES)}"><p>With scripts, the page draws eight random copies of a '
            "photo: mirrored, cropped to a part of its area, turned, changed in brightness, "
            "contrast and saturation, or with a rectangle erased, as strongly as you choose. A "
            "change is too strong when you would no longer give the photo the same label.</p>"
        )
