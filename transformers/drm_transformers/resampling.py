"""Change of sampling rate, shared by the clip layer and the vocoder."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from drm_transformers.parameters import whole_rate

FloatArray = npt.NDArray[np.float64]


def resample(waveform: FloatArray, rate: int, new_rate: int) -> FloatArray:
    """Polyphase resampling to round(n * new_rate / rate) samples.

    Raises
    ------
    ValueError
        If a rate is no whole number of Hz above 0.
    """
    ratio = Fraction(
        whole_rate("the new sample rate", new_rate), whole_rate("sample_rate", rate)
    )
    n_samples = round(len(waveform) * ratio)
    if ratio == 1 or n_samples == 0:
        return waveform[:n_samples].copy()
    out = resample_poly(waveform, ratio.numerator, ratio.denominator)
    return excerpt(np.asarray(out, dtype=np.float64), 0, n_samples)


def excerpt(waveform: FloatArray, start: int, length: int) -> FloatArray:
    """Samples [start, start + length), zeros where there are none."""
    out = np.zeros(length)
    first, last = max(start, 0), min(start + length, len(waveform))
    if last > first:
        out[first - start : last - start] = waveform[first:last]
    return out
