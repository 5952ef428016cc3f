"""What `fit` hands to its phases, what it stops by, and the inference it leaves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from sklearn_drm import BBDRMClassifier, GGDRMRegressor
from sklearn_drm.estimators import _fitting, _training
from sklearn_drm.learning import fine_tuning, relation
from tests.test_ggdrm import QUICK, two_views


@pytest.fixture
def held_out(monkeypatch):
    """Indices of the rows that the latest fit held out, once it has run."""
    split, rows = _training.held_out_rows, []

    def spy(*how):
        train, held = split(*how)
        rows[:] = held
        return train, held

    monkeypatch.setattr(_training, "held_out_rows", spy)
    return rows


def pooled_r2(truth, predicted, location, scale):
    """R² of all columns together, each in its standard deviations over all rows."""
    residual = ((truth - predicted) / scale) ** 2
    return 1 - residual.sum() / (((truth - location) / scale) ** 2).sum()


@pytest.mark.parametrize("fine_tune", ["separate", "joint"])
def test_validation_scores_are_those_of_the_held_out_rows(fine_tune, held_out):
    x, y = two_views(600)
    model = GGDRMRegressor(
        fine_tune=fine_tune, learning_rate=0.03, refit=False, random_state=0, **QUICK
    ).fit(x, y)
    scores = model.validation_scores_
    best = {view: int(np.argmax(scores[view])) for view in "xy"}
    if fine_tune == "joint":
        both = np.add(scores["x"], scores["y"])
        best = dict.fromkeys("xy", int(np.argmax(both)))
    assert len(held_out) == 60
    for view, values, predicted in (
        ("y", y, model.predict_y(x)),
        ("x", x, model.predict_x(y)),
    ):
        moments = values.mean(axis=0), values.std(axis=0)
        expected = pooled_r2(values[held_out], predicted[held_out], *moments)
        seen = np.delete(np.arange(600), held_out)
        other = pooled_r2(values[seen], predicted[seen], *moments)
        assert abs(expected - other) > 1e-3 < expected
        np.testing.assert_allclose(scores[view][best[view]], expected, rtol=1e-9)


def test_joint_tuning_stops_by_the_mean_score_of_both_directions(monkeypatch):
    tune, found = fine_tuning.tune_joint, []

    def spy(*how, score, **settings):
        def watched():
            found.append(score())
            return found[-1]

        return tune(*how, score=watched, **settings)

    monkeypatch.setattr(_fitting, "tune_joint", spy)
    model = GGDRMRegressor(fine_tune="joint", refit=False, random_state=0, **QUICK)
    scores = model.fit(*two_views(600)).validation_scores_
    both = np.array([scores["x"], scores["y"]])
    np.testing.assert_allclose(found, both.mean(axis=0), rtol=1e-12)
    assert np.ptp(both, axis=0).min() > 1e-3


@pytest.mark.parametrize(
    ("fine_tune", "name"),
    [("separate", "gradient"), ("joint", "add_prediction_gradient")],
)
@pytest.mark.parametrize(
    ("given", "input_dropout"),
    [
        ({"input_dropout": 0.125}, 0.125),
        ({"input_dropout": 0.125, "y_target": [0]}, 0.125),
        ({}, 0.0),
        ({"y_target": [0]}, 0.25),
        ({"x_target": [1, 2]}, 0.25),
    ],
)
def test_both_directions_are_tuned_with_the_dropout_given(
    fine_tune, name, given, input_dropout, monkeypatch
):
    ascend, seen = getattr(fine_tuning, name), set()

    def spy(model, source, *how, **settings):
        shares = (settings.get(which, 0.0) for which in ("dropout", "input_dropout"))
        seen.add((source.shape[1], *shares))
        return ascend(model, source, *how, **settings)

    monkeypatch.setattr(fine_tuning, name, spy)
    GGDRMRegressor(
        fine_tune=fine_tune, dropout=0.375, random_state=0, **QUICK, **given
    ).fit(*two_views(60))
    assert seen == {(4, 0.375, input_dropout), (3, 0.375, input_dropout)}


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_labels_are_inferred_from_inputs_with_the_dropout_given(share, monkeypatch):
    ascend, seen = relation.add_class_gradient, []

    def spy(chain, x, *how, **settings):
        seen.append(x.copy())
        return ascend(chain, x, *how, **settings)

    monkeypatch.setattr(relation, "add_class_gradient", spy)
    rng = np.random.default_rng(0)
    x = (rng.random((400, 10)) < 0.5).astype(float)
    BBDRMClassifier(
        n_hidden_units=4, pretrain_epochs=2, fine_tune=None, input_dropout=share,
        random_state=0,
    ).fit(x, x[:, 0])  # fmt: skip
    values, counts = np.unique(np.concatenate(seen), return_counts=True)
    np.testing.assert_allclose(values, [0, 1 / (1 - share)])
    n_on = 2 * x.sum()
    spread = np.sqrt(n_on * share * (1 - share))
    assert abs(counts[1] - (1 - share) * n_on) <= 5 * spread


@pytest.mark.parametrize(
    "settings", [{"fine_tune": "joint"}, {"fine_tune": None, "n_mean_field_iter": 1}]
)
def test_one_sweep_of_inference_is_not_damped(settings):
    x, y = two_views(60)

    def outputs(damping, **more):
        model = GGDRMRegressor(
            damping=damping, random_state=0, **QUICK, **settings | more
        ).fit(x, y)
        return [model.predict_y(x), model.predict_x(y), model.transform_x(x)]

    for one, other in zip(outputs(0.0), outputs(0.75), strict=True):
        np.testing.assert_array_equal(one, other)
    pairs = (outputs(damping, n_mean_field_iter=2) for damping in (0.0, 0.75))
    for one, other in zip(*pairs, strict=True):
        assert np.abs(one - other).max() > 1e-6


def test_features_are_a_sweep_from_the_mean_posterior_and_from_the_given_view():
    x, y = two_views(60)
    model = GGDRMRegressor(
        n_hidden_units=[7, 5], fine_tune=None, n_mean_field_iter=1, random_state=0
    ).fit(x, y)
    rng = np.random.default_rng(1)
    chain, starts = model.model_.chain, (rng.random(7), rng.random(5))
    weights = [2 * rng.normal(size=weight.shape) for weight in chain.weights]
    units = [
        replace(layer, bias=rng.normal(size=layer.n_units)) for layer in chain.units
    ]
    model.model_ = replace(
        model.model_, chain=type(chain)(units, weights), means=starts
    )
    of_x, inner, of_y = weights
    b, c_1, c_2, d = (layer.bias for layer in units)
    kappa_x, kappa_y = (
        np.exp(-units[end].parameters["log_variance"]) for end in (0, -1)
    )
    from_x = (x - x.mean(axis=0)) / x.std(axis=0) * kappa_x @ of_x
    from_y = (y - y.mean(axis=0)) / y.std(axis=0) * kappa_y @ of_y.T
    m_1, m_2 = starts
    # A free Gaussian view answers with its mean; what a unit hears of itself is taken
    # out.
    free_x = (b + m_1 @ of_x.T) * kappa_x @ of_x + kappa_x @ of_x**2 * (0.5 - m_1)
    free_y = (d + m_2 @ of_y) * kappa_y @ of_y.T + of_y**2 @ kappa_y * (0.5 - m_2)

    h_1 = expit(c_1 + from_x + m_2 @ inner.T)
    for other, found in (
        (free_y, model.transform_x(x)),
        (from_y, model.transform_pair(x, y)),
    ):
        h_2 = expit(c_2 + h_1 @ inner + other)
        np.testing.assert_allclose(found, np.hstack([h_1, h_2]), 0, 1e-12)

    h_2 = expit(c_2 + from_y + m_1 @ inner)
    h_1 = expit(c_1 + h_2 @ inner.T + free_x)
    np.testing.assert_allclose(model.transform_y(y), np.hstack([h_1, h_2]), 0, 1e-12)
