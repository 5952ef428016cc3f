"""Displays show what the model has; the diagram shows both branches."""

from __future__ import annotations

import re
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import Normalize
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from drm_transformers import LipDCTTransformer
from sklearn_drm import (
    BBDRMClassifier,
    GCDRMClassifier,
    GGDRMRegressor,
    TwoViewRegressor,
)
from sklearn_drm.inspection import (
    ReceptiveFieldsDisplay,
    ReconstructionDisplay,
    TrainingCurvesDisplay,
)
from sklearn_drm.lipspeech import SpectrogramDisplay

matplotlib.use("Agg")
QUICK = {"fine_tune_epochs": 3, "pretrain_epochs": 1, "random_state": 0}


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def images_and_targets(n=120):
    rng = np.random.default_rng(0)
    causes = rng.normal(size=(n, 3))
    images = (causes @ rng.normal(size=(3, 30))).reshape(n, 5, 6)
    return images + 0.1 * rng.normal(size=images.shape), causes[:, :2] * 3 + 1


@pytest.fixture(scope="module")
def two_view():
    x, y = images_and_targets(600)
    model = TwoViewRegressor(
        GGDRMRegressor(n_hidden_units=6, **QUICK),
        x_transformer=make_pipeline(LipDCTTransformer(), PCA(4), StandardScaler()),
        y_transformer=StandardScaler(),
    )
    return model.fit(x, y), x, y


def test_curves_are_those_of_the_fit(two_view):
    model = two_view[0]
    display = TrainingCurvesDisplay.from_estimator(model)
    regressor = model.regressor_
    assert len(display.axes_) == 4 and display.figure_ is display.axes_[0].figure
    for axis, phase in zip(display.axes_, ["pretrain", "y", "x"], strict=False):
        drawn = axis.lines[0].get_ydata()
        np.testing.assert_array_equal(drawn, regressor.loss_curve_[phase])
        n_scored = len(regressor.validation_scores_.get(phase, ()))
        joined = [line.get_xdata()[0] for line in axis.lines[1:]]
        assert joined == ([n_scored + 0.5] if phase in "yx" else [])
    alone = display.axes_[0]  # pre-training has one epoch
    assert alone.lines[0].get_marker() == "o"
    assert [tick for tick in alone.get_xticks() if 0.5 <= tick <= 1.5] == [1]
    scores, (marker,) = regressor.validation_scores_["y"], display.axes_[-1].lines[1:2]
    np.testing.assert_array_equal(display.axes_[-1].lines[0].get_ydata(), scores)
    assert marker.get_xydata()[0].tolist() == [np.argmax(scores) + 1, max(scores)]
    labels = [t.get_text() for t in display.axes_[-1].get_legend().get_texts()]
    assert [label.split(":")[0] for label in labels] == ["x → y", "y → x"]


def test_curves_without_held_out_rows():
    x, y = images_and_targets(39)
    model = GGDRMRegressor(fine_tune="joint", **QUICK).fit(x.reshape(39, -1), y)
    display = TrainingCurvesDisplay.from_estimator(model)
    assert [axis.get_title() for axis in display.axes_] == [
        "pre-training",
        "fine-tuning both ways",
    ]
    with pytest.raises(ValueError, match="2 axes are needed"):
        display.plot(axes=[plt.gca()])
    with pytest.raises(ValueError, match="nothing to draw"):
        TrainingCurvesDisplay({}, {}).plot()


def test_reconstructions_are_the_predictions(two_view):
    model, x, y = two_view
    display = ReconstructionDisplay.from_estimator(
        model, x[:7], y[:7], n_rows=4, show_std=True
    )
    rows = [0, 2, 4, 6]
    mean, std = model.predict_x(y[rows], return_std=True)
    assert list(display.panels) == [
        "x", "x, predicted", "x, std", "y", "y, predicted", "y, std",
    ]  # fmt: skip
    assert display.axes_.shape == (6, 4)
    for line, expected in enumerate([x[rows], mean, std]):
        for column in range(4):
            (image,) = display.axes_[line, column].images
            np.testing.assert_allclose(image.get_array(), expected[column])
    original, predicted = (display.axes_[line, 1].images[0] for line in (0, 1))
    assert original.get_clim() == predicted.get_clim() == (x[rows].min(), x[rows].max())
    drawn = display.axes_[4, 3].lines[0].get_ydata()
    np.testing.assert_allclose(drawn, model.predict_y(x[6:7])[0])


