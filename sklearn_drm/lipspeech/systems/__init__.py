"""Systems that predict lips from speech and speech from lips, behind one interface.

Every system has ``fit(X, y, groups)`` and, for the directions that it can do,
``predict_y(X, groups)`` and ``predict_x(y, groups)``. X are standardised lip features
and y standardised speech features of single video frames, ``groups`` the clip of each;
rows of a clip are in time order. A system adds the neighbouring frames that it wants.
"""

from __future__ import annotations

from typing import Any

from drm_transformers.global_variance import GlobalVarianceFilter
from drm_transformers.modulation import ModulationSpectrumFilter
from sklearn_drm.lipspeech.stopping import stop_by_group
from sklearn_drm.lipspeech.systems.hidden_markov import HiddenMarkovLips
from sklearn_drm.lipspeech.systems.linear import LinearSystem, MeanSystem
from sklearn_drm.lipspeech.systems.mixture import JointMixture
from sklearn_drm.lipspeech.systems.perceptrons import PerceptronPair
from sklearn_drm.lipspeech.systems.post_filtered import PostFiltered, unseen_predictions
from sklearn_drm.lipspeech.systems.relational import RelationalSystem

__all__ = [
    "DEFAULT",
    "HiddenMarkovLips",
    "JointMixture",
    "LinearSystem",
    "MeanSystem",
    "PerceptronPair",
    "PostFiltered",
    "RelationalSystem",
    "all_systems",
    "stop_by_group",
    "unseen_predictions",
]


DEFAULT = "DRM separate, ±4, GV"
"""Name of the system that measured best with the variance of natural speech."""


def all_systems(seed: int | None = None) -> dict[str, Any]:
    """All systems of the comparison, not yet fitted, in the order of the report.

    Parameters
    ----------
    seed : int or None, default=None
        Seed of every system that draws random numbers.

    Returns
    -------
    dict of str to estimator
        ``fit(X, y, groups)``, ``predict_y(X, groups)`` and ``predict_x(y, groups)``
        with X (n, n_x), y (n, n_y) and groups (n,); a system without a direction lacks
        its method.

    Examples
    --------
    >>> from sklearn_drm.lipspeech.systems import all_systems
    >>> systems = all_systems(0)
    >>> [hasattr(systems["HMM"], name) for name in ("predict_y", "predict_x")]
    [False, True]
    """
    variance = GlobalVarianceFilter()
    modulation = ModulationSpectrumFilter()
    plain = RelationalSystem(random_state=seed)
    smooth = RelationalSystem(trajectory="constant", random_state=seed)
    mixture = JointMixture(random_state=seed)
    systems: dict[str, Any] = {
        "mean": MeanSystem(),
        "ridge": LinearSystem("ridge"),
        "ridge, ±4": LinearSystem("ridge", context=4),
        "PLS, ±4": LinearSystem("pls", context=4),
        "GMM, trajectory": mixture,
        "GMM, trajectory, GV": PostFiltered(mixture, variance),
        "HMM": HiddenMarkovLips(random_state=seed),
        "random DNN pair": PerceptronPair(random_state=seed),
        "random DNN pair, ±4": PerceptronPair(context=4, random_state=seed),
    }
    for context, suffix in ((0, ""), (4, ", ±4")):
        for name, fine_tune in (
            ("before fine-tuning", None),
            ("joint", "joint"),
            ("separate", "separate"),
        ):
            systems[f"DRM {name}{suffix}"] = RelationalSystem(
                context=context, fine_tune=fine_tune, random_state=seed
            )
    systems["DRM separate, ±4, MLPG"] = RelationalSystem(
        trajectory="own", random_state=seed
    )
    systems["DRM separate, ±4, MS"] = PostFiltered(plain, modulation)
    systems["DRM separate, ±4, MLPG, GV"] = PostFiltered(smooth, variance)
    systems[DEFAULT] = PostFiltered(plain, variance)
    return systems
