"""One view of a fitted two-view model: to the regressor's rows and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import check_array

from sklearn_drm.views import (
    FLOATS,
    check_names,
    column_names,
    rows_of,
    trailing_shape,
)

__all__: list[str] = []


@dataclass(frozen=True)
class FittedView:
    """A view's fitted transformer and what its rows looked like in ``fit``.

    Attributes
    ----------
    name : {"x", "y"}
    transformer : transformer or None
        None: the view goes to the regressor as it is.
    shape : tuple of int
        Shape of one row as passed to ``fit``; ``()`` for a 1-D y.
    names : ndarray of shape (n_columns,) or None
        Column names of a data frame.
    ravelled : bool
        Whether the regressor sees the single column as a 1-D array.
    """

    name: str
    transformer: Any
    shape: tuple[int, ...]
    names: NDArray[np.object_] | None = None
    ravelled: bool = False

    @property
    def width(self) -> int:
        """Number of values in one row."""
        return math.prod(self.shape)

    def rows(self, view: Any, owner: Any) -> NDArray[Any]:
        """Rows for the regressor, (n, n_columns), or (n,) where it was fitted so.

        Raises
        ------
        ValueError
            If the view has another width, rows of another shape or other column names
            than in ``fit``.
        """
        table = as_table(view, self.name, self.transformer, owner)
        width = math.prod(table.shape[1:])
        found = trailing_shape(rows_of(view))
        if len(found) > 1 and len(self.shape) > 1 and found != self.shape:
            raise ValueError(
                f"{self.name} has rows of shape {found}, but {type(owner).__name__} "
                f"was fitted with rows of shape {self.shape}."
            )
        # A 1-D X can only be something for its transformer to judge.
        if width != self.width and (len(table.shape) > 1 or self.name == "y"):
            raise ValueError(
                f"{self.name} has {width} features, but {type(owner).__name__} is "
                f"expecting {self.width} features as input."
            )
        check_names(view, self.names, self.name)
        if self.transformer is not None:
            transformed = self.transformer.transform(table)
            table = check_transformed(transformed, table.shape[0], self.name, owner)
        shape = (-1,) if self.ravelled else (table.shape[0], -1)
        return np.reshape(table, shape)

    def original(self, rows: Any) -> NDArray[Any]:
        """Rows from the regressor, (..., n_columns), back in the original space.

        Raises
        ------
        TypeError
            If the transformer has no ``inverse_transform``.
        """
        rows = np.asarray(rows)
        if self.ravelled or rows.ndim == 1:
            rows = rows[..., np.newaxis]
        leading = rows.shape[:-1]
        view = self._inverse(rows.reshape(-1, rows.shape[-1]))
        return np.reshape(view, leading + self._shape_of(view))

    def original_std(self, mean: Any, std: Any) -> NDArray[Any]:
        """Standard deviations, (n, n_columns) or (n,), in the original space.

        Raises
        ------
        ValueError
            If the transformer's inverse is not affine around the predictions.
        """
        std = np.asarray(std)
        columns = std.reshape(len(std), -1)
        if self.transformer is None:
            return np.reshape(std, (len(std), *self.shape))
        mean = np.asarray(mean).reshape(columns.shape)
        affine = affine_map(self._inverse, mean, columns)
        if affine is None:
            raise ValueError(
                f"return_std in the original space needs an affine inverse, and that "
                f"of {self.name}_transformer ({type(self.transformer).__name__}) is "
                "not: pass space='transformed' for standard deviations before it."
            )
        spread = np.asarray(affine.propagate_std(columns), dtype=std.dtype)
        return spread.reshape((len(std), *self._shape_of(spread)))

    def _inverse(self, rows: NDArray[Any]) -> NDArray[Any]:
        if self.transformer is None:
            return rows
        if not hasattr(self.transformer, "inverse_transform"):
            raise TypeError(
                f"{self.name}_transformer ({type(self.transformer).__name__}) has no "
                "inverse_transform, so there is no way back to the original space: "
                "pass space='transformed', or give it an inverse."
            )
        # A copy, since scalers with copy=False work in place.
        return np.asarray(self.transformer.inverse_transform(rows.copy()))

    def _shape_of(self, view: NDArray[Any]) -> tuple[int, ...]:
        """Shape of one row: the one seen in ``fit`` where the values fit in it."""
        found = trailing_shape(view)
        return self.shape if math.prod(found) == self.width else found


def fit_view(
    transformer: Any, view: Any, name: str, owner: Any, memory: Any
) -> tuple[NDArray[Any], FittedView]:
    """Fit a clone of the transformer; rows for the regressor, and the fitted view.

    Parameters
    ----------
    transformer : transformer or None
    view : array-like of shape (n, ...)
    name : {"x", "y"}
    owner : estimator
        Named in error messages.
    memory : joblib.Memory
    """
    shape, names = trailing_shape(rows_of(view)), column_names(view)
    table = as_table(view, name, transformer, owner)
    if transformer is None:
        return table, FittedView(name, None, shape, names, ravelled=not shape)
    transformed, fitted = memory.cache(fit_transform)(clone(transformer), table)
    table = check_transformed(transformed, table.shape[0], name, owner)
    ravelled = name == "y" and not shape and table.shape[1] == 1
    rows = table.ravel() if ravelled else table
    return rows, FittedView(name, fitted, shape, names, ravelled)


def as_table(view: Any, name: str, transformer: Any, owner: Any) -> Any:
    """The view as its transformer takes it, or checked where there is none.

    With a transformer only a 1-D y is touched: it becomes a column.
    """
    if transformer is not None:
        view = rows_of(view)
        is_target = name == "y" and len(view.shape) == 1
        return np.asarray(view).reshape(-1, 1) if is_target else view
    return check_array(
        view,
        dtype=FLOATS,
        ensure_2d=name == "x",
        input_name="X" if name == "x" else "y",
        estimator=owner,
    )


def fit_transform(transformer: Any, view: Any) -> tuple[Any, Any]:
    """The transformed view and the transformer, fitted; joblib caches this one."""
    if hasattr(transformer, "fit_transform"):
        return transformer.fit_transform(view), transformer
    return transformer.fit(view).transform(view), transformer


def check_transformed(rows: Any, n_rows: int, name: str, owner: Any) -> NDArray[Any]:
    """The transformed view as a finite float array of shape (n_rows, n_columns)."""
    if getattr(rows, "ndim", 2) == 1:  # FunctionTransformer may drop the axis
        rows = np.asarray(rows).reshape(-1, 1)
    checked: NDArray[Any] = check_array(
        rows, dtype=FLOATS, input_name=f"the transformed {name}", estimator=owner
    )
    if checked.shape[0] != n_rows:
        raise ValueError(
            f"{name}_transformer turned {n_rows} rows into {checked.shape[0]}; "
            "transformers must keep one row per row."
        )
    return checked


@dataclass(frozen=True)
class AffineMap:
    """``z ↦ z @ matrix + offset``, with matrix (n_in, n_out) and offset (n_out,)."""

    matrix: NDArray[Any]
    offset: NDArray[Any]

    def propagate_std(self, std: NDArray[Any]) -> NDArray[Any]:
        """Standard deviations (n, n_out) of the image of uncorrelated errors.

        The k-th output's variance is ``Σ_j matrix[j, k]² std_j²``.
        """
        return cast(NDArray[Any], np.sqrt(np.square(std) @ np.square(self.matrix)))


def affine_map(
    inverse: Callable[[NDArray[Any]], Any],
    mean: NDArray[Any],
    std: NDArray[Any],
    tolerance: float = 1e-5,
) -> AffineMap | None:
    """The affine map that a function on rows is, None where it is not affine.

    Parameters
    ----------
    inverse : callable
        Takes rows (n, d), gives rows of any shape.
    mean, std : ndarray of shape (n, d)
        Predictions, around which the function is tried.
    tolerance : float > 0, default=1e-05
        Departure from the affine map, relative to a column's spread over the trial
        points, that still counts as rounding.

    Notes
    -----
    The map is read off at 0 and at the unit vectors, then compared with the
    function at up to 16 of the predictions, at 3 standard deviations around them,
    and at random points: this finds a logarithm, a clipped range or rounding to
    integers where the predictions go, and misses what happens nowhere near them.
    """
    n_columns = mean.shape[1]
    rng = np.random.default_rng(0)
    mean, std = mean.astype(np.float64), std.astype(np.float64)
    picked = np.unique(np.linspace(0, len(mean) - 1, 16).astype(int))
    step = 3 * std[picked] * rng.choice([-1.0, 1.0], size=(len(picked), n_columns))
    centre, spread = mean[picked], np.abs(mean).max(axis=0) + std.max(axis=0)
    random = spread * rng.standard_normal((16, n_columns))
    trial = np.vstack([centre, centre + step, centre - step, random])
    basis = np.vstack([np.zeros((1, n_columns)), np.eye(n_columns)])
    try:
        image = np.asarray(inverse(np.vstack([basis, trial])))
    except (ValueError, TypeError, ArithmeticError, LookupError):
        return None
    if image.dtype.kind not in "fiu" or not np.all(np.isfinite(image)):
        return None
    image = image.reshape(len(basis) + len(trial), -1).astype(np.float64)
    offset, seen = image[0], image[len(basis) :]
    matrix = image[1 : len(basis)] - offset
    # Column by column: one in small units may bend while another is straight.
    allowed = tolerance * np.abs(seen - offset).max(axis=0)
    summands = np.abs(trial) @ (np.abs(matrix) + np.abs(offset)) + np.abs(offset)
    allowed += 64 * np.finfo(np.float64).eps * summands.max(axis=0)
    if (np.abs(trial @ matrix + offset - seen).max(axis=0) > allowed).any():
        return None
    return AffineMap(matrix, offset)
