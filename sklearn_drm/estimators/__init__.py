"""Estimators with scikit-learn's interface."""

from sklearn_drm.estimators.ggdrm import GGDRMRegressor

__all__ = ["GGDRMRegressor"]
