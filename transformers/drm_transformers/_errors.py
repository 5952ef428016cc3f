"""The one error of the clip layer."""

from __future__ import annotations


class ClipError(ValueError):
    """A clip cannot be read, written or used; one line that says why.

    Examples
    --------
    >>> from drm_transformers.clips import read_clip
    >>> read_clip("nowhere.mp4")
    Traceback (most recent call last):
    ...
    drm_transformers.clips.ClipError: nowhere.mp4: no such file
    """

    # Where users import it from.
    __module__ = "drm_transformers.clips"
