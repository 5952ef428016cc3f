"""Unit types of a layer: Gaussian, Bernoulli, Categorical.

A layer with field ``a`` (the weighted input from its neighbours) has density
proportional to ``exp(-energy(v) + coupling(v) @ a)``. Each type says what its
coupling statistic is, how to normalise, average and sample, and what the
gradient statistics of its own parameters are. Chains, inference, likelihood
and learning are written with these methods alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit, logsumexp, softmax, xlogy

from sklearn_drm.core.draws import bernoulli_draws

Array: TypeAlias = NDArray[Any]

__all__ = ["Array", "Bernoulli", "Categorical", "Gaussian", "Units", "logistic"]


def logistic(
    field: Array, bias: Array | float = 0.0, *, out: Array | None = None
) -> Array:
    """σ(a) = 1 / (1 + exp(−a)) of a field and a bias, a = field + bias.

    Parameters
    ----------
    field : ndarray of float
        Of any shape.
    bias : ndarray or float, default=0.0
        Added to the field.
    out : ndarray, optional
        Where to write the result; may be the field itself. By default a new array.

    Returns
    -------
    ndarray
        Values in [0, 1], of the field's shape and type.

    Notes
    -----
    As passes of NumPy over the array this is faster than ``scipy.special.expit``, and
    on processors without AVX-512 than ½ + ½ tanh(½ a). Where exp(−a) overflows the
    value is 0; elsewhere its relative error is at rounding level.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.core.units import logistic
    >>> logistic(np.array([0.0, np.log(3.0)]))
    array([0.5 , 0.75])
    """
    result: Array = np.subtract(-bias, field, out=out)
    with np.errstate(over="ignore", under="ignore"):
        np.exp(result, out=result)
        result += 1
        np.divide(1, result, out=result)
    return result


class Units(Protocol):
    """What a layer has to provide.

    ``parameters`` maps names to arrays; ``statistics`` and
    ``expected_statistics`` return gradients under the same names.
    """

    @property
    def n_units(self) -> int: ...

    @property
    def bias(self) -> Array: ...

    @property
    def parameters(self) -> dict[str, Array]: ...

    def coupling(self, values: Array) -> Array:
        """Statistic of the values that the weights multiply, (n, n_units)."""
        ...

    def energy(self, values: Array) -> Array:
        """Energy of the layer alone, (n,)."""
        ...

    def log_normalizer(self, field: Array) -> Array:
        """Log of the integral (or sum) of exp(-energy + coupling·field), (n,)."""
        ...

    def curvature(self) -> Array:
        """Second derivative of the log-normaliser in the field where constant.

        Zero where it is not constant: then a mean-field average of the
        log-normaliser is bounded from below by Jensen's inequality instead.
        """
        ...

    def curvature_statistics(self, signal: Array) -> dict[str, Array]:
        """Gradient of curvature·signal in the parameters; signal (n_units,)."""
        ...

    def pull_back(self, field: Array, signal: Array) -> tuple[Array, dict[str, Array]]:
        """Gradient of coupling(mean(field))·signal in the field and the parameters.

        The first has one row per row of ``signal``, the others are sums over them;
        ``field`` may be one row that stands for all.
        """
        ...

    def mean(self, field: Array) -> Array:
        """Mean of the values given the field, (n, n_units)."""
        ...

    def variance(self, field: Array) -> Array:
        """Variance of the values given the field, (n, n_units)."""
        ...

    def entropy(self, means: Array) -> Array:
        """Entropy of the factorial distribution with these means, (n,)."""
        ...

    def sample(self, field: Array, rng: np.random.Generator) -> Array:
        """One draw per row, (n, n_units)."""
        ...

    def interpolate(self, base: Any, beta: float) -> tuple[Units, Array, float]:
        """Layer of energy (1−β)·base + β·self, up to a constant.

        Returns the layer, the factor that turns its coupling into this layer's
        (n_units,), and the constant k: exp(−(1−β)E_base − βE_self) equals
        exp(k − E_layer).
        """
        ...

    def from_moments(self, mean: Array, variance: Array) -> Units:
        """Layer of this type whose values have these moments at zero field."""
        ...

    def statistics(
        self, values: Array, field: Array | None, weight: Array
    ) -> dict[str, Array]:
        """Weighted sum over rows of d(-energy + coupling·field)/d parameters.

        Without field: of d(-energy)/d parameters alone.
        """
        ...

    def coupling_statistics(self, weights: Array, products: Array) -> dict[str, Array]:
        """What the field from one neighbour adds to the statistics.

        ``weights`` and ``products`` have shape (n_units, n_neighbour): the
        connection, and the weighted sum over rows of coupling ⊗ the neighbour's
        coupling. No field has to be computed that way.
        """
        ...

    def expected_statistics(self, field: Array, weight: Array) -> dict[str, Array]:
        """The same, averaged over the layer's values given the field."""
        ...


