"""A waveform from mel-cepstra and excitation, one row per video frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_banded

from drm_transformers._world import (
    F0_CEILING,
    F0_FLOOR,
    LOWEST_RATE,
    fft_size,
    first_hops,
    import_world,
    n_aperiodicity_bands,
)
from drm_transformers.mel_spectrum import mel_cepstral_alpha, mel_cepstrum_to_spectrum
from drm_transformers.parameters import whole_rate
from drm_transformers.resampling import excerpt

__all__ = ["synthesize"]

FloatArray = npt.NDArray[np.float64]


def synthesize(
    mel_cepstra: npt.ArrayLike,
    excitation: npt.ArrayLike,
    *,
    frame_rate: float,
    n_samples: int,
    sample_rate: int = 12_000,
    alpha: float | None = None,
) -> FloatArray:
    """Waveform from mel-cepstra and excitation, one row per video frame.

    Parameters
    ----------
    mel_cepstra : array-like of shape (n_frames, order + 1)
        Of the power spectral envelope, natural-log units.
    excitation : array-like of shape (n_frames, 2 + n_bands)
        As in `FrameSpeech`: log f0, voicing, aperiodicity in dB. Predictions may
        leave the ranges and are clipped to them.
    frame_rate : float, > 0
        Frames per second.
    n_samples : int, >= 0
        Length of the result.
    sample_rate : int, > 0, default=12000
        Hz; the rate of the analysis.
    alpha : float in (-1, 1) or None, default=None
        All-pass constant of the mel-cepstra; None: from `sample_rate`.

    Returns
    -------
    ndarray of shape (n_samples,)
        Not limited to [-1, 1].

    Raises
    ------
    ValueError
        Shapes do not match, a value is not finite, the number of aperiodicity
        bands is not that of `sample_rate`, or a rate is out of range.

    Notes
    -----
    Values at 5 ms hops lie on straight lines between the middles of the frames, drawn
    so that their mean over the hops of each frame is its row, as in `frame_features`:
    plain interpolation of the rows lost 1.7 dB of level on GRID clips. Sound is voiced
    where the voicing exceeds 1/2. WORLD's noise comes from a generator that is
    restarted, so equal input gives equal sound.

    Examples
    --------
    >>> import numpy as np
    >>> mel_cepstra = np.zeros((25, 32))
    >>> mel_cepstra[:, 0] = -4.0
    >>> excitation = np.tile([np.log(120.0), 1.0, -20.0], (25, 1))
    >>> synthesize(mel_cepstra, excitation, frame_rate=25, n_samples=12_000).shape
    (12000,)
    """
    cepstra = np.atleast_2d(np.asarray(mel_cepstra, dtype=np.float64))
    source = np.atleast_2d(np.asarray(excitation, dtype=np.float64))
    sample_rate = whole_rate("sample_rate", sample_rate)
    if sample_rate < LOWEST_RATE or not frame_rate > 0 or n_samples < 0:
        raise ValueError(
            f"sample_rate={sample_rate}, frame_rate={frame_rate}, n_samples="
            f"{n_samples}: needs sample_rate >= {LOWEST_RATE}, frame_rate > 0, "
            "n_samples >= 0"
        )
    pyworld = import_world()
    n_bands = n_aperiodicity_bands(sample_rate)
    if len(cepstra) == 0 or source.shape != (len(cepstra), 2 + n_bands):
        raise ValueError(
            f"excitation has shape {source.shape}; mel_cepstra of shape "
            f"{cepstra.shape} at {sample_rate} Hz need ({len(cepstra)}, {2 + n_bands})"
        )
    if not (np.isfinite(cepstra).all() and np.isfinite(source).all()):
        raise ValueError("mel_cepstra or excitation has NaN or infinite values")
    hop = 0.005
    n_hops = int(n_samples / sample_rate / hop) + 2
    cepstra = _at_hops(cepstra, n_hops, hop * frame_rate)
    source = _at_hops(source, n_hops, hop * frame_rate)
    log_f0 = np.clip(source[:, 0], np.log(F0_FLOOR), np.log(F0_CEILING))
    f0 = np.where(source[:, 1] > 0.5, np.exp(log_f0), 0.0)
    if alpha is None:
        alpha = mel_cepstral_alpha(sample_rate)
    n_fft = fft_size(sample_rate)
    envelope = mel_cepstrum_to_spectrum(cepstra, alpha, n_fft)
    bands = np.ascontiguousarray(np.clip(source[:, 2:], -60.0, 0.0))
    aperiodicity = pyworld.decode_aperiodicity(bands, sample_rate, n_fft)
    waveform = pyworld.synthesize(
        f0, np.ascontiguousarray(envelope), aperiodicity, sample_rate, 1000.0 * hop
    )
    return excerpt(np.asarray(waveform, dtype=np.float64), 0, n_samples)


# In frames. From 0.8 on the knots that keep the means grow along a clip.
_LONGEST_AVERAGED_HOP = 0.75


def _at_hops(rows: FloatArray, n_hops: int, hop: float) -> FloatArray:
    """Rows of frames at hops, so that their mean over the hops of a frame is its row.

    Hop k, from k to k + 1 hops, is on the line at its middle; `hop` is in frames. With
    hops of about a frame or longer there is no mean to keep, or none that lines could
    keep without swinging: the knots are the rows.
    """
    n, knots = len(rows), rows
    if hop < _LONGEST_AVERAGED_HOP:
        counts = np.diff(first_hops(n, hop))
        frame = np.repeat(np.arange(n), counts)
        left, share = _place(np.arange(len(frame)), n, hop)
        # Tridiagonal: what knot j contributes to the mean of frame i.
        bands = np.zeros((3, n))
        for knot, part in ((left, 1 - share), (np.minimum(left + 1, n - 1), share)):
            np.add.at(bands, (1 + frame - knot, knot), part / counts[frame])
        knots = solve_banded((1, 1), bands, rows)
    left, share = _place(np.arange(n_hops), n, hop)
    right = np.minimum(left + 1, n - 1)
    share = share[:, None]
    result: FloatArray = (1 - share) * knots[left] + share * knots[right]
    return result


def _place(
    hops: npt.NDArray[Any], n_frames: int, hop: float
) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """The frame whose middle is left of each hop's, and how far it is past it."""
    position = np.clip((hops + 0.5) * hop - 0.5, 0, n_frames - 1)
    left = np.minimum(position.astype(np.intp), max(n_frames - 2, 0))
    return left, position - left
