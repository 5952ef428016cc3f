"""Learning: gradients by finite differences, optimiser, phases."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from sklearn_drm.core import exact
from sklearn_drm.core.chain import energy, mirror
from sklearn_drm.core.mean_field import mean_field
from sklearn_drm.core.units import Gaussian
from sklearn_drm.learning.contrastive_divergence import (
    SIGMA_RANGE,
    ContrastiveDivergence,
    DivergenceError,
    batches,
    guard_log_variance,
    pretrain,
)
from sklearn_drm.learning.feed_forward import (
    FeedForward,
    dropout_factor,
    forward,
    gradient,
    unroll,
)
from sklearn_drm.learning.fine_tuning import (
    Schedule,
    descend,
    pooled_score,
    tune_joint,
    tune_network,
    tuning_optimizer,
)
from sklearn_drm.learning.gradient import (
    add_statistics,
    centre_gradient,
    set_contrast,
    uncentre,
)
from sklearn_drm.learning.multi_prediction import add_prediction_gradient
from sklearn_drm.learning.optimizer import (
    Adafactor,
    GradientAscent,
    ParameterAverage,
)
from sklearn_drm.learning.parameters import flatten_chain
from tests.chains import KINDS, make_chain, make_values

DEPTHS = [(4,), (3, 2), (2, 3, 2)]
STEP = 1e-5


def finite_differences(function, vector):
    slopes = np.empty_like(vector)
    for index in range(len(vector)):
        values = []
        for sign in (1, -1):
            moved = vector.copy()
            moved[index] += sign * STEP
            values.append(function(moved))
        slopes[index] = (values[0] - values[1]) / (2 * STEP)
    return slopes


def with_vector(flat, vector):
    copy = flatten_chain(flat.chain)
    copy.vector[:] = vector
    return copy


def exact_gradient(flat, x, y):
    """Data minus model statistics with both expectations enumerated."""
    chain = flat.chain
    out = flat.zeros_like()
    sizes = [layer.n_units for layer in chain.hidden]
    rows = np.array(list(itertools.product([0.0, 1.0], repeat=sum(sizes))))
    hidden = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
    n = len(rows)
    joint = -energy(chain, [np.repeat(x, n, 0), *hidden, np.repeat(y, n, 0)])
    posterior = np.exp(joint - logsumexp(joint))
    add_statistics(
        chain, [np.repeat(x, n, 0), *hidden, np.repeat(y, n, 0)], posterior, out.chain
    )
    first, last = hidden[0] @ chain.weights[0].T, hidden[-1] @ chain.weights[-1]
    prior = chain.x.log_normalizer(first) + chain.y.log_normalizer(last)
    for layer, state in zip(chain.hidden, hidden, strict=True):
        prior = prior - layer.energy(state)
    for left, weight, right in zip(
        hidden[:-1], chain.weights[1:-1], hidden[1:], strict=True
    ):
        prior = prior + np.einsum("ni,ni->n", left @ weight, right)
    prior = np.exp(prior - logsumexp(prior))
    ends = (0, len(chain.units) - 1)
    add_statistics(
        chain,
        [chain.x.mean(first), *hidden, chain.y.mean(last)],
        -prior,
        out.chain,
        expected=ends,
    )
    return out


@pytest.mark.parametrize("x_kind", KINDS)
@pytest.mark.parametrize("y_kind", KINDS)
@pytest.mark.parametrize("hidden", DEPTHS)
def test_likelihood_gradient(x_kind, y_kind, hidden):
    flat = flatten_chain(make_chain(x_kind, y_kind, hidden, seed=1))
    rng = np.random.default_rng(0)
    x, y = (make_values(layer, 1, rng) for layer in (flat.chain.x, flat.chain.y))

    def log_p(vector):
        return exact.log_likelihood(with_vector(flat, vector).chain, x, y)[0]

    numeric = finite_differences(log_p, flat.vector)
    np.testing.assert_allclose(exact_gradient(flat, x, y).vector, numeric, atol=1e-7)


@pytest.mark.parametrize("x_kind", KINDS)
@pytest.mark.parametrize("y_kind", KINDS)
@pytest.mark.parametrize("expected", [(), (1, 3)])
def test_contrast_is_the_difference_of_two_statistics(x_kind, y_kind, expected):
    flat = flatten_chain(make_chain(x_kind, y_kind, (3, 2), seed=1))
    rng = np.random.default_rng(2)
    data, model = (
        [
            make_values(flat.chain.x, 5, rng),
            *(rng.random((5, size)) for size in (3, 2)),
            make_values(flat.chain.y, 5, rng),
        ]
        for _ in range(2)
    )
    weight = rng.random(5)
    offsets = [
        np.zeros(layer.n_units) if kind == "gaussian" else rng.random(layer.n_units)
        for layer, kind in zip(flat.chain.units, (x_kind, "", "", y_kind), strict=True)
    ]
    apart, at_once = flat.zeros_like(), flat.zeros_like()
    at_once.vector[:] = 7
    add_statistics(flat.chain, data, weight, apart.chain)
    add_statistics(flat.chain, model, -weight, apart.chain, expected=expected)
    centre_gradient(apart.chain, offsets)
    set_contrast(
        flat.chain, data, model, weight, at_once.chain, offsets, expected=expected
    )
    np.testing.assert_allclose(at_once.vector, apart.vector, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("hidden", DEPTHS)
def test_centred_gradient_is_the_gradient_in_centred_coordinates(hidden):
    flat = flatten_chain(make_chain("gaussian", "bernoulli", hidden, seed=2))
    rng = np.random.default_rng(1)
    x, y = (make_values(layer, 1, rng) for layer in (flat.chain.x, flat.chain.y))
    offsets = [rng.random(layer.n_units) for layer in flat.chain.units]
    offsets[0][:] = 0
    centred = exact_gradient(flat, x, y)
    centre_gradient(centred.chain, offsets)

    def log_p(increment):
        chain = with_vector(flat, flat.vector + increment).chain
        uncentre(chain, increment, offsets)
        return exact.log_likelihood(chain, x, y)[0]

    numeric = finite_differences(log_p, np.zeros_like(flat.vector))
    np.testing.assert_allclose(centred.vector, numeric, atol=1e-7)


@pytest.mark.parametrize("n_iter", [1, 3])
@pytest.mark.parametrize("damping", [0.0, 0.5])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("target", [slice(None), slice(1, 2)])
@pytest.mark.parametrize("hidden", DEPTHS)
@pytest.mark.parametrize("reverse", [False, True])
def test_multi_prediction_gradient(n_iter, damping, dropout, target, hidden, reverse):
    flat = flatten_chain(make_chain(hidden=hidden, seed=3))
    rng = np.random.default_rng(2)
    x, y, weight = rng.normal(size=(5, 2)), rng.normal(size=(5, 3)), rng.random(5)
    initial = [rng.random(size) for size in hidden]

    def run(vector):
        model, out = with_vector(flat, vector), flat.zeros_like()
        loss = add_prediction_gradient(
            mirror(model.chain) if reverse else model.chain,
            y if reverse else x,
            x if reverse else y,
            weight,
            mirror(out.chain) if reverse else out.chain,
            initial=initial[::-1] if reverse else initial,
            n_iter=n_iter,
            damping=damping,
            target=target,
            dropout=dropout,
            input_dropout=dropout,
            rng=np.random.default_rng(3),
        )
        return loss, out.vector

    numeric = finite_differences(lambda vector: run(vector)[0], flat.vector)
    np.testing.assert_allclose(-run(flat.vector)[1], numeric, atol=1e-6)


def test_multi_prediction_loss_is_that_of_the_inference():
    chain = make_chain(hidden=(3, 2), seed=4)
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(5, 2)), rng.normal(size=(5, 3))
    initial = [rng.random(3), rng.random(2)]
    out = flatten_chain(chain).zeros_like().chain
    loss = add_prediction_gradient(
        chain, x, y, np.full(5, 0.2), out, initial=initial, n_iter=4, damping=0.3
    )
    mean = mean_field(chain, x, n_iter=4, damping=0.3, initial=initial).y_mean
    z = chain.y.log_variance
    surprise = (y - mean) ** 2 * np.exp(-z) + z + np.log(2 * np.pi)
    expected = 0.5 * surprise.sum(axis=1).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-12)


@pytest.mark.parametrize("hidden", DEPTHS)
def test_unrolled_network_is_one_sweep_of_mean_field(hidden):
    chain = make_chain(hidden=hidden, seed=5)
    rng = np.random.default_rng(5)
    x = rng.normal(size=(6, 2))
    means = [rng.random(size) for size in hidden]
    result = mean_field(chain, x, n_iter=1, damping=0.0, initial=means)
    output, last = forward(unroll(chain, means), x)
    np.testing.assert_allclose(last, result.hidden[-1], rtol=1e-12)
    np.testing.assert_allclose(output, result.y_mean, rtol=1e-12)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("weighted", [False, True])
def test_network_gradient(dropout, weighted):
    rng = np.random.default_rng(6)
    network = FeedForward.bind(
        rng.normal(size=3 * 4 + 4 + 4 * 5 + 5 + 5 * 2 + 2), [3, 4, 5, 2]
    )
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
    weight = rng.dirichlet(np.ones(7)) if weighted else None
    out = network.zeros_like()

    def loss(vector):
        moved = FeedForward.bind(vector, network.sizes)
        return gradient(
            moved,
            x,
            y,
            weight,
            out,
            dropout=dropout,
            input_dropout=dropout,
            rng=np.random.default_rng(7),
        )

    numeric = finite_differences(loss, network.vector)
    loss(network.vector)
    np.testing.assert_allclose(out.vector, -numeric, atol=1e-8)


def test_dropout_keeps_the_mean_of_the_activations():
    rng = np.random.default_rng(8)
    network = FeedForward.bind(np.zeros(1 * 2000 + 2000 + 2000 + 1), [1, 2000, 1])
    network.weights[1][:] = 1 / 2000
    x, y = np.ones((1, 1)), np.zeros((1, 1))
    loss = gradient(network, x, y, None, network.zeros_like(), dropout=0.5, rng=rng)
    # Without dropout the output is 0.5 and the loss 0.125.
    assert abs(np.sqrt(2 * loss) - 0.5) < 4 * 0.5 / np.sqrt(2000)


@pytest.mark.parametrize(
    "share", [1e-4, 0.05, 0.1, 0.15, 0.2, 0.5, 0.97, 0.999, 1 - 1e-9]
)
def test_dropout_drops_its_share_and_keeps_the_mean(share):
    factor = dropout_factor((400, 1000), float, share, np.random.default_rng(8))
    low, high = np.unique(factor)
    assert low == 0
    kept = 1 / high  # probability that the factor stands for
    # Sixteen bits hold no share above 1 - 2**-16.
    wanted = min(share, 1 - 2.0**-16)
    assert abs(kept - (1 - wanted)) <= 0.02 * min(wanted, 1 - wanted) + 2.0**-17
    spread = np.sqrt(kept * (1 - kept) / factor.size)
    assert abs((factor > 0).mean() - kept) < 5 * spread


def test_step_size_rises_and_falls():
    schedule = Schedule(10, 5, 0.2)
    progress = np.linspace(0, 1, 201)
    sizes = np.array([schedule.step_size(p) for p in progress])
    assert np.isclose(sizes[0], 0.02) and np.isclose(sizes[-1], 0.01)
    assert sizes.argmax() == 20 and np.isclose(sizes.max(), 0.2)
    assert (np.diff(sizes[:21]) > 0).all() and (np.diff(sizes[20:]) < 0).all()
    # Halfway down the cosine lies halfway between its ends.
    assert np.isclose(schedule.step_size(0.55), (0.2 + 0.01) / 2)
    halves = Schedule(5, 5, 0.2, end=0.5), Schedule(5, 5, 0.2, begin=0.5)
    for part, half in enumerate(halves):
        assert np.allclose(
            [half.step_size(p) for p in progress],
            [schedule.step_size(0.5 * (part + p)) for p in progress],
        )
    constant = Schedule(10, 5, 0.2, anneal=False)
    assert {constant.step_size(p) for p in progress} == {0.2}


@pytest.mark.parametrize("stride", [1, 4])
def test_average_of_the_parameters(stride):
    rng = np.random.default_rng(12)
    start = rng.normal(size=3)
    average, expected = ParameterAverage(start, 0.99, stride=stride), start
    for n in range(1, 140):
        vector = rng.normal(size=3)
        scratch = None if n % 3 else np.empty(3)
        average.follow(vector, scratch=scratch)
        keep = min(0.99, n / (n + 9))
        if n > 16 and stride > 1:
            if n % stride == 0:
                expected = keep**stride * expected + (1 - keep**stride) * vector
        else:
            expected = keep * expected + (1 - keep) * vector
        np.testing.assert_allclose(average.value, expected, rtol=1e-12)


def plain_adafactor(gradients, rates, shapes, stride=1, beta_2=0.98):
    """Steps by the definition, with sums over all gradients so far."""
    n_rest = len(gradients[0]) - sum(n * m for n, m in shapes)
    ends = np.cumsum([n * m for n, m in shapes])
    kept, current, first, steps = [], None, 0.0, []

    def roots(weighted):
        weights = np.array([weight for weight, _ in weighted])
        squares = np.average([g**2 for _, g in weighted], axis=0, weights=weights)
        parts = []
        for square, (n, m) in zip(np.split(squares, ends), shapes, strict=False):
            matrix = square.reshape(n, m)
            rows, columns = matrix.sum(axis=1), matrix.sum(axis=0)
            total = matrix.sum()
            rows = rows + 1e-8 * total / n
            columns = columns + 1e-8 * total / m
            parts.append(np.sqrt(np.outer(rows, columns) / total).ravel())
        singles = squares[len(squares) - n_rest :]
        return np.concatenate([*parts, np.sqrt(singles) + 1e-8])

    for step, (slope, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        if step == 1:
            kept, then = [(1.0, slope)], 1
            current, used = roots(kept), rate
        elif not 0.5 < rate / used < 2:
            used = rate
        seen = slope / current
        n = len(seen) - n_rest
        seen[n:] = np.clip(seen[n:], -5, 5)
        size = np.sqrt(np.mean(seen**2))
        seen *= min(1.0, 1.2 / size)
        first = 0.9 * first + 0.1 * used * seen
        if step > 1 and (step <= 16 or step % stride == 0):
            kept = [(w * beta_2 ** (step - then), g) for w, g in kept]
            kept.append((1.0, (10 if size > 12 else 1) * seen * current))
            current, then, used = roots(kept), step, rate
        steps.append(first / (1 - 0.9**step))
    return steps


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("shapes", [[], [(3, 4)], [(3, 4), (4, 1), (1, 6)]])
def test_adafactor_follows_its_definition(shapes, stride):
    rng = np.random.default_rng(9)
    size = sum(n * m for n, m in shapes) + 5
    scales = np.exp(rng.normal(size=size))
    gradients = [scales * rng.normal(size=size) for _ in range(60)]
    gradients[20] *= 100
    gradients[41] *= 1e-3
    # Two leaps of the rate between strides, one to either side.
    rates = np.r_[np.linspace(0.01, 0.02, 45), np.full(9, 0.05), np.full(6, 0.02)]
    expected = plain_adafactor(gradients, rates, shapes, stride)
    optimizer = Adafactor(shapes, beta_2=0.98, stride=stride)
    for slope, rate, step in zip(gradients, rates, expected, strict=True):
        # The factor of late steps is left out.
        np.testing.assert_allclose(
            optimizer.step(slope.copy(), rate), step, rtol=1.1e-3, atol=1e-9
        )


def test_adafactor_is_adam_where_second_moments_have_rank_one():
    """Gradients of constant size: Adam's roots are that size."""
    rng = np.random.default_rng(1)
    sizes = np.outer(10.0 ** rng.uniform(-1, 1, 5), 10.0 ** rng.uniform(-1, 1, 4))
    optimizer, first = Adafactor([(5, 4)], beta_2=0.98), np.zeros(20)
    for step in range(1, 60):
        signs = rng.choice([-1.0, 1.0], 20)
        first = 0.9 * first + 0.1 * signs
        expected = 0.01 * first / (1 - 0.9**step)
        taken = optimizer.step(sizes.ravel() * signs, 0.01)
        np.testing.assert_allclose(taken, expected, rtol=1.1e-3)


