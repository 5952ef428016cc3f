"""One direction of a fitted model: standardised input to standardised output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sklearn_drm.core.chain import Chain
from sklearn_drm.core.mean_field import Method, hidden_means
from sklearn_drm.core.units import Array

__all__ = ["MeanFieldInference", "Predictor"]


@dataclass(frozen=True)
class MeanFieldInference:
    """Means of the last hidden layer by mean field with y free.

    Parameters
    ----------
    chain : Chain
        The model; mirrored for the other direction.
    initial : tuple of ndarray, each of shape (J_l,)
        Where inference starts.
    n_iter : int
        Sweeps. A model fine-tuned for a number of sweeps is good at that number
        only, so it is kept here.
    damping : float in [0, 1)
        Share of the old value kept in the last hidden layer.
    method : {"collapsed", "naive"}
        Treatment of the free view.
    """

    chain: Chain
    initial: tuple[Array, ...]
    n_iter: int
    damping: float
    method: Method

    def __call__(self, inputs: Array) -> Array:
        """Means, (n, J_L)."""
        return hidden_means(
            self.chain,
            inputs,
            n_iter=self.n_iter,
            damping=self.damping,
            method=self.method,
            initial=self.initial,
        )[-1]


@dataclass(frozen=True)
class Predictor:
    """Hidden means from the input, and a linear read-out of them.

    Parameters
    ----------
    hidden : callable
        Maps standardised input (n, n_in) to means of the last hidden layer (n, J).
    weight : ndarray of shape (J, n_out)
        Read-out.
    bias : ndarray of shape (n_out,)
        Read-out at zero.
    variance : ndarray of shape (n_out,)
        Variance of the output around its mean: the residual variance of a
        fine-tuned predictor, σ² of the chain otherwise.
    hidden_variance : bool
        Whether the variance of the hidden units comes on top of ``variance``.
    """

    hidden: Callable[[Array], Array]
    weight: Array
    bias: Array
    variance: Array
    hidden_variance: bool

    def mean(self, inputs: Array) -> Array:
        """Conditional means, (n, n_out)."""
        output: Array = self.hidden(inputs) @ self.weight
        output += self.bias
        return output

    def variance_given(self, means: Array) -> Array:
        """Variance of the output given hidden means (n, J); (n, n_out)."""
        if self.hidden_variance:
            return self.variance + self.hidden_spread(means)
        return np.broadcast_to(self.variance, (len(means), len(self.variance)))

    def sample(self, inputs: Array, n_samples: int, rng: np.random.Generator) -> Array:
        """Draws of the output, (n_samples, n, n_out).

        Notes
        -----
        The hidden layer is drawn, then the Gaussian output. Where ``variance`` is
        the whole residual variance, the part that the hidden draw contributes is
        taken out of the Gaussian's, and scaled down where it alone is larger.
        """
        means = self.hidden(inputs)
        centre = means @ self.weight + self.bias
        spread = self.hidden_spread(means)
        if self.hidden_variance:
            gain: Array = np.ones_like(spread)
            rest: Array = np.broadcast_to(self.variance, spread.shape)
        else:
            share = np.minimum(spread, self.variance)
            gain = np.sqrt(share / np.where(spread > 0, spread, 1))
            rest = self.variance - share
        deviation = np.sqrt(rest)
        draws = np.empty((n_samples, *centre.shape), dtype=centre.dtype)
        for draw in draws:
            uniform = rng.random(means.shape, dtype=means.dtype)
            binary = (uniform < means).astype(means.dtype)
            draw[:] = ((binary - means) @ self.weight) * gain + centre
            draw += deviation * rng.standard_normal(centre.shape, dtype=centre.dtype)
        return draws

    def hidden_spread(self, means: Array) -> Array:
        """Variance Σ_j W_jk² m_j (1 − m_j) that independent hidden units bring.

        Parameters
        ----------
        means : ndarray of shape (n, J)
            Means of the last hidden layer.

        Returns
        -------
        ndarray of shape (n, n_out)
            Variance of the output.
        """
        result: Array = (means * (1 - means)) @ (self.weight * self.weight)
        return result
