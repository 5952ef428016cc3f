"""The reverse direction of a two-view model, as an ordinary regressor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_array, check_consistent_length, get_tags
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_drm.estimators._progress import (
    CallbackSupport,
    callback_data,
    propagated,
    with_callbacks,
)
from sklearn_drm.versioned import VersionedState
from sklearn_drm.views import (
    FLOATS,
    check_names,
    counted,
    fit_arguments,
    flat_r2,
    if_inner_has,
    rows_of,
    seed,
    seeded,
    set_target_names,
    takes_images,
    takes_return_std,
    trailing_shape,
    transforms_view,
    unchanged_on_error,
)

__all__ = ["SwapViews"]


class SwapViews(
    CallbackSupport,  # type: ignore[misc]
    VersionedState,
    RegressorMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """A two-view estimator with its views exchanged: y → x becomes the forward way.

    ``SwapViews(model).fit(X, y)`` fits the model on ``(y, X)``, and ``predict``
    is the model's ``predict_x``. Cross-validation, grid searches and
    ``check_estimator``, which know only ``fit(X, y)`` and ``predict(X)``, so reach
    the reverse direction.

    Parameters
    ----------
    estimator : estimator
        Two-view estimator with ``fit(X, y)``, ``predict`` and ``predict_x``. The
        other methods here exist where the estimator has the ones they call.
    random_state : int, RandomState or None, default=None
        Seed of the estimator, and of those inside it, where their own is None.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator; its x is this object's y.
    n_features_in_ : int
        Number of values in one row of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names, where X was a data frame whose names are all strings.
    n_outputs_ : int
        Number of values in one row of y.
    target_names_in_ : ndarray of shape (n_outputs_,)
        Column names, where y was a data frame whose names are all strings.

    See Also
    --------
    TwoViewRegressor : transforms both views around a regressor.

    Notes
    -----
    Both views are checked here as scikit-learn checks a regressor's X and y, except
    a view for which the estimator has a transformer (``y_transformer`` for this
    object's X, ``x_transformer`` for its y): that one reaches the transformer as it
    is, be it images or a data frame. A 1-D y is one column for the estimator, and
    is predicted as 1-D.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm import GGDRMRegressor, SwapViews
    >>> rng = np.random.default_rng(0)
    >>> speech = rng.standard_normal((200, 3))
    >>> lips = speech @ rng.standard_normal((3, 4))
    >>> reverse = SwapViews(GGDRMRegressor(random_state=0)).fit(speech, lips)
    >>> reverse.predict(speech[:2]).shape
    (2, 4)
    >>> reverse.predict_x(lips[:2]).shape
    (2, 3)
    """

    # ``score`` uses sample_weight itself: the estimator's ``score_x`` is not among
    # the methods that scikit-learn can route to.
    __metadata_request__fit = {"sample_weight": UNUSED, "groups": UNUSED}
    __metadata_request__predict = {"return_std": UNUSED}

    def __init__(self, estimator: Any, *, random_state: Any = None) -> None:
        self.estimator = estimator
        self.random_state = random_state

    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> SwapViews:
        """Fit the estimator on (y, X).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The estimator's y.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The estimator's X.
        sample_weight : array-like of shape (n_samples,), default=None
        groups : array-like of shape (n_samples,), default=None
            Both are passed to the estimator's ``fit``; with metadata routing, if it
            requests them.

        Returns
        -------
        self : SwapViews

        Raises
        ------
        TypeError
            If the estimator has no ``fit`` or no ``predict_x``.
        ValueError
            If X or y is not finite numeric data of the right shape, rows do not
            match, or the estimator's ``fit`` does not take ``sample_weight`` or
            ``groups`` that are given.
        """
        for method in ("fit", "predict", "predict_x"):
            if not hasattr(self.estimator, method):
                raise TypeError(
                    "SwapViews needs a two-view estimator with fit, predict and "
                    f"predict_x, and {self.estimator!r} has no {method}."
                )
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None."
            )
        arguments = fit_arguments(
            self, "estimator", {"sample_weight": sample_weight, "groups": groups}
        )
        with unchanged_on_error(self):
            X = self._checked_x(X, reset=True)
            set_target_names(self, y)
            y = self._checked_y(y)
            check_consistent_length(X, y)
            self.y_shape_ = trailing_shape(y)
            self.n_outputs_ = int(np.prod(self.y_shape_, dtype=int))
            fitted = seeded(self.estimator, self.random_state)
            data = callback_data(X, y, sample_weight)
            with propagated(self, fitted, "estimator", data):
                self.estimator_ = fitted.fit(self._as_columns(y), X, **arguments)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict y from X by the estimator's ``predict_x``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        return_std : bool, default=False
            Also return standard deviations, where the estimator gives them.

        Returns
        -------
        y_pred : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        y_std : ndarray of the shape of y_pred
            Only with ``return_std``.
        """
        check_is_fitted(self)
        X = self._checked_x(X, reset=False)
        if not return_std:
            return self._as_target(self.estimator_.predict_x(X))
        self._require_std("predict_x")
        mean, std = self.estimator_.predict_x(X, return_std=True)
        return self._as_target(mean), self._as_target(std)

    def predict_y(self, X: Any, return_std: bool = False) -> Any:
        """Predict y from X; the same as :meth:`predict`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        return_std : bool, default=False

        Returns
        -------
        y_pred : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        return self.predict(X, return_std)

    def predict_x(self, y: Any, return_std: bool = False) -> Any:
        """Predict X from y by the estimator's ``predict_y`` (or ``predict``).

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        return_std : bool, default=False

        Returns
        -------
        x_pred : ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        y = self._as_columns(self._checked_y(y))
        name = "predict_y" if hasattr(self.estimator_, "predict_y") else "predict"
        predict = getattr(self.estimator_, name)
        if not return_std:
            return predict(y)
        self._require_std(name)
        return predict(y, return_std=True)

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Score of predicting y from X: the estimator's ``score_x`` where it has one.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
            R², averaged uniformly over columns; for a
            :class:`TwoViewRegressor` in its transformed space.
        """
        check_is_fitted(self)
        if not hasattr(self.estimator_, "score_x"):
            return flat_r2(y, self.predict(X), sample_weight)
        return self._inner_score("score_x", X, y, sample_weight)

    def score_x(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Score of predicting X from y: the estimator's ``score``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
        """
        check_is_fitted(self)
        return self._inner_score("score", X, y, sample_weight)

    @if_inner_has("estimator", "sample_x")
    def sample_y(
        self, X: Any, n_samples: int = 1, random_state: Any = None
    ) -> NDArray[Any]:
        """Draw y given each row of X by the estimator's ``sample_x``.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        n_samples : int >= 1, default=1
        random_state : int, RandomState instance or None, default=None
            Seed; None: the estimator's own.

        Returns
        -------
        y_samples : ndarray of shape (n_samples, n_rows[, n_outputs])
        """
        check_is_fitted(self)
        X = self._checked_x(X, reset=False)
        draws = np.asarray(self.estimator_.sample_x(X, n_samples, **seed(random_state)))
        return draws[..., 0] if self.y_shape_ == () else draws

    @if_inner_has("estimator", "sample_y")
    def sample_x(
        self, y: Any, n_samples: int = 1, random_state: Any = None
    ) -> NDArray[Any]:
        """Draw X given each row of y by the estimator's ``sample_y``.

        Parameters
        ----------
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        n_samples : int >= 1, default=1
        random_state : int, RandomState instance or None, default=None
            Seed; None: the estimator's own.

        Returns
        -------
        x_samples : ndarray of shape (n_samples, n_rows, n_features)
        """
        check_is_fitted(self)
        y = self._as_columns(self._checked_y(y))
        return np.asarray(self.estimator_.sample_y(y, n_samples, **seed(random_state)))

    @if_inner_has("estimator", "sample")
    def sample(
        self, n_samples: int = 1, random_state: Any = None
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Draw pairs.

        Parameters
        ----------
        n_samples : int >= 1, default=1
        random_state : int, RandomState instance or None, default=None
            Seed; None: the estimator's own.

        Returns
        -------
        x_samples : ndarray of shape (n_samples, n_features)
        y_samples : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        check_is_fitted(self)
        y, x = self.estimator_.sample(n_samples, **seed(random_state))
        return x, self._as_target(y)

    @if_inner_has("estimator", "score_samples")
    def score_samples(self, X: Any = None, y: Any = None) -> NDArray[Any]:
        """Log density of each pair, or of one view.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), default=None
            None: the density of y alone.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            None: the density of X alone, which is the estimator's
            ``score_samples(None, X)``.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        X = None if X is None else self._checked_x(X, reset=False)
        y = None if y is None else self._as_columns(self._checked_y(y))
        return np.asarray(self.estimator_.score_samples(y, X))

    @if_inner_has("estimator", "log_partition")
    def log_partition(self) -> Any:
        """The estimator's log partition function.

        Returns
        -------
        record
            What the estimator's ``log_partition`` returns.
        """
        check_is_fitted(self)
        return self.estimator_.log_partition()

    @if_inner_has("estimator", "transform_y")
    def transform_x(self, X: Any) -> Any:
        """The estimator's ``transform_y``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        hidden : ndarray of shape (n_samples, n_hidden)
        """
        check_is_fitted(self)
        return self.estimator_.transform_y(self._checked_x(X, reset=False))

    @if_inner_has("estimator", "transform_x")
    def transform_y(self, y: Any) -> Any:
        """The estimator's ``transform_x``.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)

        Returns
        -------
        hidden : ndarray of shape (n_samples, n_hidden)
        """
        check_is_fitted(self)
        return self.estimator_.transform_x(self._as_columns(self._checked_y(y)))

    @if_inner_has("estimator", "transform_pair")
    def transform_pair(self, X: Any, y: Any) -> Any:
        """The estimator's ``transform_pair``, with the views exchanged.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)

        Returns
        -------
        hidden : ndarray of shape (n_samples, n_hidden)
        """
        check_is_fitted(self)
        X = self._checked_x(X, reset=False)
        y = self._as_columns(self._checked_y(y))
        return self.estimator_.transform_pair(y, X)

    def get_metadata_routing(self) -> Any:
        """Metadata routing: ``fit`` of the estimator, and this object's ``score``.

        Returns
        -------
        routing : MetadataRouter
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(estimator=self.estimator, method_mapping=mapping)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.target_tags.multi_output = True
        tags.non_deterministic = inner.non_deterministic
        if inner.regressor_tags is not None:
            tags.regressor_tags.poor_score = inner.regressor_tags.poor_score
        transformer = getattr(self.estimator, "y_transformer", None)
        tags.input_tags.three_d_array = takes_images(transformer)
        return tags

    def _checked_x(self, X: Any, reset: bool) -> Any:
        """X as the estimator's y: free where that has a transformer, else a table."""
        free = transforms_view(self.estimator, "y") and len(rows_of(X).shape) > 1
        if not free:
            return validate_data(self, X, reset=reset, dtype=FLOATS)
        X = rows_of(X)
        validate_data(self, counted(X), reset=reset, skip_check_array=True)
        return X

    def _checked_y(self, y: Any) -> Any:
        check_names(y, getattr(self, "target_names_in_", None), "y")
        if transforms_view(self.estimator, "x"):
            return rows_of(y)
        return check_array(
            y, dtype=FLOATS, ensure_2d=False, input_name="y", estimator=self
        )

    def _as_columns(self, y: Any) -> Any:
        """The target as the estimator's X, which has to be two-dimensional."""
        return np.asarray(y).reshape(-1, 1) if len(y.shape) == 1 else y

    def _as_target(self, y: Any) -> Any:
        """A prediction in the shape of the target passed to ``fit``."""
        return np.asarray(y).reshape(-1) if self.y_shape_ == () else y

    def _inner_score(
        self, name: str, X: Any, y: Any, sample_weight: ArrayLike | None
    ) -> float:
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        X = self._checked_x(X, reset=False)
        y = self._as_columns(self._checked_y(y))
        return float(getattr(self.estimator_, name)(y, X, **weights))

    def _require_std(self, name: str) -> None:
        if not takes_return_std(getattr(self.estimator_, name)):
            raise ValueError(
                f"{type(self.estimator_).__name__}.{name} gives no standard "
                "deviations: call without return_std."
            )