@dataclass(frozen=True)
class Gaussian:
    r"""Real-valued units with learned variances.

    Parameters
    ----------
    bias : ndarray of shape (n_units,)
        Mean at zero field, b.
    log_variance : ndarray of shape (n_units,)
        z = log σ².

    Notes
    -----
    Energy ½ Σ (v−b)²/s with s = exp(z), coupling v/s, so that
    p(v | a) = N(b + a, s).

    References
    ----------
    K. Cho, A. Ilin, T. Raiko, "Improved learning of Gaussian-Bernoulli
    restricted Boltzmann machines", ICANN 2011, eq. 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.core.units import Gaussian
    >>> layer = Gaussian(np.zeros(1), np.log([4.0]))
    >>> layer.mean(np.array([[2.0]])), layer.coupling(np.array([[2.0]]))
    (array([[2.]]), array([[0.5]]))
    """

    bias: Array
    log_variance: Array

    @property
    def n_units(self) -> int:
        return int(self.bias.shape[0])

    @property
    def parameters(self) -> dict[str, Array]:
        return {"bias": self.bias, "log_variance": self.log_variance}

    @property
    def precision(self) -> Array:
        """1/σ², (n_units,)."""
        return np.exp(-self.log_variance)

    def coupling(self, values: Array) -> Array:
        return values * self.precision

    def energy(self, values: Array) -> Array:
        deviation = values - self.bias
        total: Array = 0.5 * ((deviation * deviation) @ self.precision)
        return total

    def log_normalizer(self, field: Array) -> Array:
        log_volume = self.n_units * np.log(2 * np.pi) + self.log_variance.sum()
        result: Array = (field * (self.bias + 0.5 * field)) @ self.precision
        result += 0.5 * float(log_volume)
        return result

    def curvature(self) -> Array:
        return self.precision

    def curvature_statistics(self, signal: Array) -> dict[str, Array]:
        return {"log_variance": -self.precision * signal}

    def pull_back(self, field: Array, signal: Array) -> tuple[Array, dict[str, Array]]:
        precision = self.precision
        to_field = signal * precision
        expected = (self.bias + field) * precision
        log_variance = -np.einsum(
            "nk,nk->k", signal, np.broadcast_to(expected, signal.shape)
        )
        return to_field, {"bias": to_field.sum(axis=0), "log_variance": log_variance}

    def mean(self, field: Array) -> Array:
        return self.bias + field

    def variance(self, field: Array) -> Array:
        return np.broadcast_to(np.exp(self.log_variance), field.shape)

    def entropy(self, means: Array) -> Array:
        constant = 0.5 * (
            self.n_units * (1 + np.log(2 * np.pi)) + self.log_variance.sum()
        )
        return np.full(means.shape[0], constant, dtype=means.dtype)

    def sample(self, field: Array, rng: np.random.Generator) -> Array:
        noise = rng.standard_normal(field.shape, dtype=field.dtype)
        noise *= np.exp(0.5 * self.log_variance)
        noise += field
        noise += self.bias
        return noise

    def interpolate(self, base: Gaussian, beta: float) -> tuple[Units, Array, float]:
        mine, other = beta * self.precision, (1 - beta) * base.precision
        precision = mine + other
        bias = (mine * self.bias + other * base.bias) / precision
        constant = -0.5 * (
            mine @ self.bias**2 + other @ base.bias**2 - precision @ bias**2
        )
        ratio = self.precision / precision
        return Gaussian(bias, -np.log(precision)), ratio, float(constant)

    def from_moments(self, mean: Array, variance: Array) -> Units:
        return Gaussian(mean, np.log(variance))

    def statistics(
        self, values: Array, field: Array | None, weight: Array
    ) -> dict[str, Array]:
        deviation = values - self.bias
        precision = self.precision
        bias = (weight @ deviation) * precision
        deviation *= deviation
        log_variance = 0.5 * (weight @ deviation) * precision
        if field is not None:
            log_variance -= (weight @ (values * field)) * precision
        return {"bias": bias, "log_variance": log_variance}

    def coupling_statistics(self, weights: Array, products: Array) -> dict[str, Array]:
        return {"log_variance": -np.einsum("ij,ij->i", weights, products)}

    def expected_statistics(self, field: Array, weight: Array) -> dict[str, Array]:
        precision = self.precision
        gain = field * (0.5 * field + self.bias)
        return {
            "bias": (weight @ field) * precision,
            "log_variance": 0.5 * weight.sum() - (weight @ gain) * precision,
        }


