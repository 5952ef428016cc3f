"""Annealed importance sampling of the log-partition, forward and reverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from sklearn_drm.core.chain import Chain, hidden_field
from sklearn_drm.core.exact import enumeration_cost, log_partition
from sklearn_drm.core.gibbs import gibbs_sweep, initial_state, sample_chain
from sklearn_drm.core.units import Array, Units

__all__ = ["EXACT_COST", "LogPartition", "anneal", "estimate_log_partition"]

# Up to this many transfer-matrix entries log Z is computed exactly.
EXACT_COST = 2.0**20


@dataclass(frozen=True)
class LogPartition:
    """Log-partition of a chain.

    Parameters
    ----------
    estimate : float
        Middle of the bracket, or the exact value.
    lower, upper : float
        Forward and reverse annealing: on average below and above log Z. Both are
        estimates; each has a standard error of about ``standard_error``.
    standard_error : float
        Larger of the two runs' standard errors, from the spread of the weights; 0
        where the value is exact. It is that of the ends: where they lie apart, the
        estimate between them may be wrong by half the width of the bracket.
    """

    estimate: float
    lower: float
    upper: float
    standard_error: float


def estimate_log_partition(
    chain: Chain,
    base: Sequence[Units],
    rng: np.random.Generator,
    *,
    n_chains: int = 100,
    n_temperatures: int = 1000,
) -> LogPartition:
    """Exact log Z of a small chain, an annealed bracket of a large one.

    Parameters
    ----------
    chain : Chain
        The model.
    base : sequence of Units
        Independent layers that resemble the data; see ``Units.from_moments``.
    rng : numpy.random.Generator
        Source of randomness.
    n_chains, n_temperatures : int, default=100, 1000
        Parallel chains and intermediate distributions of each run.

    Returns
    -------
    LogPartition
        Estimate, bracket and standard error.

    References
    ----------
    R. Neal, "Annealed importance sampling", Statistics and Computing 11, 2001;
    R. Salakhutdinov, I. Murray, "On the quantitative analysis of deep belief
    networks", ICML 2008; R. Grosse, S. Ancha, D. Roy, NIPS 2016 (reverse runs).
    """
    if enumeration_cost(chain) <= EXACT_COST:
        exact = log_partition(chain)
        return LogPartition(exact, exact, exact, 0.0)
    betas = np.linspace(0, 1, n_temperatures)
    forward = anneal(chain, base, betas, n_chains, rng)
    log_base = sum(_log_normalizer(layer) for layer in base)
    lower, error_lower = _log_mean(forward)
    start = sample_chain(chain, n_chains, rng, n_sweeps=n_temperatures)
    reverse = anneal(chain, base, betas[::-1], n_chains, rng, state=start)
    upper, error_upper = _log_mean(reverse)
    # Two close runs may cross by chance.
    lower, upper = sorted((log_base + lower, log_base - upper))
    return LogPartition(
        float(0.5 * (lower + upper)),
        float(lower),
        float(upper),
        max(error_lower, error_upper),
    )


def anneal(
    chain: Chain,
    base: Sequence[Units],
    betas: Array,
    n_chains: int,
    rng: np.random.Generator,
    *,
    state: Sequence[Array] | None = None,
) -> Array:
    r"""Log importance weights of one annealing run.

    Parameters
    ----------
    chain : Chain
        The model, at β = 1.
    base : sequence of Units
        Independent layers, at β = 0.
    betas : ndarray of shape (n_temperatures,)
        From 0 to 1, or from 1 to 0 for a reverse run.
    n_chains : int
        Parallel chains.
    rng : numpy.random.Generator
        Source of randomness.
    state : sequence of ndarray, optional
        Draws from the first distribution; by default draws from the base.

    Returns
    -------
    ndarray of shape (n_chains,)
        Log weights; their exponentials average to the ratio of the partition
        functions, last over first.

    Notes
    -----
    Every intermediate distribution is a chain itself (``Units.interpolate``). The
    odd layers are kept, the even ones summed out analytically.
    """
    bridge, constant = _intermediate(chain, base, float(betas[0]))
    if state is None:
        state = initial_state(bridge, n_chains, rng)
    log_weight = np.zeros(n_chains)
    for beta in betas[1:]:
        before = _log_marginal(bridge, state) + constant
        bridge, constant = _intermediate(chain, base, float(beta))
        log_weight += _log_marginal(bridge, state) + constant - before
        state = gibbs_sweep(bridge, state, rng, first_parity=0)
    return log_weight


def _intermediate(
    chain: Chain, base: Sequence[Units], beta: float
) -> tuple[Chain, float]:
    parts = [
        layer.interpolate(start, beta)
        for layer, start in zip(chain.units, base, strict=True)
    ]
    weights = [
        beta * weight * left[1][:, None] * right[1]
        for left, weight, right in zip(
            parts[:-1], chain.weights, parts[1:], strict=True
        )
    ]
    return Chain([part[0] for part in parts], weights), sum(part[2] for part in parts)


def _log_marginal(chain: Chain, state: Sequence[Array]) -> Array:
    """Log of the unnormalised density of the odd layers."""
    total = np.zeros(len(state[0]))
    last = len(chain.units) - 1
    for index, layer in enumerate(chain.units):
        if index % 2:
            total -= layer.energy(state[index])
            continue
        below = chain.units[index - 1].coupling(state[index - 1]) if index else None
        above = (
            chain.units[index + 1].coupling(state[index + 1]) if index < last else None
        )
        total += layer.log_normalizer(hidden_field(chain, index, below, above))
    return total


def _log_normalizer(layer: Units) -> float:
    return float(layer.log_normalizer(np.zeros((1, layer.n_units)))[0])


def _log_mean(log_weight: Array) -> tuple[float, float]:
    """Log of the mean weight, and its standard error by the delta method."""
    n_chains = len(log_weight)
    weight = np.exp(log_weight - log_weight.max())
    mean = float(logsumexp(log_weight) - np.log(n_chains))
    error = float(weight.std(ddof=1) / (weight.mean() * np.sqrt(n_chains)))
    return mean, error
