"""Random draws from few bits each, in a fraction of the time of one float each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["bernoulli_draws", "random_integers"]

_OF_64_BITS = {
    np.random.PCG64,
    np.random.PCG64DXSM,
    np.random.SFC64,
    np.random.Philox,
}

_INTEGERS = {name: np.dtype(name) for name in ("u1", "u2")}


def random_integers(
    shape: tuple[int, ...], dtype: str, rng: np.random.Generator
) -> NDArray[Any]:
    """Integers that are uniform over the whole range of their type.

    Parameters
    ----------
    shape : tuple of int
        Shape of the result.
    dtype : {"u1", "u2"}
        NumPy's name of the type.
    rng : numpy.random.Generator
        Source of the draws.

    Returns
    -------
    ndarray of int
        The integers, cut from words of 64 bits.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.core.draws import random_integers
    >>> random_integers((2, 3), "u1", np.random.default_rng(0)).shape
    (2, 3)
    """
    kind = _INTEGERS[dtype]
    n_words = -(-math.prod(shape) * kind.itemsize // 8)
    source = rng.bit_generator
    if type(source) in _OF_64_BITS:
        # The same words as below, at less cost.
        words = source.random_raw(n_words)
    else:
        words = rng.integers(0, 2**64, size=n_words, dtype=np.uint64)
    return np.ndarray(shape, kind, words)


def bernoulli_draws(
    probability: NDArray[Any], rng: np.random.Generator, *, dtype: Any = None
) -> NDArray[Any]:
    """Ones with the given probabilities, else zeros.

    Parameters
    ----------
    probability : ndarray of float
        Probabilities, of any shape.
    rng : numpy.random.Generator
        Source of the draws.
    dtype : dtype, optional
        Type of the result; by default the probabilities'.

    Returns
    -------
    ndarray
        Zeros and ones, of the probabilities' shape. Probabilities are rounded to
        multiples of 2⁻¹⁶.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.core.draws import bernoulli_draws
    >>> bernoulli_draws(np.array([0.0, 1.0]), np.random.default_rng(0))
    array([0., 1.])
    """
    # Single precision holds 16 bits, and is twice as fast.
    threshold = np.multiply(probability, 2**16, dtype=np.float32)
    threshold -= 0.5
    drawn = random_integers(threshold.shape, "u2", rng) < threshold
    result: NDArray[Any] = drawn.astype(dtype or probability.dtype)
    return result
