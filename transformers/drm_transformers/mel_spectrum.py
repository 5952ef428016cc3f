"""Mel-cepstra of spectral envelopes, and envelopes of mel-cepstra."""

from __future__ import annotations

import importlib
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "mel_cepstral_alpha",
    "mel_cepstrum_to_log_spectrum",
    "mel_cepstrum_to_spectrum",
    "spectrum_to_mel_cepstrum",
]

FloatArray = NDArray[np.float64]

# Power of a spectral bin below which it counts as this much: -200 dB against full
# scale, far below what 16-bit sound or WORLD's own floor (1e-16) can hold.
_POWER_FLOOR = 1e-20
# exp(700) is about the largest float64.
_LARGEST_LOG_POWER = 700.0


def import_speech_library(name: str) -> Any:
    """Import pysptk or pyworld, or say how to get it."""
    try:
        with warnings.catch_warnings():
            # Both import pkg_resources, which warns about its own end.
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{name} cannot be imported ({error}): install it with "
            '`pip install ".[lipspeech]"` in a clone of sklearn-drm'
        ) from error


@lru_cache(maxsize=64)
def mel_cepstral_alpha(sample_rate: float) -> float:
    """All-pass constant whose frequency warping is closest to the mel scale.

    Parameters
    ----------
    sample_rate : float
        In Hz, positive.

    Returns
    -------
    alpha : float in [0, 1)
        To three decimals; about 0.31 at 8 kHz, 0.37 at 12 kHz, 0.41 at 16 kHz.

    Raises
    ------
    ValueError
        If `sample_rate` is not positive and finite.

    Notes
    -----
    The warped frequency :math:`\\tilde\\omega = \\omega + 2\\arctan\\frac{\\alpha
    \\sin\\omega}{1 - \\alpha\\cos\\omega}` and the mel scale
    :math:`\\ln(1 + f/1000)`, both divided by their value at half the sampling rate,
    are compared at 1000 frequencies by their root mean square difference.

    References
    ----------
    K. Tokuda, T. Kobayashi, T. Masuko, S. Imai, "Mel-generalized cepstral analysis",
    Proc. ICSLP, 1994.

    Examples
    --------
    >>> from drm_transformers.mel_cepstrum import mel_cepstral_alpha
    >>> round(mel_cepstral_alpha(12_000), 2)
    0.37
    """
    if not np.isfinite(sample_rate) or sample_rate <= 0:
        raise ValueError(f"sample_rate must be positive, got {sample_rate!r} Hz.")
    omega = np.linspace(0.0, np.pi, 1000)
    mel = np.log1p(omega / np.pi * sample_rate / 2 / 1000)
    mel /= mel[-1]
    candidates = np.arange(0.0, 1.0, 0.001)
    warped = _warp(omega, candidates[:, None]) / np.pi
    distance = np.sum((warped - mel) ** 2, axis=1)
    return float(candidates[np.argmin(distance)])


def spectrum_to_mel_cepstrum(
    power_spectrum: ArrayLike, order: int, alpha: float
) -> FloatArray:
    """Mel-cepstrum of a power spectral envelope.

    Parameters
    ----------
    power_spectrum : array-like of shape (..., n_bins)
        Power at ``fft_size // 2 + 1`` equally spaced frequencies from 0 to half the
        sampling rate; not negative. Powers below 1e-20 count as 1e-20.
    order : int
        Highest coefficient, not negative.
    alpha : float in (-1, 1)
        All-pass constant.

    Returns
    -------
    mel_cepstrum : ndarray of shape (..., order + 1)
        Coefficients :math:`c_0 \\dots c_M` of the natural logarithm.

    Raises
    ------
    ValueError
        If a power is negative or not finite, there are fewer than two bins, or
        `order` or `alpha` is out of range.

    Notes
    -----
    pysptk's ``sp2mc``, written as one matrix: the map from a log spectrum to its
    mel-cepstrum is linear, so the mean mel-cepstrum of several envelopes is that of
    their geometric mean.

    References
    ----------
    K. Tokuda, T. Kobayashi, T. Masuko, S. Imai, "Mel-generalized cepstral analysis",
    Proc. ICSLP, 1994.

    Examples
    --------
    >>> import numpy as np
    >>> from drm_transformers.mel_cepstrum import spectrum_to_mel_cepstrum
    >>> flat = np.full(257, np.exp(2.0))
    >>> spectrum_to_mel_cepstrum(flat, order=3, alpha=0.37).round(6) + 0.0
    array([1., 0., 0., 0.])
    """
    power = np.asarray(power_spectrum, dtype=np.float64)
    check_warping(order, alpha)
    if power.ndim == 0 or power.shape[-1] < 2:
        raise ValueError(
            "power_spectrum needs at least two bins on its last axis "
            f"(fft_size // 2 + 1), got shape {power.shape}."
        )
    if not np.isfinite(power).all() or (power < 0).any():
        raise ValueError("power_spectrum has values that are negative or not finite.")
    log_power = np.log(np.maximum(power, _POWER_FLOOR))
    return np.asarray(log_power @ _analysis_matrix(power.shape[-1], order, alpha))


