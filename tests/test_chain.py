"""The chain: conditionals, exact quantities, mean field, Gibbs sampling, AIS."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logsumexp

from sklearn_drm.core import ais, exact
from sklearn_drm.core.ais import anneal, estimate_log_partition
from sklearn_drm.core.chain import Chain, energy, mirror, random_chain
from sklearn_drm.core.gibbs import gibbs_sweep, sample_chain
from sklearn_drm.core.mean_field import lower_bound, mean_field
from sklearn_drm.core.units import Bernoulli, Gaussian
from tests import chains
from tests.chains import KINDS, make_chain, make_values

DEPTHS = [(4,), (3, 2), (2, 3, 2)]


def hidden_configurations(chain):
    """All joint hidden configurations, one array per layer, by brute force."""
    sizes = [layer.n_units for layer in chain.hidden]
    rows = np.array(list(itertools.product([0.0, 1.0], repeat=sum(sizes))))
    return np.split(rows, np.cumsum(sizes)[:-1], axis=1)


def brute_force_joint(chain, x, y):
    """−E of every hidden configuration for one (x, y), (2^ΣJ,)."""
    hidden = hidden_configurations(chain)
    n = len(hidden[0])
    return -energy(chain, [np.repeat(x, n, 0), *hidden, np.repeat(y, n, 0)])


@pytest.mark.parametrize("hidden", DEPTHS)
def test_hidden_conditionals_are_energy_differences(hidden):
    chain = make_chain(hidden=hidden, seed=3)
    rng = np.random.default_rng(1)
    values = [make_values(layer, 1, rng) for layer in chain.units]
    for layer in range(1, len(hidden) + 1):
        below = chain.units[layer - 1].coupling(values[layer - 1])
        above = chain.units[layer + 1].coupling(values[layer + 1])
        field = below @ chain.weights[layer - 1] + above @ chain.weights[layer].T
        mean = chain.units[layer].mean(field)
        for unit in range(hidden[layer - 1]):
            energies = []
            for state in (0.0, 1.0):
                changed = [value.copy() for value in values]
                changed[layer][0, unit] = state
                energies.append(energy(chain, changed)[0])
            np.testing.assert_allclose(
                mean[0, unit], expit(energies[0] - energies[1]), rtol=1e-12
            )


@pytest.mark.parametrize("hidden", DEPTHS)
def test_visible_conditional_is_gaussian_around_the_field(hidden):
    chain = make_chain(hidden=hidden, seed=4)
    rng = np.random.default_rng(1)
    values = [make_values(layer, 1, rng) for layer in chain.units]
    mean = chain.x.bias + values[1] @ chain.weights[0].T
    minus_energy = []
    for shift in (-1.0, 0.0, 2.0):
        values[0] = mean + shift
        minus_energy.append(-energy(chain, values)[0])
    precision = np.exp(-chain.x.log_variance).sum()
    np.testing.assert_allclose(minus_energy[0] - minus_energy[1], -0.5 * precision)
    np.testing.assert_allclose(minus_energy[2] - minus_energy[1], -2.0 * precision)


@pytest.mark.parametrize("hidden", DEPTHS)
def test_log_partition_matches_quadrature(hidden):
    chain = make_chain(hidden=hidden, seed=5, n_x=1, n_y=1)
    # The rule of rectangles is exact to rounding for sums of bells as wide as these.
    points, step = np.linspace(-15, 15, 241, retstep=True)
    states = hidden_configurations(chain)
    n = len(states[0])
    hidden_and_y = [
        *(np.repeat(state, len(points), 0) for state in states),
        np.tile(points, n)[:, None],
    ]
    of_x = [
        logsumexp(-energy(chain, [np.full((n * len(points), 1), x), *hidden_and_y]))
        for x in points
    ]
    log_z = logsumexp(of_x)
    np.testing.assert_allclose(
        exact.log_partition(chain), log_z + 2 * np.log(step), atol=1e-8
    )


@pytest.mark.parametrize("hidden", DEPTHS)
@pytest.mark.parametrize("x", KINDS)
@pytest.mark.parametrize("y", KINDS)
def test_transfer_matrices_match_brute_force(x, y, hidden):
    chain = make_chain(x, y, hidden, seed=6)
    rng = np.random.default_rng(2)
    rows, targets = make_values(chain.x, 2, rng), make_values(chain.y, 2, rng)
    states = hidden_configurations(chain)
    # log Z and moments by adding up closed-form integrals of both ends.
    first = states[0] @ chain.weights[0].T
    last = states[-1] @ chain.weights[-1]
    middle = np.zeros(len(first))
    for layer, state in zip(chain.hidden, states, strict=True):
        middle -= layer.energy(state)
    for left, weight, right in zip(
        states[:-1], chain.weights[1:-1], states[1:], strict=True
    ):
        middle += np.einsum("ni,ni->n", left @ weight, right)
    free = middle + chain.y.log_normalizer(last)
    log_z = logsumexp(free + chain.x.log_normalizer(first))
    np.testing.assert_allclose(exact.log_partition(chain), log_z, rtol=1e-12)

    pair = exact.log_likelihood(chain, rows, targets)
    alone = exact.log_likelihood(chain, rows)
    prediction = exact.predict_exact(chain, rows)
    for i in range(2):
        joint = brute_force_joint(chain, rows[i : i + 1], targets[i : i + 1])
        np.testing.assert_allclose(pair[i], logsumexp(joint) - log_z, rtol=1e-10)
        given_x = (free + chain.x.coupling(rows[i : i + 1]) @ first.T)[
            0
        ] - chain.x.energy(rows[i : i + 1])
        np.testing.assert_allclose(alone[i], logsumexp(given_x) - log_z, rtol=1e-10)
        p = np.exp(given_x - logsumexp(given_x))
        mean = p @ chain.y.mean(last)
        second = p @ (chain.y.variance(last) + chain.y.mean(last) ** 2)
        np.testing.assert_allclose(prediction.mean[i], mean, atol=1e-12)
        np.testing.assert_allclose(prediction.variance[i], second - mean**2, atol=1e-12)


@pytest.mark.parametrize("hidden", DEPTHS)
def test_mirror_keeps_the_distribution_and_swaps_predictions(hidden):
    chain = make_chain(hidden=hidden, seed=7)
    rng = np.random.default_rng(3)
    x, y = make_values(chain.x, 4, rng), make_values(chain.y, 4, rng)
    swapped = mirror(chain)
    np.testing.assert_allclose(
        exact.log_likelihood(chain, x, y),
        exact.log_likelihood(swapped, y, x),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        exact.log_likelihood(chain, None, y),
        exact.log_likelihood(swapped, y),
        atol=1e-12,
    )


@pytest.mark.parametrize("hidden", DEPTHS)
@pytest.mark.parametrize("seed", range(3))
def test_joint_bound_rises_to_at_most_the_likelihood(hidden, seed):
    chain = make_chain(hidden=hidden, seed=seed, scale=1.5)
    rng = np.random.default_rng(4)
    x, y = make_values(chain.x, 5, rng), make_values(chain.y, 5, rng)
    truth = exact.log_likelihood(chain, x, y)
    log_z = exact.log_partition(chain)
    previous = -np.inf
    for n_iter in range(1, 8):
        hidden_means = mean_field(chain, x, y, n_iter=n_iter).hidden
        bound = lower_bound(chain, hidden_means, x, y) - log_z
        assert (bound <= truth + 1e-10).all()
        assert (bound >= previous - 1e-10).all()
        previous = bound
    if len(hidden) == 1:
        np.testing.assert_allclose(previous, truth, atol=1e-10)


@pytest.mark.parametrize("y", KINDS)
@pytest.mark.parametrize("hidden", DEPTHS)
@pytest.mark.parametrize("seed", range(3))
def test_free_bounds_are_ordered(y, hidden, seed):
    chain = make_chain("gaussian", y, hidden, seed=seed, scale=1.5)
    x = make_values(chain.x, 5, np.random.default_rng(5))
    truth = exact.log_likelihood(chain, x)
    log_z = exact.log_partition(chain)
    means = mean_field(chain, x, n_iter=50).hidden
    naive = lower_bound(chain, means, x, method="naive") - log_z
    collapsed = lower_bound(chain, means, x) - log_z
    assert (naive <= collapsed + 1e-12).all()
    assert (collapsed <= truth + 1e-10).all()
    # Inference improves on its start.
    start = [np.full_like(mean, 0.5) for mean in means]
    assert (collapsed >= lower_bound(chain, start, x) - log_z - 1e-9).all()


@pytest.mark.parametrize("method", ["collapsed", "naive"])
def test_mean_field_is_a_stationary_point_of_its_bound(method):
    chain = make_chain(hidden=(3, 2), seed=8)
    x = make_values(chain.x, 1, np.random.default_rng(6))
    hidden = mean_field(chain, x, n_iter=500, method=method).hidden
    for layer, mean in enumerate(hidden):
        for unit in range(mean.shape[1]):
            values = []
            for sign in (1, -1):
                moved = [m.copy() for m in hidden]
                moved[layer][0, unit] += sign * 1e-5
                values.append(lower_bound(chain, moved, x, method=method)[0])
            assert abs(values[0] - values[1]) / 2e-5 < 1e-7


def test_mean_field_is_near_exact_for_weak_weights():
    chain = make_chain(hidden=(4, 3), seed=9, scale=0.3)
    x = make_values(chain.x, 50, np.random.default_rng(7))
    prediction = mean_field(chain, x, n_iter=100)
    truth = exact.predict_exact(chain, x)
    np.testing.assert_allclose(prediction.y_mean, truth.mean, atol=0.02)
    np.testing.assert_allclose(prediction.y_variance, truth.variance, rtol=0.05)


def test_variance_is_exact_where_no_two_hidden_units_reach_the_same_column():
    """Given x the units are then independent, whatever the size of the weights."""
    chain = make_chain(hidden=(3,), seed=9, n_y=4)
    to_y = np.array([[5.0, 0, 0, 0], [0, -3.0, 2.0, 0], [0, 0, 0, 0.5]])
    chain = Chain(chain.units, [chain.weights[0], to_y])
    x = make_values(chain.x, 50, np.random.default_rng(7))
    prediction = mean_field(chain, x, damping=0.0)
    truth = exact.predict_exact(chain, x)
    np.testing.assert_allclose(prediction.y_mean, truth.mean, rtol=1e-9)
    np.testing.assert_allclose(prediction.y_variance, truth.variance, rtol=1e-9)
    on = prediction.hidden[0]
    brought = truth.variance - np.exp(chain.y.log_variance)
    np.testing.assert_allclose(
        brought, (on * (1 - on)) @ np.square(to_y), rtol=1e-9, atol=1e-12
    )
    assert on.min() < 0.2 and on.max() > 0.8


def exact_draws(chain, n, rng):
    """Independent draws of the full chain from the enumerated p(h)."""
    states = hidden_configurations(chain)
    joint = chain.x.log_normalizer(states[0] @ chain.weights[0].T)
    joint = joint + chain.y.log_normalizer(states[-1] @ chain.weights[-1])
    for layer, state in zip(chain.hidden, states, strict=True):
        joint = joint - layer.energy(state)
    for left, weight, right in zip(
        states[:-1], chain.weights[1:-1], states[1:], strict=True
    ):
        joint = joint + np.einsum("ni,ni->n", left @ weight, right)
    p = np.exp(joint - logsumexp(joint))
    chosen = rng.choice(len(p), size=n, p=p)
    hidden = [state[chosen] for state in states]
    x = chain.x.sample(hidden[0] @ chain.weights[0].T, rng)
    y = chain.y.sample(hidden[-1] @ chain.weights[-1], rng)
    return [x, *hidden, y]


@pytest.mark.parametrize("x", KINDS)
@pytest.mark.parametrize("hidden", DEPTHS)
@pytest.mark.parametrize("parity", [0, 1])
def test_gibbs_sweeps_leave_the_target_distribution_alone(x, hidden, parity):
    chain = make_chain(x, "gaussian", hidden, seed=10)
    rng = np.random.default_rng(8)
    n = 20_000
    start = exact_draws(chain, n, rng)
    state = start
    for _ in range(3):
        state = gibbs_sweep(chain, state, rng, first_parity=parity)
    fresh = exact_draws(chain, n, rng)

    def moments(values):
        flat = np.hstack(values)
        products = np.einsum("ni,nj->nij", flat, flat)[
            :, *np.triu_indices(flat.shape[1])
        ]
        return np.hstack([flat, products])

    a, b = moments(state), moments(fresh)
    error = np.sqrt((a.var(axis=0) + b.var(axis=0)) / n) + 1e-12
    assert np.abs((a.mean(axis=0) - b.mean(axis=0)) / error).max() < 4.5


@pytest.mark.parametrize("hidden", DEPTHS)
def test_clamped_sampling_reaches_the_exact_conditional(hidden):
    chain = make_chain(hidden=hidden, seed=11)
    rng = np.random.default_rng(9)
    x = make_values(chain.x, 1, rng)
    truth = exact.predict_exact(chain, x)
    n = 20_000
    state = sample_chain(chain, n, rng, n_sweeps=30, x=np.repeat(x, n, 0))
    assert (state[0] == x).all()
    error = np.sqrt(truth.variance[0] / n)
    assert np.abs((state[-1].mean(axis=0) - truth.mean[0]) / error).max() < 4
    np.testing.assert_allclose(state[-1].var(axis=0), truth.variance[0], rtol=0.05)


@pytest.mark.parametrize("hidden", DEPTHS)
@pytest.mark.parametrize("x", KINDS)
@pytest.mark.parametrize("y", KINDS)
def test_annealing_agrees_with_enumeration(x, y, hidden):
    chain = make_chain(x, y, hidden, seed=12)
    base = [
        # Away from the model's own biases, so that every term of the path counts.
        layer.from_moments(
            0.7 * layer.mean(np.zeros((1, layer.n_units)))[0] + 0.1,
            np.full(layer.n_units, 1.5),
        )
        for layer in chain.units
    ]
    rng = np.random.default_rng(10)
    log_base = sum(b.log_normalizer(np.zeros((1, b.n_units)))[0] for b in base)
    truth = exact.log_partition(chain)
    betas = np.linspace(0, 1, 100)
    forward = np.exp(anneal(chain, base, betas, 500, rng) + log_base - truth)
    start = exact_draws(chain, 500, rng)
    reverse = np.exp(
        anneal(chain, base, betas[::-1], 500, rng, state=start) - log_base + truth
    )
    for weight in (forward, reverse):
        error = weight.std(ddof=1) / np.sqrt(len(weight))
        assert abs(weight.mean() - 1) < 4 * error


@pytest.mark.parametrize("hidden", [(4,), (4, 4)])
@pytest.mark.parametrize("n_temperatures", [4, 10])
def test_weights_of_few_temperatures_are_unbiased(hidden, n_temperatures):
    chain = make_chain(hidden=hidden, seed=12, scale=2.0)
    base = [
        layer.from_moments(
            layer.mean(np.zeros((1, layer.n_units)))[0], np.full(layer.n_units, 1.5)
        )
        for layer in chain.units
    ]
    log_base = sum(b.log_normalizer(np.zeros((1, b.n_units)))[0] for b in base)
    betas, rng = np.linspace(0, 1, n_temperatures), np.random.default_rng(10)
    log_weight = anneal(chain, base, betas, 20_000, rng)
    ratio = np.exp(log_weight + log_base - exact.log_partition(chain))
    error = ratio.std(ddof=1) / np.sqrt(len(ratio))
    assert error < 0.05
    assert abs(ratio.mean() - 1) < 4 * error


def test_bracket_of_a_large_chain_is_narrow_and_ordered():
    rng = np.random.default_rng(11)
    views = [Gaussian(np.zeros(5), np.zeros(5)), Gaussian(np.zeros(4), np.zeros(4))]
    large = random_chain(views, [30, 30], rng, scale=0.7)
    base = [
        layer.from_moments(
            layer.mean(np.zeros((1, layer.n_units)))[0], np.ones(layer.n_units)
        )
        for layer in large.units
    ]
    result = estimate_log_partition(large, base, rng, n_chains=100, n_temperatures=500)
    assert result.lower <= result.estimate <= result.upper
    assert result.upper - result.lower < 1.0
    assert 0 < result.standard_error < 0.1


@given(st.integers(0, 2**32 - 1), st.sampled_from(DEPTHS))
def test_density_sums_to_one_over_discrete_views(seed, hidden):
    chain = make_chain("bernoulli", "categorical", hidden, seed=seed)
    rows, targets = chains.all_values(chain.x), chains.all_values(chain.y)
    x = np.repeat(rows, len(targets), axis=0)
    y = np.tile(targets, (len(rows), 1))
    total = np.exp(exact.log_likelihood(chain, x, y)).sum()
    np.testing.assert_allclose(total, 1, rtol=1e-10)
    np.testing.assert_allclose(
        np.exp(exact.log_likelihood(chain, rows)).sum(), 1, rtol=1e-10
    )


def test_misshapen_chains_are_refused():
    layer = Bernoulli(np.zeros(2))
    with pytest.raises(ValueError, match="at least one hidden layer"):
        Chain([layer, layer], [np.zeros((2, 2))])
    with pytest.raises(ValueError, match="do not fit"):
        Chain([layer] * 3, [np.zeros((2, 2)), np.zeros((3, 2))])


@pytest.mark.parametrize("hidden", [[5], [3, 4]])
def test_densities_do_not_depend_on_the_block_of_rows(hidden, monkeypatch):
    rng = np.random.default_rng(0)
    chain = make_chain("gaussian", "bernoulli", hidden)
    x, y = (make_values(layer, 7, rng) for layer in (chain.x, chain.y))
    views = ((x, y), (x, None), (None, y))
    whole = [exact.log_likelihood(chain, *pair) for pair in views]
    monkeypatch.setattr(exact, "_CHUNK", 2**6)
    for pair, expected in zip(views, whole, strict=True):
        found = exact.log_likelihood(chain, *pair)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_standard_error_of_a_log_mean_is_its_spread():
    rng = np.random.default_rng(0)
    runs = [ais._log_mean(rng.normal(scale=0.3, size=400)) for _ in range(400)]
    means, errors = np.array(runs).T
    assert np.mean(means) == pytest.approx(0.3**2 / 2, abs=0.005)
    assert np.std(means) == pytest.approx(np.mean(errors), rel=0.15)


@pytest.mark.parametrize("scale", [0.5, 20.0, 400.0])
@pytest.mark.parametrize(("dtype", "rtol"), [("f8", 1e-12), ("f4", 3e-6)])
def test_messages_between_layers_keep_what_a_product_would_lose(scale, dtype, rtol):
    """With large weights most states have no weight beside the others of their row."""
    rng = np.random.default_rng(0)
    messages = (scale * rng.normal(size=(6, 8))).astype(dtype)
    transfer = (scale * rng.normal(size=(8, 5))).astype(dtype)
    # State 3 is ruled out by all rows, and is what column 2 needs.
    messages[:, 3] -= 50 * scale
    transfer[3, 2] += 45 * scale
    exponents = messages[:, :, None].astype(float) + transfer
    found = exact._log_product(messages, transfer)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, logsumexp(exponents, axis=1), rtol=rtol)


def test_densities_need_rows():
    chain = make_chain("gaussian", "gaussian", [2])
    rng = np.random.default_rng(0)
    x, y = (make_values(layer, 3, rng) for layer in (chain.x, chain.y))
    for views in ((None, None), (x, y[:2])):
        with pytest.raises(ValueError, match="x or y must be given"):
            exact.log_likelihood(chain, *views)


@pytest.mark.parametrize("given", ["x", "y"])
def test_a_view_is_summed_out_once_whatever_the_rows(given, monkeypatch):
    rng = np.random.default_rng(0)
    chain = make_chain("bernoulli", "bernoulli", [5])
    rows = {given: make_values(getattr(chain, given), 40, rng)}
    integrated, log_normalizer = [], Bernoulli.log_normalizer

    def counted(layer, field):
        integrated.append(len(field))
        return log_normalizer(layer, field)

    monkeypatch.setattr(Bernoulli, "log_normalizer", counted)
    monkeypatch.setattr(exact, "_CHUNK", 2**6)
    exact.log_likelihood(chain, **rows)
    # Either view once: what serves log Z serves log p as well.
    assert sum(integrated) == 2 * 2**5
