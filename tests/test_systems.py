"""Systems against independent formulas, and all of them through one loop."""

from __future__ import annotations

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM
from scipy.ndimage import gaussian_filter1d
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

from drm_transformers import (
    GlobalVarianceFilter,
    ModulationSpectrumFilter,
    delta_features,
    mlpg,
    stack_context,
)
from sklearn_drm.lipspeech.systems import (
    DEFAULT,
    HiddenMarkovLips,
    JointMixture,
    LinearSystem,
    MeanSystem,
    PerceptronPair,
    PostFiltered,
    RelationalSystem,
    all_systems,
    unseen_predictions,
)
from sklearn_drm.metrics import pooled_r2


def two_views(seed=0, n_clips=12, length=40, n_x=4, n_y=3, noise=0.5):
    """Slow hidden movements seen by both views, in clips whose rows take turns."""
    rng = np.random.default_rng(seed)
    # The relation is one and the same for every seed.
    maps = np.random.default_rng(99).normal(size=(2, n_x + n_y))
    hidden = rng.normal(size=(n_clips, length + 6, 2)).cumsum(axis=1)
    hidden = (hidden[:, 6:] - hidden[:, :-6]) / np.sqrt(6)
    rows = hidden.transpose(1, 0, 2).reshape(-1, 2) @ maps
    rows += noise * rng.normal(size=rows.shape)
    groups = np.tile([f"clip {i}" for i in range(n_clips)], length)
    rows /= rows.std(axis=0)
    return rows[:, :n_x], rows[:, n_x:], groups


def small_systems():
    """Every kind of system, small."""
    quick = {"fine_tune_epochs": 20, "pretrain_epochs": 1}
    drm = {"n_hidden_units": 12, "options": quick, "random_state": 0}
    return {
        "mean": MeanSystem(),
        "ridge": LinearSystem("ridge", context=2, alpha=1.0),
        "pls": LinearSystem("pls", context=1),
        "mixture": JointMixture(n_components=2, random_state=0),
        "mixture, no trajectory": JointMixture(
            n_components=2, trajectory=False, random_state=0
        ),
        "hmm": HiddenMarkovLips(n_states=12, random_state=0),
        "perceptrons": PerceptronPair(
            context=1, hidden_layer_sizes=(40,), max_iter=300, random_state=0
        ),
        "drm": RelationalSystem(context=1, **drm),
        "drm before": RelationalSystem(
            context=0,
            fine_tune=None,
            n_hidden_units=12,
            options={"pretrain_epochs": 60},
            random_state=0,
        ),
        "drm trajectory": RelationalSystem(context=1, trajectory="own", **drm),
        "filtered": PostFiltered(LinearSystem(), GlobalVarianceFilter()),
        "filtered hmm": PostFiltered(
            HiddenMarkovLips(n_states=8, random_state=0), ModulationSpectrumFilter()
        ),
    }


def directions(system, X, y):
    """The methods that a system has, what they are given and what they aim at."""
    for method, source, goal in (("predict_y", X, y), ("predict_x", y, X)):
        if hasattr(system, method):
            yield method, source, goal


@pytest.fixture(scope="module")
def fitted():
    X, y, groups = two_views()
    return {name: system.fit(X, y, groups) for name, system in small_systems().items()}


each_system = pytest.mark.parametrize("name", small_systems())


@each_system
def test_unseen_clips_are_predicted(fitted, name):
    X, y, groups = two_views(seed=1)
    for method, source, goal in directions(fitted[name], X, y):
        made = getattr(fitted[name], method)(source, groups)
        assert made.shape == goal.shape and np.all(np.isfinite(made))
        worst = {"mean": -0.05, "hmm": 0.04, "filtered hmm": -1.0}.get(name, 0.1)
        assert pooled_r2(goal, made) > worst, method


@each_system
def test_clips_are_predicted_apart(fitted, name):
    """A clip alone gives the rows that it gives among others."""
    X, y, groups = two_views(seed=2, n_clips=3)
    mine = groups == "clip 1"
    for method, source, _ in directions(fitted[name], X, y):
        predict = getattr(fitted[name], method)
        together = predict(source, groups)[mine]
        np.testing.assert_allclose(predict(source[mine]), together, atol=1e-6)