def test_reconstructions_of_tables_and_stacks():
    x, y = images_and_targets()
    flat = x.reshape(len(x), -1)
    model = GGDRMRegressor(**QUICK).fit(flat, y[:, 0])
    display = ReconstructionDisplay.from_estimator(
        model, flat, y[:, 0], n_rows=3, image_shape=(5, 6)
    )
    np.testing.assert_array_equal(display.axes_[0, 0].images[0].get_array(), x[0])
    (bar,) = display.axes_[2, 2].patches
    assert bar.get_height() == pytest.approx(y[-1, 0])
    # A model of one direction shows that one.
    one_way = Ridge().fit(flat, y)
    shown = ReconstructionDisplay.from_estimator(one_way, flat, y, plot=False)
    assert list(shown.panels) == ["y", "y, predicted"]
    stacked = np.stack([x, 2 * x, 3 * x], axis=1)
    shown = ReconstructionDisplay.from_predictions(stacked, stacked, name="lips")
    np.testing.assert_array_equal(shown.axes_[1, 0].images[0].get_array(), 2 * x[0])
    with pytest.raises(ValueError, match="does not fit rows of 30"):
        ReconstructionDisplay.from_predictions(flat, flat, image_shape=(5, 5))
    with pytest.raises(TypeError, match="draw the prototypes"):
        labels = y[:, 0] > 0
        classifier = GCDRMClassifier(1, 3, **QUICK).fit(flat, labels)
        ReconstructionDisplay.from_estimator(classifier, flat, labels)
    with pytest.raises(ValueError, match="n_rows"):
        ReconstructionDisplay.from_estimator(model, flat, y[:, 0], n_rows=0)


@pytest.mark.filterwarnings("error")
def test_reconstructions_of_data_frames():
    x, y = images_and_targets()
    frame = pd.DataFrame(x[:, 0, :3], columns=["width", "height", "area"])
    goal = pd.DataFrame(y, columns=["c0", "c1"])
    pick = make_column_transformer((StandardScaler(), ["area", "width"]))
    model = TwoViewRegressor(Ridge(), x_transformer=pick).fit(frame, goal)
    shown = ReconstructionDisplay.from_estimator(model, frame, goal, plot=False)
    np.testing.assert_array_equal(shown.panels["y"][-1], y[-1])
    model = GGDRMRegressor(**QUICK).fit(frame, goal)
    shown = ReconstructionDisplay.from_estimator(model, frame, goal, plot=False)
    np.testing.assert_array_equal(shown.panels["x"][0], frame.iloc[0])


def test_fields_of_one_layer_have_the_importance_of_the_formula():
    """With one layer a unit's part of the output is (h − mean h) times its weights."""
    x, y = images_and_targets()
    flat = x.reshape(len(x), -1) * np.linspace(0.5, 4, 30)
    model = GGDRMRegressor(1, 7, **QUICK).fit(flat, y)
    display = ReceptiveFieldsDisplay.from_estimator(
        model, flat, image_shape=(5, 6), n_units=5
    )
    predictor = model.predictors_["y"]
    hidden = predictor.hidden((flat - flat.mean(0)) / flat.std(0))
    output = hidden @ predictor.weight
    share = hidden.var(0) * np.square(predictor.weight).sum(1) / output.var(0).sum()
    order = np.argsort(-share)
    np.testing.assert_array_equal(display.units, order)
    np.testing.assert_allclose(display.importances, share[order], rtol=1e-8)
    weights = predictor.hidden.weights[0].T
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    np.testing.assert_allclose(display.fields, (weights * flat.std(0))[order])
    assert len(display.axes_) == 5
    image = display.axes_[2].images[0]
    np.testing.assert_allclose(image.get_array().ravel(), display.fields[2])
    assert image.get_clim()[0] == -image.get_clim()[1]
    assert isinstance(image.norm, Normalize)


@pytest.mark.parametrize("fine_tune", ["separate", "joint", None])
@pytest.mark.parametrize("view", ["x", "y"])
def test_units_off_the_way_have_no_importance(fine_tune, view):
    """Units whose outgoing weights are zero are last, whatever the direction."""
    x, y = images_and_targets()
    flat = x.reshape(len(x), -1)
    model = GGDRMRegressor(2, 5, fine_tune=fine_tune, **QUICK).fit(flat, y)
    hidden = model.predictors_["y" if view == "x" else "x"].hidden
    weights = hidden.weights[1] if fine_tune == "separate" else hidden.chain.weights[1]
    weights[[1, 3]] = 0
    rows = flat if view == "x" else y
    display = ReceptiveFieldsDisplay.from_estimator(model, rows, view=view)
    assert set(display.units[-2:]) == {1, 3}
    np.testing.assert_allclose(display.importances[-2:], 0, atol=1e-12)
    assert (display.importances[:-2] > 1e-9).all()
    assert display.fields.shape == (5, rows.shape[1])


@pytest.mark.parametrize("face", [BBDRMClassifier, GCDRMClassifier])
@pytest.mark.parametrize("fine_tune", ["separate", "joint", None])
@pytest.mark.parametrize("view", ["x", "y"])
def test_fields_of_a_classifier(face, fine_tune, view):
    x, y = images_and_targets()
    flat, labels = x.reshape(len(x), -1), np.where(y[:, 0] > 1, "up", "down")
    model = face(1, 5, fine_tune=fine_tune, **QUICK).fit(flat, labels)
    rows = flat if view == "x" else labels
    display = ReceptiveFieldsDisplay.from_estimator(model, rows, view=view)
    assert display.fields.shape == (5, 30 if view == "x" else 2)
    assert (display.importances > 0).all() and len(display.axes_) == 5


