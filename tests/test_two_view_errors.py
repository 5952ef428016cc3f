"""TwoViewRegressor and SwapViews: what they refuse, and what they say about it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import get_tags

from drm_transformers import LipDCTTransformer
from sklearn_drm.swap_views import SwapViews
from sklearn_drm.two_view import TwoViewRegressor
from tests.stand_in import RidgePair

X = np.random.default_rng(0).standard_normal((20, 3))
Y = np.random.default_rng(1).standard_normal((20, 2))
MODELS = {
    "plain": TwoViewRegressor(RidgePair()),
    "scaled": TwoViewRegressor(
        RidgePair(), x_transformer=StandardScaler(), y_transformer=StandardScaler()
    ),
    "swapped": SwapViews(RidgePair()),
    "swapped scaled": SwapViews(
        TwoViewRegressor(
            RidgePair(), x_transformer=StandardScaler(), y_transformer=StandardScaler()
        )
    ),
}
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


def spoilt(view, value):
    bad = view.copy()
    bad[1, 1] = value
    return bad


@every_model
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(model, value):
    with pytest.raises(ValueError, match="NaN|infinity"):
        model.fit(spoilt(X, value), Y)
    with pytest.raises(ValueError, match="NaN|infinity"):
        model.fit(X, spoilt(Y, value))
    model.fit(X, Y)
    with pytest.raises(ValueError, match="NaN|infinity"):
        model.predict(spoilt(X, value))
    with pytest.raises(ValueError, match="NaN|infinity"):
        model.predict_x(spoilt(Y, value))


@every_model
def test_shapes(model):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(X, Y[:-1])
    with pytest.raises(ValueError, match="0 sample"):
        model.fit(X[:0], Y[:0])
    with pytest.raises(ValueError, match="requires y to be passed"):
        model.fit(X, None)
    model.fit(X, Y)
    with pytest.raises(ValueError, match="expecting 3 features"):
        model.predict(X[:, :2])
    with pytest.raises(ValueError, match="expecting 2 features"):
        model.predict_x(np.hstack([Y, Y]))


@every_model
def test_three_dimensional_views_need_a_transformer(model):
    images = np.zeros((20, 4, 4))
    with pytest.raises(ValueError, match="dim 3|2D array|2-dimensional|expected <= 2"):
        model.fit(images, Y)
    with pytest.raises(ValueError, match="dim 3|2D array|2-dimensional|expected <= 2"):
        model.fit(X, images)
    assert not get_tags(model).input_tags.three_d_array


@every_model
def test_not_fitted(model):
    model = clone(model)
    calls = [
        lambda: model.predict(X),
        lambda: model.predict_y(X),
        lambda: model.predict_x(Y),
        lambda: model.score(X, Y),
        lambda: model.score_x(X, Y),
        lambda: model.sample_y(X),
        lambda: model.sample_x(Y),
        lambda: model.sample(),
        lambda: model.score_samples(X, Y),
        lambda: model.transform_x(X),
        lambda: model.transform_y(Y),
        lambda: model.transform_pair(X, Y),
        lambda: model.log_partition(),
    ]
    for call in calls:
        with pytest.raises(NotFittedError):
            call()


def test_sparse_and_text_without_a_transformer():
    with pytest.raises(TypeError, match="Sparse data was passed"):
        TwoViewRegressor(RidgePair()).fit(sparse.csr_array(X), Y)
    with pytest.raises(ValueError, match="could not convert string"):
        TwoViewRegressor(RidgePair()).fit(np.full(X.shape, "lips"), Y)


class Drops(TransformerMixin, BaseEstimator):
    """A transformer that loses a row, or its senses."""

    def __init__(self, how):
        self.how = how

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        if self.how == "a row":
            return X[1:]
        if self.how == "finiteness":
            return X * np.nan
        return X[:, :, np.newaxis]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("a row", "turned 20 rows into 19"),
        ("finiteness", "the transformed x contains NaN"),
        ("flatness", "dim 3|expected <= 2"),
    ],
)
def test_what_a_transformer_gives_is_checked(how, message):
    with pytest.raises(ValueError, match=message):
        TwoViewRegressor(RidgePair(), x_transformer=Drops(how)).fit(X, Y)


def test_parts_without_the_methods_they_need():
    with pytest.raises(TypeError, match="regressor must have the methods"):
        TwoViewRegressor(StandardScaler()).fit(X, Y)
    for wrong in (Ridge(), "passthrough"):
        with pytest.raises(TypeError, match="y_transformer must be None or have"):
            TwoViewRegressor(RidgePair(), y_transformer=wrong).fit(X, Y)
    with pytest.raises(TypeError, match="Ridge.* has no predict_x"):
        SwapViews(Ridge()).fit(X, Y)
    with pytest.raises(TypeError, match="has no predict_x"):
        SwapViews(TwoViewRegressor(Ridge())).fit(X, Y)


def test_metadata_that_the_regressor_does_not_take():
    ones = np.ones(20)
    with pytest.raises(ValueError, match="Ridge.fit takes no groups"):
        TwoViewRegressor(Ridge()).fit(X, Y, groups=ones)
    with pytest.raises(ValueError, match="KNeighborsRegressor.fit takes no sample"):
        TwoViewRegressor(KNeighborsRegressor()).fit(X, Y, sample_weight=ones)


def test_return_std_that_cannot_be_had():
    one_way = TwoViewRegressor(Ridge()).fit(X, Y)
    with pytest.raises(ValueError, match="Ridge.predict gives no standard deviations"):
        one_way.predict_y(X, return_std=True)
    curved = TwoViewRegressor(
        RidgePair(), y_transformer=FunctionTransformer(np.arctan, np.tan)
    ).fit(X, Y)
    with pytest.raises(ValueError, match="an affine inverse.*space='transformed'"):
        curved.predict_y(X, return_std=True)
    mean, std = curved.predict_y(X, return_std=True, space="transformed")
    assert mean.shape == std.shape == Y.shape
    curved.predict_x(Y, return_std=True)  # x has no transformer


def test_read_only_memory_maps(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    mapped = [np.load(tmp_path / f"{v}.npy", mmap_mode="r") for v in "xy"]
    for model in MODELS.values():
        expected = model.fit(X, Y).predict(X)
        np.testing.assert_array_equal(model.fit(*mapped).predict(mapped[0]), expected)


def test_images_of_another_shape_are_refused():
    images = np.random.default_rng(0).random((20, 4, 5))
    model = TwoViewRegressor(RidgePair(), x_transformer=LipDCTTransformer()).fit(
        images, images[:, 0]
    )
    plain = TwoViewRegressor(
        RidgePair(),
        y_transformer=FunctionTransformer(
            lambda z: np.reshape(z, (len(z), -1)), lambda z: z, check_inverse=False
        ),
    ).fit(images[:, 0], images)
    turned = images.transpose(0, 2, 1)
    with pytest.raises(ValueError, match=r"5 x 4|shape \(5, 4\)"):
        model.predict(turned)
    with pytest.raises(ValueError, match=r"rows of shape \(5, 4\).*\(4, 5\)"):
        plain.predict_x(turned)
    assert plain.predict_x(images.reshape(20, 20)).shape == (20, 5)


def test_scores_in_the_original_space_refuse_columns_in_another_order():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.random((20, 3)), columns=[*"abc"])
    y = pd.DataFrame(rng.random((20, 2)), columns=[*"uv"])
    model = TwoViewRegressor(RidgePair()).fit(X, y)
    for space in ("original", "transformed"):
        with pytest.raises(ValueError, match="column names of y"):
            model.score(X, y[[*"vu"]], space=space)
        with pytest.raises(ValueError, match=r"(?i)names"):
            model.score_x(X[[*"bac"]], y, space=space)
