"""The report of an experiment: tables, the paper's two figures, players."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drm_transformers.clips import atomic_path
from sklearn_drm.lipspeech.experiment_records import (
    Experiment,
    SystemResult,
    sound_of,
)
from sklearn_drm.lipspeech.experiment_tables import (
    best_of,
    definitions,
    html_table,
    markdown_tables,
    meanings,
    part_note,
    spread_note,
)
from sklearn_drm.lipspeech.pages import frame_loudness
from sklearn_drm.lipspeech.pictures import lip_strip, spectrogram_pair
from sklearn_drm.lipspeech.report import Report, audio_player, video_player
from sklearn_drm.lipspeech.systems import DEFAULT

__all__ = ["write_results"]

# Rows of the paper's figures, and the system that they are compared with at the end.
_PAPER = {
    "random DNN": "random DNN pair",
    "DRM, before fine-tuning": "DRM before fine-tuning",
    "DRM, after fine-tuning": "DRM separate",
}
_N_CLIPS = 3
_NAMES = {
    "mean": "the mean of the training clips at every instant",
    "ridge, PLS": "linear regressions",
    "GMM, trajectory": "a joint-density mixture of Gaussians with dynamic features, "
    "from which the most likely trajectory is generated",
    "HMM": "states aligned to speech, each with a mean of the lips' features",
    "random DNN pair": "one perceptron for each direction from random weights",
    "DRM": "one Deep Relational Model for both directions: before its fine-tuning, "
    "fine-tuned as one set of weights (joint), or as one network for each direction "
    "(separate, as in the paper)",
    "±4": "sees four frames on each side; without it, one frame alone",
    "MLPG": "the most likely trajectory given predicted differences in time",
    "GV, MS": "a filter that gives trajectories the natural global variance or "
    "modulation spectrum",
}


@dataclass(frozen=True)
class _Shown:
    """A system under the name that it has in figures."""

    label: str
    result: SystemResult


def write_results(experiment: Experiment, folder: Path, seconds: float) -> Path:
    """Write figures, tables and the report into a folder.

    Parameters
    ----------
    experiment : Experiment
    folder : pathlib.Path
        Gets ``report.html``, ``results.json``, ``table.md`` and the figures as PNG.
    seconds : float
        Time that the run took.

    Returns
    -------
    pathlib.Path
        The report.
    """
    shown = _shown(experiment)
    order = _clips_by_score(experiment, shown)
    typical = order[len(order) // 2]
    page = Report(
        "Every system on the same clips",
        f"{len(experiment.results)} systems, fitted on "
        f"{len(experiment.train_names)} clips ({experiment.n_train_frames} frames) and "
        f"compared on {len(experiment.targets)} others "
        f"({len(experiment.views.groups)} frames). This run took {seconds / 60:.0f} "
        "min; what an earlier run in this folder had fitted was not fitted again.",
    )
    for name, why in experiment.failures:
        page.text(f"Left out, because it failed: {name} ({why}).")
    page.text(_summary(experiment))
    _add_tables(page, experiment)
    figures = _add_figures(page, experiment, shown, typical)
    _add_players(page, experiment, shown, _spread_out(order))
    _add_method(page, experiment)
    for name, png in figures.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_bytes(png)
    _write_text(folder / "table.md", markdown_tables(experiment))
    results = json.dumps(experiment.to_dict(), indent=1, ensure_ascii=False)
    _write_text(folder / "results.json", results + "\n")
    report = folder / "report.html"
    page.write(report)
    return report


def _summary(experiment: Experiment) -> str:
    """The best systems by the measures that say most."""
    found = []
    for key, words in (
        ("r2_speech", "R² of speech"),
        ("estoi", "ESTOI"),
        ("r2_lips", "R² of lips"),
        ("ssim", "SSIM of lips"),
    ):
        best = best_of(experiment, key)
        if best is not None:
            value = f"{best[1]:.3f}".replace("-", "−")
            found.append(f"{words} {value} by {best[0]}")
    return f"Best: {'; '.join(found)}." if found else ""


def _add_tables(page: Report, experiment: Experiment) -> None:
    page.section("Speech from lips")
    page.markup(html_table(experiment, "speech"))
    page.text(
        f"{spread_note()} {part_note(experiment)} The last two rows are ceilings: the "
        "clips' own features made into sound again, once as the systems have them, "
        "one row per video frame, and once with a row every 5 ms. The best value of "
        "a column is green."
    )
    page.section("Lips from speech")
    page.markup(html_table(experiment, "lips"))
    page.text(
        "The systems predict movements around a clip's own mean picture, which they "
        "are not given: in all these figures the mean training picture stands in for "
        "it, so differences between clips count as errors of every system alike."
    )


def _add_figures(
    page: Report, experiment: Experiment, shown: list[_Shown], clip: int
) -> dict[str, bytes]:
    """Add the paper's two figures and return them by file name."""
    rate = experiment.maps.settings.frame_rate
    target, rows = experiment.targets[clip], experiment.rows_of(clip)
    paper = [one for one in shown if one.label != DEFAULT]
    images = experiment.views.images[rows]
    loudness = frame_loudness(target.natural, len(images))
    lips = [("original", images), *_lips(experiment, paper, clip)]
    sounds = [
        ("original", target.natural, target.sample_rate),
        *_sounds(experiment, paper, clip),
    ]
    words = [(w.text, w.start, w.end) for w in target.words if not w.is_silence]
    figures = {
        "figure1-lips.png": lip_strip(lips, rate, loudness=loudness),
        "figure2-spectrograms.png": spectrogram_pair(sounds, words=words),
    }
    page.section("Lip images, the paper's figure 1")
    page.picture(
        figures["figure1-lips.png"],
        f"Clip {target.name}, made from its sound alone, as movements of the mean "
        "training picture. The same instants in all rows, loud and soft in turn. The "
        "clip is the one with the median R² of speech among the test clips.",
    )
    page.section("Spectrograms, the paper's figure 2")
    marks = " Lines and words are the clip's own alignment." if words else ""
    page.picture(
        figures["figure2-spectrograms.png"],
        f"Clip {target.name}, made from its lips alone. Time in seconds across, "
        f"frequency in kHz up, one colour scale for all.{marks}",
    )
    if len(shown) > 1 and shown[-1].label == DEFAULT:
        page.section("The averaging, and without it")
        pair = shown[-2:]
        figures["figure3-spectrograms.png"] = spectrogram_pair(
            [sounds[0], *_sounds(experiment, pair, clip)], words=words
        )
        page.picture(
            figures["figure3-spectrograms.png"],
            f"Clip {target.name} again: the paper's system, which predicts a mean, and "
            f"{DEFAULT}, whose trajectories move as much as natural ones.{marks}",
        )
        figures["figure4-lips.png"] = lip_strip(
            [lips[0], *_lips(experiment, pair, clip)], rate, loudness=loudness
        )
        page.picture(figures["figure4-lips.png"], "Lip images of the same two systems.")
    return figures


