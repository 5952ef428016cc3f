"""What a fit tells while it runs: lines, a bar, scikit-learn's callbacks."""

from __future__ import annotations

import io
import pickle
import re
import sys
import warnings

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from sklearn_drm import (
    BBDRMClassifier,
    GCDRMClassifier,
    GGDRMRegressor,
    SwapViews,
    TwoViewRegressor,
)

QUICK = {"fine_tune_epochs": 3, "pretrain_epochs": 2, "n_hidden_units": 8}
LINE = re.compile(
    r"\[GGDRMRegressor\] (?P<phase>[a-z >,-]+?)(, epoch (?P<epoch>\d+)/(?P<of>\d+): |"
    r": (?P<epochs>\d+) epochs?, )loss (?P<loss>[-\d.e> ]+)"
    r"(, held-out R2( y (?P<y>-?\d+\.\d{4}))?( x (?P<x>-?\d+\.\d{4}))?)?, \d+\.\d s"
)


def two_views(n=600):
    x = np.random.default_rng(0).normal(size=(n, 3))
    return x, x[:, :2] * [1.0, -2.0] + 0.1


def lines_of(text):
    parsed = [LINE.fullmatch(line) for line in text.splitlines()]
    assert all(parsed), text
    return [match.groupdict() for match in parsed]


def test_a_line_per_phase_says_both_scores(capsys):
    model = GGDRMRegressor(random_state=0, verbose=1, **QUICK).fit(*two_views())
    out, err = capsys.readouterr()
    assert err == ""  # no bar: standard error is no terminal here
    lines = lines_of(out)
    assert [line["phase"] for line in lines] == [
        "pre-training",
        "fine-tuning x -> y",
        "fine-tuning y -> x",
        "fine-tuning x -> y, all rows",
        "fine-tuning y -> x, all rows",
    ]
    for view in "yx":
        best = max(model.validation_scores_[view])
        assert float(lines[2][view]) == pytest.approx(best, abs=5e-5)
        assert lines[3][view] is lines[4][view] is None
    assert lines[1]["x"] is None and lines[0]["y"] is None
    assert [line["loss"].count("->") for line in lines[:3]] == [1, 1, 1]
    GGDRMRegressor(verbose=1, fine_tune=None, pretrain_epochs=1).fit(*two_views())
    (line,) = lines_of(capsys.readouterr().out)
    assert line["epochs"] == "1" and "->" not in line["loss"]


@pytest.mark.parametrize("fine_tune", ["separate", "joint"])
def test_a_line_per_epoch(capsys, fine_tune):
    model = GGDRMRegressor(random_state=0, verbose=2, fine_tune=fine_tune, **QUICK)
    model.fit(*two_views())
    lines = lines_of(capsys.readouterr().out)
    epochs = [line for line in lines if line["epoch"]]
    assert len(epochs) == model.n_iter_
    told = {view: [] for view in "yx"}
    tuned = "both ways" if fine_tune == "joint" else "x -> y"
    for line in epochs:
        if line["phase"].endswith(tuned):
            told["y"].append(float(line["y"]))
        if line["phase"].endswith(("both ways", "y -> x")):
            told["x"].append(float(line["x"]))
    for view in "yx":
        np.testing.assert_allclose(
            told[view], model.validation_scores_[view], atol=5e-5
        )


def test_silent_by_default(capsys):
    GGDRMRegressor(random_state=0, **QUICK).fit(*two_views())
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    GGDRMRegressor(random_state=0, verbose=1, **QUICK).fit(*two_views())
    assert "fine-tuning x -> y" in screen.getvalue()
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setitem(sys.modules, "tqdm", None)  # not installed: no bar, no error
    GGDRMRegressor(random_state=0, verbose=1, **QUICK).fit(*two_views())
    assert screen.getvalue() == ""


class Counter:
    """A callback that notes the end of every task."""

    max_propagation_depth = None

    def __init__(self):
        self.ended, self.torn_down = [], 0

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        self.torn_down += 1

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.ended.append(context.task_name)


def test_callbacks_of_scikit_learn_see_every_epoch():
    pytest.importorskip("sklearn.callback")
    x, y = two_views()
    told = Counter()
    model = GGDRMRegressor(random_state=0, **QUICK).set_callbacks(told).fit(x, y)
    assert told.ended.count("epoch") == model.n_iter_ == 8
    assert told.ended[-1] == "fit" and told.torn_down == 1
    assert told.ended.count("fine-tuning y -> x") == 1
    plain = GGDRMRegressor(random_state=0, **QUICK).fit(x, y)
    np.testing.assert_array_equal(model.predict(x), plain.predict(x))
    pickle.dumps(plain)


