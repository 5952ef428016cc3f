"""The steps of `fit`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import copy, deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import validate_data

from sklearn_drm.core import chain as chains
from sklearn_drm.core.model import RelationalModel, mirror
from sklearn_drm.core.predictor import Predictor
from sklearn_drm.core.rows import Scaling, standardized_rows
from sklearn_drm.core.units import Array, Units
from sklearn_drm.estimators import _training
from sklearn_drm.estimators._density import JointDensity
from sklearn_drm.estimators._parameters import (
    counted_rows,
    hidden_sizes,
    target_columns,
)
from sklearn_drm.estimators._progress import FitReport, begin_report
from sklearn_drm.estimators._threads import small_products_on_one_thread
from sklearn_drm.estimators._training import Views
from sklearn_drm.learning.contrastive_divergence import (
    ContrastiveDivergence,
    DivergenceError,
    pretrain,
)
from sklearn_drm.learning.feed_forward import FeedForward
from sklearn_drm.learning.fine_tuning import (
    History,
    Schedule,
    pooled_score,
    tune_joint,
    tune_network,
    tuning_optimizer,
)
from sklearn_drm.learning.optimizer import Adafactor
from sklearn_drm.learning.parameters import flatten_chain
from sklearn_drm.views import check_names, set_target_names

__all__ = ["ChainFitting"]

# Updates of fine-tuning, alone and with context windows, which are learned sooner.
_N_UPDATES, _N_UPDATES_STACKED = 3500, 2500

# Of the first weights, against Glorot's. Larger ones make a density that is worse than
# independent Gaussians for several epochs.
_WEIGHT_SCALE = 0.3

# Rows over which partial_fit averages residual variances.
_VARIANCE_ROWS = 1000


class ChainFitting(JointDensity):
    """Steps that ``fit`` and ``partial_fit`` of a chain estimator share."""

    n_hidden_layers: int
    n_hidden_units: Any
    fine_tune: str | None
    pretrain_learning_rate: float
    n_gibbs_steps: int
    batch_size: Any
    fine_tune_epochs: Any
    dropout: float
    input_dropout: Any
    pretrain_epochs: int
    learning_rate: float
    n_iter_no_change: int
    tol: float
    averaging: float
    early_stopping: bool
    validation_fraction: float
    refit: bool
    warm_start: bool
    verbose: int
    _networks: tuple[FeedForward, FeedForward] | None
    _optimizers: dict[str, tuple[Array, Adafactor]]
    _trainer: ContrastiveDivergence
    _variance_rows: int = 0
    # Set for the length of a fit where somebody looks.
    _report: FitReport | None = None
    _x_scaling: Scaling
    _y_scaling: Scaling

    def _views(
        self, X: Any, y: Any, sample_weight: Any, groups: Any, *, reset: bool
    ) -> Views:
        """Checked, weighted and standardised rows; sets what fit learns of them."""
        given = y
        if not reset:
            check_names(y, getattr(self, "target_names_in_", None), "y")
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
            set_target_names(self, given)
            self._y_is_1d = y.ndim == 1
            self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        y = self._as_columns(y)
        X, y, weight, groups = counted_rows(X, y, sample_weight, groups)
        if reset:
            self._x_scaling = Scaling.from_rows(X, weight)
            self._y_scaling = Scaling.from_rows(y, weight)
        return Views(
            standardized_rows(X, self._x_scaling),
            standardized_rows(y, self._y_scaling),
            weight,
            groups,
        )

    def _learn(self, views: Views, again: bool, data: Mapping[str, Any]) -> None:
        """Both phases, as ``fit`` runs them; callbacks are given the ``data``."""
        rng = self._generator()
        with self._threads(views):
            if again:
                self._resume(views)
            else:
                self._start(views, rng)
            self._check_layers()
            self._variance_rows = len(views.x)
            train, held = self._split(views, rng)
            n_epochs = self._epochs(train)
            # The next fit of a warm start holds out rows that a refit would have seen.
            refit = held is not None and self.refit and not self.warm_start
            n_refit = n_epochs // 2 if refit else 0
            schedule = Schedule(
                n_epochs - n_refit,
                self._batch_rows(views),
                self.learning_rate,
                self.n_iter_no_change,
                self.tol,
                self.averaging,
                end=1 - n_refit / n_epochs if n_refit else 1.0,
            )
            with self._reporting(2 if n_refit else 1, data) as report:
                if report is not None:
                    report.state = partial(self._fitted_now, train, held)
                self._pretrain(train, self.pretrain_epochs, rng)
                self._fine_tune(train, held, schedule, rng, again)
                self._finish(train, held)
                if n_refit and held is not None:
                    before = deepcopy(
                        (self._trainer.model, self._networks, self._optimizers)
                    )
                    ways = self.predictors_.items()
                    scores = [self._score(way, held) for way in ways]
                    self._fine_tune_on_all(views, n_refit, schedule, rng)
                    ways = self.predictors_.items()
                    later = [self._score(way, held) for way in ways]
                    if not np.greater_equal(later, scores).all():
                        # Rows that were learned from are predicted worse than before.
                        self._trainer.model, self._networks, self._optimizers = before
                        self._finish(train, held)

    def _score(self, way: tuple[str, Any], views: Views) -> float:
        """R² of the target columns of a view, pooled, as a predictor has them."""
        view, predictor = way
        source, goal = (views.x, views.y) if view == "y" else (views.y, views.x)
        columns = self._target(view, goal.shape[1])
        predicted = predictor.mean(source[:])[:, columns]
        return pooled_score(goal[:][:, columns], predicted, views.weight)

    def _fine_tune_on_all(
        self, views: Views, n_epochs: int, schedule: Schedule, rng: np.random.Generator
    ) -> None:
        """Go on with the held-out rows as well, which have told what they can tell.

        The schedule goes on where it was; the standard deviations stay those that
        were measured on the held-out rows.
        """
        if self._report is not None:
            self._report.all_rows = True
            self._report.state = partial(
                self._fitted_now, views, None, self.predictors_
            )
        # Where the best epoch came early, many more would go past it.
        best = max(1 + int(np.argmax(s)) for s in self.validation_scores_.values())
        limit = int(np.ceil(best * n_epochs / schedule.n_epochs))
        later = replace(
            schedule, n_epochs=min(n_epochs, limit), begin=schedule.end, end=1.0
        )
        self._fine_tune(views, None, later, rng, again=True)
        self._finish(views, None, measured=self.predictors_)

    @contextmanager
    def _reporting(
        self, n_times: int, data: Mapping[str, Any]
    ) -> Iterator[FitReport | None]:
        """While it lasts, the phases tell of their epochs."""
        n_phases = 1 + n_times * {"separate": 2, "joint": 1, None: 0}[self.fine_tune]
        with begin_report(self, n_phases, data) as self._report:
            try:
                yield self._report
            finally:
                del self._report

    def _fitted_now(self, *rows_and_measured: Any) -> dict[str, Any]:
        """Attributes of the estimator that would be left if the fit ended here.

        It shares nothing that training changes, so that it may be trained on.
        """
        twin = copy(self)
        twin._report = None
        names = "_trainer", "_networks", "_optimizers"
        for name in (*names, "loss_curve_", "validation_scores_"):
            setattr(twin, name, deepcopy(getattr(self, name)))
        twin._finish(*rows_and_measured)
        return vars(twin)

    def _learn_batch(self, views: Views, again: bool) -> None:
        """One pass of each phase, as ``partial_fit`` runs them."""
        schedule = Schedule(
            1, self._batch_rows(views), self.learning_rate, anneal=False
        )
        with self._threads(views):
            earlier = {}
            if again:
                self._resume(views)
                earlier = self.predictors_
            else:
                self._start(views, self._generator())
            self._check_layers()
            if not hasattr(self, "_partial_rng"):
                self._partial_rng = self._generator()
            self._pretrain(views, 1, self._partial_rng)
            self._fine_tune(views, None, schedule, self._partial_rng, again)
            self._finish(views, None)
            self._pool_variances(earlier, len(views.x))

    def _pool_variances(self, earlier: Mapping[str, Any], n_rows: int) -> None:
        """Residual variances over the batches of late: one batch may be one row."""
        past = min(self._variance_rows, _VARIANCE_ROWS) if earlier else 0
        self._variance_rows = past + n_rows
        for view, before in earlier.items():
            now = self.predictors_[view]
            # Of labels, or of the chain, no residuals are kept.
            kept = isinstance(now, Predictor) and not now.hidden_variance
            if not kept or before.hidden_variance:
                continue
            share = n_rows / (past + n_rows)
            variance = before.variance + share * (now.variance - before.variance)
            variance = variance.astype(now.variance.dtype)
            self.predictors_[view] = replace(now, variance=variance)

    def _resume(self, views: Views) -> None:
        """Make ready to go on learning, by the hyperparameters as they are now.

        What learning changes is copied: it may be read-only, as in a mapped file, and
        it is put back where learning fails.
        """
        names = ["_trainer", "_networks", "_optimizers", "loss_curve_"]
        names += ["validation_scores_", "_partial_rng"]
        learned = {name: vars(self)[name] for name in names if name in vars(self)}
        vars(self).update(deepcopy(learned))
        self._set_trainer(views)

    def _set_trainer(self, views: Views) -> None:
        """Give the trainer those of its settings that may change between fits."""
        self._trainer.n_gibbs_steps = self.n_gibbs_steps

    def _threads(self, views: Views) -> AbstractContextManager[Any]:
        sizes = [views.x.shape[1], *hidden_sizes(self), views.y.shape[1]]
        return small_products_on_one_thread(self._batch_rows(views), sizes)

    def _batch_rows(self, views: Views) -> int:
        if self.batch_size == "auto":
            return int(np.clip(len(views.x) // 150, 20, 100))
        return int(self.batch_size)

    def _epochs(self, views: Views) -> int:
        if self.fine_tune_epochs == "auto":
            n_updates = _N_UPDATES_STACKED if self._stacked(views) else _N_UPDATES
            n_batches = -(-len(views.x) // self._batch_rows(views))
            n_epochs = int(np.clip(-(-n_updates // n_batches), 12, 60))
            # One set of weights has to learn what else two networks learn.
            return 2 * n_epochs if self.fine_tune == "joint" else n_epochs
        return int(self.fine_tune_epochs)

    def _input_dropout(self, views: Views) -> float:
        if self.input_dropout == "auto":
            return 0.25 if self._stacked(views) else 0.0
        return float(self.input_dropout)

    def _stacked(self, views: Views) -> bool:
        """Whether the views have columns that only help to predict the others."""
        sizes = {"x": views.x.shape[1], "y": views.y.shape[1]}
        return any(len(self._target(view, n)) < n for view, n in sizes.items())

    def _start(self, views: Views, rng: np.random.Generator) -> None:
        self._trainer = self._new_trainer(views, rng)
        self._set_trainer(views)
        self._networks = None
        self._optimizers = {}
        vars(self).pop("_partial_rng", None)
        self.n_iter_ = 0
        self.loss_curve_: dict[str, list[float]] = {}
        self.validation_scores_: dict[str, list[float]] = {}

    def _check_layers(self) -> None:
        """Raise ValueError where the chain to go on with has other layers."""
        found = [layer.n_units for layer in self._trainer.model.chain.hidden]
        if found != hidden_sizes(self):
            raise ValueError(
                f"The model to go on with has hidden layers of {found} units; got "
                f"n_hidden_layers={self.n_hidden_layers!r}, n_hidden_units="
                f"{self.n_hidden_units!r}. Clone the estimator to start anew."
            )

    def _new_trainer(
        self, views: Views, rng: np.random.Generator
    ) -> ContrastiveDivergence:
        chain = _training.initial_chain(
            views.x.shape[1],
            views.y.shape[1],
            hidden_sizes(self),
            views.x.dtype,
            rng,
            scale=_WEIGHT_SCALE,
        )
        return ContrastiveDivergence(flatten_chain(chain))

    def _link(self, view: str) -> Units | None:
        """Output units of a view with zero biases; None: Gaussian."""
        return None

    def _chain_predictor(
        self, view: str, chain: chains.Chain, means: tuple[Array, ...]
    ) -> Any:
        """What predicts the last view of the chain from its first."""
        return _training.chain_predictor(chain, means, **self._inference())

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
        train, held = (views.take(rows) for rows in split)
        return train, replace(held, x=held.x[:], y=held.y[:])

    def _pretrain(self, train: Views, n_epochs: int, rng: np.random.Generator) -> None:
        weight = train.weight
        if weight is None:
            weight = np.ones(len(train.x), dtype=train.x.dtype)
        report, tell = self._report, None
        if report is not None:
            report.begin("pretrain", n_epochs)

            def tell(epoch: int, loss: float) -> bool:
                return report.epoch(epoch, loss, {})

        losses = pretrain(
            self._trainer,
            train.x,
            train.y,
            weight,
            n_epochs=n_epochs,
            batch_size=self._batch_rows(train),
            learning_rate=self.pretrain_learning_rate,
            rng=rng,
            progress=tell,
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
            return
        self._networks = None  # of an earlier fit, with warm_start
        if self.fine_tune == "joint":
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
        for view, network, swap in zip(
            "yx", self._networks, (False, True), strict=True
        ):
            source, goal = (train.y, train.x) if swap else (train.x, train.y)
            columns = self._target(view, goal.shape[1])
            validation = None
            if held is not None:
                seen, wanted = (held.y, held.x) if swap else (held.x, held.y)
                validation = seen[:], wanted[:], held.weight
            history = tune_network(
                network,
                source,
                goal,
                train.weight,
                schedule,
                rng,
                link=self._link(view),
                dropout=self.dropout,
                input_dropout=self._input_dropout(train),
                columns=columns,
                optimizer=self._optimizer(
                    view, columns, network.read_out(columns).shapes
                ),
                validation=validation,
                progress=self._progress(view, schedule.n_epochs),
            )
            if held is not None:
                self.validation_scores_.setdefault(view, []).extend(history.scores)
            self._record(view, history.losses)

    def _optimizer(
        self, name: str, columns: Array, shapes: Sequence[tuple[int, int]] = ()
    ) -> Adafactor:
        """The state of the last fit where that tuned the same columns, or none."""
        if name in self._optimizers:
            before, optimizer = self._optimizers[name]
            if np.array_equal(before, columns):
                return optimizer
        self._optimizers[name] = columns, tuning_optimizer(shapes)
        return self._optimizers[name][1]

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
            ways = (
                ("y", self._chain_predictor("y", chain, means)),
                ("x", self._chain_predictor("x", chains.mirror(chain), means[::-1])),
            )
            scores = self.validation_scores_

            def score() -> float:
                for way in ways:
                    scores.setdefault(way[0], []).append(self._score(way, held))
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
            input_dropout=self._input_dropout(train),
            x_target=targets["x"],
            y_target=targets["y"],
            optimizer=self._optimizer("joint", np.concatenate([*targets.values()])),
            score=score,
            progress=self._progress("joint", schedule.n_epochs),
        )
        self._record("joint", history.losses)

    def _finish(
        self,
        train: Views,
        held: Views | None,
        measured: Mapping[str, Any] | None = None,
    ) -> None:
        """Freeze what was learned into ``model_`` and ``predictors_``.

        The variances of fine-tuned predictions are those of the predictors that were
        ``measured``, or of the held-out rows, or else of the training rows.
        """
        self._check_finite()
        trainer = self._trainer
        chain, means = trainer.model.chain, tuple(mean.copy() for mean in trainer.means)
        self.model_ = RelationalModel(chain, self._x_scaling, self._y_scaling, means)
        self._log_partition = None
        rows = train if held is None else held
        self.predictors_ = {}
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
                if measured is not None:
                    variance = measured[view].variance
                else:
                    variance = _training.residual_variance(
                        predictor.mean, source, goal, rows.weight
                    )
                if held is not None:
                    ratio = _training.variance_ratio_to_held_out(
                        goal, held.weight, tuned_goal, train.weight
                    )
                    variance = (variance * ratio).astype(variance.dtype)
                variance = np.where(model.y_scaling.constant, 0, variance)
                predictor = replace(predictor, variance=variance, hidden_variance=False)
            self.predictors_[view] = predictor

    def _check_finite(self) -> None:
        """Raise DivergenceError where the last update left no numbers."""
        vectors = {"pretrain_learning_rate": [self._trainer.model.vector]}
        vectors["learning_rate"] = [each.vector for each in self._networks or ()]
        for name, parameters in vectors.items():
            # So large that their squares are not finite is no use either.
            with np.errstate(over="ignore", invalid="ignore"):
                squares = [float(np.vdot(vector, vector)) for vector in parameters]
            if not np.isfinite(squares).all():
                raise DivergenceError(
                    f"Learning diverged: parameters are not finite. Lower {name}."
                )

    def _target(self, view: str | None, n_columns: int) -> Array:
        if view is None:
            return np.arange(n_columns)
        name = f"{view}_target"
        return target_columns(getattr(self, name), n_columns, name)

    def _record(self, phase: str, losses: list[float]) -> None:
        self.loss_curve_.setdefault(phase, []).extend(losses)
        self.n_iter_ += len(losses)
        if self._report is not None:
            self._report.end(losses, self._best_scores())

    def _progress(self, phase: str, n_epochs: int) -> Any:
        """What to call after each epoch of fine-tuning; None where nobody looks."""
        report = self._report
        if report is None:
            return None
        report.begin(phase, n_epochs)

        def tell(epoch: int, history: History) -> bool:
            scores = self._best_scores()
            if history.scores:  # of the one direction that is being tuned, or of both
                scores[phase] = history.scores[-1]
                if phase == "joint":
                    scores = {v: s[-1] for v, s in self.validation_scores_.items()}
            return report.epoch(epoch, history.losses[-1], scores)

        return tell

    def _best_scores(self) -> dict[str, float]:
        """Best held-out R² so far; none while the held-out rows are learned from."""
        if self._report is not None and self._report.all_rows:
            return {}
        return {view: max(s) for view, s in self.validation_scores_.items() if s}

    def _generator(self) -> np.random.Generator:
        state = check_random_state(self.random_state)
        return np.random.default_rng(state.randint(2**31 - 1, size=4))
