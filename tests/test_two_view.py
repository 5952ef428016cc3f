"""TwoViewRegressor: the same as composing by hand, in both directions."""

from __future__ import annotations

import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, ParameterGrid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    StandardScaler,
)
from sklearn.utils import get_tags

from sklearn_drm import GGDRMRegressor, SwapViews
from sklearn_drm.two_view import TwoViewRegressor
from tests.stand_in import RidgePair
from tests.strategies import float_views, image_stacks, two_views


def columns(y):
    return y.reshape(len(y), -1)


def flattened(stack):
    return stack.reshape(len(stack), -1)


def linear_pair(n_rows=40, n_x=5, n_y=3, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, n_x)) * rng.uniform(0.1, 10, n_x) + 3
    y = X @ rng.standard_normal((n_x, n_y)) - 7
    return X, y + noise * rng.standard_normal(y.shape)


def scaled(regressor=None):
    return TwoViewRegressor(
        RidgePair() if regressor is None else regressor,
        x_transformer=StandardScaler(),
        y_transformer=MinMaxScaler(),
    )


@given(two_views())
def test_equals_the_composition_by_hand(views):
    X, y = views
    model = scaled().fit(X, y)
    x_scaler, y_scaler = StandardScaler().fit(X), MinMaxScaler().fit(columns(y))
    x_rows, y_rows = x_scaler.transform(X), y_scaler.transform(columns(y))
    forward, backward = Ridge().fit(x_rows, y_rows), Ridge().fit(y_rows, x_rows)

    def back(scaler, rows):  # Ridge ravels single columns
        return scaler.inverse_transform(columns(rows))

    y_by_hand = back(y_scaler, forward.predict(x_rows)).reshape(y.shape)
    x_by_hand = back(x_scaler, backward.predict(y_rows))
    close = {"rtol": 1e-3, "atol": 1e-4 * (1 + np.abs(X.astype(float)).max())}
    y_close = {"rtol": 1e-3, "atol": 1e-4 * (1 + np.abs(y.astype(float)).max())}
    np.testing.assert_allclose(model.predict_y(X), y_by_hand, **y_close)
    np.testing.assert_allclose(model.predict_x(y), x_by_hand, **close)
    assert model.predict(X).shape == y.shape
    assert model.predict_x(y).shape == X.shape


@given(float_views())
def test_without_transformers_it_is_the_regressor(views):
    X, y = views
    model, bare = TwoViewRegressor(RidgePair()).fit(X, y), RidgePair().fit(X, y)
    np.testing.assert_array_equal(model.predict(X), bare.predict(X))
    np.testing.assert_array_equal(model.predict_x(y), bare.predict_x(y))
    assert model.score(X, y) == bare.score(X, y)
    assert model.score_x(X, y) == bare.score_x(X, y)


@given(two_views(dtypes=("int16", "int64", "bool")))
def test_integers_and_booleans_count_as_numbers(views):
    X, y = views
    found = TwoViewRegressor(RidgePair()).fit(X, y)
    expected = TwoViewRegressor(RidgePair()).fit(X.astype(float), y.astype(float))
    np.testing.assert_allclose(found.predict(X), expected.predict(X.astype(float)))
    np.testing.assert_allclose(found.predict_x(y), expected.predict_x(y.astype(float)))


@given(float_views(exponents=(-1, 1)), st.randoms(use_true_random=False))
def test_rows_are_predicted_independently(views, random):
    X, y = views
    model = scaled().fit(X, y)
    order = list(range(len(X)))
    random.shuffle(order)
    cut = len(X) // 2
    for predict, view in [(model.predict_y, X), (model.predict_x, y)]:
        whole = predict(view)
        close = {"rtol": 1e-7, "atol": 1e-7 * np.abs(whole).max()}
        np.testing.assert_allclose(predict(view[order]), whole[order], **close)
        parts = np.concatenate([predict(view[:cut]), predict(view[cut:])])
        np.testing.assert_allclose(parts, whole, **close)


@given(float_views(exponents=(-1, 1)))
def test_noiseless_linear_views_come_back(views):
    X, _ = views
    y = 2 * X + 1
    model = scaled(RidgePair(alpha=1e-10)).fit(X, y)
    scale = np.abs(X).max()
    np.testing.assert_allclose(model.predict_y(X), y, atol=1e-5 * scale)
    np.testing.assert_allclose(model.predict_x(y), X, atol=1e-5 * scale)


