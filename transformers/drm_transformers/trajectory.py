"""Operations on rows in time order: context windows and clip means.

Rows are video frames; `groups` names the clip of each. The rows of one group are in
time order, but groups may be interleaved.
"""

from __future__ import annotations

from numbers import Integral

import numpy as np
import numpy.typing as npt

from drm_transformers._groups import labelled_rows, members_of

__all__ = ["average_context", "group_means", "remove_group_mean", "stack_context"]

FloatArray = npt.NDArray[np.floating]


def stack_context(
    rows: npt.ArrayLike, groups: npt.ArrayLike | None, k: int
) -> FloatArray:
    """Put each row's k neighbours before and after it into the row.

    Parameters
    ----------
    rows : array-like of shape (n, d)
        Rows of one or several clips.
    groups : array-like of shape (n,) or None
        Clip of each row; None: all one clip.
    k : int, >= 0
        Neighbours on each side.

    Returns
    -------
    ndarray of shape (n, (2k + 1) * d)
        Blocks in time order, the row itself in the middle one. Beyond a clip's
        ends its first or last row is repeated.

    Raises
    ------
    ValueError
        Shapes do not match or k is negative.

    Examples
    --------
    >>> stack_context([[1.0], [2.0], [3.0]], None, 1)
    array([[1., 1., 2.],
           [1., 2., 3.],
           [2., 3., 3.]])
    """
    values, labels = _checked(rows, groups, k)
    width = (2 * k + 1) * values.shape[1]
    return np.asarray(values[_neighbours(labels, k)].reshape(len(values), width))


def average_context(
    stacked: npt.ArrayLike, groups: npt.ArrayLike | None, k: int
) -> FloatArray:
    """Average the predictions that overlapping windows make for each row.

    Parameters
    ----------
    stacked : array-like of shape (n, (2k + 1) * d)
        Windows as `stack_context` makes them, for example predicted ones.
    groups : array-like of shape (n,) or None
        Clip of each row; None: all one clip.
    k : int, >= 0
        Neighbours on each side.

    Returns
    -------
    ndarray of shape (n, d)
        For row i the mean of its block in every window of its clip that holds it;
        blocks beyond a clip's ends are left out.

    Raises
    ------
    ValueError
        Shapes do not match, k is negative, or the width is no multiple of 2k + 1.

    Examples
    --------
    >>> average_context(stack_context([[1.0], [2.0], [3.0]], None, 1), None, 1)
    array([[1.],
           [2.],
           [3.]])
    """
    values, labels = _checked(stacked, groups, k)
    n, width = values.shape
    n_blocks = 2 * k + 1
    if width % n_blocks:
        raise ValueError(
            f"stacked has {width} columns, no multiple of 2k + 1 = {n_blocks}"
        )
    blocks = values.reshape(n, n_blocks, width // n_blocks)
    total = np.zeros((n, blocks.shape[2]), dtype=values.dtype)
    count = np.zeros((n, 1), dtype=values.dtype)
    for members in members_of(labels):
        for offset in range(-min(k, len(members) - 1), min(k, len(members) - 1) + 1):
            windows = members[max(0, -offset) : len(members) - max(0, offset)]
            rows = members[max(0, offset) : len(members) - max(0, -offset)]
            total[rows] += blocks[windows, k + offset]
            count[rows] += 1
    return np.asarray(total / count)


def group_means(rows: npt.ArrayLike, groups: npt.ArrayLike | None) -> FloatArray:
    """Mean of each row's clip, repeated for its rows.

    Parameters
    ----------
    rows : array-like of shape (n, d)
        Rows of one or several clips.
    groups : array-like of shape (n,) or None
        Clip of each row; None: all one clip.

    Returns
    -------
    ndarray of shape (n, d)

    Raises
    ------
    ValueError
        Shapes do not match.

    Examples
    --------
    >>> group_means([[1.0], [5.0], [3.0]], ["a", "b", "a"])
    array([[2.],
           [5.],
           [2.]])
    """
    values, labels = labelled_rows(rows, groups)
    means = np.empty_like(values)
    for members in members_of(labels):
        # Summed in float64, as float32 loses digits over long clips.
        means[members] = values[members].mean(axis=0, dtype=np.float64)
    return means


def remove_group_mean(rows: npt.ArrayLike, groups: npt.ArrayLike | None) -> FloatArray:
    """Rows less the mean of their clip.

    Parameters
    ----------
    rows : array-like of shape (n, d)
        Rows of one or several clips.
    groups : array-like of shape (n,) or None
        Clip of each row; None: all one clip.

    Returns
    -------
    ndarray of shape (n, d)

    Raises
    ------
    ValueError
        Shapes do not match.

    Examples
    --------
    >>> remove_group_mean([[1.0], [5.0], [3.0]], ["a", "b", "a"])
    array([[-1.],
           [ 0.],
           [ 1.]])
    """
    values, _ = labelled_rows(rows, groups)
    return np.asarray(values - group_means(values, groups))


def _checked(
    rows: npt.ArrayLike, groups: npt.ArrayLike | None, k: int
) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    values, labels = labelled_rows(rows, groups)
    if isinstance(k, bool) or not isinstance(k, Integral) or k < 0:
        raise ValueError(f"k={k!r}: must be an integer >= 0")
    return values, labels


def _neighbours(labels: npt.NDArray[np.intp], k: int) -> npt.NDArray[np.intp]:
    """(n, 2k + 1) row numbers, edges repeated within the group."""
    out = np.empty((len(labels), 2 * k + 1), dtype=np.intp)
    for members in members_of(labels):
        position = np.arange(len(members))[:, None] + np.arange(-k, k + 1)
        out[members] = members[np.clip(position, 0, len(members) - 1)]
    return out
