"""A chain whose parameters are views of one flat vector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sklearn_drm.core.chain import Chain
from sklearn_drm.core.units import Array, Units

__all__ = ["FlatChain", "flatten_chain", "restored"]


@dataclass(frozen=True)
class FlatChain:
    """Parameters of a chain in one vector, and the chain that reads them.

    Parameters
    ----------
    vector : ndarray of shape (n_parameters,)
        All weights, then the parameters of every layer.
    chain : Chain
        Arrays of the chain are views of ``vector``: an in-place update of one is
        an update of the other.
    """

    vector: Array
    chain: Chain

    # Not __reduce__, which skops does not follow: it would restore the vector and
    # the chain as arrays of their own, and training would go on without effect.
    def __getstate__(self) -> dict[str, Any]:
        return {"chain": self.chain}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # The chain reads the vector again.
        self.__dict__.update(flatten_chain(state["chain"]).__dict__)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Shapes of the weights, which come first in the vector."""
        return [(len(weight), weight.shape[1]) for weight in self.chain.weights]

    def zeros_like(self) -> FlatChain:
        """A chain of the same layout, all zero; holds gradients or increments."""
        return _bind(self.chain, np.zeros_like(self.vector))

    def astype(self, dtype: np.typing.DTypeLike) -> FlatChain:
        """An independent copy in another data type."""
        return _bind(self.chain, self.vector.astype(dtype))


def flatten_chain(chain: Chain) -> FlatChain:
    """Copy a chain's parameters into one vector.

    Parameters
    ----------
    chain : Chain
        Any chain; not changed.

    Returns
    -------
    FlatChain
        The copy.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.core.chain import random_chain
    >>> from sklearn_drm.core.units import Gaussian
    >>> from sklearn_drm.learning.parameters import flatten_chain
    >>> view = Gaussian(np.zeros(2), np.zeros(2))
    >>> flat = flatten_chain(random_chain([view, view], [3], np.random.default_rng(0)))
    >>> flat.vector[:] = 1.0
    >>> float(flat.chain.weights[0].min())
    1.0
    """
    arrays = [*chain.weights]
    for layer in chain.units:
        arrays.extend(layer.parameters.values())
    return _bind(chain, np.concatenate([array.ravel() for array in arrays]))


@contextmanager
def restored(vector: Array) -> Iterator[None]:
    """Whatever happens to a vector while it lasts is undone afterwards.

    Parameters
    ----------
    vector : ndarray of shape (n_parameters,)
        Parameters, which training goes on with.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.learning.parameters import restored
    >>> vector = np.zeros(1)
    >>> with restored(vector):
    ...     vector += 1
    >>> vector
    array([0.])
    """
    current = vector.copy()
    try:
        yield
    finally:
        vector[:] = current


def _bind(chain: Chain, vector: Array) -> FlatChain:
    position = 0

    def take(shape: tuple[int, ...]) -> Array:
        nonlocal position
        size = int(np.prod(shape))
        view = vector[position : position + size].reshape(shape)
        position += size
        return view

    weights = [take(weight.shape) for weight in chain.weights]
    units: list[Units] = []
    for layer in chain.units:
        record: Any = layer
        parameters = {name: take(a.shape) for name, a in layer.parameters.items()}
        units.append(replace(record, **parameters))
    return FlatChain(vector, Chain(units, weights))
