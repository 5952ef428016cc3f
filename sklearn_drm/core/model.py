"""A trained chain together with the scaling of its views."""

from __future__ import annotations

from dataclasses import dataclass

from sklearn_drm.core import chain as chains
from sklearn_drm.core.rows import Scaling
from sklearn_drm.core.units import Array

__all__ = ["RelationalModel", "mirror"]


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
