"""Fine-tuning of the two predictions, separately or in one weight set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from sklearn_drm.core.chain import mirror
from sklearn_drm.core.rows import Rows, picked
from sklearn_drm.core.units import Array, Units
from sklearn_drm.learning.contrastive_divergence import (
    batches,
    guard_log_variance,
)
from sklearn_drm.learning.feed_forward import FeedForward, forward, gradient
from sklearn_drm.learning.multi_prediction import add_prediction_gradient
from sklearn_drm.learning.optimizer import (
    Adafactor,
    DivergenceError,
    Optimizer,
    ParameterAverage,
)
from sklearn_drm.learning.parameters import FlatChain, restored

__all__ = [
    "History",
    "Schedule",
    "descend",
    "pooled_score",
    "tune_joint",
    "tune_network",
    "tuning_optimizer",
]

_WARM_UP = 0.1

# At one in so many updates the second moments and the averaged parameters follow.
_STRIDE, _AVERAGE_STRIDE = 4, 8


def tuning_optimizer(shapes: Sequence[tuple[int, int]] = ()) -> Adafactor:
    """Adafactor with a short memory of the gradients' size, for few updates.

    Parameters
    ----------
    shapes : sequence of tuple of int, default=()
        Shapes of the matrices at the front of the parameter vector.

    Returns
    -------
    Adafactor
        Before its first step.
    """
    return Adafactor(shapes, beta_2=0.98, stride=_STRIDE)


@dataclass(frozen=True)
class Schedule:
    """Length and step sizes of a fine-tuning phase.

    Parameters
    ----------
    n_epochs : int
        Largest number of passes.
    batch_size : int
        Rows in a batch.
    learning_rate : float
        Largest step size.
    n_iter_no_change : int, default=10
        Passes without a gain of ``tol`` in the validation score that end it.
    tol : float, default=0.0001
        Smallest gain that counts.
    decay : float in [0, 1), default=0.0
        Decay per update of the averaged parameters; 0: no averaging.
    anneal : bool, default=True
        Whether the step size rises over the first tenth of all updates and then falls
        to a twentieth along a cosine. Without, it is constant.
    begin, end : float in [0, 1], default=0.0, 1.0
        Part of that course that the phase covers, where it is one of several.
    """

    n_epochs: int
    batch_size: int
    learning_rate: float
    n_iter_no_change: int = 10
    tol: float = 1e-4
    decay: float = 0.0
    anneal: bool = True
    begin: float = 0.0
    end: float = 1.0

    def step_size(self, progress: float) -> float:
        """Step size after a share of all updates.

        Parameters
        ----------
        progress : float in [0, 1]
            Share of the updates done.

        Returns
        -------
        float
            Step size.

        References
        ----------
        L. Smith, N. Topin, "Super-convergence: very fast training of neural networks
        using large learning rates", 2018.
        """
        if not self.anneal:
            return self.learning_rate
        progress = self.begin + progress * (self.end - self.begin)
        if progress < _WARM_UP:
            return self.learning_rate * (0.1 + 0.9 * progress / _WARM_UP)
        angle = np.pi * (progress - _WARM_UP) / (1 - _WARM_UP)
        return self.learning_rate * float(0.525 + 0.475 * np.cos(angle))


@dataclass
class History:
    """What happened in a phase.

    Parameters
    ----------
    losses : list of float
        Training loss per epoch.
    scores : list of float
        Validation R² per epoch; empty without validation rows.
    """

    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


def descend(
    vector: Array,
    gradient_of: Callable[[Array, float], tuple[float, Array]],
    n_rows: int,
    weight: Array | None,
    schedule: Schedule,
    rng: np.random.Generator,
    optimizer: Optimizer,
    *,
    score: Callable[[], float] | None = None,
    project: Callable[[], None] | None = None,
    progress: Callable[[int, History], bool | None] | None = None,
) -> History:
    """Ascent over shuffled batches with averaged parameters and early stopping.

    Parameters
    ----------
    vector : ndarray of shape (n_parameters,)
        Parameters; changed in place, at the end the best (averaged) ones.
    gradient_of : callable
        ``gradient_of(rows, mass)`` gives the loss and the ascent direction on some
        rows whose weights sum to mass.
    n_rows : int
        Number of training rows.
    weight : ndarray of shape (n_rows,) or None
        Row weights.
    schedule : Schedule
        Length and step sizes.
    rng : numpy.random.Generator
        Source of the shuffles.
    optimizer : Optimizer
        Turns gradients into steps; goes on from its state.
    score : callable, optional
        Validation score of the current parameters; higher is better.
    project : callable, optional
        Called after every update, to keep parameters in range.
    progress : callable, optional
        Called after each epoch, with the parameters that the phase would leave if it
        ended here; True ends it.

    Returns
    -------
    History
        Losses and scores.

    Raises
    ------
    DivergenceError
        When the loss or the gradient is not finite.
    """
    history = History()
    average = ParameterAverage(vector, schedule.decay, stride=_AVERAGE_STRIDE)
    best, best_score, stale = vector.copy(), -np.inf, 0

    def outcome() -> Array:
        if score is not None:
            return best
        return average.value if schedule.decay else vector

    n_batches = -(-n_rows // schedule.batch_size)
    n_updates = schedule.n_epochs * n_batches
    done = 0
    for epoch in range(schedule.n_epochs):
        total, total_mass = 0.0, 0.0
        for rows in batches(n_rows, schedule.batch_size, rng):
            mass = float(len(rows)) if weight is None else float(weight[rows].sum())
            if mass <= 0:
                continue
            loss, ascent = gradient_of(rows, mass)
            rate = schedule.step_size(done / n_updates)
            try:
                if not np.isfinite(loss):
                    raise DivergenceError("The loss is not finite.")
                vector += optimizer.step(ascent, rate)
            except DivergenceError as error:
                raise DivergenceError(
                    f"Fine-tuning diverged in epoch {epoch + 1}: the loss is not "
                    "finite. Lower learning_rate."
                ) from error
            if project is not None:
                project()
            done += 1
            if schedule.decay:
                average.follow(vector, scratch=ascent)
            total += mass * loss
            total_mass += mass
        history.losses.append(total / total_mass)
        if score is not None:
            with restored(vector):
                if schedule.decay:
                    vector[:] = average.value
                history.scores.append(score())
                if history.scores[-1] > best_score:
                    best[:] = vector
            stale = 0 if history.scores[-1] > best_score + schedule.tol else stale + 1
            best_score = max(best_score, history.scores[-1])
        stop = False
        if progress is not None:
            with restored(vector):
                vector[:] = outcome()
                stop = bool(progress(epoch, history))
        if stop or stale >= schedule.n_iter_no_change:
            break
    vector[:] = outcome()
    return history


def pooled_score(y: Array, prediction: Array, weight: Array | None = None) -> float:
    """1 − Σw(y−ŷ)²/Σwy², y standardised; weight (n,) of its rows, None: equal."""
    error = y - prediction
    if weight is not None:
        root = np.sqrt(weight)[:, None]
        y, error = y * root, error * root
    total = float(np.vdot(y, y))
    return 1 - float(np.vdot(error, error)) / total if total > 0 else 0.0


def tune_network(
    network: FeedForward,
    x: Rows,
    y: Rows,
    weight: Array | None,
    schedule: Schedule,
    rng: np.random.Generator,
    *,
    link: Units | None = None,
    dropout: float = 0.0,
    input_dropout: float = 0.0,
    columns: Array | None = None,
    optimizer: Optimizer | None = None,
    validation: tuple[Array, Array, Array | None] | None = None,
    progress: Callable[[int, History], bool | None] | None = None,
) -> History:
    """Fine-tune one direction as a network of its own.

    Parameters
    ----------
    network : FeedForward
        Trained in place.
    x, y : ndarray of shape (n, n_units)
        Input and target.
    weight : ndarray of shape (n,) or None
        Row weights.
    schedule : Schedule
        Length and step sizes.
    rng : numpy.random.Generator
        Source of randomness.
    link : Units, optional
        As in :func:`~sklearn_drm.learning.feed_forward.gradient`.
    dropout : float in [0, 1), default=0.0
        Share of hidden means set to zero.
    input_dropout : float in [0, 1), default=0.0
        Share of input values set to zero.
    columns : ndarray of int, optional
        Outputs that count; the read-out of the others is left as it is.
    optimizer : Optimizer, optional
        State to go on from; by default that of :func:`tuning_optimizer`.
    validation : tuple of three ndarray, optional
        Input, target and weights (None: equal) of the held-out rows.
    progress : callable, optional
        As in :func:`descend`.

    Returns
    -------
    History
        Losses and scores.
    """
    columns = np.arange(y.shape[1]) if columns is None else columns
    tuned = network.read_out(columns)
    every = len(columns) == y.shape[1]
    if isinstance(y, np.ndarray) and not every:
        y, every = np.ascontiguousarray(y[:, columns]), True
    ascent = tuned.zeros_like()

    def gradient_of(rows: Array, mass: float) -> tuple[float, Array]:
        share = None if weight is None else weight[rows] / mass
        loss = gradient(
            tuned,
            picked(x, rows),
            picked(y, rows) if every else y[rows][:, columns],
            share,
            ascent,
            link=link,
            dropout=dropout,
            input_dropout=input_dropout,
            rng=rng,
        )
        return loss, ascent.vector

    score = None
    if validation is not None:
        held_x, held_y, held_weight = validation

        def score() -> float:
            output = forward(tuned, held_x)[0]
            output = output if link is None else link.mean(output)
            return pooled_score(held_y[:, columns], output, held_weight)

    def write_back() -> None:
        for mine, best in zip(network.weights[:-1], tuned.weights[:-1], strict=True):
            mine[...] = best
        for mine, best in zip(network.biases[:-1], tuned.biases[:-1], strict=True):
            mine[...] = best
        network.weights[-1][:, columns] = tuned.weights[-1]
        network.biases[-1][columns] = tuned.biases[-1]

    tell = None
    if progress is not None:

        def tell(epoch: int, history: History) -> bool | None:
            write_back()
            return progress(epoch, history)

    history = descend(
        tuned.vector,
        gradient_of,
        len(x),
        weight,
        schedule,
        rng,
        optimizer or tuning_optimizer(tuned.shapes),
        score=score,
        progress=tell,
    )
    write_back()
    return history


def tune_joint(
    model: FlatChain,
    x: Rows,
    y: Rows,
    weight: Array | None,
    schedule: Schedule,
    rng: np.random.Generator,
    *,
    initial: Sequence[Array],
    n_iter: int = 1,
    damping: float = 0.0,
    dropout: float = 0.0,
    input_dropout: float = 0.0,
    x_target: slice | Array = slice(None),
    y_target: slice | Array = slice(None),
    optimizer: Optimizer | None = None,
    score: Callable[[], float] | None = None,
    progress: Callable[[int, History], bool | None] | None = None,
) -> History:
    """Fine-tune both directions in one weight set.

    Parameters
    ----------
    model : FlatChain
        Trained in place.
    x, y : ndarray of shape (n, n_units)
        The views, standardised.
    weight : ndarray of shape (n,) or None
        Row weights.
    schedule : Schedule
        Length and step sizes.
    rng : numpy.random.Generator
        Source of randomness.
    initial : sequence of ndarray, each of shape (J_l,)
        Means from which inference starts.
    n_iter, damping, dropout, input_dropout
        As in :func:`add_prediction_gradient`.
    x_target, y_target : slice or index array, default: all
        Columns that count.
    optimizer : Optimizer, optional
        State to go on from; by default that of :func:`tuning_optimizer`.
    score : callable, optional
        Validation score of the current parameters.
    progress : callable, optional
        As in :func:`descend`.

    Returns
    -------
    History
        Losses and scores.
    """
    ascent = model.zeros_like()
    directions = (
        (model.chain, ascent.chain, x, y, tuple(initial), y_target),
        (
            mirror(model.chain),
            mirror(ascent.chain),
            y,
            x,
            tuple(initial)[::-1],
            x_target,
        ),
    )

    def gradient_of(rows: Array, mass: float) -> tuple[float, Array]:
        ascent.vector[:] = 0
        share = (
            np.full(len(rows), 1 / mass, dtype=x.dtype)
            if weight is None
            else weight[rows] / mass
        )
        loss = 0.0
        for chain, out, source, goal, start, target in directions:
            loss += add_prediction_gradient(
                chain,
                picked(source, rows),
                picked(goal, rows),
                share,
                out,
                initial=start,
                n_iter=n_iter,
                damping=damping,
                target=target,
                dropout=dropout,
                input_dropout=input_dropout,
                rng=rng,
            )
        return loss, ascent.vector

    return descend(
        model.vector,
        gradient_of,
        len(x),
        weight,
        schedule,
        rng,
        # The two directions differ in size at the same weight: no moments of rows.
        optimizer or tuning_optimizer(),
        score=score,
        project=lambda: guard_log_variance(model.chain),
        progress=progress,
    )
