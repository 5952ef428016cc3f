"""Standard deviations through affine inverses, against covariance algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from sklearn_drm.fitted_view import AffineMap, affine_map
from sklearn_drm.two_view import TwoViewRegressor
from tests.stand_in import RidgePair
from tests.strategies import float_views


def views(seed=0, n_rows=50):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, 3))
    mixing = rng.standard_normal((3, 6))
    return X, X @ mixing * [1, 1e3, 1e-3, 1, 5, 2] + rng.standard_normal((n_rows, 6))


@given(float_views(one_d_target=False))
def test_scalers_multiply(pair):
    X, y = pair
    model = TwoViewRegressor(RidgePair(), y_transformer=StandardScaler()).fit(X, y)
    _, inner = model.predict_y(X, return_std=True, space="transformed")
    mean, std = model.predict_y(X, return_std=True)
    np.testing.assert_allclose(std, inner * model.y_transformer_.scale_, rtol=1e-6)
    np.testing.assert_array_equal(mean, model.predict_y(X))


def test_pca_by_its_covariance():
    X, y = views()
    pca = PCA(4, whiten=True)
    model = TwoViewRegressor(RidgePair(), y_transformer=pca).fit(X, y)
    _, inner = model.predict_y(X, return_std=True, space="transformed")
    _, std = model.predict_y(X, return_std=True)
    fitted = model.y_transformer_
    basis = fitted.components_ * np.sqrt(fitted.explained_variance_)[:, np.newaxis]
    for row in (0, 17):
        covariance = basis.T @ np.diag(inner[row] ** 2) @ basis
        np.testing.assert_allclose(std[row], np.sqrt(np.diag(covariance)), rtol=1e-9)


def test_a_pipeline_against_draws():
    X, y = views()
    model = TwoViewRegressor(
        RidgePair(),
        y_transformer=make_pipeline(MinMaxScaler(), PCA(3), RobustScaler()),
    ).fit(X, y)
    _, std = model.predict_y(X, return_std=True)
    drawn = model.sample_y(X, 20_000).std(axis=0)
    np.testing.assert_allclose(drawn, std, rtol=0.03)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_images_and_one_column(dtype):
    X, y = (view.astype(dtype) for view in views())
    images = y.reshape(-1, 2, 3)
    reshape = FunctionTransformer(
        lambda v: v.reshape(len(v), -1), lambda v: v.reshape(-1, 2, 3)
    )
    model = TwoViewRegressor(
        RidgePair(), y_transformer=make_pipeline(reshape, StandardScaler())
    )
    _, std = model.fit(X, images).predict_y(X, return_std=True)
    assert std.shape == images.shape and std.dtype == dtype
    flat = TwoViewRegressor(RidgePair(), y_transformer=StandardScaler()).fit(X, y)
    expected = flat.predict_y(X, return_std=True)[1]
    np.testing.assert_allclose(std.reshape(-1, 6), expected, rtol=1e-5)
    one = TwoViewRegressor(RidgePair(), y_transformer=StandardScaler()).fit(X, y[:, 1])
    _, std = one.predict_y(X, return_std=True)
    expected = np.std(y[:, 1] - one.predict(X))
    np.testing.assert_allclose(std, np.full(len(X), expected), rtol=1e-4)


@pytest.mark.parametrize(
    "transformer",
    [
        PowerTransformer(),
        QuantileTransformer(n_quantiles=20, output_distribution="normal"),
        FunctionTransformer(np.cbrt, lambda z: z**3),
        # affine, but clipped where the predictions go
        FunctionTransformer(None, lambda z: np.clip(z, -0.5, 0.5)),
        # affine, then rounded to pixels
        FunctionTransformer(None, lambda z: np.round(z)),
        FunctionTransformer(None, np.abs),
        # one column of many
        make_pipeline(
            FunctionTransformer(
                None, lambda z: np.column_stack([z[:, :-1], np.exp(z[:, -1])])
            ),
        ),
    ],
    ids=["power", "quantiles", "cube root", "clipped", "rounded", "abs", "one column"],
)
def test_what_is_not_affine_is_found(transformer):
    X, y = views()
    y = y / y.std(axis=0)
    model = TwoViewRegressor(RidgePair(), y_transformer=transformer).fit(X, y)
    with pytest.raises(ValueError, match="needs an affine inverse"):
        model.predict_y(X, return_std=True)
    assert model.predict_y(X).shape == y.shape


def test_an_inverse_that_refuses_the_trial_points_is_not_affine():
    def picky(rows):
        if np.any(np.abs(rows) > 2):
            raise ValueError("out of range")
        return rows

    mean = np.full((5, 2), 1.5)
    assert affine_map(picky, mean, np.ones((5, 2))) is None


def test_affine_map_reads_off_the_matrix():
    rng = np.random.default_rng(0)
    matrix, offset = rng.standard_normal((4, 7)), 1e6 * rng.standard_normal(7)
    mean, std = rng.standard_normal((9, 4)), rng.random((9, 4))
    found = affine_map(lambda z: z @ matrix + offset, mean, std)
    assert isinstance(found, AffineMap)
    np.testing.assert_allclose(found.matrix, matrix, atol=1e-8)
    np.testing.assert_allclose(found.offset, offset)


def test_a_column_transformer_has_no_inverse():
    X, y = views()
    columns = make_column_transformer((StandardScaler(), [0, 1, 2, 3, 4, 5]))
    model = TwoViewRegressor(RidgePair(), y_transformer=columns).fit(X, y)
    with pytest.raises(TypeError, match="no inverse_transform"):
        model.predict_y(X, return_std=True)
