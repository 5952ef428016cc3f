"""SwapViews: the reverse direction, exactly the inner estimator's own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import get_tags

from sklearn_drm.swap_views import SwapViews
from sklearn_drm.two_view import TwoViewRegressor
from tests.stand_in import RidgePair
from tests.strategies import float_views


def flattened(stack):
    return stack.reshape(len(stack), -1)


def scaled():
    return TwoViewRegressor(
        RidgePair(), x_transformer=StandardScaler(), y_transformer=StandardScaler()
    )


@settings(max_examples=25)
@given(float_views(one_d_target=False))
def test_swapped_is_the_model_fitted_the_other_way(views):
    X, y = views
    for make in (RidgePair, scaled):
        reverse, model = SwapViews(make()).fit(X, y), make().fit(y, X)
        np.testing.assert_array_equal(reverse.predict(X), model.predict_x(X))
        np.testing.assert_array_equal(reverse.predict_y(X), model.predict_x(X))
        np.testing.assert_array_equal(reverse.predict_x(y), model.predict_y(y))
        assert reverse.score(X, y) == model.score_x(y, X)
        assert reverse.score_x(X, y) == model.score(y, X)
        np.testing.assert_array_equal(reverse.transform_x(X), model.transform_y(X))
        np.testing.assert_array_equal(reverse.transform_y(y), model.transform_x(y))
        np.testing.assert_array_equal(
            reverse.transform_pair(X, y), model.transform_pair(y, X)
        )
        for pair in [(X, y), (X, None), (None, y)]:
            np.testing.assert_array_equal(
                reverse.score_samples(*pair), model.score_samples(*pair[::-1])
            )
        np.testing.assert_array_equal(
            reverse.sample_y(X, 3, random_state=1), model.sample_x(X, 3, random_state=1)
        )
        np.testing.assert_array_equal(
            reverse.sample_x(y, 3, random_state=1), model.sample_y(y, 3, random_state=1)
        )
        for found, expected in zip(
            reverse.sample(3), model.sample(3)[::-1], strict=True
        ):
            np.testing.assert_array_equal(found, expected)
        for found, expected in zip(
            [*reverse.predict(X, return_std=True), *reverse.predict_x(y, True)],
            [*model.predict_x(X, return_std=True), *model.predict_y(y, True)],
            strict=True,
        ):
            np.testing.assert_array_equal(found, expected)


@settings(max_examples=25)
@given(float_views())
def test_swapping_twice_changes_nothing(views):
    X, y = views
    twice, model = SwapViews(SwapViews(scaled())).fit(X, y), scaled().fit(X, y)
    np.testing.assert_allclose(twice.predict(X), model.predict(X))
    np.testing.assert_allclose(twice.predict_x(y), model.predict_x(y))
    assert twice.score(X, y) == pytest.approx(model.score(X, y))


@pytest.mark.parametrize("estimator", [RidgePair(), scaled()], ids=["bare", "scaled"])
def test_a_1d_target_stays_1d(estimator):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    reverse = SwapViews(estimator).fit(X, y)
    mean, std = reverse.predict(X, return_std=True)
    assert mean.shape == std.shape == (20,)
    assert reverse.predict_x(y).shape == X.shape
    assert reverse.sample_y(X, 4).shape == (4, 20)
    assert reverse.sample(4)[1].shape == (4,)
    assert reverse.n_outputs_ == 1
    assert np.isfinite(reverse.score(X, y)) and np.isfinite(reverse.score_x(X, y))
    with pytest.raises(ValueError, match="Reshape your data"):
        reverse.predict(X[:, 0])
    with pytest.raises(ValueError, match="Reshape your data"):
        SwapViews(estimator).fit(X[:, 0], y)


def test_it_owns_the_names_of_its_views():
    rng = np.random.default_rng(0)
    speech = pd.DataFrame(rng.standard_normal((20, 2)), columns=["c0", "c1"])
    lips = pd.DataFrame(rng.standard_normal((20, 3)), columns=list("abc"))
    for estimator in (RidgePair(), scaled()):
        reverse = SwapViews(estimator).fit(speech, lips)
        assert list(reverse.feature_names_in_) == ["c0", "c1"]
        assert list(reverse.target_names_in_) == ["a", "b", "c"]
        assert (reverse.n_features_in_, reverse.n_outputs_) == (2, 3)
        with pytest.raises(ValueError, match="feature names"):
            reverse.predict(speech[["c1", "c0"]])
    inner = SwapViews(scaled()).fit(speech, lips).estimator_
    assert list(inner.feature_names_in_) == ["a", "b", "c"]
    reverse.fit(speech.to_numpy(), lips.to_numpy())
    assert not hasattr(reverse, "target_names_in_")


def test_images_as_targets_in_cross_validation_and_grid_search():
    rng = np.random.default_rng(0)
    speech = rng.standard_normal((40, 3))
    lips = np.einsum("nk,khw->nhw", speech, rng.standard_normal((3, 4, 5)))
    model = TwoViewRegressor(
        RidgePair(),
        x_transformer=make_pipeline(FunctionTransformer(flattened), StandardScaler()),
    )
    folds = KFold(4)
    found = cross_val_predict(SwapViews(model), speech, lips, cv=folds)
    assert found.shape == lips.shape
    by_hand = np.empty_like(lips)
    for train, test in folds.split(speech):
        scaler = StandardScaler().fit(flattened(lips[train]))
        ridge = Ridge().fit(speech[train], scaler.transform(flattened(lips[train])))
        rows = scaler.inverse_transform(ridge.predict(speech[test]))
        by_hand[test] = rows.reshape(-1, 4, 5)
    np.testing.assert_allclose(found, by_hand)
    search = GridSearchCV(
        SwapViews(model), {"estimator__regressor__alpha": [1e-3, 1e4]}, cv=folds
    ).fit(speech, lips)
    assert search.best_params_ == {"estimator__regressor__alpha": 1e-3}
    assert search.predict(speech).shape == lips.shape
    assert not get_tags(SwapViews(model)).input_tags.three_d_array
    images_first = TwoViewRegressor(
        RidgePair(), y_transformer=FunctionTransformer(flattened)
    )
    assert get_tags(SwapViews(images_first)).input_tags.three_d_array
    assert SwapViews(images_first).fit(lips, speech).predict(lips).shape == (40, 3)


class NoScoreX(RidgePair):
    """A two-way regressor without score_x, as others may write it."""

    score_x = property()


def test_score_without_the_estimators_own():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 3))
    y = X @ rng.standard_normal((3, 2)) + rng.standard_normal((30, 2))
    weight = rng.random(30)
    plain, reverse = SwapViews(RidgePair()), SwapViews(NoScoreX())
    assert not hasattr(NoScoreX(), "score_x")
    assert reverse.fit(X, y).score(X, y, weight) == pytest.approx(
        plain.fit(X, y).score(X, y, weight)
    )


def test_methods_exist_where_the_estimator_has_their_mirror():
    assert not hasattr(SwapViews(Ridge()), "sample_y")
    assert hasattr(SwapViews(RidgePair()), "sample_y")
    one_sided = type("OneSided", (RidgePair,), {"sample_x": property()})()
    assert not hasattr(SwapViews(one_sided), "sample_y")
    assert hasattr(SwapViews(one_sided), "sample_x")
