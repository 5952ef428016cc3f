"""Every system on the same clips: fit, predict, measure, and go on where it stopped."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from joblib import cpu_count, delayed
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter
from tqdm import tqdm

from sklearn_drm.lipspeech.alignments import Word
from sklearn_drm.lipspeech.experiment_measures import Figure
from sklearn_drm.lipspeech.experiment_records import (
    Experiment,
    Predictions,
    SystemResult,
)
from sklearn_drm.lipspeech.experiment_scores import (
    Target,
    Values,
    clip_figures,
    pooled_figures,
    read_target,
    sound_figures,
    waveform_of,
)
from sklearn_drm.lipspeech.experiment_store import ResultStore, source_digest
from sklearn_drm.lipspeech.feature_cache import Loaded
from sklearn_drm.lipspeech.features import FeatureSettings
from sklearn_drm.lipspeech.parallel import results_of
from sklearn_drm.lipspeech.representation import (
    Representation,
    Views,
    fit_representation,
)

__all__ = ["run_experiment", "tell_above_bar"]

FloatArray = NDArray[np.float32]
Tell = Callable[[str], None]

# What predictions and figures depend on besides their input.
_FITTED_BY = (
    "core",
    "learning",
    "estimators",
    "fitted_view.py",
    "metrics.py",
    "versioned.py",
    "views.py",
    "lipspeech/features.py",
    "lipspeech/representation.py",
    "lipspeech/stopping.py",
    "lipspeech/systems",
)
_SCORED_BY = (
    "metrics.py",
    "lipspeech/alignments.py",
    "lipspeech/experiment_measures.py",
    "lipspeech/experiment_scores.py",
    "lipspeech/intelligibility.py",
)
CEILINGS = ("own features, one row per frame", "own features, a row every 5 ms")
"""Rows of the table for the clips' own sound, analysed and synthesised by WORLD."""


