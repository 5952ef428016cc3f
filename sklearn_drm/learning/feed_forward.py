"""One direction of a chain, unrolled into a feed-forward network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from sklearn_drm.core.chain import Chain
from sklearn_drm.core.draws import random_integers
from sklearn_drm.core.mean_field import self_energy
from sklearn_drm.core.units import Array, Units, logistic

__all__ = ["FeedForward", "dropout_factor", "forward", "gradient", "unroll"]


@dataclass(frozen=True)
class FeedForward:
    """Logistic hidden layers and a linear output, in one flat vector.

    Parameters
    ----------
    vector : ndarray of shape (n_parameters,)
        All parameters.
    weights : tuple of ndarray, ``weights[l]`` of shape (n_l, n_{l+1})
        Views of the vector.
    biases : tuple of ndarray, ``biases[l]`` of shape (n_{l+1},)
        Views of the vector.
    """

    vector: Array
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]

    @classmethod
    def bind(cls, vector: Array, sizes: Sequence[int]) -> FeedForward:
        """Lay a network of the given layer sizes over a vector."""
        weights, biases, position = [], [], 0
        for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
            end = position + n_in * n_out
            weights.append(vector[position:end].reshape(n_in, n_out))
            biases.append(vector[end : end + n_out])
            position = end + n_out
        return cls(vector, tuple(weights), tuple(biases))

    # Not __reduce__, which skops does not follow.
    def __getstate__(self) -> dict[str, Any]:
        return {"vector": self.vector, "sizes": self.sizes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Views of one vector stay views of one vector.
        self.__dict__.update(FeedForward.bind(state["vector"], state["sizes"]).__dict__)

    def __call__(self, x: Array) -> Array:
        """Means of the last hidden layer, (n, J_L)."""
        hidden = x
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            activation = hidden @ weight
            hidden = logistic(activation, bias, out=activation)
        return hidden

    @property
    def sizes(self) -> list[int]:
        """Units per layer, input first."""
        return [self.weights[0].shape[0], *(bias.size for bias in self.biases)]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Shapes of the layers in the vector: weights, and the bias as a last row."""
        return [
            (n_in + 1, n_out)
            for n_in, n_out in zip(self.sizes[:-1], self.sizes[1:], strict=True)
        ]

    def read_out(self, columns: Array) -> FeedForward:
        """A copy that has only some of the outputs."""
        sizes = [*self.sizes[:-1], len(columns)]
        parts = []
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            parts += [weight.ravel(), bias]
        parts += [self.weights[-1][:, columns].ravel(), self.biases[-1][columns]]
        return FeedForward.bind(np.concatenate(parts), sizes)

    def zeros_like(self) -> FeedForward:
        """The same layout, all zero."""
        return FeedForward.bind(np.zeros_like(self.vector), self.sizes)


def unroll(chain: Chain, means: Sequence[Array]) -> FeedForward:
    r"""Network equal to one bottom-up sweep of collapsed mean field.

    Parameters
    ----------
    chain : Chain
        Any chain; to predict x from y, pass its mirror.
    means : sequence of ndarray, each of shape (J_l,)
        Means of the hidden layers from which the sweep starts; what a layer hears
        from above is constant in one sweep and goes into its bias.

    Returns
    -------
    FeedForward
        Its output is the field of y, bias included; for Gaussian y it equals
        ``mean_field(chain, x, n_iter=1, damping=0, initial=means).y_mean``.
    """
    sizes = [layer.n_units for layer in chain.units]
    n_parameters = sum((a + 1) * b for a, b in zip(sizes[:-1], sizes[1:], strict=True))
    network = FeedForward.bind(
        np.empty(n_parameters, dtype=chain.weights[0].dtype), sizes
    )
    for index, weight in enumerate(chain.weights):
        network.weights[index][...] = weight
        network.biases[index][...] = chain.units[index + 1].bias
        if 0 < index + 1 < len(means):
            network.biases[index][...] += chain.weights[index + 1] @ means[index + 1]
    # The coupling of x is linear: read it off the unit vectors.
    scale = np.diag(chain.x.coupling(np.eye(sizes[0], dtype=network.vector.dtype)))
    network.weights[0][...] *= scale[:, None]
    top, last = means[-1], chain.weights[-1]
    expected = chain.y.coupling(chain.y.mean((top @ last)[None, :]))[0]
    network.biases[-2][...] += last @ expected + self_energy(chain) * (0.5 - top)
    return network


def forward(network: FeedForward, x: Array) -> tuple[Array, Array]:
    """Outputs and last hidden means.

    Parameters
    ----------
    network : FeedForward
        The network.
    x : ndarray of shape (n, n_in)
        Input.

    Returns
    -------
    output : ndarray of shape (n, n_out)
        Prediction.
    hidden : ndarray of shape (n, J_L)
        Activations of the last hidden layer.
    """
    hidden = network(x)
    output = hidden @ network.weights[-1]
    output += network.biases[-1]
    return output, hidden