@pytest.mark.parametrize("stride", [1, 4])
def test_no_gradient_moves_parameters_far(stride):
    rng = np.random.default_rng(3)
    optimizer = Adafactor([(6, 5), (5, 4)], beta_2=0.98, stride=stride)
    largest, single = 0.0, 0.0
    for _ in range(2000):
        size = 10.0 ** rng.uniform(-6, 6)
        # Some parameters have no gradient for long.
        there = rng.random(60) < 10.0 ** -rng.integers(4)
        step = optimizer.step(size * there * rng.standard_normal(60), 1.0)
        largest = max(largest, float(np.sqrt(np.mean(step**2))))
        single = max(single, float(np.abs(step[50:]).max()))
    assert 0.3 < largest <= 1.2 * (1 + 1e-12), largest
    assert 0.5 < single <= 5 * (1 + 1e-12), single


@given(st.integers(-100, 100), st.sampled_from(["f4", "f8"]))
def test_steps_do_not_depend_on_the_unit_of_the_gradient(exponent, dtype):
    if dtype == "f8":
        exponent *= 4
    rng = np.random.default_rng(5)
    plain, scaled = (Adafactor([(4, 3), (3, 2)], stride=4) for _ in range(2))
    for _ in range(40):
        gradient = rng.standard_normal(18).astype(dtype)
        expected = plain.step(gradient.copy(), 0.01).copy()
        taken = scaled.step(np.ldexp(gradient, exponent).astype(dtype), 0.01)
        assert taken.dtype == dtype
        np.testing.assert_allclose(taken, expected, rtol=2e-5, atol=1e-9)


