"""What WORLD's analysis and synthesis share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from drm_transformers.mel_spectrum import import_speech_library

# Speaking voices, in Hz. The lower end also sets WORLD's FFT size: 512 at 12 kHz.
F0_FLOOR, F0_CEILING = 71.0, 500.0
# WORLD has no band for aperiodicity at lower rates, in Hz.
LOWEST_RATE = 12_000


def import_world() -> Any:
    """The pyworld module, or an error that says how to get it."""
    return import_speech_library("pyworld")


def fft_size(sample_rate: int) -> int:
    """FFT size of envelopes, from the lowest f0."""
    return int(import_world().get_cheaptrick_fft_size(sample_rate, F0_FLOOR))


def first_hops(n_frames: int, hop: float) -> npt.NDArray[np.intp]:
    """First hop of each frame, and of the one after the last; `hop` is in frames."""
    return np.ceil(np.arange(n_frames + 1) / hop - 1e-6).astype(np.intp)


def n_aperiodicity_bands(sample_rate: int) -> int:
    """Number of coded aperiodicity bands, 3 kHz apart."""
    return int(import_world().get_num_aperiodicities(sample_rate))
