"""`GGDRMRegressor`: contract, both directions, persistence, properties."""

from __future__ import annotations

import pickle
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold

from sklearn_drm import GGDRMRegressor, SwapViews
from sklearn_drm.core import exact
from sklearn_drm.core.model import mirror
from sklearn_drm.estimators import _fitting
from sklearn_drm.estimators._training import Views

QUICK = {"fine_tune_epochs": 5, "pretrain_epochs": 1, "n_hidden_units": 8}


def two_views(n=400, seed=0, dtype=np.float64):
    """Two views of three latent variables, related without being linear."""
    rng = np.random.default_rng(seed)
    t = rng.normal(size=(n, 3))
    x = np.column_stack([t, np.tanh(2 * t[:, 0]) + t[:, 1]])
    bent = np.sin(2 * t[:, 0]) + t[:, 2]
    y = np.column_stack([bent, t[:, 1] * np.abs(t[:, 1]) - t[:, 0], t[:, 2]])
    noise = 0.2 * rng.normal(size=(n, 7))
    return (x + noise[:, :4]).astype(dtype), (5 + 3 * (y + noise[:, 4:])).astype(dtype)


@pytest.mark.parametrize("fine_tune", ["separate", "joint"])
def test_one_fit_predicts_both_ways(fine_tune):
    x, y = two_views(3000)
    held = slice(2500, None)
    model = GGDRMRegressor(fine_tune=fine_tune, random_state=0)
    model.fit(x[:2500], y[:2500])
    linear = Ridge().fit(x[:2500], y[:2500]).score(x[held], y[held])
    reverse = Ridge().fit(y[:2500], x[:2500]).score(y[held], x[held])
    assert model.score(x[held], y[held]) > linear
    assert model.score_x(x[held], y[held]) > reverse


@pytest.mark.parametrize(("fine_tune", "factor"), [("separate", 1), ("joint", 2)])
def test_epochs_by_the_number_of_updates(fine_tune, factor):
    options = {"n_hidden_units": 2, "early_stopping": False, "random_state": 0}
    model = GGDRMRegressor(fine_tune=fine_tune, **options).fit(*two_views(100))
    lengths = {len(losses) for losses in model.loss_curve_.values()}
    assert lengths - {len(model.loss_curve_["pretrain"])} == {factor * 60}
    for n_rows, y_target, epochs in (
        (15_000, None, 24),  # 3500 updates of 100 rows
        (15_000, [0], 17),  # 2500
        (600_000, [0], 12),
    ):
        model.set_params(y_target=y_target)
        x, y = np.empty((n_rows, 4), np.float32), np.empty((n_rows, 3), np.float32)
        assert model._epochs(Views(x, y, None)) == factor * epochs


def test_untuned_model_predicts_both_ways():
    x, y = two_views(2000)
    model = GGDRMRegressor(
        n_hidden_units=50,
        fine_tune=None,
        n_gibbs_steps=3,
        pretrain_epochs=60,
        pretrain_learning_rate=0.005,
        random_state=0,
    ).fit(x, y)
    assert model.score(x, y) > 0.4
    assert model.score_x(x, y) > 0.4
    assert set(model.loss_curve_) == {"pretrain"}


@pytest.mark.parametrize("fine_tune", ["separate", "joint", None])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_data_type_and_shapes(fine_tune, dtype):
    x, y = two_views(60, dtype=dtype)
    model = GGDRMRegressor(fine_tune=fine_tune, random_state=0, **QUICK).fit(x, y)
    mean, std = model.predict_y(x, return_std=True)
    back, back_std = model.predict_x(y, return_std=True)
    assert mean.shape == std.shape == y.shape
    assert back.shape == back_std.shape == x.shape
    assert {a.dtype for a in (mean, std, back, back_std)} == {np.dtype(dtype)}
    assert (std > 0).all() and (back_std > 0).all()
    assert model.model_.weights[0].dtype == dtype
    assert model.sample_y(x, 3).shape == (3, 60, 3)
    assert model.sample_x(y, 2).shape == (2, 60, 4)
    drawn = model.sample(5, n_sweeps=5)
    assert drawn[0].shape == (5, 4) and drawn[1].shape == (5, 3)
    for hidden in (
        model.transform_x(x),
        model.transform_y(y),
        model.transform_pair(x, y),
    ):
        assert hidden.shape == (60, 16)
        assert ((hidden >= 0) & (hidden <= 1)).all()


@pytest.mark.parametrize("return_std", [False, True])
def test_predict_is_predict_y(return_std):
    x, y = two_views(60)
    model = GGDRMRegressor(random_state=0, **QUICK).fit(x, y)
    np.testing.assert_array_equal(
        model.predict(x, return_std), model.predict_y(x, return_std)
    )


def test_one_dimensional_y():
    x, y = two_views(80)
    model = GGDRMRegressor(random_state=0, **QUICK).fit(x, y[:, 0])
    assert model.n_outputs_ == 1
    assert model.predict_y(x).shape == (80,)
    assert model.sample_y(x, 2).shape == (2, 80)
    np.testing.assert_allclose(model.predict_x(y[:, 0]), model.predict_x(y[:, :1]))