@pytest.mark.parametrize(
    "around",
    [
        TwoViewRegressor,
        SwapViews,
        lambda model: SwapViews(TwoViewRegressor(model)),
        lambda model: GridSearchCV(SwapViews(model), {"estimator__tol": [0.1]}, cv=2),
    ],
    ids=["TwoViewRegressor", "SwapViews", "both", "GridSearchCV"],
)
def test_callbacks_reach_the_model_inside(around):
    pytest.importorskip("sklearn.callback")
    told = Counter()
    model = around(GGDRMRegressor(random_state=0, **QUICK))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "does not support callbacks"
        model.set_callbacks(told).fit(*two_views())
    n_fits = 3 if isinstance(model, GridSearchCV) else 1
    assert told.ended.count("epoch") == 8 * n_fits and told.torn_down == 1


class Stopper(Counter):
    """A callback that ends every phase after so many epochs."""

    def __init__(self, n_epochs):
        super().__init__()
        self.n_epochs = n_epochs

    def on_fit_task_end(self, estimator, context):
        super().on_fit_task_end(estimator, context)
        return context.task_name == "epoch" and context.task_id + 1 == self.n_epochs


@pytest.mark.parametrize("fine_tune", ["separate", "joint", None])
def test_a_callback_ends_a_phase_and_leaves_a_model(fine_tune):
    pytest.importorskip("sklearn.callback")
    x, y = two_views()
    options = {"n_hidden_units": 50, "pretrain_epochs": 6, "fine_tune_epochs": 30}
    model = GGDRMRegressor(fine_tune=fine_tune, random_state=0, **options)
    model.set_callbacks(Stopper(4)).fit(x, y)
    n_epochs = {phase: len(losses) for phase, losses in model.loss_curve_.items()}
    assert n_epochs.pop("pretrain") == 4
    # Four of fifteen, the last one the best, and four of the fifteen for all rows.
    assert set(n_epochs.values()) <= {4 + 4}
    assert {len(scores) for scores in model.validation_scores_.values()} <= {4}
    for prediction in (*model.predict_y(x, return_std=True), model.predict_x(y)):
        assert np.isfinite(prediction).all()
    if fine_tune == "separate":
        assert model.score(x, y) > 0 and model.score_x(x, y) > 0
    # A fit that is told nothing goes on as ever.
    model.set_callbacks(Stopper(99)).fit(x, y)
    assert len(model.loss_curve_["pretrain"]) == 6


class Keeper(Counter):
    """A callback that keeps the estimator of every epoch, and how it scored."""

    def __init__(self):
        super().__init__()
        self.fitted, self.scores = [], []

    def on_fit_task_end(
        self,
        estimator,
        context,
        *,
        X=None,
        y=None,
        fitted_estimator=None,
        metadata=None,
    ):
        super().on_fit_task_end(estimator, context)
        if fitted_estimator is None:
            return False
        self.fitted.append(fitted_estimator)
        self.scores.append(fitted_estimator.score(X, y, **(metadata or {})))
        return self.ends(context)

    def ends(self, context):
        return False


@pytest.mark.parametrize("fine_tune", ["separate", "joint", None])
@pytest.mark.parametrize("early_stopping", [True, False])
def test_callbacks_get_the_estimator_as_if_fit_had_ended(fine_tune, early_stopping):
    pytest.importorskip("sklearn.callback")
    x, y = two_views()
    weight = np.random.default_rng(1).integers(1, 4, len(x))
    options = {
        "random_state": 0,
        "fine_tune": fine_tune,
        "early_stopping": early_stopping,
        "y_target": slice(0, 1),
        **QUICK,
        # Enough that the part that learns from all rows is not taken back.
        "fine_tune_epochs": 20,
    }
    told = Keeper()
    model = GGDRMRegressor(**options).set_callbacks(told).fit(x, y, weight)
    # One for every epoch, and one for the whole fit.
    assert len(told.fitted) == model.n_iter_ + 1
    assert told.scores[-1] == model.score(x, y, weight)
    for last in told.fitted[-2:]:
        for mine, wanted in (
            *zip(last.predict_y(x, True), model.predict_y(x, True), strict=True),
            *zip(last.predict_x(y, True), model.predict_x(y, True), strict=True),
        ):
            np.testing.assert_array_equal(mine, wanted)
    assert len(set(told.scores[:-1])) > 2 or fine_tune is None
    plain = GGDRMRegressor(**options).fit(x, y, weight)
    np.testing.assert_array_equal(plain.predict_y(x), model.predict_y(x))
    np.testing.assert_array_equal(plain.predict_x(y), model.predict_x(y))


class Trainer(Keeper):
    """A callback that saves what it is given, and trains it on."""

    def ends(self, context):
        pickle.dumps(self.fitted[-1].set_callbacks())
        if context.task_name == "epoch":
            self.fitted[-1].partial_fit(*two_views(40))
        return False


@pytest.mark.parametrize("fine_tune", ["separate", "joint", None])
def test_what_a_callback_does_with_an_estimator_stays_there(fine_tune):
    pytest.importorskip("sklearn.callback")
    x, y = two_views()
    options = {"random_state": 0, "fine_tune": fine_tune, **QUICK}
    told = Trainer()
    model = GGDRMRegressor(**options).set_callbacks(told).fit(x, y)
    assert told.ended.count("epoch") == model.n_iter_
    plain = GGDRMRegressor(**options).fit(x, y)
    for way in ("loss_curve_", "validation_scores_"):
        assert getattr(model, way) == getattr(plain, way)
    np.testing.assert_array_equal(model.predict_y(x), plain.predict_y(x))
    np.testing.assert_array_equal(model.predict_x(y), plain.predict_x(y))