@given(image_stacks())
def test_images_come_back_in_their_shape(images):
    speech = columns(images.astype(float))[:, :2]
    model = TwoViewRegressor(
        RidgePair(alpha=1e-8), x_transformer=FunctionTransformer(flattened)
    ).fit(images, speech)
    lips = model.predict_x(speech)
    assert lips.shape == images.shape
    assert model.x_shape_ == images.shape[1:]
    assert model.n_features_in_ == images[0].size
    # the pixels that speech is a copy of come back in their places
    np.testing.assert_allclose(columns(lips)[:, :2], speech, atol=1e-3)
    np.testing.assert_allclose(model.predict_y(images), speech, atol=1e-3)


def test_lip_images_through_dct_pca_and_scaler():
    lip_dct = pytest.importorskip("drm_transformers.lip_dct")
    rng = np.random.default_rng(0)
    speech = rng.standard_normal((60, 3))
    shapes = rng.standard_normal((3, 8, 10))
    lips = 128 + np.einsum("nk,khw->nhw", speech, shapes)
    model = TwoViewRegressor(
        RidgePair(alpha=1e-6),
        x_transformer=make_pipeline(
            lip_dct.LipDCTTransformer(n_coefficients=80), PCA(3), StandardScaler()
        ),
        y_transformer=StandardScaler(),
    ).fit(lips, speech)
    # three articulators draw the images, so three components hold all of them
    np.testing.assert_allclose(model.predict_x(speech), lips, atol=1e-3)
    np.testing.assert_allclose(model.predict_y(lips), speech, atol=1e-3)
    _, std = model.predict_x(speech, return_std=True)
    assert std.shape == lips.shape
    assert get_tags(model).input_tags.three_d_array
    np.testing.assert_allclose(model.predict_y(flattened(lips)), speech, atol=1e-3)


def test_a_flat_inverse_is_given_the_shape_of_the_images():
    X = np.random.default_rng(0).random((20, 2, 3, 4))
    flatten = FunctionTransformer(flattened)  # its inverse leaves the rows flat
    model = TwoViewRegressor(LinearRegression(), y_transformer=flatten)
    assert model.fit(X[:, 0, 0], X).predict(X[:, 0, 0]).shape == X.shape


@pytest.mark.parametrize("shape", [(20,), (20, 1), (20, 3)])
def test_target_dimensions(shape):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 4)), rng.standard_normal(shape)
    for model in (TwoViewRegressor(RidgePair()), scaled()):
        model.fit(X, y)
        assert model.predict(X).shape == shape
        assert model.predict_x(y).shape == X.shape
        assert model.sample_y(X, 5).shape == (5, *shape)
        assert model.sample_x(y, 5).shape == (5, *X.shape)
        assert [draws.shape for draws in model.sample(7)] == [(7, 4), (7, *shape[1:])]
        assert model.n_outputs_ == int(np.prod(shape[1:]))
        assert model.predict_y(X, return_std=True)[1].shape == shape
        if shape != (20, 3):  # one column is one column
            for other in (y.ravel(), y.reshape(-1, 1)):
                np.testing.assert_allclose(model.predict_x(other), model.predict_x(y))


def test_draws_are_mapped_back():
    X, y = linear_pair()
    model = scaled().fit(X, y)
    rows = model.x_transformer_.transform(X)
    inner = model.regressor_.sample_y(rows, 4, random_state=3)
    by_hand = np.stack([model.y_transformer_.inverse_transform(d) for d in inner])
    np.testing.assert_allclose(model.sample_y(X, 4, random_state=3), by_hand)
    assert not np.allclose(model.sample_y(X, 4), by_hand)
    draws = model.sample_x(y, 2000)
    np.testing.assert_allclose(
        draws.mean(axis=0), model.predict_x(y), atol=0.15 * X.std()
    )


def test_methods_that_see_the_transformed_views():
    X, y = linear_pair()
    model = scaled().fit(X, y)
    x_rows, y_rows = (
        model.x_transformer_.transform(X),
        model.y_transformer_.transform(y),
    )
    np.testing.assert_allclose(model.transform_x(X), x_rows + 1)
    np.testing.assert_allclose(model.transform_y(y), y_rows - 1)
    np.testing.assert_allclose(
        model.transform_pair(X, y), np.hstack([x_rows + 1, y_rows - 1])
    )
    alone, target = (x_rows**2).sum(axis=1), 2 * (y_rows**2).sum(axis=1)
    np.testing.assert_allclose(model.score_samples(X), -alone)
    np.testing.assert_allclose(model.score_samples(X, y), -alone - target)
    np.testing.assert_allclose(model.score_samples(None, y), -target)
    assert model.log_partition() == "log Z"


