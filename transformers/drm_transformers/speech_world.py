"""WORLD analysis and synthesis of one waveform window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from drm_transformers.mel_spectrum import import_speech_library
from drm_transformers.speech_window import HOP, SpeechWindow

__all__ = [
    "DEFAULT_F0",
    "synthesize_window",
    "world_envelopes",
    "world_excitation",
    "world_f0",
]

FloatArray = NDArray[np.float64]

# Pitch where nothing says what it is, in Hz: that of a man's voice.
DEFAULT_F0 = 120.0
# D4C compares powers below 4 kHz and below 7.9 kHz; at lower rates it reads memory
# that it never set, and the same sound comes out different from call to call.
_D4C_RATE = 16_000.0


def world_f0(window: SpeechWindow, buffer: FloatArray) -> FloatArray:
    """Pitch (n_buffer_hops + 1,) by Harvest at 5 ms hops, in Hz, 0 where unvoiced."""
    pyworld = import_speech_library("pyworld")
    f0, _ = pyworld.harvest(buffer, window.rate, frame_period=HOP * 1000)
    return np.asarray(f0, dtype=np.float64)


def world_envelopes(
    window: SpeechWindow, buffer: FloatArray, f0: FloatArray
) -> FloatArray:
    """Power envelopes (n_hops, fft_size // 2 + 1) of the central hops by CheapTrick."""
    pyworld = import_speech_library("pyworld")
    envelopes = pyworld.cheaptrick(
        buffer, *_central(window, f0), window.rate, fft_size=window.fft_size
    )
    return np.asarray(envelopes, dtype=np.float64)


def world_excitation(
    window: SpeechWindow, buffer: FloatArray, f0: FloatArray
) -> FloatArray:
    """What is left of the sound beside its envelope, for the central hops.

    Parameters
    ----------
    window : SpeechWindow
        Where the hops lie; its rate is at least 12 kHz.
    buffer : ndarray of shape (n_buffer,)
    f0 : ndarray of shape (n_buffer_hops + 1,)
        In Hz, 0 where unvoiced.

    Returns
    -------
    excitation : ndarray of shape (n_hops, 2 + n_bands)
        Natural logarithm of the pitch in Hz, interpolated where unvoiced; 1 where
        voiced, else 0; aperiodicity of WORLD's bands in dB, at most 0.
    """
    pyworld = import_speech_library("pyworld")
    voiced = f0 > 0
    log_f0 = np.full(len(f0), np.log(DEFAULT_F0))
    if voiced.any():
        hops = np.arange(len(f0))
        log_f0 = np.interp(hops, hops[voiced], np.log(f0[voiced]))
    factor = int(np.ceil(_D4C_RATE / window.rate))
    finer = resample_poly(buffer, factor, 1) if factor > 1 else buffer
    # Threshold 0: voicing is Harvest's decision, not taken a second time.
    aperiodicity = pyworld.d4c(
        finer,
        *_central(window, f0),
        window.rate * factor,
        threshold=0.0,
        fft_size=window.fft_size * factor,
    )
    n_bins = window.fft_size // 2 + 1
    bands = pyworld.code_aperiodicity(
        np.ascontiguousarray(aperiodicity[:, :n_bins]), window.rate
    )
    centre = slice(window.first_hop, window.first_hop + window.n_hops)
    return np.column_stack((log_f0[centre], voiced[centre], np.minimum(bands, 0.0)))


def synthesize_window(
    window: SpeechWindow, envelopes: FloatArray, excitation: FloatArray | None
) -> FloatArray:
    """Waveform by WORLD, with the first and last hop held outside the central ones.

    Parameters
    ----------
    window : SpeechWindow
        Where the hops lie.
    envelopes : ndarray of shape (n_hops, fft_size // 2 + 1)
        Power.
    excitation : ndarray of shape (n_hops, 2 + n_bands) or None
        As from `world_excitation`, voiced above 0.5; None: steady pulses at 120 Hz.

    Returns
    -------
    buffer : ndarray of shape (n_buffer,)
    """
    pyworld = import_speech_library("pyworld")
    hops = np.arange(window.n_buffer_hops + 1) - window.first_hop
    hops = np.clip(hops, 0, window.n_hops - 1)
    if excitation is None:
        f0 = np.full(len(hops), DEFAULT_F0)
        aperiodicity = np.full((len(hops), envelopes.shape[1]), 1e-9)
    else:
        # Harvest's range; a prediction may lie outside it.
        pitch = np.exp(np.clip(excitation[:, 0], np.log(71.0), np.log(800.0)))
        f0 = np.where(excitation[:, 1] > 0.5, pitch, 0.0)[hops]
        bands = np.ascontiguousarray(np.clip(excitation[hops, 2:], -60.0, 0.0))
        aperiodicity = pyworld.decode_aperiodicity(bands, window.rate, window.fft_size)
    sound = pyworld.synthesize(
        f0,
        np.ascontiguousarray(envelopes[hops]),
        aperiodicity,
        window.rate,
        HOP * 1000,
    )
    buffer = np.zeros(window.n_buffer)
    inside = slice(window.inside.start, min(window.inside.stop, len(sound)))
    buffer[inside] = sound[inside]
    return buffer


def _central(window: SpeechWindow, f0: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pitch and time of the central hops, for pyworld's analysers."""
    hops = np.arange(window.first_hop, window.first_hop + window.n_hops)
    return np.ascontiguousarray(f0[hops]), np.asarray(hops * HOP, dtype=np.float64)
