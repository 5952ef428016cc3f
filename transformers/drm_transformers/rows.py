"""Clips as paired rows: one row is one video-frame instant."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from drm_transformers._errors import ClipError
from drm_transformers.clips import Clip, read_clip
from drm_transformers.mouth import Locator, crop_mouth, locate_mouth
from drm_transformers.resampling import excerpt, resample
from drm_transformers.vocoder import analyze, frame_features

__all__ = ["Rows", "clips_to_rows"]

FloatArray = npt.NDArray[np.float64]
ClipOrPath: TypeAlias = "Clip | str | os.PathLike[str]"


@dataclass(frozen=True)
class Rows:
    """Paired rows of one or several clips, clips one after the other.

    Parameters
    ----------
    lips : ndarray of shape (n, size, size), uint8
        Mouth crops.
    speech : ndarray of shape (n, n_samples) or (n, n_bins), float64
        Waveform windows around the middle of each frame, or power spectral
        envelopes.
    excitation : ndarray of shape (n, 2 + n_bands) or None
        Log f0, voicing, aperiodicity in dB; None with waveform windows.
    groups : ndarray of shape (n,), str
        The clip of each row.

    Examples
    --------
    >>> import numpy as np
    >>> clip = Clip("a", np.zeros((5, 60, 60), np.uint8), 25.0, np.zeros(2400), 12_000)
    >>> [str(name) for name in clips_to_rows([clip], box=(2, 2, 55)).groups[:2]]
    ['a', 'a']
    """

    lips: npt.NDArray[np.uint8]
    speech: FloatArray
    excitation: FloatArray | None
    groups: npt.NDArray[np.str_]


def clips_to_rows(
    clips_or_paths: Iterable[ClipOrPath],
    *,
    window: float = 0.2,
    size: int = 55,
    box: tuple[float, float, float] | Locator | None = None,
    sample_rate: int = 12_000,
    features: Literal["windows", "world"] = "windows",
    frame_rate: float | None = None,
) -> Rows:
    """Lip rows and speech rows of clips, paired by time.

    Parameters
    ----------
    clips_or_paths : iterable of Clip or path
        Clips with sound. Paths of equal file name are told apart by their folders.
    window : float, > 0, default=0.2
        Seconds of waveform in a speech row, centred on the middle of the frame.
    size : int, > 0, default=55
        Side of the mouth crop in pixels.
    box : None, (x, y, size), or callable, default=None
        As in `locate_mouth`.
    sample_rate : int, > 0, default=12000
        Hz; the sound is resampled to it.
    features : {'windows', 'world'}, default='windows'
        Waveform windows, or one WORLD envelope per frame and the excitation.
    frame_rate : float or None, default=None
        Resample the frames of paths to this rate.

    Returns
    -------
    Rows

    Raises
    ------
    ClipError
        A clip cannot be read, has no sound or no face, clips differ in frame rate,
        or two clips have the same name.
    ValueError
        There are no clips, or an argument is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> clip = Clip("a", np.zeros((5, 60, 60), np.uint8), 25.0, np.zeros(2400), 12_000)
    >>> rows = clips_to_rows([clip], box=(2, 2, 55))
    >>> rows.lips.shape, rows.speech.shape
    ((5, 55, 55), (5, 2400))
    """
    if features not in ("windows", "world"):
        raise ValueError(f"features={features!r}: must be 'windows' or 'world'")
    if not window > 0 or size <= 0 or sample_rate <= 0:
        raise ValueError(
            f"window={window}, size={size} and sample_rate={sample_rate} must be "
            "positive"
        )
    sources = list(clips_or_paths)
    if not sources:
        raise ValueError("there are no clips; give at least one clip or path")
    names = _names(sources)
    lips, speech, excitation, groups = [], [], [], []
    rate: float | None = None
    for source, name in zip(sources, names, strict=True):
        clip = (
            source
            if isinstance(source, Clip)
            else read_clip(source, frame_rate=frame_rate, sound="required")
        )
        if clip.waveform is None or clip.sample_rate is None:
            raise ClipError(f"{name}: no sound; rows need clips with sound")
        rate = clip.frame_rate if rate is None else rate
        if abs(clip.frame_rate / rate - 1) > 1e-3:
            raise ClipError(
                f"{name}: {clip.frame_rate:g} frames per second where the clips before "
                f"have {rate:g}; read all at one rate (frame_rate=)"
            )
        lips.append(_crops(clip, name, box, size))
        n = len(clip.frames)
        if features == "windows":
            sound = resample(clip.waveform, clip.sample_rate, sample_rate)
            speech.append(_windows(sound, n, clip.frame_rate, window, sample_rate))
        else:
            world = analyze(clip.waveform, clip.sample_rate, target_rate=sample_rate)
            rows = frame_features(world, n, clip.frame_rate)
            speech.append(rows.envelope)
            excitation.append(rows.excitation)
        groups.append(np.full(n, name))
    return Rows(
        lips=np.concatenate(lips),
        speech=np.concatenate(speech),
        excitation=np.concatenate(excitation) if excitation else None,
        groups=np.concatenate(groups),
    )


def _names(sources: list[ClipOrPath]) -> list[str]:
    """One name per clip: the file's, or the whole path where files share a name."""
    short = [
        s.name if isinstance(s, Clip) else os.path.splitext(os.path.basename(s))[0]
        for s in sources
    ]
    shared = {name for name, count in Counter(short).items() if count > 1}
    names = [
        name if isinstance(s, Clip) or name not in shared else str(os.fspath(s))
        for s, name in zip(sources, short, strict=True)
    ]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ClipError(
            f"{twice[0]}: given more than once; each clip needs its own name"
        )
    return names


def _crops(
    clip: Clip,
    name: str,
    box: tuple[float, float, float] | Locator | None,
    size: int,
) -> npt.NDArray[np.uint8]:
    try:
        squares = locate_mouth(clip.frames, box=box)
    except ClipError as error:
        raise ClipError(f"{name}: {error}") from error
    return crop_mouth(clip.frames, squares, size)


def _windows(
    sound: FloatArray, n: int, frame_rate: float, window: float, sample_rate: int
) -> FloatArray:
    """Windows of the sound around the middles of the frames, zeros outside."""
    length = max(1, round(window * sample_rate))
    starts = [
        round((i + 0.5) / frame_rate * sample_rate - length / 2) for i in range(n)
    ]
    return np.stack([excerpt(sound, start, length) for start in starts])
