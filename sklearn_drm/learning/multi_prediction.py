"""Back-propagation through unrolled mean field: one weight set, both directions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sklearn_drm.core.chain import Chain
from sklearn_drm.core.units import Array

__all__ = ["add_prediction_gradient"]


def add_prediction_gradient(
    chain: Chain,
    x: Array,
    y: Array,
    weight: Array,
    out: Chain,
    *,
    initial: Sequence[Array],
    n_iter: int = 1,
    damping: float = 0.0,
    target: slice | Array = slice(None),
    dropout: float = 0.0,
    rng: np.random.Generator | None = None,
) -> float:
    r"""Add the gradient of the log-likelihood of y around its prediction from x.

    Parameters
    ----------
    chain : Chain
        Chain with Gaussian ends and Bernoulli hidden layers. For the prediction of
        x from y pass its mirror, and the mirror of ``out``.
    x, y : ndarray of shape (n, n_units)
        The views, standardised.
    weight : ndarray of shape (n,)
        Row weights, of sum 1.
    out : Chain
        Same layout; the gradient of −loss is added in place.
    initial : sequence of ndarray, each of shape (J_l,)
        Means from which inference starts; constants.
    n_iter : int, default=1
        Collapsed mean-field sweeps over h1 … hL.
    damping : float in [0, 1), default=0.0
        Share of the old value kept in h_L.
    target : slice or index array, default: all
        Columns of y that count.
    dropout : float in [0, 1), default=0.0
        Share of hidden units silent throughout the sweeps, drawn per row.
    rng : numpy.random.Generator, optional
        Needed with dropout.

    Returns
    -------
    float
        Loss Σ_n w_n Σ_k [½ (y−ŷ)²/s + ½ z] over the target columns.

    Notes
    -----
    Derivation in the developer documentation ("Learning"); every update of a layer
    is kept, then walked backwards.

    References
    ----------
    I. Goodfellow, M. Mirza, A. Courville, Y. Bengio, "Multi-prediction deep
    Boltzmann machines", NIPS 2013.
    """
    n_hidden = chain.n_hidden_layers
    weights, precision = chain.weights, np.exp(-chain.units[-1].parameters["log_variance"])
    top_weight, y_bias = weights[-1], chain.units[-1].bias
    coupled = chain.units[0].coupling(x)
    from_x = coupled @ weights[0]
    scaled = top_weight * precision
    excitation = np.einsum("jk,jk->j", scaled, top_weight)
    means: list[Array] = [np.asarray(mean)[None, :] for mean in initial]
    masks: list[Array | None] = [None] * n_hidden
    if dropout:
        assert rng is not None
        factor = x.dtype.type(1 / (1 - dropout))
        for index, layer in enumerate(chain.hidden):
            draw = rng.random((len(x), layer.n_units), dtype=x.dtype)
            masks[index] = (draw >= dropout) * factor

    tape: list[tuple[int, Array, list[Array]]] = []
    for _ in range(n_iter):
        for index in range(n_hidden):
            layer = index + 1
            field = from_x if index == 0 else means[index - 1] @ weights[index]
            if layer < n_hidden:
                field = field + means[layer] @ weights[layer].T
            else:
                old = means[index]
                field = field + (y_bias + old @ top_weight) @ scaled.T
                field += excitation * (0.5 - old)
            new = chain.units[layer].mean(field)
            slope = new * (1 - new)
            mask = masks[index]
            if mask is not None:
                new *= mask
                slope *= mask
            tape.append((index, slope, list(means)))
            keep = damping if layer == n_hidden else 0.0
            means[index] = keep * means[index] + (1 - keep) * new if keep else new

    error = np.zeros_like(y)
    prediction = means[-1] @ top_weight + y_bias
    error[:, target] = prediction[:, target] - y[:, target]
    squared = weight @ (error * error)
    mass = weight.sum()
    log_variance = chain.units[-1].parameters["log_variance"]
    loss = 0.5 * float(squared @ precision + mass * log_variance[target].sum())

    error *= precision * weight[:, None]
    out_top, out_y = out.weights[-1], out.units[-1].parameters
    out_top -= means[-1].T @ error
    out_y["bias"] -= error.sum(axis=0)
    out_y["log_variance"] += 0.5 * squared * precision
    out_y["log_variance"][target] -= 0.5 * mass
    upstream: list[Array | None] = [None] * n_hidden
    upstream[-1] = error @ top_weight.T

    out_x_variance = out.units[0].parameters["log_variance"]
    for index, slope, before in reversed(tape):
        layer = index + 1
        signal = upstream[index]
        if signal is None:
            continue
        keep = damping if layer == n_hidden else 0.0
        delta = (1 - keep) * signal * slope
        upstream[index] = keep * signal if keep else None
        out.units[layer].bias[...] -= delta.sum(axis=0)
        if index == 0:
            out.weights[0][...] -= coupled.T @ delta
            back = delta @ weights[0].T
            out_x_variance += np.einsum("ni,ni->i", coupled, back)
        else:
            out.weights[index][...] -= _product(before[index - 1], delta)
            _accumulate(upstream, index - 1, delta, weights[index].T, before)
        if layer < n_hidden:
            out.weights[layer][...] -= _product(before[layer], delta).T
            _accumulate(upstream, layer, delta, weights[layer], before)
        else:
            old = before[index]
            psi = (y_bias + old @ top_weight) * precision
            projected = delta @ top_weight
            summed = projected.sum(axis=0)
            out_top -= _product(psi, delta).T
            out_top -= _product(old, projected * precision)
            out_y["bias"] -= summed * precision
            out_y["log_variance"] += np.einsum(
                "nk,nk->k", projected, np.broadcast_to(psi, projected.shape)
            )
            pull = (delta * (0.5 - old)).sum(axis=0)
            out_top -= 2 * pull[:, None] * scaled
            out_y["log_variance"] += precision * (pull @ (top_weight * top_weight))
            if len(old) > 1:
                response = (projected * precision) @ top_weight.T - delta * excitation
                held = upstream[index]
                upstream[index] = response if held is None else held + response
    return loss


def _product(means: Array, delta: Array) -> Array:
    """Meansᵀ delta, where means may be one row that stands for all."""
    if len(means) == 1 and len(delta) > 1:
        result: Array = np.outer(means[0], delta.sum(axis=0))
        return result
    return means.T @ delta


def _accumulate(
    upstream: list[Array | None],
    index: int,
    delta: Array,
    weight: Array,
    before: list[Array],
) -> None:
    """Pass delta on to a neighbour, unless that was a constant start value."""
    if len(before[index]) == 1 and len(delta) > 1:
        return
    signal = delta @ weight
    held = upstream[index]
    upstream[index] = signal if held is None else held + signal
