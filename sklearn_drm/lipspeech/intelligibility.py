"""Measures from libraries of the extra ``experiment``: STOI, ESTOI and SSIM."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MissingExtraError",
    "lip_similarity",
    "require_extra",
    "speech_intelligibility",
]

_LIBRARIES = ("pystoi", "skimage", "hmmlearn")
# STOI correlates over 30 frames of 256 samples at 10 kHz, half overlapping.
_SHORTEST = (30 * 128 + 256) / 10_000


class MissingExtraError(ValueError):
    """A library of the extra is missing; the message says how to install it."""


def require_extra() -> None:
    """Check that every library of the extra ``experiment`` can be imported.

    Raises
    ------
    MissingExtraError
        One line with the command that installs them.
    """
    for name in _LIBRARIES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise MissingExtraError(
                f"{error}; the experiment needs more libraries: "
                'pip install ".[experiment]" in a clone of the package'
            ) from error


def speech_intelligibility(
    natural: NDArray[Any],
    generated: NDArray[Any],
    sample_rate: int,
    part: tuple[float, float] | None = None,
) -> tuple[float, float] | None:
    """Short-time objective intelligibility of speech, plain and extended.

    Parameters
    ----------
    natural, generated : ndarray of shape (n_samples,)
        The clip's own sound and the one to judge, beginning at the same time; of
        two lengths the shorter one counts.
    sample_rate : int
        Of both, in Hz.
    part : (start, end), optional
        Seconds to judge; None: all.

    Returns
    -------
    (stoi, estoi) or None
        Both about 0 for unrelated sounds and 1 for equal ones. None where the part
        has less than 0.41 s that is not silence, too little for the measures.

    References
    ----------
    .. [1] C. H. Taal, R. C. Hendriks, R. Heusdens, J. Jensen, "An algorithm for
       intelligibility prediction of time-frequency weighted noisy speech", IEEE
       Transactions on Audio, Speech, and Language Processing 19(7), 2011.
    .. [2] J. Jensen, C. H. Taal, "An algorithm for predicting the intelligibility of
       speech masked by modulated noise maskers", IEEE/ACM Transactions on Audio,
       Speech, and Language Processing 24(11), 2016.

    Examples
    --------
    >>> import numpy as np
    >>> sound = np.random.default_rng(0).standard_normal(24_000)
    >>> [round(value, 3) for value in speech_intelligibility(sound, sound, 12_000)]
    [1.0, 1.0]
    """
    from pystoi import stoi

    n = min(len(natural), len(generated))
    first, last = 0, n
    if part is not None:
        first, last = (min(n, max(0, round(t * sample_rate))) for t in part)
    if last - first < _SHORTEST * sample_rate:
        return None
    true, made = (
        np.asarray(sound[first:last], dtype=np.float64)
        for sound in (natural, generated)
    )
    if not true.any():
        return None
    with warnings.catch_warnings():
        # With too few loud frames pystoi warns and answers 1e-5.
        warnings.filterwarnings("error", "Not enough STFT frames", RuntimeWarning)
        try:
            plain, extended = (
                float(stoi(true, made, sample_rate, extended=kind))
                for kind in (False, True)
            )
        except RuntimeWarning:
            return None
    return plain, extended


def lip_similarity(true: NDArray[Any], made: NDArray[Any]) -> float:
    """Structural similarity of lip images, the mean over a clip's frames.

    Parameters
    ----------
    true, made : ndarray of shape (n_frames, height, width), range [0, 255]

    Returns
    -------
    float, range [-1, 1]
        1 for equal images.

    References
    ----------
    .. [1] Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image quality
       assessment: from error visibility to structural similarity", IEEE Transactions
       on Image Processing 13(4), 2004.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 55, 55))
    >>> round(lip_similarity(images, images), 6)
    1.0
    """
    from skimage.metrics import structural_similarity

    pairs = zip(
        np.asarray(true, dtype=np.float64),
        np.asarray(made, dtype=np.float64),
        strict=True,
    )
    return float(
        np.mean([structural_similarity(a, b, data_range=255) for a, b in pairs])
    )