def test_mirror_swaps_the_predictors_and_keeps_the_density():
    x, y = two_views(200)
    settings = {"random_state": 0, "pretrain_epochs": 20, "early_stopping": False}
    model = GGDRMRegressor(2, 4, **settings).fit(x, y)
    swapped = mirror(model.model_)
    a, b = model.model_.x_scaling.standardize(x), model.model_.y_scaling.standardize(y)
    np.testing.assert_allclose(
        exact.log_likelihood(model.model_.chain, a, b),
        exact.log_likelihood(swapped.chain, b, a),
        atol=1e-10,
    )
    untuned = clone(model).set_params(fine_tune=None).fit(x, y)
    back = mirror(untuned.model_)
    np.testing.assert_allclose(
        exact.predict_exact(back.chain, b).mean,
        exact.predict_exact(mirror(model.model_).chain, b).mean,
        atol=1e-10,
    )


def test_density_integrates_to_one_in_the_units_given():
    x, y = two_views(300)
    x, y = 10 * x[:, :1] + 3, 0.1 * y[:, 0]
    model = GGDRMRegressor(1, 5, random_state=0, pretrain_epochs=20).fit(x, y)
    ends = [
        np.linspace(a.mean() - 8 * a.std(), a.mean() + 8 * a.std(), 400)
        for a in (x[:, 0], y)
    ]
    grid = np.array(np.meshgrid(*ends, indexing="ij")).reshape(2, -1).T
    density = np.exp(model.score_samples(grid[:, :1], grid[:, 1]))
    cell = (ends[0][1] - ends[0][0]) * (ends[1][1] - ends[1][0])
    np.testing.assert_allclose(density.sum() * cell, 1, rtol=1e-3)
    alone = np.exp(model.score_samples(ends[0][:, None]))
    np.testing.assert_allclose(
        alone,
        density.reshape(400, 400).sum(axis=1) * (ends[1][1] - ends[1][0]),
        rtol=1e-3,
    )
    other = np.exp(model.score_samples(y=ends[1]))
    np.testing.assert_allclose(
        other,
        density.reshape(400, 400).sum(axis=0) * (ends[0][1] - ends[0][0]),
        rtol=1e-3,
    )
    assert model.log_partition().standard_error == 0
    with pytest.raises(ValueError, match="X, y or both"):
        model.score_samples()


def test_approximate_density_is_near_the_exact_one():
    """Eleven units per layer are past the limit of enumeration in score_samples."""
    x, y = two_views(300)
    model = GGDRMRegressor(2, 11, random_state=0, pretrain_epochs=20).fit(x, y)
    chain = model.model_.chain
    rows = model.model_.x_scaling.standardize(x[:50])
    targets = model.model_.y_scaling.standardize(y[:50])
    truth = exact.log_likelihood(chain, rows, targets)
    truth = (
        truth - np.log(model.model_.x_scale).sum() - np.log(model.model_.y_scale).sum()
    )
    result = model.log_partition()
    assert result.standard_error > 0
    got = model.score_samples(x[:50], y[:50])
    assert (got <= truth + 4 * result.standard_error).all()
    assert (truth - got).mean() < 0.5


def test_samples_spread_like_the_residuals_and_centre_on_the_prediction():
    x, y = two_views(2000)
    model = GGDRMRegressor(random_state=0, fine_tune_epochs=30).fit(x, y)
    mean, std = model.predict_y(x, return_std=True)
    draws = model.sample_y(x, 200, random_state=1)
    error = (draws.mean(axis=0) - mean) / (std / np.sqrt(200))
    assert np.abs(error.mean(axis=0)).max() < 0.2
    np.testing.assert_allclose(draws.std(axis=0).mean(axis=0), std[0], rtol=0.05)
    np.testing.assert_allclose(
        draws.reshape(-1, 3).std(axis=0), y.std(axis=0), rtol=0.15
    )


def test_std_is_calibrated_on_new_rows():
    x, y = two_views(6000)
    model = GGDRMRegressor(random_state=0).fit(x[:3000], y[:3000])
    for truth, (mean, std) in (
        (y[3000:], model.predict_y(x[3000:], return_std=True)),
        (x[3000:], model.predict_x(y[3000:], return_std=True)),
    ):
        assert 0.85 < np.mean(((truth - mean) / std) ** 2) < 1.15


def test_std_is_calibrated_where_groups_differ_in_spread():
    # Eight of eighty groups are held out: their own spread is a matter of chance.
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(80), 20)
    errors = []
    for seed in range(6):
        loud = np.exp(0.7 * rng.standard_normal((80, 1)))[groups]
        x, y = (
            loud * rng.standard_normal((1600, 2)),
            loud * rng.standard_normal((1600, 2)),
        )
        y += 0.5 * x
        model = GGDRMRegressor(1, 4, fine_tune_epochs=3, random_state=seed)
        model.fit(x, y, groups=groups)
        mean, std = model.predict_y(x, return_std=True)
        errors.append(np.log(np.mean(((y - mean) / std) ** 2)))
    assert np.abs(errors).mean() < 0.05


