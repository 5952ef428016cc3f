"""The undirected chain x – h1 – … – hL – y."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sklearn_drm.core.units import Array, Bernoulli, Units

__all__ = ["Chain", "energy", "hidden_field", "mirror", "random_chain"]


@dataclass(frozen=True)
class Chain:
    r"""A chain of layers: two visible ends with hidden layers between them.

    Parameters
    ----------
    units : sequence of Units
        Layers from x (index 0) through h1 … hL to y (last).
    weights : sequence of ndarray, ``weights[l]`` of shape (n_l, n_{l+1})
        Connection between layers l and l+1.

    Raises
    ------
    ValueError
        When there is no hidden layer or a weight matrix does not fit its layers.

    Notes
    -----
    E = Σ_l E_l(v_l) − Σ_l t_l(v_l)ᵀ W_l t_{l+1}(v_{l+1}), where t is the coupling
    statistic of the layer (v/σ² for Gaussian units, v otherwise).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.core.chain import Chain, energy
    >>> from sklearn_drm.core.units import Bernoulli, Gaussian
    >>> layers = [Gaussian(np.zeros(1), np.zeros(1)), Bernoulli(np.zeros(1)),
    ...           Gaussian(np.zeros(1), np.zeros(1))]
    >>> chain = Chain(layers, [np.ones((1, 1)), np.ones((1, 1))])
    >>> one = np.ones((1, 1))
    >>> energy(chain, [one, one, one])
    array([-1.])
    """

    units: tuple[Units, ...]
    weights: tuple[Array, ...]

    def __init__(self, units: Sequence[Units], weights: Sequence[Array]) -> None:
        object.__setattr__(self, "units", tuple(units))
        object.__setattr__(self, "weights", tuple(weights))
        if len(self.units) < 3:
            raise ValueError(
                f"A chain needs two views and at least one hidden layer; got "
                f"{len(self.units)} layers."
            )
        sizes = [layer.n_units for layer in self.units]
        expected = list(zip(sizes[:-1], sizes[1:], strict=True))
        given = [weight.shape for weight in self.weights]
        if given != expected:
            raise ValueError(
                f"Weights of shapes {given} do not fit layers of {sizes} units; "
                f"expected {expected}."
            )

    @property
    def x(self) -> Units:
        """Units of the first view."""
        return self.units[0]

    @property
    def y(self) -> Units:
        """Units of the second view."""
        return self.units[-1]

    @property
    def hidden(self) -> tuple[Units, ...]:
        """Hidden layers h1 … hL."""
        return self.units[1:-1]

    @property
    def n_hidden_layers(self) -> int:
        """L."""
        return len(self.units) - 2

    @property
    def biases(self) -> tuple[Array, ...]:
        """Biases of every layer, x first, y last."""
        return tuple(layer.bias for layer in self.units)


def mirror(chain: Chain) -> Chain:
    """Return the same distribution with the views swapped.

    Parameters
    ----------
    chain : Chain
        Any chain.

    Returns
    -------
    Chain
        Layers in reverse order, weights in reverse order and transposed; arrays
        are views, so training one trains the other.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.core.chain import mirror, random_chain
    >>> from sklearn_drm.core.units import Bernoulli
    >>> chain = random_chain([Bernoulli(np.zeros(2)), Bernoulli(np.zeros(3))], [4],
    ...                      np.random.default_rng(0))
    >>> [weight.shape for weight in mirror(chain).weights]
    [(3, 4), (4, 2)]
    """
    return Chain(chain.units[::-1], [weight.T for weight in chain.weights[::-1]])


def energy(chain: Chain, values: Sequence[Array]) -> Array:
    """Energy of full configurations.

    Parameters
    ----------
    chain : Chain
        The model.
    values : sequence of ndarray, each of shape (n, n_l)
        One array per layer, x first.

    Returns
    -------
    ndarray of shape (n,)
        Energies; the density is exp(−E)/Z.

    Examples
    --------
    See :class:`Chain`.
    """
    total = sum(
        layer.energy(value) for layer, value in zip(chain.units, values, strict=True)
    )
    couplings = [
        layer.coupling(value) for layer, value in zip(chain.units, values, strict=True)
    ]
    for left, weight, right in zip(
        couplings[:-1], chain.weights, couplings[1:], strict=True
    ):
        total = total - np.einsum("ni,ni->n", left @ weight, right)
    return np.asarray(total)


def hidden_field(
    chain: Chain, layer: int, below: Array | None, above: Array | None
) -> Array:
    """Field of one layer from the coupling statistics of its neighbours.

    Parameters
    ----------
    chain : Chain
        The model.
    layer : int
        Index of the layer, 0 for x.
    below, above : ndarray of shape (n, n_{layer∓1}) or None
        Coupling statistics of the neighbours; None where there is none or where
        it has been integrated out.

    Returns
    -------
    ndarray of shape (n, n_layer)
        Weighted input, without the layer's own bias.
    """
    if below is None and above is None:
        raise ValueError(f"Layer {layer} was given no neighbour.")
    if below is None:
        assert above is not None
        return above @ chain.weights[layer].T
    field: Array = below @ chain.weights[layer - 1]
    if above is not None:
        field += above @ chain.weights[layer].T
    return field


def random_chain(
    views: Sequence[Units],
    n_hidden_units: Sequence[int],
    rng: np.random.Generator,
    *,
    scale: float = 1.0,
) -> Chain:
    """Chain with Glorot-scaled random weights and zero hidden biases.

    Parameters
    ----------
    views : sequence of two Units
        The visible ends; their parameters are kept and give the data type.
    n_hidden_units : sequence of int
        Sizes of the hidden layers.
    rng : numpy.random.Generator
        Source of randomness.
    scale : float, default=1.0
        Factor on the Glorot standard deviation √(2/(n_l + n_{l+1})).

    Returns
    -------
    Chain
        The chain.

    Examples
    --------
    See :func:`mirror`.
    """
    x, y = views
    dtype = x.bias.dtype
    hidden = [Bernoulli(np.zeros(size, dtype=dtype)) for size in n_hidden_units]
    units: list[Units] = [x, *hidden, y]
    weights = []
    for left, right in zip(units[:-1], units[1:], strict=True):
        shape = (left.n_units, right.n_units)
        deviation = scale * np.sqrt(2.0 / sum(shape))
        weights.append((deviation * rng.standard_normal(shape)).astype(dtype))
    return Chain(units, weights)
