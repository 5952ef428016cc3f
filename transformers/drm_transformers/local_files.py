"""Opening of files for decoding, without a way to the network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import av

__all__ = ["open_local"]


def open_local(path: str | os.PathLike[str]) -> Any:
    """Open a file with FFmpeg, which may open other local files but no address.

    Parameters
    ----------
    path : path-like
        A video or sound file; a playlist may name others.

    Returns
    -------
    av.container.InputContainer
        A context manager, to read from.

    Raises
    ------
    av.error.FFmpegError
        When it is no file that FFmpeg reads.
    """
    # Not ``options``: before 17.1 PyAV passes those on to each stream, and brings the
    # process down where a file, such as an .mpg, tells of its streams late.
    return av.open(
        str(Path(path).absolute()), container_options={"protocol_whitelist": "file"}
    )
