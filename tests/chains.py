"""Small random chains of every unit type, for exact tests."""

from __future__ import annotations

import itertools

import numpy as np

from sklearn_drm.core.chain import Chain, random_chain
from sklearn_drm.core.units import Bernoulli, Categorical, Gaussian

# Types whose values can be listed.
DISCRETE = ("bernoulli", "categorical")
KINDS = ("gaussian", *DISCRETE)


def make_view(kind, n_units, rng, scale=1.0):
    bias = scale * rng.standard_normal(n_units)
    if kind == "gaussian":
        return Gaussian(bias, 0.3 * rng.standard_normal(n_units))
    return {"bernoulli": Bernoulli, "categorical": Categorical}[kind](bias)


def make_chain(
    x="gaussian", y="gaussian", hidden=(3, 2), seed=0, scale=1.0, n_x=2, n_y=3
):
    rng = np.random.default_rng(seed)
    chain = random_chain(
        [make_view(x, n_x, rng), make_view(y, n_y, rng)], hidden, rng, scale=scale
    )
    units = [
        chain.x,
        *(Bernoulli(0.5 * rng.standard_normal(h.n_units)) for h in chain.hidden),
        chain.y,
    ]
    return Chain(units, chain.weights)


def make_values(units, n_rows, rng):
    if isinstance(units, Gaussian):
        return rng.standard_normal((n_rows, units.n_units))
    if isinstance(units, Bernoulli):
        return (rng.random((n_rows, units.n_units)) < 0.5).astype(float)
    return np.eye(units.n_units)[rng.integers(units.n_units, size=n_rows)]


def all_values(units):
    """Every configuration of a discrete layer."""
    if isinstance(units, Categorical):
        return np.eye(units.n_units)
    return np.array(list(itertools.product([0.0, 1.0], repeat=units.n_units)))