@each_system
def test_clones_fit_alike(fitted, name):
    X, y, groups = two_views()
    again = clone(fitted[name])
    assert not any(key.endswith("_") for key in vars(again))
    again.fit(X, y, groups)
    for method, source, _ in directions(again, X, y):
        made, known = (
            getattr(s, method)(source, groups) for s in (again, fitted[name])
        )
        np.testing.assert_allclose(made, known, atol=1e-8)


@each_system
def test_wrong_rows_are_refused(fitted, name):
    X, y, groups = two_views()
    system = fitted[name]
    for method, source, _ in directions(system, X, y):
        with pytest.raises(ValueError, match="columns, but"):
            getattr(system, method)(source[:, 1:], groups)
        with pytest.raises(ValueError, match="NaN"):
            getattr(system, method)(source * np.nan, groups)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        clone(system).fit(X, y[1:], groups)


def test_directions():
    systems = small_systems()
    for name, system in systems.items():
        assert hasattr(system, "predict_y") == ("hmm" not in name)
        assert hasattr(system, "predict_x")


def test_all_systems_are_ready_to_be_compared():
    systems = all_systems(7)
    assert list(systems)[0] == "mean" and list(systems)[-1] == DEFAULT
    for system in systems.values():
        parameters = clone(system).get_params()
        for key, value in parameters.items():
            if key.split("__")[-1] == "random_state":
                assert value == 7, system


def test_linear_context_is_that_of_a_ridge_on_stacked_rows():
    X, y, groups = two_views()
    made = LinearSystem(context=2, alpha=3.0).fit(X, y, groups).predict_x(y, groups)
    rows = stack_context(y, groups, 2)
    np.testing.assert_allclose(made, Ridge(3.0).fit(rows, X).predict(rows))


def test_one_gaussian_is_a_linear_regression_of_static_and_dynamic_rows():
    """With one component the conditional mean is least squares, whatever is given."""
    X, y, groups = two_views()
    system = JointMixture(
        n_components=1, trajectory=False, reg_covar=0.0, random_state=0
    ).fit(X, y, groups)
    for method, source, goal in directions(system, X, y):
        rows = np.column_stack([np.ones(len(X)), delta_features(source, groups)])
        weights = np.linalg.lstsq(rows, goal, rcond=None)[0]
        made = getattr(system, method)(source, groups)
        np.testing.assert_allclose(made, rows @ weights, atol=1e-7)


def test_mixture_trajectory_is_that_of_plain_formulas():
    X, y, groups = two_views()
    system = JointMixture(n_components=3, random_state=0).fit(X, y, groups)
    source = delta_features(X, groups)
    n, n_given = source.shape
    mixture = system.mixture_
    means, variances = np.empty((n, 9)), np.empty((n, 9))
    for i, row in enumerate(source):
        densities = [
            w * multivariate_normal(m[:n_given], c[:n_given, :n_given]).pdf(row)
            for w, m, c in zip(
                mixture.weights_, mixture.means_, mixture.covariances_, strict=True
            )
        ]
        k = int(np.argmax(densities))
        mean, covariance = mixture.means_[k], mixture.covariances_[k]
        gain = covariance[n_given:, :n_given] @ np.linalg.inv(
            covariance[:n_given, :n_given]
        )
        means[i] = mean[n_given:] + gain @ (row - mean[:n_given])
        rest = covariance[n_given:, n_given:] - gain @ covariance[:n_given, n_given:]
        variances[i] = np.diag(rest)
    expected = mlpg(means, variances, groups)
    np.testing.assert_allclose(system.predict_y(X, groups), expected, atol=1e-8)


def test_states_move_the_lips_by_their_own_frames():
    """Means of lips per Viterbi state, found again clip by clip."""
    X, y, groups = two_views()
    system = HiddenMarkovLips(n_states=6, trajectory=False, random_state=0)
    system.fit(X, y, groups)
    assert isinstance(system.model_, GaussianHMM)
    speech = delta_features(y, groups)
    states = np.empty(len(y), dtype=int)
    for name in np.unique(groups):
        mine = groups == name
        states[mine] = system.model_.predict(speech[mine])
    expected = np.stack([X[states == states[i]].mean(axis=0) for i in range(len(X))])
    np.testing.assert_allclose(system.predict_x(y, groups), expected)
    smooth = clone(system).set_params(trajectory=True).fit(X, y, groups)
    assert pooled_r2(X, smooth.predict_x(y, groups)) > pooled_r2(X, expected)