@dataclass(frozen=True)
class Bernoulli:
    r"""Binary units.

    Parameters
    ----------
    bias : ndarray of shape (n_units,)
        Log-odds at zero field, c.

    Notes
    -----
    Energy −c·v, coupling v, so that p(v=1 | a) = σ(c + a). Draws round it to
    multiples of 2⁻¹⁶.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.core.units import Bernoulli
    >>> Bernoulli(np.zeros(2)).mean(np.array([[0.0, np.log(3.0)]]))
    array([[0.5 , 0.75]])
    """

    bias: Array

    @property
    def n_units(self) -> int:
        return int(self.bias.shape[0])

    @property
    def parameters(self) -> dict[str, Array]:
        return {"bias": self.bias}

    def coupling(self, values: Array) -> Array:
        return values

    def energy(self, values: Array) -> Array:
        return -(values @ self.bias)

    def log_normalizer(self, field: Array) -> Array:
        activation = field + self.bias
        # log(1 + e^a) without overflow; three times as fast as logaddexp.
        softplus = np.exp(-np.abs(activation))
        np.log1p(softplus, out=softplus)
        softplus += np.maximum(activation, 0)
        total: Array = softplus.sum(axis=-1)
        return total

    def curvature(self) -> Array:
        return np.zeros_like(self.bias)

    def curvature_statistics(self, signal: Array) -> dict[str, Array]:
        return {}

    def pull_back(self, field: Array, signal: Array) -> tuple[Array, dict[str, Array]]:
        to_field: Array = signal * self.variance(field)
        return to_field, {"bias": to_field.sum(axis=0)}

    def mean(self, field: Array) -> Array:
        return logistic(field, self.bias)

    def variance(self, field: Array) -> Array:
        mean = self.mean(field)
        spread: Array = mean * (1 - mean)
        return spread

    def entropy(self, means: Array) -> Array:
        total: Array = -(xlogy(means, means) + xlogy(1 - means, 1 - means)).sum(axis=-1)
        return total

    def sample(self, field: Array, rng: np.random.Generator) -> Array:
        # Single precision holds the 16 bits of a draw.
        single = field.astype(np.float32, copy=False), self.bias.astype(np.float32)
        return bernoulli_draws(logistic(*single), rng, dtype=field.dtype)

    def interpolate(self, base: Bernoulli, beta: float) -> tuple[Units, Array, float]:
        bias = beta * self.bias + (1 - beta) * base.bias
        return Bernoulli(bias), np.ones_like(bias), 0.0

    def from_moments(self, mean: Array, variance: Array) -> Units:
        return Bernoulli(logit(np.clip(mean, 0.02, 0.98)))

    def statistics(
        self, values: Array, field: Array | None, weight: Array
    ) -> dict[str, Array]:
        return {"bias": weight @ values}

    def coupling_statistics(self, weights: Array, products: Array) -> dict[str, Array]:
        return {}

    def expected_statistics(self, field: Array, weight: Array) -> dict[str, Array]:
        return {"bias": weight @ self.mean(field)}


@dataclass(frozen=True)
class Categorical:
    r"""One variable with K values, coded one-hot over K units.

    Parameters
    ----------
    bias : ndarray of shape (n_units,)
        Unnormalised log-probabilities at zero field, c.

    Notes
    -----
    Energy −c·v, coupling v (one-hot), so that p(v_k=1 | a) = softmax(c + a)_k.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.core.units import Categorical
    >>> Categorical(np.log([1.0, 3.0])).mean(np.zeros((1, 2)))
    array([[0.25, 0.75]])
    """

    bias: Array

    @property
    def n_units(self) -> int:
        return int(self.bias.shape[0])

    @property
    def parameters(self) -> dict[str, Array]:
        return {"bias": self.bias}

    def coupling(self, values: Array) -> Array:
        return values

    def energy(self, values: Array) -> Array:
        return -(values @ self.bias)

    def log_normalizer(self, field: Array) -> Array:
        result: Array = logsumexp(field + self.bias, axis=-1)
        return result

    def curvature(self) -> Array:
        return np.zeros_like(self.bias)

    def curvature_statistics(self, signal: Array) -> dict[str, Array]:
        return {}

    def pull_back(self, field: Array, signal: Array) -> tuple[Array, dict[str, Array]]:
        mean = self.mean(field)
        shared = np.einsum("nk,nk->n", signal, np.broadcast_to(mean, signal.shape))
        to_field: Array = mean * (signal - shared[:, None])
        return to_field, {"bias": to_field.sum(axis=0)}

    def mean(self, field: Array) -> Array:
        result: Array = softmax(field + self.bias, axis=-1)
        return result

    def variance(self, field: Array) -> Array:
        mean = self.mean(field)
        spread: Array = mean * (1 - mean)
        return spread

    def entropy(self, means: Array) -> Array:
        total: Array = -xlogy(means, means).sum(axis=-1)
        return total

    def sample(self, field: Array, rng: np.random.Generator) -> Array:
        cumulative = np.cumsum(self.mean(field), axis=-1)
        draw = rng.random((field.shape[0], 1)) * cumulative[:, -1:]
        chosen = (cumulative < draw).sum(axis=-1)
        one_hot: Array = np.eye(self.n_units, dtype=field.dtype)[chosen]
        return one_hot

    def interpolate(self, base: Categorical, beta: float) -> tuple[Units, Array, float]:
        bias = beta * self.bias + (1 - beta) * base.bias
        return Categorical(bias), np.ones_like(bias), 0.0

    def from_moments(self, mean: Array, variance: Array) -> Units:
        return Categorical(np.log(np.maximum(mean, 0.02 / self.n_units)))

    def statistics(
        self, values: Array, field: Array | None, weight: Array
    ) -> dict[str, Array]:
        return {"bias": weight @ values}

    def coupling_statistics(self, weights: Array, products: Array) -> dict[str, Array]:
        return {}

    def expected_statistics(self, field: Array, weight: Array) -> dict[str, Array]:
        return {"bias": weight @ self.mean(field)}