def gradient(
    network: FeedForward,
    x: Array,
    y: Array,
    weight: Array | None,
    out: FeedForward,
    *,
    link: Units | None = None,
    dropout: float = 0.0,
    input_dropout: float = 0.0,
    rng: np.random.Generator | None = None,
) -> float:
    r"""Gradient of the squared error, or of a cross-entropy, written to ``out``.

    Parameters
    ----------
    network : FeedForward
        The network.
    x : ndarray of shape (n, n_in)
        Input.
    y : ndarray of shape (n, n_out)
        Target.
    weight : ndarray of shape (n,) or None
        Row weights of sum 1; None: equal.
    out : FeedForward
        Same layout; overwritten with the gradient of −loss (the ascent direction).
    link : Units, optional
        Output units with zero biases, to which the output is the field; by default
        Gaussian ones of variance 1.
    dropout : float in [0, 1), default=0.0
        Share of hidden means set to zero, the others scaled by 1/(1 − dropout).
    input_dropout : float in [0, 1), default=0.0
        The same for the input.
    rng : numpy.random.Generator, optional
        Needed with dropout.

    Returns
    -------
    float
        Loss ½ Σ_n w_n ‖y_n − ŷ_n‖², or with a link −Σ_n w_n log p(y_n | field_n).
    """
    if input_dropout:
        x = x * dropout_factor(x.shape, x.dtype, input_dropout, rng)
    kept: list[Array] = []
    inputs: list[Array] = [x]
    hidden = x
    for layer_weight, bias in zip(
        network.weights[:-1], network.biases[:-1], strict=True
    ):
        activation = hidden @ layer_weight
        hidden = logistic(activation, bias, out=activation)
        # The slope is silenced together with the hidden means that it contains.
        slope = 1 - hidden
        if dropout:
            hidden *= dropout_factor(hidden.shape, hidden.dtype, dropout, rng)
        slope *= hidden
        kept.append(slope)
        inputs.append(hidden)
    error = hidden @ network.weights[-1]
    error += network.biases[-1]
    if link is not None:
        surprise = link.log_normalizer(error)
        surprise -= np.einsum("nk,nk->n", y, error)
        loss = float(surprise.mean() if weight is None else weight @ surprise)
        error = y - link.mean(error)
        error *= 1 / len(x) if weight is None else weight[:, None]
    elif weight is None:
        np.subtract(y, error, out=error)
        loss = 0.5 * float(np.vdot(error, error)) / len(x)
        error *= 1 / len(x)
    else:
        np.subtract(y, error, out=error)
        loss = 0.5 * float(weight @ np.einsum("nk,nk->n", error, error))
        error *= weight[:, None]
    # A product with ones takes half of the time of a sum over rows.
    ones = np.ones(len(x), dtype=error.dtype)
    for index in range(len(network.weights) - 1, -1, -1):
        np.matmul(inputs[index].T, error, out=out.weights[index])
        np.matmul(ones, error, out=out.biases[index])
        if index:
            error = error @ network.weights[index].T
            error *= kept[index - 1]
    return loss


def dropout_factor(
    shape: tuple[int, ...],
    dtype: Any,
    share: float,
    rng: np.random.Generator | None,
) -> Array:
    """Factors that silence a share of values and keep the mean of the rest.

    Parameters
    ----------
    shape : tuple of int
        Shape of the values.
    dtype : dtype
        Type of the factors.
    share : float in [0, 1)
        Probability of a factor of 0, taken to 8 bits where that changes neither it
        nor the rest by more than 2 %, else to 16; the other factors keep the mean.
    rng : numpy.random.Generator or None
        Source of the draws.

    Returns
    -------
    ndarray
        The factors.

    Raises
    ------
    ValueError
        Without a generator.
    """
    if rng is None:
        raise ValueError("Dropout needs a random generator.")
    kind, dropped, gain = _dropped_values(share)
    factor: Array = (random_integers(shape, kind, rng) >= dropped).astype(dtype)
    factor *= gain
    return factor


@lru_cache
def _dropped_values(share: float) -> tuple[str, int, float]:
    """Type of a draw, how many of its values are dropped ones, factor of the others."""
    # Few random bits a value: a fraction of the time of one float each.
    error = abs(round(share * 2**8) / 2**8 - share)
    n_bits = 8 if error <= 0.02 * min(share, 1 - share) else 16
    # The largest share still keeps something, which then stands for all.
    dropped = min(round(share * 2**n_bits), 2**n_bits - 1)
    return f"u{n_bits // 8}", dropped, 2**n_bits / (2**n_bits - dropped)
