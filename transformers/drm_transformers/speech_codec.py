"""One waveform window to mel-cepstra and excitation, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drm_transformers.mel_spectrum import (
    mel_cepstrum_to_spectrum,
    spectrum_to_mel_cepstrum,
)
from drm_transformers.speech_inverse import (
    excitation_signal,
    filter_excitation,
    match_mel_cepstra,
)
from drm_transformers.speech_window import (
    SpeechWindow,
    mel_cepstra_of_frames,
    noise_floor,
)
from drm_transformers.speech_world import (
    synthesize_window,
    world_envelopes,
    world_excitation,
    world_f0,
)

__all__ = ["WindowCodec"]

FloatArray = NDArray[np.float64]

# Most corrections of the wanted mel-cepstra by the error of the last synthesis, the
# root mean square error that needs none, and how far a coefficient may be moved.
_CORRECTIONS = 3
_GOOD_ENOUGH = 2e-3
_FARTHEST = 3.0


@dataclass(frozen=True)
class WindowCodec:
    """Analysis and synthesis of single rows.

    Attributes
    ----------
    window : SpeechWindow
        Where the row and its hops lie.
    n_coefficients : int
        Coefficients per mel-cepstrum, with c0.
    alpha : float in (-1, 1)
        All-pass constant.
    method : {"sptk", "world"}
        Which analysis gives the mel-cepstra.
    per_hop : bool
        All hops, or their mean.
    excitation : bool
        Whether `analyze` appends the excitation.
    """

    window: SpeechWindow
    n_coefficients: int
    alpha: float
    method: str
    per_hop: bool
    excitation: bool

    def analyze(self, row: FloatArray) -> FloatArray:
        """Mel-cepstra, then excitation, of a row (n_samples,), as one vector."""
        # Powers of large values would overflow; the scale only moves c0.
        scale = max(1.0, float(np.abs(row).max()))
        buffer = self.window.place(row / scale)
        f0 = None
        if self.method == "world" or self.excitation:
            f0 = world_f0(self.window, buffer)
        cepstra = self._cepstra(buffer, f0, scale)
        cepstra[:, 0] += np.log(scale)
        parts = [self._pool(cepstra)]
        if self.excitation and f0 is not None:
            parts.append(self._pool(world_excitation(self.window, buffer, f0)))
        return np.concatenate(parts, axis=None)

    def synthesize(
        self, cepstra: FloatArray, excitation: FloatArray | None
    ) -> FloatArray:
        """Row (n_samples,) whose own mel-cepstra are the given ones.

        Parameters
        ----------
        cepstra : ndarray of shape (n_hops or 1, n_coefficients)
        excitation : ndarray of shape (n_hops or 1, 2 + n_bands) or None

        Returns
        -------
        row : ndarray of shape (n_samples,)
        """
        n_hops = self.window.n_hops
        wanted = np.broadcast_to(cepstra, (n_hops, self.n_coefficients))
        if excitation is not None:
            shape = (n_hops, excitation.shape[1])
            excitation = np.ascontiguousarray(np.broadcast_to(excitation, shape))
        if self.method == "world":
            return self._world_row(wanted, excitation)
        return self._sptk_row(wanted, excitation)

    def _cepstra(
        self, buffer: FloatArray, f0: FloatArray | None, scale: float = 1.0
    ) -> FloatArray:
        """Mel-cepstra (n_hops, n_coefficients); `f0` is used by WORLD only."""
        order = self.n_coefficients - 1
        if self.method == "world" and f0 is not None:
            envelopes = world_envelopes(self.window, buffer, f0)
            return spectrum_to_mel_cepstrum(envelopes, order, self.alpha)
        return mel_cepstra_of_frames(
            self.window.frames(buffer),
            order,
            self.alpha,
            self.window.fft_size,
            noise_floor(scale),
        )

    def _pool(self, hops: FloatArray) -> FloatArray:
        return hops if self.per_hop else hops.mean(axis=0, keepdims=True)

    def _sptk_row(
        self, wanted: FloatArray, excitation: FloatArray | None
    ) -> FloatArray:
        white = self._white(excitation)
        buffer = filter_excitation(self.window, wanted, self.alpha, white)
        buffer = match_mel_cepstra(self.window, wanted, self.alpha, buffer)
        row = self.window.cut(buffer)
        if self.window.ratio == 1:
            return row
        # The resampling filters take away power near the top of the band.
        aim, best, least = wanted, row, np.inf
        for attempt in range(_CORRECTIONS + 1):
            if attempt:
                buffer = match_mel_cepstra(self.window, aim, self.alpha, buffer)
                row = self.window.cut(buffer)
            error = self._pool(wanted - self._cepstra(self.window.place(row), None))
            distance = float(np.sqrt(np.mean(error**2)))
            if distance < least:
                best, least = row, distance
            if distance < _GOOD_ENOUGH:
                break
            aim = np.clip(aim + error, wanted - _FARTHEST, wanted + _FARTHEST)
        return best

    def _white(self, excitation: FloatArray | None) -> FloatArray:
        if excitation is None:
            # Hops that differ are met more closely from noise than from pulses.
            return (
                excitation_signal(self.window, None)
                if self.per_hop
                else excitation_signal(self.window)
            )
        if excitation[:, 1].mean() <= 0.5:
            return excitation_signal(self.window, None)
        log_f0 = np.clip(excitation[:, 0].mean(), np.log(50.0), np.log(800.0))
        return excitation_signal(self.window, float(np.exp(log_f0)))

    def _world_row(
        self, wanted: FloatArray, excitation: FloatArray | None
    ) -> FloatArray:
        aim = wanted
        best, least = np.zeros(self.window.n_samples), np.inf
        for _ in range(_CORRECTIONS + 1):
            envelopes = mel_cepstrum_to_spectrum(aim, self.alpha, self.window.fft_size)
            row = self.window.cut(synthesize_window(self.window, envelopes, excitation))
            buffer = self.window.place(row)
            cepstra = self._cepstra(buffer, world_f0(self.window, buffer))
            error = self._pool(wanted - cepstra)
            distance = float(np.sqrt(np.mean(error**2)))
            if distance < least:
                best, least = row, distance
            if distance < _GOOD_ENOUGH:
                break
            aim = np.clip(aim + error, wanted - _FARTHEST, wanted + _FARTHEST)
        return best
