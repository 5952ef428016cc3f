"""Dynamic features and generated trajectories against dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drm_transformers import delta_features, mlpg


def windows(n):
    """[static; Δ; ΔΔ] of one clip as a dense matrix, edges repeated, (3n, n)."""
    identity = np.eye(n)
    before = identity[np.maximum(np.arange(n) - 1, 0)]
    after = identity[np.minimum(np.arange(n) + 1, n - 1)]
    return np.vstack([identity, (after - before) / 2, before - 2 * identity + after])


def dense_trajectory(means, variances, groups):
    """(Uᵀ D⁻¹ U)⁻¹ Uᵀ D⁻¹ M with inner frames' dynamic features only."""
    d = means.shape[1] // 3
    variances = np.broadcast_to(variances, means.shape)
    result = np.empty((len(means), d))
    for name in np.unique(groups):
        mine = np.flatnonzero(groups == name)
        used = np.ones((3, len(mine)))
        used[1:, [0, -1]] = 0
        window = windows(len(mine))
        for column in range(d):
            precision = used.ravel() / variances[mine, column::d].T.ravel()
            wanted = means[mine, column::d].T.ravel()
            weighted = window.T * precision
            result[mine, column] = np.linalg.solve(weighted @ window, weighted @ wanted)
    return result


@st.composite
def clips(draw):
    """Interleaved clips, some of one frame."""
    n = draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups = rng.choice(list("abcd"), n)
    return rng, rng.normal(size=(n, draw(st.integers(1, 3)))), groups


@given(clips())
def test_delta_features_are_the_windows_of_each_clip(data):
    _, rows, groups = data
    features = delta_features(rows, groups)
    for name in np.unique(groups):
        mine = groups == name
        expected = np.hstack(np.split(windows(mine.sum()) @ rows[mine], 3))
        np.testing.assert_allclose(features[mine], expected, atol=1e-12)


@given(clips(), st.sampled_from(["each row", "all rows"]))
def test_trajectory_is_that_of_a_dense_solve(data, variances):
    rng, rows, groups = data
    shape = (len(rows), 3 * rows.shape[1])
    means = rng.normal(size=shape)
    spread = np.exp(rng.normal(size=shape if variances == "each row" else shape[1:]))
    np.testing.assert_allclose(
        mlpg(means, spread, groups),
        dense_trajectory(means, spread, groups),
        rtol=1e-9,
        atol=1e-9,
    )


@given(clips())
def test_a_trajectory_is_found_again_from_its_own_features(data):
    rng, rows, groups = data
    means = delta_features(rows, groups)
    spread = np.exp(rng.normal(size=means.shape))
    np.testing.assert_allclose(mlpg(means, spread, groups), rows, atol=1e-9)


@given(clips())
def test_features_without_precision_do_not_count(data):
    rng, rows, groups = data
    d = rows.shape[1]
    means = np.hstack([rows, rng.normal(size=(len(rows), 2 * d))])
    spread = np.r_[np.ones(d), np.full(2 * d, np.inf)]
    np.testing.assert_allclose(mlpg(means, spread, groups), rows, atol=1e-12)


def test_certain_differences_make_a_straight_line():
    steps = np.column_stack([np.random.default_rng(0).normal(size=20)] + 2 * [[0] * 20])
    line = mlpg(steps, [1.0, 1e9, 1e-9], None)[:, 0]
    slope, start = np.polyfit(np.arange(20), steps[:, 0], 1)
    np.testing.assert_allclose(line, start + slope * np.arange(20), atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_is_kept(dtype):
    rows = np.arange(8, dtype=dtype).reshape(4, 2)
    features = delta_features(rows, None)
    assert features.dtype == mlpg(features, np.ones(6), None).dtype == dtype


def test_no_rows():
    assert delta_features(np.zeros((0, 2)), []).shape == (0, 6)
    assert mlpg(np.zeros((0, 6)), np.ones(6), []).shape == (0, 2)


@pytest.mark.parametrize(
    ("means", "variances", "match"),
    [
        (np.zeros((4, 4)), np.ones(4), "no multiple of 3"),
        (np.full((4, 3), np.nan), np.ones(3), "means contain NaN"),
        (np.zeros((4, 3)), np.ones(4), "variances have shape"),
        (np.zeros((4, 3)), [1, 0, 1], "greater than 0"),
        (np.zeros((4, 3)), [1, np.nan, 1], "greater than 0"),
        (np.zeros((4, 3)), [np.inf, 1, 1], "must be finite"),
        (np.zeros((4, 3)), [1, 1, 1e-320], "inverse overflows"),
        (np.zeros((4, 3)), [1e300, 1e-300, 1e-300], "too\\s+far apart"),
        (np.zeros((4, 3)), [1e9, 1e-9, 1e-9], "too\\s+far apart"),
    ],
)
def test_wrong_arguments(means, variances, match):
    with pytest.raises(ValueError, match=match):
        mlpg(means, variances, None)
