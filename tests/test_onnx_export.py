"""ONNX graphs give the estimators' predictions, in both directions."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PolynomialFeatures,
    StandardScaler,
)

from drm_transformers import LipDCTTransformer, MelCepstrumTransformer
from sklearn_drm import GCDRMClassifier, GGDRMRegressor, SwapViews, TwoViewRegressor
from sklearn_drm.onnx_export import register_converters, to_onnx

pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")


def run(graph, rows):
    used = {name for node in graph.graph.node for name in node.input}
    made = {tensor.name for tensor in graph.graph.initializer}
    assert {name for name in made if name.startswith("constant_")} <= used
    data = graph.SerializeToString()
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    kind = {"tensor(float)": np.float32, "tensor(double)": np.float64}
    (given_,) = session.get_inputs()
    rows = np.asarray(rows).reshape(len(rows), -1).astype(kind[given_.type])
    (result,) = session.run(None, {given_.name: rows})
    assert result.dtype == rows.dtype
    return result


def assert_equal_predictions(got, wanted, tolerance=1e-5):
    wanted = np.asarray(wanted).reshape(len(wanted), -1)
    scale = np.abs(wanted - wanted.mean(axis=0)).max() + np.abs(wanted).max()
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=tolerance * scale)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from([np.float32, np.float64]),
    fine_tune=st.sampled_from(["separate", "joint", None]),
    layers=st.integers(1, 3),
    n_mean_field_iter=st.sampled_from([None, 1, 2, 7]),
    mean_field=st.sampled_from(["collapsed", "naive"]),
    damping=st.sampled_from([0.0, 0.5]),
    one_d=st.booleans(),
    offset=st.sampled_from([0.0, 100.0]),
    constant=st.booleans(),
)
def test_graphs_equal_the_predictions(
    seed, dtype, fine_tune, layers, n_mean_field_iter, mean_field, damping, one_d,
    offset, constant,
):  # fmt: skip
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, 4)) * [1, 10, 0.1, 1] + offset
    Y = X[:, :3] @ rng.normal(size=(3, 3)) + rng.normal(size=(60, 3))
    if constant:
        X[:, 3] = Y[:, 2] = 5
    Y = Y[:, 0] if one_d else Y
    X, Y = X.astype(dtype), Y.astype(dtype)
    model = GGDRMRegressor(
        layers,
        4,
        fine_tune=fine_tune,
        fine_tune_epochs=3,
        n_mean_field_iter=n_mean_field_iter,
        mean_field=mean_field,
        damping=damping,
        random_state=0,
    ).fit(X, Y)
    tolerance = 1e-5 if dtype == np.float32 else 1e-9
    got = run(to_onnx(model), X)
    assert_equal_predictions(got, model.predict_y(X), tolerance)
    got = run(to_onnx(model, "x"), Y)
    assert_equal_predictions(got, model.predict_x(Y), tolerance)
    swapped = SwapViews(model)
    swapped.estimator_ = model
    np.testing.assert_array_equal(run(to_onnx(swapped), Y), got)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transformers_of_both_views_are_in_the_graph(dtype):
    rng = np.random.default_rng(0)
    cause = rng.normal(size=(80, 3))
    images = rng.integers(0, 255, (80, 9, 11)).astype(dtype)
    images += 100 * cause[:, :1, None].astype(dtype)
    table = cause @ rng.normal(size=(3, 5)) + 30
    table = (table + rng.normal(size=table.shape)).astype(dtype)
    model = TwoViewRegressor(
        GGDRMRegressor(n_hidden_units=6, fine_tune_epochs=3),
        x_transformer=make_pipeline(LipDCTTransformer(), PCA(6), StandardScaler()),
        y_transformer=make_pipeline(MinMaxScaler(), PCA(4, whiten=True)),
        random_state=0,
    ).fit(images, table)
    got = run(to_onnx(model, "y"), images)
    assert_equal_predictions(got, model.predict_y(images))
    got = run(to_onnx(model, "x"), table)
    assert_equal_predictions(got, model.predict_x(table))
    got = run(to_onnx(model, "x", space="transformed"), table)
    assert_equal_predictions(got, model.predict_x(table, space="transformed"))


def test_a_transformer_that_is_not_affine_goes_through_skl2onnx():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    model = TwoViewRegressor(
        GGDRMRegressor(n_hidden_units=4, random_state=0),
        x_transformer=make_pipeline(PolynomialFeatures(2), StandardScaler()),
    ).fit(X, X[:, :2])
    assert_equal_predictions(run(to_onnx(model), X), model.predict_y(X))


def test_what_cannot_be_exported_is_named():
    rng = np.random.default_rng(0)
    X, sound = rng.normal(size=(40, 3)), rng.normal(size=(40, 600))
    quick = GGDRMRegressor(n_hidden_units=3, fine_tune_epochs=1)
    # A waveform is made anew for every row that the export tries.
    cepstra = MelCepstrumTransformer(n_coefficients=4)
    model = TwoViewRegressor(quick, y_transformer=cepstra).fit(X[:20], sound[:20])
    with pytest.raises(ValueError, match="y_transformer.*not affine.*'transformed'"):
        to_onnx(model, "y")
    with pytest.raises(
        ValueError, match="MelCepstrumTransformer of y_trans.*regressor_"
    ):
        to_onnx(model, "x")
    got = run(to_onnx(model, "y", space="transformed"), X)
    assert_equal_predictions(got, model.predict_y(X, space="transformed"))
    bent = TwoViewRegressor(
        quick,
        y_transformer=FunctionTransformer(np.log1p, np.expm1),
    ).fit(X, np.exp(X[:, :2]))
    with pytest.raises(ValueError, match="not affine"):
        to_onnx(bent, "y")
    with pytest.raises(ValueError, match="exports GGDRMRegressor, .*, not Ridge"):
        to_onnx(Ridge().fit(X, X))
    classifier = GCDRMClassifier(n_hidden_units=3, random_state=0)
    with pytest.raises(ValueError, match="GCDRMClassifier has Categorical units"):
        to_onnx(classifier.fit(X, X[:, 0] > 0))
    with pytest.raises(ValueError, match="direction"):
        to_onnx(bent, "z")
    with pytest.raises(ValueError, match="float32 or float64"):
        to_onnx(quick.fit(X, X), dtype=np.float16)


@pytest.mark.parametrize("kind", ["Float", "Double"])
def test_skl2onnx_converts_a_pipeline(kind):
    from skl2onnx import convert_sklearn
    from skl2onnx.common import data_types

    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 4))
    Y = X[:, :2] + 3
    pipeline = make_pipeline(
        StandardScaler(), GGDRMRegressor(n_hidden_units=4, random_state=0)
    ).fit(X, Y)
    register_converters()
    types = [("X", getattr(data_types, f"{kind}TensorType")([None, 4]))]
    graph = convert_sklearn(pipeline, initial_types=types, target_opset=17)
    assert_equal_predictions(run(graph, X), pipeline.predict(X))


def test_without_the_extra_the_error_names_it(monkeypatch):
    X = np.random.default_rng(0).normal(size=(20, 2))
    model = GGDRMRegressor(n_hidden_units=2, fine_tune_epochs=1).fit(X, X)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install \"\.\[onnx\]\""):
        to_onnx(model)


@pytest.mark.parametrize("scaler", [MaxAbsScaler(), MinMaxScaler()])
def test_a_clipped_scaler_is_clipped_or_refused(scaler):
    if "clip" not in scaler.get_params():
        pytest.skip("this scikit-learn's scaler has no clip")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)).astype(np.float32)
    model = TwoViewRegressor(
        GGDRMRegressor(n_hidden_units=4, random_state=0),
        x_transformer=scaler.set_params(clip=True),
    ).fit(X, X[:, :2])
    try:
        graph = to_onnx(model, "y")
    except ValueError as error:
        assert type(scaler).__name__ in str(error)
    else:
        assert_equal_predictions(run(graph, 5 * X), model.predict_y(5 * X))


def test_what_only_looks_like_a_model_of_two_views_is_refused():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    small = GGDRMRegressor(n_hidden_units=3, fine_tune_epochs=1, random_state=0)
    for model in (
        TransformedTargetRegressor(small).fit(X, X[:, 0]),
        BaggingRegressor(small, n_estimators=2).fit(X, X[:, 0]),
    ):
        with pytest.raises(ValueError, match=f"not {type(model).__name__}"):
            to_onnx(model)