def test_targets_choose_the_columns_that_count():
    x, y = two_views(1500)
    rng = np.random.default_rng(1)
    noisy = np.hstack([rng.normal(size=(1500, 20)), y])
    model = GGDRMRegressor(random_state=0, y_target=slice(20, 23), fine_tune_epochs=30)
    model.fit(x, noisy)
    prediction = model.predict_y(x)
    assert prediction.shape == noisy.shape
    assert model.score(x, noisy) > 0.7
    # Columns outside the target are not garbage: noise is predicted by its mean.
    assert prediction[:, :20].std() < 0.3
    shared = np.hstack([y, y])
    half = clone(model).set_params(y_target=[0, 1, 2]).fit(x, shared)
    assert half.score(x, shared) > 0.7
    from sklearn.metrics import r2_score

    assert r2_score(y, half.predict_y(x)[:, 3:]) > 0.7


def test_early_stopping_holds_out_whole_groups(monkeypatch):
    from sklearn_drm.estimators import _training

    held = {}
    original = _training.held_out_rows

    def spy(n_rows, groups, fraction, rng):
        held["rows"] = original(n_rows, groups, fraction, rng)
        return held["rows"]

    monkeypatch.setattr(_training, "held_out_rows", spy)
    x, y = two_views(600)
    groups = np.random.default_rng(5).permutation(np.repeat(np.arange(30), 20))
    model = GGDRMRegressor(random_state=0, **QUICK).fit(x, y, groups=groups)
    train, out = held["rows"]
    assert not set(groups[train]) & set(groups[out])
    assert sorted(np.r_[train, out]) == list(range(600))
    assert len(out) == 60
    assert set(model.validation_scores_) == {"x", "y"}


def test_early_stopping_is_off_with_few_rows():
    x, y = two_views(39)
    model = GGDRMRegressor(random_state=0, **QUICK).fit(x, y)
    assert model.validation_scores_ == {}


@pytest.mark.parametrize("fine_tune", ["separate", "joint"])
def test_refit_goes_on_with_all_rows(fine_tune, monkeypatch):
    name = {"separate": "tune_network", "joint": "tune_joint"}[fine_tune]
    tune, seen = getattr(_fitting, name), []

    def spy(model, x, y, weight, schedule, rng, **settings):
        held_out = settings.get("validation") or settings.get("score")
        part = schedule.begin, schedule.end
        seen.append((len(x), held_out is not None, part))
        return tune(model, x, y, weight, schedule, rng, **settings)

    monkeypatch.setattr(_fitting, name, spy)
    x, y = two_views(1000)
    settings = {"fine_tune": fine_tune, "random_state": 0, "n_hidden_units": 10}
    model = GGDRMRegressor(fine_tune_epochs=10, **settings).fit(x, y)
    times = 2 if fine_tune == "separate" else 1
    first, second = (900, True, (0.0, 0.5)), (1000, False, (0.5, 1.0))
    assert seen == [first] * times + [second] * times
    assert {len(scores) for scores in model.validation_scores_.values()} == {5}
    phases = {n: len(v) for n, v in model.loss_curve_.items() if n != "pretrain"}
    assert set(phases.values()) == {10}
    assert len(phases) == times
    # The half before has measured the standard deviations.
    monkeypatch.setattr(GGDRMRegressor, "_fine_tune_on_all", lambda *rest: None)
    half = GGDRMRegressor(fine_tune_epochs=10, **settings).fit(x, y)
    assert half.validation_scores_ == model.validation_scores_
    for view, predictor in half.predictors_.items():
        other = model.predictors_[view]
        np.testing.assert_array_equal(other.variance, predictor.variance)
        assert not np.allclose(other.weight, predictor.weight, atol=1e-3)


@pytest.mark.parametrize(
    "settings", [{"refit": False}, {"early_stopping": False}, {"warm_start": True}]
)
def test_all_epochs_are_of_one_phase_without_refit(settings):
    x, y = two_views(600)
    model = GGDRMRegressor(
        random_state=0, n_hidden_units=10, fine_tune_epochs=5, tol=0.0, **settings
    ).fit(x, y)
    lengths = {view: len(losses) for view, losses in model.loss_curve_.items()}
    assert lengths == {"pretrain": 1, "y": 5, "x": 5}
    assert all(len(scores) == 5 for scores in model.validation_scores_.values())


