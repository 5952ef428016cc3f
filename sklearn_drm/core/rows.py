"""Scaling of a view, and its rows, standardised where they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from sklearn_drm.core.units import Array

__all__ = [
    "Rows",
    "Scaling",
    "StandardizedRows",
    "blocks",
    "picked",
    "standardized_rows",
]

# Views up to this many bytes are standardised as a whole: a copy is then cheaper than
# doing it again in every epoch.
_COPIED_BYTES = 2**25

# Values of a block of rows; its layers then stay in the processor's cache.
_BLOCK_VALUES = 2**17


@dataclass(frozen=True)
class Scaling:
    """Affine map between a view as given and as the chain sees it.

    Parameters
    ----------
    location, scale : ndarray of shape (n_units,)
        Training mean and standard deviation; scale is 1 for a constant column.
    constant : ndarray of bool of shape (n_units,)
        Columns that had one value in training: predicted as that value, whatever
        else they hold counts for nothing.
    """

    location: Array
    scale: Array
    constant: Array

    @classmethod
    def from_rows(cls, rows: Rows, weight: Array | None = None) -> Scaling:
        """Weighted mean and standard deviation of the columns, in float64.

        Raises
        ------
        ValueError
            When a column's mean or variance overflows.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            location = _block_average(rows, weight, lambda block: block)
            # The second pass removes the rounding error of the first mean.
            shift = _block_average(rows, weight, lambda block: block - location)
            location = location + shift
            variance = _block_average(
                rows, weight, lambda block: np.square(block - location)
            )
        scale = np.sqrt(variance)
        # Differences of values, and weights in units of the scale, have to fit into the
        # type of the rows.
        largest = np.finfo(rows.dtype).max / 1e6
        possible = (np.abs(location) < largest) & (scale < largest)
        if not possible.all():
            raise ValueError(
                f"Column {int(np.argmin(possible))} holds values too large to "
                f"standardise in {rows.dtype}; divide it by a constant first."
            )
        # Below this a column is constant up to rounding.
        smallest = 10 * np.finfo(np.float64).eps * np.abs(location)
        constant = scale <= smallest
        scale[constant] = 1.0
        return cls(location, scale, constant)

    def fits(self, dtype: Any) -> bool:
        """Whether standardising and restoring keep to the range of a type."""
        kind = np.finfo(dtype)
        largest, smallest = kind.max / 1e6, kind.tiny * 1e6
        possible = (np.abs(self.location) < largest) & (self.scale < largest)
        return bool((possible & (self.scale > smallest)).all())

    def standardize(self, rows: Array) -> Array:
        """(rows − location)/scale, in the type of the rows; 0 in constant columns."""
        # Taking the location off in two parts keeps columns with a large mean exact
        # in float32, without a copy in float64.
        high = self.location.astype(rows.dtype)
        result: Array = rows - high
        if rows.dtype != self.location.dtype:
            result -= (self.location - high).astype(rows.dtype)
        result /= self.scale.astype(rows.dtype)
        if self.constant.any():
            # Nothing was learned of it, and its unit is unknown.
            result[:, self.constant] = 0
        return result

    def restore(self, rows: Array) -> Array:
        """rows · scale + location, in the data type of the rows."""
        result: Array = rows * self.scale.astype(rows.dtype)
        result += self.location.astype(rows.dtype)
        return result

    def restore_draws(self, rows: Array) -> Array:
        """As :meth:`restore`; a constant column has its value, whatever was drawn."""
        drawn = np.where(self.constant, 0, rows)
        return self.restore(drawn.astype(rows.dtype, copy=False))


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
    >>> from sklearn_drm.core.rows import Scaling, StandardizedRows
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

    def part(self, rows: Array) -> StandardizedRows:
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
        # In the order in which batches of rows are read.
        return np.ascontiguousarray(scaling.standardize(rows))
    return StandardizedRows(rows, scaling)


def picked(view: Rows, numbers: Array) -> Array:
    """Rows of a view, read.

    Parameters
    ----------
    view : ndarray or StandardizedRows
        The view.
    numbers : ndarray of int
        Which rows.

    Returns
    -------
    ndarray
        ``view[numbers]``, by the faster ``take`` where that does not copy the view.
    """
    if isinstance(view, np.ndarray) and view.flags.c_contiguous:
        return view.take(numbers, axis=0)
    return view[numbers]


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


def _block_average(
    rows: Rows, weight: Array | None, function: Callable[[Array], Array]
) -> Array:
    """Weighted mean over rows of a function of blocks of them, in float64."""
    total = np.zeros(rows.shape[1])
    for block in blocks(*rows.shape):
        values = function(rows[block].astype(np.float64))
        total += values.sum(axis=0) if weight is None else weight[block] @ values
    mass = len(rows) if weight is None else weight.sum(dtype=np.float64)
    result: Array = total / mass
    return result