def _sounds(
    experiment: Experiment, shown: list[_Shown], clip: int
) -> list[tuple[str, NDArray[Any], int]]:
    rate = experiment.targets[clip].sample_rate
    return [
        (one.label, sound, rate)
        for one in shown
        if (sound := sound_of(experiment, one.result, clip)) is not None
    ]


def _lips(
    experiment: Experiment, shown: list[_Shown], clip: int
) -> list[tuple[str, NDArray[Any]]]:
    rows = experiment.rows_of(clip)
    return [
        # Beside the pictures there is room for two words in a line.
        ("\n".join(wrap(one.label, 13)), experiment.maps.pixels(made.lips[rows]))
        for one in shown
        if (made := one.result.predictions) and made.lips is not None
    ]


def _add_players(
    page: Report, experiment: Experiment, shown: list[_Shown], clips: list[int]
) -> None:
    rate = experiment.maps.settings.frame_rate
    page.section(
        "Watch and listen",
        "Clips from the worse, the middle and the better part of the test clips by R² "
        "of speech."
        if len(clips) == _N_CLIPS
        else "",
    )
    for clip in clips:
        target, rows = experiment.targets[clip], experiment.rows_of(clip)
        images, sound_rate = experiment.views.images[rows], target.sample_rate
        said = " ".join(w.text for w in target.words if not w.is_silence)
        page.heading(f"{target.name}: “{said}”" if said else target.name)
        page.text("Lips to speech: the original picture with generated sound.")
        players = [
            video_player(images, rate, target.natural, sound_rate, "original"),
        ]
        for one in shown:
            sound = sound_of(experiment, one.result, clip)
            if sound is not None:
                players.append(video_player(images, rate, sound, sound_rate, one.label))
        players.append(
            audio_player(
                target.resynthesized,
                sound_rate,
                "the clip's own features every 5 ms: the ceiling",
            )
        )
        page.players(players)
        page.text("Speech to lips: generated pictures with the original sound.")
        page.players(
            [
                video_player(
                    np.round(experiment.maps.pixels(made.lips[rows])).astype(np.uint8),
                    rate,
                    target.natural,
                    sound_rate,
                    one.label,
                )
                for one in shown
                if (made := one.result.predictions) and made.lips is not None
            ]
        )