class KeeperThatEnds(Keeper):
    """A callback that ends every phase after its second epoch."""

    def ends(self, context):
        return context.task_name == "epoch" and context.task_id == 1


@pytest.mark.parametrize("averaging", [0.0, 0.9])
@pytest.mark.parametrize("fine_tune", ["separate", "joint"])
def test_a_phase_that_is_ended_leaves_what_the_callback_saw(averaging, fine_tune):
    pytest.importorskip("sklearn.callback")
    x, y = two_views()
    model = GGDRMRegressor(
        n_hidden_units=8,
        pretrain_epochs=3,
        fine_tune_epochs=30,
        fine_tune=fine_tune,
        averaging=averaging,
        refit=False,  # which may be taken back
        random_state=0,
    )
    told = KeeperThatEnds()
    model.set_callbacks(told).fit(x, y)
    assert len(told.fitted) == 2 * len(model.loss_curve_) + 1
    last = told.fitted[-2]
    np.testing.assert_array_equal(last.predict_y(x), model.predict_y(x))
    np.testing.assert_array_equal(last.predict_x(y), model.predict_x(y))
    # What it was given earlier is not changed by the training that went on.
    assert told.scores[:-1] == [old.score(x, y) for old in told.fitted[:-1]]


@pytest.mark.parametrize("around", [None, TwoViewRegressor, SwapViews])
def test_scoring_monitor_logs_every_epoch(around):
    callback = pytest.importorskip("sklearn.callback")
    x, y = two_views()
    # It is no callback that meta-estimators hand on.
    monitor = callback.ScoringMonitor(scoring="r2")
    model = GGDRMRegressor(random_state=0, **QUICK).set_callbacks(monitor)
    whole = model if around is None else around(model)
    whole.fit(x, y)
    rows = monitor.get_logs().data
    scores = [row["r2"] for row in rows if row["task_name"] == "epoch"]
    assert len(scores) == 8 and scores[-1] > scores[0]


@pytest.mark.parametrize("around", [TwoViewRegressor, SwapViews])
def test_callbacks_get_the_fitted_meta_estimator(around):
    pytest.importorskip("sklearn.callback")
    x, y = two_views()
    told = Keeper()
    model = around(GGDRMRegressor(random_state=0, **QUICK)).set_callbacks(told)
    model.fit(x, y, sample_weight=np.arange(len(x)))
    assert told.scores[-1] == model.score(x, y, sample_weight=np.arange(len(x)))
    assert type(told.fitted[-1]) is around and len(told.fitted) == 8 + 2


def test_callbacks_are_torn_down_when_a_fit_fails():
    pytest.importorskip("sklearn.callback")
    x, y = two_views()
    told = Counter()
    model = GGDRMRegressor(random_state=0, fine_tune_epochs=3, learning_rate=1e200)
    with (
        np.errstate(all="ignore"),
        pytest.raises((FloatingPointError, ArithmeticError)),
    ):
        model.set_callbacks(told).fit(x, y)
    assert told.torn_down == 1
    model.set_callbacks().set_params(learning_rate=0.01).fit(x, y)


@pytest.mark.parametrize("estimator", [BBDRMClassifier, GCDRMClassifier])
def test_callbacks_of_a_classifier_see_every_epoch_and_are_torn_down(estimator):
    pytest.importorskip("sklearn.callback")
    x, _ = two_views()
    told = Counter()
    model = estimator(n_hidden_units=5, pretrain_epochs=2, fine_tune_epochs=3)
    model.set_callbacks(told).fit(x, x[:, 0] > 0)
    assert told.ended.count("epoch") == model.n_iter_ == 8
    assert told.ended[-1] == "fit" and told.torn_down == 1


@pytest.mark.parametrize("estimator", [BBDRMClassifier, GCDRMClassifier])
@pytest.mark.parametrize("fine_tune", ["separate", "joint", None])
def test_callbacks_get_the_classifier_as_if_fit_had_ended(estimator, fine_tune):
    pytest.importorskip("sklearn.callback")
    x, _ = two_views()
    label = np.where(x[:, 0] > 0, "yes", "no")
    options = {"n_hidden_units": 5, "pretrain_epochs": 2, "fine_tune_epochs": 4}
    model = estimator(fine_tune=fine_tune, random_state=0, **options)
    told = Keeper()
    model.set_callbacks(told).fit(x, label)
    assert len(told.fitted) == model.n_iter_ + 1
    for last in told.fitted[-2:]:
        np.testing.assert_array_equal(last.predict_proba(x), model.predict_proba(x))
        np.testing.assert_array_equal(last.predict_x(label), model.predict_x(label))
    plain = estimator(fine_tune=fine_tune, random_state=0, **options).fit(x, label)
    np.testing.assert_array_equal(plain.predict_proba(x), model.predict_proba(x))
