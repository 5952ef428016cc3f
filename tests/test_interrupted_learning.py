"""Learning that fails, is interrupted, goes on or runs beside other learning."""

from __future__ import annotations

from copy import deepcopy
from threading import Event, Thread

import numpy as np
import pytest
from sklearn.base import clone
from threadpoolctl import threadpool_info

from sklearn_drm import (
    BBDRMClassifier,
    DivergenceError,
    GCDRMClassifier,
    GGDRMRegressor,
)
from sklearn_drm.estimators import _fitting
from sklearn_drm.estimators._threads import small_products_on_one_thread


class Interrupted(Exception):
    """Stands for whatever ends a fit halfway."""


def _fitted(kind, **settings):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4))
    y = X[:, :2] + 0.1 * rng.normal(size=(120, 2))
    if kind is not GGDRMRegressor:
        y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
    small = {"n_hidden_units": 6, "pretrain_epochs": 2, "fine_tune_epochs": 3}
    return kind(random_state=0, **{**small, **settings}).fit(X, y), X, y


@pytest.mark.parametrize("kind", [GGDRMRegressor, GCDRMClassifier, BBDRMClassifier])
@pytest.mark.parametrize("method", ["fit", "warm fit", "partial_fit"])
@pytest.mark.parametrize(
    "place", ["input", "weights", "pretrain", "tune_network", "_finish"]
)
def test_learning_that_fails_leaves_the_model_as_it_was(
    kind, method, place, monkeypatch
):
    model, X, y = _fitted(kind, warm_start=method == "warm fit")
    twin, before = deepcopy(model), model.predict(X)
    learn = model.partial_fit if method == "partial_fit" else model.fit
    other, weight, error = 100 * X + 7, None, Interrupted
    if place == "input":
        other, error = np.where(X > 2, np.nan, X), ValueError
    elif place == "weights":
        weight, error = -np.ones(120), ValueError
        if method == "fit":
            other = other[:, :3]
    elif place == "_finish":

        def failing(*arguments, **settings):
            raise Interrupted

        monkeypatch.setattr(kind, "_finish", failing)
    else:
        original = getattr(_fitting, place)

        def halfway(*arguments, **settings):
            original(*arguments, **settings)
            raise Interrupted

        monkeypatch.setattr(_fitting, place, halfway)
    with pytest.raises(error):
        learn(other, y, sample_weight=weight)
    monkeypatch.undo()
    np.testing.assert_array_equal(model.predict(X), before)
    # Nor does what it learns later tell of the failure.
    model.partial_fit(X, y), twin.partial_fit(X, y)
    np.testing.assert_array_equal(model.predict(X), twin.predict(X))
    assert model.loss_curve_ == twin.loss_curve_


def test_a_first_fit_that_fails_leaves_no_half_of_a_model(monkeypatch):
    model, X, y = _fitted(GGDRMRegressor)
    fresh = clone(model)
    monkeypatch.setattr(_fitting, "tune_network", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fresh.fit(X, y)
    assert vars(fresh) == fresh.get_params()


@pytest.mark.parametrize("fine_tune", ["separate", None])
def test_a_last_step_that_leaves_no_numbers_is_an_error(fine_tune):
    X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    model = GGDRMRegressor(
        fine_tune=fine_tune,
        pretrain_learning_rate=1e30,
        pretrain_epochs=1,
        fine_tune_epochs=1,
        batch_size=60,
        n_hidden_units=5,
        random_state=0,
    )
    with pytest.raises(DivergenceError, match="Lower"):
        model.fit(X, X)


def test_the_size_of_weights_counts_for_nothing_however_large():
    model, X, y = _fitted(GGDRMRegressor)
    X, y = X.astype(np.float32), y.astype(np.float32)
    weight = np.random.default_rng(1).integers(1, 4, 120).astype(np.float32)
    small = clone(model).fit(X, y, sample_weight=weight)
    large = clone(model).fit(X, y, sample_weight=weight * 2.0**125)
    np.testing.assert_array_equal(small.predict(X), large.predict(X))


def test_fits_in_two_threads_leave_the_threads_of_linear_algebra_alone():
    def n_threads():
        return [each["num_threads"] for each in threadpool_info()]

    limit = small_products_on_one_thread
    before = n_threads()
    ready, leave = Event(), Event()

    def first():
        with limit(10, [3, 3]):
            ready.set()
            leave.wait(10)

    thread = Thread(target=first)
    thread.start()
    assert ready.wait(10)
    with limit(10, [3, 3]):
        leave.set()
        thread.join()
    assert n_threads() == before
    with limit(10, [3, 3]):
        blas = [q for q in threadpool_info() if q["user_api"] == "blas"]
        assert {each["num_threads"] for each in blas} == {1}
    assert n_threads() == before


@pytest.mark.parametrize(
    "change",
    [
        {"n_gibbs_steps": 20},
        {"relation_weight": 0.0},
        {"averaging": 0.0},
        {"input_dropout": 0.9},
    ],
    ids=str,
)
def test_a_warm_start_goes_on_by_the_present_hyperparameters(change):
    model, X, y = _fitted(GCDRMClassifier, warm_start=True, fine_tune=None)
    twin = deepcopy(model).fit(X, y)
    model.set_params(**change).fit(X, y)
    assert np.abs(model.predict_proba(X) - twin.predict_proba(X)).max() > 1e-3
