"""Joint contrastive divergence of a whole chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sklearn_drm.core.chain import Chain
from sklearn_drm.core.draws import bernoulli_draws
from sklearn_drm.core.gibbs import gibbs_sweep
from sklearn_drm.core.mean_field import hidden_means
from sklearn_drm.core.rows import Rows, blocks, picked
from sklearn_drm.core.units import Array, Gaussian
from sklearn_drm.learning.gradient import (
    set_contrast,
    uncentre,
)
from sklearn_drm.learning.optimizer import Adafactor, DivergenceError, Optimizer
from sklearn_drm.learning.parameters import FlatChain, restored

__all__ = [
    "ContrastiveDivergence",
    "DivergenceError",
    "SIGMA_RANGE",
    "batches",
    "guard_log_variance",
    "pretrain",
]

# Range of σ on standardised data. A σ above 1.6 would claim more noise than the
# data hold; below 0.1 the coupling x/σ² blows up (deepmat, issue 7).
SIGMA_RANGE = (0.1, 1.6)

_LOG_VARIANCE_RANGE = tuple(2 * np.log(SIGMA_RANGE))

_OFFSET_DECAY = 0.99

# Second moments of the gradients follow at one in so many updates.
_STRIDE = 8


def guard_log_variance(chain: Chain) -> None:
    """Clip the log-variances of Gaussian layers to ``SIGMA_RANGE``, in place.

    Parameters
    ----------
    chain : Chain
        The model.
    """
    for layer in chain.units:
        if isinstance(layer, Gaussian):
            np.clip(layer.log_variance, *_LOG_VARIANCE_RANGE, out=layer.log_variance)


def batches(n_rows: int, batch_size: int, rng: np.random.Generator) -> list[Array]:
    """Row indices of one shuffled pass, in batches of nearly equal size.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    batch_size : int
        Largest batch.
    rng : numpy.random.Generator
        Source of the permutation.

    Returns
    -------
    list of ndarray of int
        Every row exactly once.
    """
    n_batches = -(-n_rows // batch_size)
    return np.array_split(rng.permutation(n_rows), n_batches)


@dataclass
class ContrastiveDivergence:
    r"""State of joint training by contrastive divergence.

    Parameters
    ----------
    model : FlatChain
        The chain, trained in place.
    n_gibbs_steps : int, default=3
        k: sweeps from the data to the model's samples.
    n_mean_field_iter : int, default=5
        Sweeps of the positive phase.
    optimizer : Optimizer, optional
        Turns gradients into steps; by default Adafactor.

    Notes
    -----
    The gradient is ⟨−∂E/∂θ⟩ at the posterior's mean field given the data minus the
    same after k Gibbs sweeps started there, in the centred form, with offsets that
    follow the posterior means of the data.

    References
    ----------
    G. Hinton, "Training products of experts by minimizing contrastive divergence",
    Neural Computation 14(8), 2002; R. Salakhutdinov, G. Hinton, Neural Computation
    24(8), 2012 (mean-field positive phase).
    """

    model: FlatChain
    n_gibbs_steps: int = 3
    n_mean_field_iter: int = 5
    optimizer: Optimizer | None = None

    def __post_init__(self) -> None:
        chain = self.model.chain
        self._optimizer = self.optimizer or Adafactor(self.model.shapes, stride=_STRIDE)
        self.gradient = self.model.zeros_like()
        self.means: list[Array] = [
            layer.mean(np.zeros((1, layer.n_units), dtype=layer.bias.dtype))[0]
            for layer in chain.hidden
        ]
        self.offsets: list[Array] = [np.zeros_like(bias) for bias in chain.biases]
        self.n_updates = 0

    def start(self, x: Rows, y: Rows, weight: Array) -> None:
        """Set the offsets of non-Gaussian views to their (weighted) data means."""
        for index, values in ((0, x), (-1, y)):
            if not isinstance(self.model.chain.units[index], Gaussian):
                total = sum(
                    weight[block] @ values[block]
                    for block in blocks(len(values), values.shape[1])
                )
                self.offsets[index] = total / weight.sum()

    def update(
        self,
        x: Array,
        y: Array,
        weight: Array,
        learning_rate: float,
        rng: np.random.Generator,
    ) -> float:
        """One step on one batch.

        Parameters
        ----------
        x, y : ndarray of shape (n, n_units)
            The views, standardised.
        weight : ndarray of shape (n,)
            Row weights, of sum 1.
        learning_rate : float
            Step size.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        float
            Mean squared distance between the data and the model phase's x.

        Raises
        ------
        DivergenceError
            When the gradient is not finite.
        """
        chain = self.model.chain
        last = len(chain.units) - 1
        hidden = hidden_means(
            chain, x, y, n_iter=self.n_mean_field_iter, initial=self.means
        )
        self._follow(hidden, weight)
        data: list[Array] = [x, *hidden, y]
        # Sweeps resample the even layers first, so that they start from the odd ones.
        state = list(data)
        for layer in range(1, last, 2):
            state[layer] = bernoulli_draws(state[layer], rng)
        for step in range(1, self.n_gibbs_steps + 1):
            state = gibbs_sweep(
                chain,
                state,
                rng,
                first_parity=0,
                average_last=step == self.n_gibbs_steps,
            )
        set_contrast(
            chain,
            data,
            state,
            weight,
            self.gradient.chain,
            self.offsets,
            expected=range(1, last + 1, 2),
        )
        self._add_to_gradient(x, y, weight, rng)
        try:
            increment = self._optimizer.step(self.gradient.vector, learning_rate)
        except DivergenceError:
            raise DivergenceError(
                "Contrastive divergence diverged: the gradient is not finite after "
                f"{self.n_updates} updates. Lower pretrain_learning_rate."
            ) from None
        np.add(self.model.vector, increment, out=self.model.vector)
        uncentre(chain, increment, self.offsets)
        guard_log_variance(chain)
        self.n_updates += 1
        distance = x - state[0]
        distance *= distance
        return float((weight @ distance).sum() / x.shape[1])

    def settle(self) -> None:
        """Take the parameters that the updates so far are to leave: the last ones."""

    def _add_to_gradient(
        self, x: Array, y: Array, weight: Array, rng: np.random.Generator
    ) -> None:
        """What else a kind of training ascends, added in its centred form."""

    def _follow(self, hidden: Sequence[Array], weight: Array) -> None:
        # The first batches set the average; later ones move it slowly.
        decay = min(_OFFSET_DECAY, self.n_updates / (self.n_updates + 1))
        for index, mean in enumerate(hidden):
            average = self.means[index]
            average *= decay
            average += (1 - decay) * (weight @ mean)
            self.offsets[index + 1] = average


Progress = Callable[[int, float], bool | None]


def pretrain(
    trainer: ContrastiveDivergence,
    x: Rows,
    y: Rows,
    weight: Array,
    *,
    n_epochs: int,
    batch_size: int,
    learning_rate: float,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> list[float]:
    """Train a chain by contrastive divergence for a number of epochs.

    Parameters
    ----------
    trainer : ContrastiveDivergence
        State; its model is trained in place.
    x, y : ndarray of shape (n, n_units)
        Standardised views.
    weight : ndarray of shape (n,)
        Row weights.
    n_epochs : int
        Passes over the rows.
    batch_size : int
        Rows in a batch.
    learning_rate : float
        Initial step size; falls linearly to a tenth over the epochs.
    rng : numpy.random.Generator
        Source of randomness.
    progress : callable, optional
        Called after each epoch with its number and loss, while the model is what the
        training would leave if it ended here; True ends it.

    Returns
    -------
    list of float
        Reconstruction error per epoch.
    """
    trainer.start(x, y, weight)
    losses = []
    n_batches = -(-len(x) // batch_size)
    done = 0
    for epoch in range(n_epochs):
        total = 0.0
        for rows in batches(len(x), batch_size, rng):
            share = weight[rows]
            mass = share.sum()
            if mass <= 0:
                continue
            rate = learning_rate * (1 - 0.9 * done / (n_epochs * n_batches))
            total += mass * trainer.update(
                picked(x, rows), picked(y, rows), share / mass, rate, rng
            )
            done += 1
        losses.append(float(total / weight.sum()))
        stop = False
        if progress is not None:
            with restored(trainer.model.vector):
                trainer.settle()
                stop = bool(progress(epoch, losses[-1]))
        if stop:
            break
    trainer.settle()
    return losses