@pytest.mark.parametrize(
    ("fine_tune", "harmed"), [("separate", "xy"), ("separate", "x"), ("joint", "xy")]
)
def test_refit_is_taken_back_where_it_does_harm(fine_tune, harmed, monkeypatch):
    x, y = two_views(600)
    settings = {"fine_tune": fine_tune, "random_state": 0, "n_hidden_units": 10}
    go_on = GGDRMRegressor._fine_tune_on_all

    def burst(self, *how):
        go_on(self, *how)
        vectors = [self._trainer.model.vector]
        if self._networks is not None:
            vectors = [self._networks["yx".index(view)].vector for view in harmed]
        for vector in vectors:
            vector *= 30.0
        rows = how[0]
        self._finish(rows, None, measured=self.predictors_)

    monkeypatch.setattr(GGDRMRegressor, "_fine_tune_on_all", lambda *rest: None)
    half = GGDRMRegressor(**settings).fit(x, y)
    monkeypatch.setattr(GGDRMRegressor, "_fine_tune_on_all", burst)
    model = GGDRMRegressor(**settings).fit(x, y)
    np.testing.assert_array_equal(model.predict_y(x), half.predict_y(x))
    np.testing.assert_array_equal(model.predict_x(y), half.predict_x(y))
    np.testing.assert_array_equal(
        model.predict_y(x, return_std=True)[1], half.predict_y(x, return_std=True)[1]
    )
    # What is learned later goes on from there, with the optimiser of then.
    for one in (half, model):
        one.partial_fit(x, y)
    np.testing.assert_array_equal(model.predict_y(x), half.predict_y(x))


def test_refit_is_short_where_the_best_epoch_came_early():
    x, y = two_views(600)
    model = GGDRMRegressor(
        random_state=0, n_hidden_units=10, fine_tune_epochs=20, tol=0.99,
        n_iter_no_change=2,
    ).fit(x, y)  # fmt: skip
    # Two epochs without such a gain end each direction, the better of them among the
    # first two or three.
    best = max(1 + int(np.argmax(s)) for s in model.validation_scores_.values())
    assert 1 <= best <= 3
    for view, scores in model.validation_scores_.items():
        assert len(scores) <= 3
        later = len(model.loss_curve_[view]) - len(scores)
        assert later == best


def test_partial_fit_learns_and_freezes_the_scaling():
    x, y = two_views(2000)
    model = GGDRMRegressor(random_state=0, n_hidden_units=30)
    scores = []
    for epoch in range(30):
        for start in range(0, 2000, 500):
            rows = slice(start, start + 500)
            model.partial_fit(x[rows] + (epoch == 0) * 0.0, y[rows])
        if epoch == 0:
            location = model.model_.x_scaling.location.copy()
            np.testing.assert_allclose(location, x[:500].mean(axis=0), atol=1e-12)
        scores.append(model.score(x, y))
    assert scores[-1] > 0.7
    assert (model.model_.x_scaling.location == location).all()


@pytest.mark.parametrize("fine_tune", ["separate", "joint"])
def test_warm_start_goes_on(fine_tune):
    x, y = two_views(1000)
    model = GGDRMRegressor(
        random_state=0, warm_start=True, fine_tune=fine_tune, fine_tune_epochs=5
    )
    first = model.fit(x, y).score(x, y)
    n_iter = model.n_iter_
    for _ in range(4):
        model.fit(x, y)
    assert model.n_iter_ > n_iter
    assert model.score(x, y) > first
    for other in ({"n_hidden_units": 7}, {"n_hidden_layers": 1}):
        changed = clone(model).fit(x, y).set_params(**other)
        for learn in (changed.fit, changed.partial_fit):
            with pytest.raises(ValueError, match=r"layers of \[100, 100\] units"):
                learn(x, y)


@pytest.mark.parametrize("later", ["joint", None])
def test_warm_start_may_change_the_fine_tuning(later):
    """Networks of an earlier, separate fit do not answer for the chain."""
    x, y = two_views(100)
    model = GGDRMRegressor(random_state=0, warm_start=True, **QUICK).fit(x, y)
    before = model.predict_y(x)
    model.set_params(fine_tune=later).fit(x, y)
    assert not np.array_equal(model.predict_y(x), before)
    mean = model.predictors_["y"].hidden.chain.weights[-1]
    np.testing.assert_array_equal(mean, model.model_.weights[-1])


def test_predictions_are_identical_in_a_new_process(tmp_path):
    x, y = two_views(100, dtype=np.float32)
    model = GGDRMRegressor(random_state=0, **QUICK).fit(x, y)
    joblib.dump(model, tmp_path / "model.joblib")
    np.savez(tmp_path / "data.npz", x=x, y=y)
    code = (
        "import joblib, numpy as np, sys\n"
        "d = np.load(sys.argv[2]); m = joblib.load(sys.argv[1])\n"
        "np.savez(sys.argv[3], y=m.predict_y(d['x']), x=m.predict_x(d['y']))\n"
        "m.partial_fit(d['x'], d['y'])\n"
    )
    paths = [str(tmp_path / name) for name in ("model.joblib", "data.npz", "out.npz")]
    subprocess.run([sys.executable, "-c", code, *paths], check=True)
    out = np.load(paths[2])
    np.testing.assert_array_equal(out["y"], model.predict_y(x))
    np.testing.assert_array_equal(out["x"], model.predict_x(y))


