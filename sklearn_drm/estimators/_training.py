"""What `GGDRMRegressor.fit` does, in plain functions on standardised arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from sklearn_drm.core import chain as chains
from sklearn_drm.core.predictor import MeanFieldInference, Predictor
from sklearn_drm.core.rows import Rows, Scaling, blocks
from sklearn_drm.core.units import Array, Gaussian
from sklearn_drm.learning.feed_forward import FeedForward, unroll

__all__ = [
    "Views",
    "chain_predictor",
    "held_out_rows",
    "initial_chain",
    "network_predictor",
    "residual_variance",
    "variance_ratio_to_held_out",
    "unrolled_networks",
    "with_read_out",
]

# Fewer held-out rows than the first are noisy to stop by: where the given share is
# fewer, more is held out, up to a quarter of the rows. Fewer than the second tell
# nothing.
_ENOUGH_HELD_OUT, _FEWEST_HELD_OUT, _LARGEST_SHARE = 50, 10, 0.25


@dataclass(frozen=True)
class Views:
    """Rows of both views, standardised, with their weights and groups."""

    x: Rows
    y: Rows
    weight: Array | None
    groups: Array | None = None

    def take(self, rows: Array) -> Views:
        """Some of the rows."""
        return Views(
            _take(self.x, rows),
            _take(self.y, rows),
            None if self.weight is None else self.weight[rows],
            None if self.groups is None else self.groups[rows],
        )


def _take(view: Rows, rows: Array) -> Rows:
    return view[rows] if isinstance(view, np.ndarray) else view.part(rows)


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
        Share to hold out, more where that is fewer than 50 rows: these, or a quarter of
        the rows. With groups, groups are taken until it is reached, but none that
        makes it more than twice as large, or else the smallest, up to a half.
    rng : numpy.random.Generator
        Source of the choice.

    Returns
    -------
    tuple of two ndarray of int, or None
        Training and held-out rows, in order; None where there are too few.

    Raises
    ------
    ValueError
        When the fraction leaves no row to learn from.
    """
    wanted, least = int(round(fraction * n_rows)), _ENOUGH_HELD_OUT
    if wanted < least:
        wanted = max(wanted, min(least, int(_LARGEST_SHARE * n_rows)))
        least = _FEWEST_HELD_OUT
    if wanted < least:
        return None
    if wanted >= n_rows:
        raise ValueError(
            f"validation_fraction={fraction!r} leaves none of {n_rows} rows to learn "
            "from; lower it."
        )
    if groups is None:
        held = np.zeros(n_rows, dtype=bool)
        held[rng.permutation(n_rows)[:wanted]] = True
    else:
        labels, codes, counts = np.unique(
            groups, return_inverse=True, return_counts=True
        )
        if len(labels) < 2:
            return None
        chosen: list[int] = []
        total = 0
        for label in rng.permutation(len(labels)):
            if total >= wanted:
                break
            if total + counts[label] <= 2 * wanted and len(chosen) < len(labels) - 1:
                chosen.append(label)
                total += counts[label]
        if total < least:
            chosen = [int(counts.argmin())]
            if not least <= counts[chosen[0]] <= n_rows // 2:
                return None
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
    **inference: Any,
) -> Predictor:
    """Predictor that runs mean field on the chain itself."""
    return Predictor(
        MeanFieldInference(chain, means, **inference),
        chain.weights[-1],
        chain.y.bias,
        np.exp(chain.y.parameters["log_variance"]),
        True,
    )


def network_predictor(network: FeedForward, variance: Array) -> Predictor:
    """Predictor that runs an unrolled network."""
    return Predictor(network, network.weights[-1], network.biases[-1], variance, False)


def unrolled_networks(
    chain: chains.Chain, means: tuple[Array, ...]
) -> tuple[FeedForward, FeedForward]:
    """The two directions of a chain as networks of their own."""
    return unroll(chain, means), unroll(chains.mirror(chain), means[::-1])


def residual_variance(
    predict: Callable[[Array], Array], x: Rows, y: Rows, weight: Array | None
) -> Array:
    """Weighted mean squared residual per column, at least 1e-6 of the variance."""
    total = np.zeros(y.shape[1])
    for block in blocks(len(x), x.shape[1] + y.shape[1]):
        squared = np.square(y[block] - predict(x[block]))
        if weight is None:
            total += squared.sum(axis=0, dtype=np.float64)
        else:
            total += weight[block].astype(np.float64) @ squared
    mass = len(x) if weight is None else weight.sum(dtype=np.float64)
    variance: Array = np.maximum(total / mass, 1e-6).astype(y.dtype)
    return variance


