"""Metrics against hand-computed values and independent formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter, periodogram
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.preprocessing import FunctionTransformer

from sklearn_drm.metrics import (
    mel_cepstral_distortion,
    modulation_spectrum_distance,
    pooled_r2,
    variance_ratio,
    variance_ratios,
    within_group_r2,
    x_score,
    y_score,
)
from sklearn_drm.swap_views import SwapViews
from sklearn_drm.two_view import TwoViewRegressor
from tests.stand_in import RidgePair
from tests.strategies import grouped_rows

METRICS = {
    "pooled_r2": pooled_r2,
    "variance_ratio": variance_ratio,
    "mel_cepstral_distortion": mel_cepstral_distortion,
    "within_group_r2": lambda true, predicted: within_group_r2(
        true, predicted, np.zeros(len(true))
    ),
}


def r2_one_group_at_a_time(true, predicted, groups):
    error = total = 0.0
    for group in set(groups.tolist()):
        t, p = true[groups == group], predicted[groups == group]
        error += np.sum(((t - t.mean(0)) - (p - p.mean(0))) ** 2)
        total += np.sum((t - t.mean(0)) ** 2)
    return 1 - error / total


def test_pooled_r2_by_hand():
    # error 1 + 4, total 9 + 16
    assert pooled_r2([[3.0, 4.0]], [[2.0, 2.0]]) == pytest.approx(0.8)
    # around 1: total 4 + 9
    assert pooled_r2([[3.0, 4.0]], [[2.0, 2.0]], reference=1) == pytest.approx(
        1 - 5 / 13
    )
    # a reference per column: total 1 + 0
    assert pooled_r2([[3.0, 4.0]], [[2.0, 2.0]], reference=[2.0, 4.0]) == pytest.approx(
        1 - 5 / 1
    )


@given(grouped_rows())
def test_pooled_r2_is_the_variance_weighted_r2_around_the_mean(rows):
    true, predicted, _ = rows
    expected = r2_score(true, predicted, multioutput="variance_weighted")
    found = pooled_r2(true, predicted, reference=true.mean(axis=0))
    assert found == pytest.approx(expected, abs=1e-10)


@given(grouped_rows())
def test_perfect_and_mean_predictions(rows):
    true, _, groups = rows
    means = np.broadcast_to(true.mean(axis=0), true.shape)
    assert pooled_r2(true, true) == 1
    assert pooled_r2(true, means, reference=true.mean(axis=0)) == pytest.approx(0)
    assert within_group_r2(true, true, groups) == 1
    assert within_group_r2(true, means, groups) == pytest.approx(0)
    assert variance_ratio(true, true) == 1
    assert variance_ratio(true, means) == pytest.approx(0)


@given(grouped_rows())
def test_grouped_metrics_against_a_loop(rows):
    true, predicted, groups = rows
    expected = r2_one_group_at_a_time(true, predicted, groups)
    assert within_group_r2(true, predicted, groups) == pytest.approx(expected)
    names = np.array([f"clip {g}" for g in groups])
    assert within_group_r2(true, predicted, names) == pytest.approx(expected)
    ratio = np.var(predicted, axis=0).sum() / np.var(true, axis=0).sum()
    assert variance_ratio(true, predicted) == pytest.approx(ratio)
    within = [
        np.sum(
            [
                np.var(v[groups == g], axis=0).sum() * np.sum(groups == g)
                for g in set(groups)
            ]
        )
        for v in (predicted, true)
    ]
    found = variance_ratio(true, predicted, groups=groups)
    assert found == pytest.approx(within[0] / within[1])


@given(grouped_rows(), st.floats(-100, 100), st.sampled_from([0.01, -3.0, 1e4]))
def test_invariance_to_shift_and_scale(rows, shift, scale):
    true, predicted, groups = rows
    moved, moved_prediction = shift + scale * true, shift + scale * predicted
    close = {"rel": 1e-6, "abs": 1e-6}
    assert pooled_r2(
        moved, moved_prediction, reference=shift + scale * true.mean(0)
    ) == pytest.approx(pooled_r2(true, predicted, reference=true.mean(0)), **close)
    assert within_group_r2(moved, moved_prediction, groups) == pytest.approx(
        within_group_r2(true, predicted, groups), **close
    )
    # a group's own offset, in the target or the prediction, is given away
    offsets = np.arange(groups.max() + 1.0)[groups, np.newaxis]
    assert within_group_r2(
        true + offsets, predicted - offsets, groups
    ) == pytest.approx(within_group_r2(true, predicted, groups), **close)
    assert variance_ratio(moved, shift + predicted) == pytest.approx(
        variance_ratio(true, predicted) / scale**2, **close
    )


def test_mel_cepstral_distortion_by_hand():
    # 10 √2 / ln 10 = 6.141851463713754, and ‖(3, 4)‖ = 5, ‖(0, 0)‖ = 0
    true = [[9.0, 3.0, 4.0], [1.0, 2.0, 3.0]]
    predicted = [[0.0, 0.0, 0.0], [5.0, 2.0, 3.0]]
    assert mel_cepstral_distortion(true, predicted) == pytest.approx(
        6.141851463713754 * 5 / 2
    )


def test_mel_cepstral_distortion_is_the_log_spectral_distance():
    # Parseval: with c0 equal, MCD is the root mean square difference of the log
    # spectra in dB over the (warped) frequency axis.
    rng = np.random.default_rng(0)
    true, predicted = rng.standard_normal((2, 1, 6))
    predicted[0, 0] = true[0, 0]
    omega = 2 * np.pi * np.arange(512) / 512
    # log |H| = c0 + Σ c_m cos mω, the convention of mel-cepstral analysis
    log_amplitude = (true - predicted) @ np.cos(np.outer(np.arange(6), omega))
    decibels = 20 / np.log(10) * log_amplitude
    assert mel_cepstral_distortion(true, predicted) == pytest.approx(
        np.sqrt(np.mean(decibels**2)), rel=1e-10
    )


def test_images_are_pooled_like_their_flattened_rows():
    rng = np.random.default_rng(0)
    true, predicted = rng.standard_normal((2, 7, 3, 4))
    groups = np.array([0, 0, 1, 1, 1, 0, 0])
    flat = [view.reshape(7, -1) for view in (true, predicted)]
    assert pooled_r2(true, predicted) == pytest.approx(pooled_r2(*flat))
    assert variance_ratio(true, predicted) == pytest.approx(variance_ratio(*flat))
    assert within_group_r2(true, predicted, groups) == pytest.approx(
        within_group_r2(*flat, groups)
    )


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("position", [0, 1])
def test_not_finite_is_an_error(name, bad, position):
    views = [np.arange(6.0).reshape(3, 2), np.arange(6.0).reshape(3, 2)]
    views[position][1, 1] = bad
    with pytest.raises(ValueError, match=r"y_true contains|y_pred contains"):
        METRICS[name](*views)


@pytest.mark.parametrize("name", METRICS)
def test_shapes_must_match(name):
    rows = np.arange(6.0).reshape(3, 2)
    with pytest.raises(ValueError, match="same shape"):
        METRICS[name](rows, rows[:2])
    with pytest.raises(ValueError, match="same shape"):
        METRICS[name](rows, rows[:, :1])
    with pytest.raises(ValueError, match="0 sample"):
        METRICS[name](rows[:0], rows[:0])


def test_other_bad_input():
    rows = np.arange(6.0).reshape(3, 2)
    with pytest.raises(ValueError, match="reference of shape"):
        pooled_r2(rows, rows, reference=[0.0, 0.0, 0.0])
    with pytest.raises(ValueError, match="reference contains"):
        pooled_r2(rows, rows, reference=np.nan)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        within_group_r2(rows, rows, [0, 1])
    with pytest.raises(ValueError, match="at least two columns"):
        mel_cepstral_distortion(rows[:, :1], rows[:, :1])
    with pytest.raises(ValueError, match="at least two columns"):
        mel_cepstral_distortion(rows[:, 0], rows[:, 0])


def test_no_variance():
    constant, other = np.ones((3, 2)), np.arange(6.0).reshape(3, 2)
    assert pooled_r2(constant, constant, reference=1) == 1
    assert pooled_r2(constant, other, reference=1) == 0
    assert within_group_r2(constant, constant + 5, [0, 0, 1]) == 1
    assert within_group_r2(constant, other, [0, 0, 1]) == 0
    with pytest.raises(ValueError, match="does not vary"):
        variance_ratio(constant, other)
    with pytest.raises(ValueError, match="inside any group"):
        variance_ratio(other, other, groups=[0, 1, 2])


def flattened(stack):
    return stack.reshape(len(stack), -1)


def test_scorers_on_images_match_a_fit_by_hand():
    rng = np.random.default_rng(0)
    speech = rng.standard_normal((60, 2))
    images = (
        speech @ rng.standard_normal((2, 12)) + 0.5 * rng.standard_normal((60, 12))
    ).reshape(60, 3, 4)
    model = TwoViewRegressor(RidgePair(), x_transformer=FunctionTransformer(flattened))
    train, test = np.arange(30, 60), np.arange(30)
    rows = flattened(images)
    by_hand = {
        "y": r2_score(
            speech[test], Ridge().fit(rows[train], speech[train]).predict(rows[test])
        ),
        "x": r2_score(
            rows[test], Ridge().fit(speech[train], rows[train]).predict(speech[test])
        ),
    }
    assert by_hand["x"] != pytest.approx(by_hand["y"])
    folds = [(train, test)]
    for estimator, X, y, view, scorer in [
        (model, images, speech, "y", y_score),
        (model, images, speech, "x", x_score),
        (SwapViews(model), speech, images, "x", y_score),
        (SwapViews(model), speech, images, "y", x_score),
    ]:
        found = cross_val_score(estimator, X, y, scoring=scorer, cv=folds)
        assert found == pytest.approx([by_hand[view]])


def test_scorers_in_a_grid_search():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    y = X @ rng.standard_normal((3, 3)) + 0.1 * rng.standard_normal((40, 3))
    search = GridSearchCV(
        TwoViewRegressor(RidgePair()),
        {"regressor__alpha": [1e-3, 1e4]},
        scoring={"speech": y_score, "lips": x_score},
        refit="lips",
        cv=3,
    ).fit(X, y)
    assert search.best_params_ == {"regressor__alpha": 1e-3}
    assert {"mean_test_speech", "mean_test_lips"} <= set(search.cv_results_)
    assert search.best_score_ == search.cv_results_["mean_test_lips"].max()


def test_x_score_of_a_one_way_estimator_says_so():
    X, y = np.arange(6.0).reshape(3, 2), np.arange(3.0)
    for one_way in (DummyRegressor(), TwoViewRegressor(DummyRegressor())):
        one_way.fit(X, y)
        assert y_score(one_way, X, y) == pytest.approx(0)
        with pytest.raises(TypeError, match="score_x"):
            x_score(one_way, X, y)


def test_variance_ratios_one_column_at_a_time():
    rng = np.random.default_rng(0)
    true, predicted = rng.normal(size=(2, 60, 4)) * [1, 2, 3, 4]
    groups = rng.integers(0, 3, 60)
    for column, (all_rows, inside) in enumerate(
        zip(
            variance_ratios(true, predicted),
            variance_ratios(true, predicted, groups),
            strict=True,
        )
    ):
        t, p = true[:, column], predicted[:, column]
        assert all_rows == pytest.approx(p.var() / t.var())
        assert inside == pytest.approx(variance_ratio(t, p, groups))


def test_a_still_column_has_no_variance_ratio():
    true = np.array([[1.0, 5.0], [2.0, 5.0]])
    with pytest.raises(ValueError, match="column 1 of y_true does not vary"):
        variance_ratios(true, true)


def test_modulation_spectra_against_periodograms():
    rng = np.random.default_rng(1)
    groups = np.repeat([0, 1, 2], [40, 25, 40])
    true = lfilter([1], [1, -0.5], rng.normal(size=(105, 3)), axis=0)
    predicted = lfilter([1], [1, -0.8], rng.normal(size=(105, 3)), axis=0)
    logs = []
    for rows in (true, predicted):
        spectra = [
            periodogram(
                rows[groups == g], detrend="constant", nfft=40, axis=0,
                return_onesided=False, scaling="density",
            )[1][1:21]
            for g in range(3)
        ]  # fmt: skip
        logs.append(np.mean([10 * np.log10(s) for s in spectra], axis=0))
    expected = np.sqrt(np.mean((logs[0] - logs[1]) ** 2))
    assert modulation_spectrum_distance(true, predicted, groups) == pytest.approx(
        expected
    )


def test_modulation_spectra_know_only_the_strength_of_movement():
    rng = np.random.default_rng(2)
    true, groups = rng.normal(size=(80, 2)), np.repeat([0, 1], 40)
    # Time reversed, moved and with its clips exchanged, it moves as strongly.
    assert modulation_spectrum_distance(true, true[::-1] + 7, groups) < 1e-9
    smooth = (true + np.roll(true, 1, axis=0)) / 2
    assert modulation_spectrum_distance(true, smooth, groups) > 5
    # A constant lies at the floor, 60 dB under the mean power of its column.
    still = modulation_spectrum_distance(true, 0 * true, groups)
    assert 50 < still < 60
    with pytest.raises(ValueError, match="no column of y_true varies"):
        modulation_spectrum_distance(0 * true + 3, true, groups)


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_r2_in_any_unit(unit):
    rng = np.random.default_rng(4)
    true, groups = rng.normal(size=(40, 2)), np.repeat([0, 1], 20)
    predicted = true + rng.normal(size=true.shape)
    assert pooled_r2(unit * true, unit * predicted) == pytest.approx(
        pooled_r2(true, predicted)
    )
    assert within_group_r2(unit * true, unit * predicted, groups) == pytest.approx(
        within_group_r2(true, predicted, groups)
    )


def test_missing_groups_are_named():
    with pytest.raises(ValueError, match="labels of one kind"):
        within_group_r2([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], ["a", None, "b"])


def test_still_groups_do_not_dilute_modulation_spectra():
    rng = np.random.default_rng(3)
    true, groups = rng.normal(size=(60, 2)), np.repeat([0, 1], 30)
    tenth = true / 10
    assert modulation_spectrum_distance(true, tenth, groups) == pytest.approx(20)
    # A clip of one row, and one in which the second column stands still.
    more = np.vstack([true, [[1.0, 2.0]], true[:30] * [1, 0]])
    labels = np.append(groups, [2] + [3] * 30)
    assert modulation_spectrum_distance(more, more / 10, labels) == pytest.approx(20)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e300, -7e-9])
def test_what_does_not_vary_is_found_where_its_mean_is_rounded(value):
    noise = np.random.default_rng(0).standard_normal(10)
    still = np.full(10, value)
    with pytest.raises(ValueError, match="does not vary"):
        variance_ratio(still, noise)
    with pytest.raises(ValueError, match="column 0 of y_true does not vary"):
        variance_ratios(np.column_stack([still, noise]), np.ones((10, 2)))
    assert within_group_r2(still, noise, np.zeros(10)) == 0.0
