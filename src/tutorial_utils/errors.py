"""The one error that is meant for the reader's eyes: what is wrong, and what to do about it."""


class PhotosError(ValueError):
    """Something about the photos, the folders or the run; its message says what to change."""
