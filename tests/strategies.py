"""Hypothesis strategies for paired views: the data that users really bring."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

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
