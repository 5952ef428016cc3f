"""The pictures of a video in colour, for writing them again beside new sound."""

from __future__ import annotations

import os

import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from drm_transformers.local_files import open_local
from drm_transformers.upright import upright

__all__ = ["colour_frames"]

Picture = NDArray[np.uint8]


def colour_frames(
    path: str | os.PathLike[str], grey: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """The given grey pictures of a video in colour, where that is possible.

    Parameters
    ----------
    path : path-like
        The video that `grey` was read from.
    grey : ndarray of shape (n_frames, height, width), dtype uint8
        From `read_clip`, at the video's own frame rate.

    Returns
    -------
    ndarray of shape (n_frames, height, width, 3) or (n_frames, height, width)
        Red-green-blue pictures; or `grey` itself where the decoded pictures are not
        one to one with it, as when `read_clip` had to repair the clip's timing.
    """
    try:
        shown = _decoded(path)[-len(grey) :]
    except (FFmpegError, ValueError, MemoryError):
        return grey
    if len(shown) != len(grey):
        return grey
    # A picture is the right one if it is the same grey, to the last bit.
    if not all(np.array_equal(a, b) for (a, _), b in zip(shown, grey, strict=True)):
        return grey
    return np.stack([colour for _, colour in shown])


def _decoded(path: str | os.PathLike[str]) -> list[tuple[Picture, Picture]]:
    with open_local(path) as container:
        shown: list[tuple[Picture, Picture]] = []
        turned = None
        for frame in container.decode(video=0):
            # As `read_clip` does it, or the grey pictures would differ.
            turned = turned or upright(container.streams.video[0], frame)
            grey, colour = (frame.to_ndarray(format=f) for f in ("gray", "rgb24"))
            shown.append((turned(grey), turned(colour)))
        return shown
