"""Offsets of clips: closed forms, brute force, parts of clips, units, faults."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import norm
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from drm_transformers import ClipCenterer, remove_group_mean


def test_contract_of_scikit_learn():
    # Rows without groups are one clip: some of them have another offset.
    expected = {"check_methods_subset_invariance": "rows of one clip belong together"}
    results = check_estimator(
        ClipCenterer(2), expected_failed_checks=expected, on_skip=None
    )
    failed = {r["check_name"] for r in results if r["status"] == "xfail"}
    assert failed == set(expected)


def two_states(n_clips=12, n_rows=60, seed=0, spread=1.0):
    """Clips that rest in the first half and move in the second, each with an offset.

    What moves varies more, so that it can be told from what rests elsewhere.
    """
    rng = np.random.default_rng(seed)
    clips = np.repeat(np.arange(n_clips), n_rows)
    moves = np.tile(np.arange(n_rows) >= n_rows // 2, n_clips)
    offsets = rng.normal(scale=spread, size=(n_clips, 3))
    X = rng.normal(scale=np.where(moves, 1.0, 0.2)[:, None], size=(len(clips), 3))
    X += offsets[clips]
    X[moves] += [4.0, -3.0, 2.0]
    return X, clips, moves, offsets


def test_one_gaussian_has_a_closed_form():
    X, clips, _, _ = two_states()
    centerer = ClipCenterer(1, dependence=2.0).fit(X, groups=clips)
    rows = X[:7] + 3
    within = remove_group_mean(X, clips)
    # The mixture adds a thousandth of a column's variance to its own.
    variance = within.var(axis=0) + 1e-3 * X.var(axis=0)
    prior = 1 / X.var(axis=0)
    precision = len(rows) / (2 * variance)
    expected = (prior * X.mean(axis=0) + precision * rows.mean(axis=0)) / (
        prior + precision
    )
    np.testing.assert_allclose(centerer.offsets(rows)[0], expected, rtol=1e-6)


@pytest.mark.parametrize("dependence", [1.0, 3.0, 20.0])
@pytest.mark.parametrize(
    "part", [slice(0, 60), slice(30, 60), slice(0, 5), slice(3, 4)]
)
def test_an_offset_is_a_most_probable_one(part, dependence):
    """Against the posterior written out; of long parts, searched point by point."""
    X, clips, _, _ = two_states()
    X = X[:, :1]
    centerer = ClipCenterer(4, dependence=dependence).fit(X, groups=clips)
    mixture, scale = centerer.mixture_, X.std()
    rows = X[part] + 1.5

    def minus_log_posterior(offset):
        density = sum(
            weight * norm.pdf((rows[:, 0] - offset) / scale, mean, variance**0.5)
            for weight, mean, variance in zip(
                mixture.weights_, mixture.means_[:, 0], mixture.covariances_[:, 0],
                strict=True,
            )
        )  # fmt: skip
        prior = norm.logpdf(offset, X.mean(), scale)
        return -prior - np.log(density + 1e-300).sum() / dependence

    found = float(centerer.offsets(rows)[0, 0])
    height = minus_log_posterior(found)
    for other in (found - 0.05, found + 0.05, X.mean(), rows.mean()):
        assert height < minus_log_posterior(other) + 1e-6
    if len(rows) < 10:
        return
    grid = np.linspace(-12, 12, 601)
    near = grid[np.argmin([minus_log_posterior(offset) for offset in grid])]
    best = minimize_scalar(
        minus_log_posterior, bounds=(near - 0.05, near + 0.05), method="bounded"
    )
    assert found == pytest.approx(best.x, abs=0.02)


def test_parts_of_clips_keep_their_places():
    X, clips, moves, offsets = two_states()
    new, names, moving, shifts = two_states(seed=1, spread=3.0)
    centerer = ClipCenterer(4).fit(X, groups=clips)
    # What is taken off a training clip is, but for a constant, its offset.
    middle = np.array([2.0, -1.5, 1.0])
    # Rest alone, which is all the same, can be taken for movement elsewhere.
    for rows, of_means in (
        (moving, 1.5),
        (moving | (np.arange(len(new)) % 3 == 0), 0.5),
    ):
        true = (shifts + middle)[names[rows]]
        found = centerer.offsets(new[rows], names[rows])
        means = new[rows] - remove_group_mean(new[rows], names[rows])
        errors = [np.sqrt(np.mean((made - true) ** 2)) for made in (found, means)]
        assert errors[0] < 0.25 and errors[1] > of_means, errors


def test_of_two_places_the_one_near_the_training_clips_counts():
    """A few rows fit the rarer state where it is as well as the usual one elsewhere."""
    rng = np.random.default_rng(0)
    X = rng.normal(np.where(np.arange(200) < 120, -2.0, 2.0), 0.1)[:, None]
    centerer = ClipCenterer(2).fit(X)
    offset = centerer.offsets(X[-5:])[0]
    np.testing.assert_allclose(offset, X.mean(axis=0), atol=0.2)


@given(st.integers(0, 2**16), st.floats(1e-6, 1e6), st.integers(-100, 100))
def test_units_and_places_of_columns_say_nothing(seed, factor, shift):
    X, clips, _, _ = two_states(4, 20)
    new = two_states(2, 20, seed)[0]
    plain, other = ClipCenterer(3), ClipCenterer(3)
    plain.fit(X, groups=clips)
    other.fit(factor * (X + shift), groups=clips)
    np.testing.assert_allclose(
        other.transform(factor * (new + shift)) / factor,
        plain.transform(new),
        atol=1e-4,
    )


@given(st.integers(0, 2**16))
def test_neither_order_nor_neighbours_count(seed):
    X, clips, _, _ = two_states(4, 20)
    centerer = ClipCenterer(3).fit(X, groups=clips)
    order = np.random.default_rng(seed).permutation(len(X))
    together = centerer.transform(X[order], clips[order])
    alone = np.concatenate([centerer.transform(X[clips == k]) for k in range(4)])
    np.testing.assert_allclose(together, alone[order], atol=1e-8)


def test_one_row_of_an_unknown_clip_stays_near_the_training_mean():
    X, clips, _, _ = two_states()
    centerer = ClipCenterer().fit(X, groups=clips)
    row = np.array([[50.0, -50.0, 50.0]])
    # All of it would be the offset, were it not for the prior; some must be left.
    left = centerer.transform(row)
    assert (np.abs(left) > 0.1).all() and np.isfinite(left).all()


def test_types_and_tables():
    X, clips, _, _ = two_states(4, 20)
    single = ClipCenterer().fit(X.astype(np.float32), groups=clips)
    assert single.transform(X.astype(np.float32), clips).dtype == np.float32
    whole = np.round(10 * X).astype(int)
    assert ClipCenterer().fit(whole, groups=clips).transform(whole).dtype == float
    names = np.array(list("abcd"))[clips]
    np.testing.assert_array_equal(
        ClipCenterer().fit(X, groups=names).transform(X, names),
        ClipCenterer().fit(X, groups=clips).transform(X, clips),
    )
    again = pickle.loads(pickle.dumps(single))
    np.testing.assert_array_equal(again.offsets(X, clips), single.offsets(X, clips))
    chained = make_pipeline(StandardScaler(), ClipCenterer(2, dependence=5))
    chained = clone(chained).fit(X, clipcenterer__groups=clips)
    assert chained.transform(X[:20]).shape == (20, 3)


@pytest.mark.parametrize("n_rows", [1, 2, 7])
def test_little_and_constant_rows(n_rows):
    X = np.column_stack([np.arange(n_rows), np.full(n_rows, 1e9), np.zeros(n_rows)])
    centred = ClipCenterer().fit_transform(X)
    assert np.isfinite(centred).all()
    np.testing.assert_allclose(centred[:, 1:], 0, atol=1e-6)


def test_of_many_rows_some_describe_the_others(monkeypatch):
    X, clips, _, _ = two_states(40, 60)
    whole = ClipCenterer(4).fit(X, groups=clips)
    monkeypatch.setattr("drm_transformers.clip_centerer._MOST_ROWS", 700)
    some = ClipCenterer(4).fit(X, groups=clips)
    np.testing.assert_array_equal(some.mean_, whole.mean_)
    within = remove_group_mean(X, clips) / X.std(axis=0)
    # 2400 rows: every fourth, 600.
    expected = GaussianMixture(
        4, covariance_type="diag", reg_covar=1e-3, random_state=0
    ).fit(within[::4])
    np.testing.assert_allclose(some.mixture_.means_, expected.means_)
    np.testing.assert_allclose(
        some.offsets(X, clips), whole.offsets(X, clips), atol=0.2
    )


def test_faults_are_named():
    X, clips, _, _ = two_states(4, 20)
    centerer = ClipCenterer().fit(X, groups=clips)
    for options, message in (
        ({"n_components": 0}, "n_components=0"),
        ({"n_components": True}, "n_components=True"),
        ({"n_components": 2.5}, r"n_components=2\.5"),
        ({"dependence": 0.5}, r"dependence=0\.5"),
        ({"dependence": np.nan}, "dependence=nan"),
    ):
        with pytest.raises(ValueError, match=message):
            ClipCenterer(**options).fit(X)
    with pytest.raises(NotFittedError):
        ClipCenterer().transform(X)
    with pytest.raises(ValueError, match="2 features, but ClipCenterer is expecting 3"):
        centerer.transform(X[:, :2])
    with pytest.raises(ValueError, match="0 sample"):
        centerer.transform(X[:0])
    with pytest.raises(ValueError, match="contains NaN"):
        centerer.transform(np.full((3, 3), np.nan))
    with pytest.raises(ValueError, match="groups have shape"):
        centerer.transform(X, clips[:-1])
    with pytest.raises(ValueError, match="other units"):
        centerer.transform(X * 1e8)
