"""Gradients of the log-likelihood of a chain from data and model statistics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sklearn_drm.core.chain import Chain, hidden_field
from sklearn_drm.core.units import Array, Units

__all__ = [
    "set_contrast",
    "add_statistics",
    "centre_gradient",
    "uncentre",
]


def add_statistics(
    chain: Chain,
    values: Sequence[Array],
    weight: Array,
    out: Chain,
    *,
    expected: Sequence[int] = (),
    overwrite: bool = False,
) -> None:
    r"""Add the weighted mean of −∂E/∂θ to ``out``.

    Parameters
    ----------
    chain : Chain
        The model.
    values : sequence of ndarray, each of shape (n, n_l)
        Values or conditional means of every layer. Layers next to each other must
        not both be means of a joint distribution that couples them; means given
        sampled neighbours are right.
    weight : ndarray of shape (n,)
        Weights of the rows; negative for the model phase.
    out : Chain
        Same layout; its arrays are changed in place.
    expected : sequence of int, default=()
        Layers whose ``values`` are conditional means given their neighbours, and
        whose second moments are taken from the layer's own formula.
    overwrite : bool, default=False
        Whether to forget what ``out`` held.

    Notes
    -----
    W_l: t_l t_{l+1}ᵀ; the layers' own parameters: :meth:`Units.statistics`. Where a
    coupling has parameters, Σ_n t_i a_i = Σ_j W_ij (Σ_n t_i t_j) gives their share
    from the statistics of the weights.
    """
    last = len(chain.units) - 1
    couplings = [
        layer.coupling(value) for layer, value in zip(chain.units, values, strict=True)
    ]
    if overwrite:
        for layer in out.units:
            for parameter in layer.parameters.values():
                parameter[...] = 0
    averaged = []
    for index, layer in enumerate(chain.units):
        # The bias alone has a statistic that is linear in the values.
        if index in expected and len(layer.parameters) > 1:
            averaged.append(index)
            below = couplings[index - 1] if index else None
            above = couplings[index + 1] if index < last else None
            field = hidden_field(chain, index, below, above)
            statistics = layer.expected_statistics(field, weight)
        else:
            statistics = layer.statistics(values[index], None, weight)
        _add(out.units[index], statistics)
    for index, (left, right) in enumerate(
        zip(couplings[:-1], couplings[1:], strict=True)
    ):
        # Weight the smaller side.
        if left.shape[1] <= right.shape[1]:
            left = left * weight[:, None]
        else:
            right = right * weight[:, None]
        target = out.weights[index]
        # Only a coupling with parameters of its own needs the products by themselves.
        ends = [
            end
            for end in (index, index + 1)
            if end not in averaged and len(chain.units[end].parameters) > 1
        ]
        if overwrite:
            products = np.matmul(left.T, right, out=target)
        elif ends:
            products = left.T @ right
            target += products
        else:
            target += left.T @ right
            continue
        connection = chain.weights[index]
        for end in ends:
            coupled = (
                (connection, products) if end == index else (connection.T, products.T)
            )
            _add(out.units[end], chain.units[end].coupling_statistics(*coupled))


def set_contrast(
    chain: Chain,
    data: Sequence[Array],
    model: Sequence[Array],
    weight: Array,
    out: Chain,
    offsets: Sequence[Array],
    *,
    expected: Sequence[int] = (),
) -> None:
    """Overwrite ``out`` with the centred gradient: data minus model statistics.

    Parameters
    ----------
    chain : Chain
        The model.
    data, model : sequence of ndarray, each of shape (n, n_l)
        Values or conditional means of every layer in the two phases.
    weight : ndarray of shape (n,)
        Weights of the rows of either.
    out : Chain
        Same layout; its arrays are overwritten.
    offsets : sequence of ndarray, each of shape (n_l,)
        As in :func:`centre_gradient`.
    expected : sequence of int, default=()
        As in :func:`add_statistics`, for the model phase.
    """
    if any(len(layer.parameters) > 1 for layer in chain.units):
        add_statistics(chain, data, weight, out, overwrite=True)
        add_statistics(chain, model, -weight, out, expected=expected)
        centre_gradient(out, offsets)
        return
    # Where all parameters are weights and biases, one product of twice the rows does.
    # With the offsets and the contrast of the values as two more rows, crossed over
    # and negative on one side, it is centred already: see :func:`centre_gradient`.
    signed = np.concatenate([weight, -weight])
    stacked = []
    for index, (first, second) in enumerate(zip(data, model, strict=True)):
        offset, delta = offsets[index], out.units[index].bias
        rows = np.concatenate([first, second, [offset, offset]], dtype=first.dtype)
        np.matmul(signed, rows[:-2], out=delta)
        rows[-1] = delta
        stacked.append(rows)
    factors = np.concatenate([signed, [-1, -1]], dtype=signed.dtype)[:, None]
    for index, (left, right) in enumerate(zip(stacked[:-1], stacked[1:], strict=True)):
        # Weight the smaller side.
        if left.shape[1] <= right.shape[1]:
            left = _weighted_and_crossed(left, factors)
        else:
            right = _weighted_and_crossed(right, factors)
        np.matmul(left.T, right, out=out.weights[index])


def _weighted_and_crossed(rows: Array, factors: Array) -> Array:
    product: Array = rows * factors
    np.negative(rows[-1], out=product[-2])
    np.negative(rows[-2], out=product[-1])
    return product


def _add(target: Units, statistics: dict[str, Array]) -> None:
    parameters = target.parameters
    for name, value in statistics.items():
        parameters[name] += value


def centre_gradient(gradient: Chain, offsets: Sequence[Array]) -> None:
    r"""Turn a contrast of statistics into the gradient of the centred form.

    Parameters
    ----------
    gradient : Chain
        Data minus model statistics; changed in place.
    offsets : sequence of ndarray, each of shape (n_l,)
        Offsets of the coupling statistics; zero for Gaussian layers, whose data
        are standardised.

    Notes
    -----
    ⟨(t_l−o_l)(t_{l+1}−o_{l+1})ᵀ⟩ of data minus model equals
    G − o_l δ_{l+1}ᵀ − δ_l o_{l+1}ᵀ, with G and δ the uncentred contrasts of the
    products and of the statistics, so that no row has to be centred. Biases and
    log-variances have the same gradient in both forms.

    References
    ----------
    G. Montavon, K.-R. Müller, "Deep Boltzmann machines and the centering trick",
    2012; J. Melchior, A. Fischer, L. Wiskott, JMLR 17(99), 2016.
    """
    deltas = [layer.bias for layer in gradient.units]
    for index, weight in enumerate(gradient.weights):
        left = np.array([offsets[index], deltas[index]])
        right = np.array([deltas[index + 1], offsets[index + 1]])
        weight -= left.T @ right


def uncentre(chain: Chain, increment: Array, offsets: Sequence[Array]) -> None:
    """Correct the biases of a chain after an increment of its centred parameters.

    Parameters
    ----------
    chain : Chain
        The model, to which the increment was added; its biases are changed in place.
    increment : ndarray of shape (n_parameters,)
        Increment of all parameters, the weights first.
    offsets : sequence of ndarray, each of shape (n_l,)
        As in :func:`centre_gradient`.

    Notes
    -----
    Δc_l = Δc_l' − ΔW_lᵀ o_{l−1} − ΔW_{l+1} o_{l+1}.
    """
    start = 0
    for index, weight in enumerate(chain.weights):
        change = increment[start : start + weight.size].reshape(weight.shape)
        chain.units[index].bias[...] -= change @ offsets[index + 1]
        chain.units[index + 1].bias[...] -= offsets[index] @ change
        start += weight.size
