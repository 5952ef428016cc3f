"""fit → partial_fit → dump → load → predict, in any order.

Two estimators get the same orders; one of them is also dumped, loaded and asked for
predictions all the time. What must hold: storage and questions change nothing, not
even what is learned later; `partial_fit` keeps the scaling of the first rows; a
refused batch leaves the model as it was.
"""

from __future__ import annotations

import copy
import io
import pickle

import joblib
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sklearn_drm import GGDRMRegressor, TwoViewRegressor

skops = pytest.importorskip("skops.io")
seeds = st.integers(0, 2**16)
PHASES = {"separate": 3, "joint": 2, None: 1}


def rows(seed, n=24, width=3, targets=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width)) + rng.normal()
    return x, np.tanh(x[:, :targets]) * 3 + 0.1 * rng.normal(size=(n, targets))


X_NEW, Y_NEW = rows(12345, n=6)


def answers(model):
    found = [
        *model.predict_y(X_NEW, return_std=True),
        *model.predict_x(Y_NEW, return_std=True),
        model.sample_y(X_NEW, 2, random_state=0),
        model.transform_pair(X_NEW, Y_NEW),
    ]
    return [value.copy() for value in found]


def assert_same(one, other):
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, theirs)


class LifeOfAModel(RuleBasedStateMachine):
    @initialize(
        fine_tune=st.sampled_from(list(PHASES)),
        warm_start=st.booleans(),
        seed=seeds,
        layers=st.integers(1, 2),
    )
    def start(self, fine_tune, warm_start, seed, layers):
        self.model = GGDRMRegressor(
            layers,
            4,
            fine_tune=fine_tune,
            warm_start=warm_start,
            fine_tune_epochs=2,
            pretrain_epochs=1,
            random_state=seed,
        )
        self.twin = clone(self.model)
        self.expected = None  # what must be answered, once fitted
        self.location = None  # mean of the rows that fixed the scaling
        self.n_iter = 0

    def learned(self, x, n_epochs, *, again):
        """Note what must hold after both estimators learned from x."""
        if not again:
            self.location = x.mean(axis=0)
            self.n_iter = 0
        self.n_iter += n_epochs
        before, self.expected = self.expected, answers(self.twin)
        assert_same(answers(self.model), self.expected)
        if before is not None:
            moved = [
                a for a, b in zip(before, self.expected, strict=True) if (a != b).any()
            ]
            assert moved, "learning changed no prediction"

    @rule(seed=seeds)
    def fit(self, seed):
        x, y = rows(seed)
        again = self.model.warm_start and self.expected is not None
        assert self.model.fit(x, y) is self.model
        self.twin.fit(x, y)
        # As many rows as here stop no fit early.
        epochs = 1 + 2 * (PHASES[self.model.fine_tune] - 1)
        if again or self.expected is None:
            self.learned(x, epochs, again=again)
        else:
            self.expected = None  # the same rows may come again: no change then
            self.learned(x, epochs, again=False)

    @rule(seed=seeds, n=st.integers(2, 30))
    def partial_fit(self, seed, n):
        x, y = rows(seed, n)
        again = self.expected is not None
        assert self.model.partial_fit(x, y) is self.model
        self.twin.partial_fit(x, y)
        self.learned(x, PHASES[self.model.fine_tune], again=again)

    @rule(how=st.sampled_from(["joblib", "compressed", "pickle", "copy", "skops"]))
    def dump_and_load(self, how):
        if how == "pickle":
            self.model = pickle.loads(pickle.dumps(self.model))
        elif how == "skops":
            data = skops.dumps(self.model)
            trusted = skops.get_untrusted_types(data=data)
            self.model = skops.loads(data, trusted=trusted)
        elif how == "copy":
            self.model = copy.deepcopy(self.model)
        else:
            file = io.BytesIO()
            joblib.dump(self.model, file, compress=3 if how == "compressed" else 0)
            file.seek(0)
            self.model = joblib.load(file)

    @precondition(lambda self: self.expected is not None)
    @rule(n=st.integers(1, 6))
    def predict_some(self, n):
        np.testing.assert_allclose(
            self.model.predict_y(X_NEW[:n]), self.expected[0][:n], atol=1e-12
        )
        self.model.sample(2, n_sweeps=2)
        self.model.score_samples(X_NEW, Y_NEW)

    @precondition(lambda self: self.expected is not None)
    @rule(seed=seeds, kind=st.sampled_from(["nan", "width", "targets", "rows"]))
    def refused_batch(self, seed, kind):
        x, y = rows(seed)
        if kind == "nan":
            y[3, 1] = np.nan
        elif kind == "width":
            x = x[:, :2]
        elif kind == "targets":
            y = np.hstack([y, y])
        else:
            y = y[:-1]
        with pytest.raises(ValueError, match=r"NaN|expecting|fitted|inconsistent"):
            self.model.partial_fit(x, y)

    @precondition(lambda self: self.expected is None)
    @rule()
    def too_early(self):
        with pytest.raises(NotFittedError):
            self.model.predict_x(Y_NEW)

    @rule()
    def copy_of_the_parameters(self):
        fresh = clone(self.model)
        assert not hasattr(fresh, "model_")
        assert fresh.get_params() == self.twin.get_params()

    @invariant()
    def answers_are_as_expected(self):
        if getattr(self, "expected", None) is not None:
            assert_same(answers(self.model), self.expected)

    @invariant()
    def scaling_and_counts(self):
        if getattr(self, "expected", None) is None:
            return
        model = self.model
        np.testing.assert_allclose(model.model_.x_scaling.location, self.location)
        assert model.n_iter_ == self.n_iter
        assert self.n_iter == sum(map(len, model.loss_curve_.values()))
        assert np.isfinite(np.concatenate(list(model.loss_curve_.values()))).all()
        assert set(model.predictors_) == {"x", "y"}


class LifeOfAComposition(RuleBasedStateMachine):
    """The same for a TwoViewRegressor, whose views are stored with it."""

    @initialize(seed=seeds)
    def start(self, seed):
        from sklearn.preprocessing import StandardScaler

        self.model = TwoViewRegressor(
            GGDRMRegressor(
                1, 3, fine_tune_epochs=1, pretrain_epochs=1, random_state=seed
            ),
            x_transformer=StandardScaler(),
            y_transformer=StandardScaler(),
        )
        self.expected = None

    @rule(seed=seeds)
    def fit(self, seed):
        x, y = rows(seed)
        self.model.fit(x, y)
        # Twice the same: nothing is left over from an earlier fit.
        other = clone(self.model).fit(x, y)
        self.expected = answers(other)

    @rule()
    def dump_and_load(self):
        file = io.BytesIO()
        joblib.dump(self.model, file)
        file.seek(0)
        self.model = joblib.load(file)

    @invariant()
    def answers_are_as_expected(self):
        if getattr(self, "expected", None) is not None:
            assert_same(answers(self.model), self.expected)


TestLifeOfAModel = LifeOfAModel.TestCase
TestLifeOfAModel.settings = settings(
    max_examples=25, stateful_step_count=15, deadline=None, derandomize=True
)
TestLifeOfAComposition = LifeOfAComposition.TestCase
TestLifeOfAComposition.settings = settings(
    max_examples=10, stateful_step_count=8, deadline=None, derandomize=True
)