@pytest.mark.parametrize("stride", [1, 4])
def test_steps_are_of_one_size_again_after_a_change_of_scale(stride):
    rng = np.random.default_rng(2)
    optimizer = Adafactor([(40, 50)], beta_2=0.98, stride=stride)
    usual = []
    for n in range(1200):
        scale = 1.0 if n < 300 else 3.0 if n < 700 else 1.0
        step = optimizer.step(scale * rng.standard_normal(2000), 1e-3)
        usual.append(float(np.sqrt(np.mean(step**2))))
    before, up, down = usual[200:300], usual[600:700], usual[1100:]
    assert np.isclose(np.mean(up), np.mean(before), rtol=0.05)
    assert np.isclose(np.mean(down), np.mean(before), rtol=0.05)


def test_a_matrix_without_gradients_stays_and_wakes_up_gently():
    optimizer = Adafactor([(3, 2), (2, 2)], beta_2=0.98, stride=4)
    rng = np.random.default_rng(0)
    for n in range(400):
        gradient = rng.standard_normal(10)
        # All of the second matrix, and a row of the first.
        gradient[6:] *= n >= 50
        gradient[2:4] *= n >= 70
        step = optimizer.step(gradient, 0.01)
        assert np.isfinite(step).all()
        if n < 50:
            assert (step[6:] == 0).all()
        else:
            assert np.abs(step[6:]).max() < 0.1
    assert np.abs(step[6:]).max() > 1e-3 and np.abs(step[2:4]).max() > 1e-3


