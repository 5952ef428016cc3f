"""Two randomly initialised neural networks, one per direction."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from drm_transformers.trajectory import stack_context
from sklearn_drm.lipspeech.stopping import stop_by_group
from sklearn_drm.lipspeech.systems._base import Array, TwoWaySystem

__all__ = ["PerceptronPair"]


class PerceptronPair(TwoWaySystem):
    """Two `MLPRegressor` with logistic units, from random weights.

    Parameters
    ----------
    context : int, default=0
        Neighbouring rows on each side that the input is given.
    hidden_layer_sizes : sequence of int, default=(100, 100)
        Units per layer.
    max_iter : int, default=200
        Largest number of epochs. Training stops earlier by a tenth of the clips; of
        the rows, where there is one clip only.
    random_state : int or None, default=None
        Seed of the weights and of the held-out clips.

    Attributes
    ----------
    to_y_, to_x_ : sklearn.neural_network.MLPRegressor

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.lipspeech.systems import PerceptronPair
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> pair = PerceptronPair(hidden_layer_sizes=(5,), max_iter=2, random_state=0)
    >>> pair.fit(X, X[:, :1], groups=np.arange(60) // 10).predict_x(X[:, :1]).shape
    (60, 2)
    """

    def __init__(
        self,
        *,
        context: int = 0,
        hidden_layer_sizes: Any = (100, 100),
        max_iter: int = 200,
        random_state: int | None = None,
    ) -> None:
        self.context = context
        self.hidden_layer_sizes = hidden_layer_sizes
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> PerceptronPair:
        """Train both networks.

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
        PerceptronPair
            The fitted system.
        """
        first, second, clips = self._check_fit(X, y, groups)
        self.to_y_ = self._trained(first, second, clips)
        self.to_x_ = self._trained(second, first, clips)
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

    def _trained(self, source: Array, goal: Array, clips: Array) -> MLPRegressor:
        one_clip = len(np.unique(clips)) < 2
        network = MLPRegressor(
            hidden_layer_sizes=self.hidden_layer_sizes,
            activation="logistic",
            # A tenth of fewer rows is no set to stop by.
            early_stopping=one_clip and len(goal) >= 20,
            max_iter=self.max_iter,
            random_state=self.random_state,
        )
        rows = stack_context(source, clips, self.context)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            if one_clip:
                return network.fit(rows, goal if goal.shape[1] > 1 else goal.ravel())
            return stop_by_group(network, rows, goal, clips, self.random_state)

    def _predict(self, model: Any, rows: Array, clips: Array, width: int) -> Array:
        made = model.predict(stack_context(rows, clips, self.context))
        return np.asarray(made, rows.dtype).reshape(len(rows), width)
