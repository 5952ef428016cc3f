"""What the displays share: matplotlib on demand, and the parts of an estimator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_drm.core.units import Array

__all__ = ["View", "as_images", "check_image_shape", "inner_regressor", "pyplot"]


def pyplot(display: Any) -> Any:
    """matplotlib.pyplot.

    Raises
    ------
    ImportError
        Where matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{type(display).__name__}.plot needs matplotlib: pip install matplotlib."
        ) from error
    return plt


def inner_regressor(estimator: Any) -> Any:
    """The fitted two-way regressor inside a TwoViewRegressor, or the estimator.

    Raises
    ------
    TypeError
        If it is not a two-way model with ``predictors_``.
    """
    check_is_fitted(estimator)
    regressor = getattr(estimator, "regressor_", estimator)
    if not hasattr(regressor, "predictors_"):
        raise TypeError(
            "the display needs a fitted GGDRMRegressor, or a TwoViewRegressor around "
            f"one; got {type(regressor).__name__}."
        )
    return regressor


@dataclass(frozen=True)
class View:
    """One view of a fitted estimator: its way back to the original space."""

    scaling: Any
    transformer: Any
    shape: tuple[int, ...]

    @classmethod
    def of(cls, estimator: Any, name: str) -> View:
        """View ``"x"`` or ``"y"`` of an estimator."""
        regressor = inner_regressor(estimator)
        scaling = getattr(regressor.model_, f"{name}_scaling")
        # Binary units stand for the ends of each column's range.
        scaling = getattr(regressor, f"_{name}_range", scaling)
        shape = getattr(estimator, f"{name}_shape_", scaling.location.shape)
        return cls(scaling, getattr(estimator, f"{name}_transformer_", None), shape)

    def original(self, rows: Array) -> Array:
        """Standardised rows (n, d) in the space passed to ``fit``, (n, values)."""
        values: Array = self.scaling.restore(rows)
        if self.transformer is not None:
            values = np.asarray(self.transformer.inverse_transform(values))
        return values.reshape(len(rows), -1)


def check_image_shape(
    shape: Sequence[int] | None, row_shape: tuple[int, ...], n_values: int, name: str
) -> tuple[int, ...] | None:
    """Height and width of the pictures of a view; None: the view is no image.

    Raises
    ------
    ValueError
        If the shape given does not have as many pixels as a row has values.
    """
    if shape is None:
        # A stack (frames, H, W) is shown by its central frame.
        is_image = len(row_shape) in (2, 3) and math.prod(row_shape) == n_values
        return tuple(row_shape) if is_image else None
    shape = tuple(int(size) for size in shape)
    if len(shape) not in (2, 3) or math.prod(shape) != n_values:
        raise ValueError(
            f"{name}={shape} does not fit rows of {n_values} values: give "
            "(height, width) or (frames, height, width) of the original view."
        )
    return shape


def as_images(rows: Array, shape: tuple[int, ...]) -> Array:
    """Rows (n, values) as images (n, H, W): the central frame of a stack."""
    images = rows.reshape(len(rows), *shape)
    return images[:, shape[0] // 2] if len(shape) == 3 else images
