"""Deep Relational Models with scikit-learn's interface: fit once, predict both ways."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sklearn_drm._version import __version__

if TYPE_CHECKING:
    from sklearn_drm.estimators import (
        BBDRMClassifier,
        GCDRMClassifier,
        GGDRMRegressor,
    )
    from sklearn_drm.learning.contrastive_divergence import DivergenceError
    from sklearn_drm.swap_views import SwapViews
    from sklearn_drm.two_view import TwoViewRegressor

__all__ = [
    "BBDRMClassifier",
    "DivergenceError",
    "GCDRMClassifier",
    "GGDRMRegressor",
    "SwapViews",
    "TwoViewRegressor",
    "__version__",
]

# Loaded at first use: importing the package costs next to nothing.
_HOMES = {
    "BBDRMClassifier": "sklearn_drm.estimators",
    "DivergenceError": "sklearn_drm.learning.contrastive_divergence",
    "GCDRMClassifier": "sklearn_drm.estimators",
    "GGDRMRegressor": "sklearn_drm.estimators",
    "SwapViews": "sklearn_drm.swap_views",
    "TwoViewRegressor": "sklearn_drm.two_view",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