def test_methods_exist_where_the_regressor_has_them():
    two_way = [
        "predict_x", "score_x", "sample_x", "sample_y", "sample", "score_samples",
        "log_partition", "transform_x", "transform_y", "transform_pair",
    ]  # fmt: skip
    X, y = linear_pair()
    one, both = TwoViewRegressor(Ridge()), TwoViewRegressor(RidgePair())
    for fitted in (False, True):
        if fitted:
            one.fit(X, y)
            both.fit(X, y)
        assert [name for name in two_way if hasattr(one, name)] == []
        assert [name for name in two_way if hasattr(both, name)] == two_way
    with pytest.raises(AttributeError, match="has no attribute 'predict_x'"):
        one.predict_x(y)
    np.testing.assert_allclose(one.predict_y(X), Ridge().fit(X, y).predict(X))
    assert not hasattr(both, "transform")  # it would no longer be a regressor


def test_score_compares_in_the_transformed_space():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 2))
    y = np.exp(3 * X + rng.standard_normal((50, 2)))
    model = TwoViewRegressor(
        RidgePair(), y_transformer=FunctionTransformer(np.log, np.exp)
    ).fit(X, y)
    log_prediction = Ridge().fit(X, np.log(y)).predict(X)
    in_logs = r2_score(np.log(y), log_prediction)
    as_they_are = r2_score(y, np.exp(log_prediction))
    assert abs(in_logs - as_they_are) > 0.05
    assert model.score(X, y) == pytest.approx(in_logs)
    assert model.score(X, y, space="original") == pytest.approx(as_they_are)
    np.testing.assert_allclose(model.predict(X, space="transformed"), log_prediction)
    weight = rng.random(50)
    for space, truth, prediction in [
        ("transformed", np.log(y), log_prediction),
        ("original", y, np.exp(log_prediction)),
    ]:
        assert model.score(X, y, weight, space=space) == pytest.approx(
            r2_score(truth, prediction, sample_weight=weight)
        )
    backward = r2_score(X, Ridge().fit(np.log(y), X).predict(np.log(y)))
    assert model.score_x(X, y) == pytest.approx(backward)
    assert model.score_x(X, y, space="original") == pytest.approx(backward)
    with pytest.raises(ValueError, match="space must be"):
        model.score(X, y, space="waveform")


