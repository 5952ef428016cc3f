"""Waveform windows whose own SPTK mel-cepstra are given ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.signal import fftconvolve

from drm_transformers.mel_spectrum import (
    mel_cepstrum_to_log_spectrum,
    mel_cepstrum_to_spectrum,
    warped_cosines,
)
from drm_transformers.speech_window import HOP, SpeechWindow, noise_floor

__all__ = ["excitation_signal", "filter_excitation", "match_mel_cepstra"]

FloatArray = NDArray[np.float64]

# Two hops: the central frames then see the same two pulse positions in turn.
_PULSE_RATE = 100.0
# Hops solved together; longer frame periods go block by block.
_BLOCK = 16
_TOLERANCE = 5e-4


def excitation_signal(
    window: SpeechWindow, pulse_rate: float | None = _PULSE_RATE
) -> FloatArray:
    """White excitation of unit power over the whole buffer.

    Parameters
    ----------
    window : SpeechWindow
        Where the row lies.
    pulse_rate : float or None, default=100
        Pulses per second; None, or a row that is too short for a pulse: noise, the
        same at every call.

    Returns
    -------
    excitation : ndarray of shape (n_buffer,)
    """
    if pulse_rate is None:
        return np.random.default_rng(0).standard_normal(window.n_buffer)
    hop = HOP * window.rate
    period = max(1.0, window.rate / pulse_rate)
    # By the middle of the row, and half a hop off the frames' centres: two pulses at
    # equal distances from one would leave zeros in its spectrum.
    first = (window.first_hop + window.n_hops // 2 - 0.5) * hop % period
    signal = np.zeros(window.n_buffer)
    at = np.rint(np.arange(first, window.n_buffer - 1, period)).astype(np.intp)
    signal[at] = np.sqrt(period)
    if not signal[window.inside].any():
        return excitation_signal(window, None)
    return signal


def filter_excitation(
    window: SpeechWindow, mel_cepstra: FloatArray, alpha: float, excitation: FloatArray
) -> FloatArray:
    """Excitation through minimum-phase filters that glide from hop to hop.

    Parameters
    ----------
    window : SpeechWindow
        Where the hops lie.
    mel_cepstra : ndarray of shape (n_hops, order + 1)
        Outside the central hops the first and the last hold.
    alpha : float in (-1, 1)
        All-pass constant.
    excitation : ndarray of shape (n_buffer,)

    Returns
    -------
    buffer : ndarray of shape (n_buffer,)
        Zero outside the row.
    """
    hop = HOP * window.rate
    position = np.arange(window.n_buffer) / hop - window.first_hop
    position = np.clip(position, 0, window.n_hops - 1)
    buffer = np.zeros(window.n_buffer)
    for k, response in enumerate(_impulse_responses(mel_cepstra, alpha)):
        weight = np.clip(1 - np.abs(position - k), 0, 1)
        buffer += fftconvolve(excitation * weight, response)[: window.n_buffer]
    return _row_only(window, buffer)


def match_mel_cepstra(
    window: SpeechWindow,
    mel_cepstra: FloatArray,
    alpha: float,
    start: FloatArray,
    *,
    max_steps: int = 40,
) -> FloatArray:
    """Change a waveform until its central frames have the given mel-cepstra.

    Parameters
    ----------
    window : SpeechWindow
        Where the row and its hops lie.
    mel_cepstra : ndarray of shape (n_hops, order + 1)
        Wanted of each hop.
    alpha : float in (-1, 1)
        All-pass constant.
    start : ndarray of shape (n_buffer,)
        Waveform to start from, as from `filter_excitation`.
    max_steps : int, default=40
        Most steps for each block of hops.

    Returns
    -------
    buffer : ndarray of shape (n_buffer,)
        Changed only inside the row, around the central hops.

    Notes
    -----
    A frame with periodogram :math:`I` has the mel-cepstrum of the envelope
    :math:`|H|^2` if and only if the gradient of the estimator's criterion is zero,

    .. math::

        \\frac{1}{2\\pi} \\int_{-\\pi}^{\\pi} \\frac{I(\\omega)}{|H(\\omega)|^2}
        \\cos(m\\tilde\\omega)\\, d\\omega = (-\\alpha)^m, \\quad m = 0 \\dots M.

    These equations are quadratic in the samples. They are solved by
    Levenberg-Marquardt steps, smallest in the excitation (the waveform without the
    mean filter) so that weak parts of the spectrum are not disturbed by strong ones.

    References
    ----------
    K. Tokuda, T. Kobayashi, T. Masuko, S. Imai, "Mel-generalized cepstral analysis",
    Proc. ICSLP, 1994.
    """
    buffer = start
    n_blocks = -(-window.n_hops // _BLOCK)
    blocks = np.array_split(np.arange(window.n_hops), n_blocks)
    # A block's frames reach into its neighbours': go over them more than once.
    for _ in range(1 if n_blocks == 1 else 3):
        for hops in blocks:
            buffer = _match_block(window, hops, mel_cepstra, alpha, buffer, max_steps)
    return buffer


def _match_block(
    window: SpeechWindow,
    hops: NDArray[np.intp],
    mel_cepstra: FloatArray,
    alpha: float,
    buffer: FloatArray,
    max_steps: int,
) -> FloatArray:
    length, order = window.frame_length, mel_cepstra.shape[1] - 1
    starts = window.frame_starts[hops]
    low = max(window.inside.start, int(starts[0]) - length)
    high = min(window.inside.stop, int(starts[-1]) + length)
    if high <= low:
        return buffer
    targets = mel_cepstra[hops]
    cosines = warped_cosines(order, alpha, window.fft_size)
    bins = np.full(cosines.shape[1], 2.0 / window.fft_size)
    bins[[0, -1]] /= 2.0
    inverse_power = 1.0 / mel_cepstrum_to_spectrum(targets, alpha, window.fft_size)
    weights = cosines * inverse_power[:, None, :]
    wanted = (-alpha) ** np.arange(order + 1)
    floor = noise_floor(1.0)

    def spectra(signal: FloatArray) -> NDArray[np.complex128]:
        index = starts[:, None] + np.arange(length)
        frames = signal[index] * window.taper
        return np.asarray(np.fft.rfft(frames, window.fft_size))

    def residual(frame_spectra: NDArray[np.complex128]) -> FloatArray:
        power = (np.abs(frame_spectra) ** 2 + floor) * bins
        return np.asarray((weights @ power[:, :, None])[..., 0] - wanted)

    # The filter's response beyond the unknown samples cannot be used by them.
    n_unknown = high - low
    n_fft = 1 << (2 * n_unknown - 1).bit_length()
    response = _impulse_responses(targets.mean(0, keepdims=True), alpha)[0]
    colour = np.fft.rfft(response[:n_unknown], n_fft)

    current = spectra(buffer)
    error = residual(current)
    damping = 1e-3
    for _ in range(max_steps):
        if np.sqrt(np.mean(error**2)) < _TOLERANCE:
            break
        slopes = 2 * np.fft.irfft(current[:, None, :] * weights, window.fft_size)
        slopes = slopes[..., :length] * window.taper
        jacobian = np.zeros((len(hops), order + 1, window.n_buffer))
        for k, at in enumerate(starts):
            jacobian[k, :, at : at + length] = slopes[k]
        jacobian = jacobian[..., low:high].reshape(-1, n_unknown)
        jacobian = np.fft.irfft(np.fft.rfft(jacobian, n_fft) * colour.conj(), n_fft)
        jacobian = jacobian[:, :n_unknown]
        gram = jacobian @ jacobian.T
        improved = False
        while damping < 1e6:
            ridge = damping * (np.trace(gram) / len(gram) + 1e-300)
            try:
                factor = cho_factor(gram + ridge * np.eye(len(gram)))
            except LinAlgError:
                damping *= 10.0
                continue
            step = jacobian.T @ cho_solve(factor, -error.ravel())
            change = np.fft.irfft(np.fft.rfft(step, n_fft) * colour, n_fft)
            trial = buffer.copy()
            trial[low:high] += change[:n_unknown]
            trial_spectra = spectra(trial)
            trial_error = residual(trial_spectra)
            if np.sum(trial_error**2) < np.sum(error**2):
                buffer, current, error = trial, trial_spectra, trial_error
                damping = max(damping / 4.0, 1e-9)
                improved = True
                break
            damping *= 4.0
        if not improved:
            break
    return buffer


def _impulse_responses(
    mel_cepstra: FloatArray, alpha: float, length: int = 2048
) -> FloatArray:
    """Minimum-phase impulse responses, from the folded cepstrum of ln |H|."""
    size = 2 * length
    log_amplitude = mel_cepstrum_to_log_spectrum(mel_cepstra, alpha, size) / 2
    cepstrum = np.fft.irfft(log_amplitude)
    cepstrum[:, 1:length] *= 2.0
    cepstrum[:, length + 1 :] = 0.0
    spectrum = np.exp(np.fft.rfft(cepstrum))
    return np.asarray(np.fft.irfft(spectrum)[:, :length])


def _row_only(window: SpeechWindow, buffer: FloatArray) -> FloatArray:
    result = np.zeros_like(buffer)
    result[window.inside] = buffer[window.inside]
    return result
