"""What goes wrong only where two things come together."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OrdinalEncoder,
    StandardScaler,
)

from sklearn_drm import (
    BBDRMClassifier,
    DivergenceError,
    GCDRMClassifier,
    GGDRMRegressor,
    SwapViews,
    TwoViewRegressor,
)
from sklearn_drm.core import rows

QUICK = {"n_hidden_units": 8, "fine_tune_epochs": 3, "random_state": 0}


@pytest.fixture
def views():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 4))
    return x, np.column_stack([x[:, 0], x[:, 1] - x[:, 2]])


def around(kind, regressor):
    if kind == "swap":
        return SwapViews(regressor)
    return TwoViewRegressor(
        regressor, x_transformer=StandardScaler(), y_transformer=StandardScaler()
    )


def inner(kind):
    return "estimator" if kind == "swap" else "regressor"


@pytest.mark.parametrize("kind", ["swap", "two views"])
def test_a_refit_that_fails_leaves_the_composition_as_it_was(kind, views):
    x, y = views
    model = around(kind, GGDRMRegressor(**QUICK)).fit(x, y)
    expected, names = model.predict(x), set(vars(model))
    model.set_params(**{f"{inner(kind)}__pretrain_learning_rate": 1e300})
    with pytest.raises(DivergenceError):
        model.fit(10 * x[:, :3] + 3, 10 * y + 3)
    np.testing.assert_array_equal(model.predict(x), expected)
    assert set(vars(model)) == names


@pytest.mark.parametrize("kind", ["swap", "two views"])
def test_a_first_fit_that_fails_leaves_nothing(kind, views):
    x, y = views
    model = around(kind, GGDRMRegressor(**QUICK, pretrain_learning_rate=1e300))
    with pytest.raises(DivergenceError):
        model.fit(x, y)
    with pytest.raises(NotFittedError):
        model.predict(x)


def test_a_bad_second_view_does_not_change_what_swapped_views_take(views):
    x, y = views
    model = SwapViews(GGDRMRegressor(**QUICK)).fit(x, y)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(x[:, :3], np.full_like(y, np.nan))
    assert model.predict(x).shape == y.shape


def test_a_curve_in_small_units_is_found_beside_a_line_in_large_ones():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 4))
    y = np.column_stack([1e4 * x[:, 0], 1e-4 * np.exp(x[:, 1])])
    logarithm = FunctionTransformer(
        lambda z: np.column_stack([z[:, 0] / 1e4, np.log(z[:, 1] * 1e4)]),
        lambda z: np.column_stack([z[:, 0] * 1e4, 1e-4 * np.exp(z[:, 1])]),
    )
    model = TwoViewRegressor(GGDRMRegressor(**QUICK), y_transformer=logarithm)
    with pytest.raises(ValueError, match="affine"):
        model.fit(x, y).predict_y(x, return_std=True)


@pytest.mark.parametrize("way", ["warm start", "partial fit"])
@pytest.mark.parametrize("fine_tune", ["separate", "joint"])
def test_a_column_that_was_constant_at_first_spoils_no_other(way, fine_tune):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 4))
    y = np.column_stack([x[:, 0], x[:, 1], 1000 * (x[:, 2] > 1)])
    early = y.copy()
    early[:, 2] = 0
    model = GGDRMRegressor(warm_start=True, fine_tune=fine_tune, random_state=0)
    if way == "warm start":
        model.fit(x[:100], early[:100]).fit(x, y)
    else:
        for number in range(60):
            part = slice(100 * (number % 6), 100 * (number % 6 + 1))
            model.partial_fit(x[part], (y if number else early)[part])
    prediction = model.predict(x)
    assert r2_score(y[:, :2], prediction[:, :2]) > (0.9 if way == "warm start" else 0.5)
    assert (prediction[:, 2] == 0).all()


def test_an_input_that_was_constant_in_training_counts_for_nothing(views):
    x, y = views
    x = np.column_stack([x, np.full(len(x), 3.0)])
    model = GGDRMRegressor(**QUICK).fit(x, y)
    moved = x.copy()
    moved[:, -1] = 1000.0
    np.testing.assert_array_equal(model.predict(moved), model.predict(x))
    assert (model.predict_x(y)[:, -1] == 3.0).all()


@pytest.mark.parametrize("fine_tune", ["separate", "joint"])
def test_target_columns_may_change_between_fits(fine_tune, views):
    x, y = views
    model = GGDRMRegressor(**QUICK, fine_tune=fine_tune, y_target=[0])
    model.partial_fit(x, y)
    for target in ([1], None, [0]):
        model.set_params(y_target=target).partial_fit(x, y)
        assert np.isfinite(model.predict(x)).all()


@pytest.mark.parametrize("scale", [1e-24, 1e20])
def test_scores_do_not_depend_on_units_in_single_precision(scale, views):
    x, y = views
    expected = GGDRMRegressor(**QUICK).fit(x.astype("f4"), y.astype("f4"))
    x, y = (x * scale).astype("f4"), (y * scale).astype("f4")
    model = GGDRMRegressor(**QUICK).fit(x, y)
    pair = (views[0].astype("f4"), views[1].astype("f4"))
    assert np.isclose(model.score(x, y), expected.score(*pair), atol=0.02)
    assert np.isclose(model.score_x(x, y), expected.score_x(*pair), atol=0.02)
    whole = TwoViewRegressor(clone(model)).fit(x, y)
    assert np.isclose(whole.score(x, y), model.score(x, y), atol=0.02)


@pytest.mark.parametrize("unit", [1e-300, 1e-50, 1e39, 1e300])
def test_weights_may_have_any_unit_beside_single_precision(unit, views):
    x, y = (view.astype("f4") for view in views)
    weight = np.linspace(1, 2, len(x))
    expected = GGDRMRegressor(**QUICK).fit(x, y, sample_weight=weight)
    model = GGDRMRegressor(**QUICK).fit(x, y, sample_weight=weight * unit)
    np.testing.assert_allclose(model.predict(x), expected.predict(x), rtol=1e-3)


def test_groups_reach_a_search_inside(views):
    x, y = views
    search = GridSearchCV(
        GGDRMRegressor(**QUICK), {"n_hidden_units": [4, 8]}, cv=GroupKFold(3)
    )
    model = TwoViewRegressor(search)
    model.fit(x, y, groups=np.arange(len(x)) // 10)
    assert np.isfinite(model.predict(x)).all()


def test_hidden_means_of_many_rows_are_those_of_few(views):
    x, y = views
    model = GGDRMRegressor(**{**QUICK, "n_hidden_units": 100}).fit(x, y)
    many = np.repeat(x, 20, axis=0)
    np.testing.assert_allclose(
        model.transform_x(many)[::20], model.transform_x(x), rtol=1e-10
    )


def test_a_count_is_no_truth_value(views):
    x, y = views
    with pytest.raises(ValueError, match="positive int"):
        GGDRMRegressor(**QUICK).fit(x, y).sample_y(x, True)


@pytest.mark.parametrize("fine_tune", ["separate", None])
def test_exported_graphs_leave_out_constant_columns_too(fine_tune, views):
    runtime = pytest.importorskip("onnxruntime")
    from sklearn_drm.onnx_export import to_onnx

    x, y = views
    x = np.column_stack([x, np.full(len(x), 3.0)])
    model = GGDRMRegressor(**QUICK, fine_tune=fine_tune).fit(x, y)
    session = runtime.InferenceSession(to_onnx(model).SerializeToString())
    x[:, -1] = 1000.0
    name = session.get_inputs()[0].name
    kind = np.float32 if "float)" in session.get_inputs()[0].type else np.float64
    found = session.run(None, {name: x.astype(kind)})[0]
    np.testing.assert_allclose(found, model.predict(x), rtol=1e-4, atol=1e-5)


def test_exporting_what_was_fitted_on_data_frames_warns_of_nothing(views, recwarn):
    pytest.importorskip("onnx")
    pandas = pytest.importorskip("pandas")
    from sklearn_drm.onnx_export import to_onnx

    x, y = (pandas.DataFrame(v).add_prefix("c") for v in views)
    model = TwoViewRegressor(
        GGDRMRegressor(**QUICK), x_transformer=StandardScaler()
    ).fit(x, y)
    to_onnx(model)
    assert not [w for w in recwarn if "feature names" in str(w.message)]


@pytest.mark.parametrize("kind", [GGDRMRegressor, GCDRMClassifier])
@pytest.mark.parametrize("way", ["fit", "warm_start", "partial_fit"])
def test_densities_are_those_of_the_chain_as_it_is_now(kind, way, views):
    x = views[0]
    y = views[1] if kind is GGDRMRegressor else np.arange(300) % 3
    model = kind(random_state=0, n_hidden_units=6, fine_tune_epochs=2)
    if kind is GGDRMRegressor:
        model.set_params(fine_tune=None)
    model.fit(x, y)
    before = model.score_samples(x)
    if way == "partial_fit":
        model.partial_fit(3 * x, y)
    else:
        model.set_params(warm_start=way == "warm_start").fit(3 * x, y)
    now = model.score_samples(x)
    assert not np.allclose(now, before)
    np.testing.assert_array_equal(joblib_copy(model).score_samples(x), now)
    model._log_partition = None
    np.testing.assert_array_equal(model.score_samples(x), now)


def joblib_copy(model):
    """As it comes out of a file, where no log-partition is remembered."""
    copy = pickle.loads(pickle.dumps(model))
    copy._log_partition = None
    return copy


@pytest.mark.parametrize(
    "settings",
    [
        {"fine_tune": None},
        {"fine_tune": "joint"},
        {"n_hidden_layers": 1, "fine_tune": None},
    ],
)
def test_densities_of_many_rows_are_those_of_few(settings, views, monkeypatch):
    x, y = views
    model = GGDRMRegressor(**{**QUICK, "n_hidden_units": 30, **settings}).fit(x, y)
    pairs = ((x, y), (x, None), (None, y))
    whole = [model.score_samples(*pair) for pair in pairs]
    monkeypatch.setattr(rows, "_BLOCK_VALUES", 200)
    for pair, expected in zip(pairs, whole, strict=True):
        np.testing.assert_allclose(model.score_samples(*pair), expected, rtol=1e-10)


@pytest.mark.parametrize("exponent", [-60, -44, 44, 60])
def test_single_precision_rows_for_a_model_in_extreme_units(exponent, views):
    x, y = views
    unit = 10.0**exponent
    model = GGDRMRegressor(**QUICK).fit(unit * x, y)
    plain = GGDRMRegressor(**QUICK).fit(x, y)
    with np.errstate(over="ignore", under="ignore"):
        few = (unit * x).astype(np.float32)
    if np.isfinite(few).all():
        assert np.isfinite(model.predict_y(few)).all()
    for found, expected in zip(
        model.predict_x(y.astype(np.float32), return_std=True),
        plain.predict_x(y.astype(np.float32), return_std=True),
        strict=True,
    ):
        np.testing.assert_allclose(found / unit, expected, rtol=1e-4, atol=1e-5)


def test_labels_of_another_type_are_no_classes():
    """NumPy compares numbers with text as text, and only for some numbers of them."""
    x, y = np.random.default_rng(0).normal(size=(240, 4)), np.arange(240) % 12
    model = GCDRMClassifier(**QUICK).fit(x, y)
    for labels in (np.array(["2", "10"]), ["2", "10"], y.astype(str)):
        with pytest.raises(ValueError, match="which is none of the classes"):
            model.predict_x(labels)
        with pytest.raises(ValueError, match="which is none of the classes"):
            model.partial_fit(x[: len(labels)], labels)
    np.testing.assert_array_equal(
        model.predict_x([2.0, 11.0]), model.predict_x([2, 11])
    )


@pytest.mark.parametrize(
    "encoder", [OrdinalEncoder(), KBinsDiscretizer(4, encode="ordinal")]
)
def test_codes_have_no_standard_deviation(encoder, views):
    labels = np.array(list("abc"))[np.arange(300) % 3, None]
    y = labels if isinstance(encoder, OrdinalEncoder) else views[1]
    model = TwoViewRegressor(GGDRMRegressor(**QUICK), y_transformer=encoder)
    with pytest.raises(ValueError, match="affine"):
        model.fit(views[0], y).predict_y(views[0][:3], return_std=True)


def test_classes_of_several_labels_are_their_columns(views):
    x, _ = views
    labels = (x[:, :3] > 0).astype(int)
    model = BBDRMClassifier(n_hidden_units=6, random_state=0)
    for _ in range(2):
        model.partial_fit((x > 0).astype(float), labels, classes=[0, 1])
    assert model.predict((x > 0).astype(float)).shape == labels.shape
