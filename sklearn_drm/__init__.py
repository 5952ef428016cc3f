"""Deep Relational Models with scikit-learn's interface."""

from sklearn_drm.estimators import GGDRMRegressor

__version__ = "0.1.0"

__all__ = ["GGDRMRegressor", "__version__"]
