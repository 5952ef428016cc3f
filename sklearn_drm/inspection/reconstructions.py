"""Predictions beside the originals, in each direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from sklearn_drm.core.units import Array
from sklearn_drm.inspection._parts import as_images, check_image_shape, pyplot
from sklearn_drm.views import rows_of, trailing_shape

__all__ = ["ReconstructionDisplay"]


class ReconstructionDisplay:
    """Some rows of each view: the original, and what the other view predicts of it.

    It is recommended to use :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    panels : dict of str to ndarray of shape (n_rows, n_values)
        Rows by title, drawn below each other in this order.
    image_shapes : dict of str to tuple of int, or None
        Shape of a row of each panel; None: a curve is drawn.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure drawn in.
    axes_ : ndarray of matplotlib Axes of shape (n_panels, n_rows)
        One line per panel, one column per row of the data.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.inspection import ReconstructionDisplay
    >>> images = np.random.default_rng(0).random((5, 4, 4))
    >>> display = ReconstructionDisplay.from_predictions(
    ...     images, 0.9 * images, name="lips", plot=False)
    >>> list(display.panels), display.image_shapes["lips"]
    (['lips', 'lips, predicted'], (4, 4))
    """

    def __init__(
        self,
        panels: dict[str, Array],
        image_shapes: dict[str, tuple[int, ...] | None],
    ) -> None:
        self.panels = panels
        self.image_shapes = image_shapes

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        n_rows: int = 8,
        image_shape: Sequence[int] | None = None,
        y_image_shape: Sequence[int] | None = None,
        show_std: bool = False,
        plot: bool = True,
        axes: Any = None,
    ) -> ReconstructionDisplay:
        """Predict each view from the other and show both beside the originals.

        Parameters
        ----------
        estimator : estimator
            Fitted, with ``predict_y`` (or ``predict``), and ``predict_x`` for the
            other direction.
        X, y : array-like of shape (n, ...)
            Paired rows as passed to ``fit``.
        n_rows : int, default=8
            How many rows are shown, spread evenly over those given.
        image_shape, y_image_shape : sequence of int, optional
            ``(height, width)`` of the rows of X and of y, or ``(frames, height,
            width)``, of which the central frame is shown. None: as the rows come,
            and tables are drawn as curves.
        show_std : bool, default=False
            Whether to add a line with the predicted standard deviations.
        plot : bool, default=True
            Whether to draw at once.
        axes : array of matplotlib Axes, optional
            As in :meth:`plot`.

        Returns
        -------
        ReconstructionDisplay
            The display.

        Raises
        ------
        ValueError
            If an image shape does not fit, rows do not match, or ``n_rows`` is not
            positive.
        TypeError
            If the estimator is a classifier.
        """
        check_is_fitted(estimator)
        if n_rows < 1:
            raise ValueError(f"n_rows must be at least 1; got {n_rows!r}.")
        if is_classifier(estimator):
            raise TypeError(
                "labels are no reconstruction: draw the prototypes, "
                "estimator.predict_x(labels), by from_predictions."
            )
        X, y = rows_of(X), rows_of(y)
        check_consistent_length(X, y)
        chosen = np.unique(np.linspace(0, len(X) - 1, min(n_rows, len(X))).astype(int))
        # A data frame stays one: estimators look at the names of its columns.
        X, y = (getattr(view, "iloc", view)[chosen] for view in (X, y))
        options = {"return_std": True} if show_std else {}
        shown = cls({}, {})
        forward = getattr(estimator, "predict_y", estimator.predict)
        ways = [("y", y, forward, X, y_image_shape)]
        if hasattr(estimator, "predict_x"):
            ways.insert(0, ("x", X, estimator.predict_x, y, image_shape))
        for name, truth, predict, source, shape in ways:
            predicted = predict(source, **options)
            std = None
            if show_std:
                predicted, std = predicted
            shown._add(name, np.asarray(truth), predicted, std, shape)
        return shown.plot(axes=axes) if plot else shown

    @classmethod
    def from_predictions(
        cls,
        true: Any,
        predicted: Any,
        *,
        std: Any = None,
        name: str = "view",
        image_shape: Sequence[int] | None = None,
        plot: bool = True,
        axes: Any = None,
    ) -> ReconstructionDisplay:
        """Show rows of one view beside predictions made elsewhere.

        Parameters
        ----------
        true, predicted : array-like of shape (n, ...)
            Rows of one view.
        std : array-like of shape (n, ...), optional
            Standard deviations of the predictions.
        name : str, default="view"
            Title of the view.
        image_shape : sequence of int, optional
            As in :meth:`from_estimator`.
        plot : bool, default=True
            Whether to draw at once.
        axes : array of matplotlib Axes, optional
            As in :meth:`plot`.

        Returns
        -------
        ReconstructionDisplay
            The display.

        Raises
        ------
        ValueError
            If the image shape does not fit or rows do not match.
        """
        display = cls({}, {})
        display._add(name, np.asarray(true), predicted, std, image_shape)
        return display.plot(axes=axes) if plot else display

    def _add(
        self, name: str, true: Array, predicted: Any, std: Any, shape: Any
    ) -> None:
        check_consistent_length(true, predicted)
        flat = true.reshape(len(true), -1)
        option = "y_image_shape" if name == "y" else "image_shape"
        shape = check_image_shape(shape, trailing_shape(true), flat.shape[1], option)
        parts = {name: flat, f"{name}, predicted": predicted}
        if std is not None:
            parts[f"{name}, std"] = std
        for title, rows in parts.items():
            values = np.asarray(rows, dtype=np.float64).reshape(len(true), -1)
            if values.shape != flat.shape:
                raise ValueError(
                    f"{title} has {values.shape[1]} values in a row, but the original "
                    f"has {flat.shape[1]}."
                )
            self.panels[title] = values
            self.image_shapes[title] = shape

    def plot(self, *, axes: Any = None, cmap: str = "gray") -> ReconstructionDisplay:
        """Draw the rows.

        Parameters
        ----------
        axes : array of matplotlib Axes of shape (n_panels, n_rows), optional
            None: a new figure.
        cmap : str, default="gray"
            Colour map of images. An original and its prediction share one scale.

        Returns
        -------
        ReconstructionDisplay
            The display.

        Raises
        ------
        ValueError
            If there are not as many axes as panels × rows.
        ImportError
            If matplotlib is not installed.
        """
        plt = pyplot(self)
        n_rows = len(next(iter(self.panels.values())))
        shape = (len(self.panels), n_rows)
        if axes is None:
            size = (1.1 * n_rows + 1.0, 1.15 * len(self.panels) + 0.2)
            _, axes = plt.subplots(
                *shape, figsize=size, squeeze=False, layout="constrained"
            )
        axes = np.asarray(axes, dtype=object)
        if axes.size != shape[0] * shape[1]:
            raise ValueError(f"axes of shape {shape} are needed; got {axes.shape}.")
        self.axes_ = axes.reshape(shape)
        self.figure_ = self.axes_[0, 0].figure
        for line, (title, rows) in zip(self.axes_, self.panels.items(), strict=True):
            # Standard deviations are another quantity: a scale of their own.
            original = title.removesuffix(", std")
            is_std = original != title and original in self.panels
            original = title.removesuffix(", predicted")
            scale = rows if is_std else self.panels.get(original, rows)
            low, high = (0.0 if is_std else float(scale.min())), float(scale.max())
            image_shape = self.image_shapes[title]
            for index, axis in enumerate(line):
                if image_shape is not None:
                    image = as_images(rows[index : index + 1], image_shape)[0]
                    colours = "magma" if is_std else cmap
                    axis.imshow(image, cmap=colours, vmin=low, vmax=high)
                elif rows.shape[1] == 1:
                    axis.bar([0], rows[index])
                    axis.set_ylim(min(low, 0.0), max(high, 0.0))
                else:
                    axis.plot(rows[index], color="tab:red" if is_std else "tab:blue")
                    margin = 0.05 * (high - low) or 1.0
                    axis.set_ylim(low - margin, high + margin)
                axis.set(xticks=[], yticks=[])
            line[0].set_ylabel(
                title.replace(", ", "\n"), rotation=0, ha="right", va="center"
            )
        return self