def _add_method(page: Report, experiment: Experiment) -> None:
    maps = experiment.maps
    page.section("What the columns mean")
    page.heading("Speech from lips")
    page.markup(meanings("speech"))
    page.heading("Lips from speech")
    page.markup(meanings("lips"))
    page.heading("Names of systems")
    page.markup(definitions(_NAMES))
    page.section(
        "How it was done",
        f"Every system was given the same rows, one per video frame: {maps.n_lips} "
        "principal components of the lip images' cosine transform without the clip's "
        f"mean, and {maps.n_cepstra} mel-cepstra with log f0, voicing and "
        "aperiodicity, all standardised on the training clips. Systems with ±4 in "
        "their name add the four frames on each side themselves. Fit times are of all "
        "directions that a system predicts; systems were fitted one after another. "
        f"Seed {experiment.seed}.",
    )
    page.text(SOUND_NOTE)
    page.text(
        "STOI and ESTOI compare a sound with the clip's own. STOI does not begin at 0: "
        "a sound with the right silence around it and nothing right in it has "
        "what the row of the mean has. results.json holds every figure of every "
        "clip, table.md the tables."
    )


SOUND_NOTE = (
    "Each system's sound is made by WORLD from its own mel-cepstra and its own "
    "excitation, with no correction of loudness or voicing for any of them."
)


def _shown(experiment: Experiment) -> list[_Shown]:
    """The systems of the paper's figures, or the first ones where those are absent."""
    by_name = {result.name: result for result in experiment.results}
    shown = [
        _Shown(label, by_name[name])
        for label, name in _PAPER.items()
        if name in by_name
    ]
    if not shown:
        return [_Shown(r.name, r) for r in experiment.results[:3]]
    if DEFAULT in by_name:
        shown.append(_Shown(DEFAULT, by_name[DEFAULT]))
    return shown


def _clips_by_score(experiment: Experiment, shown: list[_Shown]) -> list[int]:
    """Test clips from the worst to the best of the paper's system."""
    paper = [one for one in shown if one.label != DEFAULT] or shown
    known = paper[-1].result.figures["r2_speech"].clips
    values = [-np.inf if value is None else value for value in known]
    return sorted(range(len(values)), key=lambda k: values[k])


def _spread_out(order: list[int]) -> list[int]:
    n = len(order)
    if n < _N_CLIPS:
        return order
    return [order[n // 4], order[n // 2], order[(3 * n) // 4]]


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")
