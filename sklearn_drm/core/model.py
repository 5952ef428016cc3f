"""A trained chain together with the scaling of its views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sklearn_drm.core import chain as chains
from sklearn_drm.core.rows import blocks
from sklearn_drm.core.units import Array

__all__ = ["RelationalModel", "Scaling", "mirror"]


@dataclass(frozen=True)
class Scaling:
    """Affine map between a view as given and as the chain sees it.

    Parameters
    ----------
    location, scale : ndarray of shape (n_units,)
        Training mean and standard deviation; scale is 1 for a constant column.
    constant : ndarray of bool of shape (n_units,)
        Columns that had one value in training; predicted as that value.
    """

    location: Array
    scale: Array
    constant: Array

    @classmethod
    def from_rows(cls, rows: Array, weight: Array | None = None) -> Scaling:
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
        if not (np.isfinite(location).all() and np.isfinite(variance).all()):
            column = int(np.argmin(np.isfinite(location) & np.isfinite(variance)))
            raise ValueError(
                f"Column {column} holds values too large to standardise; divide it "
                "by a constant first."
            )
        scale = np.sqrt(variance)
        # Below this a column is constant up to rounding.
        smallest = 10 * np.finfo(np.float64).eps * np.abs(location)
        constant = scale <= smallest
        scale[constant] = 1.0
        return cls(location, scale, constant)

    def standardize(self, rows: Array) -> Array:
        """(rows − location)/scale, in the data type of the rows."""
        # Taking the location off in two parts keeps columns with a large mean exact
        # in float32, without a copy in float64.
        high = self.location.astype(rows.dtype)
        result: Array = rows - high
        if rows.dtype != self.location.dtype:
            result -= (self.location - high).astype(rows.dtype)
        result /= self.scale.astype(rows.dtype)
        return result

    def restore(self, rows: Array) -> Array:
        """rows · scale + location, in the data type of the rows."""
        result: Array = rows * self.scale.astype(rows.dtype)
        result += self.location.astype(rows.dtype)
        return result


def _block_average(
    rows: Array, weight: Array | None, function: Callable[[Array], Array]
) -> Array:
    """Weighted mean over rows of a function of blocks of them, in float64."""
    total = np.zeros(rows.shape[1])
    for block in blocks(*rows.shape):
        values = function(rows[block].astype(np.float64))
        total += values.sum(axis=0) if weight is None else weight[block] @ values
    mass = len(rows) if weight is None else weight.sum(dtype=np.float64)
    result: Array = total / mass
    return result


@dataclass(frozen=True)
class RelationalModel:
    """A Deep Relational Model over two views in their own units.

    Parameters
    ----------
    chain : Chain
        The chain over the standardised views.
    x_scaling, y_scaling : Scaling
        How the views were standardised.
    means : tuple of ndarray, each of shape (J_l,)
        Average posterior means of the hidden layers, where inference starts.
    """

    chain: chains.Chain
    x_scaling: Scaling
    y_scaling: Scaling
    means: tuple[Array, ...]

    @property
    def weights(self) -> tuple[Array, ...]:
        """Connections, ``weights[l]`` of shape (n_l, n_{l+1})."""
        return self.chain.weights

    @property
    def biases(self) -> tuple[Array, ...]:
        """Biases of every layer, x first, y last."""
        return self.chain.biases

    @property
    def log_variance_x(self) -> Array:
        """z = log σ² of the standardised x."""
        return self.chain.x.parameters["log_variance"]

    @property
    def log_variance_y(self) -> Array:
        """z = log σ² of the standardised y."""
        return self.chain.y.parameters["log_variance"]

    @property
    def x_scale(self) -> Array:
        """Training standard deviations of x."""
        return self.x_scaling.scale

    @property
    def y_scale(self) -> Array:
        """Training standard deviations of y."""
        return self.y_scaling.scale


def mirror(model: RelationalModel) -> RelationalModel:
    """The same model with its views swapped; arrays are shared.

    Parameters
    ----------
    model : RelationalModel
        Any model.

    Returns
    -------
    RelationalModel
        ``mirror(mirror(model))`` equals the model.
    """
    return RelationalModel(
        chains.mirror(model.chain),
        model.y_scaling,
        model.x_scaling,
        model.means[::-1],
    )
