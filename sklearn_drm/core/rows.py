"""Rows of a view, standardised where they are used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from sklearn_drm.core.units import Array

if TYPE_CHECKING:
    from sklearn_drm.core.model import Scaling

__all__ = ["Rows", "StandardizedRows", "blocks", "standardized_rows"]

# Views up to this many bytes are standardised as a whole: a copy is then cheaper than
# doing it again in every epoch.
_COPIED_BYTES = 2**25

# Values of a block of rows; its layers then stay in the processor's cache.
_BLOCK_VALUES = 2**16


class StandardizedRows:
    """Some rows of a view, standardised as they are read.

    Parameters
    ----------
    rows : ndarray of shape (n, n_units)
        The view as given, for example memory-mapped.
    scaling : Scaling
        How to standardise it.
    chosen : ndarray of int of shape (n_chosen,), optional
        The rows that count; all by default.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.core.model import Scaling
    >>> from sklearn_drm.core.rows import StandardizedRows
    >>> rows = np.array([[1.0], [3.0], [5.0]])
    >>> view = StandardizedRows(rows, Scaling.from_rows(rows[:2]))
    >>> view[1:], len(view)
    (array([[1.],
           [3.]]), 3)
    """

    def __init__(
        self, rows: Array, scaling: Scaling, chosen: Array | None = None
    ) -> None:
        self._rows = rows
        self._scaling = scaling
        self._chosen = chosen

    def __len__(self) -> int:
        return len(self._rows if self._chosen is None else self._chosen)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self), int(self._rows.shape[1])

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """Data type of the rows."""
        return self._rows.dtype

    def __getitem__(self, index: Array | slice) -> Array:
        where = index if self._chosen is None else self._chosen[index]
        return self._scaling.standardize(self._rows[where])

    def take(self, rows: Array) -> StandardizedRows:
        """Some of the rows, still not read."""
        chosen = rows if self._chosen is None else self._chosen[rows]
        return StandardizedRows(self._rows, self._scaling, chosen)


Rows: TypeAlias = Array | StandardizedRows


def standardized_rows(rows: Array, scaling: Scaling) -> Rows:
    """Rows standardised at once, or as they are read where there are many.

    Parameters
    ----------
    rows : ndarray of shape (n, n_units)
        A view in its own units.
    scaling : Scaling
        Its training moments.

    Returns
    -------
    ndarray or StandardizedRows
        With the same values.
    """
    if rows.nbytes <= _COPIED_BYTES:
        return scaling.standardize(rows)
    return StandardizedRows(rows, scaling)


def blocks(n_rows: int, width: int) -> Iterator[slice]:
    """Consecutive blocks of rows of a size that fits into the cache.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    width : int
        Values per row.

    Yields
    ------
    slice
        Every row once, in order.
    """
    size = max(1, _BLOCK_VALUES // max(width, 1))
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))
