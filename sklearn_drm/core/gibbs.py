"""Block Gibbs sampling of a chain, with either end clamped or free."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sklearn_drm.core.chain import Chain, hidden_field
from sklearn_drm.core.units import Array

__all__ = ["gibbs_sweep", "initial_state", "sample_chain"]


def initial_state(chain: Chain, n_rows: int, rng: np.random.Generator) -> list[Array]:
    """Independent draws of every layer at zero field.

    Parameters
    ----------
    chain : Chain
        The model.
    n_rows : int
        Number of parallel chains.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    list of ndarray, each of shape (n_rows, n_l)
        One array per layer.
    """
    return [
        layer.sample(np.zeros((n_rows, layer.n_units), dtype=layer.bias.dtype), rng)
        for layer in chain.units
    ]


def gibbs_sweep(
    chain: Chain,
    state: Sequence[Array],
    rng: np.random.Generator,
    *,
    clamped: Sequence[int] = (),
    first_parity: int = 1,
    average_last: bool = False,
) -> list[Array]:
    """Resample all odd layers given the even ones, then all even layers.

    Parameters
    ----------
    chain : Chain
        The model.
    state : sequence of ndarray, each of shape (n, n_l)
        Current values, x first; not changed.
    rng : numpy.random.Generator
        Source of randomness.
    clamped : sequence of int, default=()
        Layers that keep their values (0 is x, ``len(chain.units) - 1`` is y).
    first_parity : {0, 1}, default=1
        Which block is resampled first.
    average_last : bool, default=False
        Whether the second block gets its conditional means instead of draws. Mean
        statistics of the result keep their expectation and lose variance, but no
        further sweep may start from it.

    Returns
    -------
    list of ndarray
        New values. The chain is bipartite by parity, so both half-steps are exact
        conditional draws and the sweep leaves the model distribution unchanged.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.core.chain import random_chain
    >>> from sklearn_drm.core.gibbs import gibbs_sweep, initial_state
    >>> from sklearn_drm.core.units import Bernoulli, Gaussian
    >>> rng = np.random.default_rng(0)
    >>> chain = random_chain([Gaussian(np.zeros(2), np.zeros(2)),
    ...                       Bernoulli(np.zeros(1))], [3], rng)
    >>> state = initial_state(chain, 5, rng)
    >>> new = gibbs_sweep(chain, state, rng, clamped=[0])
    >>> bool((new[0] == state[0]).all())
    True
    """
    new = list(state)
    last = len(chain.units) - 1
    for parity in (first_parity, 1 - first_parity):
        for layer in range(parity, last + 1, 2):
            if layer in clamped:
                continue
            below = chain.units[layer - 1].coupling(new[layer - 1]) if layer else None
            above = (
                chain.units[layer + 1].coupling(new[layer + 1])
                if layer < last
                else None
            )
            field = hidden_field(chain, layer, below, above)
            if average_last and parity != first_parity:
                new[layer] = chain.units[layer].mean(field)
            else:
                new[layer] = chain.units[layer].sample(field, rng)
    return new


def sample_chain(
    chain: Chain,
    n_rows: int,
    rng: np.random.Generator,
    *,
    n_sweeps: int = 200,
    x: Array | None = None,
    y: Array | None = None,
    state: Sequence[Array] | None = None,
) -> list[Array]:
    """Run Gibbs sweeps and return the final state.

    Parameters
    ----------
    chain : Chain
        The model.
    n_rows : int
        Number of parallel chains, one row each.
    rng : numpy.random.Generator
        Source of randomness.
    n_sweeps : int, default=200
        Sweeps to run.
    x, y : ndarray of shape (n_rows, n_units), optional
        Values of an end that is clamped; a free end is sampled.
    state : sequence of ndarray, optional
        Where to start; by default independent draws at zero field.

    Returns
    -------
    list of ndarray, each of shape (n_rows, n_l)
        Values of every layer.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.core.chain import random_chain
    >>> from sklearn_drm.core.gibbs import sample_chain
    >>> from sklearn_drm.core.units import Gaussian
    >>> rng = np.random.default_rng(0)
    >>> view = Gaussian(np.zeros(2), np.zeros(2))
    >>> chain = random_chain([view, view], [3], rng)
    >>> [value.shape for value in sample_chain(chain, 4, rng, n_sweeps=10)]
    [(4, 2), (4, 3), (4, 2)]
    """
    current = list(initial_state(chain, n_rows, rng) if state is None else state)
    clamped = []
    last = len(chain.units) - 1
    for layer, values in ((0, x), (last, y)):
        if values is not None:
            current[layer] = values
            clamped.append(layer)
    for _ in range(n_sweeps):
        current = gibbs_sweep(chain, current, rng, clamped=clamped)
    return current
