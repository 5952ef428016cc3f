"""Scores of a converter and its baselines on clips it has not seen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPRegressor
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from sklearn_drm.lipspeech.converter import LipSpeechConverter
from sklearn_drm.lipspeech.features import ClipFeatures
from sklearn_drm.lipspeech.representation import Representation, Views
from sklearn_drm.lipspeech.stopping import stop_by_group
from sklearn_drm.metrics import (
    mel_cepstral_distortion,
    pooled_r2,
    variance_ratio,
    within_group_r2,
)

__all__ = ["Evaluation", "Score", "evaluate", "format_table"]

FloatArray = NDArray[np.float32]


class _Predictor(Protocol):
    def predict(self, X: FloatArray) -> FloatArray: ...


@dataclass(frozen=True)
class Score:
    """How well one system converts the test clips, both ways.

    Attributes
    ----------
    system : str
        What was scored.
    r2_speech, r2_lips : float
        Pooled R² on views standardised with training statistics, raw: the
        system gets nothing from the target clip.
    r2_speech_within, r2_lips_within : float
        The same with the clip's own mean removed from target and prediction.
    mcd : float
        Mel-cepstral distortion over c1..., in dB.
    speech_variance_ratio : float or None
        Variance of the predicted mel-cepstra over that of the true ones.
    r2_pixels, r2_pixels_within : float
        Pooled R² of the lip images in grey values.
    fit_seconds : float or None, default=None
        Time it took to fit both directions, where known.

    Examples
    --------
    >>> from sklearn_drm.lipspeech import Score
    >>> mean = Score("mean", 0.0, 0.0, 5.3, 0.0, 0.0, 0.0, 0.0, 0.0)
    >>> mean.mcd
    5.3
    """

    system: str
    r2_speech: float
    r2_speech_within: float
    mcd: float
    speech_variance_ratio: float | None
    r2_lips: float
    r2_lips_within: float
    r2_pixels: float
    r2_pixels_within: float
    fit_seconds: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """Scores of several systems on the same clips.

    Attributes
    ----------
    scores : tuple of Score
    n_clips, n_frames : int
        Size of the test set.
    context : int
        Neighbouring frames on each side that every system sees.
    clip_mean_removed : bool
        Whether each clip's offset was removed from its lip features, for every system.

    Examples
    --------
    >>> from sklearn_drm.lipspeech import Evaluation, Score
    >>> mean = Score("mean", 0.0, 0.0, 5.3, 0.0, 0.0, 0.0, 0.0, 0.0)
    >>> Evaluation((mean,), 1, 75, 4, True).to_dict()["scores"][0]["system"]
    'mean'
    """

    scores: tuple[Score, ...]
    n_clips: int
    n_frames: int
    context: int
    clip_mean_removed: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON.

        Returns
        -------
        dict
            Fields by name; scores as dictionaries.
        """
        return asdict(self)


def evaluate(
    converter: LipSpeechConverter,
    test: Sequence[ClipFeatures],
    *,
    train: Sequence[ClipFeatures] | None = None,
    random_state: int | None = 0,
) -> Evaluation:
    """Score a converter, the training mean and ridge on clips; and MLPs on demand.

    Parameters
    ----------
    converter : LipSpeechConverter
        Fitted.
    test : sequence of ClipFeatures
        Clips that were not used to fit.
    train : sequence of ClipFeatures, optional
        The clips of the fit; with them, two `MLPRegressor` (one per direction,
        two logistic layers of 100 units, early stopping) are fitted as well:
        once stopped on random rows as scikit-learn does it, once on whole clips.
    random_state : int or None, default=0
        Seed of the MLPs.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        If there are no clips, or they were read with other settings than the
        converter's.

    Notes
    -----
    R² is pooled over dimensions, 1 - Σ (y - ŷ)² / Σ (y - ȳ)², with ȳ the mean of
    the training set. Where a converter removes a clip's mean from the lip
    features it predicts a deviation; for the raw figures the training mean is
    added to that, never anything of the test clip. Every system is given what a
    conversion is given, lip features without the clip's most probable offset, so clips
    cut to their words can be scored too.

    R² and MCD are over all frames, pauses included, with one mean envelope per video
    frame (40 ms at 25 frames per second). They are not comparable with figures over
    speech frames every 5 ms.

    Examples
    --------
    >>> from sklearn_drm import GGDRMRegressor
    >>> from sklearn_drm.lipspeech import (FeatureSettings, LipSpeechConverter,
    ...                                    clip_features, evaluate, make_lip_speech)
    >>> settings = FeatureSettings(box=(0, 0, 110))
    >>> clips = [clip_features(clip, settings)
    ...          for clip in make_lip_speech(4, 0.8, random_state=0)]
    >>> small = GGDRMRegressor(n_hidden_units=8, fine_tune_epochs=2, random_state=0)
    >>> converter = LipSpeechConverter(small).fit(clips[:3])
    >>> [score.system for score in evaluate(converter, clips[3:]).scores]
    ['mean', 'ridge', 'DRM']
    """
    check_is_fitted(converter, "representation_")
    maps = converter.representation_
    views = maps.as_converted(maps.views(test))
    n = maps.n_cepstra
    nothing = np.zeros_like(views.cepstra), np.zeros_like(views.lips)
    linear = (
        np.asarray(converter.ridge_speech_.predict(views.lips_in)[:, :n]),
        # scikit-learn's predictions of one column are a vector.
        np.reshape(converter.ridge_lips_.predict(views.speech_in), views.lips.shape),
    )
    scores = [
        _score("mean", maps, views, *nothing),
        _score("ridge", maps, views, *linear),
    ]
    if train is not None:
        training = maps.views(train)
        pairs = (
            ("two MLPs, stopped on rows", False),
            ("two MLPs, stopped on clips", True),
        )
        for system, by_clip in tqdm(pairs, desc="perceptrons", disable=None):
            began = time.perf_counter()
            to_speech, to_lips = _fit_mlps(training, by_clip, random_state)
            seconds = time.perf_counter() - began
            cepstra = np.asarray(to_speech.predict(views.lips_in))
            lips = np.reshape(to_lips.predict(views.speech_in), views.lips.shape)
            scores.append(_score(system, maps, views, cepstra, lips, seconds))
    predicted = converter.predict_views(views)
    scores.append(_score("DRM", maps, views, *predicted, converter.fit_seconds_))
    return Evaluation(
        scores=tuple(scores),
        n_clips=len(test),
        n_frames=len(views.groups),
        context=converter.context,
        clip_mean_removed=converter.remove_clip_mean,
    )


