"""`GGDRMRegressor`: a Gaussian-Gaussian Deep Relational Model."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_drm.core import chain as chains
from sklearn_drm.core.ais import (
    EXACT_COST,
    LogPartition,
    estimate_log_partition,
)
from sklearn_drm.core.exact import enumeration_cost, log_likelihood
from sklearn_drm.core.gibbs import sample_chain
from sklearn_drm.core.mean_field import lower_bound, mean_field
from sklearn_drm.core.model import RelationalModel, Scaling, mirror
from sklearn_drm.core.predictor import Predictor
from sklearn_drm.core.units import Array
from sklearn_drm.estimators import _training
from sklearn_drm.estimators._training import Views
from sklearn_drm.learning.contrastive_divergence import ContrastiveDivergence, pretrain
from sklearn_drm.learning.fine_tuning import (
    History,
    Schedule,
    pooled_score,
    tune_joint,
    tune_network,
)
from sklearn_drm.learning.optimizer import Adam
from sklearn_drm.learning.parameters import flatten_chain

__all__ = ["GGDRMRegressor"]


class GGDRMRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""Gaussian-Gaussian Deep Relational Model: fitted once, predicts both ways.

    An undirected chain x – h1 – … – hL – y with real-valued views and binary hidden
    layers. It is pre-trained as a joint density by contrastive divergence and then
    fine-tuned for the two conditional means.

    Parameters
    ----------
    n_hidden_layers : int, default=2
        L.
    n_hidden_units : int or sequence of int, default=100
        Units per hidden layer, or one number for each, x side first.
    fine_tune : {"separate", "joint", None}, default="separate"
        What follows pre-training. "separate": the chain is unrolled into one
        network per direction, each tuned by itself. "joint": one weight set is
        tuned for both directions. None: nothing; predictions are the chain's own.
    pretrain_epochs : int, default=3
        Passes of contrastive divergence over the rows.
    pretrain_learning_rate : float, default=0.001
        Initial step size of pre-training (Adam).
    n_gibbs_steps : int, default=3
        k of contrastive divergence.
    fine_tune_epochs : int, default=60
        Largest number of passes of fine-tuning.
    learning_rate : float, default=0.005
        Initial step size of fine-tuning (Adam).
    batch_size : int, default=100
        Rows in a batch.
    n_mean_field_iter : int or None, default=None
        Mean-field sweeps of inference on the chain. None: 20, or 1 with
        ``fine_tune="joint"``. A jointly tuned model is good at the number it was
        tuned with only; "separate" has one sweep by construction.
    damping : float in [0, 1), default=0.5
        Share of the old value kept in the last hidden layer at each sweep of more
        than one.
    mean_field : {"collapsed", "naive"}, default="collapsed"
        Whether the free view is integrated out, or given a factor of its own.
    dropout : float in [0, 1), default=0.2
        Share of hidden means set to zero while fine-tuning.
    averaging : float in [0, 1), default=0.99
        Decay per update of the parameter average that fine-tuning keeps; 0: none.
    x_target, y_target : slice, sequence of int or None, default=None
        Columns counted in the fine-tuning loss, in early stopping and in ``score``;
        for views with context windows, their central frame. Other columns are
        predicted by a ridge read-out of the same hidden units.
    early_stopping : bool, default=True
        Hold rows out and keep the parameters that predict them best. Off by itself
        when the fraction is fewer than fifty rows.
    validation_fraction : float in (0, 1), default=0.1
        Share of rows (whole groups where ``groups`` is given) held out.
    n_iter_no_change : int, default=10
        Passes without a gain of ``tol`` in held-out R² that end fine-tuning.
    tol : float, default=1e-4
        Smallest gain that counts.
    warm_start : bool, default=False
        Go on from the last fit, with its scaling.
    random_state : int, RandomState or None, default=None
        Seed of weights, batches, samples and the held-out rows.
    verbose : int, default=0
        1: a line per phase; 2: a line per epoch.

    Attributes
    ----------
    model_ : RelationalModel
        The chain: ``weights``, ``biases``, ``log_variance_x``, ``log_variance_y``,
        ``x_scale``, ``y_scale``.
    predictors_ : dict
        ``"y"`` and ``"x"``: the :class:`~sklearn_drm.core.predictor.Predictor` of
        each view from the other.
    n_iter_ : int
        Epochs run, all phases together.
    loss_curve_ : dict of list of float
        Loss per epoch of each phase.
    validation_scores_ : dict of list of float
        Held-out pooled R² of ``"y"`` and ``"x"`` per fine-tuning epoch; empty
        without early stopping.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of str
        Their names, where X had any.
    n_outputs_ : int
        Columns of y.
    target_names_in_ : ndarray of str
        Their names, where y had any.

    See Also
    --------
    TwoViewRegressor : Transforms both views around this estimator.
    SwapViews : Makes y → x the forward direction.

    Notes
    -----
    E = ½Σ(x−b)²/σ_x² + ½Σ(y−d)²/σ_y² − (x/σ_x²)ᵀW_1h_1 − Σ h_lᵀW_{l+1}h_{l+1}
    − h_LᵀW_{L+1}(y/σ_y²) − Σ c_lᵀh_l, with z = log σ² learned. The views are
    standardised inside with the training rows' moments.

    References
    ----------
    T. Nakashika, "Deep Relational Model: A Joint Probabilistic Model with a
    Hierarchical Structure for Bidirectional Estimation of Image and Labels", IEICE
    Trans. E101-D(2), 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm import GGDRMRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 3))
    >>> Y = np.column_stack([X[:, 0] * 2, X[:, 1] - X[:, 2]])
    >>> model = GGDRMRegressor(random_state=0).fit(X, Y)
    >>> model.predict_y(X[:2]).shape, model.predict_x(Y[:2]).shape
    ((2, 2), (2, 3))
    >>> bool(model.score(X, Y) > 0.9)
    True
    """

    def __init__(
        self,
        n_hidden_layers: int = 2,
        n_hidden_units: Any = 100,
        *,
        fine_tune: str | None = "separate",
        pretrain_epochs: int = 3,
        pretrain_learning_rate: float = 0.001,
        n_gibbs_steps: int = 3,
        fine_tune_epochs: int = 60,
        learning_rate: float = 0.005,
        batch_size: int = 100,
        n_mean_field_iter: int | None = None,
        damping: float = 0.5,
        mean_field: str = "collapsed",
        dropout: float = 0.2,
        averaging: float = 0.99,
        x_target: Any = None,
        y_target: Any = None,
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_hidden_layers = n_hidden_layers
        self.n_hidden_units = n_hidden_units
        self.fine_tune = fine_tune
        self.pretrain_epochs = pretrain_epochs
        self.pretrain_learning_rate = pretrain_learning_rate
        self.n_gibbs_steps = n_gibbs_steps
        self.fine_tune_epochs = fine_tune_epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_mean_field_iter = n_mean_field_iter
        self.damping = damping
        self.mean_field = mean_field
        self.dropout = dropout
        self.averaging = averaging
        self.x_target = x_target
        self.y_target = y_target
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None
    ) -> GGDRMRegressor:
        """Fit both directions to paired rows.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            First view, n ≥ 2.
        y : array-like of shape (n, n_y) or (n,)
            Second view.
        sample_weight : array-like of shape (n,), optional
            Non-negative weights; rows of weight 0 are left out.
        groups : array-like of shape (n,), optional
            Clip (or other unit) of each row; early stopping then holds out whole
            groups.

        Returns
        -------
        GGDRMRegressor
            The fitted estimator.

        Raises
        ------
        ValueError
            For NaN, infinite, empty or mismatched input, or a hyperparameter out of
            its range.
        DivergenceError
            When learning produces values that are not finite.
        """
        self._check_parameters()
        again = self.warm_start and hasattr(self, "model_")
        views = self._views(X, y, sample_weight, groups, reset=not again)
        rng = self._generator()
        if not again:
            self._start(views, rng)
        train, held = self._split(views, rng)
        self._pretrain(train, self.pretrain_epochs, rng)
        schedule = Schedule(
            self.fine_tune_epochs,
            self.batch_size,
            self.learning_rate,
            self.n_iter_no_change,
            self.tol,
            self.averaging,
        )
        self._fine_tune(train, held, schedule, rng, again)
        self._finish(train, held)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> GGDRMRegressor:
        """One pass of both phases over a batch of rows.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            First view. The first call fixes the scaling of both views.
        y : array-like of shape (n, n_y) or (n,)
            Second view.
        sample_weight : array-like of shape (n,), optional
            Non-negative weights.

        Returns
        -------
        GGDRMRegressor
            The estimator.
        """
        self._check_parameters()
        again = hasattr(self, "model_")
        views = self._views(X, y, sample_weight, None, reset=not again)
        if not again:
            self._start(views, self._generator())
        if not hasattr(self, "_partial_rng"):
            self._partial_rng = self._generator()
        self._pretrain(views, 1, self._partial_rng)
        schedule = Schedule(1, self.batch_size, self.learning_rate, anneal=False)
        self._fine_tune(views, None, schedule, self._partial_rng, again)
        self._finish(views, None)
        return self

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
        rows = self._check_x(X)
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
        return self._predict("x", self._check_y(y), return_std)

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
        prediction = self.predict_y(X)
        truth = np.asarray(y)
        if self.y_target is not None and truth.ndim > 1:
            columns = self._columns(self.y_target, self.n_outputs_, "y_target")
            truth, prediction = truth[:, columns], prediction[:, columns]
        return float(r2_score(truth, prediction, sample_weight=sample_weight))

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
        columns = self._columns(self.x_target, self.n_features_in_, "x_target")
        truth = np.asarray(X)[:, columns]
        prediction = self.predict_x(y)[:, columns]
        return float(r2_score(truth, prediction, sample_weight=sample_weight))

    def transform_x(self, X: Any) -> Array:
        """Hidden means of the chain given x alone.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            First view.

        Returns
        -------
        ndarray of shape (n, ΣJ_l)
            Posterior means of h1 … hL, side by side, in [0, 1].
        """
        return np.hstack(self._infer(self.model_, self._check_x(X)))

    def transform_y(self, y: Any) -> Array:
        """Hidden means of the chain given y alone.

        Parameters
        ----------
        y : array-like of shape (n, n_y) or (n,)
            Second view.

        Returns
        -------
        ndarray of shape (n, ΣJ_l)
            Posterior means of h1 … hL, side by side, in [0, 1].
        """
        return np.hstack(self._infer(mirror(self.model_), self._check_y(y))[::-1])

    def transform_pair(self, X: Any, y: Any) -> Array:
        """Hidden means of the chain given both views.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            First view.
        y : array-like of shape (n, n_y) or (n,)
            Second view.

        Returns
        -------
        ndarray of shape (n, ΣJ_l)
            Posterior means of h1 … hL, side by side, in [0, 1].
        """
        rows, targets = self._check_x(X), self._check_y(y)
        check_consistent_length(rows, targets)
        return np.hstack(self._infer(self.model_, rows, targets))

    def log_partition(self) -> LogPartition:
        """Log-partition of ``model_`` over the standardised views.

        Returns
        -------
        LogPartition
            Estimate, lower, upper and standard error: exact for small chains, by
            annealed importance sampling otherwise. Computed once per fit.
        """
        check_is_fitted(self)
        if self._log_partition is None:
            chain = self._in_float64().chain
            base = [
                layer.from_moments(mean, np.ones_like(mean))
                for layer, mean in zip(
                    chain.units,
                    [
                        np.zeros(chain.x.n_units),
                        *(mean.astype(np.float64) for mean in self.model_.means),
                        np.zeros(chain.y.n_units),
                    ],
                    strict=True,
                )
            ]
            self._log_partition = estimate_log_partition(
                chain, base, np.random.default_rng(0)
            )
        return self._log_partition

    def score_samples(self, X: Any, y: Any = None) -> Array:
        """Log-density of pairs, or of x alone, under ``model_``.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            First view.
        y : array-like of shape (n, n_y) or (n,), optional
            Second view; None: log p(x).

        Returns
        -------
        ndarray of shape (n,)
            Natural-log densities in the units passed to ``fit``. Exact where the
            transfer matrices of the hidden layers have at most 2²⁰ entries;
            otherwise a mean-field lower bound minus the annealed estimate of log Z
            (see :meth:`log_partition` for its error), and approximate.

        Notes
        -----
        The density is that of the chain. With ``fine_tune="separate"`` the chain
        stays as it was pre-trained; joint fine-tuning serves the conditional means,
        not the density.
        """
        rows = self._check_x(X).astype(np.float64)
        targets = None
        if y is not None:
            targets = self._check_y(y).astype(np.float64)
            check_consistent_length(rows, targets)
        model = self._in_float64()
        log_z = self.log_partition().estimate
        if enumeration_cost(model.chain) <= EXACT_COST:
            density = log_likelihood(model.chain, rows, targets, log_z=log_z)
        else:
            # The bound holds for any means; the chain's own inference is the
            # tightest cheap one, whatever the predictors were tuned for.
            hidden = mean_field(
                model.chain, rows, targets, n_iter=30, initial=model.means
            ).hidden
            density = lower_bound(model.chain, hidden, rows, targets) - log_z
        density = density - np.log(model.x_scale).sum()
        return density if targets is None else density - np.log(model.y_scale).sum()

    def sample(
        self, n_samples: int = 1, random_state: Any = None, n_sweeps: int = 500
    ) -> tuple[Array, Array]:
        """Draws of both views from ``model_``.

        Parameters
        ----------
        n_samples : int, default=1
            Number of pairs.
        random_state : int, RandomState or None, default=None
            Seed; None: the estimator's own.
        n_sweeps : int, default=500
            Gibbs sweeps from independent starts.

        Returns
        -------
        X : ndarray of shape (n_samples, n_x)
            First view.
        y : ndarray of shape (n_samples, n_y) or (n_samples,)
            Second view.
        """
        check_is_fitted(self)
        self._check_n_samples(n_samples)
        state = sample_chain(
            self.model_.chain,
            int(n_samples),
            self._sampling_generator(random_state),
            n_sweeps=n_sweeps,
        )
        rows = self.model_.x_scaling.restore(state[0])
        return rows, self._ravel(self.model_.y_scaling.restore(state[-1]))

    # The rest are the steps of `fit` and the checks that the methods share.

    def _check_parameters(self) -> None:
        at_least = {
            "n_hidden_layers": 1,
            "pretrain_epochs": 0,
            "n_gibbs_steps": 1,
            "fine_tune_epochs": 0,
            "batch_size": 1,
            "n_iter_no_change": 1,
        }
        for name, low in at_least.items():
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
                raise ValueError(f"{name} must be an int of at least {low}; got {value!r}.")
        for name in ("pretrain_learning_rate", "learning_rate", "validation_fraction"):
            value = getattr(self, name)
            if not isinstance(value, Real) or not 0 < value < np.inf:
                raise ValueError(f"{name} must be a positive number; got {value!r}.")
        for name in ("damping", "dropout", "averaging", "validation_fraction", "tol"):
            value = getattr(self, name)
            if not isinstance(value, Real) or not 0 <= value < 1:
                raise ValueError(f"{name} must be in [0, 1); got {value!r}.")
        if self.n_mean_field_iter is not None and (
            not isinstance(self.n_mean_field_iter, Integral) or self.n_mean_field_iter < 1
        ):
            raise ValueError(
                "n_mean_field_iter must be a positive int or None; got "
                f"{self.n_mean_field_iter!r}."
            )
        if self.fine_tune not in ("separate", "joint", None):
            raise ValueError(
                f"fine_tune must be 'separate', 'joint' or None; got {self.fine_tune!r}."
            )
        if self.mean_field not in ("collapsed", "naive"):
            raise ValueError(
                f"mean_field must be 'collapsed' or 'naive'; got {self.mean_field!r}."
            )
        self._hidden_sizes()

    def _hidden_sizes(self) -> list[int]:
        units = self.n_hidden_units
        sizes = [units] * self.n_hidden_layers if isinstance(units, Integral) else units
        try:
            sizes = list(sizes)
        except TypeError:
            sizes = []
        whole = all(isinstance(size, Integral) and size >= 1 for size in sizes)
        if len(sizes) != self.n_hidden_layers or not whole:
            raise ValueError(
                "n_hidden_units must be a positive int, or one for each of the "
                f"{self.n_hidden_layers} hidden layers; got {units!r}."
            )
        return [int(size) for size in sizes]

    def _generator(self) -> np.random.Generator:
        state = check_random_state(self.random_state)
        return np.random.default_rng(state.randint(2**31 - 1, size=4))

    def _views(
        self, X: Any, y: Any, sample_weight: Any, groups: Any, *, reset: bool
    ) -> Views:
        """Checked, weighted and standardised rows; sets what fit learns of them."""
        names = getattr(y, "columns", None)
        X, y = validate_data(
            self,
            X,
            y,
            reset=reset,
            multi_output=True,
            y_numeric=True,
            dtype=[np.float64, np.float32],
            ensure_min_samples=2 if reset else 1,
        )
        y = check_array(y, ensure_2d=False, dtype=X.dtype, input_name="y")
        if reset:
            self._y_is_1d = y.ndim == 1
            self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
            if names is not None and all(isinstance(name, str) for name in names):
                self.target_names_in_ = np.asarray(names, dtype=object)
        y = self._as_columns(y)
        weight = self._weights(sample_weight, len(X), X.dtype)
        if groups is not None:
            groups = check_array(groups, ensure_2d=False, dtype=None, input_name="groups")
            check_consistent_length(X, groups)
        if weight is not None and not (weight > 0).all():
            rows = weight > 0
            X, y, weight = X[rows], y[rows], weight[rows]
            groups = None if groups is None else groups[rows]
        if reset:
            self._x_scaling = Scaling.from_rows(X, weight)
            self._y_scaling = Scaling.from_rows(y, weight)
        return Views(
            self._x_scaling.standardize(X),
            self._y_scaling.standardize(y),
            weight,
            groups,
        )

    @staticmethod
    def _weights(sample_weight: Any, n_rows: int, dtype: Any) -> Array | None:
        if sample_weight is None:
            return None
        weight = np.asarray(sample_weight)
        if weight.ndim == 0:
            weight = np.full(n_rows, weight)
        weight = check_array(
            weight, ensure_2d=False, dtype=dtype, input_name="sample_weight"
        )
        if weight.shape != (n_rows,):
            raise ValueError(
                f"sample_weight has shape {weight.shape}; expected ({n_rows},)."
            )
        if (weight < 0).any() or not weight.any():
            raise ValueError(
                "sample_weight must not be negative, and not zero for every row."
            )
        # Equal weights take the faster way of None.
        return None if (weight == weight[0]).all() else weight

    def _start(self, views: Views, rng: np.random.Generator) -> None:
        chain = _training.initial_chain(
            views.x.shape[1],
            views.y.shape[1],
            self._hidden_sizes(),
            views.x.dtype,
            rng,
            scale=1.0,
        )
        self._trainer = ContrastiveDivergence(
            flatten_chain(chain), n_gibbs_steps=self.n_gibbs_steps
        )
        self._networks = None
        self._optimizers: dict[str, Adam] = {}
        self.n_iter_ = 0
        self.loss_curve_: dict[str, list[float]] = {}
        self.validation_scores_: dict[str, list[float]] = {}

    def _split(
        self, views: Views, rng: np.random.Generator
    ) -> tuple[Views, Views | None]:
        if not (self.early_stopping and self.fine_tune):
            return views, None
        split = _training.held_out_rows(
            len(views.x), views.groups, self.validation_fraction, rng
        )
        if split is None:
            return views, None
        return views.take(split[0]), views.take(split[1])

    def _pretrain(self, train: Views, n_epochs: int, rng: np.random.Generator) -> None:
        weight = train.weight
        if weight is None:
            weight = np.ones(len(train.x), dtype=train.x.dtype)
        losses = pretrain(
            self._trainer,
            train.x,
            train.y,
            weight,
            n_epochs=n_epochs,
            batch_size=self.batch_size,
            learning_rate=self.pretrain_learning_rate,
            rng=rng,
        )
        self._record("pretrain", losses)

    def _fine_tune(
        self,
        train: Views,
        held: Views | None,
        schedule: Schedule,
        rng: np.random.Generator,
        again: bool,
    ) -> None:
        if self.fine_tune == "separate":
            self._tune_separate(train, held, schedule, rng, again)
        elif self.fine_tune == "joint":
            self._tune_joint(train, held, schedule, rng)

    def _tune_separate(
        self,
        train: Views,
        held: Views | None,
        schedule: Schedule,
        rng: np.random.Generator,
        again: bool,
    ) -> None:
        if not again or self._networks is None:
            self._networks = _training.unrolled_networks(
                self._trainer.model.chain, tuple(self._trainer.means)
            )
        for view, network, swap in zip("yx", self._networks, (False, True), strict=True):
            source, goal = (train.y, train.x) if swap else (train.x, train.y)
            columns = self._target(view, goal.shape[1])
            validation = None
            if held is not None:
                pair = (held.y, held.x) if swap else (held.x, held.y)
                validation = pair
            history = tune_network(
                network,
                source,
                goal,
                train.weight,
                schedule,
                rng,
                dropout=self.dropout,
                columns=columns,
                optimizer=self._optimizers.setdefault(view, Adam()),
                validation=validation,
                progress=self._progress(view),
            )
            self._record(view, history.losses)
            if held is not None:
                self.validation_scores_.setdefault(view, []).extend(history.scores)

    def _tune_joint(
        self,
        train: Views,
        held: Views | None,
        schedule: Schedule,
        rng: np.random.Generator,
    ) -> None:
        trainer = self._trainer
        chain, means = trainer.model.chain, tuple(trainer.means)
        targets = {
            "y": self._target("y", train.y.shape[1]),
            "x": self._target("x", train.x.shape[1]),
        }
        score = None
        if held is not None:
            inference = self._inference()
            ways = (
                ("y", _training.chain_predictor(chain, means, **inference)),
                (
                    "x",
                    _training.chain_predictor(
                        chains.mirror(chain), means[::-1], **inference
                    ),
                ),
            )
            scores = self.validation_scores_

            def score() -> float:
                for view, predictor in ways:
                    source, goal = (
                        (held.x, held.y) if view == "y" else (held.y, held.x)
                    )
                    columns = targets[view]
                    value = pooled_score(
                        goal[:, columns], predictor.mean(source)[:, columns]
                    )
                    scores.setdefault(view, []).append(value)
                return 0.5 * (scores["y"][-1] + scores["x"][-1])

        history = tune_joint(
            trainer.model,
            train.x,
            train.y,
            train.weight,
            schedule,
            rng,
            initial=means,
            n_iter=self._inference()["n_iter"],
            damping=self._inference()["damping"],
            dropout=self.dropout,
            x_target=targets["x"],
            y_target=targets["y"],
            optimizer=self._optimizers.setdefault("joint", Adam()),
            score=score,
            progress=self._progress("joint"),
        )
        self._record("joint", history.losses)

    def _finish(self, train: Views, held: Views | None) -> None:
        """Freeze what was learned into ``model_`` and ``predictors_``."""
        trainer = self._trainer
        chain, means = trainer.model.chain, tuple(mean.copy() for mean in trainer.means)
        self.model_ = RelationalModel(chain, self._x_scaling, self._y_scaling, means)
        self._log_partition: LogPartition | None = None
        rows = train if held is None else held
        self.predictors_: dict[str, Predictor] = {}
        mirrored = mirror(self.model_)
        for view, model, index in (("y", self.model_, 0), ("x", mirrored, 1)):
            source, goal = (rows.x, rows.y) if view == "y" else (rows.y, rows.x)
            tuned_source, tuned_goal = (
                (train.x, train.y) if view == "y" else (train.y, train.x)
            )
            if self._networks is None:
                predictor = _training.chain_predictor(
                    model.chain, model.means, **self._inference()
                )
            else:
                predictor = _training.network_predictor(
                    self._networks[index], np.ones(goal.shape[1], goal.dtype)
                )
            predictor = _training.with_read_out(
                predictor,
                goal=tuned_goal,
                source=tuned_source,
                weight=train.weight,
                target=self._target(view if self.fine_tune else None, goal.shape[1]),
                constant=model.y_scaling.constant,
            )
            if self.fine_tune is not None:
                variance = _training.residual_variance(
                    predictor.mean, source, goal, rows.weight
                )
                predictor = replace(
                    predictor, variance=variance, hidden_variance=False
                )
            self.predictors_[view] = predictor

    def _inference(self) -> dict[str, Any]:
        n_iter = self.n_mean_field_iter
        if n_iter is None:
            n_iter = 1 if self.fine_tune == "joint" else 20
        return {
            "n_iter": int(n_iter),
            "damping": 0.0 if n_iter == 1 else float(self.damping),
            "method": self.mean_field,
        }

    def _target(self, view: str | None, n_columns: int) -> Array:
        if view is None:
            return np.arange(n_columns)
        name = f"{view}_target"
        return self._columns(getattr(self, name), n_columns, name)

    @staticmethod
    def _columns(target: Any, n_columns: int, name: str) -> Array:
        """Indices of the target columns."""
        everything = np.arange(n_columns)
        if target is None:
            return everything
        try:
            chosen = everything[target if isinstance(target, slice) else list(target)]
        except (IndexError, TypeError) as error:
            raise ValueError(
                f"{name}={target!r} does not select from {n_columns} columns."
            ) from error
        if not chosen.size:
            raise ValueError(f"{name}={target!r} selects none of {n_columns} columns.")
        return np.unique(chosen)

    def _record(self, phase: str, losses: list[float]) -> None:
        self.loss_curve_.setdefault(phase, []).extend(losses)
        self.n_iter_ += len(losses)
        if self.verbose and losses:
            print(
                f"[GGDRMRegressor] {phase}: {len(losses)} epochs, "
                f"loss {losses[0]:.4g} -> {losses[-1]:.4g}"
            )

    def _progress(self, phase: str) -> Any:
        if self.verbose < 2:
            return None

        def report(epoch: int, history: History) -> None:
            held = f", held-out R2 {history.scores[-1]:.4f}" if history.scores else ""
            print(
                f"[GGDRMRegressor] {phase} epoch {epoch + 1}: "
                f"loss {history.losses[-1]:.4g}{held}"
            )

        return report

    def _as_columns(self, y: Array) -> Array:
        y = y.reshape(-1, 1) if y.ndim == 1 else y
        if y.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y has {y.shape[1]} columns, but {type(self).__name__} was fitted "
                f"with {self.n_outputs_}."
            )
        return y

    def _check_x(self, X: Any) -> Array:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return self.model_.x_scaling.standardize(X)

    def _check_y(self, y: Any) -> Array:
        check_is_fitted(self)
        y = check_array(
            y,
            ensure_2d=False,
            dtype=[np.float64, np.float32],
            input_name="y",
            estimator=self,
        )
        return self.model_.y_scaling.standardize(self._as_columns(y))

    def _ravel(self, result: Any) -> Any:
        if not self._y_is_1d:
            return result
        if isinstance(result, tuple):
            return tuple(part[:, 0] for part in result)
        return result[:, 0]

    def _predict(self, view: str, rows: Array, return_std: bool) -> Any:
        scaling = self.model_.y_scaling if view == "y" else self.model_.x_scaling
        predictor = self.predictors_[view]
        if not return_std:
            return scaling.restore(predictor.mean(rows))
        mean, variance = predictor.mean_and_variance(rows)
        std = (np.sqrt(variance) * scaling.scale).astype(mean.dtype)
        return scaling.restore(mean), std

    def _sample(
        self, view: str, rows: Array, n_samples: int, random_state: Any
    ) -> Array:
        self._check_n_samples(n_samples)
        rng = self._sampling_generator(random_state)
        scaling = self.model_.y_scaling if view == "y" else self.model_.x_scaling
        return scaling.restore(self.predictors_[view].sample(rows, n_samples, rng))

    @staticmethod
    def _check_n_samples(n_samples: Any) -> None:
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be a positive int; got {n_samples!r}.")

    def _sampling_generator(self, random_state: Any) -> np.random.Generator:
        seed = self.random_state if random_state is None else random_state
        return np.random.default_rng(check_random_state(seed).randint(2**31 - 1))

    def _in_float64(self) -> RelationalModel:
        """The model with float64 parameters: likelihoods add up many terms."""
        flat = flatten_chain(self.model_.chain)
        return replace(self.model_, chain=flat.astype(np.float64).chain)

    def _infer(
        self, model: RelationalModel, rows: Array, targets: Array | None = None
    ) -> tuple[Array, ...]:
        inference = self._inference()
        return mean_field(
            model.chain,
            rows,
            targets,
            n_iter=inference["n_iter"],
            damping=inference["damping"],
            method=inference["method"],
            initial=model.means,
        ).hidden
