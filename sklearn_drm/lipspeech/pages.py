"""The reports that the commands leave beside their output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from drm_transformers.clips import Clip
from sklearn_drm.lipspeech.converter import LipSpeechConverter, Speech
from sklearn_drm.lipspeech.evaluation import Evaluation, counted
from sklearn_drm.lipspeech.features import ClipFeatures
from sklearn_drm.lipspeech.pictures import figure_png, lip_strip, spectrogram_pair
from sklearn_drm.lipspeech.report import Report, audio_player, video_player

__all__ = [
    "add_conversion",
    "evaluation_page",
    "fit_page",
    "frame_loudness",
    "lips_to_speech_page",
    "speech_to_lips_page",
]


def lips_to_speech_page(
    clip: Clip, lips: NDArray[np.uint8], frame_rate: float, speech: Speech
) -> Report:
    """Sound made from lips, beside the clip's own sound where it has one.

    Parameters
    ----------
    clip : Clip
    lips : ndarray of shape (n_frames, size, size), dtype uint8
    frame_rate : float
        Of the lip images.
    speech : Speech

    Returns
    -------
    Report
    """
    page = Report(
        f"Speech from the lips of {clip.name}",
        f"{len(lips) / frame_rate:.2f} s. The sound below was made from the pictures "
        "alone.",
    )
    sounds = [("generated from the lips", speech.waveform, speech.sample_rate)]
    players = [
        video_player(
            lips,
            frame_rate,
            speech.waveform,
            speech.sample_rate,
            "The lips that the model saw, with the sound it made",
        ),
        audio_player(speech.waveform, speech.sample_rate, "Generated sound"),
    ]
    if clip.waveform is not None and clip.sample_rate is not None:
        sounds.insert(0, ("original", clip.waveform, clip.sample_rate))
        players.append(audio_player(clip.waveform, clip.sample_rate, "Original sound"))
    page.section("Listen")
    page.players(players)
    page.section("Spectrograms")
    page.picture(
        spectrogram_pair(sounds),
        "Time in seconds across, frequency in kHz up, one colour scale for all."
        if len(sounds) > 1
        else "Time in seconds across, frequency in kHz up. The video has no sound of "
        "its own to compare with.",
    )
    page.section("Lips")
    page.picture(
        lip_strip([("seen", lips)], frame_rate),
        "What the model saw: the mouth at several instants. If this is not a mouth, "
        "say where it is with --box x,y,size.",
    )
    return page


def speech_to_lips_page(
    name: str,
    waveform: NDArray[np.float64],
    sample_rate: int,
    lips: NDArray[np.uint8],
    frame_rate: float,
    original: NDArray[np.uint8] | None,
) -> Report:
    """Lips made from sound, beside the true ones where the file shows them.

    Parameters
    ----------
    name : str
        Of the sound's file.
    waveform : ndarray of shape (n_samples,)
    sample_rate : int
    lips : ndarray of shape (n_frames, size, size), dtype uint8
    frame_rate : float
    original : ndarray of shape (n_frames, size, size), dtype uint8, or None

    Returns
    -------
    Report
    """
    page = Report(
        f"Lips from the sound of {name}",
        f"{len(waveform) / sample_rate:.2f} s. The pictures below were made from the "
        "sound alone.",
    )
    page.section("Watch")
    players = [video_player(lips, frame_rate, waveform, sample_rate, "Generated lips")]
    rows: list[tuple[str, NDArray[Any]]] = [("generated", lips)]
    if original is not None:
        rows.insert(0, ("original", original))
        players.append(
            video_player(original, frame_rate, waveform, sample_rate, "Original lips")
        )
    page.players(players)
    page.section("Lips")
    page.picture(
        lip_strip(rows, frame_rate, loudness=frame_loudness(waveform, len(lips))),
        "Loud and soft instants in turn, the same in each row."
        if original is not None
        else "Loud and soft instants in turn.",
    )
    page.section("Sound")
    page.picture(
        spectrogram_pair([("sound", waveform, sample_rate)]),
        "What the lips were made from: time in seconds across, frequency in kHz up.",
    )
    return page


def fit_page(converter: LipSpeechConverter, name: str) -> Report:
    """What a model learnt of lips, and how its fit went.

    Parameters
    ----------
    converter : LipSpeechConverter
        Fitted.
    name : str
        Of the model's file.

    Returns
    -------
    Report
    """
    frames = converter.n_frames_
    page = Report(
        f"Model {name}",
        f"Fitted on {counted(len(converter.clip_names_))}, {frames} frames "
        f"({frames / converter.settings_.frame_rate:.0f} s), in "
        f"{converter.fit_seconds_:.0f} s. Context ±{converter.context} frames; "
        f"clips' offsets {'removed' if converter.remove_clip_mean else 'kept'}.",
    )
    page.section("Lips")
    n_shown = min(4, converter.representation_.n_lips)
    rows = [("mean", np.repeat(converter.representation_.mean_image[None], 7, axis=0))]
    for k in range(n_shown):
        steps = np.zeros((7, converter.representation_.n_lips), dtype=np.float32)
        steps[:, k] = np.linspace(-2.5, 2.5, 7)
        rows.append((f"component {k + 1}", converter.representation_.pixels(steps)))
    page.picture(
        lip_strip(rows, 1.0, n_instants=7, titles=[f"{s:+.1f} σ" for s in steps[:, k]]),
        "The mean training image, and what the strongest principal components do to "
        "it. These should look like mouths that open, spread and move.",
    )
    curves = _curves(converter.regressor_)
    if curves:
        page.section("Fit")
        page.picture(_curve_png(curves), "Course of the fit, in both directions.")
    page.section("Next")
    page.text(
        "Score the model on clips that it has not seen with 'sklearn-drm evaluate', "
        "convert with 'sklearn-drm lips-to-speech' and 'sklearn-drm speech-to-lips'."
    )
    return page


def evaluation_page(
    converter: LipSpeechConverter,
    evaluation: Evaluation,
    examples: Sequence[tuple[ClipFeatures, Clip]],
    name: str,
    n_known: int = 0,
) -> Report:
    """Scores, and some test clips converted both ways.

    Parameters
    ----------
    converter : LipSpeechConverter
    evaluation : Evaluation
    examples : sequence of (ClipFeatures, Clip)
        Test clips to show.
    name : str
        Of the model's file.
    n_known : int, default=0
        Clips that have the name of a training clip.

    Returns
    -------
    Report
    """
    seen = "One model, both ways, on clips that it has not seen."
    if n_known:
        seen = (
            f"One model, both ways. {n_known} of the {evaluation.n_clips} clips have "
            "the name of a training clip: figures on training clips flatter."
        )
    page = Report(f"Evaluation of {name}", seen)
    page.section("Scores")
    page.table(evaluation)
    for features, clip in examples:
        page.section(features.name)
        add_conversion(page, converter, features, clip)
    return page


def add_conversion(
    page: Report,
    converter: LipSpeechConverter,
    features: ClipFeatures,
    clip: Clip,
) -> None:
    """Show one clip converted both ways beside the original.

    Parameters
    ----------
    page : Report
    converter : LipSpeechConverter
    features : ClipFeatures
    clip : Clip
        The clip that they are of, with its sound.
    """
    assert clip.waveform is not None and clip.sample_rate is not None
    sound, sound_rate = clip.waveform, clip.sample_rate
    rate = converter.settings_.frame_rate
    made = converter.lips_to_speech(features.lips)
    own_face = features.lips.mean(axis=0)
    lips = converter.features_to_lips(features, face=own_face)
    plain = converter.features_to_lips(features)
    page.players(
        [
            video_player(features.lips, rate, sound, sound_rate, "Original"),
            video_player(
                features.lips,
                rate,
                made.waveform,
                made.sample_rate,
                "Lips to speech: original picture, generated sound",
            ),
            video_player(
                lips,
                rate,
                sound,
                sound_rate,
                "Speech to lips: original sound, this face's mean picture moved by it",
            ),
        ]
    )
    loudness = frame_loudness(sound, len(lips))
    page.picture(
        lip_strip(
            [("original", features.lips), ("on this face", lips), ("mean face", plain)],
            rate,
            loudness=loudness,
        ),
        "Speech to lips: lip images made from the sound alone, as movements of this "
        "clip's mean picture and of the mean training picture. The same instants in "
        "all rows, loud and soft in turn.",
    )
    page.picture(
        spectrogram_pair(
            [
                ("original", sound, sound_rate),
                ("generated from the lips", made.waveform, made.sample_rate),
            ]
        ),
        "Lips to speech: sound made from the pictures alone. Time in seconds across, "
        "frequency in kHz up, one colour scale for both.",
    )


def frame_loudness(waveform: NDArray[np.float64], n_frames: int) -> NDArray[np.float64]:
    """Sound power of each video frame.

    Parameters
    ----------
    waveform : ndarray of shape (n_samples,)
    n_frames : int, range [1, inf)

    Returns
    -------
    ndarray of shape (n_frames,)
    """
    edges = np.linspace(0, len(waveform), n_frames + 1).astype(int)
    power = np.concatenate([[0.0], np.cumsum(waveform**2)])
    return np.asarray(np.diff(power[edges]) / np.maximum(np.diff(edges), 1))


_DIRECTIONS = {"y": "speech from lips", "x": "lips from speech"}


def _curves(regressor: Any) -> list[tuple[str, dict[str, NDArray[np.float64]]]]:
    """What can be drawn of the fit: a title and labelled curves for each panel."""
    panels = []
    for title, attribute in (
        ("training loss", "loss_curve_"),
        ("R² on clips set aside", "validation_scores_"),
    ):
        found = getattr(regressor, attribute, None)
        if not isinstance(found, dict):
            found = {"": found}
        curves = {}
        for key, values in found.items():
            try:
                curve = np.asarray(values, dtype=np.float64)
            except (TypeError, ValueError):
                continue
            if curve.ndim == 1 and len(curve) > 1 and np.isfinite(curve).all():
                curves[_DIRECTIONS.get(str(key), str(key))] = curve
        # Pre-training counts another loss, which would flatten the others.
        first = curves.pop("pretrain", None)
        if first is not None:
            panels.append(("pre-training loss", {"": first}))
        if curves:
            panels.append((title, curves))
    return panels


def _curve_png(panels: list[tuple[str, dict[str, NDArray[np.float64]]]]) -> bytes:
    figure = Figure(figsize=(11.0, 2.9), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, curves) in zip(axes, panels, strict=True):
        for (label, curve), colour in zip(
            curves.items(), ("#2f5fb3", "#c2592b", "#3a8f5c"), strict=False
        ):
            axis.plot(np.arange(1, len(curve) + 1), curve, color=colour, label=label)
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_xlabel("epoch")
        axis.spines[["top", "right"]].set_visible(False)
        if len(curves) > 1:
            axis.legend(frameon=False, fontsize=9)
    return figure_png(figure)
