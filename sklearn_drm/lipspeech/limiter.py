"""Sound kept inside full scale without cutting its peaks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import convolve1d, minimum_filter1d

__all__ = ["within_full_scale"]

# Seconds on each side of a loud sample where the gain may differ from 1.
_REACH = 0.02


def within_full_scale(waveform: ArrayLike, sample_rate: int) -> NDArray[np.float64]:
    """Turn loud passages down, smoothly, until no sample is outside [-1, 1].

    Files hold nothing outside, and what is cut off there crackles.

    Parameters
    ----------
    waveform : array-like of shape (n_samples,)
        Sound.
    sample_rate : int
        In Hz.

    Returns
    -------
    ndarray of shape (n_samples,)
        The sound times a gain of at most 1, which is 1 further than 20 ms from any
        sample outside.

    Notes
    -----
    The gain that each sample needs, its minimum over 10 ms on each side, and the mean
    of that under a Hann window of the same width: an average of gains that are all
    small enough is small enough.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.lipspeech.limiter import within_full_scale
    >>> loud = 2 * np.sin(np.arange(1200))
    >>> float(np.abs(within_full_scale(loud, 12_000)).max().round(6))
    1.0
    """
    sound = np.asarray(waveform, dtype=np.float64)
    needed = 1 / np.maximum(1.0, np.abs(sound))
    if not len(sound) or needed.min() == 1:
        return sound
    # Half the reach on each side for the minimum, and half for the mean.
    half = max(1, round(_REACH * sample_rate / 2))
    window = np.hanning(2 * half + 3)[1:-1]
    lowest = minimum_filter1d(needed, 2 * half + 1)
    gain = convolve1d(lowest, window / window.sum(), mode="nearest")
    limited: NDArray[np.float64] = sound * gain
    return limited
