"""Unit types against quadrature, enumeration and numerical derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from sklearn_drm.core.draws import bernoulli_draws, random_integers
from sklearn_drm.core.units import Bernoulli, Gaussian, logistic
from tests import chains

STEP = 1e-5


def layer_and_field(kind, n_rows=1, n_units=3, seed=0):
    rng = np.random.default_rng(seed)
    layer = chains.make_view(kind, n_units, rng)
    return layer, rng.standard_normal((n_rows, n_units)), rng


def enumerated(layer, field):
    """Probabilities of all values of a discrete layer at one field."""
    values = chains.all_values(layer)
    log_p = -layer.energy(values) + layer.coupling(values) @ field[0]
    return values, log_p


@pytest.mark.parametrize("kind", chains.DISCRETE)
@pytest.mark.parametrize("seed", range(3))
def test_discrete_layers_match_enumeration(kind, seed):
    layer, field, _ = layer_and_field(kind, seed=seed)
    values, log_p = enumerated(layer, field)
    log_z = np.log(np.exp(log_p).sum())
    p = np.exp(log_p - log_z)
    mean = p @ values
    np.testing.assert_allclose(layer.log_normalizer(field), log_z, rtol=1e-12)
    np.testing.assert_allclose(layer.mean(field)[0], mean, rtol=1e-12)
    np.testing.assert_allclose(
        layer.variance(field)[0], p @ values**2 - mean**2, rtol=1e-10
    )
    entropy = layer.entropy(layer.mean(field))[0]
    np.testing.assert_allclose(entropy, -p @ np.log(p), rtol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_gaussian_layer_matches_quadrature(seed):
    layer, field, _ = layer_and_field("gaussian", n_units=1, seed=seed)

    def density(v):
        value = np.array([[v]])
        return float(np.exp(-layer.energy(value) + layer.coupling(value) * field)[0, 0])

    z = quad(density, -30, 30, epsabs=1e-13)[0]
    mean = quad(lambda v: v * density(v), -30, 30, epsabs=1e-13)[0] / z
    second = quad(lambda v: v * v * density(v), -30, 30, epsabs=1e-13)[0] / z
    np.testing.assert_allclose(layer.log_normalizer(field)[0], np.log(z), atol=1e-10)
    np.testing.assert_allclose(layer.mean(field)[0, 0], mean, atol=1e-9)
    np.testing.assert_allclose(layer.variance(field)[0, 0], second - mean**2, rtol=1e-8)
    np.testing.assert_allclose(
        layer.entropy(np.zeros((1, 1)))[0],
        0.5 * np.log(2 * np.pi * np.e * (second - mean**2)),
        rtol=1e-8,
    )


@pytest.mark.parametrize("kind", chains.KINDS)
def test_field_derivative_of_log_normalizer_is_mean_coupling(kind):
    layer, field, _ = layer_and_field(kind)
    expected = layer.coupling(layer.mean(field))[0]
    for unit in range(layer.n_units):
        shift = np.zeros_like(field)
        shift[0, unit] = STEP
        slope = layer.log_normalizer(field + shift) - layer.log_normalizer(
            field - shift
        )
        np.testing.assert_allclose(slope / (2 * STEP), expected[unit], atol=1e-8)


def test_curvature_is_the_second_derivative_for_gaussians():
    layer, field, _ = layer_and_field("gaussian")
    for unit in range(layer.n_units):
        shift = np.zeros_like(field)
        shift[0, unit] = 1e-3
        second = (
            layer.log_normalizer(field + shift)
            - 2 * layer.log_normalizer(field)
            + layer.log_normalizer(field - shift)
        ) / 1e-6
        np.testing.assert_allclose(second, layer.curvature()[unit], rtol=1e-6)


@pytest.mark.parametrize("kind", chains.KINDS)
def test_samples_have_exact_moments(kind):
    layer, field, rng = layer_and_field(kind)
    n = 40_000
    draws = layer.sample(np.repeat(field, n, axis=0), rng)
    mean, variance = layer.mean(field)[0], layer.variance(field)[0]
    error = (draws.mean(axis=0) - mean) / np.sqrt(variance / n)
    assert np.abs(error).max() < 4
    np.testing.assert_allclose(draws.var(axis=0), variance, rtol=0.05)


@pytest.mark.parametrize("kind", chains.KINDS)
def test_statistics_are_parameter_derivatives(kind):
    layer, field, rng = layer_and_field(kind, n_rows=4)
    values = chains.make_values(layer, 4, rng)
    weight = rng.random(4)

    def negative_energy(changed):
        # The coupling depends on the variance, so it is part of the derivative.
        coupled = np.einsum("nk,nk->n", changed.coupling(values), field)
        return weight @ (coupled - changed.energy(values))

    def log_normalizer(changed):
        return weight @ changed.log_normalizer(field)

    for function, statistics in (
        (negative_energy, layer.statistics(values, field, weight)),
        (log_normalizer, layer.expected_statistics(field, weight)),
    ):
        for name, array in layer.parameters.items():
            for unit in range(layer.n_units):
                slopes = []
                for sign in (1, -1):
                    changed = array.copy()
                    changed[unit] += sign * STEP
                    parameters = {**layer.parameters, name: changed}
                    slopes.append(function(type(layer)(**parameters)))
                slope = (slopes[0] - slopes[1]) / (2 * STEP)
                got = statistics[name][unit]
                if function is log_normalizer and name == "log_variance":
                    # The field itself is fixed here, as it is in the statistic.
                    np.testing.assert_allclose(got, slope, atol=1e-7)
                else:
                    np.testing.assert_allclose(got, slope, atol=1e-7)


@pytest.mark.parametrize("kind", chains.KINDS)
@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_interpolated_layer_has_the_interpolated_energy(kind, beta):
    layer, field, rng = layer_and_field(kind, n_rows=5)
    base = chains.make_view(kind, layer.n_units, rng)
    values = chains.make_values(layer, 5, rng)
    middle, ratio, constant = layer.interpolate(base, beta)
    expected = (1 - beta) * base.energy(values) + beta * layer.energy(values)
    np.testing.assert_allclose(middle.energy(values) - constant, expected, atol=1e-12)
    np.testing.assert_allclose(
        layer.coupling(values), ratio * middle.coupling(values), atol=1e-12
    )


def test_bernoulli_saturates_without_overflow():
    layer = Bernoulli(np.zeros(2))
    field = np.array([[1e4, -1e4]])
    assert layer.mean(field).tolist() == [[1.0, 0.0]]
    assert np.isfinite(layer.log_normalizer(field)).all()
    assert layer.entropy(layer.mean(field)).tolist() == [0.0]


def test_float32_stays_float32():
    rng = np.random.default_rng(0)
    layer = Gaussian(np.zeros(3, np.float32), np.zeros(3, np.float32))
    field = np.ones((2, 3), np.float32)
    assert layer.sample(field, rng).dtype == np.float32
    assert layer.mean(field).dtype == np.float32
    assert layer.log_normalizer(field).dtype == np.float32


class EveryInteger:
    """A generator whose words hold each 16-bit integer once."""

    bit_generator = None

    def integers(self, low, high, *, size, dtype):
        assert (low, high, dtype) == (0, 2**64, np.uint64)
        words = np.random.default_rng(4).permutation(2**16).astype(np.uint16)
        assert size == words.view(np.uint64).size
        return words.view(np.uint64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logistic_is_right_in_its_tails_and_silent_beyond(dtype):
    # From -104 or -745 on the result is 0, and a subnormal number shortly before.
    field = np.r_[-1e30, np.linspace(-760, 760, 3041), 1e30].astype(dtype)
    bias = np.linspace(-2, 2, field.size).astype(dtype)
    expected = np.exp(-np.logaddexp(0, -(field + bias).astype(np.longdouble)))
    with np.errstate(all="raise"):
        result = logistic(field, bias)
    assert result.dtype == dtype and result is not field
    tiny = float(np.finfo(dtype).tiny)
    close = 20 * np.finfo(dtype).eps
    np.testing.assert_allclose(result, expected.astype(float), rtol=close, atol=tiny)
    again = field.copy()
    assert logistic(again, bias, out=again) is again
    np.testing.assert_array_equal(again, result)
    np.testing.assert_array_equal(logistic(field + bias), result)
    assert np.isnan(logistic(np.array([np.nan], dtype))).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("field", [-40.0, -9.0, -0.3, 0.0, 2.5, 11.0, 40.0])
def test_binary_draws_have_their_probability_to_sixteen_bits(dtype, field):
    p = 1 / (1 + np.exp(-field - 0.5))
    fields = np.full((2**16, 1), field, dtype=dtype)
    drawn = Bernoulli(np.full(1, 0.5, dtype)).sample(fields, EveryInteger())
    again = bernoulli_draws(np.full((2**16, 1), p, dtype), EveryInteger())
    for draws in (drawn, again):
        assert draws.dtype == dtype and draws.shape == fields.shape
        assert set(np.unique(draws)) <= {0, 1}
        # Half a step of rounding, and that of tanh in this type.
        assert abs(draws.sum(dtype=np.float64) - p * 2**16) < 0.51


def test_binary_draws_are_independent():
    rng = np.random.default_rng(5)
    draws = bernoulli_draws(np.full((20_000, 6), 0.3), rng) - 0.3
    correlation = draws.T @ draws / len(draws) / 0.21
    np.testing.assert_allclose(correlation, np.eye(6), atol=0.035)


@pytest.mark.parametrize(
    "source",
    [np.random.PCG64, np.random.PCG64DXSM, np.random.SFC64, np.random.Philox],
)
def test_random_words_are_those_of_the_generator(source):
    ours, numpys = (np.random.Generator(source(7)) for _ in range(2))
    words = random_integers((5, 3), "u2", ours)
    expected = numpys.integers(0, 2**64, size=4, dtype=np.uint64)
    np.testing.assert_array_equal(words.ravel(), expected.view(np.uint16)[:15])
    assert ours.random() == numpys.random()


def test_random_words_of_a_generator_of_32_bits_have_64():
    words = random_integers((1000,), "u2", np.random.Generator(np.random.MT19937(7)))
    # Were its 32 bits taken for 64, every other pair would be zero.
    assert (words == 0).sum() < 5


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("shape", [(3,), (7, 5), (0, 4)])
def test_random_integers_fill_the_range_of_their_type(dtype, shape):
    rng = np.random.default_rng(6)
    assert random_integers(shape, dtype, rng).shape == shape
    many = random_integers((400, 500), dtype, rng)
    limits = np.iinfo(dtype)
    assert many.dtype == np.dtype(dtype)
    spread = float(limits.max) - float(limits.min)
    assert abs(many.mean() - (limits.max + limits.min) / 2) < 0.005 * spread
    assert np.isclose(many.std(), spread / 12**0.5, rtol=0.01)
