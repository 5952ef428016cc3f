"""Mean-field inference of the hidden layers, naive and collapsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sklearn_drm.core.chain import Chain, hidden_field
from sklearn_drm.core.units import Array

__all__ = ["MeanField", "hidden_means", "lower_bound", "mean_field", "self_energy"]

Method = Literal["collapsed", "naive"]


@dataclass(frozen=True)
class MeanField:
    """Result of mean-field inference.

    Parameters
    ----------
    hidden : tuple of ndarray, each of shape (n, J_l)
        Posterior means of h1 … hL.
    y_mean : ndarray of shape (n, n_y) or None
        Mean of y where it was free.
    y_variance : ndarray of shape (n, n_y) or None
        σ_y² + Σ_j W_jk² m_j (1 − m_j) for Gaussian y; the variance of the unit
        at its mean field for the other types.
    """

    hidden: tuple[Array, ...]
    y_mean: Array | None
    y_variance: Array | None


def self_energy(chain: Chain) -> Array:
    """e_j = Σ_k W_jk² κ_k of the last hidden layer, κ the curvature of y.

    Parameters
    ----------
    chain : Chain
        The model.

    Returns
    -------
    ndarray of shape (J_L,)
        What y, once integrated out, adds to ½ e_j m_j (1 − m_j) in the bound.
    """
    weight = chain.weights[-1]
    result: Array = (weight * weight) @ chain.y.curvature()
    return result


def hidden_means(
    chain: Chain,
    x: Array,
    y: Array | None = None,
    *,
    n_iter: int = 20,
    damping: float = 0.5,
    method: Method = "collapsed",
    initial: Sequence[Array] | None = None,
) -> tuple[Array, ...]:
    """Posterior means of the hidden layers given x, or given x and y.

    Parameters
    ----------
    chain, x, y, n_iter, damping, method, initial
        As in :func:`mean_field`.

    Returns
    -------
    tuple of ndarray, each of shape (n, J_l)
        Means of h1 … hL.

    Raises
    ------
    ValueError
        For an unknown method.
    """
    if method not in ("collapsed", "naive"):
        raise ValueError(f"method must be 'collapsed' or 'naive'; got {method!r}.")
    n_rows, n_hidden = x.shape[0], chain.n_hidden_layers
    if initial is None:
        initial = [np.full(layer.n_units, 0.5) for layer in chain.hidden]
    # A start common to all rows stays one row until its layer is updated.
    hidden = [np.atleast_2d(np.asarray(mean, dtype=x.dtype)) for mean in initial]
    if n_iter == 0:
        hidden = [np.repeat(mean, n_rows // len(mean), axis=0) for mean in hidden]
    elif n_hidden == 1 and y is not None:
        # The posterior is factorial: one update reaches it from any start.
        n_iter = 1
    from_x = chain.units[0].coupling(x) @ chain.weights[0]
    from_y = None if y is None else chain.units[-1].coupling(y) @ chain.weights[-1].T
    collapsed = y is None and method == "collapsed"
    excitation = self_energy(chain) if collapsed else None
    for sweep in range(1, n_iter + 1):
        for index in range(n_hidden):
            layer = index + 1
            if index:
                field = hidden[index - 1] @ chain.weights[index]
            else:
                field = from_x if sweep == n_iter else from_x.copy()
            if index < n_hidden - 1:
                field += hidden[index + 1] @ chain.weights[layer].T
                hidden[index] = chain.units[layer].mean(field)
            elif from_y is not None:
                field += from_y
                hidden[index] = chain.units[layer].mean(field)
            else:
                old = hidden[index]
                expected = chain.y.mean(old @ chain.weights[-1])
                field += chain.y.coupling(expected) @ chain.weights[-1].T
                if excitation is not None:
                    field += excitation * (0.5 - old)
                new = chain.units[layer].mean(field)
                hidden[index] = damping * old + (1 - damping) * new
    return tuple(hidden)


def mean_field(
    chain: Chain,
    x: Array,
    y: Array | None = None,
    *,
    n_iter: int = 20,
    damping: float = 0.5,
    method: Method = "collapsed",
    initial: Sequence[Array] | None = None,
) -> MeanField:
    r"""Posterior means of the hidden layers, and the moments of y where it is free.

    To infer from y alone, mirror the chain.

    Parameters
    ----------
    chain : Chain
        The model.
    x : ndarray of shape (n, n_x)
        First view.
    y : ndarray of shape (n, n_y), optional
        Second view; None: free.
    n_iter : int, default=20
        Sweeps over h1, …, hL in order.
    damping : float in [0, 1), default=0.5
        Share of the old value kept in h_L while y is free; there the parallel
        update of its units is not monotone by itself.
    method : {"collapsed", "naive"}, default="collapsed"
        Free y integrated out exactly, or given a factor of its own.
    initial : sequence of ndarray, each broadcastable to (n, J_l), optional
        Where to start; one half by default.

    Returns
    -------
    MeanField
        Means of the hidden layers and, for free y, its mean and variance.

    Raises
    ------
    ValueError
        For an unknown method.

    Notes
    -----
    m_l = σ(c_l + W_lᵀ m_{l−1} + W_{l+1} m_{l+1}). With y free, its place is taken by
    ŷ = E[y | m_L]; collapsed adds e ⊙ (½ − m_L), which removes the self-excitation
    of the naive form. Collapsing is exact for Gaussian y and coincides with the
    naive form for the other types.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.core.chain import random_chain
    >>> from sklearn_drm.core.mean_field import mean_field
    >>> from sklearn_drm.core.units import Gaussian
    >>> rng = np.random.default_rng(0)
    >>> view = Gaussian(np.zeros(2), np.zeros(2))
    >>> chain = random_chain([view, view], [3, 3], rng)
    >>> mean_field(chain, np.ones((4, 2))).y_mean.shape
    (4, 2)
    """
    hidden = hidden_means(
        chain, x, y, n_iter=n_iter, damping=damping, method=method, initial=initial
    )
    if y is not None:
        return MeanField(hidden, None, None)
    top = hidden[-1]
    field = top @ chain.weights[-1]
    weight = chain.weights[-1]
    variance = chain.y.variance(field)
    if chain.y.curvature().any():
        variance = variance + (top * (1 - top)) @ (weight * weight)
    return MeanField(hidden, chain.y.mean(field), variance)


def lower_bound(
    chain: Chain,
    hidden: Sequence[Array],
    x: Array,
    y: Array | None = None,
    *,
    method: Method = "collapsed",
) -> Array:
    r"""Lower bound on log ∫ exp(−E) over everything but the given views.

    Parameters
    ----------
    chain : Chain
        The model.
    hidden : sequence of ndarray, each of shape (n, J_l)
        Means of the factorial posterior, any values in [0, 1].
    x : ndarray of shape (n, n_x)
        First view.
    y : ndarray of shape (n, n_y), optional
        Second view; None: integrated out.
    method : {"collapsed", "naive"}, default="collapsed"
        Without y: whether the spread of h_L enters its integral.

    Returns
    -------
    ndarray of shape (n,)
        Minus log Z, this bounds log p(x, y), or log p(x), from below. Exact for
        one hidden layer at its posterior with both views given.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.core.chain import random_chain
    >>> from sklearn_drm.core.mean_field import lower_bound, mean_field
    >>> from sklearn_drm.core.units import Gaussian
    >>> rng = np.random.default_rng(0)
    >>> view = Gaussian(np.zeros(2), np.zeros(2))
    >>> chain = random_chain([view, view], [3, 3], rng)
    >>> x = np.ones((1, 2))
    >>> hidden = mean_field(chain, x).hidden
    >>> naive = lower_bound(chain, hidden, x, method="naive")
    >>> bool(naive <= lower_bound(chain, hidden, x))
    True
    """
    layers = chain.units
    total = -layers[0].energy(x)
    below = layers[0].coupling(x)
    for index, mean in enumerate(hidden):
        layer = layers[index + 1]
        total = total + np.einsum("nj,nj->n", below @ chain.weights[index], mean)
        total = total - layer.energy(mean) + layer.entropy(mean)
        below = layer.coupling(mean)
    if y is not None:
        field = hidden_field(chain, len(layers) - 1, below, None)
        cross = np.einsum("nk,nk->n", field, layers[-1].coupling(y))
        return np.asarray(total + cross - layers[-1].energy(y))
    top = hidden[-1]
    total = total + chain.y.log_normalizer(top @ chain.weights[-1])
    if method == "collapsed":
        total = total + 0.5 * (top * (1 - top)) @ self_energy(chain)
    return np.asarray(total)
