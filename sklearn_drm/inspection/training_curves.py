"""Loss and held-out scores of a fit, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_drm.inspection._parts import inner_regressor, pyplot

__all__ = ["TrainingCurvesDisplay"]

_LABELS = {
    "pretrain": "pre-training",
    "y": "fine-tuning x → y",
    "x": "fine-tuning y → x",
    "joint": "fine-tuning both ways",
}


class TrainingCurvesDisplay:
    """Loss of every phase, and held-out R² of both directions.

    A dotted line marks where the held-out rows are learned from as well.

    It is recommended to use :meth:`from_estimator` to create one.

    Parameters
    ----------
    loss_curve : mapping of str to sequence of float
        Loss per epoch of each phase, as ``loss_curve_``.
    validation_scores : mapping of str to sequence of float
        Held-out R² per epoch of ``"y"`` and ``"x"``, as ``validation_scores_``;
        may be empty.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure drawn in.
    axes_ : ndarray of matplotlib Axes of shape (n_phases,) or (n_phases + 1,)
        One per phase, and one for the scores where there are any.

    See Also
    --------
    sklearn.model_selection.LearningCurveDisplay : Scores by number of rows.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm import GGDRMRegressor
    >>> from sklearn_drm.inspection import TrainingCurvesDisplay
    >>> X = np.random.default_rng(0).normal(size=(600, 3))
    >>> model = GGDRMRegressor(fine_tune_epochs=5, random_state=0).fit(X, 2 * X[:, :2])
    >>> display = TrainingCurvesDisplay.from_estimator(model, plot=False)
    >>> sorted(display.loss_curve), len(display.validation_scores["y"])
    (['pretrain', 'x', 'y'], 3)
    """

    def __init__(
        self,
        loss_curve: Mapping[str, Sequence[float]],
        validation_scores: Mapping[str, Sequence[float]],
    ) -> None:
        self.loss_curve = dict(loss_curve)
        self.validation_scores = dict(validation_scores)

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, plot: bool = True, axes: Any = None
    ) -> TrainingCurvesDisplay:
        """Take the curves of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            Fitted ``GGDRMRegressor``, or a ``TwoViewRegressor`` around one.
        plot : bool, default=True
            Whether to draw at once.
        axes : sequence of matplotlib Axes, optional
            As in :meth:`plot`.

        Returns
        -------
        TrainingCurvesDisplay
            The display.

        Raises
        ------
        TypeError
            If the estimator is not a two-way model.
        """
        check_is_fitted(estimator)
        regressor = inner_regressor(estimator)
        display = cls(regressor.loss_curve_, regressor.validation_scores_)
        return display.plot(axes=axes) if plot else display

    def plot(self, *, axes: Any = None) -> TrainingCurvesDisplay:
        """Draw the curves.

        Parameters
        ----------
        axes : sequence of matplotlib Axes, optional
            One per phase, and one more where there are scores; None: a new figure.

        Returns
        -------
        TrainingCurvesDisplay
            The display.

        Raises
        ------
        ValueError
            If the number of axes is another one, or there is nothing to draw.
        ImportError
            If matplotlib is not installed.
        """
        plt = pyplot(self)
        phases = {name: curve for name, curve in self.loss_curve.items() if len(curve)}
        scores = {
            view: values for view, values in self.validation_scores.items() if values
        }
        n_panels = len(phases) + bool(scores)
        if not n_panels:
            raise ValueError("the estimator was fitted for no epoch: nothing to draw.")
        if axes is None:
            _, axes = plt.subplots(
                1, n_panels, figsize=(3.4 * n_panels, 3.0), layout="constrained",
                squeeze=False,
            )  # fmt: skip
        self.axes_ = np.ravel(np.asarray(axes, dtype=object))
        if len(self.axes_) != n_panels:
            raise ValueError(
                f"{n_panels} axes are needed, one per phase"
                f"{' and one for the scores' if scores else ''}; got "
                f"{len(self.axes_)}."
            )
        self.figure_ = self.axes_[0].figure
        for axis, (name, curve) in zip(self.axes_, phases.items(), strict=False):
            # One epoch, the default of pre-training, is a point and no line.
            one = {"marker": "o"} if len(curve) == 1 else {}
            axis.plot(np.arange(1, len(curve) + 1), curve, color="tab:gray", **one)
            axis.set(title=_LABELS.get(name, name), xlabel="epoch", ylabel="loss")
            n_scored = len(scores.get("y" if name == "joint" else name, ()))
            if 0 < n_scored < len(curve):
                axis.axvline(
                    n_scored + 0.5, color="tab:gray", linestyle=":", linewidth=1.0
                )
                axis.text(
                    n_scored + 0.5, 0.97, " all rows", va="top", fontsize="small",
                    transform=axis.get_xaxis_transform(),
                )  # fmt: skip
        if scores:
            axis = self.axes_[-1]
            for view, colour in (("y", "tab:blue"), ("x", "tab:orange")):
                values = np.asarray(scores.get(view, ()))
                if not values.size:
                    continue
                best = int(values.argmax())
                label = "x → y" if view == "y" else "y → x"
                axis.plot(
                    np.arange(1, len(values) + 1), values, color=colour,
                    label=f"{label}: best {values[best]:.3f}",
                )  # fmt: skip
                axis.plot(best + 1, values[best], "o", color=colour)
            axis.set(title="held-out rows", xlabel="epoch", ylabel="R²")
            axis.legend()
        for axis in self.axes_:
            low, high = axis.get_xlim()
            axis.set_xlim(min(low, 0.5), max(high, 1.5))
            axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        return self