def variance_ratio_to_held_out(
    held: Rows, held_weight: Array | None, train: Rows, train_weight: Array | None
) -> Array:
    """Variance of each column over all rows, over that of the held-out rows.

    Multiplies the residual variance of the held-out rows. These are few, with groups
    very few, and what makes their residuals large or small by chance does the same to
    their own variance: the ratio estimator of survey sampling takes that out.

    Parameters
    ----------
    held, train : ndarray of shape (n_held, n_units) and (n_train, n_units)
        The rows of one view.
    held_weight, train_weight : ndarray or None
        Row weights.

    Returns
    -------
    ndarray of shape (n_units,)
        At least 1/4 and at most 4; 1 for columns constant in the held-out rows.

    References
    ----------
    W. Cochran, Sampling Techniques, 3rd ed., Wiley 1977, chapter 6.
    """
    parts = []
    for rows, weight in ((held, held_weight), (train, train_weight)):
        scaling = Scaling.from_rows(rows, weight)
        variance = np.where(scaling.constant, 0.0, scaling.scale**2)
        mass = len(rows) if weight is None else weight.sum(dtype=np.float64)
        parts.append((variance, mass))
    (here, few), (there, many) = parts
    overall = (few * here + many * there) / (few + many)
    ratio = np.divide(overall, here, out=np.ones_like(overall), where=here > 0)
    limited: Array = np.clip(ratio, 0.25, 4.0)
    return limited


def with_read_out(
    predictor: Predictor,
    source: Rows,
    goal: Rows,
    weight: Array | None,
    *,
    target: Array,
    constant: Array,
) -> Predictor:
    """Give the columns outside the target, and the constant ones, a read-out.

    Parameters
    ----------
    predictor : Predictor
        Fine-tuned for the target columns.
    source, goal : ndarray of shape (n, n_units)
        Training rows.
    weight : ndarray of shape (n,) or None
        Row weights.
    target : ndarray of int
        Columns that the loss counted.
    constant : ndarray of bool of shape (n_out,)
        Columns with one value.

    Returns
    -------
    Predictor
        The same hidden units; columns outside the target are read out by ridge
        regression, since theirs no longer fits the hidden units; constant columns
        are predicted as zero, their standardised value, with variance zero.
    """
    others = np.setdiff1d(np.arange(goal.shape[1]), target)
    if not others.size and not constant.any():
        return predictor
    read_weight, read_bias = predictor.weight.copy(), predictor.bias.copy()
    if others.size:
        read_weight[:, others], read_bias[others] = _ridge(
            predictor.hidden, source, goal, weight, others
        )
    read_weight[:, constant] = 0
    read_bias[constant] = 0
    variance = np.where(constant, 0, predictor.variance).astype(read_bias.dtype)
    return replace(predictor, weight=read_weight, bias=read_bias, variance=variance)


def _ridge(
    hidden: Callable[[Array], Array],
    source: Rows,
    goal: Rows,
    weight: Array | None,
    columns: Array,
    strength: float = 1.0,
) -> tuple[Array, Array]:
    """Ridge regression of some columns on hidden means, a block of rows at a time."""
    n_hidden, mass = len(hidden(source[:1])[0]), 0.0
    sums: Array = np.zeros(n_hidden + len(columns))
    products: Array = np.zeros((n_hidden, n_hidden + len(columns)))
    for block in blocks(len(source), source.shape[1] + goal.shape[1]):
        means, wanted = hidden(source[block]), goal[block][:, columns]
        share = np.ones(len(means)) if weight is None else weight[block]
        both = np.hstack([means, wanted]).astype(np.float64)
        # The regression needs no products of two wanted columns.
        weighted = both[:, :n_hidden] * share[:, None]
        mass += float(share.sum())
        sums += share @ both
        products += weighted.T @ both
    centre = sums / mass
    products -= np.outer(sums[:n_hidden], centre)
    gram = products[:, :n_hidden] + strength * np.eye(n_hidden)
    solution = cho_solve(cho_factor(gram), products[:, n_hidden:])
    return solution, centre[n_hidden:] - centre[:n_hidden] @ solution
