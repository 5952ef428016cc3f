"""Transform two views, fit one model on them, predict in either direction."""

from __future__ import annotations

from typing import Any

import numpy as np
from joblib import Memory
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils import check_consistent_length, get_tags
from sklearn.utils.metadata_routing import (
    UNUSED,
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.validation import check_is_fitted, check_memory, validate_data

from sklearn_drm.estimators._progress import (
    CallbackSupport,
    callback_data,
    propagated,
    with_callbacks,
)
from sklearn_drm.fitted_view import FittedView, fit_view
from sklearn_drm.versioned import VersionedState
from sklearn_drm.views import (
    check_names,
    counted,
    fit_arguments,
    flat_r2,
    if_inner_has,
    input_tags_of,
    routing_is_on,
    rows_of,
    seed,
    seeded,
    set_target_names,
    takes_images,
    takes_return_std,
    unchanged_on_error,
)

__all__ = ["TwoViewRegressor"]

Prediction = NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]


def _space(space: str) -> str:
    if space not in ("original", "transformed"):
        raise ValueError(f"space must be 'original' or 'transformed', got {space!r}.")
    return space


class TwoViewRegressor(
    CallbackSupport,  # type: ignore[misc]
    VersionedState,
    RegressorMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """Regressor on transformed views that predicts, and scores, both ways.

    scikit-learn's :class:`~sklearn.pipeline.Pipeline` transforms X only and forwards
    a fixed list of methods. This meta-estimator transforms X *and* y, fits the
    regressor on the results, and maps its predictions back through the
    transformers' inverses, from X to y (:meth:`predict_y`) and from y to X
    (:meth:`predict_x`).

    Parameters
    ----------
    regressor : estimator
        Fitted on the transformed views. :meth:`predict_x`, :meth:`score_x`,
        ``sample_*``, ``transform_*``, :meth:`score_samples` and
        :meth:`log_partition` exist where the regressor has them.
    x_transformer, y_transformer : transformer or None, default=None
        Fitted on the rows of their own view alone (no target, no weights, no
        groups). None: the view is used as it is, and must be a table of numbers.
        With a transformer a view may be whatever that takes: image stacks
        ``(n, H, W)`` or ``(n, frames, H, W)``, data frames with columns of several
        kinds.
    memory : str, object with the joblib.Memory interface, or None, default=None
        Where the fitted transformers and the transformed views are kept, as in
        :class:`~sklearn.pipeline.Pipeline`: in a grid search over the regressor
        each view is then transformed once per fold.
    random_state : int, RandomState or None, default=None
        Seed of the regressor and the transformers where their own is None.

    Attributes
    ----------
    regressor_ : estimator
        The fitted regressor.
    x_transformer_, y_transformer_ : transformer or None
        The fitted transformers.
    x_shape_, y_shape_ : tuple of int
        Shape of one row of each view in ``fit``, ``()`` for a 1-D y.
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
    SwapViews : the reverse direction as an ordinary regressor.
    sklearn.compose.TransformedTargetRegressor : one direction, y transformed.

    Notes
    -----
    ``score`` and ``score_x`` compare in the *transformed* space unless told
    otherwise. Where a transformer drops something on purpose, such as the phase of
    a waveform, comparing originals scores a perfect prediction below silence.

    Predictions have the shape of the rows passed to ``fit`` where the inverse gives
    as many values, else whatever the inverse gives.

    *Metadata.* ``fit`` passes ``sample_weight`` and ``groups`` on to the regressor.
    Without metadata routing, scikit-learn's default, they are passed as given, and
    it is an error if the regressor's ``fit`` does not take them;
    ``GridSearchCV(model, cv=GroupKFold()).fit(X, y, groups=g)`` then keeps the
    groups for the splitter, and the regressor gets none. With
    ``set_config(enable_metadata_routing=True)`` the regressor gets what it asks
    for: ``regressor.set_fit_request(groups=True)`` gives them to both.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.preprocessing import FunctionTransformer, StandardScaler
    >>> from sklearn_drm import TwoViewRegressor
    >>> rng = np.random.default_rng(0)
    >>> images = rng.random((40, 4, 5))  # a stack of 40 images
    >>> brightness = np.log(images.mean(axis=(1, 2)))
    >>> flatten = FunctionTransformer(lambda stack: stack.reshape(len(stack), -1))
    >>> model = TwoViewRegressor(
    ...     Ridge(alpha=1e-3),
    ...     x_transformer=flatten,
    ...     y_transformer=StandardScaler(),
    ... ).fit(images, brightness)
    >>> model.predict_y(images[:3]).shape
    (3,)
    >>> model.score(images, brightness) > 0.99
    True
    >>> hasattr(model, "predict_x")  # ridge regression has one direction only
    False
    """

    # The regressor requests metadata, not this router.
    __metadata_request__fit = {"sample_weight": UNUSED, "groups": UNUSED}
    __metadata_request__predict = {"return_std": UNUSED, "space": UNUSED}
    __metadata_request__score = {"sample_weight": UNUSED, "space": UNUSED}

    def __init__(
        self,
        regressor: Any,
        *,
        x_transformer: Any = None,
        y_transformer: Any = None,
        memory: str | Memory | None = None,
        random_state: Any = None,
    ) -> None:
        self.regressor = regressor
        self.x_transformer = x_transformer
        self.y_transformer = y_transformer
        self.memory = memory
        self.random_state = random_state

    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> TwoViewRegressor:
        """Fit the transformers, then the regressor on the transformed views.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            The first view.
        y : array-like of shape (n_samples,) or (n_samples, ...)
            The second view.
        sample_weight : array-like of shape (n_samples,), default=None
            Passed to the regressor. The transformers do not see it.
        groups : array-like of shape (n_samples,), default=None
            Passed to the regressor, which may hold out whole groups.

        Returns
        -------
        self : TwoViewRegressor

        Raises
        ------
        ValueError
            If a view is not what its transformer takes; if, without a transformer,
            it is not a finite numeric table; if rows do not match; if
            ``sample_weight`` or ``groups`` is given and the regressor's ``fit``
            does not take it.
        TypeError
            If the regressor or a transformer lacks the methods it needs.
        """
        if not (hasattr(self.regressor, "fit") and hasattr(self.regressor, "predict")):
            raise TypeError(
                "regressor must have the methods fit and predict, "
                f"got {self.regressor!r}."
            )
        for name in ("x_transformer", "y_transformer"):
            transformer = getattr(self, name)
            if transformer is None:
                continue
            if not (hasattr(transformer, "fit") and hasattr(transformer, "transform")):
                raise TypeError(
                    f"{name} must be None or have the methods fit and transform, "
                    f"got {transformer!r}."
                )
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None."
            )
        arguments = fit_arguments(
            self, "regressor", {"sample_weight": sample_weight, "groups": groups}
        )
        with unchanged_on_error(self):
            X, y = rows_of(X), rows_of(y)
            if len(X.shape) > 1:  # else a transformer's business, or an error below
                validate_data(self, counted(X), reset=True, skip_check_array=True)
            memory = check_memory(self.memory)
            draw = self.random_state
            x_rows, self._x_view = fit_view(
                seeded(self.x_transformer, draw), X, "x", self, memory
            )
            y_rows, self._y_view = fit_view(
                seeded(self.y_transformer, draw), y, "y", self, memory
            )
            check_consistent_length(x_rows, y_rows)
            self.x_transformer_ = self._x_view.transformer
            self.y_transformer_ = self._y_view.transformer
            self.x_shape_, self.y_shape_ = self._x_view.shape, self._y_view.shape
            self.n_outputs_ = self._y_view.width
            set_target_names(self, y)
            regressor = seeded(self.regressor, draw)
            data = callback_data(X, y, sample_weight)
            with propagated(self, regressor, "regressor", data):
                self.regressor_ = regressor.fit(x_rows, y_rows, **arguments)
        return self

    def predict(
        self, X: Any, return_std: bool = False, *, space: str = "original"
    ) -> Prediction:
        """Predict y from X; the same as :meth:`predict_y`.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        return_std : bool, default=False
        space : {"original", "transformed"}, default="original"

        Returns
        -------
        y_pred : ndarray, or a pair of them with ``return_std``
        """
        return self.predict_y(X, return_std, space=space)

    def predict_y(
        self, X: Any, return_std: bool = False, *, space: str = "original"
    ) -> Prediction:
        """Predict y from X.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        return_std : bool, default=False
            Also return standard deviations. In the original space these need an
            affine inverse (scalers, PCA, a linear transform), and errors of the
            transformed columns are taken as uncorrelated:
            ``σ²_k = Σ_j A[j, k]² σ_j²`` for ``y = z A + b``. What a transformer
            dropped, such as PCA's discarded components, is not in them.
        space : {"original", "transformed"}, default="original"
            "transformed": what the regressor predicts, before the inverse.

        Returns
        -------
        y_pred : ndarray of shape (n_samples,) or (n_samples, ...)
        y_std : ndarray of the shape of y_pred
            Only with ``return_std``.

        Raises
        ------
        ValueError
            If ``return_std`` is asked for in the original space and the inverse is
            not affine there, or the regressor gives no standard deviation.
        TypeError
            If the transformer has no ``inverse_transform``.
        """
        check_is_fitted(self)
        name = "predict_y" if hasattr(self.regressor_, "predict_y") else "predict"
        rows = self._x_rows(X)
        return self._prediction(name, rows, self._y_view, return_std, space)

    @if_inner_has("regressor", "predict_x")
    def predict_x(
        self, y: Any, return_std: bool = False, *, space: str = "original"
    ) -> Prediction:
        """Predict X from y; as :meth:`predict_y` with the views exchanged.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, ...)
        return_std : bool, default=False
        space : {"original", "transformed"}, default="original"

        Returns
        -------
        x_pred : ndarray of shape (n_samples, ...)
        x_std : ndarray of the shape of x_pred
            Only with ``return_std``.
        """
        check_is_fitted(self)
        rows = self._y_rows(y)
        return self._prediction("predict_x", rows, self._x_view, return_std, space)

    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        space: str = "transformed",
    ) -> float:
        """Score of predicting y from X.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y : array-like of shape (n_samples,) or (n_samples, ...)
        sample_weight : array-like of shape (n_samples,), default=None
        space : {"transformed", "original"}, default="transformed"
            "transformed": the regressor's own ``score`` of the transformed views.
            "original": R² of the values that :meth:`predict_y` gives.

        Returns
        -------
        score : float
            R², averaged uniformly over columns.
        """
        check_is_fitted(self)
        if _space(space) == "original":
            check_names(y, self._y_view.names, "y")
            return flat_r2(y, self.predict_y(X), sample_weight)
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        if weights and routing_is_on():
            weights = dict(process_routing(self, "score", **weights).regressor.score)
        return float(self.regressor_.score(self._x_rows(X), self._y_rows(y), **weights))

    @if_inner_has("regressor", "score_x")
    def score_x(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        space: str = "transformed",
    ) -> float:
        """Score of predicting X from y; see :meth:`score`.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y : array-like of shape (n_samples,) or (n_samples, ...)
        sample_weight : array-like of shape (n_samples,), default=None
        space : {"transformed", "original"}, default="transformed"

        Returns
        -------
        score : float
        """
        check_is_fitted(self)
        if _space(space) == "original":
            check_names(X, self._x_view.names, "x")
            return flat_r2(X, self.predict_x(y), sample_weight)
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return float(
            self.regressor_.score_x(self._x_rows(X), self._y_rows(y), **weights)
        )

    @if_inner_has("regressor", "sample_y")
    def sample_y(
        self, X: Any, n_samples: int = 1, random_state: Any = None
    ) -> NDArray[Any]:
        """Draw y given each row of X, mapped back to the original space.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
        n_samples : int >= 1, default=1
            Draws per row.
        random_state : int, RandomState instance or None, default=None
            Seed; None: the regressor's own.

        Returns
        -------
        y_samples : ndarray of shape (n_samples, n_rows, ...)
        """
        check_is_fitted(self)
        draws = self.regressor_.sample_y(
            self._x_rows(X), n_samples, **seed(random_state)
        )
        return self._y_view.original(draws)

    @if_inner_has("regressor", "sample_x")
    def sample_x(
        self, y: Any, n_samples: int = 1, random_state: Any = None
    ) -> NDArray[Any]:
        """Draw X given each row of y, mapped back to the original space.

        Parameters
        ----------
        y : array-like of shape (n_rows,) or (n_rows, ...)
        n_samples : int >= 1, default=1
            Draws per row.
        random_state : int, RandomState instance or None, default=None
            Seed; None: the regressor's own.

        Returns
        -------
        x_samples : ndarray of shape (n_samples, n_rows, ...)
        """
        check_is_fitted(self)
        draws = self.regressor_.sample_x(
            self._y_rows(y), n_samples, **seed(random_state)
        )
        return self._x_view.original(draws)

    @if_inner_has("regressor", "sample")
    def sample(
        self, n_samples: int = 1, random_state: Any = None
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Draw pairs, mapped back to the original spaces.

        Parameters
        ----------
        n_samples : int >= 1, default=1
        random_state : int, RandomState instance or None, default=None
            Seed; None: the regressor's own.

        Returns
        -------
        x_samples : ndarray of shape (n_samples, ...)
        y_samples : ndarray of shape (n_samples,) or (n_samples, ...)
        """
        check_is_fitted(self)
        x_rows, y_rows = self.regressor_.sample(n_samples, **seed(random_state))
        return self._x_view.original(x_rows), self._y_view.original(y_rows)

    @if_inner_has("regressor", "score_samples")
    def score_samples(self, X: Any = None, y: Any = None) -> NDArray[Any]:
        """Log density of each pair, or of one view, *in the transformed space*.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), default=None
            None: the density of y alone, where the regressor gives it.
        y : array-like of shape (n_samples,) or (n_samples, ...), default=None
            None: the density of X alone.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            Natural logarithm, per unit volume of the transformed views.
        """
        check_is_fitted(self)
        x_rows = None if X is None else self._x_rows(X)
        y_rows = None if y is None else self._y_rows(y)
        return np.asarray(self.regressor_.score_samples(x_rows, y_rows))

    @if_inner_has("regressor", "log_partition")
    def log_partition(self) -> Any:
        """The regressor's log partition function.

        Returns
        -------
        record
            What the regressor's ``log_partition`` returns.
        """
        check_is_fitted(self)
        return self.regressor_.log_partition()

    @if_inner_has("regressor", "transform_x")
    def transform_x(self, X: Any) -> Any:
        """What the regressor makes of X: its hidden posterior means.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)

        Returns
        -------
        hidden : ndarray of shape (n_samples, n_hidden)
        """
        check_is_fitted(self)
        return self.regressor_.transform_x(self._x_rows(X))

    @if_inner_has("regressor", "transform_y")
    def transform_y(self, y: Any) -> Any:
        """What the regressor makes of y: its hidden posterior means.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, ...)

        Returns
        -------
        hidden : ndarray of shape (n_samples, n_hidden)
        """
        check_is_fitted(self)
        return self.regressor_.transform_y(self._y_rows(y))

    @if_inner_has("regressor", "transform_pair")
    def transform_pair(self, X: Any, y: Any) -> Any:
        """What the regressor makes of pairs: its hidden posterior means.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y : array-like of shape (n_samples,) or (n_samples, ...)

        Returns
        -------
        hidden : ndarray of shape (n_samples, n_hidden)
        """
        check_is_fitted(self)
        return self.regressor_.transform_pair(self._x_rows(X), self._y_rows(y))

    def _x_rows(self, X: Any) -> NDArray[Any]:
        X = rows_of(X)
        if len(X.shape) > 1:
            validate_data(self, counted(X), reset=False, skip_check_array=True)
        return self._x_view.rows(X, self)

    def _y_rows(self, y: Any) -> NDArray[Any]:
        return self._y_view.rows(rows_of(y), self)

    def _prediction(
        self,
        method: str,
        rows: NDArray[Any],
        view: FittedView,
        return_std: bool,
        space: str,
    ) -> Prediction:
        """Rows of the other view through the regressor, and back through ``view``."""
        predict = getattr(self.regressor_, method)
        original = _space(space) == "original"
        if not return_std:
            mean = predict(rows)
            return view.original(mean) if original else mean
        if not takes_return_std(predict):
            raise ValueError(
                f"{type(self.regressor_).__name__}.{method} gives no standard "
                "deviations: call without return_std."
            )
        mean, std = predict(rows, return_std=True)
        if not original:
            return mean, std
        return view.original(mean), view.original_std(mean, std)

    def get_metadata_routing(self) -> Any:
        """Metadata routing: ``fit`` and ``score`` of the regressor.

        Returns
        -------
        routing : MetadataRouter
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        mapping = mapping.add(caller="score", callee="score")
        return MetadataRouter(owner=self).add(
            regressor=self.regressor, method_mapping=mapping
        )

    def _sk_visual_block_(self) -> Any:
        """scikit-learn's hook for its diagram: both views, then the regressor."""
        fitted = hasattr(self, "regressor_")
        end = "_" if fitted else ""
        views = [
            (f"{name}_transformer", getattr(self, f"{name}_transformer{end}"))
            for name in "xy"
        ]
        # Built from scikit-learn's own composites, which draw themselves: the
        # class of such blocks is private.
        both = FeatureUnion([(n, "passthrough" if t is None else t) for n, t in views])
        steps = Pipeline([("views", both), ("regressor", self.regressor)])
        block = steps._sk_visual_block_()
        side_by_side = both._sk_visual_block_()
        side_by_side.dash_wrapped = False
        side_by_side.names = [name for name, _ in views]
        inner = getattr(self, f"regressor{end}")
        block.estimators = (side_by_side, inner)
        block.names = [None, f"regressor: {type(inner).__name__}"]
        block.name_details = [None, str(inner)]
        return block

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.regressor)
        tags.target_tags.multi_output = inner.target_tags.multi_output
        tags.target_tags.single_output = inner.target_tags.single_output
        tags.non_deterministic = inner.non_deterministic
        if inner.regressor_tags is not None:
            tags.regressor_tags.poor_score = inner.regressor_tags.poor_score
        if self.x_transformer is None:
            tags.input_tags.positive_only = inner.input_tags.positive_only
        else:
            # Not sparse and not allow_nan: whether the transformer also *gives*
            # dense and finite rows, which the regressor needs, no tag says.
            first = input_tags_of(self.x_transformer)
            tags.input_tags.categorical = first.categorical
            tags.input_tags.string = first.string
            tags.input_tags.positive_only = first.positive_only
            tags.input_tags.three_d_array = takes_images(self.x_transformer)
        return tags
