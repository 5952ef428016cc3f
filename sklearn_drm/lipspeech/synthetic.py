"""A synthetic talking mouth: pictures and sound from one articulator track."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drm_transformers.clips import Clip
from sklearn_drm.lipspeech.drawn_mouth import draw_mouth, random_look, speaker_skin

__all__ = ["make_lip_speech"]

FloatArray = NDArray[np.float64]

STEP = 0.005
"""Seconds between two points of the articulator track."""

# Jaw opening, lip spreading, lip rounding: what one sees of a vowel.
VOWELS = {
    "a": (0.95, 0.50, 0.05),
    "e": (0.50, 0.75, 0.05),
    "i": (0.25, 0.95, 0.00),
    "o": (0.52, 0.25, 0.75),
    "u": (0.22, 0.10, 1.00),
}
# Articulators, then voicing, frication and seconds; None keeps the vowel's lips.
CONSONANTS: dict[str, tuple[float, float | None, float | None, float, float, float]] = {
    "m": (0.00, None, None, 0.45, 0.0, 0.08),
    "p": (0.00, None, None, 0.00, 0.0, 0.09),
    "s": (0.12, 0.70, 0.05, 0.00, 1.0, 0.11),
    "sh": (0.18, 0.30, 0.70, 0.00, 1.0, 0.11),
    "f": (0.06, 0.60, 0.00, 0.00, 0.4, 0.09),
    "w": (0.15, 0.05, 1.00, 0.80, 0.0, 0.08),
}


@dataclass(frozen=True)
class Track:
    """What the speaker does, one value every `STEP` seconds.

    Attributes
    ----------
    opening, width, protrusion : ndarray of shape (n_steps,), range [0, 1]
        The visible articulators.
    voicing, frication : ndarray of shape (n_steps,), range [0, 1]
        Strength of the glottal pulses and of the noise.
    tongue : ndarray of shape (n_steps,)
        An unseen part of the second formant, in Hz.
    f0 : ndarray of shape (n_steps,)
        Fundamental frequency in Hz.
    """

    opening: FloatArray
    width: FloatArray
    protrusion: FloatArray
    voicing: FloatArray
    frication: FloatArray
    tongue: FloatArray
    f0: FloatArray


def make_lip_speech(
    n_clips: int = 12,
    seconds: float = 3.0,
    *,
    frame_rate: float = 25.0,
    sample_rate: int = 16_000,
    size: int = 110,
    random_state: int | np.random.Generator | None = None,
) -> list[Clip]:
    """Make clips of one synthetic speaker whose lips and sound belong together.

    One articulator track (jaw opening, lip spreading, lip rounding) drives both
    a drawn mouth and the formants of a sound made of glottal pulses and noise:
    syllables with lip closures, fricatives and vowels, and pauses between
    phrases. Place and light of the face differ from clip to clip.

    Parameters
    ----------
    n_clips : int, range [1, inf), default=12
        Number of clips.
    seconds : float, range (0, inf), default=3.0
        Length of each clip, rounded to whole video frames.
    frame_rate : float, range (0, inf), default=25.0
        Pictures per second.
    sample_rate : int, range [8000, inf), default=16000
        Samples of sound per second.
    size : int, range [16, inf), default=110
        Height and width of the pictures in pixels. The mouth fills them: its box
        is ``(0, 0, size)``.
    random_state : int, numpy.random.Generator or None, default=None
        Seed. With an int, the first clips do not depend on `n_clips`.

    Returns
    -------
    list of drm_transformers.clips.Clip

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Notes
    -----
    The formants follow the visible articulators: F1 = 270 + 520 j,
    F2 = 900 + 1350 w - 350 p - 250 j + t, F3 = 2400 + 350 w - 250 p (in Hz, with
    jaw opening j, spreading w, rounding p and an unseen part t of the tongue with
    a standard deviation of about 80 Hz). Fundamental frequency is unseen as well,
    so sound is not a function of the picture.

    Examples
    --------
    >>> from sklearn_drm.lipspeech import make_lip_speech
    >>> clips = make_lip_speech(n_clips=2, seconds=1.0, random_state=0)
    >>> clips[0].frames.shape, clips[0].waveform.shape
    ((25, 110, 110), (16000,))
    """
    return list(
        iterate_lip_speech(
            n_clips, seconds, frame_rate, sample_rate, size, random_state
        )
    )


def iterate_lip_speech(
    n_clips: int,
    seconds: float,
    frame_rate: float,
    sample_rate: int,
    size: int,
    random_state: int | np.random.Generator | None,
) -> Iterator[Clip]:
    """The clips of `make_lip_speech` one at a time."""
    if n_clips < 1:
        raise ValueError(f"n_clips must be at least 1, got {n_clips}")
    if frame_rate <= 0:
        raise ValueError(f"frame_rate must be positive, got {frame_rate}")
    n_frames = round(seconds * frame_rate)
    if n_frames < 1:
        raise ValueError(
            f"seconds must be long enough for one frame (1 / {frame_rate:g} s), "
            f"got {seconds}"
        )
    if sample_rate < 8000:
        raise ValueError(f"sample_rate must be at least 8000 Hz, got {sample_rate}")
    if size < 16:
        raise ValueError(f"size must be at least 16 pixels, got {size}")
    root = np.random.default_rng(random_state)
    # One child generator each, so that a clip does not depend on its neighbours.
    speaker, *children = root.spawn(n_clips + 1)
    skin = speaker_skin(size, speaker)
    digits = max(3, len(str(n_clips - 1)))
    for index, rng in enumerate(children):
        track = _speak(n_frames / frame_rate, rng)
        n_samples = round(n_frames * sample_rate / frame_rate)
        sound = _sound(track, n_samples, sample_rate, rng)
        middles = (np.arange(n_frames) + 0.5) / frame_rate
        seen = [
            np.interp(middles, np.arange(len(values)) * STEP, values)
            for values in (track.opening, track.width, track.protrusion)
        ]
        look = random_look(size, rng, skin)
        frames = draw_mouth(seen[0], seen[1], seen[2], look, rng, size=size)
        yield Clip(
            name=f"synthetic-{index:0{digits}d}",
            frames=frames,
            frame_rate=float(frame_rate),
            waveform=sound,
            sample_rate=sample_rate,
            notes=(),
        )


def _speak(seconds: float, rng: np.random.Generator) -> Track:
    """Say random syllables: step targets, smoothed as a mouth would move."""
    n = int(np.ceil(seconds / STEP)) + 1
    rest = (0.03, 0.40, 0.10)
    targets = np.empty((n, 5))  # opening, width, protrusion, voicing, frication
    targets[:] = (*rest, 0.0, 0.0)
    phrase = np.zeros(n)
    at = round(rng.uniform(0.12, 0.3) / STEP)
    consonants, vowels = list(CONSONANTS), list(VOWELS)
    while at < n:
        start = at
        for _ in range(rng.integers(3, 7)):
            vowel = np.array(VOWELS[vowels[rng.integers(len(vowels))]])
            vowel = np.clip(vowel + 0.05 * rng.standard_normal(3), 0, 1)
            if rng.random() < 0.85:
                name = consonants[rng.integers(len(consonants))]
                jaw, width, round_, voice, noise, length = CONSONANTS[name]
                stop = at + max(1, round(length * rng.uniform(0.8, 1.3) / STEP))
                targets[at:stop] = (
                    jaw,
                    vowel[1] if width is None else width,
                    vowel[2] if round_ is None else round_,
                    voice,
                    noise,
                )
                at = stop
            stop = at + round(rng.uniform(0.12, 0.26) / STEP)
            targets[at:stop] = (*vowel, 1.0, 0.0)
            at = stop
        phrase[start:at] = np.linspace(1.12, 0.88, at - start)[: n - start]
        at += round(rng.uniform(0.25, 0.55) / STEP)
    # The mouth is shut and silent at the very end, where a phrase may be cut off.
    tail = round(min(0.12, 0.1 * seconds) / STEP)
    targets[n - tail :] = (*rest, 0.0, 0.0)

    smooth = _smooth(targets[:, :3], 0.028)
    source = np.clip(_smooth(targets[:, 3:], 0.010), 0, 1)
    # Lips that touch let no vowel through, whatever the source does.
    source[:, 0] *= 0.35 + 0.65 * np.clip(smooth[:, 0] / 0.15, 0, 1)
    melody = np.where(phrase > 0, phrase, 1.0)
    wander = _smooth(rng.standard_normal((n, 2)), 0.08)
    wander /= np.std(wander, axis=0) + 1e-12
    return Track(
        opening=np.clip(smooth[:, 0], 0, 1),
        width=np.clip(smooth[:, 1], 0, 1),
        protrusion=np.clip(smooth[:, 2], 0, 1),
        voicing=source[:, 0],
        frication=source[:, 1],
        tongue=80 * wander[:, 0],
        f0=118 * _smooth(melody[:, None], 0.04)[:, 0] * 2 ** (0.05 * wander[:, 1]),
    )


def _smooth(values: FloatArray, seconds: float) -> FloatArray:
    """Gaussian smoothing over time, edges repeated."""
    half = round(3 * seconds / STEP)
    offsets = np.arange(-half, half + 1) * STEP
    kernel = np.exp(-0.5 * (offsets / seconds) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(values, ((half, half), (0, 0)), mode="edge")
    return np.stack([np.convolve(c, kernel, mode="valid") for c in padded.T], axis=1)


def _sound(
    track: Track, n_samples: int, sample_rate: int, rng: np.random.Generator
) -> FloatArray:
    """Source and filter: pulses and noise, each filtered block by block."""
    time = np.arange(n_samples) / sample_rate
    steps = np.arange(len(track.f0)) * STEP
    phase = np.cumsum(np.interp(time, steps, track.f0)) / sample_rate
    # A pulse where the phase passes an integer, shared between two samples.
    beat = np.flatnonzero(np.diff(np.floor(phase)) > 0)
    share = (np.floor(phase[beat + 1]) - phase[beat]) / (phase[beat + 1] - phase[beat])
    pulses = np.zeros(n_samples)
    height = np.sqrt(sample_rate / track.f0.mean())
    pulses[beat] += (1 - share) * height
    pulses[beat + 1] += share * height
    noise = rng.standard_normal(n_samples)
    voicing = np.interp(time, steps, track.voicing)
    frication = np.interp(time, steps, track.frication)

    hop = round(0.008 * sample_rate)
    middles = np.arange(-1, n_samples // hop + 2) * hop / sample_rate
    at = {
        name: np.interp(middles, steps, getattr(track, name))
        for name in ("opening", "width", "protrusion", "tongue")
    }
    vowel = voicing * (pulses + 0.03 * noise)
    speech = _filter_blocks(vowel, _vowel_response, at, hop, sample_rate)
    hiss = _filter_blocks(frication * noise, _noise_response, at, hop, sample_rate)
    sound = speech + 0.35 * hiss + 2e-4 * rng.standard_normal(n_samples)
    # A fixed gain, not a clip's own peak: loudness has to mean the same everywhere.
    return np.asarray(np.tanh(0.75 * sound) * 0.9)


def _filter_blocks(
    source: FloatArray,
    response: Callable[[FloatArray, dict[str, FloatArray]], NDArray[np.complex128]],
    at: dict[str, FloatArray],
    hop: int,
    sample_rate: int,
) -> FloatArray:
    """Filter overlapping Hann blocks, each with the response at its middle."""
    n_blocks = len(at["opening"])
    window = np.hanning(2 * hop + 1)[:-1]
    padded = np.zeros((n_blocks + 1) * hop)
    padded[2 * hop : 2 * hop + len(source)] = source
    blocks = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[::hop]
    fft_size = 1 << int(np.ceil(np.log2(2 * hop + 0.04 * sample_rate)))
    frequency = np.asarray(np.fft.rfftfreq(fft_size, 1 / sample_rate), np.float64)
    spectrum = np.fft.rfft(blocks[:n_blocks] * window, fft_size)
    filtered = np.fft.irfft(np.multiply(spectrum, response(frequency, at)), fft_size)
    out = np.zeros(n_blocks * hop + fft_size)
    for index, block in enumerate(filtered):
        out[index * hop : index * hop + fft_size] += block
    return out[2 * hop : 2 * hop + len(source)]


def _resonance(
    frequency: FloatArray, centre: FloatArray, width: FloatArray
) -> NDArray[np.complex128]:
    """Second-order resonator of unit gain at zero frequency (a pole pair)."""
    s = 2j * np.pi * frequency[None, :]
    pole = (-np.pi * width + 2j * np.pi * centre)[:, None]
    return np.asarray(np.abs(pole) ** 2 / ((s - pole) * (s - np.conj(pole))))


def _vowel_response(
    frequency: FloatArray, at: dict[str, FloatArray]
) -> NDArray[np.complex128]:
    jaw, width, round_ = at["opening"], at["width"], at["protrusion"]
    first = 270 + 520 * jaw
    second = np.maximum(900 + 1350 * width - 350 * round_ - 250 * jaw, first + 200)
    second = second + np.clip(at["tongue"], -150, 150)
    third = 2400 + 350 * width - 250 * round_
    ones = np.ones_like(jaw)
    response = _resonance(frequency, first, 70 * ones)
    response = response * _resonance(frequency, second, 100 * ones)
    response = response * _resonance(frequency, third, 140 * ones)
    response = response * _resonance(frequency, 3500 * ones, 220 * ones)
    response = response * _resonance(frequency, 4700 * ones, 350 * ones)
    # Glottal slope and the lips' radiation; a closed mouth is muffled.
    glottis = 1 / (1 + 1j * frequency / 120) * (frequency / 300) / (1 + frequency / 400)
    open_ = np.clip(jaw / 0.2, 0.0, 1)[:, None]
    muffle = 1 / (1 + (1 - open_) * (frequency[None, :] / 500) ** 2)
    return np.asarray(response * glottis[None, :] * muffle)


def _noise_response(
    frequency: FloatArray, at: dict[str, FloatArray]
) -> NDArray[np.complex128]:
    # Rounded lips lengthen the front cavity: its noise is lower.
    centre = 4600 - 1900 * at["protrusion"]
    band = np.exp(-0.5 * ((frequency[None, :] - centre[:, None]) / 900) ** 2)
    return np.asarray(band + 0.04, dtype=np.complex128)
