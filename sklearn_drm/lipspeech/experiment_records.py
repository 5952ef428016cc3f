"""Results of an experiment."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_drm.lipspeech.experiment_measures import MEASURES, Figure
from sklearn_drm.lipspeech.experiment_scores import Target, waveform_of
from sklearn_drm.lipspeech.representation import Representation, Views

__all__ = ["Experiment", "Predictions", "SystemResult", "sound_of"]

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Predictions:
    """What a fitted system made of the test clips, standardised.

    Attributes
    ----------
    cepstra, excitation : ndarray of shape (n_rows, ...) or None
        None: the system does not predict speech.
    lips : ndarray of shape (n_rows, n_lips) or None
        None: it does not predict lips.
    fit_seconds : float
        Of all directions that it can do.
    """

    cepstra: FloatArray | None
    excitation: FloatArray | None
    lips: FloatArray | None
    fit_seconds: float

    @property
    def speech(self) -> tuple[FloatArray, FloatArray] | None:
        """Both parts of the speech view."""
        if self.cepstra is None or self.excitation is None:
            return None
        return self.cepstra, self.excitation


@dataclass(frozen=True)
class SystemResult:
    """One row of the table.

    Attributes
    ----------
    name : str
    figures : dict of Figure
        By key of `MEASURES`.
    predictions : Predictions or None
        None for a ceiling.
    """

    name: str
    figures: dict[str, Figure]
    predictions: Predictions | None


@dataclass(frozen=True)
class Experiment:
    """Results of all systems.

    Attributes
    ----------
    results : tuple of SystemResult
        In the order in which they were given.
    ceilings : tuple of SystemResult
        The clips' own features made sound.
    failures : tuple of (str, str)
        Systems that could not be fitted, each with the reason.
    maps : Representation
    views : Views
        Of the test clips.
    targets : tuple of Target
        The test clips' sounds.
    train_names : tuple of str
    n_train_frames : int
    seed : int
    """

    results: tuple[SystemResult, ...]
    ceilings: tuple[SystemResult, ...]
    failures: tuple[tuple[str, str], ...]
    maps: Representation
    views: Views
    targets: tuple[Target, ...]
    train_names: tuple[str, ...]
    n_train_frames: int
    seed: int

    @property
    def n_aligned(self) -> int:
        """Test clips whose spoken part is known."""
        return sum(target.part is not None for target in self.targets)

    def rows_of(self, clip: int) -> slice:
        """Rows of the views that belong to a test clip."""
        groups = self.views.groups
        first, last = np.searchsorted(groups, [clip, clip + 1])
        return slice(int(first), int(last))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; values over clips are in the order of their names."""
        return {
            "seed": self.seed,
            "train_clips": list(self.train_names),
            "train_frames": self.n_train_frames,
            "test_clips": [target.name for target in self.targets],
            "test_frames": len(self.views.groups),
            "spoken_parts": [target.part for target in self.targets],
            "measures": {m.key: m.meaning for m in MEASURES},
            "systems": [
                {
                    "name": result.name,
                    "fit_seconds": result.predictions
                    and result.predictions.fit_seconds,
                    "figures": {k: asdict(f) for k, f in result.figures.items()},
                }
                for result in (*self.results, *self.ceilings)
            ],
            "failures": [{"name": name, "reason": why} for name, why in self.failures],
        }


def sound_of(
    experiment: Experiment, result: SystemResult, clip: int
) -> NDArray[np.float64] | None:
    """Sound that a system made for a test clip.

    Parameters
    ----------
    experiment : Experiment
    result : SystemResult
    clip : int
        Which of `experiment.targets`.

    Returns
    -------
    ndarray of shape (n_samples,) or None
        None for a system that does not predict speech.
    """
    made = result.predictions
    if made is None or made.cepstra is None or made.excitation is None:
        return None
    rows = experiment.rows_of(clip)
    return waveform_of(experiment.maps, made.cepstra[rows], made.excitation[rows])