def test_partial_fit_after_loading_changes_the_predictions():
    x, y = two_views(100)
    model = pickle.loads(
        pickle.dumps(GGDRMRegressor(random_state=0, **QUICK).fit(x, y))
    )
    before = model.predict_y(x)
    weights = model.model_.weights[0].copy()
    model.partial_fit(x, y)
    assert np.abs(model.predict_y(x) - before).max() > 0
    assert np.abs(model.model_.weights[0] - weights).max() > 0


def test_data_frames_name_their_columns():
    x, y = two_views(60)
    frame = pd.DataFrame(x, columns=list("abcd"))
    targets = pd.DataFrame(y, columns=["u", "v", "w"])
    model = GGDRMRegressor(random_state=0, **QUICK).fit(frame, targets)
    assert list(model.feature_names_in_) == list("abcd")
    assert list(model.target_names_in_) == ["u", "v", "w"]
    swapped = SwapViews(GGDRMRegressor(**QUICK)).fit(frame, targets)
    turned = targets[["w", "u", "v"]]
    for ask in (
        lambda: model.predict_x(turned),
        lambda: model.score_samples(frame, turned),
        lambda: model.partial_fit(frame, turned),
        lambda: swapped.predict_x(turned),
    ):
        with pytest.raises(ValueError, match="column names of y should match"):
            ask()
    np.testing.assert_array_equal(model.predict_x(y), model.predict_x(targets))
    for fitted_before in (model, swapped):
        fitted_before.fit(x, y)
        assert not hasattr(fitted_before, "target_names_in_")


@pytest.mark.slow
def test_layers_and_units_are_searchable_by_clip():
    x, y = two_views(600)
    clips = np.repeat(np.arange(20), 30)
    search = GridSearchCV(
        GGDRMRegressor(random_state=0, fine_tune_epochs=10),
        {"n_hidden_layers": [1, 2, 3], "n_hidden_units": [5, 40]},
        cv=GroupKFold(3),
    ).fit(x, y, groups=clips)
    assert search.best_params_["n_hidden_units"] == 40
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_hidden_layers": 0}, "n_hidden_layers"),
        ({"n_hidden_units": 0}, "n_hidden_units"),
        ({"n_hidden_units": [3]}, "each of the 2 hidden layers"),
        ({"fine_tune": "both"}, "fine_tune"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"dropout": 1.0}, "dropout"),
        ({"mean_field": "exact"}, "mean_field"),
        ({"batch_size": 0}, "batch_size"),
        ({"x_target": slice(9, 12)}, "x_target"),
        ({"y_target": [7]}, "y_target"),
        ({"n_mean_field_iter": 0}, "n_mean_field_iter"),
        ({"verbose": -1}, "verbose"),
        ({"verbose": "loud"}, "verbose"),
    ],
)
def test_bad_hyperparameters_are_named(change, message):
    x, y = two_views(30)
    with pytest.raises(ValueError, match=message):
        GGDRMRegressor(**change).fit(x, y)


def test_bad_input_is_refused():
    x, y = two_views(30)
    model = GGDRMRegressor(random_state=0, **QUICK)
    with pytest.raises(NotFittedError):
        model.predict_y(x)
    for bad in (np.nan, np.inf):
        broken = y.copy()
        broken[3, 1] = bad
        with pytest.raises(ValueError, match=r"NaN|inf"):
            model.fit(x, broken)
        with pytest.raises(ValueError, match=r"NaN|inf"):
            model.fit(np.where(np.arange(4) == 2, bad, x), y)
    with pytest.raises(ValueError, match="inconsistent"):
        model.fit(x, y[:-1])
    with pytest.raises(ValueError, match="minimum of 2"):
        model.fit(x[:1], y[:1])
    with pytest.raises(ValueError, match="0 sample"):
        model.fit(x[:0], y[:0])
    model.fit(x, y)
    with pytest.raises(ValueError, match="expecting 4"):
        model.predict_y(x[:, :3])
    with pytest.raises(ValueError, match="fitted with 3"):
        model.predict_x(y[:, :2])
    with pytest.raises(ValueError, match="not be negative"):
        model.fit(x, y, sample_weight=np.r_[-1, np.ones(29)])
    with pytest.raises(ValueError, match="one label per row"):
        model.fit(x, y, groups=np.zeros((30, 2)))
    with pytest.raises(ValueError, match="labels of one kind"):
        model.fit(x, y, groups=[None, *"abcdef" * 4, *range(5)])
    with pytest.raises(ValueError, match="too large"):
        model.fit(np.where(np.arange(4) == 2, 1e300 * x, x), y)
    single = x.astype(np.float32)
    single[:, 3] = np.where(np.arange(30) < 10, -3e38, 3e38)
    with pytest.raises(ValueError, match="Column 3 holds values too large"):
        model.fit(single, y)


