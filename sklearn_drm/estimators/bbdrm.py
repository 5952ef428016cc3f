"""`BBDRMClassifier`: a binary-binary Deep Relational Model."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin

from sklearn_drm.core.rows import Scaling
from sklearn_drm.core.units import Array, Bernoulli
from sklearn_drm.estimators._classification import ChainClassifier, identity_scaling
from sklearn_drm.estimators._progress import CallbackSupport
from sklearn_drm.versioned import VersionedState

__all__ = ["BBDRMClassifier"]


class BBDRMClassifier(
    ChainClassifier,
    CallbackSupport,  # type: ignore[misc]
    VersionedState,
    MultiOutputMixin,  # type: ignore[misc]
    ClassifierMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    r"""Binary-binary Deep Relational Model: classifies, and draws its classes.

    The original Deep Relational Model: an undirected chain x – h1 – … – hL – y of
    binary units. It is pre-trained as a joint density with weight on p(y | x), and then
    fine-tuned for the label given x and the mean of x given the label.

    Parameters
    ----------
    n_hidden_layers : int, default=2
        L.
    n_hidden_units : int or sequence of int, default=100
        Units per hidden layer, or one number for each, x side first.
    fine_tune : {"separate", "joint", None}, default="separate"
        What follows pre-training. "separate": the chain is unrolled into one network
        per direction, each tuned by itself. "joint": one weight set is tuned for both
        directions. None: nothing; predictions are the chain's own.
    relation_weight : float, default=10.0
        Weight in pre-training of log p(y | x), whose gradient clamps y to every class
        in turn, beside that of log p(x, y), which is 1. 0: a purely generative
        model; of multilabel y no use is made of it.
    pretrain_epochs : int, default=30
        Passes of pre-training over the rows.
    pretrain_learning_rate : float, default=0.01
        Initial step size of pre-training (Adafactor); it falls linearly to a tenth.
    n_gibbs_steps : int, default=1
        k of contrastive divergence.
    fine_tune_epochs : int or "auto", default=30
        Largest number of passes of fine-tuning. "auto": enough for 3500 updates, but no
        fewer than 12 and no more than 60; twice as many with ``fine_tune="joint"``.
    learning_rate : float, default=0.005
        Largest step size of fine-tuning (Adafactor), reached after the first tenth
        of the updates; it falls along a cosine after that.
    batch_size : int or "auto", default="auto"
        Rows in a batch. "auto": one for every 150 rows, but no fewer than 20 and no
        more than 100.
    n_mean_field_iter : int or None, default=None
        Mean-field sweeps of inference on the chain. None: 20, or 1 with
        ``fine_tune="joint"``.
    damping : float in [0, 1), default=0.5
        Share of the old value kept in the last hidden layer at each sweep of more
        than one, where the other view is free.
    dropout : float in [0, 1), default=0.15
        Share of hidden means set to zero while fine-tuning.
    input_dropout : float in [0, 1) or "auto", default=0.1
        Share of values of x set to zero where y is learned from them, and of the label
        where x is. "auto": 0, or 0.25 where ``x_target`` leaves columns out.
    averaging : float in [0, 1), default=0.99
        Decay per update of the parameter average that fine-tuning keeps; 0: none.
    early_stopping : bool, default=False
        Hold rows out while fine-tuning and keep the parameters that predict them best.
        Off by itself with fewer than 40 rows.
    validation_fraction : float in (0, 1), default=0.1
        Share of rows (whole groups where ``groups`` is given) held out; more where
        that is fewer than 50 rows, up to a quarter of them.
    refit : bool, default=True
        Leave half of ``fine_tune_epochs`` for all rows, those held out for early
        stopping among them; fewer epochs where the best one came early, none where
        they make the predictions of those rows worse.
        Off by itself with ``warm_start``, where the next fit may hold the same rows
        out.
    n_iter_no_change : int, default=10
        Passes without a gain of ``tol`` in the held-out score that end fine-tuning.
    tol : float, default=1e-4
        Smallest gain that counts.
    binarize : float in [0, 1] or None, default=0.5
        Columns of x are scaled to [0, 1] by their training minimum and maximum, and
        are on where they exceed this. None: x as given, which must lie in [0, 1].
    warm_start : bool, default=False
        Go on from the last fit, with its scaling and classes.
    random_state : int, RandomState or None, default=None
        Seed of weights, batches, samples and the held-out rows.
    verbose : int, default=0
        1: a line per phase; 2: a line per epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        Labels, in order; column numbers for multilabel y.
    model_ : RelationalModel
        The chain.
    predictors_ : dict
        ``"y"`` and ``"x"``: what predicts each view from the other.
    n_iter_ : int
        Epochs run, all phases together.
    loss_curve_, validation_scores_ : dict of list of float
        Per epoch of each phase; the scores are 1 − Σ(v − v̂)²/Σv² of the held-out rows.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of str
        Their names, where X had any.
    target_names_in_ : ndarray of str
        Names of the labels, where a 2-D y had any.

    See Also
    --------
    GCDRMClassifier : Real-valued x.
    GGDRMRegressor : Real-valued views.

    Notes
    -----
    K classes are K Bernoulli units of which exactly one is on; 2-D y of zeros and ones
    is multilabel, one unit each. Predictions of a class condition on exactly one unit
    being on. Un-tuned, p(y | x) ∝ exp F(x, y), with F the mean-field bound on the log
    of the probability summed over the hidden layers; exact for one hidden layer. Tuned,
    it is the output of the unrolled network, a softmax for K classes. ``predict_x`` and
    the samples are mapped back to the units of X: off is a column's training minimum,
    on its maximum. ``score_samples`` gives natural-log probabilities of the binary
    units, of all 2^K states of y.

    References
    ----------
    T. Nakashika, "Deep Relational Model: A Joint Probabilistic Model with a
    Hierarchical Structure for Bidirectional Estimation of Image and Labels", IEICE
    Trans. E101-D(2), 2018; H. Larochelle, Y. Bengio, "Classification using
    discriminative restricted Boltzmann machines", ICML 2008.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_drm import BBDRMClassifier
    >>> X, y = load_digits(n_class=3, return_X_y=True)
    >>> model = BBDRMClassifier(pretrain_epochs=5, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.95)
    True
    >>> model.predict_x([0, 1, 2]).shape
    (3, 64)
    """

    def __init__(
        self,
        n_hidden_layers: int = 2,
        n_hidden_units: Any = 100,
        *,
        fine_tune: str | None = "separate",
        relation_weight: float = 10.0,
        pretrain_epochs: int = 30,
        pretrain_learning_rate: float = 0.01,
        n_gibbs_steps: int = 1,
        fine_tune_epochs: int = 30,
        learning_rate: float = 0.005,
        batch_size: Any = "auto",
        n_mean_field_iter: int | None = None,
        damping: float = 0.5,
        dropout: float = 0.15,
        input_dropout: float = 0.1,
        averaging: float = 0.99,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        refit: bool = True,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        binarize: float | None = 0.5,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_hidden_layers = n_hidden_layers
        self.n_hidden_units = n_hidden_units
        self.fine_tune = fine_tune
        self.relation_weight = relation_weight
        self.pretrain_epochs = pretrain_epochs
        self.pretrain_learning_rate = pretrain_learning_rate
        self.n_gibbs_steps = n_gibbs_steps
        self.fine_tune_epochs = fine_tune_epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_mean_field_iter = n_mean_field_iter
        self.damping = damping
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.averaging = averaging
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.refit = refit
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.binarize = binarize
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def _x_units(self, mean: Array) -> Bernoulli:
        start: Any = Bernoulli(mean).from_moments(mean, mean)
        return Bernoulli(start.bias.astype(mean.dtype))

    def _y_units(self, mean: Array) -> Bernoulli:
        return self._x_units(mean)

    def _learn_scale(self, X: Array, weight: Array | None) -> None:
        threshold = self.binarize
        # What the rows are compared with, as long as the model lives.
        self._threshold = threshold
        low, high = X.min(axis=0), X.max(axis=0)
        constant = low == high
        if threshold is None:
            # The units are the values: there is nothing to scale.
            self._x_range = identity_scaling(X.shape[1])
        else:
            with np.errstate(over="ignore"):
                extent = high.astype(np.float64) - low
            if not np.isfinite(extent).all():
                raise ValueError(
                    f"Column {int(np.argmin(np.isfinite(extent)))} holds values too "
                    "large to scale; divide it by a constant first."
                )
            extent[constant] = 1.0
            self._x_range = Scaling(low.astype(np.float64), extent, constant)
        self._x_scaling = identity_scaling(X.shape[1])

    def _scale_x(self, X: Array) -> Array:
        if self._threshold is None:
            outside = (X < 0) | (X > 1)
            if outside.any():
                row, column = np.argwhere(outside)[0]
                raise ValueError(
                    "With binarize=None x must lie in [0, 1]; row "
                    f"{row} holds {X[row, column]} in column {column}. Scale it, or "
                    "set a threshold such as binarize=0.5."
                )
            return X
        return (self._x_range.standardize(X) > self._threshold).astype(X.dtype)

    def _restore_x(self, rows: Array) -> Array:
        return self._x_range.restore_draws(rows)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
