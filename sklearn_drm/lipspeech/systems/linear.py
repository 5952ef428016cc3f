"""The training mean, and linear systems."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.cross_decomposition import PLSRegression
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge

from drm_transformers.trajectory import stack_context
from sklearn_drm.lipspeech.systems._base import Array, TwoWaySystem

__all__ = ["LinearSystem", "MeanSystem"]


class MeanSystem(TwoWaySystem):
    """Predicts the training mean, whatever it is given.

    Attributes
    ----------
    x_mean_, y_mean_ : ndarray

    Examples
    --------
    >>> from sklearn_drm.lipspeech.systems import MeanSystem
    >>> MeanSystem().fit([[0.0], [1.0]], [[2.0], [4.0]]).predict_y([[9.0]])
    array([[3.]])
    """

    def fit(self, X: Any, y: Any, groups: Any = None) -> MeanSystem:
        """Take the means of both views.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            Lip features.
        y : array-like of shape (n, n_y)
            Speech features.
        groups : array-like of shape (n,), optional
            Clip of each row, rows of a clip in time order; None: all one clip.

        Returns
        -------
        MeanSystem
            The fitted system.
        """
        first, second, _ = self._check_fit(X, y, groups)
        self.x_mean_, self.y_mean_ = first.mean(axis=0), second.mean(axis=0)
        return self

    def predict_y(self, X: Any, groups: Any = None) -> Array:
        """The mean of y for each row of X.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            Lip features.
        groups : array-like of shape (n,), optional
            Clip of each row, rows of a clip in time order; None: all one clip.

        Returns
        -------
        ndarray of shape (n, n_y)
            Speech features.
        """
        rows, _ = self._check_x(X, groups)
        return np.tile(self.y_mean_, (len(rows), 1))

    def predict_x(self, y: Any, groups: Any = None) -> Array:
        """The mean of x for each row of y.

        Parameters
        ----------
        y : array-like of shape (n, n_y)
            Speech features.
        groups : array-like of shape (n,), optional
            Clip of each row, rows of a clip in time order; None: all one clip.

        Returns
        -------
        ndarray of shape (n, n_x)
            Lip features.
        """
        rows, _ = self._check_y(y, groups)
        return np.tile(self.x_mean_, (len(rows), 1))


class LinearSystem(TwoWaySystem):
    """One linear regression per direction.

    Parameters
    ----------
    method : {"ridge", "pls"}, default="ridge"
        Ridge regression or partial least squares.
    context : int, default=0
        Neighbouring rows on each side that the input is given.
    alpha : float, default=1000.0
        Strength of the ridge.
    n_components : int, default=16
        Components of partial least squares, fewer where a view has fewer columns.

    Attributes
    ----------
    to_y_, to_x_ : estimator
        Fitted regressions.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.lipspeech.systems import LinearSystem
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> system = LinearSystem(alpha=1e-6).fit(X, 2 * X)
    >>> bool(np.allclose(system.predict_x(2 * X), X, atol=1e-4))
    True
    """

    def __init__(
        self,
        method: str = "ridge",
        *,
        context: int = 0,
        alpha: float = 1000.0,
        n_components: int = 16,
    ) -> None:
        self.method = method
        self.context = context
        self.alpha = alpha
        self.n_components = n_components

    def fit(self, X: Any, y: Any, groups: Any = None) -> LinearSystem:
        """Fit both regressions.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            Lip features.
        y : array-like of shape (n, n_y)
            Speech features.
        groups : array-like of shape (n,), optional
            Clip of each row, rows of a clip in time order; None: all one clip.

        Returns
        -------
        LinearSystem
            The fitted system.

        Raises
        ------
        ValueError
            If `method` is unknown.
        """
        if self.method not in ("ridge", "pls"):
            raise ValueError(f"method={self.method!r}: must be 'ridge' or 'pls'")
        first, second, clips = self._check_fit(X, y, groups)
        self.to_y_ = self._regression(first, second, clips)
        self.to_x_ = self._regression(second, first, clips)
        return self

    def predict_y(self, X: Any, groups: Any = None) -> Array:
        """Predict y.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            Lip features.
        groups : array-like of shape (n,), optional
            Clip of each row, rows of a clip in time order; None: all one clip.

        Returns
        -------
        ndarray of shape (n, n_y)
            Speech features.
        """
        rows, clips = self._check_x(X, groups)
        return self._predict(self.to_y_, rows, clips, self.n_outputs_)

    def predict_x(self, y: Any, groups: Any = None) -> Array:
        """Predict x.

        Parameters
        ----------
        y : array-like of shape (n, n_y)
            Speech features.
        groups : array-like of shape (n,), optional
            Clip of each row, rows of a clip in time order; None: all one clip.

        Returns
        -------
        ndarray of shape (n, n_x)
            Lip features.
        """
        rows, clips = self._check_y(y, groups)
        return self._predict(self.to_x_, rows, clips, self.n_features_in_)

    def _regression(self, source: Array, goal: Array, clips: Array) -> Any:
        rows = stack_context(source, clips, self.context)
        if self.method == "ridge":
            return Ridge(self.alpha).fit(rows, goal)
        components = min(self.n_components, *rows.shape, goal.shape[1])
        with warnings.catch_warnings():
            # Power iterations of late components may stop short of their tolerance.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return PLSRegression(components, scale=False).fit(rows, goal)

    def _predict(self, model: Any, rows: Array, clips: Array, width: int) -> Array:
        made = model.predict(stack_context(rows, clips, self.context))
        return np.asarray(made, rows.dtype).reshape(len(rows), width)
