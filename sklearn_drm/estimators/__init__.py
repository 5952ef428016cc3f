"""Estimators with scikit-learn's interface."""

from sklearn_drm.estimators.bbdrm import BBDRMClassifier
from sklearn_drm.estimators.gcdrm import GCDRMClassifier
from sklearn_drm.estimators.ggdrm import GGDRMRegressor

__all__ = ["BBDRMClassifier", "GCDRMClassifier", "GGDRMRegressor"]