def test_trajectory_of_the_relational_model_uses_its_own_variances():
    X, y, groups = two_views()
    system = RelationalSystem(
        context=0,
        fine_tune=None,
        trajectory="constant",
        n_hidden_units=8,
        options={"pretrain_epochs": 2},
        random_state=0,
    ).fit(X, y, groups)
    # Without fine-tuning return_std is sigma² + sum W² m (1 - m), row by row.
    means, deviations = system.model_.predict_y(
        delta_features(X, groups), return_std=True
    )
    assert np.ptp(deviations, axis=0).min() > 0
    np.testing.assert_allclose(
        system.predict_y(X, groups), mlpg(means, deviations**2, groups), atol=1e-6
    )


def test_own_variances_follow_the_errors():
    """Where the hidden units hesitate more, errors are larger: slopes say so."""
    rng = np.random.default_rng(0)
    hidden = rng.uniform(0, 1, size=(4000, 2))
    squares = (0.5 + [2.0, 0.0] * hidden) * rng.normal(size=hidden.shape) ** 2
    offset, slope, least = RelationalSystem._line(hidden, squares, np.arange(2))
    np.testing.assert_allclose(offset, [0.5, 0.5], atol=0.1)
    np.testing.assert_allclose(slope, [2.0, 0.0], atol=0.15)
    assert np.all(least > 0)


class Memory(MeanSystem):
    """Knows its training rows by heart, and guesses a tenth of others."""

    def fit(self, X, y, groups=None):
        super().fit(X, y, groups)
        self.clips_ = set(np.unique(groups))
        return self

    def predict_y(self, X, groups=None):
        known = np.isin(groups, list(self.clips_))
        return np.where(known[:, None], X, 0.1 * X)


@pytest.mark.parametrize(
    ("fit_on", "ratio"), [("held-out", 1.0), ("crossed", 1.0), ("training", 0.01)]
)
def test_filters_learn_from_clips_that_the_system_has_not_seen(fit_on, ratio):
    X, y, groups = two_views(n_x=3, n_clips=20, length=60)
    system = PostFiltered(Memory(), GlobalVarianceFilter(), fit_on=fit_on)
    system.fit(X, y, groups)
    new, _, names = two_views(seed=3, n_x=3, n_clips=20, length=60)
    made = system.predict_y(new, np.char.add("new ", names))
    np.testing.assert_allclose(made.var(axis=0), ratio, rtol=0.5)


def test_crossed_predictions_are_of_all_rows():
    X, y, groups = two_views()
    rows, made = unseen_predictions(LinearSystem(), X, y, groups, crossed=True)
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(X)))
    by_hand = np.empty_like(y)
    for seen, held in GroupKFold(5).split(X, groups=groups):
        system = LinearSystem().fit(X[seen], y[seen], groups[seen])
        by_hand[held] = system.predict_y(X[held], groups[held])
    np.testing.assert_allclose(made["y"], by_hand[rows])


@pytest.mark.parametrize(
    ("system", "match"),
    [
        (LinearSystem("lasso"), "method='lasso'"),
        (RelationalSystem(trajectory="all"), "trajectory='all'"),
        (PostFiltered(MeanSystem(), GlobalVarianceFilter(), fit_on="test"), "fit_on="),
        (PostFiltered(MeanSystem(), GlobalVarianceFilter()), "one clip is too few"),
    ],
)
def test_wrong_parameters(system, match):
    X, y, _ = two_views()
    with pytest.raises(ValueError, match=match):
        system.fit(X, y)


@pytest.mark.parametrize("seed", range(3))
def test_states_that_lose_all_their_frames_keep_numbers(seed):
    """Few frames of many dimensions: some of 64 states end with none."""
    speech = np.random.default_rng(seed).standard_normal((300, 30))
    speech = 3 * gaussian_filter1d(speech, 2, axis=0)
    speech[::3] += 0.5
    clips = np.repeat(np.arange(4), 75)
    system = HiddenMarkovLips(random_state=seed).fit(speech[:, :4], speech, clips)
    assert np.isfinite(system.predict_x(speech, clips)).all()
