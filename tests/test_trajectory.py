"""Context windows and clip means against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drm_transformers.trajectory import (
    average_context,
    group_means,
    remove_group_mean,
    stack_context,
)


@st.composite
def rows_and_groups(draw):
    n, d = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    values = st.floats(-100, 100, width=32)
    rows = draw(hnp.arrays(np.float64, (n, d), elements=values))
    groups = draw(hnp.arrays("U1", n, elements=st.sampled_from("abc")))
    return rows, groups


def members(groups, i):
    return [j for j in range(len(groups)) if groups[j] == groups[i]]


@given(rows_and_groups(), st.integers(0, 4))
def test_stack_is_that_of_a_loop(data, k):
    rows, groups = data
    expected = []
    for i in range(len(rows)):
        clip = members(groups, i)
        at = clip.index(i)
        blocks = [
            rows[clip[min(max(at + step, 0), len(clip) - 1)]]
            for step in range(-k, k + 1)
        ]
        expected.append(np.concatenate(blocks))
    np.testing.assert_array_equal(stack_context(rows, groups, k), expected)


@given(rows_and_groups(), st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_average_is_that_of_a_loop(data, k, seed):
    rows, groups = data
    n, d = rows.shape
    stacked = np.random.default_rng(seed).normal(size=(n, (2 * k + 1) * d))
    expected = []
    for i in range(n):
        clip = members(groups, i)
        at = clip.index(i)
        said = []
        for position, j in enumerate(clip):
            if abs(position - at) <= k:
                block = at - position + k
                said.append(stacked[j, block * d : (block + 1) * d])
        expected.append(np.mean(said, axis=0))
    np.testing.assert_allclose(
        average_context(stacked, groups, k), expected, atol=1e-12
    )


@given(rows_and_groups(), st.integers(0, 4))
def test_average_undoes_stack(data, k):
    rows, groups = data
    again = average_context(stack_context(rows, groups, k), groups, k)
    np.testing.assert_allclose(again, rows, atol=1e-10)


@given(rows_and_groups())
def test_means_are_those_of_a_loop(data):
    rows, groups = data
    expected = [rows[members(groups, i)].mean(axis=0) for i in range(len(rows))]
    np.testing.assert_allclose(group_means(rows, groups), expected, atol=1e-10)
    left = remove_group_mean(rows, groups)
    np.testing.assert_allclose(left, rows - expected, atol=1e-10)
    np.testing.assert_allclose(group_means(left, groups), 0, atol=1e-10)


@given(rows_and_groups(), st.integers(0, 3))
def test_clips_do_not_touch_each_other(data, k):
    """Each clip alone gives the same rows, wherever the others lie."""
    rows, groups = data
    together = stack_context(rows, groups, k)
    for name in np.unique(groups):
        mine = groups == name
        np.testing.assert_array_equal(
            together[mine], stack_context(rows[mine], None, k)
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_is_kept(dtype):
    rows = np.arange(8, dtype=dtype).reshape(4, 2)
    assert stack_context(rows, None, 2).dtype == dtype
    assert average_context(stack_context(rows, None, 2), None, 2).dtype == dtype
    assert group_means(rows, None).dtype == dtype
    assert remove_group_mean(rows, None).dtype == dtype


def test_float32_means_of_long_clips_are_exact_enough():
    rows = np.full((1_000_000, 1), 0.1, np.float32)
    assert group_means(rows, None)[0, 0] == pytest.approx(0.1, rel=1e-6)


def test_integers_are_averaged_as_real_numbers():
    np.testing.assert_array_equal(group_means([[0], [1]], None), [[0.5], [0.5]])


def test_no_rows():
    empty = np.zeros((0, 3))
    assert stack_context(empty, [], 1).shape == (0, 9)
    assert average_context(np.zeros((0, 9)), [], 1).shape == (0, 3)
    assert remove_group_mean(empty, []).shape == (0, 3)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: stack_context([1.0, 2.0], None, 1), "shape"),
        (lambda: stack_context([[1.0]], ["a", "b"], 1), "groups have shape"),
        (lambda: stack_context([[1.0]], None, -1), "k=-1"),
        (lambda: stack_context([[1.0]], None, 1.0), "k=1.0"),
        (lambda: average_context([[1.0]], None, True), "k=True"),
        (lambda: average_context([[1.0, 2.0]], None, 1), "no multiple of 2k"),
    ],
)
def test_wrong_arguments(call, match):
    with pytest.raises(ValueError, match=match):
        call()
