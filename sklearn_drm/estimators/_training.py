"""What `GGDRMRegressor.fit` does, in plain functions on standardised arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_drm.core import chain as chains
from sklearn_drm.core.predictor import MeanFieldInference, Predictor
from sklearn_drm.core.units import Array, Gaussian
from sklearn_drm.learning.feed_forward import FeedForward, unroll
from sklearn_drm.learning.fine_tuning import pooled_score

__all__ = [
    "Views",
    "chain_predictor",
    "held_out_rows",
    "initial_chain",
    "network_predictor",
    "pooled_score",
    "refit_readout",
    "residual_variance",
    "unrolled_networks",
]

Columns = slice | Array

# Fewer held-out rows than this say nothing about when to stop.
_MIN_VALIDATION_ROWS = 10


@dataclass(frozen=True)
class Views:
    """Rows of both views, standardised, with their weights and groups."""

    x: Array
    y: Array
    weight: Array | None
    groups: Array | None = None

    def take(self, rows: Array) -> Views:
        """Some of the rows."""
        return Views(
            self.x[rows],
            self.y[rows],
            None if self.weight is None else self.weight[rows],
            None if self.groups is None else self.groups[rows],
        )


def held_out_rows(
    n_rows: int, groups: Array | None, fraction: float, rng: np.random.Generator
) -> tuple[Array, Array] | None:
    """Split rows into training and held-out ones, by whole groups where given.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    groups : ndarray of shape (n_rows,) or None
        Group labels.
    fraction : float in (0, 1)
        Share to hold out; with groups, groups are taken until it is reached.
    rng : numpy.random.Generator
        Source of the choice.

    Returns
    -------
    tuple of two ndarray of int, or None
        Training and held-out rows, in order; None where there are too few.
    """
    wanted = int(round(fraction * n_rows))
    if wanted < _MIN_VALIDATION_ROWS:
        return None
    if groups is None:
        held = np.zeros(n_rows, dtype=bool)
        held[rng.permutation(n_rows)[:wanted]] = True
    else:
        labels, codes, counts = np.unique(
            groups, return_inverse=True, return_counts=True
        )
        if len(labels) < 2:
            return None
        order = rng.permutation(len(labels))
        n_groups = 1 + int(np.searchsorted(np.cumsum(counts[order]), wanted))
        chosen = order[: min(n_groups, len(labels) - 1)]
        held = np.isin(codes.ravel(), chosen)
    return np.flatnonzero(~held), np.flatnonzero(held)


def initial_chain(
    n_x: int,
    n_y: int,
    n_hidden_units: list[int],
    dtype: Any,
    rng: np.random.Generator,
    scale: float,
) -> chains.Chain:
    """Gaussian ends with σ = 1 and small random weights."""
    ends = [Gaussian(np.zeros(n, dtype), np.zeros(n, dtype)) for n in (n_x, n_y)]
    return chains.random_chain(ends, n_hidden_units, rng, scale=scale)


def chain_predictor(
    chain: chains.Chain,
    means: tuple[Array, ...],
    variance: Array | None = None,
    **inference: Any,
) -> Predictor:
    """Predictor that runs mean field on the chain itself."""
    return Predictor(
        MeanFieldInference(chain, means, **inference),
        chain.weights[-1],
        chain.y.bias,
        np.exp(chain.y.parameters["log_variance"]) if variance is None else variance,
        variance is None,
    )


def network_predictor(network: FeedForward, variance: Array) -> Predictor:
    """Predictor that runs an unrolled network."""
    return Predictor(
        network, network.weights[-1], network.biases[-1], variance, False
    )


def unrolled_networks(
    chain: chains.Chain, means: tuple[Array, ...]
) -> tuple[FeedForward, FeedForward]:
    """The two directions of a chain as networks of their own."""
    return unroll(chain, means), unroll(chains.mirror(chain), means[::-1])


def residual_variance(
    predict: Callable[[Array], Array], x: Array, y: Array, weight: Array | None
) -> Array:
    """Weighted mean squared residual per column, at least 1e-6 of the variance."""
    squared = np.square(y - predict(x))
    variance = np.average(squared, axis=0, weights=weight)
    return np.maximum(variance, 1e-6).astype(y.dtype)


def refit_readout(
    hidden: Array,
    target: Array,
    weight: Array | None,
    columns: Array,
    read_weight: Array,
    read_bias: Array,
    penalty: float = 1.0,
) -> None:
    """Ridge read-out of some output columns from hidden means, in place.

    Columns that the fine-tuning loss did not count would otherwise keep a read-out
    that no longer fits the hidden units.
    """
    h = hidden.astype(np.float64)
    t = target[:, columns].astype(np.float64)
    h_mean, t_mean = np.average(h, axis=0, weights=weight), np.average(
        t, axis=0, weights=weight
    )
    h -= h_mean
    weighted = h if weight is None else h * weight[:, None]
    gram = weighted.T @ h
    gram[np.diag_indices_from(gram)] += penalty
    solution = np.linalg.solve(gram, weighted.T @ (t - t_mean))
    read_weight[:, columns] = solution
    read_bias[columns] = t_mean - h_mean @ solution
