"""What the classifiers add to a chain: labels, their coding, and class inference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.metrics import accuracy_score
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_drm.core.chain import Chain, mirror, random_chain
from sklearn_drm.core.classes import (
    ClassPredictor,
    LinkedPredictor,
    PrototypePredictor,
    given_one_class,
)
from sklearn_drm.core.draws import bernoulli_draws
from sklearn_drm.core.gibbs import sample_chain
from sklearn_drm.core.model import RelationalModel
from sklearn_drm.core.model import mirror as mirror_model
from sklearn_drm.core.predictor import MeanFieldInference
from sklearn_drm.core.rows import Scaling, blocks
from sklearn_drm.core.units import Array, Bernoulli, Categorical, Units
from sklearn_drm.estimators._fitting import ChainFitting
from sklearn_drm.estimators._parameters import (
    check_parameters,
    counted_rows,
    hidden_sizes,
)
from sklearn_drm.estimators._progress import callback_data, with_callbacks
from sklearn_drm.estimators._training import Views
from sklearn_drm.learning.parameters import flatten_chain
from sklearn_drm.learning.relation import RelationTraining
from sklearn_drm.views import check_names, set_target_names, unchanged_on_error

__all__ = ["ChainClassifier", "identity_scaling"]


class ChainClassifier(ChainFitting):
    """Steps and methods of an estimator whose second view is a label.

    A face says what its units are: ``_x_units`` and ``_y_units`` make them, and
    ``_scale_x`` and ``_restore_x`` map x to what the chain sees and back.
    """

    x_target = None
    y_target = None
    mean_field = "collapsed"
    classes_: Array
    relation_weight: float
    warm_start: bool
    _multilabel: bool
    _trainer: RelationTraining
    _of_views: tuple[Array, Array]

    def _x_units(self, mean: Array) -> Units:
        raise NotImplementedError

    def _y_units(self, mean: Array) -> Units:
        raise NotImplementedError

    def _learn_scale(self, X: Array, weight: Array | None) -> None:
        raise NotImplementedError

    def _scale_x(self, X: Array) -> Array:
        raise NotImplementedError

    def _restore_x(self, rows: Array) -> Array:
        raise NotImplementedError

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of the classes given x.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            First view.

        Returns
        -------
        ndarray of shape (n, K)
            Columns in the order of ``classes_``; rows sum to 1. For multilabel y the
            probability of each label, and rows do not.
        """
        rows, predictor = self._read_x(X), self.predictors_["y"]
        result = np.empty((len(rows), self.model_.chain.y.n_units), dtype=rows.dtype)
        # Un-tuned, every row stands for K: as many values as one of K times the width.
        wide = isinstance(predictor, ClassPredictor)
        width = max(layer.n_units for layer in self.model_.chain.units)
        width = width * result.shape[1] if wide else width
        for block in blocks(len(rows), width):
            result[block] = predictor.mean(self._scale_x(rows[block]))
        return result

    def predict_log_proba(self, X: Any) -> Array:
        """Natural logarithm of :meth:`predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            First view.

        Returns
        -------
        ndarray of shape (n, K)
            Log-probabilities.
        """
        probability = self.predict_proba(X)
        # A probability that rounds to zero has a finite logarithm.
        tiny = np.finfo(probability.dtype).tiny
        log_p: Array = np.log(np.maximum(probability, tiny))
        return log_p

    def predict_y(self, X: Any) -> Array:  # type: ignore[override]
        """Most probable label given x.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            First view.

        Returns
        -------
        ndarray of shape (n,) or (n, K)
            Labels; for multilabel y 0 or 1 for each.
        """
        probability = self.predict_proba(X)
        if self._multilabel:
            return (probability > 0.5).astype(np.int64)
        labels: Array = self.classes_[probability.argmax(axis=1)]
        return labels

    def predict_x(self, labels: Any) -> Array:  # type: ignore[override]
        """Mean of x given a label: the label's prototype.

        Parameters
        ----------
        labels : array-like of shape (n,) or (n, K)
            Members of ``classes_``, or indicators where y was multilabel.

        Returns
        -------
        ndarray of shape (n, n_x)
            In the units of X.
        """
        codes = self._check_y(labels)
        return self._restore_x(self.predictors_["x"].mean(codes))

    def sample_y(self, X: Any, n_samples: int = 1, random_state: Any = None) -> Array:
        """Draws of the label given x, from :meth:`predict_proba`.

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
        ndarray of shape (n_samples, n) or (n_samples, n, K)
            Labels.
        """
        self._check_count("n_samples", n_samples)
        probability = self.predict_proba(X)
        rng = self._sampling_generator(random_state)
        if self._multilabel:
            uniform = rng.random((n_samples, *probability.shape))
            return (uniform < probability).astype(np.int64)
        cumulative = np.cumsum(probability, axis=1)
        draw = rng.random((n_samples, len(probability), 1)) * cumulative[:, -1:]
        labels: Array = self.classes_[(cumulative < draw).sum(axis=-1)]
        return labels

    def sample_x(
        self,
        labels: Any,
        n_samples: int = 1,
        random_state: Any = None,
        n_sweeps: int = 500,
    ) -> Array:
        """Draws of x given a label, by Gibbs sampling of ``model_``.

        Parameters
        ----------
        labels : array-like of shape (n,) or (n, K)
            As in :meth:`predict_x`.
        n_samples : int, default=1
            Draws per label.
        random_state : int, RandomState or None, default=None
            Seed; None: the estimator's own.
        n_sweeps : int, default=500
            Gibbs sweeps, with y clamped to the label.

        Returns
        -------
        ndarray of shape (n_samples, n, n_x)
            In the units of X. With ``fine_tune="separate"`` the chain is as it was
            pre-trained; "joint" tunes it for the conditional means, which costs
            samples some of their variety.
        """
        self._check_count("n_samples", n_samples)
        self._check_count("n_sweeps", n_sweeps)
        codes = np.tile(self._check_y(labels), (n_samples, 1))
        rng = self._sampling_generator(random_state)
        chain = self.model_.chain
        # From the mean field of the label: a start at random, near no label's images,
        # needs many times the sweeps.
        means = self._infer(mirror_model(self.model_), codes)[::-1]
        hidden = [bernoulli_draws(mean, rng) for mean in means]
        field = hidden[0] @ chain.weights[0].T
        state = sample_chain(
            chain,
            len(codes),
            rng,
            n_sweeps=n_sweeps,
            y=codes,
            state=[chain.x.sample(field, rng), *hidden, codes],
        )
        return self._restore_x(state[0]).reshape(n_samples, -1, chain.x.n_units)

    def sample(
        self, n_samples: int = 1, random_state: Any = None, n_sweeps: int = 500
    ) -> tuple[Array, Array]:
        """Draws of x and its label together, by Gibbs sampling of ``model_``.

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
        labels : ndarray of shape (n_samples,) or (n_samples, K)
            Labels.
        """
        check_is_fitted(self)
        self._check_count("n_samples", n_samples)
        self._check_count("n_sweeps", n_sweeps)
        chain = self.model_.chain
        state = sample_chain(
            chain if self._multilabel else given_one_class(chain),
            int(n_samples),
            self._sampling_generator(random_state),
            n_sweeps=n_sweeps,
        )
        rows = self._restore_x(state[0])
        if self._multilabel:
            return rows, state[-1].astype(np.int64)
        return rows, self.classes_[state[-1].argmax(axis=1)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of :meth:`predict`.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            First view.
        y : array-like of shape (n,) or (n, K)
            Labels; for multilabel y all of a row must be right.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows.

        Returns
        -------
        float
            In [0, 1].
        """
        check_names(y, getattr(self, "target_names_in_", None), "y")
        return float(accuracy_score(y, self.predict(X), sample_weight=sample_weight))

    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Any:
        """Fit both directions to rows and their labels.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            First view, n ≥ 2.
        y : array-like of shape (n,) or, where the estimator takes them, (n, K)
            Labels: numbers or strings; 2-D: 0/1 indicators of several labels.
        sample_weight : array-like of shape (n,), optional
            Non-negative weights; rows of weight 0 are left out.
        groups : array-like of shape (n,), optional
            Source of each row (a writer, a speaker); early stopping then holds out
            whole groups.

        Returns
        -------
        estimator
            The fitted estimator.

        Raises
        ------
        ValueError
            For NaN, infinite, empty or mismatched input, a y that is not a label, or
            a hyperparameter out of its range.
        DivergenceError
            When learning produces values that are not finite.
        """
        check_parameters(self)
        again = self.warm_start and hasattr(self, "model_")
        with unchanged_on_error(self):
            views = self._views(X, y, sample_weight, groups, reset=not again)
            self._learn(views, again, callback_data(X, y, sample_weight))
        return self

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> Any:
        """One pass of both phases over a batch of rows.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            First view. The first call fixes its scaling.
        y : array-like of shape (n,) or (n, K)
            Labels.
        classes : array-like of shape (K,), optional
            All labels; at the first call, where a batch may lack some.
        sample_weight : array-like of shape (n,), optional
            Non-negative weights.

        Returns
        -------
        estimator
            The estimator.

        Raises
        ------
        ValueError
            For labels that the first call did not name, NaN, infinite, empty or
            mismatched input, or a hyperparameter out of its range.
        """
        check_parameters(self)
        again = hasattr(self, "model_")
        if classes is not None:
            classes = np.unique(np.asarray(classes))
            # With several labels they are the columns of y.
            known = not again or self._multilabel
            if not known and not np.array_equal(classes, self.classes_):
                raise ValueError(
                    f"classes={classes!r} is not what the first call of partial_fit "
                    f"was given: {self.classes_!r}."
                )
        with unchanged_on_error(self):
            views = self._views(
                X, y, sample_weight, None, reset=not again, classes=classes
            )
            self._learn_batch(views, again)
        return self

    def _views(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        groups: Any,
        *,
        reset: bool,
        classes: Array | None = None,
    ) -> Views:
        given = y
        if not reset:
            check_names(y, getattr(self, "target_names_in_", None), "y")
        X, y = validate_data(
            self,
            X,
            y,
            reset=reset,
            multi_output=True,
            dtype=[np.float64, np.float32],
            ensure_min_samples=2 if reset else 1,
        )
        if issparse(y):
            raise TypeError(
                "Sparse data was passed for y, but labels must be dense; use "
                "y.toarray()."
            )
        y = self._labels(y)
        if reset:
            set_target_names(self, given)
            self._y_is_1d = y.ndim == 1
            self._multilabel = y.ndim == 2
            if self._multilabel:
                self.classes_ = np.arange(y.shape[1])
            else:
                self.classes_ = np.unique(y) if classes is None else classes
            self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        codes = self._encode(y, X.dtype)
        X, codes, weight, groups = counted_rows(X, codes, sample_weight, groups)
        if reset:
            self._learn_scale(X, weight)
            self._y_scaling = identity_scaling(codes.shape[1])
        return Views(self._scale_x(X), codes, weight, groups)

    def _labels(self, y: Any) -> Array:
        """Labels as 1-D, or 0/1 indicators as 2-D."""
        check_classification_targets(y)
        y = np.asarray(y)
        if y.ndim == 1 or y.shape[1] == 1:
            labels: Array = column_or_1d(y, warn=True)
            return labels
        if type_of_target(y) != "multilabel-indicator":
            raise ValueError(
                "A 2-D y must hold 0 or 1 in every column (one column per label); got "
                f"a target of type {type_of_target(y)!r}."
            )
        indicators: Array = y
        return indicators

    def _encode(self, y: Array, dtype: Any) -> Array:
        """One-hot rows, or the indicators themselves."""
        if (y.ndim == 2) != self._multilabel:
            kind = "2-D indicators" if self._multilabel else "1-D labels"
            raise ValueError(f"{type(self).__name__} was fitted with {kind} as y.")
        if self._multilabel:
            if y.shape[1] != len(self.classes_):
                raise ValueError(
                    f"y has {y.shape[1]} columns, but {type(self).__name__} was "
                    f"fitted with {len(self.classes_)}."
                )
            return y.astype(dtype)
        number = {label: code for code, label in enumerate(self.classes_.tolist())}
        labels = y.tolist()
        unseen = [label for label in labels if label not in number]
        if unseen:
            raise ValueError(
                f"y holds the label {unseen[0]!r}, which is none of the "
                f"classes {self.classes_.tolist()!r}."
            )
        codes = np.array([number[label] for label in labels], dtype=np.intp)
        one_hot: Array = np.eye(len(self.classes_), dtype=dtype)[codes]
        return one_hot

    def _check_x(self, X: Any) -> Array:
        return self._scale_x(self._read_x(X))

    def _check_y(self, y: Any) -> Array:
        check_is_fitted(self)
        check_names(y, getattr(self, "target_names_in_", None), "y")
        y = check_array(y, ensure_2d=False, dtype=None, input_name="labels")
        return self._encode(self._labels(y), self.model_.chain.x.bias.dtype)

    def _new_trainer(self, views: Views, rng: np.random.Generator) -> RelationTraining:
        x, y = (_column_means(view, views.weight) for view in (views.x, views.y))
        chain = random_chain(
            [self._x_units(x), self._y_units(y)], hidden_sizes(self), rng
        )
        return RelationTraining(flatten_chain(chain))

    def _set_trainer(self, views: Views) -> None:
        super()._set_trainer(views)
        self._trainer.relation_weight = (
            0.0 if self._multilabel else float(self.relation_weight)
        )
        self._trainer.input_dropout = self._input_dropout(views)
        self._trainer.decay = float(self.averaging)

    def _link(self, view: str) -> Units:
        chain = self._trainer.model.chain
        if view == "y" and not self._multilabel:
            # Bernoulli units given that one of them is on.
            return Categorical(np.zeros_like(chain.y.bias))
        units: Any = chain.y if view == "y" else chain.x
        if isinstance(units, Bernoulli):
            return Bernoulli(np.zeros_like(units.bias))
        linked: Units = replace(units, bias=np.zeros_like(units.bias))
        return linked

    def _chain_predictor(
        self, view: str, chain: Chain, means: tuple[Array, ...]
    ) -> LinkedPredictor:
        return LinkedPredictor(
            MeanFieldInference(chain, means, **self._inference()),
            chain.weights[-1],
            chain.y.bias,
            self._link(view),
        )

    def _view_means(self) -> tuple[Array, Array]:
        return self._of_views

    def _finish(
        self,
        train: Views,
        held: Views | None,
        measured: Mapping[str, Any] | None = None,
    ) -> None:
        self._check_finite()
        trainer = self._trainer
        chain, means = trainer.model.chain, tuple(mean.copy() for mean in trainer.means)
        self.model_ = RelationalModel(chain, self._x_scaling, self._y_scaling, means)
        self._of_views = (trainer.offsets[0].copy(), trainer.offsets[-1].copy())
        self._log_partition = None
        n_iter = self._inference()["n_iter"]
        ways = (("y", chain, means), ("x", mirror(chain), means[::-1]))
        self.predictors_ = {}
        for index, (view, way, start) in enumerate(ways):
            if self._networks is not None:
                network = self._networks[index]
                predictor: Any = LinkedPredictor(
                    network, network.weights[-1], network.biases[-1], self._link(view)
                )
            elif self.fine_tune is None and not self._multilabel:
                predictor = (
                    ClassPredictor(chain, means, n_iter)
                    if view == "y"
                    else PrototypePredictor(chain, means)
                )
            else:
                predictor = self._chain_predictor(view, way, start)
            self.predictors_[view] = predictor


def identity_scaling(n_units: int) -> Scaling:
    """Scaling of a view that the chain sees as it is."""
    return Scaling(np.zeros(n_units), np.ones(n_units), np.zeros(n_units, dtype=bool))


def _column_means(view: Any, weight: Array | None) -> Array:
    result: Array = np.average(view, axis=0, weights=weight).astype(view.dtype)
    return result