def run_experiment(
    systems: dict[str, Any],
    train: Loaded,
    test: Loaded,
    folder: Path,
    *,
    words: Sequence[tuple[Word, ...]] | None = None,
    settings: FeatureSettings | None = None,
    n_lips: int = 40,
    n_cepstra: int = 32,
    seed: int = 0,
    n_jobs: int | None = None,
    strict: bool = False,
    tell: Tell = print,
    warn: Tell | None = None,
) -> Experiment:
    """Run every system on the same clips.

    Parameters
    ----------
    systems : dict of str to estimator
        Unfitted, with `fit(X, y, groups)` and one or both of `predict_y(X, groups)`
        and `predict_x(y, groups)`; X are standardised lip features of single frames
        without each clip's mean, y standardised mel-cepstra and excitation.
    train, test : Loaded
        Features of the clips.
    folder : pathlib.Path
        Where results of single systems are kept; must exist. What is there from the
        same systems, clips, settings and source code is not made again.
    words : sequence of tuple of Word, optional
        Alignment of each test clip, empty where there is none: STOI and ESTOI are
        measured from its first word to its last.
    settings : FeatureSettings, optional
        How the clips were read.
    n_lips, n_cepstra : int, default=40, 32
        Size of the views.
    seed : int, default=0
        The systems' own, for the record.
    n_jobs : int, optional
        Processes that measure at a time; None: one for each core. Systems are fitted
        one after another, so that their times can be compared.
    strict : bool, default=False
        Stop at the first system that fails.
    tell, warn : callable, default=print, None
        Called with one line for each step, and for each system that fails.

    Returns
    -------
    Experiment

    Raises
    ------
    ValueError
        If no system could be fitted, or one fails and `strict` is set.
    """
    maps = fit_representation(
        train.features,
        settings or FeatureSettings(),
        context=0,
        remove_clip_mean=True,
        with_excitation=True,
        n_lips=n_lips,
        n_cepstra=n_cepstra,
    )
    # A spread over clips goes with their names, so their order must not matter.
    order = sorted(range(len(test.paths)), key=lambda k: test.paths[k].stem)
    paths = [test.paths[k] for k in order]
    training, held_out = (
        maps.views(train.features),
        maps.views([test.features[k] for k in order]),
    )
    spoken = [() if words is None else words[k] for k in order]
    jobs = max(1, min(len(paths), cpu_count() if n_jobs is None else n_jobs))
    n_frames = np.bincount(held_out.groups)
    targets = _shown(
        results_of(
            (
                delayed(read_target)(path, maps, int(n), said)
                for path, n, said in zip(paths, n_frames, spoken, strict=True)
            ),
            jobs,
        ),
        "reading sounds",
        len(paths),
    )
    store = ResultStore(folder)
    fitted_by, scored_by = source_digest(*_FITTED_BY), source_digest(*_SCORED_BY)
    data = store.key(fitted_by, training, held_out)
    sounds = store.key(scored_by, targets)
    done: list[SystemResult] = []
    failures: list[tuple[str, str]] = []
    bar = tqdm(systems.items(), desc="systems", unit="system", disable=None)
    for name, system in bar:
        bar.set_postfix_str(name[:30])
        try:
            key = store.key(data, system)
            predictions = _kept(store, name, key)
            if predictions is None:
                predictions = _fitted(name, system, training, held_out, maps)
                _keep(store, name, key, predictions)
                tell(f"{name}: fitted in {predictions.fit_seconds:.1f} s")
            else:
                tell(f"{name}: kept from before")
            score_key = store.key(sounds, key)
            figures = store.load_figures(name, score_key)
            if figures is None:
                made = _figures(predictions, maps, held_out, targets, jobs)
                figures = {k: asdict(figure) for k, figure in made.items()}
                store.save_figures(name, score_key, figures)
        except (ArithmeticError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            if strict:
                raise ValueError(f"system {name!r} failed: {reason}") from error
            failures.append((name, reason))
            if warn is not None:
                warn(f"system {name!r} failed and is left out: {reason}")
            continue
        done.append(SystemResult(name, _as_figures(figures), predictions))
    if not done:
        raise ValueError(f"no system could be fitted; {failures[0][1]}")
    return Experiment(
        results=tuple(done),
        ceilings=_ceilings(maps, held_out, targets),
        failures=tuple(failures),
        maps=maps,
        views=held_out,
        targets=tuple(targets),
        train_names=tuple(f.name for f in train.features),
        n_train_frames=len(training.groups),
        seed=seed,
    )


def _fitted(
    name: str, system: Any, training: Views, held_out: Views, maps: Representation
) -> Predictions:
    """Fit a system and predict the test clips with it."""
    fitted = clone(system)
    extra = {"groups": training.groups} if has_fit_parameter(fitted, "groups") else {}
    began = time.perf_counter()
    fitted.fit(training.lips_in, training.speech_in, **extra)
    seconds = time.perf_counter() - began
    n = maps.n_cepstra
    cepstra = excitation = lips = None
    if hasattr(fitted, "predict_y"):
        speech = _checked(
            fitted.predict_y(held_out.lips_in, held_out.groups),
            held_out.speech_in.shape,
            "predict_y",
        )
        cepstra, excitation = speech[:, :n], speech[:, n:]
    if hasattr(fitted, "predict_x"):
        lips = _checked(
            fitted.predict_x(held_out.speech_in, held_out.groups),
            held_out.lips_in.shape,
            "predict_x",
        )
    if cepstra is None and lips is None:
        raise ValueError("it has neither predict_y nor predict_x")
    return Predictions(cepstra, excitation, lips, seconds)


def _checked(values: Any, shape: tuple[int, ...], method: str) -> FloatArray:
    result = np.asarray(values, dtype=np.float32)
    if result.shape != shape:
        raise ValueError(f"{method} gave the shape {result.shape} instead of {shape}")
    if not np.isfinite(result).all():
        raise ValueError(f"{method} gave values that are not finite")
    return result


_FLOATS = ("cepstra", "excitation", "lips")


def _keep(store: ResultStore, name: str, key: str, made: Predictions) -> None:
    arrays: dict[str, NDArray[Any]] = {"fit_seconds": np.array(made.fit_seconds)}
    arrays |= {k: v for k in _FLOATS if (v := getattr(made, k)) is not None}
    store.save_arrays(name, key, arrays)


def _kept(store: ResultStore, name: str, key: str) -> Predictions | None:
    arrays = store.load_arrays(name, key)
    if arrays is None:
        return None
    return Predictions(
        cepstra=arrays.get("cepstra"),
        excitation=arrays.get("excitation"),
        lips=arrays.get("lips"),
        fit_seconds=float(arrays["fit_seconds"]),
    )


def _figures(
    made: Predictions,
    maps: Representation,
    views: Views,
    targets: Sequence[Target],
    jobs: int,
) -> dict[str, Figure]:
    """Figures of one system; its sounds are made and compared in parallel."""
    pieces = np.array_split(np.arange(len(targets)), jobs)
    calls = (
        delayed(_some_clips)(
            maps,
            [
                (
                    _part(views, rows),
                    targets[k],
                    _rows(made.speech, rows),
                    None if made.lips is None else made.lips[rows],
                )
                for k in piece
                for rows in [views.groups == k]
            ],
        )
        for piece in pieces
    )
    work = results_of(calls, jobs)
    clips = [values for piece in work for values in piece]
    return pooled_figures(maps, views, clips, made.speech, made.lips)


def _some_clips(maps: Representation, clips: Iterable[tuple[Any, ...]]) -> list[Values]:
    return [clip_figures(maps, *clip) for clip in clips]


def _part(views: Views, rows: NDArray[np.bool_]) -> Views:
    return replace(
        views, **{name: getattr(views, name)[rows] for name in views.__dict__}
    )


def _rows(
    speech: tuple[FloatArray, FloatArray] | None, rows: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray] | None:
    return None if speech is None else (speech[0][rows], speech[1][rows])


def _as_figures(kept: dict[str, Any]) -> dict[str, Figure]:
    return {
        k: Figure(v["value"], v["spread"], tuple(v["clips"])) for k, v in kept.items()
    }


def _ceilings(
    maps: Representation, views: Views, targets: Sequence[Target]
) -> tuple[SystemResult, ...]:
    """What STOI and ESTOI make of the clips' own features."""
    values: dict[str, list[Values]] = {name: [] for name in CEILINGS}
    for k, target in enumerate(targets):
        rows = views.groups == k
        own = waveform_of(maps, views.cepstra[rows], views.excitation[rows])
        for name, sound in zip(CEILINGS, (own, target.resynthesized), strict=True):
            values[name].append(sound_figures(target, sound))
    return tuple(
        SystemResult(name, pooled_figures(maps, views, clips, None, None), None)
        for name, clips in values.items()
    )


def _shown(work: Iterable[Any], text: str, total: int) -> list[Any]:
    return list(tqdm(work, desc=text, total=total, unit="clip", disable=None))


def tell_above_bar(line: str) -> None:
    """Print a line without breaking a progress bar."""
    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()