class OnlyForward(TransformerMixin, BaseEstimator):
    """A transformer with no way back."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return np.asarray(X)[:, :1]


def test_a_transformer_without_an_inverse():
    X, y = linear_pair()
    model = TwoViewRegressor(RidgePair(), x_transformer=OnlyForward()).fit(X, y)
    assert model.predict_y(X).shape == y.shape
    assert model.predict_x(y, space="transformed").shape == (len(X), 1)
    assert np.isfinite(model.score_x(X, y))
    with pytest.raises(
        TypeError, match=r"x_transformer \(OnlyForward\) has no inverse"
    ):
        model.predict_x(y)


def test_data_frames_keep_their_names():
    X, y = linear_pair(n_x=3, n_y=2)
    lips = pd.DataFrame(X, columns=["width", "height", "area"])
    speech = pd.DataFrame(y, columns=["c0", "c1"])
    model = scaled().fit(lips, speech)
    assert list(model.feature_names_in_) == ["width", "height", "area"]
    assert list(model.target_names_in_) == ["c0", "c1"]
    np.testing.assert_allclose(model.predict_y(lips), scaled().fit(X, y).predict_y(X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict_y(lips[["area", "width", "height"]])
    with pytest.raises(ValueError, match="column names of y should match"):
        model.predict_x(speech[["c1", "c0"]])
    model.fit(X, y)
    assert not hasattr(model, "target_names_in_")
    assert not hasattr(model, "feature_names_in_")


def test_a_frame_of_several_kinds_reaches_its_transformer():
    X, y = linear_pair(n_x=2)
    frame = pd.DataFrame(X, columns=["width", "height"])
    frame["speaker"] = np.where(X[:, 0] > X[:, 0].mean(), "s1", "s2")
    model = TwoViewRegressor(
        Ridge(),
        x_transformer=make_column_transformer(
            (StandardScaler(), ["width", "height"]),
            (OneHotEncoder(sparse_output=False), ["speaker"]),
        ),
    ).fit(frame, y)
    assert model.regressor_.n_features_in_ == 4
    assert model.n_features_in_ == 3
    assert model.predict(frame).shape == y.shape


class Counting(StandardScaler):
    """A scaler that counts its fits."""

    n_fits = 0

    def fit(self, X, y=None, sample_weight=None):
        type(self).n_fits += 1
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("caching", [False, True])
def test_memory_transforms_once(tmp_path, caching):
    X, y = linear_pair()
    Counting.n_fits = 0
    for params in ParameterGrid({"regressor__alpha": [0.1, 1.0, 10.0]}):
        model = TwoViewRegressor(
            RidgePair(),
            x_transformer=Counting(),
            memory=str(tmp_path) if caching else None,
        )
        model.set_params(**params).fit(X, y)
        expected = TwoViewRegressor(
            RidgePair(params["regressor__alpha"]), x_transformer=StandardScaler()
        )
        np.testing.assert_allclose(model.predict(X), expected.fit(X, y).predict(X))
    assert Counting.n_fits == (1 if caching else 3)


def test_fit_leaves_the_parameters_alone():
    X, y = linear_pair()
    model = scaled()
    before = {name: repr(value) for name, value in model.get_params().items()}
    regressor, transformer = model.regressor, model.x_transformer
    model.fit(X, y)
    after = {name: repr(value) for name, value in model.get_params().items()}
    assert before == after
    assert model.regressor is regressor and model.x_transformer is transformer
    for part in (regressor, transformer):
        with pytest.raises(NotFittedError):
            part.predict(X) if part is regressor else part.transform(X)
    clone(model)


class Remembers(RidgePair):
    """Predicts the targets it keeps, without copying them."""

    def fit(self, X, y, sample_weight=None, groups=None):
        self.kept_ = y.copy()
        return super().fit(X, y, sample_weight, groups)

    def predict_y(self, X, return_std=False):
        return self.kept_


def test_in_place_inverses_leave_the_regressor_alone():
    X, y = linear_pair()
    model = TwoViewRegressor(Remembers(), y_transformer=StandardScaler(copy=False))
    model.fit(X, y.copy())
    for _ in range(2):
        np.testing.assert_allclose(model.predict_y(X), y)


def test_dump_and_load_in_a_new_process(tmp_path):
    X, y = linear_pair()
    model = scaled().fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    np.savez(tmp_path / "views.npz", X=X, y=y)
    code = (
        "import joblib, numpy as np\n"
        "model, views = joblib.load('model.joblib'), np.load('views.npz')\n"
        "np.savez('out.npz', y=model.predict_y(views['X']),"
        " x=model.predict_x(views['y']))\n"
    )
    path = f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}\n"
    subprocess.run([sys.executable, "-c", path + code], check=True, cwd=tmp_path)
    found = np.load(tmp_path / "out.npz")
    np.testing.assert_array_equal(found["y"], model.predict_y(X))
    np.testing.assert_array_equal(found["x"], model.predict_x(y))


def test_grid_search_varies_parts_and_parameters():
    X, y = linear_pair(60, 6, 3)
    search = GridSearchCV(
        scaled(),
        {
            "regressor__alpha": [1e-3, 1e5],
            "x_transformer": [None, PCA(6)],
        },
        cv=3,
    ).fit(X, y)
    assert search.best_params_["regressor__alpha"] == 1e-3
    assert len(search.cv_results_["params"]) == 4


def test_random_state_seeds_what_has_no_seed_of_its_own():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 4)), rng.normal(size=(40, 2))
    inner = GGDRMRegressor(n_hidden_units=4, fine_tune_epochs=2, pretrain_epochs=1)
    for build in (TwoViewRegressor, SwapViews):
        a, b = (build(inner, random_state=3).fit(x, y).predict(x) for _ in range(2))
        np.testing.assert_array_equal(a, b)
        assert inner.random_state is None
    own = TwoViewRegressor(inner.set_params(random_state=5), random_state=3).fit(x, y)
    assert own.regressor_.random_state == 5
