"""First-layer weights of hidden units as images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_drm.core.model import RelationalModel, mirror
from sklearn_drm.core.units import Array, logistic
from sklearn_drm.inspection._parts import (
    View,
    as_images,
    check_image_shape,
    inner_regressor,
    pyplot,
)
from sklearn_drm.learning.feed_forward import FeedForward, unroll

__all__ = ["ReceptiveFieldsDisplay"]


class ReceptiveFieldsDisplay:
    """What drives the first hidden layer, the most important units first.

    It is recommended to use :meth:`from_estimator`.

    Parameters
    ----------
    fields : ndarray of shape (n_units, n_values)
        Change of the view, in the space passed to ``fit``, that drives each unit.
    importances : ndarray of shape (n_units,)
        Share of the variance of the prediction that is lost when the unit is held
        at its mean, descending.
    units : ndarray of int of shape (n_units,)
        Index of each unit in the layer.
    image_shape : tuple of int or None
        Shape of a row; None: fields are drawn as curves.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure drawn in.
    axes_ : ndarray of matplotlib Axes
        One per unit shown.

    Notes
    -----
    A unit's field is its column of the first weight matrix, taken back to the
    original space: ``T⁻¹(μ + s·w/‖w‖) − T⁻¹(μ)``, with μ and s the mean and standard
    deviation of the transformed view. For a view without a transformer that is the
    weight itself in the units of the view, up to a factor.

    A prediction by many mean-field sweeps is looked at through its first sweep.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm import GGDRMRegressor
    >>> from sklearn_drm.inspection import ReceptiveFieldsDisplay
    >>> X = np.random.default_rng(0).normal(size=(200, 6))
    >>> model = GGDRMRegressor(fine_tune_epochs=5, random_state=0).fit(X, X[:, :2])
    >>> display = ReceptiveFieldsDisplay.from_estimator(model, X, plot=False)
    >>> display.fields.shape, bool(np.all(np.diff(display.importances) <= 0))
    ((100, 6), True)
    """

    def __init__(
        self,
        fields: Array,
        importances: Array,
        units: Array,
        image_shape: tuple[int, ...] | None,
    ) -> None:
        self.fields = fields
        self.importances = importances
        self.units = units
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        view: str = "x",
        image_shape: Sequence[int] | None = None,
        n_units: int = 24,
        plot: bool = True,
        axes: Any = None,
    ) -> ReceptiveFieldsDisplay:
        """Sort the units of the layer next to a view by their importance.

        Parameters
        ----------
        estimator : estimator
            Fitted ``GGDRMRegressor`` or classifier of this package, or a
            ``TwoViewRegressor`` around one.
        X : array-like of shape (n, ...)
            Rows of the view, over which importance is measured.
        view : {"x", "y"}, default="x"
            The view that is looked at; the other one is predicted from it.
        image_shape : sequence of int, optional
            ``(height, width)`` of a row, or ``(frames, height, width)``. None: the
            shape that ``fit`` saw.
        n_units : int, default=24
            How many units are drawn.
        plot : bool, default=True
            Whether to draw at once.
        axes : sequence of matplotlib Axes, optional
            As in :meth:`plot`.

        Returns
        -------
        ReceptiveFieldsDisplay
            The display, with all units.

        Raises
        ------
        ValueError
            If ``view`` is neither, or the image shape does not fit.
        TypeError
            If the estimator is not a two-way model.
        """
        if view not in ("x", "y"):
            raise ValueError(f"view must be 'x' or 'y'; got {view!r}.")
        regressor = inner_regressor(estimator)
        predictor = regressor.predictors_["y" if view == "x" else "x"]
        model = regressor.model_ if view == "x" else mirror(regressor.model_)
        network = _as_network(predictor, model)
        read_out = getattr(predictor, "weight", network.weights[-1])
        if estimator is not regressor:
            X = getattr(estimator, f"_{view}_rows")(X)
        rows = getattr(regressor, f"_check_{view}")(X)
        importances = _importances(network, read_out, rows)
        order = np.argsort(-importances, kind="stable")
        place = View.of(estimator, view)
        weights = network.weights[0].T
        norms = np.linalg.norm(weights, axis=1, keepdims=True)
        directions = weights / np.where(norms > 0, norms, 1)
        origin = place.original(np.zeros_like(directions[:1]))
        fields = (place.original(directions) - origin)[order]
        shape = check_image_shape(
            image_shape, place.shape, fields.shape[1], "image_shape"
        )
        display = cls(fields, importances[order], order, shape)
        return display.plot(axes=axes, n_units=n_units) if plot else display

    def plot(
        self, *, axes: Any = None, n_units: int = 24, cmap: str = "RdBu_r"
    ) -> ReceptiveFieldsDisplay:
        """Draw the fields.

        Parameters
        ----------
        axes : sequence of matplotlib Axes, optional
            As many as units are to be drawn; None: a new figure.
        n_units : int, default=24
            How many units, without ``axes``.
        cmap : str, default="RdBu_r"
            Colour map, centred on zero; each unit has a scale of its own, since the
            sign and size of a unit's weights are arbitrary.

        Returns
        -------
        ReceptiveFieldsDisplay
            The display.

        Raises
        ------
        ValueError
            If ``n_units`` is not positive.
        ImportError
            If matplotlib is not installed.
        """
        plt = pyplot(self)
        if n_units < 1:
            raise ValueError(f"n_units must be at least 1; got {n_units!r}.")
        if axes is None:
            count = min(n_units, len(self.fields))
            columns = min(8, count)
            lines = math.ceil(count / columns)
            figure, grid = plt.subplots(
                lines, columns, figsize=(1.25 * columns, 1.45 * lines), squeeze=False,
                layout="constrained",
            )  # fmt: skip
            for spare in grid.ravel()[count:]:
                spare.set_axis_off()
            axes = grid.ravel()[:count]
        self.axes_ = np.ravel(np.asarray(axes, dtype=object))
        self.figure_ = self.axes_[0].figure
        for axis, field, unit, share in zip(
            self.axes_, self.fields, self.units, self.importances, strict=False
        ):
            if self.image_shape is None:
                axis.plot(field, color="tab:blue")
                axis.axhline(0, color="0.7", linewidth=0.8, zorder=0)
            else:
                image = as_images(field[None], self.image_shape)[0]
                limit = float(np.abs(image).max()) or 1.0
                axis.imshow(image, cmap=cmap, vmin=-limit, vmax=limit)
            axis.set(xticks=[], yticks=[])
            axis.set_title(f"{unit}: {100 * share:.1f} %", fontsize=8)
        return self


def _as_network(predictor: Any, model: RelationalModel) -> FeedForward:
    hidden = getattr(predictor, "hidden", None)
    if isinstance(hidden, FeedForward):
        return hidden
    return unroll(model.chain, model.means)


def _importances(network: FeedForward, read_out: Array, rows: Array) -> Array:
    """Mean squared change of the output without a unit, over its variance."""
    first = logistic(rows @ network.weights[0], network.biases[0])

    def output(hidden: Array) -> Array:
        layers = zip(network.weights[1:-1], network.biases[1:-1], strict=True)
        for weight, bias in layers:
            hidden = logistic(hidden @ weight, bias)
        result: Array = hidden @ read_out
        return result

    whole = output(first)
    variance = float(whole.var(axis=0).sum()) or 1.0
    means = first.mean(axis=0)
    losses = np.empty(first.shape[1])
    for unit in range(first.shape[1]):
        held = first.copy()
        held[:, unit] = means[unit]
        losses[unit] = np.square(output(held) - whole).sum(axis=1).mean()
    return losses / variance
