"""Speech as WORLD features, one row per video frame, and back to a waveform."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, sosfiltfilt

from drm_transformers._world import (
    F0_CEILING,
    F0_FLOOR,
    LOWEST_RATE,
    fft_size,
    first_hops,
    import_world,
    n_aperiodicity_bands,
)
from drm_transformers.parameters import whole_rate
from drm_transformers.resampling import excerpt, resample
from drm_transformers.synthesis import synthesize

__all__ = [
    "LOWEST_RATE",
    "FrameSpeech",
    "WorldFeatures",
    "analyze",
    "frame_features",
    "n_envelope_bins",
    "synthesize",
]

FloatArray = npt.NDArray[np.float64]

# For frames of a clip without any voicing.
_F0_DEFAULT = 120.0
# Power of an envelope bin below which only the rounding of 16-bit sound is left.
# Without it, digital silence would be an outlier of hundreds of decibels.
_ENVELOPE_FLOOR = 1e-10
# What lies further below the loudest hop is the room's noise, whose shape no speaker
# controls. From lips a ridge regression predicts the mel-cepstra of GRID clips with
# R2 0.150 without this limit, 0.156 at 70 dB, 0.159 at 60 dB and 0.162 at 50 dB; the
# last begins to cost the other direction (0.058, 0.058, 0.058, 0.057).
_DYNAMIC_RANGE = 10 ** (-60 / 10)
# Rumble below the voice hides it from DIO and spoils the envelope of pauses, so it
# is filtered out; what is then left in pauses is hum, often periodic but quiet. On
# 15 GRID clips 65 % of hops in words and 0.5 % in pauses were voiced as recorded,
# 68 % and 12 % filtered, 67 % and 0.1 % filtered with the limit on level.
_RUMBLE = 50.0
_VOICED_ABOVE = 10 ** (-40 / 10)
# WORLD tells voiced from unvoiced by the power up to 7.9 kHz, so aperiodicity needs
# sound at a rate above twice that. At 12 kHz it reads memory it has not set.
_APERIODICITY_RATE = 16_000


@dataclass(frozen=True)
class WorldFeatures:
    """WORLD analysis of one waveform, one row per hop; hop j lies at j * hop s.

    Parameters
    ----------
    f0 : ndarray of shape (n_hops,)
        Fundamental frequency in Hz; 0 where unvoiced.
    envelope : ndarray of shape (n_hops, n_bins)
        Power spectral envelope at equally spaced frequencies from 0 to half the
        sampling rate, > 0.
    aperiodicity : ndarray of shape (n_hops, n_bands)
        Share of noise per band, in dB, <= 0; 0 where unvoiced.
    sample_rate : int
        Hz.
    hop : float, default=0.005
        Seconds.

    Examples
    --------
    >>> import numpy as np
    >>> world = analyze(np.zeros(12_000), 12_000)
    >>> world.f0.shape, world.envelope.shape, world.aperiodicity.shape
    ((201,), (201, 257), (201, 1))
    """

    f0: FloatArray
    envelope: FloatArray
    aperiodicity: FloatArray
    sample_rate: int
    hop: float = 0.005


@dataclass(frozen=True)
class FrameSpeech:
    """Speech features, one row per video frame.

    Parameters
    ----------
    envelope : ndarray of shape (n_frames, n_bins)
        Power spectral envelope: the geometric mean over the frame's hops.
    excitation : ndarray of shape (n_frames, 2 + n_bands)
        Natural logarithm of the fundamental frequency in Hz, interpolated through
        unvoiced parts; share of voiced hops, 0 to 1; aperiodicity in dB.

    Examples
    --------
    >>> import numpy as np
    >>> speech = frame_features(analyze(np.zeros(12_000), 12_000), 25, 25.0)
    >>> speech.envelope.shape, speech.excitation.shape
    ((25, 257), (25, 3))
    """

    envelope: FloatArray
    excitation: FloatArray


def n_envelope_bins(sample_rate: int) -> int:
    """Number of bins of the envelopes that `analyze` makes at a rate in Hz."""
    return fft_size(whole_rate("sample_rate", sample_rate)) // 2 + 1


def analyze(
    waveform: npt.ArrayLike,
    sample_rate: int,
    *,
    target_rate: int = 12_000,
    hop: float = 0.005,
) -> WorldFeatures:
    """Fundamental frequency, spectral envelope and aperiodicity of a waveform.

    Parameters
    ----------
    waveform : array-like of shape (n_samples,)
        Sound in [-1, 1].
    sample_rate : int, > 0
        Its rate in Hz.
    target_rate : int, > 0, default=12000
        Rate of the analysis in Hz.
    hop : float, > 0, default=0.005
        Seconds between rows.

    Returns
    -------
    WorldFeatures

    Raises
    ------
    ValueError
        The waveform is empty, not one-dimensional or not finite, a rate is no
        whole number of Hz above 0, or `target_rate` is below 12 kHz, where WORLD has
        no band for aperiodicity.

    Notes
    -----
    DIO and StoneMask for f0 (71 to 500 Hz), CheapTrick for the envelope, D4C for the
    aperiodicity, after a zero-phase high-pass filter at 50 Hz. A hop counts as
    voiced where DIO and D4C agree and its power is within 40 dB of the loudest
    hop's. D4C wants most of the power up to 7.9 kHz to lie below 4 kHz, as it does
    in voices; a bare train of pulses is flat and counts as unvoiced. Envelopes are
    not let below a level 60 dB under the loudest hop, nor below 1e-10, the level of
    16-bit rounding, so silence is finite.

    References
    ----------
    M. Morise, F. Yokomori, K. Ozawa, "WORLD: a vocoder-based high-quality speech
    synthesis system for real-time applications", IEICE Trans. Inf. Syst. E99-D(7),
    2016.

    Examples
    --------
    >>> import numpy as np
    >>> time = np.arange(24_000) / 12_000
    >>> tone = sum(np.sin(2 * np.pi * 120 * k * time) / k**2 for k in range(1, 40))
    >>> round(float(np.median(analyze(tone / 4, 12_000).f0)))
    120
    """
    sound = _checked_waveform(waveform)
    sample_rate = whole_rate("sample_rate", sample_rate)
    target_rate = whole_rate("target_rate", target_rate)
    if sample_rate <= 2 * _RUMBLE or target_rate < LOWEST_RATE or not hop > 0:
        raise ValueError(
            f"sample_rate={sample_rate}, target_rate={target_rate}, hop={hop}: needs "
            f"sample_rate > {2 * _RUMBLE:g}, target_rate >= {LOWEST_RATE}, hop > 0"
        )
    pyworld = import_world()
    sound = _without_rumble(sound, sample_rate)
    samples = np.ascontiguousarray(resample(sound, sample_rate, target_rate))
    # Less than one analysis window would be read beyond its end.
    shortest = int(np.ceil(4 * target_rate / F0_FLOOR))
    n_hops = int(len(samples) / target_rate / hop + 1e-9) + 1
    if len(samples) < shortest:
        samples = excerpt(samples, 0, shortest)
    period = 1000.0 * hop
    f0, times = pyworld.dio(
        samples,
        target_rate,
        f0_floor=F0_FLOOR,
        f0_ceil=F0_CEILING,
        frame_period=period,
    )
    f0 = pyworld.stonemask(samples, f0, times, target_rate)
    n_fft = fft_size(target_rate)
    power = pyworld.cheaptrick(
        samples, f0, times, target_rate, f0_floor=F0_FLOOR, fft_size=n_fft
    ).mean(axis=1)
    aperiodicity = _aperiodicity(sound, sample_rate, target_rate, f0, times)
    # D4C gives whole noise (0 dB) where it finds no voice.
    loud = power > max(_VOICED_ABOVE * power.max(), _ENVELOPE_FLOOR)
    voiced = (f0 > 0) & (aperiodicity.min(axis=1) < -1e-6) & loud
    aperiodicity[~voiced] = 0.0
    f0 = np.where(voiced, f0, 0.0)
    # Again, with windows that no longer follow the pitch of hum.
    envelope = pyworld.cheaptrick(
        samples, f0, times, target_rate, f0_floor=F0_FLOOR, fft_size=n_fft
    )
    floor = max(_DYNAMIC_RANGE * power.max(), _ENVELOPE_FLOOR)
    return WorldFeatures(
        f0=f0[:n_hops],
        envelope=np.maximum(envelope, floor)[:n_hops],
        aperiodicity=aperiodicity[:n_hops],
        sample_rate=target_rate,
        hop=float(hop),
    )


def frame_features(
    world: WorldFeatures, n_frames: int, frame_rate: float
) -> FrameSpeech:
    """Average WORLD features over the period of each video frame.

    Parameters
    ----------
    world : WorldFeatures
        From `analyze`, of sound that starts with frame 0.
    n_frames : int, > 0
        Number of video frames.
    frame_rate : float, > 0
        Frames per second.

    Returns
    -------
    FrameSpeech

    Raises
    ------
    ValueError
        A count or rate is not positive.

    Notes
    -----
    Frame i takes the hops in [i, i + 1) / frame_rate; where there are none, the
    nearest hop. Averaging log envelopes averages their mel-cepstra too.

    Examples
    --------
    >>> import numpy as np
    >>> speech = frame_features(analyze(np.zeros(12_000), 12_000), 25, 25.0)
    >>> float(speech.excitation[:, 1].max())
    0.0
    """
    if n_frames <= 0 or not frame_rate > 0:
        raise ValueError(
            f"n_frames={n_frames} and frame_rate={frame_rate} must be positive"
        )
    n_hops = len(world.f0)
    hop = world.hop * frame_rate
    edges = np.arange(n_frames + 1) / hop
    bounds = first_hops(n_frames, hop)
    first, last = bounds[:-1], bounds[1:]
    nearest = np.round((edges[:-1] + edges[1:]) / 2).astype(int)
    empty = (first >= last) | (first >= n_hops)
    first = np.where(empty, np.minimum(nearest, n_hops - 1), first)
    last = np.where(empty, first + 1, np.minimum(last, n_hops))
    columns = np.column_stack(
        [
            np.log(world.envelope),
            _interpolated_log_f0(world.f0),
            world.f0 > 0,
            world.aperiodicity,
        ]
    )
    means = np.stack(
        [columns[a:b].mean(axis=0) for a, b in zip(first, last, strict=True)]
    )
    n_bins = world.envelope.shape[1]
    return FrameSpeech(np.exp(means[:, :n_bins]), means[:, n_bins:])


def _checked_waveform(waveform: npt.ArrayLike) -> FloatArray:
    sound = np.asarray(waveform, dtype=np.float64)
    if sound.ndim != 1 or len(sound) == 0:
        raise ValueError(
            f"waveform has shape {sound.shape}; give (n_samples,), not empty"
        )
    if not np.isfinite(sound).all():
        raise ValueError("waveform has NaN or infinite samples")
    return sound


def _aperiodicity(
    sound: FloatArray,
    sample_rate: int,
    target_rate: int,
    f0: FloatArray,
    times: FloatArray,
) -> FloatArray:
    """Coded aperiodicity in the bands that lie below half of `target_rate`."""
    pyworld = import_world()
    rate = target_rate * max(1, -(-_APERIODICITY_RATE // target_rate))
    samples = np.ascontiguousarray(resample(sound, sample_rate, rate))
    needed = int(np.ceil(times[-1] * rate)) + 1
    if len(samples) < needed:
        samples = excerpt(samples, 0, needed)
    spectrum = pyworld.d4c(samples, f0, times, rate, fft_size=fft_size(rate))
    coded = pyworld.code_aperiodicity(spectrum, rate)
    return np.array(coded[:, : n_aperiodicity_bands(target_rate)], dtype=np.float64)


def _interpolated_log_f0(f0: FloatArray) -> FloatArray:
    voiced = np.flatnonzero(f0 > 0)
    if len(voiced) == 0:
        return np.full(len(f0), np.log(_F0_DEFAULT))
    return np.interp(np.arange(len(f0)), voiced, np.log(f0[voiced]))


def _without_rumble(sound: FloatArray, sample_rate: int) -> FloatArray:
    sections = butter(2, _RUMBLE, "high", fs=sample_rate, output="sos")
    # Room on both sides for the filter to settle; mirrored ends would ring.
    padded = np.pad(sound, sample_rate // 10 + 16)
    filtered = sosfiltfilt(sections, padded, padtype=None)
    margin = sample_rate // 10 + 16
    return np.asarray(filtered[margin : margin + len(sound)], dtype=np.float64)