@pytest.mark.parametrize("n_quiet", [5000, 20_000])
@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_single_precision_survives_a_long_rest(n_quiet, unit):
    """As when a stream of rows brings one class after the other."""
    rng = np.random.default_rng(0)
    optimizer = Adafactor([(5, 4)], beta_2=0.98, stride=4)
    for n in range(n_quiet + 700):
        awake = n < 100 or n >= n_quiet + 100
        gradient = (awake * unit * rng.standard_normal(23)).astype(np.float32)
        step = optimizer.step(gradient, 0.01)
        assert np.abs(step).max() < 0.05
    assert np.abs(step[:20]).max() > 1e-3 and np.abs(step[20:]).max() > 1e-3


@pytest.mark.parametrize("optimizer", [Adafactor, GradientAscent])
@pytest.mark.parametrize("n_before", [0, 1, 30])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, -1])
def test_gradients_that_are_not_finite_are_refused(optimizer, n_before, wrong, place):
    steps = Adafactor([(2, 2)]) if optimizer is Adafactor else optimizer()
    for _ in range(n_before):
        steps.step(np.ones(6), 0.1)
    gradient = np.ones(6)
    gradient[place] = wrong
    with pytest.raises(DivergenceError, match="not finite"):
        steps.step(gradient, 0.1)


