"""Exact quantities of small chains by transfer matrices over hidden states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from sklearn_drm.core.chain import Chain
from sklearn_drm.core.units import Array

__all__ = [
    "ExactPrediction",
    "enumeration_cost",
    "log_likelihood",
    "log_partition",
    "predict_exact",
]

# Rows × states × states handled at once; keeps memory near 64 MB.
_CHUNK = 2**23


@dataclass(frozen=True)
class ExactPrediction:
    """Exact conditional moments of y given x.

    Parameters
    ----------
    mean, variance : ndarray of shape (n, n_y)
        E[y | x] and Var[y | x].
    hidden : ndarray of shape (n, J_L)
        E[h_L | x].
    """

    mean: Array
    variance: Array
    hidden: Array


def enumeration_cost(chain: Chain) -> float:
    """Σ_l 2^(J_l + J_{l+1}) over neighbouring hidden layers; 2^J_1 for one.

    Parameters
    ----------
    chain : Chain
        The model.

    Returns
    -------
    float
        Entries of all transfer matrices; what exact evaluation costs.
    """
    sizes = [layer.n_units for layer in chain.hidden]
    if len(sizes) == 1:
        return 2.0 ** sizes[0]
    return float(
        sum(2.0 ** (a + b) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
    )


def log_partition(chain: Chain) -> float:
    """Exact log Z.

    Parameters
    ----------
    chain : Chain
        A chain with few hidden units; time and memory grow with
        :func:`enumeration_cost`.

    Returns
    -------
    float
        Log of the integral of exp(−E) over all layers.

    Examples
    --------
    Without weights the layers are independent:

    >>> import numpy as np
    >>> from sklearn_drm.core.chain import Chain
    >>> from sklearn_drm.core.exact import log_partition
    >>> from sklearn_drm.core.units import Bernoulli
    >>> layer = Bernoulli(np.zeros(2))
    >>> chain = Chain([layer] * 3, [np.zeros((2, 2))] * 2)
    >>> bool(np.isclose(log_partition(chain), 6 * np.log(2)))
    True
    """
    messages = _forward(chain, None)
    return float(logsumexp(messages + _end_term(chain, None), axis=1)[0])


def log_likelihood(
    chain: Chain,
    x: Array | None = None,
    y: Array | None = None,
    *,
    log_z: float | None = None,
) -> Array:
    """Exact log p(x, y), log p(x) or log p(y).

    Parameters
    ----------
    chain : Chain
        A chain with few hidden units.
    x, y : ndarray of shape (n, n_units), optional
        The views; one that is None is integrated out.
    log_z : float, optional
        Log-partition; computed where not given.

    Returns
    -------
    ndarray of shape (n,)
        Natural-log densities.
    """
    log_z = log_partition(chain) if log_z is None else log_z
    n_rows = max(len(view) for view in (x, y) if view is not None)
    # Some rows at a time: each brings a value for every state of a layer.
    step = max(1, _CHUNK >> max(layer.n_units for layer in chain.hidden))
    parts = []
    for start in range(0, n_rows, step):
        of_x, of_y = (None if v is None else v[start : start + step] for v in (x, y))
        joint = _forward(chain, of_x) + _end_term(chain, of_y)
        parts.append(logsumexp(joint, axis=1))
    return np.asarray(np.concatenate(parts) - log_z)


def predict_exact(chain: Chain, x: Array) -> ExactPrediction:
    """Exact E[y | x], Var[y | x] and E[h_L | x].

    Parameters
    ----------
    chain : Chain
        A chain with few hidden units.
    x : ndarray of shape (n, n_x)
        First view.

    Returns
    -------
    ExactPrediction
        The moments.
    """
    joint = _forward(chain, x) + _end_term(chain, None)
    weight = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    states = _states(chain, chain.n_hidden_layers)
    field = states @ chain.weights[-1]
    means = chain.y.mean(field)
    mean = weight @ means
    second = weight @ (chain.y.variance(field) + means * means)
    return ExactPrediction(mean, second - mean * mean, weight @ states)


def _states(chain: Chain, layer: int) -> Array:
    n_units = chain.units[layer].n_units
    codes = np.arange(2**n_units)[:, None]
    return ((codes >> np.arange(n_units)) & 1).astype(chain.units[layer].bias.dtype)


def _forward(chain: Chain, x: Array | None) -> Array:
    """Log messages over the states of h_L, everything before it summed out."""
    states = _states(chain, 1)
    field = states @ chain.weights[0].T
    if x is None:
        messages = chain.x.log_normalizer(field)[None, :]
    else:
        messages = chain.x.coupling(x) @ field.T - chain.x.energy(x)[:, None]
    messages = messages - chain.units[1].energy(states)
    for layer in range(2, chain.n_hidden_layers + 1):
        following = _states(chain, layer)
        transfer = states @ chain.weights[layer - 1] @ following.T
        transfer = transfer - chain.units[layer].energy(following)
        step = max(1, _CHUNK // transfer.size)
        messages = np.concatenate(
            [
                logsumexp(messages[i : i + step, :, None] + transfer, axis=1)
                for i in range(0, len(messages), step)
            ]
        )
        states = following
    return messages


def _end_term(chain: Chain, y: Array | None) -> Array:
    field = _states(chain, chain.n_hidden_layers) @ chain.weights[-1]
    if y is None:
        return chain.y.log_normalizer(field)[None, :]
    result: Array = chain.y.coupling(y) @ field.T - chain.y.energy(y)[:, None]
    return result
