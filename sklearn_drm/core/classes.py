"""Probabilities of classes, and means of views that are not Gaussian."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sklearn_drm.core.chain import Chain, mirror
from sklearn_drm.core.draws import bernoulli_draws
from sklearn_drm.core.gibbs import gibbs_sweep
from sklearn_drm.core.mean_field import hidden_means, lower_bound
from sklearn_drm.core.units import Array, Bernoulli, Categorical, Units

__all__ = [
    "ClassPredictor",
    "LinkedPredictor",
    "PrototypePredictor",
    "given_one_class",
    "infer_classes",
]


def given_one_class(chain: Chain) -> Chain:
    """The chain conditioned on exactly one unit of y being on.

    Parameters
    ----------
    chain : Chain
        Chain with Bernoulli or categorical y.

    Returns
    -------
    Chain
        With categorical y; the parameters are shared. Bernoulli units given that
        exactly one is on are a categorical variable of the same biases and fields.
    """
    return Chain([*chain.units[:-1], Categorical(chain.y.bias)], chain.weights)


def infer_classes(
    chain: Chain, x: Array, *, n_iter: int, initial: Sequence[Array]
) -> tuple[Array, list[Array]]:
    """Bound on log ∫ exp(−E) of every class, and the hidden means behind it.

    Parameters
    ----------
    chain : Chain
        Chain with Bernoulli or categorical y of K units.
    x : ndarray of shape (n, n_x)
        First view.
    n_iter : int
        Mean-field sweeps.
    initial : sequence of ndarray, each of shape (J_l,)
        Where they start.

    Returns
    -------
    scores : ndarray of shape (n, K)
        Lower bounds on the unnormalised log p(x, y = class); exact for one hidden
        layer.
    hidden : list of ndarray, each of shape (K, n, J_l)
        Posterior means of the hidden layers for every class.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.core.chain import random_chain
    >>> from sklearn_drm.core.classes import infer_classes
    >>> from sklearn_drm.core.units import Bernoulli, Categorical
    >>> chain = random_chain([Bernoulli(np.zeros(3)), Categorical(np.zeros(2))], [4],
    ...                      np.random.default_rng(0))
    >>> scores, hidden = infer_classes(chain, np.ones((5, 3)), n_iter=1,
    ...                                initial=[np.zeros(4)])
    >>> scores.shape, hidden[0].shape
    ((5, 2), (2, 5, 4))
    """
    n_rows, n_classes = len(x), chain.y.n_units
    # All classes hear the same from x: it is multiplied out once, and the chain
    # behind it gets this field through units that add nothing of their own.
    field = chain.x.coupling(x) @ chain.weights[0]
    relay = np.zeros(field.shape[1], dtype=field.dtype)
    behind = Chain(
        [Bernoulli(relay), *chain.units[1:]],
        [np.eye(len(relay), dtype=field.dtype), *chain.weights[1:]],
    )
    fields = np.tile(field, (n_classes, 1))
    classes = np.repeat(np.eye(n_classes, dtype=x.dtype), n_rows, axis=0)
    hidden = hidden_means(behind, fields, classes, n_iter=n_iter, initial=initial)
    scores = lower_bound(behind, hidden, fields, classes).reshape(n_classes, n_rows)
    return (
        scores.T - chain.x.energy(x)[:, None],
        [mean.reshape(n_classes, n_rows, -1) for mean in hidden],
    )


@dataclass(frozen=True)
class ClassPredictor:
    """Class probabilities from the chain, with y clamped to each class in turn.

    Parameters
    ----------
    chain : Chain
        Chain with Bernoulli or categorical y.
    initial : tuple of ndarray, each of shape (J_l,)
        Where inference starts.
    n_iter : int
        Mean-field sweeps.
    """

    chain: Chain
    initial: tuple[Array, ...]
    n_iter: int

    def mean(self, inputs: Array) -> Array:
        """p(class | x), (n, K); exact for one hidden layer."""
        scores, _ = infer_classes(
            self.chain, inputs, n_iter=self.n_iter, initial=self.initial
        )
        # A difference of large bounds: float64 from here on.
        scores = scores.astype(np.float64)
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return scores.astype(inputs.dtype)


@dataclass(frozen=True)
class PrototypePredictor:
    """Means of x given each class, averaged over Gibbs sweeps of the chain.

    Parameters
    ----------
    chain : Chain
        Chain with Bernoulli or categorical y of K units.
    initial : tuple of ndarray, each of shape (J_l,)
        Where the mean field of the start begins, h1 first.
    n_chains : int, default=50
        Parallel chains of each class.
    n_sweeps : int, default=200
        Sweeps, of which the second half is averaged.

    Notes
    -----
    One label leaves x in several modes, of which mean field finds one, and not always
    a likely one. The draws have a seed of their own, so that a class has one prototype.
    """

    chain: Chain
    initial: tuple[Array, ...]
    n_chains: int = 50
    n_sweeps: int = 200

    @cached_property
    def prototypes(self) -> Array:
        """E[x | class], (K, n_x)."""
        chain, rng = self.chain, np.random.default_rng(0)
        n_classes, last = chain.y.n_units, len(chain.units) - 1
        codes = np.eye(n_classes, dtype=chain.y.bias.dtype)
        codes = np.repeat(codes, self.n_chains, axis=0)
        means = hidden_means(mirror(chain), codes, initial=self.initial[::-1])
        hidden = [bernoulli_draws(m, rng) for m in means[::-1]]
        x = chain.x.sample(hidden[0] @ chain.weights[0].T, rng)
        state = [x, *hidden, codes]
        total = np.zeros((n_classes, chain.x.n_units))
        for sweep in range(self.n_sweeps):
            state = gibbs_sweep(chain, state, rng, clamped=[last])
            if sweep >= self.n_sweeps // 2:
                mean = chain.x.mean(state[1] @ chain.weights[0].T)
                total += mean.reshape(n_classes, self.n_chains, -1).mean(axis=1)
        result: Array = total / (self.n_sweeps - self.n_sweeps // 2)
        return result.astype(x.dtype)

    def mean(self, inputs: Array) -> Array:
        """Prototypes of one-hot rows, (n, n_x)."""
        chosen: Array = self.prototypes[inputs.argmax(axis=1)]
        return chosen


@dataclass(frozen=True)
class LinkedPredictor:
    """Hidden means from the input, and the means of the output units given them.

    Parameters
    ----------
    hidden : callable
        Maps input (n, n_in) to means of the last hidden layer (n, J).
    weight : ndarray of shape (J, n_out)
        Read-out.
    bias : ndarray of shape (n_out,)
        Read-out at zero.
    link : Units
        Output units with zero biases.
    """

    hidden: Callable[[Array], Array]
    weight: Array
    bias: Array
    link: Units

    def mean(self, inputs: Array) -> Array:
        """Conditional means, (n, n_out)."""
        field = self.hidden(inputs) @ self.weight
        field += self.bias
        return self.link.mean(field)
