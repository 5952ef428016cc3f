"""Figures of one system on the test clips, over all of them and clip by clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drm_transformers.clips import ClipError, read_clip
from drm_transformers.resampling import resample
from drm_transformers.vocoder import analyze, frame_features, synthesize
from sklearn_drm.lipspeech.alignments import Word, spoken_part, words_from
from sklearn_drm.lipspeech.experiment_measures import MEASURES, Figure
from sklearn_drm.lipspeech.features import FeatureSettings
from sklearn_drm.lipspeech.intelligibility import (
    lip_similarity,
    speech_intelligibility,
)
from sklearn_drm.lipspeech.representation import Representation, Views
from sklearn_drm.metrics import (
    mel_cepstral_distortion,
    modulation_spectrum_distance,
    pooled_r2,
    variance_ratio,
    variance_ratios,
)

__all__ = [
    "Target",
    "clip_figures",
    "pooled_figures",
    "read_target",
    "waveform_of",
]

FloatArray = NDArray[np.float32]
Values = dict[str, float | None]


BAND = (0.7, 1.3)


@dataclass(frozen=True)
class Target:
    """A test clip as it should come out.

    Attributes
    ----------
    name : str
    natural : ndarray of shape (n_samples,)
        The clip's own sound.
    resynthesized : ndarray of shape (n_samples,)
        WORLD's analysis and synthesis of it with a row of features every 5 ms.
    sample_rate : int
        Of both, in Hz.
    words : tuple of Word
        The clip's alignment, timed from its first frame; empty where there is none.
    """

    name: str
    natural: NDArray[np.float64]
    resynthesized: NDArray[np.float64]
    sample_rate: int
    words: tuple[Word, ...]

    @property
    def part(self) -> tuple[float, float] | None:
        """Seconds that STOI and ESTOI are measured over; None: the whole clip."""
        return spoken_part(self.words)


def read_target(
    path: Path,
    maps: Representation,
    n_frames: int,
    words: tuple[Word, ...] = (),
) -> Target:
    """Read the sound of a test clip.

    Parameters
    ----------
    path : pathlib.Path
    maps : Representation
    n_frames : int
        Number of the clip's video frames.
    words : tuple of Word, default=()
        The alignment, timed from the beginning of the file; where the clip's first
        pictures are damaged and were dropped, that is earlier than the clip's.

    Returns
    -------
    Target

    Raises
    ------
    ClipError
        If the clip can no longer be read.
    """
    settings = maps.settings
    clip = read_clip(path, frame_rate=settings.frame_rate, sound="required")
    if clip.waveform is None or clip.sample_rate is None:
        raise ClipError(f"{path}: no sound track")
    rate, n_samples = settings.sample_rate, samples_of(n_frames, settings)
    natural = resample(clip.waveform, clip.sample_rate, rate)[:n_samples]
    world = analyze(clip.waveform, clip.sample_rate, target_rate=rate)
    hops = frame_features(world, len(world.f0), 1 / world.hop)
    made = synthesize(
        maps.cepstrum.transform(hops.envelope).astype(np.float64),
        hops.excitation,
        frame_rate=1 / world.hop,
        n_samples=n_samples,
        sample_rate=rate,
    )
    said = words_from(words, clip.start)
    return Target(path.stem, natural, np.asarray(made), rate, said)


def samples_of(n_frames: int, settings: FeatureSettings) -> int:
    """Samples of sound that belong to a number of video frames."""
    return round(n_frames * settings.sample_rate / settings.frame_rate)


def waveform_of(
    maps: Representation,
    cepstra: FloatArray,
    excitation: FloatArray,
) -> NDArray[np.float64]:
    """Sound of standardised speech rows.

    Parameters
    ----------
    maps : Representation
    cepstra : ndarray of shape (n_frames, n_cepstra)
    excitation : ndarray of shape (n_frames, 2 + n_bands)

    Returns
    -------
    ndarray of shape (n_samples,)
    """
    mel = maps.mel_cepstra(cepstra).astype(np.float64)
    settings = maps.settings
    made = synthesize(
        mel,
        np.asarray(maps.excitation_scaler.inverse_transform(excitation), np.float64),
        frame_rate=settings.frame_rate,
        n_samples=samples_of(len(mel), settings),
        sample_rate=settings.sample_rate,
    )
    return np.asarray(made)


def clip_figures(
    maps: Representation,
    views: Views,
    target: Target,
    speech: tuple[FloatArray, FloatArray] | None,
    lips: FloatArray | None,
) -> Values:
    """Figures of one system on one clip.

    Parameters
    ----------
    maps : Representation
    views : Views
        Of this clip alone.
    target : Target
    speech : (cepstra, excitation) or None
        Predicted, standardised; None: this direction is not predicted.
    lips : ndarray of shape (n_frames, n_lips) or None
        Predicted, standardised; None likewise.

    Returns
    -------
    dict
        Values by key of `MEASURES`, and the sums that pooled pixels need.
    """
    values: Values = {}
    if speech is not None:
        values |= _speech_figures(maps, views.cepstra, speech[0])
        sound = waveform_of(maps, *speech)
        values |= sound_figures(target, sound)
    if lips is not None:
        values |= _lip_figures(views, lips)
        true, made = views.images.astype(np.float32), maps.pixels(lips)
        values["pixel_error"] = float(np.square(true - made, dtype=np.float64).sum())
        values["pixel_total"] = float(
            np.square(true - maps.mean_image, dtype=np.float64).sum()
        )
        values["r2_pixels"] = _share(values)
        values["ssim"] = lip_similarity(true, made)
    return values


def sound_figures(target: Target, sound: NDArray[np.float64]) -> Values:
    """STOI and ESTOI of a sound made for a clip."""
    both = speech_intelligibility(
        target.natural, sound, target.sample_rate, target.part
    )
    return dict(zip(("stoi", "estoi"), both or (None, None), strict=True))


def pooled_figures(
    maps: Representation,
    views: Views,
    clips: Sequence[Values],
    speech: tuple[FloatArray, FloatArray] | None,
    lips: FloatArray | None,
) -> dict[str, Figure]:
    """Figures of one system over all test clips.

    Parameters
    ----------
    maps : Representation
    views : Views
        Of all test clips.
    clips : sequence of dict
        From `clip_figures`, one for each clip.
    speech, lips
        As in `clip_figures`, of all clips.

    Returns
    -------
    dict of Figure
        One for each of `MEASURES`.
    """
    pooled: Values = {}
    groups = views.groups
    if speech is not None:
        pooled |= _speech_figures(maps, views.cepstra, speech[0])
        pooled["modulation"] = _modulation(views.cepstra, speech[0], groups)
    if lips is not None:
        pooled |= _lip_figures(views, lips)
        pooled["r2_pixels"] = _share(
            {
                key: sum(clip[key] or 0.0 for clip in clips)
                for key in ("pixel_error", "pixel_total")
            }
        )
    figures = {}
    for measure in MEASURES:
        own = tuple(clip.get(measure.key) for clip in clips)
        known = [value for value in own if value is not None]
        value = pooled.get(measure.key)
        if measure.key in ("stoi", "estoi", "ssim") and known:
            value = float(np.mean(known))
        spread = float(np.std(known, ddof=1)) if len(known) > 1 else None
        if measure.key == "modulation" and speech is not None:
            spread = _jackknife_spread(views.cepstra, speech[0], groups, value)
        figures[measure.key] = Figure(value, spread, own)
    return figures


def _speech_figures(
    maps: Representation, true: FloatArray, predicted: FloatArray
) -> Values:
    ratios = _or_none(lambda: variance_ratios(true, predicted))
    known = ratios is not None
    return {
        "r2_speech": pooled_r2(true, predicted),
        "correlation_speech": _correlation(true, predicted),
        "mcd": mel_cepstral_distortion(
            maps.mel_cepstra(true), maps.mel_cepstra(predicted)
        ),
        "variance_median": float(np.median(ratios)) if known else None,
        "variance_pooled": _or_none(lambda: variance_ratio(true, predicted)),
        "variance_in_band": float(
            np.mean((ratios >= BAND[0]) & (ratios <= BAND[1])).round(6)
        )
        if known
        else None,
    }


def _lip_figures(views: Views, lips: FloatArray) -> Values:
    return {
        "r2_lips": pooled_r2(views.lips, lips),
        "variance_lips": _or_none(
            lambda: variance_ratio(views.lips, lips, views.groups)
        ),
    }


def _correlation(true: FloatArray, predicted: FloatArray) -> float | None:
    """Σ covariances over the root of Σ variances times Σ variances."""
    a, b = (np.asarray(v, np.float64) - v.mean(0) for v in (true, predicted))
    scale = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    # What a constant prediction leaves is rounding error.
    if np.square(b).sum() < 1e-9 * np.square(a).sum():
        return None
    return float((a * b).sum()) / scale if scale else None


def _share(values: Values) -> float | None:
    error, total = values["pixel_error"], values["pixel_total"]
    return 1 - error / total if error is not None and total else None


def _modulation(
    true: FloatArray, predicted: FloatArray, groups: NDArray[np.intp]
) -> float | None:
    result: float | None = _or_none(
        lambda: modulation_spectrum_distance(true, predicted, groups)
    )
    return result


def _jackknife_spread(
    true: FloatArray,
    predicted: FloatArray,
    groups: NDArray[np.intp],
    whole: float | None,
) -> float | None:
    """Spread over clips of a figure that single clips do not have.

    The standard deviation of the jackknife's pseudo-values; for a mean over clips
    it is the standard deviation over clips itself.
    """
    labels = np.unique(groups)
    if len(labels) < 2 or whole is None:
        return None
    n = len(labels)
    values = []
    for label in labels:
        kept = groups != label
        without = _modulation(true[kept], predicted[kept], groups[kept])
        if without is None:
            return None
        values.append(n * whole - (n - 1) * without)
    return float(np.std(values, ddof=1))


def _or_none(compute: Callable[[], Any]) -> Any:
    """A figure, or None where a clip does not vary and it is undefined."""
    try:
        return compute()
    except ValueError:
        return None