def mel_cepstrum_to_log_spectrum(
    mel_cepstrum: ArrayLike, alpha: float, fft_size: int
) -> FloatArray:
    """Natural logarithm of the power spectrum of a mel-cepstrum.

    Parameters
    ----------
    mel_cepstrum : array-like of shape (..., order + 1)
        Coefficients :math:`c_0 \\dots c_M`.
    alpha : float in (-1, 1)
        All-pass constant.
    fft_size : int
        Even, at least 2.

    Returns
    -------
    log_spectrum : ndarray of shape (..., fft_size // 2 + 1)
        :math:`2 \\ln |H|` at equally spaced frequencies from 0 to half the sampling
        rate.

    Raises
    ------
    ValueError
        If a value is not finite, or `fft_size` or `alpha` is out of range.

    Notes
    -----
    :math:`\\ln |H(\\omega)| = \\sum_m c_m \\cos(m \\tilde\\omega)` with the warped
    frequency of `mel_cepstral_alpha`.

    References
    ----------
    K. Tokuda, T. Kobayashi, T. Masuko, S. Imai, "Mel-generalized cepstral analysis",
    Proc. ICSLP, 1994.

    Examples
    --------
    >>> from drm_transformers.mel_spectrum import mel_cepstrum_to_log_spectrum
    >>> mel_cepstrum_to_log_spectrum([1.0, 0.5], alpha=0.37, fft_size=4).round(2)
    array([3.  , 1.35, 1.  ])
    """
    coefficients = np.asarray(mel_cepstrum, dtype=np.float64)
    if coefficients.ndim == 0 or coefficients.shape[-1] < 1:
        raise ValueError("mel_cepstrum needs at least one coefficient on its last axis")
    if not np.isfinite(coefficients).all():
        raise ValueError("mel_cepstrum has values that are not finite.")
    check_warping(coefficients.shape[-1] - 1, alpha)
    if fft_size < 2 or fft_size % 2:
        raise ValueError(f"fft_size must be even and at least 2, got {fft_size!r}.")
    basis = warped_cosines(coefficients.shape[-1] - 1, alpha, fft_size)
    return np.asarray(2.0 * (coefficients @ basis))


def mel_cepstrum_to_spectrum(
    mel_cepstrum: ArrayLike, alpha: float, fft_size: int
) -> FloatArray:
    """Power spectral envelope of a mel-cepstrum.

    Parameters
    ----------
    mel_cepstrum : array-like of shape (..., order + 1)
        Coefficients :math:`c_0 \\dots c_M`.
    alpha : float in (-1, 1)
        All-pass constant.
    fft_size : int
        Even, at least 2.

    Returns
    -------
    power_spectrum : ndarray of shape (..., fft_size // 2 + 1)
        :math:`|H|^2`, positive.

    Raises
    ------
    ValueError
        If a value is not finite or its power overflows, or `fft_size` or `alpha` is
        out of range.

    Notes
    -----
    `spectrum_to_mel_cepstrum` of the result is `mel_cepstrum` again, as long as
    the bins resolve it: near 0 Hz the highest warped cosine is :math:`(1 + \\alpha) /
    (1 - \\alpha)` times faster than an unwarped one, so about that many bins per
    coefficient and some to spare (32 coefficients at 12 kHz: 1e-12 with 97 bins).

    References
    ----------
    K. Tokuda, T. Kobayashi, T. Masuko, S. Imai, "Mel-generalized cepstral analysis",
    Proc. ICSLP, 1994.

    Examples
    --------
    >>> from drm_transformers.mel_cepstrum import mel_cepstrum_to_spectrum
    >>> mel_cepstrum_to_spectrum([0.0, 0.0], alpha=0.37, fft_size=4)
    array([1., 1., 1.])
    """
    log_power = mel_cepstrum_to_log_spectrum(mel_cepstrum, alpha, fft_size)
    if log_power.size and np.abs(log_power).max() > _LARGEST_LOG_POWER:
        raise ValueError(
            "mel_cepstrum is too large: its log power reaches "
            f"{np.abs(log_power).max():.3g}, beyond the {_LARGEST_LOG_POWER:g} that "
            "floating point can hold; check that it is in natural-log units."
        )
    return np.asarray(np.exp(log_power))


def check_warping(order: int, alpha: float) -> None:
    """Raise ValueError unless order >= 0 and -1 < alpha < 1."""
    if order < 0:
        raise ValueError(f"order must not be negative, got {order!r}.")
    if not -1 < alpha < 1:
        raise ValueError(f"alpha must lie between -1 and 1, got {alpha!r}.")


@lru_cache(maxsize=16)
def warped_cosines(order: int, alpha: float, fft_size: int) -> FloatArray:
    """Matrix (order + 1, fft_size // 2 + 1) of cos(m warped frequency)."""
    omega = np.linspace(0.0, np.pi, fft_size // 2 + 1, dtype=np.float64)
    cosines = np.cos(np.arange(order + 1)[:, None] * _warp(omega, alpha))
    cosines.setflags(write=False)
    return np.asarray(cosines)


def _warp(omega: FloatArray, alpha: float | FloatArray) -> FloatArray:
    bend = np.arctan2(alpha * np.sin(omega), 1 - alpha * np.cos(omega))
    return np.asarray(omega + 2 * bend)


@lru_cache(maxsize=16)
def _analysis_matrix(n_bins: int, order: int, alpha: float) -> FloatArray:
    """Matrix (n_bins, order + 1): pysptk's sp2mc of each unit log spectrum."""
    sp2mc = import_speech_library("pysptk").sp2mc
    units = np.exp(np.eye(n_bins))
    matrix = np.array([sp2mc(unit, order, alpha) for unit in units])
    matrix.setflags(write=False)
    return matrix
