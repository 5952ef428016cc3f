"""The pictures of a video in colour, for writing them again beside new sound."""

from __future__ import annotations

import os
from collections.abc import Iterator

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
    colour: Picture | None = None
    n_found = 0
    try:
        for shown, picture in _decoded(path):
            # A picture is the right one if it is the same grey, to the last bit.
            if n_found < len(grey) and np.array_equal(shown, grey[n_found]):
                if colour is None:
                    colour = np.empty((*grey.shape, 3), np.uint8)
                colour[n_found] = picture
                n_found += 1
            elif n_found:
                return grey
    except (FFmpegError, ValueError, MemoryError):
        return grey
    return grey if colour is None or n_found < len(grey) else colour


def _decoded(path: str | os.PathLike[str]) -> Iterator[tuple[Picture, Picture]]:
    """Grey and red-green-blue of one picture after the other."""
    with open_local(path) as container:
        turned = None
        for frame in container.decode(video=0):
            # As `read_clip` does it, or the grey pictures would differ.
            turned = turned or upright(container.streams.video[0], frame)
            grey, colour = (frame.to_ndarray(format=f) for f in ("gray", "rgb24"))
            yield turned(grey), turned(colour)