def _score(
    system: str,
    maps: Representation,
    views: Views,
    cepstra: FloatArray,
    lips: FloatArray,
    seconds: float | None = None,
) -> Score:
    """Figures of one pair of predictions on the standardised views."""
    groups = views.groups
    pixels, drawn = views.images.astype(np.float32), maps.pixels(lips)
    return Score(
        system=system,
        r2_speech=pooled_r2(views.cepstra, cepstra),
        r2_speech_within=within_group_r2(views.cepstra, cepstra, groups),
        mcd=mel_cepstral_distortion(
            maps.mel_cepstra(views.cepstra), maps.mel_cepstra(cepstra)
        ),
        # Without any variation, as in silence, there is no such ratio.
        speech_variance_ratio=variance_ratio(views.cepstra, cepstra)
        if np.ptp(views.cepstra, axis=0).any()
        else None,
        r2_lips=pooled_r2(views.lips, lips),
        r2_lips_within=within_group_r2(views.lips, lips, groups),
        r2_pixels=pooled_r2(pixels, drawn, reference=maps.mean_image),
        r2_pixels_within=within_group_r2(pixels, drawn, groups),
        fit_seconds=seconds,
    )


def _fit_mlps(
    views: Views, by_clip: bool, seed: int | None
) -> tuple[_Predictor, _Predictor]:
    fit = _fit_mlp_by_clip if by_clip else _fit_mlp
    return (
        fit(views.lips_in, views.cepstra, views.groups, seed),
        fit(views.speech_in, views.lips_centred, views.groups, seed),
    )


def _mlp(seed: int | None, **options: Any) -> MLPRegressor:
    return MLPRegressor(
        hidden_layer_sizes=(100, 100),
        activation="logistic",
        random_state=seed,
        **options,
    )


def _fit_mlp(
    X: FloatArray, Y: FloatArray, groups: NDArray[np.intp], seed: int | None
) -> _Predictor:
    fitted: _Predictor = _mlp(seed, early_stopping=True).fit(X, Y)
    return fitted


def _fit_mlp_by_clip(
    X: FloatArray, Y: FloatArray, groups: NDArray[np.intp], seed: int | None
) -> _Predictor:
    """The same network, its early stopping watching a tenth of the clips."""
    if len(np.unique(groups)) < 2:
        return _fit_mlp(X, Y, groups, seed)
    fitted: _Predictor = stop_by_group(_mlp(seed), X, Y, groups, seed)
    return fitted


def counted(n_clips: int) -> str:
    """Number of clips in words."""
    return f"{n_clips} clip{'' if n_clips == 1 else 's'}"


def format_table(evaluation: Evaluation) -> str:
    """The scores as a plain table.

    Parameters
    ----------
    evaluation : Evaluation
        What :func:`evaluate` returned.

    Returns
    -------
    str
        Several lines, one per system.

    Examples
    --------
    >>> from sklearn_drm.lipspeech import Evaluation, Score, format_table
    >>> mean = Score("mean", 0.0, 0.0, 5.3, 0.0, 0.0, 0.0, 0.0, 0.0)
    >>> format_table(Evaluation((mean,), 1, 75, 4, True)).splitlines()[3].split()[:4]
    ['mean', '0.000', '0.000', '5.30']
    """
    heads = [
        ["", "speech", "", "", "", "lips", "", "pixels", "", "fit"],
        ["system", "R² raw", "within", "MCD dB", "var.", "R² raw", "within"]
        + ["R² raw", "within", "s"],
    ]
    body = [
        [
            score.system,
            f"{score.r2_speech:.3f}",
            f"{score.r2_speech_within:.3f}",
            f"{score.mcd:.2f}",
            ""
            if score.speech_variance_ratio is None
            else f"{score.speech_variance_ratio:.2f}",
            f"{score.r2_lips:.3f}",
            f"{score.r2_lips_within:.3f}",
            f"{score.r2_pixels:.3f}",
            f"{score.r2_pixels_within:.3f}",
            "" if score.fit_seconds is None else f"{score.fit_seconds:.0f}",
        ]
        for score in evaluation.scores
    ]
    table = heads + body
    widths = [max(len(row[k]) for row in table) for k in range(len(heads[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    lines.insert(2, "-" * max(map(len, lines)))
    removed = "removed from" if evaluation.clip_mean_removed else "kept in"
    lines.append(
        f"{counted(evaluation.n_clips)}, {evaluation.n_frames} frames; context "
        f"±{evaluation.context} frames; each clip's offset {removed} the "
        "lip features"
    )
    return "\n".join(lines)
