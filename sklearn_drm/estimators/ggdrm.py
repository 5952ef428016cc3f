"""`GGDRMRegressor`: a Gaussian-Gaussian Deep Relational Model."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.metadata_routing import UNUSED

from sklearn_drm.estimators._fitting import ChainFitting
from sklearn_drm.estimators._parameters import check_parameters
from sklearn_drm.estimators._progress import (
    CallbackSupport,
    callback_data,
    with_callbacks,
)
from sklearn_drm.versioned import VersionedState
from sklearn_drm.views import unchanged_on_error

__all__ = ["GGDRMRegressor"]


class GGDRMRegressor(
    ChainFitting,
    CallbackSupport,  # type: ignore[misc]
    VersionedState,
    MultiOutputMixin,  # type: ignore[misc]
    RegressorMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    r"""Gaussian-Gaussian Deep Relational Model: fitted once, predicts both ways.

    An undirected chain x – h1 – … – hL – y with real-valued views and binary hidden
    layers. It is pre-trained as a joint density by contrastive divergence and then
    fine-tuned for the two conditional means.

    Parameters
    ----------
    n_hidden_layers : int, default=2
        Number of hidden layers, L.
    n_hidden_units : int or sequence of int, default=100
        Units per hidden layer, or one number for each, x side first.
    fine_tune : {"separate", "joint", None}, default="separate"
        What follows pre-training. "separate": the chain is unrolled into one
        network per direction, each tuned by itself. "joint": one weight set is
        tuned for both directions. None: nothing; predictions are the chain's own.
    pretrain_epochs : int, default=1
        Passes of contrastive divergence over the rows.
    pretrain_learning_rate : float, default=0.003
        Initial step size of pre-training (Adafactor); it falls linearly to a tenth.
    n_gibbs_steps : int, default=1
        k of contrastive divergence. One is enough before fine-tuning; where the chain
        itself is to predict, be sampled or give densities, 3 to 10 with more epochs
        make a better one.
    fine_tune_epochs : int or "auto", default="auto"
        Largest number of passes of fine-tuning. "auto": enough for 3500 updates, or
        2500 where ``x_target`` or ``y_target`` leaves columns out, but no fewer than
        12 and no more than 60; twice as many with ``fine_tune="joint"``.
    learning_rate : float, default=0.01
        Largest step size of fine-tuning (Adafactor), reached after the first tenth
        of the updates; it falls along a cosine after that.
    batch_size : int or "auto", default="auto"
        Rows in a batch. "auto": one for every 150 rows, but no fewer than 20 and no
        more than 100, so that few rows too give enough updates in an epoch.
    n_mean_field_iter : int or None, default=None
        Mean-field sweeps of inference on the chain. None: 20, or 1 with
        ``fine_tune="joint"``. A jointly tuned model is good at the number it was
        tuned with only; "separate" has one sweep by construction.
    damping : float in [0, 1), default=0.5
        Share of the old value kept in the last hidden layer at each sweep of more
        than one.
    mean_field : {"collapsed", "naive"}, default="collapsed"
        Whether the free view is integrated out, or given a factor of its own.
    dropout : float in [0, 1), default=0.1
        Share of hidden means set to zero while fine-tuning.
    input_dropout : float in [0, 1) or "auto", default="auto"
        Share of input values set to zero while fine-tuning. "auto": 0.25 where
        ``x_target`` or ``y_target`` leaves columns out, as for views with context
        windows, whose columns say much alike; 0 otherwise.
    averaging : float in [0, 1), default=0.99
        Decay per update of the parameter average that fine-tuning keeps; 0: none.
    x_target, y_target : slice, sequence of int or None, default=None
        Columns counted in the fine-tuning loss, in early stopping and in ``score``;
        for views with context windows, their central frame. Other columns are
        predicted by a ridge read-out of the same hidden units.
    early_stopping : bool, default=True
        Hold rows out and keep the parameters that predict them best. Off by itself
        with fewer than 40 rows.
    validation_fraction : float in (0, 1), default=0.1
        Share of rows (whole groups where ``groups`` is given) held out; more where
        that is fewer than 50 rows, up to a quarter of them.
    refit : bool, default=True
        Leave half of ``fine_tune_epochs`` for all rows, those held out for early
        stopping among them; fewer epochs where the best one came early, none where
        they make the predictions of those rows worse.
        Standard deviations stay those of the held-out rows. Off by itself with
        ``warm_start``, where the next fit may hold the same rows out.
    n_iter_no_change : int, default=10
        Passes without a gain of ``tol`` in held-out R² that end fine-tuning.
    tol : float, default=1e-4
        Smallest gain that counts.
    warm_start : bool, default=False
        Go on from the last fit, with its scaling.
    random_state : int, RandomState or None, default=None
        Seed of weights, batches, samples and the held-out rows.
    verbose : int, default=0
        1: a line per phase, with its loss, the held-out R² of both directions so
        far and the seconds it took, and on a terminal a bar while it runs (needs
        tqdm); 2: a line per epoch. Where scikit-learn has callbacks (1.9,
        experimental), ``set_callbacks(ProgressBar())`` shows the phases too.

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
        Held-out pooled R² of ``"y"`` and ``"x"`` per fine-tuning epoch, up to where
        ``refit`` begins; empty without early stopping.
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
    The density is :math:`p(x, y) = \sum_h e^{-E} / Z` with the energy

    .. math::

        E = \tfrac12 \sum_i \frac{(x_i-b_i)^2}{\sigma_{x,i}^2}
        + \tfrac12 \sum_k \frac{(y_k-d_k)^2}{\sigma_{y,k}^2}
        - \sum_{l=1}^{L} c_l^\top h_l

        - \left(\frac{x}{\sigma_x^2}\right)^{\!\top} W_1 h_1
        - \sum_{l=1}^{L-1} h_l^\top W_{l+1} h_{l+1}
        - h_L^\top W_{L+1} \frac{y}{\sigma_y^2}

    and :math:`z = \log \sigma^2` learned. The views are standardised inside with the
    training rows' moments.

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

    __metadata_request__predict = {"return_std": UNUSED}

    def __init__(
        self,
        n_hidden_layers: int = 2,
        n_hidden_units: Any = 100,
        *,
        fine_tune: str | None = "separate",
        pretrain_epochs: int = 1,
        pretrain_learning_rate: float = 0.003,
        n_gibbs_steps: int = 1,
        fine_tune_epochs: Any = "auto",
        learning_rate: float = 0.01,
        batch_size: Any = "auto",
        n_mean_field_iter: int | None = None,
        damping: float = 0.5,
        mean_field: str = "collapsed",
        dropout: float = 0.1,
        input_dropout: Any = "auto",
        averaging: float = 0.99,
        x_target: Any = None,
        y_target: Any = None,
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        refit: bool = True,
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
        self.input_dropout = input_dropout
        self.averaging = averaging
        self.x_target = x_target
        self.y_target = y_target
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.refit = refit
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Same as ``predict_y``.

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
        return self.predict_y(X, return_std)

    @with_callbacks  # type: ignore[untyped-decorator]
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
        check_parameters(self)
        again = self.warm_start and hasattr(self, "model_")
        with unchanged_on_error(self):
            views = self._views(X, y, sample_weight, groups, reset=not again)
            self._learn(views, again, callback_data(X, y, sample_weight))
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> GGDRMRegressor:
        """One pass of both phases over a batch of rows.

        Standard deviations of the predictions average residuals over the last
        thousand rows or so. Columns outside ``x_target`` and ``y_target`` are read
        out from the last batch alone.

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
        check_parameters(self)
        again = hasattr(self, "model_")
        with unchanged_on_error(self):
            views = self._views(X, y, sample_weight, None, reset=not again)
            self._learn_batch(views, again)
        return self
