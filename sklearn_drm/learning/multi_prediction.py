"""Back-propagation through unrolled mean field: one weight set, both directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sklearn_drm.core.chain import Chain
from sklearn_drm.core.mean_field import self_energy
from sklearn_drm.core.units import Array, Units
from sklearn_drm.learning.feed_forward import dropout_factor

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
    input_dropout: float = 0.0,
    rng: np.random.Generator | None = None,
) -> float:
    r"""Add the gradient of the log-likelihood of y around its prediction from x.

    Parameters
    ----------
    chain : Chain
        Chain with Bernoulli hidden layers. For the prediction of
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
    input_dropout : float in [0, 1), default=0.0
        Share of values of x set to zero.
    rng : numpy.random.Generator, optional
        Needed with dropout.

    Returns
    -------
    float
        Loss −Σ_n w_n log p(y_n | field of y from the last hidden means) over the
        target columns.

    Notes
    -----
    Derivation in the developer documentation ("Learning"); every update of a layer
    is kept, then walked backwards.

    References
    ----------
    I. Goodfellow, M. Mirza, A. Courville, Y. Bengio, "Multi-prediction deep
    Boltzmann machines", NIPS 2013.
    """
    if input_dropout:
        x = x * dropout_factor(x.shape, x.dtype, input_dropout, rng)
    masks = _masks(chain, x, dropout, rng)
    means, tape = _infer(chain, x, initial, n_iter, damping, masks)

    top_weight = chain.weights[-1]
    units = _columns(chain.y, target)
    field, goal = (means[-1] @ top_weight)[:, target], y[:, target]
    surprise = units.energy(goal) + units.log_normalizer(field)
    surprise -= np.einsum("nk,nk->n", units.coupling(goal), field)
    loss = float(weight @ surprise)

    error = np.zeros_like(y)
    error[:, target] = units.coupling(units.mean(field)) - units.coupling(goal)
    error *= weight[:, None]
    out.weights[-1][...] -= means[-1].T @ error
    expected = units.expected_statistics(field, weight)
    for name, value in units.statistics(goal, field, weight).items():
        out.y.parameters[name][target] += value - expected[name]
    _walk_back(chain, x, tape, error @ top_weight.T, damping, out)
    return loss


def _columns(units: Units, target: slice | Array) -> Units:
    """The same type of layer with some of its units."""
    record: Any = units
    parts = {name: array[target] for name, array in units.parameters.items()}
    chosen: Units = replace(record, **parts)
    return chosen


def _masks(
    chain: Chain, x: Array, dropout: float, rng: np.random.Generator | None
) -> list[Array | None]:
    """Factors of the hidden units, drawn once for all sweeps."""
    if not dropout:
        return [None] * chain.n_hidden_layers
    return [
        dropout_factor((len(x), units.n_units), x.dtype, dropout, rng)
        for units in chain.hidden
    ]


@dataclass(frozen=True)
class _Update:
    """One update of a hidden layer: its slope, and the means it read."""

    index: int
    slope: Array
    before: list[Array]


def _infer(
    chain: Chain,
    x: Array,
    initial: Sequence[Array],
    n_iter: int,
    damping: float,
    masks: list[Array | None],
) -> tuple[list[Array], list[_Update]]:
    """Collapsed mean field that remembers every update."""
    weights, n_hidden = chain.weights, chain.n_hidden_layers
    top_weight, excitation = weights[-1], self_energy(chain)
    from_x = chain.x.coupling(x) @ weights[0]
    # The start is one row that stands for all.
    means: list[Array] = [np.asarray(mean)[None, :] for mean in initial]
    tape = []
    for _ in range(n_iter):
        for index in range(n_hidden):
            field = from_x if index == 0 else means[index - 1] @ weights[index]
            is_top = index == n_hidden - 1
            if is_top:
                old = means[index]
                expected = chain.y.coupling(chain.y.mean(old @ top_weight))
                field = field + expected @ top_weight.T
                field += excitation * (0.5 - old)
            else:
                field = field + means[index + 1] @ weights[index + 1].T
            new = chain.units[index + 1].mean(field)
            slope = new * (1 - new)
            mask = masks[index]
            if mask is not None:
                new *= mask
                slope *= mask
            tape.append(_Update(index, slope, list(means)))
            if is_top and damping:
                new = damping * means[index] + (1 - damping) * new
            means[index] = new
    return means, tape


def _walk_back(
    chain: Chain,
    x: Array,
    tape: list[_Update],
    signal_of_top: Array,
    damping: float,
    out: Chain,
) -> None:
    """Add the gradient of all updates, last first."""
    weights, n_hidden = chain.weights, chain.n_hidden_layers
    coupled = chain.x.coupling(x)
    upstream: list[Array | None] = [None] * n_hidden
    upstream[-1] = signal_of_top
    for update in reversed(tape):
        index, before = update.index, update.before
        signal = upstream[index]
        if signal is None:
            continue
        is_top = index == n_hidden - 1
        keep = damping if is_top else 0.0
        delta = (1 - keep) * signal * update.slope
        upstream[index] = keep * signal if keep else None
        out.units[index + 1].bias[...] -= delta.sum(axis=0)
        if index == 0:
            products = coupled.T @ delta
            out.weights[0][...] -= products
            _subtract(out.x, chain.x.coupling_statistics(weights[0], products))
        else:
            out.weights[index][...] -= _product(before[index - 1], delta)
            _accumulate(upstream, index - 1, delta, weights[index].T, before)
        if is_top:
            response = _back_through_free_view(chain, before[index], delta, out)
            if len(before[index]) > 1:
                held = upstream[index]
                upstream[index] = response if held is None else held + response
        else:
            out.weights[index + 1][...] -= _product(before[index + 1], delta).T
            _accumulate(upstream, index + 1, delta, weights[index + 1], before)


def _back_through_free_view(
    chain: Chain, old: Array, delta: Array, out: Chain
) -> Array:
    """Gradient through what the last layer heard from the free view.

    Its field was ψ(m) Wᵀ + e ⊙ (½ − m) with ψ the coupling of E[y | m] and e = W² κ,
    m being its own former means, ``old``. Returns the signal to those.
    """
    weight, curvature = chain.weights[-1], chain.y.curvature()
    field = old @ weight
    psi = chain.y.coupling(chain.y.mean(field))
    to_field, statistics = chain.y.pull_back(field, delta @ weight)
    pull = (delta * (0.5 - old)).sum(axis=0)
    out_weight = out.weights[-1]
    out_weight -= _product(psi, delta).T
    out_weight -= _product(old, to_field)
    out_weight -= 2 * pull[:, None] * (weight * curvature)
    _subtract(out.y, statistics)
    _subtract(out.y, chain.y.curvature_statistics(pull @ (weight * weight)))
    response: Array = to_field @ weight.T - delta * self_energy(chain)
    return response


def _subtract(units: Units, statistics: dict[str, Array]) -> None:
    parameters = units.parameters
    for name, value in statistics.items():
        parameters[name] -= value


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