def test_tuning_keeps_parameters_in_double_precision():
    vector = np.ones(2)
    schedule = Schedule(1, 1, 1e-12, anneal=False)
    rng = np.random.default_rng(0)
    descend(
        vector, lambda rows, mass: (0.0, np.ones(2)), 5, None, schedule, rng,
        tuning_optimizer([]),
    )  # fmt: skip
    np.testing.assert_allclose(vector - 1, 5e-12, rtol=1e-3)


@given(st.integers(1, 300), st.integers(1, 120), st.integers(0, 2**32 - 1))
def test_batches_are_a_partition(n_rows, size, seed):
    parts = batches(n_rows, size, np.random.default_rng(seed))
    assert sorted(np.concatenate(parts)) == list(range(n_rows))
    assert max(map(len, parts)) <= size


def test_sigma_stays_in_range():
    flat = flatten_chain(make_chain(hidden=(2,)))
    flat.chain.x.log_variance[:] = [-50, 50]
    guard_log_variance(flat.chain)
    np.testing.assert_allclose(np.exp(0.5 * flat.chain.x.log_variance), SIGMA_RANGE)


def standardised(rows):
    return (rows - rows.mean(axis=0)) / rows.std(axis=0)


def mixture(rng, n=3000):
    """Rows of a mixture over three coins, which one hidden layer can represent."""
    coins = (rng.random((n, 3)) < 0.5).astype(float)
    to_x = np.array([[2.0, 0.0], [0.0, 2.0], [1.0, -1.0]])
    to_y = np.array([[1.0, 0.0, 1.0], [-1.0, 2.0, 0.0], [0.0, 1.0, -2.0]])
    x = coins @ to_x + 0.3 * rng.normal(size=(n, 2))
    y = coins @ to_y + 0.3 * rng.normal(size=(n, 3))
    return standardised(x), standardised(y)


