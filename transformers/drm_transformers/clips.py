"""Video clips with sound: reading, aligned by time stamps, and writing.

Pictures and sound of a file each carry presentation times. They seldom start
together, and a container may start anywhere (MPEG program streams written by
FFmpeg begin near 0.5 s), so everything here is placed by those times and never
by counting packets.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from drm_transformers._decoding import Decoded, decode
from drm_transformers._errors import ClipError
from drm_transformers.atomic_files import atomic_path
from drm_transformers.clip_writing import write_clip, write_wav
from drm_transformers.parameters import check_positive, whole_rate
from drm_transformers.resampling import excerpt, resample

__all__ = [
    "Clip",
    "ClipError",
    "atomic_path",
    "read_clip",
    "read_sound",
    "write_clip",
    "write_wav",
]

FloatArray = npt.NDArray[np.float64]
ByteArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Clip:
    """One video clip: grey frames at a constant rate, and sound aligned to them.

    Frame i covers the seconds [i, i + 1) / frame_rate, and sample 0 is the
    sound at the start of frame 0.

    Parameters
    ----------
    name : str
        The file's name without folder and extension.
    frames : ndarray of shape (n_frames, height, width), uint8
        Grey levels, 0 (black) to 255 (white), in square pixels, upright.
    frame_rate : float, > 0
        Frames per second.
    waveform : ndarray of shape (n_samples,), float64, or None
        Mono sound in [-1, 1], as long as the frames; None: there is no sound.
    sample_rate : int or None
        Samples per second, in Hz.
    notes : tuple of str, default=()
        What was repaired on reading, for example
        ``'damaged start: 12 frames dropped'``.
    start : float, >= 0, default=0.0
        Where frame 0 is in the file's pictures, in seconds: above 0 where the first
        ones could not be used. What is timed from the file's beginning, such as an
        alignment of words, is that much earlier here.

    Examples
    --------
    >>> import numpy as np
    >>> clip = Clip("still", np.zeros((50, 8, 8), np.uint8), 25.0, None, None)
    >>> clip.duration
    2.0
    """

    name: str
    frames: ByteArray
    frame_rate: float
    waveform: FloatArray | None
    sample_rate: int | None
    notes: tuple[str, ...] = ()
    start: float = 0.0

    @property
    def duration(self) -> float:
        """Length in seconds, counted in frames."""
        return len(self.frames) / self.frame_rate


def read_clip(
    path: str | os.PathLike[str],
    *,
    frame_rate: float | None = None,
    sound: Literal["optional", "required", "ignore"] = "optional",
    max_seconds: float = 600.0,
) -> Clip:
    """Read a video file as grey frames and mono sound, aligned in time.

    Parameters
    ----------
    path : str or path
        Any container and codec that FFmpeg reads.
    frame_rate : float or None, > 0, default=None
        Resample the frames to this rate (each new frame shows the picture that
        is on screen in the middle of its period). None: the file's own rate.
    sound : {'optional', 'required', 'ignore'}, default='optional'
        Whether a file without sound is accepted, and whether sound is read.
    max_seconds : float, default=600.0
        Longer clips are refused, so that a wrong file cannot fill the memory.

    Returns
    -------
    Clip

    Raises
    ------
    ClipError
        The file is missing, unreadable, empty, not a video, has no decodable
        frames, lacks a required sound track, or is too long. One line that
        names the file.
    ValueError
        If ``sound`` or ``frame_rate`` is outside its range.

    Notes
    -----
    Sound is the mean of the channels, cut or zero-padded to the length of the
    frames. Pixels that are not square are scaled in width until they are, and
    pictures are turned or mirrored as the file asks (phones write how they were
    held), by quarter turns only; each with a note. Frames from before the first
    usable key frame are dropped, with a note; the sound stays aligned.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> frames = np.full((10, 16, 16), 128, np.uint8)
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "grey.mp4"
    >>> write_clip(path, frames, 25, np.zeros(19_200), 48_000)
    >>> clip = read_clip(path)
    >>> clip.frames.shape, clip.frame_rate, clip.waveform.shape
    ((10, 16, 16), 25.0, (19200,))
    """
    if sound not in ("optional", "required", "ignore"):
        raise ValueError(f"sound={sound!r}: must be 'optional', 'required' or 'ignore'")
    if frame_rate is not None:
        check_positive("frame_rate", frame_rate, "frames per second")
    decoded = decode(
        path, pictures=True, sound=sound != "ignore", max_seconds=max_seconds
    )
    if sound == "required" and decoded.waveform is None:
        raise ClipError(
            f"{path}: no sound track; give a clip with sound, or read it with "
            "sound='optional'"
        )
    own_rate = decoded.frame_rate
    rate = own_rate if frame_rate is None else float(frame_rate)
    frames, notes = _constant_rate(decoded, rate, asked=frame_rate is not None)
    waveform = None
    if decoded.waveform is not None and decoded.sample_rate is not None:
        n_samples = round(len(frames) / rate * decoded.sample_rate)
        offset = round(
            (decoded.frame_times[0] - decoded.sound_start) * decoded.sample_rate
        )
        waveform = excerpt(decoded.waveform, offset, n_samples)
    return Clip(
        name=Path(path).stem,
        frames=frames,
        frame_rate=rate,
        waveform=waveform,
        sample_rate=decoded.sample_rate if waveform is not None else None,
        notes=decoded.notes + notes,
        start=float(decoded.frame_times[0] - decoded.beginning),
    )


def read_sound(
    path: str | os.PathLike[str],
    *,
    sample_rate: int | None = None,
    max_seconds: float = 600.0,
) -> tuple[FloatArray, int]:
    """Read the sound of a WAV file, or of any container that has sound.

    Parameters
    ----------
    path : str or path
        Sound or video file; a picture is not needed.
    sample_rate : int or None, default=None
        Resample to this rate in Hz (polyphase). None: the file's own.
    max_seconds : float, default=600.0
        Longer sound is refused.

    Returns
    -------
    waveform : ndarray of shape (n_samples,), float64
        Mean of the channels, in [-1, 1].
    sample_rate : int
        In Hz.

    Raises
    ------
    ClipError
        The file cannot be read or has no sound; one line that names it.
    ValueError
        If ``sample_rate`` is no whole number of Hz above 0.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "half.wav"
    >>> write_wav(path, np.full(800, 0.5), 8000)
    >>> waveform, rate = read_sound(path)
    >>> waveform.shape, rate, float(waveform[0])
    ((800,), 8000, 0.5)
    """
    if sample_rate is not None:
        sample_rate = whole_rate("sample_rate", sample_rate)
    decoded = decode(path, pictures=False, sound=True, max_seconds=max_seconds)
    if decoded.waveform is None or decoded.sample_rate is None:
        raise ClipError(f"{path}: no sound track; give a file with sound")
    if sample_rate is None or sample_rate == decoded.sample_rate:
        return decoded.waveform, decoded.sample_rate
    return resample(decoded.waveform, decoded.sample_rate, sample_rate), sample_rate


def _constant_rate(
    decoded: Decoded, rate: float, *, asked: bool
) -> tuple[ByteArray, tuple[str, ...]]:
    """Frames on the grid i / rate, by the picture shown mid-period."""
    times = decoded.frame_times - decoded.frame_times[0]
    period = 1.0 / decoded.frame_rate
    regular = np.abs(times - np.arange(len(times)) * period).max() < 0.75 * period
    if regular and abs(rate * period - 1.0) < 1e-3:
        return decoded.frames, ()
    n_frames = max(1, round((times[-1] + period) * rate))
    middle = (np.arange(n_frames) + 0.5) / rate
    shown = np.clip(
        np.searchsorted(times, middle + 1e-9, side="right") - 1, 0, len(times) - 1
    )
    notes: tuple[str, ...] = ()
    if not regular:
        notes = (f"uneven frame times: brought to {rate:g} frames per second",)
    elif asked:
        notes = (
            f"resampled from {decoded.frame_rate:g} to {rate:g} frames per second",
        )
    return decoded.frames[shown], notes
