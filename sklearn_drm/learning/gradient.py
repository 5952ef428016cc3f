"""Gradients of the log-likelihood of a chain from data and model statistics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sklearn_drm.core.chain import Chain, hidden_field
from sklearn_drm.core.units import Array

__all__ = [
    "add_statistics",
    "centre_gradient",
    "uncentre_increment",
]


def add_statistics(
    chain: Chain,
    values: Sequence[Array],
    weight: Array,
    out: Chain,
    *,
    expected: Sequence[int] = (),
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

    Notes
    -----
    W_l: t_l t_{l+1}ᵀ; the layers' own parameters: :meth:`Units.statistics`.
    """
    last = len(chain.units) - 1
    couplings = [
        layer.coupling(value) for layer, value in zip(chain.units, values, strict=True)
    ]
    for index, (left, right) in enumerate(
        zip(couplings[:-1], couplings[1:], strict=True)
    ):
        # Weight the smaller side.
        if left.shape[1] <= right.shape[1]:
            out.weights[index][...] += (left * weight[:, None]).T @ right
        else:
            out.weights[index][...] += left.T @ (right * weight[:, None])
    for index, layer in enumerate(chain.units):
        below = couplings[index - 1] if index else None
        above = couplings[index + 1] if index < last else None
        parameters = layer.parameters
        if len(parameters) == 1:
            out.units[index].bias[...] += weight @ couplings[index]
            continue
        field = hidden_field(chain, index, below, above)
        if index in expected:
            statistics = layer.expected_statistics(field, weight)
        else:
            statistics = layer.statistics(values[index], field, weight)
        for name, target in out.units[index].parameters.items():
            target += statistics[name]


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
        if offsets[index].any():
            weight -= np.outer(offsets[index], deltas[index + 1])
        if offsets[index + 1].any():
            weight -= np.outer(deltas[index], offsets[index + 1])


def uncentre_increment(increment: Chain, offsets: Sequence[Array]) -> None:
    """Map an increment of the centred parameters to the standard ones, in place.

    Parameters
    ----------
    increment : Chain
        Increment of weights, centred biases and log-variances.
    offsets : sequence of ndarray, each of shape (n_l,)
        As in :func:`centre_gradient`.

    Notes
    -----
    Δc_l = Δc_l' − ΔW_lᵀ o_{l−1} − ΔW_{l+1} o_{l+1}.
    """
    for index, weight in enumerate(increment.weights):
        increment.units[index].bias[...] -= weight @ offsets[index + 1]
        increment.units[index + 1].bias[...] -= offsets[index] @ weight
