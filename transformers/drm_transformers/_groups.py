"""Rows that belong to clips."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["labelled_rows", "members_of"]

FloatArray = npt.NDArray[np.floating]


def labelled_rows(
    rows: npt.ArrayLike, groups: npt.ArrayLike | None
) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    """Rows as a table of floats, and the number of each one's clip."""
    values = np.asarray(rows)
    if values.ndim != 2:
        raise ValueError(f"rows have shape {values.shape}; give (n, d)")
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    if groups is None:
        return values, np.zeros(len(values), dtype=np.intp)
    names = np.asarray(groups)
    if names.shape != (len(values),):
        raise ValueError(f"groups have shape {names.shape}, not ({len(values)},)")
    labels = np.unique(names, return_inverse=True)[1]
    return values, labels.astype(np.intp)


def members_of(labels: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    """Row numbers of each group, in row order."""
    if len(labels) == 0:
        return []
    order = np.argsort(labels, kind="stable")
    return list(np.split(order, np.flatnonzero(np.diff(labels[order])) + 1))
