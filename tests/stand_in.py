"""A two-view regressor whose every answer has a closed form, for oracles in tests."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted, validate_data


class RidgePair(RegressorMixin, BaseEstimator):
    """One ridge regression per direction, with the methods of a two-view model."""

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def fit(self, X, y, sample_weight=None, groups=None):
        X, y = validate_data(
            self,
            X,
            y,
            multi_output=True,
            y_numeric=True,
            dtype=[np.float64, np.float32],
        )
        self.saw_groups_ = None if groups is None else np.asarray(groups)
        self.saw_weight_ = None if sample_weight is None else np.asarray(sample_weight)
        self.y_row_ = y.shape[1:]
        y_columns = y.reshape(len(y), -1)
        self.forward_ = Ridge(self.alpha).fit(X, y, sample_weight)
        self.backward_ = Ridge(self.alpha).fit(y_columns, X, sample_weight)
        self.y_std_ = np.std(y - self._forward(X), axis=0)
        self.x_std_ = np.std(X - self._backward(y), axis=0)
        self.x_mean_, self.y_mean_ = X.mean(axis=0), y.mean(axis=0)
        return self

    def _forward(self, X):  # Ridge ravels a single column
        return self.forward_.predict(X).reshape(len(X), *self.y_row_)

    def _backward(self, y):
        y = np.asarray(y)
        prediction = self.backward_.predict(y.reshape(len(y), -1))
        return prediction.reshape(len(y), self.n_features_in_)

    def predict(self, X, return_std=False):
        return self.predict_y(X, return_std)

    def predict_y(self, X, return_std=False):
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        mean = self._forward(X)
        return (mean, np.broadcast_to(self.y_std_, mean.shape)) if return_std else mean

    def predict_x(self, y, return_std=False):
        check_is_fitted(self)
        mean = self._backward(y)
        return (mean, np.broadcast_to(self.x_std_, mean.shape)) if return_std else mean

    def score_x(self, X, y, sample_weight=None):
        return r2_score(X, self.predict_x(y), sample_weight=sample_weight)

    def sample_y(self, X, n_samples=1, random_state=0):
        mean, std = self.predict_y(X, return_std=True)
        noise = np.random.default_rng(random_state).standard_normal(
            (n_samples, *mean.shape)
        )
        return mean + std * noise

    def sample_x(self, y, n_samples=1, random_state=0):
        mean, std = self.predict_x(y, return_std=True)
        noise = np.random.default_rng(random_state).standard_normal(
            (n_samples, *mean.shape)
        )
        return mean + std * noise

    def sample(self, n_samples=1, random_state=0):
        rng = np.random.default_rng(random_state)
        x_noise = rng.standard_normal((n_samples, *np.shape(self.x_mean_)))
        y_noise = rng.standard_normal((n_samples, *np.shape(self.y_mean_)))
        return self.x_mean_ + x_noise, self.y_mean_ + y_noise

    def score_samples(self, X=None, y=None):
        check_is_fitted(self)
        total = 0.0
        if X is not None:
            X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
            total = total - np.square(X).sum(axis=1)
        if y is not None:
            y = np.asarray(y)
            total = total - 2 * np.square(y.reshape(len(y), -1)).sum(axis=1)
        return total

    def log_partition(self):
        return "log Z"

    def transform_x(self, X):
        return np.asarray(X) + 1

    def transform_y(self, y):
        return np.asarray(y).reshape(len(y), -1) - 1

    def transform_pair(self, X, y):
        return np.hstack([self.transform_x(X), self.transform_y(y)])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
