"""The regressor for lips and speech: a compromise of accuracy and time."""

from __future__ import annotations

from sklearn_drm.estimators import GGDRMRegressor

__all__ = ["default_regressor"]


def default_regressor(context: int) -> GGDRMRegressor:
    """An unfitted `GGDRMRegressor` for views with `context` frames on each side.

    Parameters
    ----------
    context : int, range [0, inf)

    Returns
    -------
    GGDRMRegressor
    """
    return GGDRMRegressor()
