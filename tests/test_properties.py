"""What must hold for any data, chain, hyperparameters and clips."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from drm_transformers import LipDCTTransformer, clips_to_rows
from sklearn_drm import SwapViews, TwoViewRegressor
from sklearn_drm.core import exact
from sklearn_drm.core.chain import Chain
from sklearn_drm.core.chain import mirror as mirror_chain
from sklearn_drm.core.mean_field import mean_field
from sklearn_drm.core.model import mirror
from tests.chains import KINDS, make_values
from tests.strategies import (
    chains,
    classifiers,
    clips,
    float_views,
    labelled_rows,
    regressors,
    two_views,
)

QUICK = settings(max_examples=60)
FITS = settings(max_examples=30)


def everything(model, x, y):
    """All that a fitted model says of some rows, by method."""
    return {
        "predict_y": model.predict_y(x, return_std=True),
        "predict_x": model.predict_x(y, return_std=True),
        "transform_x": model.transform_x(x),
        "transform_y": model.transform_y(y),
        "transform_pair": model.transform_pair(x, y),
        "score_samples": model.score_samples(x, y),
        "score_samples_x": model.score_samples(x),
        "score_samples_y": model.score_samples(y=y),
    }


def flat(result):
    """The arrays of `everything`, row by row."""
    return {
        (name, part): value
        for name, parts in result.items()
        for part, value in enumerate(parts if isinstance(parts, tuple) else (parts,))
    }


@QUICK
@given(chains(kinds=KINDS), st.integers(0, 2**32 - 1))
def test_mirror_keeps_the_density(chain, seed):
    rng = np.random.default_rng(seed)
    x, y = make_values(chain.x, 5, rng), make_values(chain.y, 5, rng)
    swapped = mirror_chain(chain)
    for here, there in (
        ((x, y), (y, x)),
        ((x, None), (None, x)),
        ((None, y), (y, None)),
    ):
        np.testing.assert_allclose(
            exact.log_likelihood(chain, *here),
            exact.log_likelihood(swapped, *there),
            rtol=1e-10,
            atol=1e-10,
        )


@QUICK
@given(chains(), st.integers(0, 2**32 - 1))
def test_exact_predictions_are_moments_of_the_density(chain, seed):
    """E[y | x] of the chain is d/ds of log E exp(s y) at s = 0, by differences."""
    x = make_values(chain.x, 3, np.random.default_rng(seed))
    mean = exact.predict_exact(chain, x).mean
    step = 1e-5
    for unit in range(chain.y.n_units):
        tilted = []
        for sign in (1, -1):
            # Tilting the density by exp(s y) moves the bias by s·σ².
            variance = np.exp(chain.y.log_variance[unit])
            bias = chain.y.bias.copy()
            bias[unit] += sign * step * variance
            y = replace(chain.y, bias=bias)
            moved = Chain([*chain.units[:-1], y], chain.weights)
            at = 2 * chain.y.bias[unit] + sign * step * variance
            extra = 0.5 * sign * step * at
            tilted.append(exact.log_likelihood(moved, x, log_z=0.0) + extra)
        slope = (tilted[0] - tilted[1]) / (2 * step)
        np.testing.assert_allclose(mean[:, unit], slope, rtol=1e-5, atol=1e-5)


@FITS
@given(float_views(min_rows=8, max_rows=20), regressors(fine_tune=("joint", None)))
def test_mirror_swaps_the_predictors(views, model):
    """With one weight set, x is predicted as the mirrored model predicts its y."""
    x, y = views
    model.fit(x, y)
    turned = mirror(model.model_)
    rows = turned.x_scaling.standardize(y.reshape(len(y), -1))
    means = model.model_.means[::-1]
    inference = model._inference()
    hidden = mean_field(turned.chain, rows, initial=means, **inference).hidden
    mean = hidden[-1] @ turned.weights[-1] + turned.biases[-1]
    np.testing.assert_allclose(
        model.predict_x(y), turned.y_scaling.restore(mean), rtol=1e-10, atol=1e-10
    )
    again = mirror(turned)
    for one, other in zip(again.weights, model.model_.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@FITS
@given(float_views(min_rows=8, max_rows=20), regressors(), st.randoms())
def test_rows_do_not_see_each_other(views, model, random):
    x, y = views
    model.fit(x, y)
    whole = flat(everything(model, x, y))
    order = list(range(len(x)))
    random.shuffle(order)
    some = order[: random.randint(1, len(x))]
    for rows in (order, some):
        for name, value in flat(everything(model, x[rows], y[rows])).items():
            scale = np.abs(whole[name]).max()
            np.testing.assert_allclose(
                value, whole[name][rows], atol=1e-7 * (1 + scale), err_msg=str(name)
            )


@FITS
@given(
    float_views(min_rows=8, max_rows=20, exponents=(0, 0), one_d_target=False),
    regressors(),
    st.lists(st.floats(-500, 500), min_size=2, max_size=2),
    st.lists(st.integers(-8, 8), min_size=2, max_size=2),
)
def test_fit_is_scale_equivariant(views, model, shifts, exponents):
    """Other units of the columns change nothing, while |mean| / std < 1e3."""
    moved, plain = clone(model), model.fit(*views)
    scales = [10.0**e for e in exponents]
    units = []
    for view, shift, scale in zip(views, shifts, scales, strict=True):
        spread = scale * np.geomspace(1, 3, view.shape[1])
        mean, std = view.mean(axis=0), view.std(axis=0)
        place = (shift * std - mean) * spread  # |mean| / std is at most 500
        units.append((spread, place))
    (a, b), (c, d) = units
    x, y = views
    moved.fit(x * a + b, y * c + d)
    for got, expected, (spread, place) in (
        (moved.predict_y(x * a + b), plain.predict_y(x), (c, d)),
        (moved.predict_x(y * c + d), plain.predict_x(y), (a, b)),
    ):
        error = (got - place) / spread - expected
        assert np.abs(error / expected.std(axis=0).max()).max() < 1e-5 or (
            np.abs(error).max() < 1e-6
        )
    density = moved.score_samples(x * a + b, y * c + d)
    shift = np.log(a).sum() + np.log(c).sum()
    np.testing.assert_allclose(density + shift, plain.score_samples(x, y), atol=1e-5)


@FITS
@given(two_views(min_rows=8, max_rows=20, dtypes=("float32", "float64")), regressors())
def test_a_pickled_model_is_the_same_model(views, model):
    x, y = views
    model.fit(x, y)
    copy = pickle.loads(pickle.dumps(model))
    here, there = flat(everything(model, x, y)), flat(everything(copy, x, y))
    for name, value in here.items():
        np.testing.assert_array_equal(value, there[name], err_msg=str(name))
        assert value.dtype == there[name].dtype
    np.testing.assert_array_equal(model.sample_y(x, 2), copy.sample_y(x, 2))
    for one, other in zip(
        model.sample(2, n_sweeps=2), copy.sample(2, n_sweeps=2), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@FITS
@given(float_views(min_rows=8, max_rows=20), regressors(), st.integers(0, 99))
def test_a_seed_determines_everything(views, model, elsewhere):
    """Neither the global generator nor an earlier fit has a part in a fit."""
    x, y = views
    twin = clone(model)
    first = flat(everything(model.fit(x, y), x, y))
    np.random.seed(elsewhere)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    second = flat(everything(model.fit(x, y), x, y))
    third = flat(everything(twin.fit(x, y), x, y))
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=str(name))
        np.testing.assert_array_equal(value, third[name], err_msg=str(name))
    after = np.random.get_state()[1]  # noqa: NPY002
    np.testing.assert_array_equal(after, state)


@FITS
@given(two_views(min_rows=8, max_rows=20), regressors())
def test_predictions_are_finite_whatever_the_columns(views, model):
    x, y = views
    model.fit(x, y)
    for name, value in flat(everything(model, x, y)).items():
        assert np.isfinite(value).all(), name
    assert (model.predict_y(x, return_std=True)[1] >= 0).all()
    for hidden in (model.transform_x(x), model.transform_y(y)):
        assert hidden.min() >= 0 and hidden.max() <= 1


@FITS
@given(float_views(min_rows=8, max_rows=20), regressors())
def test_compositions_are_transparent(views, model):
    """Without transformers TwoViewRegressor, and SwapViews twice, change nothing."""
    x, y = views
    y = y.reshape(len(y), -1)
    plain = clone(model).fit(x, y)
    whole = TwoViewRegressor(clone(model)).fit(x, y)
    twice = SwapViews(SwapViews(clone(model))).fit(x, y)
    for other in (whole, twice):
        np.testing.assert_array_equal(
            np.reshape(other.predict(x), y.shape), plain.predict(x).reshape(y.shape)
        )
        np.testing.assert_array_equal(other.predict_x(y), plain.predict_x(y))


def what_a_classifier_says(model, x, labels):
    return {
        "predict_proba": model.predict_proba(x),
        "predict_x": model.predict_x(labels),
        "transform_x": model.transform_x(x),
        "score_samples": model.score_samples(x, labels),
        "sample_y": model.sample_y(x, 2),
    }


@FITS
@given(
    labelled_rows(),
    classifiers(),
    st.lists(st.integers(-6, 6), min_size=5, max_size=5),
    st.lists(st.floats(-50, 50), min_size=5, max_size=5),
)
def test_units_and_names_of_classes_tell_a_classifier_nothing(
    data, model, exponents, shifts
):
    x, labels = data
    scale = 10.0 ** np.array(exponents)[: x.shape[1]]
    shift = scale * np.array(shifts)[: x.shape[1]]
    names = np.array(["a", "bc", "d", "e f"])[labels]  # in the same order
    plain, moved = (
        clone(model).fit(x, labels),
        clone(model).fit(x * scale + shift, names),
    )
    np.testing.assert_allclose(
        moved.predict_proba(x * scale + shift), plain.predict_proba(x), atol=1e-7
    )
    prototypes = (moved.predict_x(names) - shift) / scale
    np.testing.assert_allclose(prototypes, plain.predict_x(labels), atol=1e-6)


@FITS
@given(labelled_rows(), classifiers(), st.randoms())
def test_a_classifier_is_its_pickle_its_seed_and_its_rows(data, model, random):
    x, labels = data
    twin = clone(model).fit(x, labels)
    model.fit(x, labels)
    said = what_a_classifier_says(model, x, labels)
    for other in (twin, pickle.loads(pickle.dumps(model))):
        for name, value in what_a_classifier_says(other, x, labels).items():
            np.testing.assert_array_equal(value, said[name], err_msg=name)
            assert np.isfinite(value).all(), name
    order = random.sample(range(len(x)), random.randint(1, len(x)))
    some = what_a_classifier_says(model, x[order], labels[order])
    for name in ("predict_proba", "predict_x", "transform_x", "score_samples"):
        np.testing.assert_allclose(
            some[name], said[name][order], rtol=1e-7, atol=1e-7, err_msg=name
        )


@FITS
@given(clips(), st.randoms())
def test_rows_of_clips_are_those_of_each_clip(made, random):
    """Order and company of the clips do not matter, one row per picture."""
    size = 40
    box = (5, 5, 50)
    order = list(made)
    random.shuffle(order)
    together = clips_to_rows(order, box=box, size=size)
    assert len(together.groups) == sum(len(clip.frames) for clip in made)
    for clip in made:
        alone = clips_to_rows([clip], box=box, size=size)
        mine = together.groups == clip.name
        np.testing.assert_array_equal(together.lips[mine], alone.lips)
        np.testing.assert_array_equal(together.speech[mine], alone.speech)


@FITS
@given(clips(max_clips=2), st.integers(1, 6))
def test_lip_images_survive_the_pipeline_up_to_what_it_drops(made, n_components):
    """DCT and PCA keep a row that lies in their span, in any picture shape."""
    parts = [clip.frames[:, :12, :9] for clip in made]
    parts += [clip.frames[:, 20:32, :9] for clip in made]
    lips = np.concatenate(parts).astype(float)
    n_components = min(n_components, len(lips) - 1)
    pipeline = make_pipeline(
        LipDCTTransformer(n_coefficients=60), PCA(n_components), StandardScaler()
    )
    features = pipeline.fit_transform(lips)
    back = np.asarray(pipeline.inverse_transform(features)).reshape(lips.shape)
    np.testing.assert_allclose(pipeline.transform(back), features, atol=1e-8)


def test_every_strategy_gives_what_it_says():
    """A strategy that shrank to one kind of data would make the suite blind."""
    kinds, layers, dtypes = set(), set(), set()

    @settings(max_examples=60, database=None)
    @given(regressors(), chains(kinds=KINDS), two_views())
    def look(model, chain, views):
        kinds.add(model.fine_tune)
        layers.add(chain.n_hidden_layers)
        dtypes.update(str(view.dtype) for view in views)

    look()
    assert kinds == {"separate", "joint", None} and layers == {1, 2, 3}
    assert dtypes >= {"float64", "float32", "int64", "bool"}
