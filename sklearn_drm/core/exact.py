"""Exact quantities of small chains by transfer matrices over hidden states."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import logsumexp

from sklearn_drm.core.chain import Chain
from sklearn_drm.core.units import Array, Units

__all__ = [
    "ExactPrediction",
    "enumeration_cost",
    "log_likelihood",
    "log_partition",
    "predict_exact",
]

# Values of rows × states × states, or of states × units of a view, handled at once;
# keeps memory near 64 MB.
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
    return _HiddenStates(chain).log_partition


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

    Raises
    ------
    ValueError
        If neither view is given, or they have different numbers of rows.
    """
    views = [view for view in (x, y) if view is not None]
    if not views or len({len(view) for view in views}) > 1:
        raise ValueError("x or y must be given, or both with as many rows.")
    states = _HiddenStates(chain)
    log_z = states.log_partition if log_z is None else log_z
    n_rows = len(views[0])
    # Some rows at a time: each brings a value for every state of a layer.
    step = max(1, _CHUNK >> max(layer.n_units for layer in chain.hidden))
    parts = []
    for start in range(0, n_rows, step):
        of_x, of_y = (None if v is None else v[start : start + step] for v in (x, y))
        parts.append(logsumexp(states.forward(of_x) + states.backward(of_y), axis=1))
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
    states = _HiddenStates(chain)
    joint = states.forward(x) + states.without_y
    weight = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    last = states.of_layer[-1]
    field = last @ chain.weights[-1]
    means = chain.y.mean(field)
    mean = weight @ means
    second = weight @ (chain.y.variance(field) + means * means)
    return ExactPrediction(mean, second - mean * mean, weight @ last)


class _HiddenStates:
    """All states of each hidden layer, and what the rest of the chain says of them.

    Parameters
    ----------
    chain : Chain
        A chain with few hidden units.
    """

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.of_layer = [_states(layer) for layer in chain.hidden]

    @cached_property
    def without_x(self) -> Array:
        """Log messages over the states of h_L, x summed out, (1, 2^J_L)."""
        weight = self.chain.weights[0].T
        return self._onwards(_integrated(self.chain.x, self.of_layer[0], weight))

    @cached_property
    def without_y(self) -> Array:
        """Log integral over y for each state of h_L, (1, 2^J_L)."""
        return _integrated(self.chain.y, self.of_layer[-1], self.chain.weights[-1])

    @property
    def log_partition(self) -> float:
        """Log Z."""
        return float(logsumexp(self.without_x + self.without_y, axis=1)[0])

    def forward(self, x: Array | None) -> Array:
        """Log messages over the states of h_L, everything before it summed out."""
        if x is None:
            return self.without_x
        chain, first = self.chain, self.of_layer[0]
        messages = (chain.x.coupling(x) @ chain.weights[0]) @ first.T
        return self._onwards(messages - chain.x.energy(x)[:, None])

    def backward(self, y: Array | None) -> Array:
        """Log of the factor of y for each state of h_L."""
        if y is None:
            return self.without_y
        chain, last = self.chain, self.of_layer[-1]
        factor: Array = (chain.y.coupling(y) @ chain.weights[-1].T) @ last.T
        return factor - chain.y.energy(y)[:, None]

    def _onwards(self, messages: Array) -> Array:
        """From the states of h_1 without its own energy to those of h_L."""
        chain, states = self.chain, self.of_layer[0]
        messages = messages - chain.units[1].energy(states)
        for layer, following in enumerate(self.of_layer[1:], start=2):
            transfer = states @ chain.weights[layer - 1] @ following.T
            transfer = transfer - chain.units[layer].energy(following)
            messages = _log_product(messages, transfer)
            states = following
        return messages


def _log_product(messages: Array, transfer: Array) -> Array:
    """log Σ_k exp(messages_nk + transfer_kj), (n, j), by a product of matrices.

    Where all summands of an element are too far below the largest of their row and
    column to be told from 0, it is summed in logarithms.
    """
    from_row = messages.max(axis=1, keepdims=True)
    from_column = transfer.max(axis=0)
    total = np.exp(messages - from_row) @ np.exp(transfer - from_column)
    # Below this a sum may lack summands that were too small for the type.
    lost = np.argwhere(total < 1e28 * np.finfo(total.dtype).tiny)
    with np.errstate(divide="ignore"):
        product: Array = np.log(total) + from_row + from_column
    step = max(1, _CHUNK // len(transfer))
    for start in range(0, len(lost), step):
        rows, columns = lost[start : start + step].T
        product[rows, columns] = logsumexp(
            messages[rows] + transfer[:, columns].T, axis=1
        )
    return product


def _states(layer: Units) -> Array:
    codes = np.arange(2**layer.n_units)[:, None]
    return ((codes >> np.arange(layer.n_units)) & 1).astype(layer.bias.dtype)


def _integrated(view: Units, states: Array, weight: Array) -> Array:
    """Log integral over a view for each state of its neighbour, (1, n_states)."""
    step = max(1, _CHUNK // view.n_units)
    parts = [
        view.log_normalizer(states[i : i + step] @ weight)
        for i in range(0, len(states), step)
    ]
    return np.concatenate(parts)[None, :]
