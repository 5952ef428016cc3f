"""Post-filters hit the statistics that they were fitted to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from drm_transformers import (
    FilterChain,
    GlobalVarianceFilter,
    ModulationSpectrumFilter,
    group_means,
    modulation_spectrum,
)

FILTERS = [
    GlobalVarianceFilter(),
    GlobalVarianceFilter(around="clip"),
    ModulationSpectrumFilter(),
    ModulationSpectrumFilter(strength=1.0),
]
BOTH = FilterChain([ModulationSpectrumFilter(), GlobalVarianceFilter()])
each_filter = pytest.mark.parametrize("filter_", FILTERS, ids=str)


def trajectories(seed=0, n_clips=12, length=30, d=3):
    """Natural clips and smooth, damped, shifted predictions of them, interleaved."""
    rng = np.random.default_rng(seed)
    natural = rng.normal(size=(n_clips, length + 4, d)).cumsum(axis=1) * 0.3
    natural += rng.normal(size=natural.shape)
    smooth = sum(natural[:, i : i + length] for i in range(5)) / 5
    made = 0.4 * smooth + 0.1 * rng.normal(size=smooth.shape) + [1, 0, -2]
    natural = natural[:, 2:-2]
    # Rows of all clips take turns, so that nothing may rely on blocks of clips.
    groups = np.tile(np.arange(n_clips), length)
    return [v.transpose(1, 0, 2).reshape(-1, d) for v in (natural, made)] + [groups]


def within(rows, groups):
    return (rows - group_means(rows, groups)).var(axis=0)


def test_global_variance_is_that_of_natural_rows():
    natural, made, groups = trajectories()
    filtered = GlobalVarianceFilter().fit(natural, made).transform(made)
    np.testing.assert_allclose(filtered.var(axis=0), natural.var(axis=0))
    np.testing.assert_allclose(filtered.mean(axis=0), made.mean(axis=0))


def test_variance_around_clip_means_is_that_of_natural_clips():
    natural, made, groups = trajectories()
    filter_ = GlobalVarianceFilter(around="clip").fit(natural, made, groups)
    filtered = filter_.transform(made, groups)

    np.testing.assert_allclose(within(filtered, groups), within(natural, groups))
    np.testing.assert_allclose(
        group_means(filtered, groups), group_means(made, groups), atol=1e-12
    )


def test_modulation_spectrum_of_one_clip_is_its_periodogram():
    rows = np.random.default_rng(0).normal(size=(9, 2))
    found = modulation_spectrum(rows, None, 16)[0]
    deviation = rows - rows.mean(axis=0)
    for f in range(9):
        wave = np.exp(-2j * np.pi * f * np.arange(9) / 16)
        expected = np.abs(wave @ deviation) ** 2 / 9
        np.testing.assert_allclose(found[f], expected, atol=1e-12)


def test_modulation_spectrum_statistics_are_those_of_natural_clips():
    natural, made, groups = trajectories()
    filter_ = ModulationSpectrumFilter(strength=1.0).fit(natural, made, groups)
    filtered = filter_.transform(made, groups)
    wanted, found = (
        np.log(modulation_spectrum(v, groups)[:, 1:]) for v in (natural, filtered)
    )
    np.testing.assert_allclose(found.mean(axis=0), wanted.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found.std(axis=0), wanted.std(axis=0), atol=1e-5)
    np.testing.assert_allclose(
        group_means(filtered, groups), group_means(made, groups), atol=1e-12
    )


def test_strength_goes_part_of_the_way():
    natural, made, groups = trajectories()
    logs = {
        k: np.log(
            modulation_spectrum(
                ModulationSpectrumFilter(strength=k)
                .fit(natural, made, groups)
                .transform(made, groups),
                groups,
            )[:, 1:]
        )
        for k in (0.0, 0.25, 1.0)
    }
    np.testing.assert_allclose(
        logs[0.25], 0.75 * logs[0.0] + 0.25 * logs[1.0], atol=1e-6
    )


def test_padded_clips_come_close_to_natural_statistics():
    natural, made, groups = trajectories(length=30)
    some = (np.arange(len(groups)) // 12 < 20) | (groups % 2 == 0)
    natural, made, groups = natural[some], made[some], groups[some]
    filter_ = ModulationSpectrumFilter(strength=1.0).fit(natural, made, groups)
    before = within(made, groups) / within(natural, groups)
    after = within(filter_.transform(made, groups), groups) / within(natural, groups)
    assert np.all(before < 0.35)
    assert np.all((after > 0.75) & (after < 1.25)), after


def test_clips_longer_than_those_of_the_fit():
    natural, made, groups = trajectories(n_clips=80, length=30)
    filter_ = ModulationSpectrumFilter(strength=1.0).fit(natural, made, groups)
    natural, made, groups = trajectories(seed=1, n_clips=80, length=75)
    # Only fast movements are alike: a random walk wanders further in a longer clip.
    wanted, found = (
        modulation_spectrum(v, groups)[:, 15:].mean(axis=(0, 1))
        for v in (natural, filter_.transform(made, groups))
    )
    assert np.all((found / wanted > 0.8) & (found / wanted < 1.25)), found / wanted


@pytest.mark.parametrize("length", [31, 45, 60, 150])
def test_equal_statistics_change_nothing_in_longer_clips(length):
    rng = np.random.default_rng(0)
    rows, groups = rng.normal(size=(1200, 3)), np.repeat(np.arange(40), 30)
    filter_ = ModulationSpectrumFilter(strength=1.0).fit(rows, rows, groups)
    longer = rng.normal(size=(length, 3))
    np.testing.assert_allclose(filter_.transform(longer), longer, atol=1e-9)


def test_all_movements_of_a_longer_clip_are_raised_alike():
    """Half the movement at all frequencies asks for twice the gain at all of them."""
    rng = np.random.default_rng(0)
    rows, groups = rng.normal(size=(1200, 3)), np.repeat(np.arange(40), 30)
    filter_ = ModulationSpectrumFilter(strength=1.0).fit(rows, rows / 2, groups)
    clip = rng.normal(size=(60, 3)) / 2
    gain = np.fft.rfft(filter_.transform(clip), axis=0) / np.fft.rfft(clip, axis=0)
    np.testing.assert_allclose(gain[1:], 2, rtol=1e-6)


def test_means_of_padded_clips_stay():
    natural, made, groups = trajectories(n_clips=40, length=30)
    filter_ = ModulationSpectrumFilter(strength=1.0).fit(natural, made, groups)
    short = made[:11] + 5
    np.testing.assert_allclose(
        filter_.transform(short).mean(axis=0), short.mean(axis=0), atol=1e-12
    )


def test_a_chain_fits_each_filter_on_what_the_one_before_gives():
    natural, made, groups = trajectories()
    chain = clone(BOTH).fit(natural, made, groups)
    first = ModulationSpectrumFilter().fit(natural, made, groups)
    between = first.transform(made, groups)
    second = GlobalVarianceFilter().fit(natural, between, groups)
    expected = second.transform(between, groups)
    np.testing.assert_allclose(chain.transform(made, groups), expected)
    np.testing.assert_allclose(expected.var(axis=0), natural.var(axis=0))


@each_filter
def test_equal_statistics_change_nothing(filter_):
    natural, _, groups = trajectories()
    fitted = clone(filter_).fit(natural, natural, groups)
    np.testing.assert_allclose(fitted.transform(natural, groups), natural, atol=1e-9)


@each_filter
def test_excluded_columns_stay(filter_):
    natural, made, groups = trajectories()
    fitted = clone(filter_).set_params(exclude=(0,)).fit(natural, made, groups)
    whole = clone(filter_).fit(natural, made, groups).transform(made, groups)
    filtered = fitted.transform(made, groups)
    np.testing.assert_array_equal(filtered[:, 0], made[:, 0])
    np.testing.assert_array_equal(filtered[:, 1:], whole[:, 1:])
    assert not np.allclose(whole[:, 0], made[:, 0])


@each_filter
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 40), data=st.data())
def test_any_clips_stay_finite_and_apart(filter_, seed, n, data):
    """Clips of one frame, interleaved ones and constant columns of any level."""
    rng = np.random.default_rng(seed)
    groups = rng.choice(list("abcd"), n)
    made = rng.normal(size=(n, 4))
    made[:, 1] = data.draw(st.floats(-1e6, 1e6))
    natural = rng.normal(size=(n, 4)) * 10.0 ** data.draw(st.integers(-3, 3))
    natural[:, 2] = 0.1
    fitted = clone(filter_).fit(natural, made, groups)
    filtered = fitted.transform(made, groups)
    assert np.all(np.isfinite(filtered))
    np.testing.assert_allclose(filtered[:, 1], made[:, 1], rtol=1e-9)
    for name in np.unique(groups):
        mine = groups == name
        alone = fitted.transform(made[mine], groups[mine])
        np.testing.assert_allclose(alone, filtered[mine], rtol=1e-9, atol=1e-9)


@each_filter
def test_precision_is_kept_and_rows_are_not_written_to(filter_):
    natural, made, groups = trajectories()
    fitted = clone(filter_).fit(natural, made, groups)
    single = made.astype(np.float32)
    before = single.copy()
    assert fitted.transform(single, groups).dtype == np.float32
    np.testing.assert_array_equal(single, before)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda f: f.fit([[1.0]], [[1.0, 2.0]]), "natural rows have shape"),
        (lambda f: f.fit([[np.nan]], [[1.0]]), "natural rows contain NaN"),
        (lambda f: f.fit(np.zeros((0, 1)), np.zeros((0, 1)), []), "nothing in them"),
        (lambda f: f.fit([[1.0]], [[1.0]]).transform([[1.0, 2.0]]), "fitted with 1"),
        (lambda f: f.set_params(exclude=(3,)).fit([[1.0]], [[1.0]]), "exclude="),
        (lambda f: f.set_params(exclude=[True]).fit([[1.0]], [[1.0]]), "exclude="),
        (lambda f: f.set_params(exclude=[0.0]).fit([[1.0]], [[1.0]]), "exclude="),
        (lambda f: f.set_params(exclude=["0"]).fit([[1.0]], [[1.0]]), "exclude="),
    ],
)
@pytest.mark.parametrize("kind", [GlobalVarianceFilter, ModulationSpectrumFilter])
def test_wrong_arguments(kind, call, match):
    with pytest.raises(ValueError, match=match):
        call(kind())


def test_wrong_parameters():
    rows = [[1.0], [2.0]]
    with pytest.raises(ValueError, match="around='row'"):
        GlobalVarianceFilter(around="row").fit(rows, rows)
    with pytest.raises(ValueError, match="strength=2"):
        ModulationSpectrumFilter(strength=2).fit(rows, rows)
    with pytest.raises(ValueError, match="longer than n_fft=1"):
        modulation_spectrum(rows, None, 1)
