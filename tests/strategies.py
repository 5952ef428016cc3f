"""Hypothesis strategies: paired views, chains, models and clips."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from drm_transformers import Clip
from sklearn_drm import BBDRMClassifier, GCDRMClassifier, GGDRMRegressor
from tests.chains import make_chain

DTYPES = ("float64", "float32", "int64", "int16", "bool")


def as_dtype(view, dtype):
    """Float rows as another type: integers are rounded, booleans are signs."""
    if dtype == "bool":
        return view > np.median(view)
    if np.dtype(dtype).kind == "i":
        return np.clip(np.round(10 * view), -30_000, 30_000).astype(dtype)
    return view.astype(dtype)


@st.composite
def two_views(
    draw,
    *,
    dtypes=DTYPES,
    min_rows=6,
    max_rows=30,
    max_columns=5,
    constant_columns=True,
    one_d_target=True,
    exponents=(-3, 3),
):
    """Related views X (n, p) and y (n, q) or (n,), as a pair of arrays.

    Varied: shapes, types, memory order, the scale of each column (powers of ten
    within ``exponents``), its offset, constant columns, and 1-D y.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    n_rows = draw(st.integers(min_rows, max_rows), label="rows")
    cause = rng.standard_normal((n_rows, 2))

    def view(name):
        n_columns = draw(st.integers(1, max_columns), label=f"{name} columns")
        rows = cause @ rng.standard_normal((2, n_columns))
        rows += 0.3 * rng.standard_normal(rows.shape)
        low, high = exponents
        exponent = draw(
            st.lists(st.integers(low, high), min_size=n_columns, max_size=n_columns),
            label=f"{name} scale exponents",
        )
        offset = rng.uniform(-5, 5, n_columns)
        dtype = draw(st.sampled_from(dtypes), label=f"{name} dtype")
        if np.dtype(dtype).kind == "f":
            rows = (rows + offset) * 10.0 ** np.array(exponent)
        rows = as_dtype(rows, dtype)
        if constant_columns and draw(st.booleans(), label=f"{name} constant column"):
            rows[:, rng.integers(n_columns)] = 1
        order = draw(st.sampled_from("CF"), label=f"{name} order")
        return np.array(rows, order=order)

    X, y = view("X"), view("y")
    if one_d_target and draw(st.booleans(), label="1-D y"):
        y = y[:, 0].copy()
    return X, y


def float_views(**options):
    """:func:`two_views` of float64 without degenerate columns."""
    options = {"constant_columns": False, "dtypes": ("float64",), **options}
    return two_views(**options)


@st.composite
def image_stacks(draw, *, min_rows=6, max_rows=20):
    """Images (n, H, W) or stacks (n, frames, H, W), uint8 or float."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    n_rows = draw(st.integers(min_rows, max_rows), label="rows")
    height = draw(st.integers(2, 5), label="height")
    width = draw(st.integers(2, 5), label="width")
    frames = draw(st.sampled_from([None, 1, 2]), label="frames")
    shape = (n_rows, height, width)
    if frames is not None:
        shape = (n_rows, frames, height, width)
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    return images if draw(st.booleans(), label="uint8") else images / 255.0


@st.composite
def grouped_rows(draw, *, max_groups=5):
    """Targets (n, d), predictions (n, d) and unsorted group labels (n,)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    n_groups = draw(st.integers(1, max_groups), label="groups")
    sizes = draw(
        st.lists(st.integers(2, 6), min_size=n_groups, max_size=n_groups),
        label="group sizes",
    )
    groups = rng.permutation(np.repeat(np.arange(n_groups), sizes))
    n_columns = draw(st.integers(1, 4), label="columns")
    true = rng.standard_normal((len(groups), n_columns))
    return true, rng.standard_normal(true.shape), groups


@st.composite
def chains(draw, *, kinds=("gaussian",), max_layers=3, max_units=4):
    """Chains of 1 to ``max_layers`` hidden layers, small enough to enumerate."""
    n_layers = draw(st.integers(1, max_layers), label="hidden layers")
    sizes = st.lists(st.integers(1, max_units), min_size=n_layers, max_size=n_layers)
    return make_chain(
        draw(st.sampled_from(kinds), label="x"),
        draw(st.sampled_from(kinds), label="y"),
        tuple(draw(sizes, label="hidden units")),
        seed=draw(st.integers(0, 2**32 - 1), label="seed"),
        scale=draw(st.floats(0, 2), label="weight scale"),
        n_x=draw(st.integers(1, 4), label="n_x"),
        n_y=draw(st.integers(1, 4), label="n_y"),
    )


@st.composite
def regressors(draw, *, fine_tune=("separate", "joint", None)):
    """Unfitted two-way regressors, of every kind of learning, that fit in a moment."""
    n_layers = draw(st.integers(1, 3), label="hidden layers")
    sizes = st.lists(st.integers(1, 6), min_size=n_layers, max_size=n_layers)
    return GGDRMRegressor(
        n_layers,
        draw(sizes, label="hidden units"),
        fine_tune=draw(st.sampled_from(fine_tune), label="fine_tune"),
        pretrain_epochs=draw(st.integers(0, 2), label="pretrain epochs"),
        fine_tune_epochs=draw(st.integers(1, 3), label="fine-tuning epochs"),
        mean_field=draw(st.sampled_from(["collapsed", "naive"]), label="mean field"),
        dropout=draw(st.sampled_from([0.0, 0.3]), label="dropout"),
        random_state=draw(st.integers(0, 2**31 - 1), label="random_state"),
    )


@st.composite
def classifiers(draw, *, fine_tune=("separate", "joint", None)):
    """Unfitted classifiers of both kinds that fit in a moment."""
    face = draw(st.sampled_from([BBDRMClassifier, GCDRMClassifier]), label="face")
    return face(
        draw(st.integers(1, 2), label="hidden layers"),
        draw(st.integers(1, 6), label="hidden units"),
        fine_tune=draw(st.sampled_from(fine_tune), label="fine_tune"),
        pretrain_epochs=draw(st.integers(0, 2), label="pretrain epochs"),
        fine_tune_epochs=draw(st.integers(1, 3), label="fine-tuning epochs"),
        random_state=draw(st.integers(0, 2**31 - 1), label="random_state"),
    )


@st.composite
def labelled_rows(draw, *, max_classes=4):
    """Rows (n, p) around the centres of their classes, and labels (n,) from 0."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    n_classes = draw(st.integers(2, max_classes), label="classes")
    n_rows = draw(st.integers(2 * n_classes, 24), label="rows")
    n_columns = draw(st.integers(1, 5), label="columns")
    labels = rng.permutation(np.arange(n_rows) % n_classes)
    centres = rng.standard_normal((n_classes, n_columns))
    return centres[labels] + 0.5 * rng.standard_normal((n_rows, n_columns)), labels


@st.composite
def clips(draw, *, max_clips=3, size=60):
    """Clips of noise with sound at one frame rate."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    frame_rate = draw(st.sampled_from([25.0, 29.97, 50.0]), label="frame rate")
    rate = draw(st.sampled_from([8000, 12_000, 44_100]), label="sample rate")
    made = []
    for name in "abcdef"[: draw(st.integers(1, max_clips), label="clips")]:
        n_frames = draw(st.integers(1, 12), label="frames")
        n_samples = round(n_frames / frame_rate * rate)
        made.append(
            Clip(
                name,
                rng.integers(0, 256, (n_frames, size, size), dtype=np.uint8),
                frame_rate,
                rng.uniform(-0.5, 0.5, n_samples),
                rate,
            )
        )
    return made
