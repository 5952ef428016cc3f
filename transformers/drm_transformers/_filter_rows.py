"""Checks shared by the post-filters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from drm_transformers._groups import labelled_rows

__all__ = ["checked_columns", "checked_pair", "checked_rows"]

FloatArray = npt.NDArray[np.floating]
Float64 = npt.NDArray[np.float64]


def checked_rows(
    rows: npt.ArrayLike,
    groups: npt.ArrayLike | None,
    name: str,
    width: int | None = None,
) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    values, labels = labelled_rows(rows, groups)
    if not len(values):
        raise ValueError(f"{name} have shape {values.shape}: there is nothing in them")
    if not np.all(np.isfinite(values)):
        raise ValueError(f"{name} contain NaN or infinity")
    if width is not None and values.shape[1] != width:
        raise ValueError(
            f"{name} have {values.shape[1]} columns; the filter was fitted with {width}"
        )
    return values, labels


def checked_pair(
    natural: npt.ArrayLike, generated: npt.ArrayLike, groups: npt.ArrayLike | None
) -> tuple[Float64, Float64, npt.NDArray[np.intp]]:
    true, labels = checked_rows(natural, groups, "natural rows")
    made, _ = checked_rows(generated, groups, "generated rows")
    if true.shape != made.shape:
        raise ValueError(
            f"natural rows have shape {true.shape}, generated ones {made.shape}; give "
            "predictions of the same rows"
        )
    return true.astype(np.float64), made.astype(np.float64), labels


def checked_columns(exclude: Sequence[int], width: int) -> npt.NDArray[np.intp]:
    """The excluded columns, if they exist."""
    columns = np.asarray(exclude).reshape(-1)
    if columns.size and columns.dtype.kind not in "iu":
        raise ValueError(
            f"exclude={exclude!r}: must be numbers of columns, such as [0] for c0"
        )
    columns = columns.astype(np.intp)
    if ((columns < -width) | (columns >= width)).any():
        raise ValueError(f"exclude={exclude!r}: there are {width} columns")
    return columns
