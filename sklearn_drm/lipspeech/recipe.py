"""The regressor for lips and speech: a compromise of accuracy and time."""

from __future__ import annotations

from sklearn_drm.estimators import GGDRMRegressor

__all__ = ["default_regressor"]


def default_regressor() -> GGDRMRegressor:
    """An unfitted `GGDRMRegressor` with its defaults.

    Returns
    -------
    GGDRMRegressor
    """
    return GGDRMRegressor()
