"""Geometry of a waveform window, and its mel-cepstral analysis by SPTK."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from drm_transformers.mel_spectrum import (
    import_speech_library,
    spectrum_to_mel_cepstrum,
)

__all__ = ["HOP", "SpeechWindow", "mel_cepstra_of_frames"]

FloatArray = NDArray[np.float64]

HOP = 0.005
_FRAME_LENGTH = 0.025
_LEAST_HALF = 0.1
# -120 dB against full scale: under the rounding noise of 16-bit sound.
_NOISE_FLOOR = 1e-12
# Least floor relative to the peak, where a row is scaled far beyond 1.
_RELATIVE_FLOOR = 1e-24


@dataclass(frozen=True)
class SpeechWindow:
    """Where the samples and the analysis hops of one row lie.

    A row is brought to the analysis rate and laid into a buffer of at least 200 ms,
    zero outside, so that the middle of the row is the middle of the buffer. Hops of
    5 ms are centred on it; their times are whole multiples of 5 ms from the start of
    the buffer, which is where WORLD looks.

    Attributes
    ----------
    n_samples : int
        Width of a row.
    input_rate, rate : float
        Sampling rate of a row and of the analysis, in Hz.
    n_hops : int
        Hops in the central frame period.
    fft_size : int
        Points of the spectrum of one hop.
    """

    n_samples: int
    input_rate: float
    rate: float
    n_hops: int
    fft_size: int

    @cached_property
    def ratio(self) -> Fraction:
        """Analysis rate over input rate."""
        limit = 10_000
        ratio = Fraction(self.rate) / Fraction(self.input_rate)
        return ratio.limit_denominator(limit)

    @cached_property
    def n_resampled(self) -> int:
        return -(-self.n_samples * self.ratio.numerator // self.ratio.denominator)

    @cached_property
    def first_hop(self) -> int:
        """Hops between the start of the buffer and the first central hop."""
        central = (self.n_hops - 1) / 2 * HOP
        half = max(
            _LEAST_HALF,
            self.n_resampled / 2 / self.rate,
            central + _FRAME_LENGTH,
        )
        return int(np.ceil((half - central) / HOP - 1e-9)) + 1

    @cached_property
    def n_buffer_hops(self) -> int:
        return 2 * self.first_hop + self.n_hops - 1

    @cached_property
    def n_buffer(self) -> int:
        return int(np.ceil(self.n_buffer_hops * HOP * self.rate)) + 1

    @cached_property
    def start(self) -> int:
        """Index of the row's first sample in the buffer."""
        middle = self.n_buffer_hops * HOP * self.rate / 2
        return int(round(middle - self.n_samples / 2 * float(self.ratio)))

    @cached_property
    def frame_length(self) -> int:
        return max(2, round(_FRAME_LENGTH * self.rate))

    @cached_property
    def taper(self) -> FloatArray:
        """Blackman window of unit power, so that a periodogram is in power units."""
        # Two more points, both zero: very short frames keep a window that is not.
        window = np.blackman(self.frame_length + 2)[1:-1]
        return np.asarray(window / np.sqrt(np.sum(window**2)))

    @cached_property
    def frame_starts(self) -> NDArray[np.intp]:
        """Index of the first sample of each central hop's frame."""
        times = (self.first_hop + np.arange(self.n_hops)) * HOP * self.rate
        return np.asarray(np.rint(times - self.frame_length / 2), dtype=np.intp)

    @property
    def inside(self) -> slice:
        """The part of the buffer that the row fills."""
        return slice(self.start, self.start + self.n_resampled)

    def place(self, row: FloatArray) -> FloatArray:
        """Buffer of shape (n_buffer,) that holds a row of shape (n_samples,)."""
        buffer = np.zeros(self.n_buffer)
        if self.ratio == 1:
            buffer[self.inside] = row
        else:
            buffer[self.inside] = resample_poly(
                row, self.ratio.numerator, self.ratio.denominator
            )
        return buffer

    def cut(self, buffer: FloatArray) -> FloatArray:
        """Row of shape (n_samples,) from a buffer; `place` lays it back."""
        inside = buffer[self.inside]
        if self.ratio == 1:
            return np.asarray(inside.copy())
        row = resample_poly(inside, self.ratio.denominator, self.ratio.numerator)
        # Rounding up twice never leaves fewer samples than the row had.
        return np.asarray(row[: self.n_samples])

    def frames(self, buffer: FloatArray) -> FloatArray:
        """Tapered frames (n_hops, frame_length) at the central hops."""
        index = self.frame_starts[:, None] + np.arange(self.frame_length)
        return np.asarray(buffer[index] * self.taper)


def noise_floor(scale: float) -> float:
    """Power added to the periodogram of a row that was divided by `scale`."""
    return max(_NOISE_FLOOR / scale / scale, _RELATIVE_FLOOR)


def mel_cepstra_of_frames(
    frames: FloatArray, order: int, alpha: float, fft_size: int, floor: float
) -> FloatArray:
    """Mel-cepstra of tapered frames by the unbiased estimator of log spectrum.

    Parameters
    ----------
    frames : ndarray of shape (n, frame_length)
        Tapered waveform frames.
    order : int
        Highest coefficient.
    alpha : float in (-1, 1)
        All-pass constant.
    fft_size : int
        Power of two, at least `frame_length`.
    floor : float
        Power added to each bin, positive.

    Returns
    -------
    mel_cepstra : ndarray of shape (n, order + 1)

    Notes
    -----
    pysptk's ``mcep`` minimises the mean of :math:`I/|H|^2 - \\ln(I/|H|^2)` between
    the periodogram :math:`I` and the envelope :math:`|H|^2` by Newton steps. Where
    these break down (a frame of almost a single frequency), the mel-cepstrum of the
    log periodogram itself is returned.

    References
    ----------
    K. Tokuda, T. Kobayashi, T. Masuko, S. Imai, "Mel-generalized cepstral analysis",
    Proc. ICSLP, 1994.
    """
    mcep = import_speech_library("pysptk").mcep
    padded = np.zeros((len(frames), fft_size))
    padded[:, : frames.shape[1]] = frames
    result = np.empty((len(frames), order + 1))
    for frame, out in zip(padded, result, strict=True):
        try:
            out[:] = mcep(frame, order, alpha, etype=1, eps=floor)
            converged = bool(np.isfinite(out).all())
        except RuntimeError:
            converged = False
        if not converged:
            power = np.abs(np.fft.rfft(frame)) ** 2 + floor
            out[:] = spectrum_to_mel_cepstrum(power, order, alpha)
    return result