def test_what_is_no_dense_table_of_numbers_is_refused():
    x, y = two_views(30)
    model = GGDRMRegressor(random_state=0, **QUICK)
    words = np.full(y.shape, "a")
    for bad, message in ((csr_array(x), "dense data"), (x + 1j, "Complex data")):
        with pytest.raises((TypeError, ValueError), match=message):
            model.fit(bad, y)
    for bad, message in ((csr_array(y), "dense data"), (words, "could not convert")):
        with pytest.raises((TypeError, ValueError), match=message):
            model.fit(x, bad)
    model.fit(x.astype(object), y.tolist())
    for bad, message in ((csr_array(y), "dense data"), (words, "could not convert")):
        with pytest.raises((TypeError, ValueError), match=message):
            model.predict_x(bad)
    with pytest.raises(ValueError, match="dim"):
        model.predict_y(x[:, :, None])


def test_huge_values_are_learned_or_refused():
    x, y = two_views(200)
    model = GGDRMRegressor(random_state=0, **QUICK)
    small = model.fit(x, y).predict_y(x)
    large = model.fit(1e30 * x, y).predict_y(1e30 * x)
    np.testing.assert_allclose(small, large, rtol=1e-6)
    assert np.isfinite(model.fit(x, 1e30 * y).predict_x(1e30 * y)).all()


