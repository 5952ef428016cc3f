"""Large views: scaled and read block by block, never copied whole."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from sklearn_drm import GGDRMRegressor
from sklearn_drm.core import rows
from sklearn_drm.core.rows import Scaling, StandardizedRows, blocks, picked
from sklearn_drm.estimators import _training
from tests.test_ggdrm import two_views


@given(st.integers(0, 5000), st.integers(0, 200_000))
def test_blocks_are_a_partition_in_order(n_rows, width):
    parts = [np.arange(n_rows)[block] for block in blocks(n_rows, width)]
    assert np.array_equal(np.concatenate([np.arange(0), *parts]), np.arange(n_rows))
    assert all(len(part) * width <= max(width, 2**17) for part in parts)


@pytest.mark.parametrize("weighted", [False, True])
def test_moments_over_several_blocks_are_those_of_the_rows(weighted):
    rng = np.random.default_rng(0)
    values = 1e4 + rng.normal(size=(9000, 20)) * np.arange(1, 21)
    weight = rng.integers(0, 3, len(values)).astype(float) if weighted else None
    scaling = Scaling.from_rows(values, weight)
    scaler = StandardScaler().fit(values, sample_weight=weight)
    np.testing.assert_allclose(scaling.location, scaler.mean_, rtol=1e-12)
    np.testing.assert_allclose(scaling.scale, scaler.scale_, rtol=1e-9)


def test_float32_columns_with_a_large_mean_stay_exact():
    rng = np.random.default_rng(1)
    values = (1e5 + rng.normal(size=(500, 2))).astype(np.float32)
    scaling = Scaling.from_rows(values)
    exact = (values.astype(float) - scaling.location) / scaling.scale
    result = scaling.standardize(values)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, exact, rtol=1e-6, atol=1e-6)


@settings(deadline=None)
@given(st.data())
def test_rows_read_later_are_those_read_at_once(data):
    values = np.random.default_rng(2).normal(3, 2, size=(40, 3))
    scaling = Scaling.from_rows(values)
    later, now = StandardizedRows(values, scaling), scaling.standardize(values)
    for _ in range(data.draw(st.integers(0, 3))):
        numbers = st.lists(st.integers(0, len(now) - 1), min_size=1, max_size=20)
        chosen = np.array(data.draw(numbers))
        later, now = later.part(chosen), now[chosen]
    assert later.shape == now.shape and len(later) == len(now)
    index = data.draw(st.integers(0, len(now) - 1))
    assert np.array_equal(later[:], now)
    assert np.array_equal(later[index : index + 2], now[index : index + 2])
    assert np.array_equal(later[np.array([index])], now[[index]])
    for view in (later, now, np.asfortranarray(now), now[::-1][::-1]):
        assert np.array_equal(picked(view, np.array([index, 0])), now[[index, 0]])


@pytest.mark.parametrize("order", ["C", "F"])
def test_picking_rows_does_not_copy_the_view(order):
    view = np.zeros((20_000, 50), order=order)
    tracemalloc.start()
    picked(view, np.arange(10))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < view.nbytes / 10


@pytest.mark.parametrize("fine_tune", ["separate", "joint", None])
@pytest.mark.parametrize("target", [None, slice(1, 3)])
def test_a_fit_of_rows_read_later_is_the_same(fine_tune, target, monkeypatch):
    x, y = two_views(900)
    weight = np.random.default_rng(3).uniform(0, 2, len(x))
    weight[:20] = 0
    model = GGDRMRegressor(
        n_hidden_units=6,
        fine_tune=fine_tune,
        fine_tune_epochs=2,
        x_target=target,
        y_target=target,
        random_state=0,
    )
    at_once = model.fit(x, y, weight)
    expected = at_once.predict_y(x), at_once.predict_x(y)
    stds = at_once.predict_y(x, return_std=True)[1]
    made = []
    original = StandardizedRows.__getitem__
    monkeypatch.setattr(rows, "_COPIED_BYTES", 0)
    monkeypatch.setattr(
        StandardizedRows,
        "__getitem__",
        lambda self, index: made.append(1) or original(self, index),
    )
    later = model.fit(x, y, weight)
    assert made
    assert np.array_equal(later.predict_y(x), expected[0])
    assert np.array_equal(later.predict_x(y), expected[1])
    assert np.array_equal(later.predict_y(x, return_std=True)[1], stds)


@pytest.mark.slow
def test_a_fit_of_a_large_view_needs_little_memory(tmp_path):
    n_rows = 200_000
    for name, width in (("x", 60), ("y", 50)):
        rng = np.random.default_rng(4)
        np.save(
            tmp_path / f"{name}.npy",
            rng.standard_normal((n_rows, width), dtype=np.float32),
        )
    x, y = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy")
    model = GGDRMRegressor(
        n_hidden_units=8,
        fine_tune_epochs=1,
        batch_size=2000,
        early_stopping=False,
        random_state=0,
    )
    tracemalloc.start()
    try:
        model.fit(x, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Either view alone is larger than this.
    assert min(x.nbytes, y.nbytes) > 35e6 > peak


@pytest.mark.parametrize("weighted", [False, True])
def test_read_out_of_other_columns_is_a_ridge_regression(weighted, monkeypatch):
    monkeypatch.setattr(rows, "_BLOCK_VALUES", 500)
    rng = np.random.default_rng(5)
    source, goal = rng.normal(size=(300, 4)), rng.normal(size=(300, 6)) + 2
    weight = rng.uniform(0, 2, 300) if weighted else None
    columns = np.array([1, 4])

    def hidden(values):
        return np.tanh(values @ np.arange(12).reshape(4, 3) / 10)

    read_weight, read_bias = _training._ridge(hidden, source, goal, weight, columns)
    ridge = Ridge(1.0).fit(hidden(source), goal[:, columns], sample_weight=weight)
    np.testing.assert_allclose(read_weight, ridge.coef_.T, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(read_bias, ridge.intercept_, rtol=1e-8)
    residual = _training.residual_variance(
        lambda values: values[:, [0, 1, 2, 3, 0, 1]], source, goal, weight
    )
    squared = np.square(goal - source[:, [0, 1, 2, 3, 0, 1]])
    expected = np.average(squared, axis=0, weights=weight)
    np.testing.assert_allclose(residual, expected, rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_variance_ratio_is_that_of_all_rows_to_the_held_out_ones(weighted):
    rng = np.random.default_rng(6)
    held = rng.normal(size=(40, 5)) * [1, 1, 30, 0.02, 1] + 1
    train = rng.normal(size=(300, 5)) + 1
    held[:, 4] = 2.0
    weights = [rng.uniform(0, 2, len(v)) if weighted else None for v in (held, train)]
    ratio = _training.variance_ratio_to_held_out(held, weights[0], train, weights[1])

    def variance(values, weight):
        mean = np.average(values, axis=0, weights=weight)
        return np.average((values - mean) ** 2, axis=0, weights=weight)

    mass = [
        len(v) if w is None else w.sum()
        for v, w in zip((held, train), weights, strict=True)
    ]
    parts = [variance(v, w) for v, w in zip((held, train), weights, strict=True)]
    overall = (mass[0] * parts[0] + mass[1] * parts[1]) / sum(mass)
    np.testing.assert_allclose(ratio[:2], overall[:2] / parts[0][:2], rtol=1e-10)
    # Never more than four times; a constant column says nothing.
    assert ratio[2:].tolist() == [0.25, 4.0, 1.0]
