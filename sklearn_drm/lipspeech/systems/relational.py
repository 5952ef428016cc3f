"""The Deep Relational Model as one of the systems."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import nnls
from sklearn.model_selection import GroupKFold

from drm_transformers.parameter_generation import delta_features, mlpg
from drm_transformers.trajectory import stack_context
from sklearn_drm.estimators import GGDRMRegressor
from sklearn_drm.lipspeech.systems._base import Array, TwoWaySystem

__all__ = ["RelationalSystem"]

# Least variance of a prediction, as a share of the column's mean residual variance.
_LEAST_VARIANCE = 0.1


class RelationalSystem(TwoWaySystem):
    """One `GGDRMRegressor` for both directions.

    Parameters
    ----------
    context : int, default=4
        Neighbouring rows on each side that both views are given. The model is tuned
        for the middle row.
    fine_tune : {"separate", "joint", None}, default="separate"
        As in `GGDRMRegressor`; None: the model as it was pre-trained.
    trajectory : {None, "constant", "own"}, default=None
        Whether the model predicts differences in time too, and the result is the
        trajectory that agrees with them best (`mlpg`). "constant": with one variance
        per column; "own": with variances that follow the hidden units from row to
        row.
    n_hidden_units : int, default=100
        Units per hidden layer.
    n_hidden_layers : int, default=2
    options : dict, optional
        Further hyperparameters of `GGDRMRegressor`.
    random_state : int or None, default=None
        Seed of the model.

    Attributes
    ----------
    model_ : GGDRMRegressor
        Fitted.
    spread_ : dict
        Of each direction with ``trajectory="own"``: offset and slope of the variance
        of a prediction against the variance of its hidden units.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.lipspeech.systems import RelationalSystem
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> clips = np.arange(100) // 20
    >>> system = RelationalSystem(context=1, n_hidden_units=5, random_state=0)
    >>> system.fit(X, X[:, :2], clips).predict_y(X, clips).shape
    (100, 2)
    """

    def __init__(
        self,
        *,
        context: int = 4,
        fine_tune: str | None = "separate",
        trajectory: str | None = None,
        n_hidden_units: Any = 100,
        n_hidden_layers: int = 2,
        options: dict[str, Any] | None = None,
        random_state: int | None = None,
    ) -> None:
        self.context = context
        self.fine_tune = fine_tune
        self.trajectory = trajectory
        self.n_hidden_units = n_hidden_units
        self.n_hidden_layers = n_hidden_layers
        self.options = options
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> RelationalSystem:
        """Fit the model.

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
        RelationalSystem
            The fitted system.

        Raises
        ------
        ValueError
            If `trajectory` is unknown, or "own" with one clip only.
        """
        if self.trajectory not in (None, "constant", "own"):
            raise ValueError(
                f"trajectory={self.trajectory!r}: must be None, 'constant' or 'own'"
            )
        first, second, clips = self._check_fit(X, y, groups)
        views = self._view(first, clips), self._view(second, clips)
        self.model_ = self._regressor().fit(*views, groups=clips)
        if self.trajectory == "own":
            self.spread_ = self._spread_lines(*views, clips)
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
        return self._predict("y", rows, clips)

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
        return self._predict("x", rows, clips)

    def sample_y(self, X: Any, groups: Any = None, random_state: Any = None) -> Array:
        """One draw of y given x, each row by itself.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            Lip features.
        groups : array-like of shape (n,), optional
            Clip of each row, rows of a clip in time order; None: all one clip.
        random_state : int, RandomState or None, default=None
            Seed of the draw.

        Returns
        -------
        ndarray of shape (n, n_y)
            Speech features.
        """
        rows, clips = self._check_x(X, groups)
        view = self._view(rows, clips)
        draw = self.model_.sample_y(view, random_state=random_state)[0]
        return np.asarray(draw[:, self._goal(self.n_outputs_)[: self.n_outputs_]])

    def sample_x(self, y: Any, groups: Any = None, random_state: Any = None) -> Array:
        """One draw of x given y, each row by itself.

        Parameters
        ----------
        y : array-like of shape (n, n_y)
            Speech features.
        groups : array-like of shape (n,), optional
            Clip of each row, rows of a clip in time order; None: all one clip.
        random_state : int, RandomState or None, default=None
            Seed of the draw.

        Returns
        -------
        ndarray of shape (n, n_x)
            Lip features.
        """
        rows, clips = self._check_y(y, groups)
        view = self._view(rows, clips)
        draw = self.model_.sample_x(view, random_state=random_state)[0]
        width = self.n_features_in_
        return np.asarray(draw[:, self._goal(width)[:width]])

    def _view(self, rows: Array, clips: Array) -> Array:
        """Neighbours beside each row, then its differences in time."""
        view = stack_context(rows, clips, self.context)
        if self.trajectory:
            view = np.hstack([view, delta_features(rows, clips)[:, rows.shape[1] :]])
        return view

    def _goal(self, width: int) -> Array:
        """Columns of a view for the row itself, and its differences."""
        middle = np.arange(self.context * width, (self.context + 1) * width)
        if not self.trajectory:
            return np.asarray(middle)
        n_stacked = (2 * self.context + 1) * width
        added = np.arange(n_stacked, n_stacked + 2 * width)
        return np.concatenate([middle, added])

    def _regressor(self) -> GGDRMRegressor:
        whole = not self.context and not self.trajectory
        goals = (self._goal(w) for w in (self.n_features_in_, self.n_outputs_))
        x_target, y_target = (None, None) if whole else goals
        regressor = GGDRMRegressor(
            self.n_hidden_layers,
            self.n_hidden_units,
            fine_tune=self.fine_tune,
            x_target=x_target,
            y_target=y_target,
            random_state=self.random_state,
        )
        regressor.set_params(**(self.options or {}))
        return regressor

    def _predict(self, direction: str, rows: Array, clips: Array) -> Array:
        width = self.n_outputs_ if direction == "y" else self.n_features_in_
        view, goal = self._view(rows, clips), self._goal(width)
        predict = getattr(self.model_, f"predict_{direction}")
        if not self.trajectory:
            return np.asarray(predict(view)[:, goal])
        means, deviations = (part[:, goal] for part in predict(view, return_std=True))
        variances = np.square(deviations, dtype=np.float64)
        if self.trajectory == "own":
            offset, slope, least = self.spread_[direction]
            hidden = self._hidden_variance(self.model_, direction, view)[:, goal]
            variances = np.maximum(offset + slope * hidden, least)
        return mlpg(means, np.maximum(variances, 1e-8), clips)

    def _hidden_variance(
        self, model: GGDRMRegressor, direction: str, view: Array
    ) -> Array:
        """Variance that the hidden units bring to each prediction, Σ W² m (1 − m)."""
        source, goal = model.model_.x_scaling, model.model_.y_scaling
        if direction == "x":
            source, goal = goal, source
        predictor = model.predictors_[direction]
        means = predictor.hidden(source.standardize(view))
        spread = predictor.hidden_spread(means)
        return np.asarray(spread * np.square(goal.scale), np.float64)

    def _spread_lines(
        self, x_view: Array, y_view: Array, clips: Array
    ) -> dict[str, tuple[Array, Array, Array]]:
        """How squared errors on unseen clips grow with the hidden units' variance."""
        folds = min(2, len(np.unique(clips)))
        if folds < 2:
            raise ValueError("trajectory='own' needs at least two clips to fit on")
        squares: dict[str, list[Array]] = {"y": [], "x": []}
        hidden: dict[str, list[Array]] = {"y": [], "x": []}
        for seen, held in GroupKFold(folds).split(x_view, groups=clips):
            model = self._regressor().fit(
                x_view[seen], y_view[seen], groups=clips[seen]
            )
            for direction, source, target in (
                ("y", x_view[held], y_view[held]),
                ("x", y_view[held], x_view[held]),
            ):
                made = getattr(model, f"predict_{direction}")(source)
                squares[direction].append(np.square(target - made, dtype=np.float64))
                hidden[direction].append(
                    self._hidden_variance(model, direction, source)
                )
        return {
            direction: self._line(
                np.concatenate(hidden[direction]),
                np.concatenate(squares[direction]),
                self._goal(width),
            )
            for direction, width in (
                ("y", self.n_outputs_),
                ("x", self.n_features_in_),
            )
        }

    @staticmethod
    def _line(hidden: Array, squares: Array, goal: Array) -> tuple[Array, Array, Array]:
        """Non-negative offset and slope per column, and the least variance."""
        lines = [
            nnls(
                np.column_stack([np.ones(len(hidden)), hidden[:, column]]),
                squares[:, column],
            )[0]
            for column in goal
        ]
        offset, slope = np.transpose(lines)
        least = np.maximum(_LEAST_VARIANCE * squares[:, goal].mean(axis=0), 1e-8)
        return offset, slope, least
