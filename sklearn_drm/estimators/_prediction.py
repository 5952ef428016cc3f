"""Predictions, samples and scores in both directions."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_drm.core.model import RelationalModel
from sklearn_drm.core.predictor import Predictor
from sklearn_drm.core.rows import blocks
from sklearn_drm.core.units import Array
from sklearn_drm.estimators._parameters import target_columns
from sklearn_drm.views import check_names, flat_r2

__all__ = ["TwoWayPrediction"]


class TwoWayPrediction:
    """Methods of an estimator with ``model_`` and ``predictors_``."""

    model_: RelationalModel
    predictors_: dict[str, Predictor]
    n_features_in_: int
    n_outputs_: int
    random_state: Any
    x_target: Any
    y_target: Any
    _y_is_1d: bool

    def predict_y(self, X: Any, return_std: bool = False) -> Any:
        """Conditional mean of y given x.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            First view.
        return_std : bool, default=False
            Whether to return standard deviations too.

        Returns
        -------
        mean : ndarray of shape (n, n_y) or (n,)
            E[y | x]; 1-D where y was 1-D.
        std : ndarray like mean
            Only with ``return_std``.
        """
        rows = self._read_x(X)
        result = self._predict("y", rows, return_std)
        return self._ravel(result)

    def predict(self, X: Any) -> Array:
        """Same as ``predict_y(X)``.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            First view.

        Returns
        -------
        ndarray of shape (n, n_y) or (n,)
            E[y | x].
        """
        result: Array = self.predict_y(X)
        return result

    def predict_x(self, y: Any, return_std: bool = False) -> Any:
        """Conditional mean of x given y.

        Parameters
        ----------
        y : array-like of shape (n, n_y) or (n,)
            Second view.
        return_std : bool, default=False
            Whether to return standard deviations too.

        Returns
        -------
        mean : ndarray of shape (n, n_x)
            E[x | y].
        std : ndarray of shape (n, n_x)
            Only with ``return_std``.
        """
        return self._predict("x", self._read_y(y), return_std)

    def sample_y(self, X: Any, n_samples: int = 1, random_state: Any = None) -> Array:
        """Draws of y given x.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            First view.
        n_samples : int, default=1
            Draws per row.
        random_state : int, RandomState or None, default=None
            Seed; None: the estimator's own.

        Returns
        -------
        ndarray of shape (n_samples, n, n_y) or (n_samples, n)
            The draws.
        """
        draws = self._sample("y", self._check_x(X), n_samples, random_state)
        return draws[..., 0] if self._y_is_1d else draws

    def sample_x(self, y: Any, n_samples: int = 1, random_state: Any = None) -> Array:
        """Draws of x given y.

        Parameters
        ----------
        y : array-like of shape (n, n_y) or (n,)
            Second view.
        n_samples : int, default=1
            Draws per row.
        random_state : int, RandomState or None, default=None
            Seed; None: the estimator's own.

        Returns
        -------
        ndarray of shape (n_samples, n, n_x)
            The draws.
        """
        return self._sample("x", self._check_y(y), n_samples, random_state)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R² of ``predict_y``, averaged over the target columns.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            First view.
        y : array-like of shape (n, n_y) or (n,)
            Second view.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows.

        Returns
        -------
        float
            1 for a perfect prediction, 0 for the mean.
        """
        columns = target_columns(self.y_target, self.n_outputs_, "y_target")
        prediction = self._as_columns(self.predict_y(X))[:, columns]
        truth = self._read_y(y)[:, columns]
        return flat_r2(truth, prediction, sample_weight)

    def score_x(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R² of ``predict_x``, averaged over the target columns.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            First view.
        y : array-like of shape (n, n_y) or (n,)
            Second view.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows.

        Returns
        -------
        float
            1 for a perfect prediction, 0 for the mean.
        """
        columns = target_columns(self.x_target, self.n_features_in_, "x_target")
        truth = self._read_x(X)[:, columns]
        prediction = self.predict_x(y)[:, columns]
        return flat_r2(truth, prediction, sample_weight)

    def _predict(self, view: str, rows: Array, return_std: bool) -> Any:
        given, wanted = self.model_.x_scaling, self.model_.y_scaling
        if view == "x":
            given, wanted = wanted, given
        predictor = self.predictors_[view]
        # The output's units are part of the read-out: fewer passes over the output.
        weight = predictor.weight * wanted.scale.astype(predictor.weight.dtype)
        bias = wanted.restore(predictor.bias)
        n_hidden, n_columns = weight.shape
        mean = np.empty((len(rows), n_columns), dtype=rows.dtype)
        std = np.empty_like(mean) if return_std else None
        sizes = [rows.shape[1], n_hidden, n_columns]
        # Block by block: what a layer computes is still in the cache for the next.
        for block in blocks(len(rows), max(sizes)):
            hidden = predictor.hidden(given.standardize(rows[block]))
            output = hidden @ weight
            output += bias
            mean[block] = output
            if std is not None:
                variance = predictor.variance_given(hidden)
                std[block] = np.sqrt(variance) * wanted.scale
        return mean if std is None else (mean, std)

    def _sample(
        self, view: str, rows: Array, n_samples: int, random_state: Any
    ) -> Array:
        self._check_count("n_samples", n_samples)
        rng = self._sampling_generator(random_state)
        scaling = self.model_.y_scaling if view == "y" else self.model_.x_scaling
        return scaling.restore(self.predictors_[view].sample(rows, n_samples, rng))

    @staticmethod
    def _check_count(name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be a positive int; got {value!r}.")

    def _sampling_generator(self, random_state: Any) -> np.random.Generator:
        seed = self.random_state if random_state is None else random_state
        return np.random.default_rng(check_random_state(seed).randint(2**31 - 1))

    def _as_columns(self, y: Array) -> Array:
        y = y.reshape(-1, 1) if y.ndim == 1 else y
        if y.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y has {y.shape[1]} columns, but {type(self).__name__} was fitted "
                f"with {self.n_outputs_}."
            )
        return y

    def _check_x(self, X: Any) -> Array:
        return self.model_.x_scaling.standardize(self._read_x(X))

    def _check_y(self, y: Any) -> Array:
        return self.model_.y_scaling.standardize(self._read_y(y))

    def _read_x(self, X: Any) -> Array:
        check_is_fitted(self)
        rows: Array = validate_data(self, X, reset=False, dtype=self._row_types())
        return rows

    def _read_y(self, y: Any) -> Array:
        check_is_fitted(self)
        check_names(y, getattr(self, "target_names_in_", None), "y")
        y = check_array(
            y,
            ensure_2d=False,
            dtype=self._row_types(),
            input_name="y",
            estimator=self,
        )
        return self._as_columns(y)

    def _row_types(self) -> list[type]:
        """Types that rows may keep: in float32 not every unit of a fit has room."""
        model = self.model_
        scalings = model.x_scaling, model.y_scaling
        if all(scaling.fits(np.float32) for scaling in scalings):
            return [np.float64, np.float32]
        return [np.float64]

    def _ravel(self, result: Any) -> Any:
        if not self._y_is_1d:
            return result
        if isinstance(result, tuple):
            return tuple(part[:, 0] for part in result)
        return result[:, 0]
