"""groups and sample_weight reach the regressor, with and without routing."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
from sklearn import config_context
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.fixes import parse_version

from sklearn_drm.swap_views import SwapViews
from sklearn_drm.two_view import TwoViewRegressor
from tests.stand_in import RidgePair

RNG = np.random.default_rng(0)
LIPS = RNG.random((50, 3, 4))
SPEECH = LIPS[:, 0, :3] + 0.1 * RNG.standard_normal((50, 3))
CLIPS = np.repeat(np.arange(10), 5)
WEIGHT = RNG.uniform(0.5, 2, 50)


def flattened(stack):
    return stack.reshape(len(stack), -1)


def two_view(regressor):
    return TwoViewRegressor(
        regressor,
        x_transformer=FunctionTransformer(flattened),
        y_transformer=StandardScaler(),
    )


def ways(regressor):
    """Both directions: model, its X, its y, and where its regressor sits."""
    model = two_view(regressor)
    yield model, LIPS, SPEECH, "regressor__alpha", lambda m: m.regressor_
    yield (
        SwapViews(model),
        SPEECH,
        LIPS,
        "estimator__regressor__alpha",
        lambda m: m.estimator_.regressor_,
    )


def test_without_routing_fit_passes_on_what_it_is_given():
    for model, X, y, _, inner in ways(RidgePair()):
        model.fit(X, y, sample_weight=WEIGHT, groups=CLIPS)
        np.testing.assert_array_equal(inner(model).saw_weight_, WEIGHT)
        np.testing.assert_array_equal(inner(model).saw_groups_, CLIPS)
        model.fit(X, y)
        assert inner(model).saw_weight_ is None and inner(model).saw_groups_ is None


def test_weights_count_as_repetitions():
    times = np.random.default_rng(1).integers(0, 3, 50)
    for model, X, y, _, _ in ways(RidgePair()):
        model.set_params(
            **{n: None for n in model.get_params() if n.endswith("y_transformer")}
        )
        weighted = model.fit(X, y, sample_weight=times).predict(X)
        repeated = model.fit(np.repeat(X, times, 0), np.repeat(y, times, 0)).predict(X)
        np.testing.assert_allclose(weighted, repeated)


def test_without_routing_a_grid_search_keeps_groups_for_the_splitter():
    for model, X, y, alpha, inner in ways(RidgePair()):
        search = GridSearchCV(model, {alpha: [1e-3, 1e5]}, cv=GroupKFold(5))
        search.fit(X, y, groups=CLIPS, sample_weight=WEIGHT)
        assert inner(search.best_estimator_).saw_groups_ is None
        np.testing.assert_array_equal(inner(search.best_estimator_).saw_weight_, WEIGHT)
        assert search.best_params_ == {alpha: 1e-3}
    # with a regressor whose fit knows no groups as well
    search = GridSearchCV(
        two_view(Ridge()), {"regressor__alpha": [1]}, cv=GroupKFold(5)
    )
    search.fit(LIPS, SPEECH, groups=CLIPS)


def test_with_routing_both_the_splitter_and_the_regressor_get_groups():
    with config_context(enable_metadata_routing=True):
        regressor = RidgePair().set_fit_request(groups=True, sample_weight=True)
        for model, X, y, alpha, inner in ways(regressor):
            search = GridSearchCV(
                model, {alpha: [1e-3]}, cv=GroupKFold(5), scoring=lambda m, X, y: 0.0
            ).fit(X, y, groups=CLIPS, sample_weight=WEIGHT)
            saw = inner(search.best_estimator_)
            np.testing.assert_array_equal(saw.saw_groups_, CLIPS)
            np.testing.assert_array_equal(saw.saw_weight_, WEIGHT)
            folds = cross_validate(
                model,
                X,
                y,
                cv=GroupKFold(5),
                params={"groups": CLIPS},
                scoring=lambda m, X, y: 0.0,
                return_estimator=True,
            )
            for fold in folds["estimator"]:
                assert len(np.unique(inner(fold).saw_groups_)) == 8


def test_with_routing_nothing_unrequested_is_passed():
    with config_context(enable_metadata_routing=True):
        regressor = RidgePair().set_fit_request(groups=False)
        for model, X, y, alpha, inner in ways(regressor):
            search = GridSearchCV(model, {alpha: [1]}, cv=GroupKFold(5))
            search.fit(X, y, groups=CLIPS)
            assert inner(search.best_estimator_).saw_groups_ is None
        for model, X, y, _, _ in ways(RidgePair()):
            model.fit(X, y)
            with pytest.raises(UnsetMetadataPassedError, match="groups"):
                model.fit(X, y, groups=CLIPS)


def test_with_routing_weights_reach_the_score():
    fold = [(np.arange(30), np.arange(30, 50))]
    with config_context(enable_metadata_routing=True):
        regressor = RidgePair().set_fit_request(sample_weight=False)
        forward = two_view(regressor.set_score_request(sample_weight=True))
        reverse = SwapViews(two_view(RidgePair().set_fit_request(sample_weight=False)))
        reverse.set_score_request(sample_weight=True)
        ways = [(reverse, SPEECH, LIPS)]
        if parse_version(sklearn.__version__) >= parse_version("1.8"):
            # scikit-learn 1.7 routes nothing to the default score of a router.
            ways.append((forward, LIPS, SPEECH))
        for model, X, y in ways:
            result = cross_validate(
                model, X, y, cv=fold, params={"sample_weight": WEIGHT}
            )
            by_hand = model.fit(X[:30], y[:30])
            weighted = by_hand.score(X[30:], y[30:], sample_weight=WEIGHT[30:])
            assert result["test_score"] == pytest.approx([weighted])
            assert weighted != pytest.approx(by_hand.score(X[30:], y[30:]))


def test_the_composition_itself_requests_nothing():
    with config_context(enable_metadata_routing=True):
        model = two_view(RidgePair())
        for name in ("set_fit_request", "set_predict_request", "set_score_request"):
            assert not hasattr(model, name)
        assert not hasattr(SwapViews(model), "set_fit_request")
        assert "regressor" in str(model.get_metadata_routing())
