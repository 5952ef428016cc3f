"""The classifiers of the family against enumeration, finite differences, contracts."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, softmax

from sklearn_drm import BBDRMClassifier, GCDRMClassifier
from sklearn_drm.core.chain import Chain, energy
from sklearn_drm.core.classes import (
    ClassPredictor,
    PrototypePredictor,
    given_one_class,
    infer_classes,
)
from sklearn_drm.core.exact import log_likelihood
from sklearn_drm.core.mean_field import mean_field
from sklearn_drm.core.units import Bernoulli, Categorical
from sklearn_drm.learning.feed_forward import FeedForward, forward, gradient, unroll
from sklearn_drm.learning.gradient import uncentre
from sklearn_drm.learning.multi_prediction import add_prediction_gradient
from sklearn_drm.learning.parameters import flatten_chain
from sklearn_drm.learning.relation import RelationTraining, add_class_gradient
from tests.chains import KINDS, all_values, make_chain, make_values
from tests.test_learning import finite_differences, with_vector

FACES = (BBDRMClassifier, GCDRMClassifier)
SHORT = {"n_hidden_units": 8, "pretrain_epochs": 3, "fine_tune_epochs": 3}


def blobs(n_rows=90, n_classes=3, n_x=6, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n_rows) % n_classes
    centres = rng.normal(size=(n_classes, n_x))
    return centres[labels] + 0.4 * rng.normal(size=(n_rows, n_x)), labels


def enumerate_pairs(chain, x):
    """log Σ_h exp(−E) by brute force for rows of x, every value of y: (n, n_values)."""
    hidden = [all_values(layer) for layer in chain.hidden]
    grids = np.meshgrid(*[np.arange(len(h)) for h in hidden], indexing="ij")
    states = [h[g.ravel()] for h, g in zip(hidden, grids, strict=True)]
    n_states = len(states[0])
    values = all_values(chain.y)
    result = np.empty((len(x), len(values)))
    for i, row in enumerate(x):
        for k, value in enumerate(values):
            ends = [np.tile(row, (n_states, 1)), np.tile(value, (n_states, 1))]
            result[i, k] = np.logaddexp.reduce(
                -energy(chain, [ends[0], *states, ends[1]])
            )
    return values, result


def with_chain(model, chain, means):
    """The fitted estimator around another chain, un-tuned."""
    model.model_ = replace(model.model_, chain=chain, means=means)
    model.predictors_ = {
        "y": ClassPredictor(chain, means, 20),
        "x": PrototypePredictor(chain, means),
    }
    model._log_partition = None
    return model


def tiny(face, hidden=(4,), scale=1.0, seed=0):
    """An estimator of three classes whose chain is a known random one."""
    x, labels = blobs(n_x=3)
    names = np.array(["ape", "bee", "cow"])[labels]
    settings_ = {"binarize": None} if face is BBDRMClassifier else {}
    x = expit(x) if face is BBDRMClassifier else x
    model = face(
        fine_tune=None,
        pretrain_epochs=0,
        n_hidden_layers=len(hidden),
        n_hidden_units=list(hidden),
        random_state=0,
        **settings_,
    ).fit(x, names)
    kinds = (
        ("bernoulli", "bernoulli")
        if face is BBDRMClassifier
        else ("gaussian", "categorical")
    )
    chain = make_chain(*kinds, hidden=hidden, n_x=3, n_y=3, scale=scale, seed=seed)
    means = tuple(np.full(size, 0.5) for size in hidden)
    return with_chain(model, chain, means), chain


def rows_of(face, model, chain, n=5):
    """Rows in the units of X, and as the chain sees them."""
    seen = make_values(chain.x, n, np.random.default_rng(3))
    return model._restore_x(seen), seen


@pytest.mark.parametrize("face", FACES)
def test_probabilities_of_one_hidden_layer_are_exact(face):
    model, chain = tiny(face)
    x, seen = rows_of(face, model, chain)
    values, joint = enumerate_pairs(chain, seen)
    one_on = [int(np.flatnonzero((values == row).all(1))[0]) for row in np.eye(3)]
    expected = softmax(joint[:, one_on], axis=1)
    np.testing.assert_allclose(model.predict_proba(x), expected, rtol=1e-10)
    np.testing.assert_allclose(
        model.predict_log_proba(x), np.log(expected), rtol=1e-9, atol=1e-12
    )
    assert (model.predict(x) == model.classes_[expected.argmax(1)]).all()


@pytest.mark.parametrize("face", FACES)
def test_probabilities_of_two_weakly_coupled_layers_are_nearly_exact(face):
    model, chain = tiny(face, hidden=(4, 3), scale=0.5)
    x, seen = rows_of(face, model, chain)
    values, joint = enumerate_pairs(chain, seen)
    one_on = [int(np.flatnonzero((values == row).all(1))[0]) for row in np.eye(3)]
    expected = softmax(joint[:, one_on], axis=1)
    np.testing.assert_allclose(model.predict_proba(x), expected, atol=0.01)
    # The bound lies below the sum it bounds.
    scores, _ = infer_classes(chain, seen, n_iter=50, initial=model.model_.means)
    assert (scores <= joint[:, one_on] + 1e-12).all()


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("hidden", [(4,), (4, 3)])
def test_score_samples_is_the_enumerated_probability(face, hidden):
    model, chain = tiny(face, hidden=hidden)
    x, seen = rows_of(face, model, chain)
    labels = np.array(["cow", "ape", "bee", "ape", "cow"])
    codes = np.eye(3)[[2, 0, 1, 0, 2]]
    values, joint = enumerate_pairs(chain, seen)
    if face is BBDRMClassifier:
        log_z = np.logaddexp.reduce(
            enumerate_pairs(chain, all_values(chain.x))[1], None
        )
    else:
        # log Z of Gaussian x is not a sum; exact.py's transfer matrices against the
        # mixture of Gaussians they stand for are tested in test_chain.py.
        log_z = model.log_partition().estimate
        joint = joint - np.log(model.model_.x_scale).sum()
    picked = [int(np.flatnonzero((values == row).all(1))[0]) for row in codes]
    expected = joint[np.arange(5), picked] - log_z
    np.testing.assert_allclose(model.score_samples(x, labels), expected, rtol=1e-9)
    np.testing.assert_allclose(
        model.score_samples(x), np.logaddexp.reduce(joint, axis=1) - log_z, rtol=1e-9
    )
    np.testing.assert_allclose(
        model.score_samples(None, labels),
        log_likelihood(chain, None, codes),
        rtol=1e-9,
    )


def exact_mean_of_x(chain, codes):
    """E[x | y] by summing over the hidden states."""
    hidden = [all_values(layer) for layer in chain.hidden]
    grids = np.meshgrid(*[np.arange(len(h)) for h in hidden], indexing="ij")
    states = [h[g.ravel()] for h, g in zip(hidden, grids, strict=True)]
    field = states[0] @ chain.weights[0].T
    log_p = chain.x.log_normalizer(field)
    for layer, state in zip(chain.hidden, states, strict=True):
        log_p = log_p - layer.energy(state)
    for left, weight, right in zip(
        states[:-1], chain.weights[1:-1], states[1:], strict=True
    ):
        log_p = log_p + np.einsum("ni,ni->n", left @ weight, right)
    log_p = log_p + codes @ (states[-1] @ chain.weights[-1]).T
    return softmax(log_p, axis=1) @ chain.x.mean(field)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(("hidden", "scale"), [((4,), 1.0), ((4, 3), 2.0)])
def test_prototypes_and_samples_have_the_exact_conditional_mean(face, hidden, scale):
    model, chain = tiny(face, hidden=hidden, scale=scale)
    # A label that says much about h, so that prototypes differ.
    first, *inner, last = chain.weights
    chain = Chain(chain.units, [first, *(4 * weight for weight in inner), 10 * last])
    model = with_chain(model, chain, model.model_.means)
    exact = exact_mean_of_x(chain, np.eye(3))
    found = model._scale_x(model.predict_x(["ape", "bee", "cow"]))
    np.testing.assert_allclose(found, exact, atol=0.03)
    draws = model.sample_x(["ape", "bee", "cow"], 4000, random_state=0, n_sweeps=20)
    assert draws.shape == (4000, 3, 3)
    mean = np.stack([model._scale_x(draw) for draw in draws]).mean(axis=0)
    np.testing.assert_allclose(mean, exact, atol=0.05)
    # They differ from label to label: the tolerance is not all there is.
    assert np.ptp(exact, axis=0).max() > 0.14


def test_bernoulli_labels_given_one_on_are_categorical():
    chain = make_chain("bernoulli", "bernoulli", hidden=(3,), seed=2)
    values, joint = enumerate_pairs(chain, all_values(chain.x))
    one_on = [int(np.flatnonzero((values == row).all(1))[0]) for row in np.eye(3)]
    one, other = enumerate_pairs(given_one_class(chain), all_values(chain.x))
    np.testing.assert_array_equal(one, np.eye(3))
    np.testing.assert_allclose(joint[:, one_on], other, rtol=1e-12)


@pytest.mark.parametrize("x_kind", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("y_kind", ["bernoulli", "categorical"])
@pytest.mark.parametrize("hidden", [(3,), (3, 2), (3, 2, 2)])
def test_class_gradient(x_kind, y_kind, hidden):
    flat = flatten_chain(make_chain(x_kind, y_kind, hidden=hidden, seed=1, scale=0.5))
    rng = np.random.default_rng(1)
    x = make_values(flat.chain.x, 4, rng)
    y, weight = np.eye(3)[rng.integers(3, size=4)], rng.dirichlet(np.ones(4))
    options = {"initial": [np.full(size, 0.5) for size in hidden], "n_iter": 200}

    def run(vector):
        out = flat.zeros_like()
        chain = with_vector(flat, vector).chain
        loss = add_class_gradient(chain, x, y, weight, out.chain, **options)
        return loss, out.vector

    numeric = finite_differences(lambda vector: run(vector)[0], flat.vector)
    np.testing.assert_allclose(-run(flat.vector)[1], numeric, atol=1e-6)
    if len(hidden) == 1:
        values, joint = enumerate_pairs(flat.chain, x)
        one_on = [int(np.flatnonzero((values == r).all(1))[0]) for r in np.eye(3)]
        log_p = log_softmax(joint[:, one_on], axis=1)
        np.testing.assert_allclose(run(flat.vector)[0], -weight @ (y * log_p).sum(1))


@pytest.mark.parametrize("x_kind", ["bernoulli", "gaussian"])
def test_relation_gradient_is_that_in_centred_coordinates(x_kind):
    flat = flatten_chain(make_chain(x_kind, "categorical", hidden=(3,), seed=1))
    rng = np.random.default_rng(1)
    x = make_values(flat.chain.x, 4, rng)
    y, weight = np.eye(3)[rng.integers(3, size=4)], rng.dirichlet(np.ones(4))
    trainer = RelationTraining(flat, relation_weight=2.0)
    trainer.offsets = [rng.random(layer.n_units) for layer in flat.chain.units]
    if x_kind == "gaussian":
        trainer.offsets[0][:] = 0
    trainer._add_to_gradient(x, y, weight, rng)

    def loss(increment):
        chain = with_vector(flat, flat.vector + increment).chain
        uncentre(chain, increment, trainer.offsets)
        out = flat.zeros_like().chain
        return add_class_gradient(chain, x, y, weight, out, initial=trainer.means)

    numeric = finite_differences(loss, np.zeros_like(flat.vector))
    np.testing.assert_allclose(trainer.gradient.vector, -2 * numeric, atol=1e-6)


@pytest.mark.parametrize("x_kind", KINDS)
@pytest.mark.parametrize("y_kind", KINDS)
@pytest.mark.parametrize("n_iter", [1, 3])
def test_multi_prediction_gradient_of_every_type(x_kind, y_kind, n_iter):
    flat = flatten_chain(make_chain(x_kind, y_kind, hidden=(3, 2), seed=3))
    rng = np.random.default_rng(3)
    x, y = (make_values(units, 4, rng) for units in (flat.chain.x, flat.chain.y))
    weight, initial = rng.dirichlet(np.ones(4)), [rng.random(3), rng.random(2)]

    def run(vector):
        out = flat.zeros_like()
        loss = add_prediction_gradient(
            with_vector(flat, vector).chain,
            x,
            y,
            weight,
            out.chain,
            initial=initial,
            n_iter=n_iter,
            damping=0.3,
        )
        return loss, out.vector

    numeric = finite_differences(lambda vector: run(vector)[0], flat.vector)
    np.testing.assert_allclose(-run(flat.vector)[1], numeric, atol=1e-6)


@pytest.mark.parametrize("kind", [Bernoulli, Categorical])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_gradient(kind, weighted):
    rng = np.random.default_rng(6)
    network = FeedForward.bind(rng.normal(size=3 * 4 + 4 + 4 * 3 + 3), [3, 4, 3])
    link = kind(np.zeros(3))
    x, y = rng.normal(size=(7, 3)), make_values(link, 7, rng)
    weight = rng.dirichlet(np.ones(7)) if weighted else None
    out = network.zeros_like()

    def loss(vector):
        moved = FeedForward.bind(vector, network.sizes)
        return gradient(moved, x, y, weight, out, link=link)

    numeric = finite_differences(loss, network.vector)
    value = loss(network.vector)
    np.testing.assert_allclose(out.vector, -numeric, atol=1e-8)
    field = forward(network, x)[0]
    log_p = (
        log_softmax(field, axis=1)
        if kind is Categorical
        else np.where(y > 0, np.log(expit(field)), np.log(expit(-field)))
    )
    picked = log_p * y if kind is Categorical else log_p
    shares = np.full(7, 1 / 7) if weight is None else weight
    np.testing.assert_allclose(value, -shares @ picked.sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("x_kind", KINDS)
@pytest.mark.parametrize("y_kind", KINDS)
def test_unrolled_network_of_every_type_is_one_sweep(x_kind, y_kind):
    chain = make_chain(x_kind, y_kind, hidden=(3, 2), seed=5)
    rng = np.random.default_rng(5)
    x, means = make_values(chain.x, 6, rng), [rng.random(3), rng.random(2)]
    result = mean_field(chain, x, n_iter=1, damping=0.0, initial=means)
    output = forward(unroll(chain, means), x)[0]
    found = chain.y.mean(output - chain.y.bias)
    np.testing.assert_allclose(found, result.y_mean, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_pull_back_is_the_numerical_derivative(kind):
    chain = make_chain(y=kind, seed=7)
    rng = np.random.default_rng(7)
    field, signal = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    units, step = chain.y, 1e-6
    to_field, statistics = units.pull_back(field, signal)

    def value(units, field):
        return np.vdot(signal, units.coupling(units.mean(field)))

    for index in np.ndindex(field.shape):
        moved = np.zeros_like(field)
        moved[index] = step
        slope = (value(units, field + moved) - value(units, field - moved)) / 2 / step
        np.testing.assert_allclose(to_field[index], slope, atol=1e-7)
    for name, array in units.parameters.items():
        for index in range(3):
            moved = np.eye(3)[index] * step
            up = replace(units, **{name: array + moved})
            down = replace(units, **{name: array - moved})
            slope = (value(up, field) - value(down, field)) / 2 / step
            np.testing.assert_allclose(statistics[name][index], slope, atol=1e-7)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("fine_tune", [None, "separate", "joint"])
def test_labels_of_strings_and_the_contract_of_probabilities(face, fine_tune):
    x, codes = blobs(n_rows=240)
    labels = np.array(["west", "east", "north"])[codes]
    options = dict(
        SHORT, pretrain_epochs=40, pretrain_learning_rate=0.02, fine_tune_epochs=20
    )
    model = face(fine_tune=fine_tune, random_state=0, **options).fit(x, labels)
    assert list(model.classes_) == ["east", "north", "west"]
    probability = model.predict_proba(x)
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-9)
    assert (probability >= 0).all()
    assert (model.predict(x) == model.classes_[probability.argmax(1)]).all()
    assert model.score(x, labels) == np.mean(model.predict(x) == labels) > 0.9
    prototypes = model.predict_x(["west", "east", "north"])
    assert list(model.predict(prototypes)) == ["west", "east", "north"]
    draws = model.sample_y(x, 200, random_state=0)
    shares = (draws[..., None] == model.classes_).mean(axis=0)
    np.testing.assert_allclose(shares, probability, atol=0.2)
    rows, drawn = model.sample(50, random_state=1, n_sweeps=20)
    assert rows.shape == (50, 6) and set(drawn) <= set(labels)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(x), probability)
    np.testing.assert_array_equal(
        again.sample_x(["east"], 3, n_sweeps=5), model.sample_x(["east"], 3, n_sweeps=5)
    )
    twin = face(fine_tune=fine_tune, random_state=0, **options).fit(x, labels)
    np.testing.assert_array_equal(twin.predict_proba(x), probability)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("fine_tune", [None, "separate"])
@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**16))
def test_rows_do_not_hear_each_other(face, fine_tune, seed):
    x, labels = blobs()
    model = FITTED.setdefault(
        (face, fine_tune),
        face(fine_tune=fine_tune, random_state=0, **SHORT).fit(x, labels),
    )
    order = np.random.default_rng(seed).permutation(len(x))
    some = order[: 1 + seed % len(x)]
    whole = model.predict_proba(x)
    np.testing.assert_allclose(model.predict_proba(x[some]), whole[some], rtol=1e-7)


FITTED: dict = {}


@pytest.mark.parametrize("fine_tune", [None, "separate", "joint"])
def test_several_labels_per_row(fine_tune):
    rng = np.random.default_rng(0)
    x = (rng.random((400, 8)) < 0.5).astype(float)
    y = np.column_stack([x[:, 0], 1 - x[:, 1], np.zeros(400)]).astype(int)
    model = BBDRMClassifier(
        n_hidden_layers=1,
        n_hidden_units=20,
        fine_tune=fine_tune,
        pretrain_epochs=40,
        random_state=0,
    ).fit(x, y)
    probability = model.predict_proba(x)
    assert probability.shape == (400, 3)
    assert not np.allclose(probability.sum(axis=1), 1)
    assert model.score(x, y) > 0.95
    prototype = model.predict_x(np.array([[1, 1, 0], [0, 0, 0]]))
    assert prototype[0, 0] > 0.8 > 0.2 > prototype[1, 0]
    assert prototype[0, 1] < 0.2 < 0.8 < prototype[1, 1]
    assert model.sample(5, n_sweeps=5)[1].shape == (5, 3)
    with pytest.raises(ValueError, match="has 2 columns"):
        model.predict_x(np.array([[1, 1]]))
    with pytest.raises(ValueError, match="2-D indicators"):
        model.predict_x([1, 0])
    named = pd.DataFrame(y, columns=["left", "right", "none"])
    model.fit(x, named)
    assert list(model.target_names_in_) == ["left", "right", "none"]
    with pytest.raises(ValueError, match="column names of y should match"):
        model.predict_x(named[["right", "left", "none"]])


def test_exact_marginals_of_several_labels():
    chain = make_chain("bernoulli", "bernoulli", hidden=(4,), seed=8, scale=0.6)
    x = all_values(chain.x)
    values, joint = enumerate_pairs(chain, x)
    expected = softmax(joint, axis=1) @ values
    found = mean_field(chain, x).y_mean
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_binarize():
    x, labels = blobs()
    grey = x * 50 + 1000
    low, high = grey.min(axis=0), grey.max(axis=0)
    model = BBDRMClassifier(binarize=0.3, random_state=0, **SHORT).fit(grey, labels)
    on = (grey - low) / (high - low) > 0.3
    np.testing.assert_array_equal(model._check_x(grey), on)
    plain = BBDRMClassifier(binarize=None, random_state=0, **SHORT)
    plain.fit(on.astype(float), labels)
    np.testing.assert_array_equal(
        plain.predict_proba(on.astype(float)), model.predict_proba(grey)
    )
    prototype = model.predict_x([0])[0]
    assert (low <= prototype).all() and (prototype <= high).all()
    draws = model.sample_x([0, 1], 20, n_sweeps=5)
    assert np.isclose(np.minimum(abs(draws - low), abs(draws - high)), 0).all()
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]; row 0 holds"):
        plain.predict(on + 1.0)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        BBDRMClassifier(binarize=None).fit(grey, labels)
    for bad in (-0.1, 1.5, "half", True):
        with pytest.raises(ValueError, match="binarize must be"):
            BBDRMClassifier(binarize=bad).fit(x, labels)


@pytest.mark.parametrize("face", FACES)
def test_constant_columns_come_back_as_they_were(face):
    x, labels = blobs()
    x[:, 2] = 7.0
    model = face(random_state=0, **SHORT).fit(x, labels)
    assert (model.predict_x([0, 1])[:, 2] == 7).all()
    assert (model.sample_x([0, 1], 5, n_sweeps=5)[..., 2] == 7).all()
    assert np.isfinite(model.predict_proba(x + 1)).all()


@pytest.mark.parametrize("face", FACES)
def test_errors_say_what_is_wrong(face):
    x, labels = blobs()
    model = face(random_state=0, **SHORT).fit(x, labels)
    with pytest.raises(ValueError, match="label 9, which is none of the classes"):
        model.predict_x([9])
    with pytest.raises(ValueError, match="[Uu]nknown label type"):
        face().fit(x, x[:, 0])
    with pytest.raises(ValueError, match="relation_weight"):
        face(relation_weight=-1).fit(x, labels)
    with pytest.raises(ValueError, match="classes"):
        face(**SHORT).partial_fit(x, labels).partial_fit(x, labels, classes=[0, 1])
    two = np.column_stack([labels, labels])
    with pytest.raises(ValueError, match="1-D y|0 or 1 in every column"):
        face().fit(x, two)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("fine_tune", ["separate", "joint"])
def test_early_stopping_goes_on_with_all_rows(face, fine_tune):
    x, labels = blobs(n_rows=600)
    model = face(
        n_hidden_units=10, random_state=0, fine_tune=fine_tune, pretrain_epochs=2,
        fine_tune_epochs=10, tol=0.0, early_stopping=True,
    ).fit(x, labels)  # fmt: skip
    assert {len(scores) for scores in model.validation_scores_.values()} == {5}
    best = max(1 + int(np.argmax(s)) for s in model.validation_scores_.values())
    tuned = {len(v) for phase, v in model.loss_curve_.items() if phase != "pretrain"}
    assert tuned == {5 + best}
    assert model.score(x, labels) > 0.9


@pytest.mark.parametrize("face", FACES)
def test_partial_fit_and_warm_start_go_on(face):
    x, labels = blobs(n_rows=240)
    model = face(n_hidden_units=10, random_state=0)
    first = model.partial_fit(x[:20], labels[:20] % 2, classes=[0, 1, 2])
    assert list(first.classes_) == [0, 1, 2]
    start = model.score(x, labels)
    for _ in range(60):
        model.partial_fit(x, labels)
    assert model.score(x, labels) > max(0.9, start)
    warm = face(warm_start=True, random_state=0, **SHORT).fit(x, labels)
    epochs = warm.n_iter_
    assert warm.fit(x, labels).n_iter_ > epochs
    with pytest.raises(ValueError, match="none of the classes"):
        warm.fit(x, labels + 1)


@pytest.mark.parametrize("face", FACES)
def test_weight_zero_leaves_rows_out(face):
    x, labels = blobs()
    wrong = np.concatenate([labels, (labels + 1) % 3])
    weight = np.repeat([1.0, 0.0], len(x))
    model = face(random_state=0, **SHORT)
    model.fit(np.vstack([x, x + 5]), wrong, sample_weight=weight)
    alone = face(random_state=0, **SHORT).fit(x, labels)
    np.testing.assert_allclose(
        model.predict_proba(x), alone.predict_proba(x), rtol=1e-9
    )


@pytest.mark.parametrize("face", FACES)
def test_separate_tuning_leaves_the_chain_as_pretrained(face):
    x, labels = blobs()
    plain = face(fine_tune=None, random_state=0, **SHORT).fit(x, labels)
    tuned = face(fine_tune="separate", random_state=0, **SHORT).fit(x, labels)
    for one, other in zip(plain.model_.weights, tuned.model_.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.allclose(plain.predict_proba(x), tuned.predict_proba(x))


@pytest.mark.parametrize("face", FACES)
def test_weight_on_the_relation_raises_the_probability_of_the_labels(face):
    x, labels = blobs(n_rows=240, n_x=10)
    x = x + np.random.default_rng(1).normal(size=x.shape)
    options = {"fine_tune": None, "pretrain_epochs": 15, "random_state": 0}
    found = [
        face(relation_weight=weight, n_hidden_units=10, **options)
        .fit(x, labels)
        .predict_log_proba(x)[np.arange(240), labels]
        .mean()
        for weight in (0.0, 10.0)
    ]
    assert found[1] > found[0] + 0.05


def test_common_scaling_keeps_the_ratios_of_columns():
    x, labels = blobs()
    x[:, 1], x[:, 2] = x[:, 1] * 0.01, 4.0
    model = GCDRMClassifier(scaling="common", random_state=0, **SHORT).fit(x, labels)
    expected = np.sqrt(np.delete(x, 2, axis=1).var(axis=0).mean())
    np.testing.assert_allclose(np.delete(model.model_.x_scale, 2), expected)
    seen = model._check_x(x)
    assert (seen[:, 2] == 0).all() and 0 < seen[:, 1].std() < 0.05
    assert (model.predict_x([0])[:, 2] == 4).all()
    with pytest.raises(ValueError, match="scaling must be"):
        GCDRMClassifier(scaling="rows").fit(x, labels)


@pytest.mark.parametrize("face", FACES)
def test_drawn_pairs_have_the_exact_shares_of_labels(face):
    model, chain = tiny(face)
    chain = Chain(
        [*chain.units[:-1], type(chain.y)(np.array([2.0, 1.0, 0.5]))],
        [chain.weights[0], 3 * chain.weights[1]],
    )
    model = with_chain(model, chain, model.model_.means)
    one = given_one_class(chain)
    expected = np.exp(log_likelihood(one, None, np.eye(3)))
    labels = model.sample(6000, random_state=0, n_sweeps=60)[1]
    shares = (labels[:, None] == model.classes_).mean(axis=0)
    np.testing.assert_allclose(shares, expected, atol=0.025)
    assert np.ptp(expected) > 0.1


def test_sparse_labels_are_refused():
    from scipy.sparse import csr_array

    X, labels = blobs()
    indicators = np.eye(3)[np.searchsorted(np.unique(labels), labels)]
    for face in FACES:
        with pytest.raises(TypeError, match=r"Sparse data was passed for y.*toarray"):
            face(**SHORT).fit(X, csr_array(indicators))


def test_the_threshold_is_that_of_fit():
    X, labels = blobs()
    model = BBDRMClassifier(random_state=0, **SHORT).fit(X, labels)
    before = model.predict_proba(X)
    model.set_params(binarize=0.9)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    with pytest.raises(ValueError, match="binarize must be in"):
        model.set_params(binarize="a", warm_start=True).fit(X, labels)
    other = GCDRMClassifier(random_state=0, **SHORT).fit(X, labels)
    with pytest.raises(ValueError, match="scaling must be"):
        other.set_params(scaling="foo", warm_start=True).fit(X, labels)


def test_a_refit_that_is_refused_leaves_the_classes():
    X, labels = blobs()
    model = GCDRMClassifier(random_state=0, **SHORT).fit(X, labels)
    before = model.predict(X)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X, np.where(labels == labels[0], np.nan, 1.0))
    np.testing.assert_array_equal(model.predict(X), before)


def test_scores_refuse_labels_in_another_order():
    X, labels = blobs()
    names = [*"pqr"]
    frame = pd.DataFrame(
        np.eye(3, dtype=int)[np.unique(labels, return_inverse=True)[1]]
    )
    frame.columns = names
    model = BBDRMClassifier(random_state=0, **SHORT).fit(X, frame)
    assert np.isfinite(model.score(X, frame))
    with pytest.raises(ValueError, match="column names of y"):
        model.score(X, frame[names[::-1]])