def test_contrastive_divergence_learns_the_distribution():
    x, y = mixture(np.random.default_rng(10))
    covariance = np.corrcoef(np.hstack([x, y]).T)
    full = np.linalg.slogdet(covariance)[1]
    constant = -0.5 * 5 * (np.log(2 * np.pi) + 1)
    reached = []
    # One run ends a tenth of a nat above or below another.
    for seed in range(6):
        flat = flatten_chain(make_chain(hidden=(4,), seed=7, scale=0.3))
        flat.vector[sum(weight.size for weight in flat.chain.weights) :] = 0
        trainer = ContrastiveDivergence(flat, n_gibbs_steps=5)
        pretrain(
            trainer,
            x,
            y,
            np.ones(len(x)),
            n_epochs=60,
            batch_size=100,
            learning_rate=0.01,
            rng=np.random.default_rng(seed),
        )
        reached.append(exact.log_likelihood(flat.chain, x, y).mean())
    # The best full-covariance Gaussian is the thing to beat.
    assert np.mean(reached) > constant - 0.5 * full + 0.2


def test_divergence_is_raised_not_returned():
    flat = flatten_chain(make_chain(hidden=(3,)))
    trainer = ContrastiveDivergence(flat)
    flat.vector[0] = np.nan
    x, y = np.ones((4, 2)), np.ones((4, 3))
    with pytest.raises(DivergenceError, match="pretrain_learning_rate"):
        trainer.update(x, y, np.full(4, 0.25), 0.1, np.random.default_rng(0))

    def broken(rows, mass):
        return np.nan, np.zeros(2)

    with pytest.raises(DivergenceError, match="learning_rate"):
        descend(
            np.zeros(2), broken, 10, None, Schedule(1, 5, 0.1),
            np.random.default_rng(0), GradientAscent(),
        )  # fmt: skip


def test_descent_returns_the_best_parameters_seen():
    vector = np.zeros(1)
    scores = iter([0.1, 0.9, 0.5, 0.4, 0.3])
    seen = []

    def score():
        seen.append(vector.copy())
        return next(scores)

    def gradient_of(rows, mass):
        return 1.0, np.ones(1)

    schedule = Schedule(50, 10, 0.1, n_iter_no_change=3)
    history = descend(
        vector, gradient_of, 10, None, schedule, np.random.default_rng(0),
        tuning_optimizer([]), score=score,
    )  # fmt: skip
    assert len(history.scores) == 5
    assert vector == seen[1]


def regression(rng, n=400):
    x = rng.normal(size=(n, 3))
    y = standardised(np.column_stack([np.sin(2 * x[:, 0]), x[:, 1] * x[:, 2]]))
    return standardised(x), y


def test_tuning_one_direction_reaches_a_known_function():
    rng = np.random.default_rng(11)
    x, y = regression(rng)
    chain = make_chain(hidden=(40, 40), n_x=3, n_y=2, seed=8)
    network = unroll(chain, [np.full(40, 0.5)] * 2)
    tune_network(network, x, y, None, Schedule(300, 50, 0.01), rng)
    assert pooled_score(y, forward(network, x)[0]) > 0.95