@pytest.mark.parametrize("fine_tune", ["separate", None])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_predictions_and_their_errors_have_the_units_of_the_view(fine_tune, scale):
    x, y = (view.astype(np.float32) for view in two_views(200))
    model = GGDRMRegressor(random_state=0, **{**QUICK, "fine_tune": fine_tune})
    mean, std = model.fit(x, y).predict_y(x, return_std=True)
    unit = np.float32(scale)
    scaled = model.fit(x, unit * y).predict_y(x, return_std=True)
    np.testing.assert_allclose(scaled[0] / unit, mean, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(scaled[1] / unit, std, rtol=1e-3)
    np.testing.assert_array_equal(model.predict_y(x), scaled[0])


def test_constant_columns_are_predicted_as_such():
    x, y = two_views(100)
    x[:, 1], y[:, 2] = 7.5, -3.25
    model = GGDRMRegressor(random_state=0, **QUICK).fit(x, y)
    np.testing.assert_allclose(model.predict_x(y)[:, 1], 7.5, rtol=1e-12)
    np.testing.assert_allclose(model.predict_y(x)[:, 2], -3.25, rtol=1e-12)


@pytest.mark.parametrize("kind", ["int", "bool", "fortran", "memmap"])
def test_input_layouts(kind, tmp_path):
    x, y = two_views(60)
    if kind == "int":
        a, b = (10 * x).astype(int), (10 * y).astype(int)
    elif kind == "bool":
        a, b = x > 0, y > 5
    elif kind == "fortran":
        a, b = np.asfortranarray(x), np.asfortranarray(y)
    else:
        np.save(tmp_path / "x.npy", x)
        np.save(tmp_path / "y.npy", y)
        a = np.load(tmp_path / "x.npy", mmap_mode="r")
        b = np.load(tmp_path / "y.npy", mmap_mode="r")
    model = GGDRMRegressor(random_state=0, **QUICK)
    got = model.fit(a, b).predict_y(a)
    reference = model.fit(np.array(a, float), np.array(b, float)).predict_y(x * 0 + a)
    np.testing.assert_allclose(got, reference, rtol=1e-10)


def test_integer_weights_of_zero_leave_rows_out():
    x, y = two_views(60)
    weight = np.r_[np.ones(40), np.zeros(20)]
    model = GGDRMRegressor(random_state=0, **QUICK)
    a = model.fit(x, y, sample_weight=weight).predict_y(x)
    b = model.fit(x[:40], y[:40]).predict_y(x)
    np.testing.assert_allclose(a, b)


def test_weights_move_the_fit():
    rng = np.random.default_rng(2)
    x = np.repeat(rng.normal(size=(200, 2)), 2, axis=0)
    y = np.tile([[0.0], [4.0]], (200, 1)) + 0.1 * rng.normal(size=(400, 1))
    weight = np.tile([3.0, 1.0], 200)
    model = GGDRMRegressor(random_state=0, fine_tune_epochs=20)
    mean = model.fit(x, y, sample_weight=weight).predict_y(x).mean()
    assert abs(mean - 1.0) < 0.25


@pytest.fixture(scope="module")
def fitted():
    x, y = two_views(200)
    return GGDRMRegressor(random_state=0, **QUICK).fit(x, y), x, y


@given(st.permutations(range(20)), st.integers(1, 20))
def test_rows_do_not_see_each_other(fitted, order, n):
    model, x, y = fitted
    whole, back = model.predict_y(x[:20]), model.predict_x(y[:20])
    rows = list(order)
    np.testing.assert_allclose(model.predict_y(x[rows]), whole[rows], atol=1e-7)
    np.testing.assert_allclose(model.predict_x(y[rows]), back[rows], atol=1e-7)
    np.testing.assert_allclose(model.predict_y(x[:n]), whole[:n], atol=1e-7)


def test_densities_do_not_see_other_rows(fitted):
    model, x, y = fitted
    whole = model.score_samples(x[:20], y[:20])
    some = [7, 3, 3, 11]
    np.testing.assert_allclose(model.score_samples(x[some], y[some]), whole[some])
    np.testing.assert_allclose(
        model.score_samples(x[some]), model.score_samples(x[:20])[some]
    )


@settings(max_examples=10)
@given(
    st.floats(-1e3, 1e3),
    st.floats(1e-3, 1e3),
    st.floats(-1e3, 1e3),
    st.floats(1e-3, 1e3),
)
def test_fit_is_scale_equivariant(a, b, c, d):
    x, y = two_views(60)
    model = GGDRMRegressor(random_state=0, **QUICK)
    plain = model.fit(x, y)
    forward, back = plain.predict_y(x), plain.predict_x(y)
    moved_x, moved_y = b * (x + a), d * (y + c)
    moved = clone(model).fit(moved_x, moved_y)
    np.testing.assert_allclose(moved.predict_y(moved_x) / d - c, forward, atol=1e-6)
    np.testing.assert_allclose(moved.predict_x(moved_y) / b - a, back, atol=1e-6)


@settings(max_examples=8)
@given(st.integers(0, 2**31 - 1))
def test_a_seed_determines_everything(seed):
    x, y = two_views(50)
    a, b = (GGDRMRegressor(random_state=seed, **QUICK).fit(x, y) for _ in range(2))
    np.testing.assert_array_equal(a.predict_y(x), b.predict_y(x))
    np.testing.assert_array_equal(a.predict_x(y), b.predict_x(y))
    np.testing.assert_array_equal(a.sample_y(x, 2), b.sample_y(x, 2))
    np.testing.assert_array_equal(
        a.sample(3, n_sweeps=3)[0], b.sample(3, n_sweeps=3)[0]
    )


@pytest.mark.parametrize("fine_tune", ["separate", "joint"])
def test_rows_of_little_weight_do_not_tell_when_to_stop(fine_tune):
    """Held-out rows count by their weight, as those that are learned from do."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1500, 3))
    y = np.column_stack([2 * x[:, 0], x[:, 1] - x[:, 2]])
    wrong = rng.random(1500) < 0.5
    mixed = np.where(wrong[:, None], -y, y)
    weight = np.where(wrong, 0.01, 1.0)
    model = GGDRMRegressor(
        n_hidden_units=20, fine_tune=fine_tune, fine_tune_epochs=10, random_state=0
    ).fit(x, mixed, sample_weight=weight)
    assert max(model.validation_scores_["y"]) > 0.8
    assert model.score(x, y) > 0.9


@pytest.mark.parametrize(
    ("sizes", "n_held"),
    [
        ([590, 10], None),  # the large one is no tenth, the small one too few
        ([60, 60], 60),
        ([100, 20], 20),  # of few rows few must do
        ([111, 9], None),
        (12 * [10], 30),  # a quarter: a tenth of few rows tells nothing
        (3 * [10], None),
        ([300, 300], 300),
        ([1000] + 10 * [60], 180),  # the large one would be most of the rows
        ([200, 900], 200),
        (30 * [20], 60),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_groups_held_out_are_neither_few_rows_nor_most(sizes, n_held, seed):
    from sklearn_drm.estimators._training import held_out_rows

    groups = np.repeat(np.arange(len(sizes)), sizes)
    split = held_out_rows(
        len(groups), groups, 0.1, np.random.default_rng([seed, len(groups)])
    )
    if n_held is None:
        assert split is None
        return
    train, held = split
    assert len(held) == n_held
    assert sorted(np.r_[train, held]) == list(range(len(groups)))
    assert not set(groups[train]) & set(groups[held])


@pytest.mark.parametrize(
    ("n_rows", "fraction", "n_held"),
    [(39, 0.1, None), (40, 0.1, 10), (120, 0.1, 30), (120, 0.4, 48), (200, 0.1, 50),
     (450, 0.1, 50), (600, 0.1, 60)],
)  # fmt: skip
def test_of_few_rows_a_larger_part_is_held_out(n_rows, fraction, n_held):
    from sklearn_drm.estimators._training import held_out_rows

    split = held_out_rows(n_rows, None, fraction, np.random.default_rng(0))
    assert (split and len(split[1])) == n_held


@pytest.mark.parametrize(("n_rows", "n_columns"), [(60, 20), (100, 30), (300, 60)])
def test_standard_deviations_of_few_rows_are_those_of_new_rows(n_rows, n_columns):
    """Residuals of the training rows, which the networks can fit, are far smaller."""
    squares = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(n_rows + 1000, n_columns))
        y = 0.5 * x[:, :2] + rng.normal(size=(n_rows + 1000, 2))
        model = GGDRMRegressor(random_state=seed).fit(x[:n_rows], y[:n_rows])
        mean, std = model.predict_y(x[n_rows:], return_std=True)
        squares.append(np.square((y[n_rows:] - mean) / std).mean())
    assert 0.7 < np.mean(squares) < 1.5, squares


def test_a_fraction_that_leaves_nothing_to_learn_from_is_named():
    with pytest.raises(ValueError, match="leaves none of 400 rows"):
        GGDRMRegressor(validation_fraction=0.9999, **QUICK).fit(*two_views(400))


def test_scores_refuse_columns_in_another_order():
    x, y = two_views(100)
    frame_x, frame_y = (
        pd.DataFrame(x, columns=[*"abcd"]),
        pd.DataFrame(y, columns=[*"uvw"]),
    )
    model = GGDRMRegressor(random_state=0, **QUICK).fit(frame_x, frame_y)
    assert model.score(frame_x, frame_y) == model.score(frame_x, y)
    for score, views in (
        (model.score, (frame_x, frame_y[[*"vuw"]])),
        (model.score_x, (frame_x[[*"bacd"]], frame_y)),
    ):
        with pytest.raises(ValueError, match=r"(?i)names of? ?y|feature names"):
            score(*views)
    assert np.isfinite(model.score_x(frame_x, y))


def test_score_takes_a_column_where_y_was_a_vector():
    x, y = two_views(100)
    model = GGDRMRegressor(y_target=[0], random_state=0, **QUICK).fit(x, y[:, 0])
    assert model.score(x, y[:, :1]) == model.score(x, y[:, 0])


@pytest.mark.parametrize("fine_tune", ["separate", "joint", None])
def test_constant_columns_are_constant_in_draws_too(fine_tune):
    x, y = two_views(200)
    x = np.column_stack([x, np.full(200, 3e-6)])
    y = np.column_stack([np.full(200, 0.1), y])
    model = GGDRMRegressor(fine_tune=fine_tune, random_state=0, **QUICK).fit(x, y)
    drawn_x, drawn_y = model.sample(5)
    np.testing.assert_array_equal(drawn_x[:, -1], 3e-6)
    np.testing.assert_array_equal(drawn_y[:, 0], 0.1)
    np.testing.assert_array_equal(model.sample_y(x[:4], 3)[..., 0], 0.1)
    np.testing.assert_array_equal(model.sample_x(y[:4], 3)[..., -1], 3e-6)
    mean, std = model.predict_y(x[:4], return_std=True)
    np.testing.assert_array_equal(mean[:, 0], 0.1)
    assert (std[:, 0] == 0).all() and (std[:, 1:] > 0).all()
    assert drawn_x[:, :-1].std() > 0


def test_standard_deviations_of_partial_fit_are_not_those_of_one_row():
    x, y = two_views(1000)
    model = GGDRMRegressor(n_hidden_units=20, random_state=0)
    for _ in range(10):
        for start in range(0, 1000, 50):
            model.partial_fit(x[start : start + 50], y[start : start + 50])
    residual = np.sqrt(np.square(y - model.predict_y(x)).mean(axis=0))
    _, before = model.predict_y(x[:1], return_std=True)
    np.testing.assert_allclose(before[0], residual, rtol=0.25)
    model.partial_fit(x[:1], y[:1])
    _, after = model.predict_y(x[:1], return_std=True)
    np.testing.assert_allclose(after[0], before[0], rtol=0.05)


def test_a_fit_forgets_the_random_numbers_of_partial_fits_before_it():
    x, y = two_views(200)
    once = GGDRMRegressor(random_state=0, **QUICK).fit(x, y).partial_fit(x, y)
    again = GGDRMRegressor(random_state=0, **QUICK).partial_fit(x, y)
    again.fit(x, y).partial_fit(x, y)
    np.testing.assert_array_equal(once.predict_y(x), again.predict_y(x))


@pytest.mark.parametrize("fine_tune", ["separate", "joint"])
def test_a_memory_mapped_model_can_go_on_learning(tmp_path, fine_tune):
    x, y = two_views(200)
    model = GGDRMRegressor(fine_tune=fine_tune, random_state=0, **QUICK).fit(x, y)
    joblib.dump(model, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    before = mapped.predict_y(x)
    mapped.partial_fit(x, y)
    np.testing.assert_array_equal(
        mapped.predict_y(x), model.partial_fit(x, y).predict_y(x)
    )
    stored = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(stored.predict_y(x), before)


@pytest.mark.parametrize("n_sweeps", [0, -3, 2.5])
def test_the_number_of_sweeps_is_a_positive_int(n_sweeps):
    model = GGDRMRegressor(random_state=0, **QUICK).fit(*two_views(60))
    with pytest.raises(ValueError, match="n_sweeps must be a positive int"):
        model.sample(2, n_sweeps=n_sweeps)


def test_pairs_under_one_hidden_layer_are_exact_without_enumeration(monkeypatch):
    x, y = two_views(50)
    model = GGDRMRegressor(n_hidden_layers=1, random_state=0, **QUICK).fit(x, y)
    chain = model.model_.chain
    rows, targets = model._check_x(x), model._check_y(y)
    expected = exact.log_likelihood(chain, rows, targets)
    expected -= np.log(model.model_.x_scale).sum() + np.log(model.model_.y_scale).sum()
    model.log_partition()
    monkeypatch.setattr(exact, "_states", None)
    np.testing.assert_allclose(model.score_samples(x, y), expected, rtol=1e-10)