def test_fields_go_back_through_the_transformer(two_view):
    model, x, _ = two_view
    display = ReceptiveFieldsDisplay.from_estimator(model, x)
    _, pca, scaler = (step for _, step in model.x_transformer_.steps)
    weights = model.regressor_.predictors_["y"].hidden.weights[0].T
    weights = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    spectra = weights * model.regressor_.model_.x_scale * scaler.scale_
    expected = model.x_transformer_.steps[0][1].inverse_transform(
        spectra @ pca.components_
    )
    np.testing.assert_allclose(
        display.fields, expected.reshape(6, -1)[display.units], atol=1e-10
    )
    assert display.axes_[0].images[0].get_array().shape == (5, 6)
    with pytest.raises(ValueError, match="view must be"):
        ReceptiveFieldsDisplay.from_estimator(model, x, view="h")
    with pytest.raises(TypeError, match="got Ridge"):
        ReceptiveFieldsDisplay.from_estimator(Ridge().fit(x[:, 0], x[:, 1, 0]), x)


def test_spectrogram_is_the_all_pass_series():
    rng = np.random.default_rng(0)
    natural, predicted = rng.normal(size=(2, 9, 12)) * 0.3
    display = SpectrogramDisplay.from_predictions(
        natural, predicted, sample_rate=12_000, alpha=0.37, frame_rate=25, fft_size=64
    )
    omega = np.linspace(0, np.pi, 33)
    warped = omega + 2 * np.arctan(0.37 * np.sin(omega) / (1 - 0.37 * np.cos(omega)))
    cosines = np.cos(np.outer(np.arange(12), warped))
    for axis, cepstra in zip(display.axes_, (natural, predicted), strict=True):
        (picture,) = axis.images
        decibels = 20 / np.log(10) * (cepstra @ cosines)
        np.testing.assert_allclose(picture.get_array(), decibels.T, atol=1e-9)
        assert picture.get_extent() == [0.0, 9 / 25, 0.0, 6.0]
    assert len({axis.images[0].get_clim() for axis in display.axes_}) == 1
    with pytest.raises(ValueError, match="different lengths"):
        SpectrogramDisplay.from_predictions(natural, natural[1:], sample_rate=8000)


def test_drawing_without_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    display = TrainingCurvesDisplay({"y": [1.0]}, {})
    with pytest.raises(ImportError, match="pip install matplotlib"):
        display.plot()


def test_diagram_shows_both_branches_and_the_regressor(two_view):
    model, _, _ = two_view
    for estimator in (clone(model), model):
        page = estimator._repr_html_()
        blocks = re.findall(r'sk-parallel-item">(.*?)</label>', page, re.S)
        assert ["x_transformer" in blocks[0], "y_transformer" in blocks[1]] == [
            True
        ] * 2
        left, right = page.split("y_transformer</label>")
        assert left.index("LipDCTTransformer") < left.index(">PCA<")
        assert "StandardScaler" in right and "GGDRMRegressor" in right
        for prefix in ("x_transformer__", "y_transformer__", "regressor__"):
            assert f'data-param-prefix="{prefix}' in page
    assert "sk-estimator fitted" in page


def test_diagram_without_transformers_and_with_odd_ones():
    page = TwoViewRegressor(Ridge())._repr_html_()
    assert page.count("<div>passthrough</div>") == 2
    odd = FunctionTransformer(np.log1p)
    assert "log1p" in TwoViewRegressor(Ridge(), y_transformer=odd)._repr_html_()


@pytest.mark.parametrize("name", ["left, right", "x, std", "a, predicted"])
def test_a_title_may_have_commas(name):
    rows = np.random.default_rng(0).random((3, 5))
    display = ReconstructionDisplay.from_predictions(rows, rows, std=rows, name=name)
    assert list(display.panels) == [name, f"{name}, predicted", f"{name}, std"]
    limits = [line[0].get_ylim() for line in display.axes_]
    assert limits[0] == limits[1] != limits[2]


def test_receptive_fields_of_a_binary_view_are_in_the_units_of_its_columns():
    rng = np.random.default_rng(0)
    X = rng.random((120, 2)) * [1.0, 1000.0]
    model = BBDRMClassifier(n_hidden_units=6, pretrain_epochs=2, random_state=0)
    model.fit(X, (X[:, 0] > 0.5) ^ (X[:, 1] > 500))
    fields = ReceptiveFieldsDisplay.from_estimator(model, X, plot=False).fields
    largest = np.abs(np.asarray(fields)).reshape(-1, 2).max(axis=0)
    assert 100 < largest[1] / largest[0] < 10_000