def test_weights_count_rows():
    """Integer weights have the gradient of repeated rows."""
    rng = np.random.default_rng(12)
    network = FeedForward.bind(rng.normal(size=3 * 4 + 4 + 4 * 2 + 2), [3, 4, 2])
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    repeats = np.array([1, 2, 0, 3, 1, 1])
    a, b = network.zeros_like(), network.zeros_like()
    gradient(network, x, y, repeats / repeats.sum(), a)
    gradient(network, x.repeat(repeats, axis=0), y.repeat(repeats, axis=0), None, b)
    np.testing.assert_allclose(a.vector, b.vector, atol=1e-12)


def test_one_weight_set_learns_both_directions():
    rng = np.random.default_rng(13)
    t = rng.normal(size=(600, 2))
    x = standardised(np.column_stack([t[:, 0], np.tanh(t[:, 1]), t.sum(axis=1)]))
    y = standardised(np.column_stack([t[:, 1], t[:, 0] - t[:, 1]]))
    units = [Gaussian(np.zeros(n), np.zeros(n)) for n in (3, 2)]
    chain = make_chain(hidden=(30, 30), n_x=3, n_y=2, seed=9)
    flat = flatten_chain(
        type(chain)([units[0], *chain.hidden, units[1]], chain.weights)
    )
    initial = [np.full(30, 0.5)] * 2
    tune_joint(
        flat, x, y, None, Schedule(150, 50, 0.005), rng, initial=initial, n_iter=1
    )
    for model, source, goal in ((flat.chain, x, y), (mirror(flat.chain), y, x)):
        predicted = mean_field(
            model, source, n_iter=1, damping=0.0, initial=initial
        ).y_mean
        assert pooled_score(goal, predicted) > 0.9


def normal_surprise(mean, units, goal):
    """−log p of rows around their mean, averaged."""
    z = units.log_variance
    terms = (goal - mean) ** 2 * np.exp(-z) + z + np.log(2 * np.pi)
    return 0.5 * terms.sum(axis=1).mean()


@pytest.mark.parametrize("hidden", [(3, 2), (3, 3), (2, 4, 3)])
def test_joint_loss_adds_both_directions_from_the_start_means_given(hidden):
    flat = flatten_chain(make_chain(hidden=hidden, seed=4))
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(5, 2)), rng.normal(size=(5, 3))
    initial = [rng.random(size) for size in hidden]
    to_y = mean_field(flat.chain, x, n_iter=2, damping=0.3, initial=initial)
    back = mirror(flat.chain)
    to_x = mean_field(back, y, n_iter=2, damping=0.3, initial=initial[::-1])
    expected = normal_surprise(to_y.y_mean, flat.chain.y, y)
    expected += normal_surprise(to_x.y_mean, flat.chain.x, x)
    history = tune_joint(
        flat, x, y, None, Schedule(1, 5, 0.01), rng, initial=initial, n_iter=2,
        damping=0.3,
    )  # fmt: skip
    np.testing.assert_allclose(history.losses, [expected], rtol=1e-10)


def test_joint_tuning_keeps_sigma_in_range():
    flat = flatten_chain(make_chain(hidden=(3,), seed=4))
    rng = np.random.default_rng(4)
    # Rows that call for σ = 0, and others for σ = 30.
    x, y = np.zeros((20, 2)), 30 * rng.standard_normal((20, 3))
    schedule = Schedule(300, 20, 0.2, anneal=False)
    tune_joint(flat, x, y, None, schedule, rng, initial=[np.full(3, 0.5)])
    low, high = SIGMA_RANGE
    np.testing.assert_allclose(np.exp(0.5 * flat.chain.x.log_variance), low)
    np.testing.assert_allclose(np.exp(0.5 * flat.chain.y.log_variance), high)


def test_flat_chains_and_networks_survive_pickling_as_views():
    flat = pickle.loads(pickle.dumps(flatten_chain(make_chain())))
    flat.vector[:] = 2.0
    assert all((weight == 2).all() for weight in flat.chain.weights)
    network = pickle.loads(pickle.dumps(unroll(make_chain(), [np.ones(3), np.ones(2)])))
    network.vector[:] = 3.0
    assert all((weight == 3).all() for weight in network.weights)
