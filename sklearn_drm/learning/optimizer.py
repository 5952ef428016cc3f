"""Steps of gradient ascent on one flat parameter vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from sklearn_drm.core.units import Array

__all__ = [
    "Adafactor",
    "DivergenceError",
    "GradientAscent",
    "Optimizer",
    "ParameterAverage",
]

# First steps of a phase, at each of which everything is brought up to date.
_EVERY_STEP = 16

# Largest root mean square of a gradient, and largest of a single parameter, where the
# second moments lead to expect 1.
_LARGEST, _LARGEST_SINGLE = 1.2, 5.0

# Where the gradient is this many times larger than that, the second moments take in as
# many times what is left of it.
_SURPRISE = 10.0

# Second moments of a row or column are at least this part of the mean; roots of a whole
# matrix, and of single parameters, this part of the largest that there has been.
_SMALLEST = 1e-8

# Added to the root of the second moments of single parameters.
_EPSILON = 1e-8


class DivergenceError(ArithmeticError):
    """Raised when a fit no longer has finite parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm import DivergenceError, GGDRMRegressor
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((200, 3)).astype(np.float32)
    >>> model = GGDRMRegressor(pretrain_learning_rate=1e30, random_state=0)
    >>> try:
    ...     model.fit(x, x)
    ... except DivergenceError as error:
    ...     print("Lower the step size:", "pretrain_learning_rate" in str(error))
    Lower the step size: True
    """


class Optimizer(Protocol):
    """Turns a gradient into an increment."""

    def step(self, gradient: Array, learning_rate: float) -> Array:
        """Increment in the direction of the gradient.

        Parameters
        ----------
        gradient : ndarray of shape (n_parameters,)
            Direction of ascent; may be overwritten.
        learning_rate : float > 0
            Step size.

        Returns
        -------
        ndarray of shape (n_parameters,)
            Increment to add; may change at the next call.

        Raises
        ------
        DivergenceError
            When the gradient is not finite.
        """
        ...


class GradientAscent:
    """Increments of learning rate times gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.learning.optimizer import GradientAscent
    >>> GradientAscent().step(np.array([1.0, -10.0]), 0.1)
    array([ 0.1, -1. ])
    """

    def step(self, gradient: Array, learning_rate: float) -> Array:
        """See :meth:`Optimizer.step`; the gradient is overwritten."""
        if not np.isfinite(np.dot(gradient, gradient)):
            raise DivergenceError("The gradient is not finite.")
        gradient *= learning_rate
        return gradient


class Adafactor:
    """Adam whose second moments of a matrix are those of its rows and columns.

    Parameters
    ----------
    shapes : sequence of tuple of int, default=()
        Shapes of the matrices at the front of the parameter vector. Parameters behind
        them have second moments of their own, as in Adam.
    beta_1, beta_2 : float in [0, 1), default=0.9, 0.999
        Decay of the first and second moments.
    stride : int, default=1
        After the first 16 steps the second moments, and the learning rate unless it
        doubles or halves, are brought up to date at one in so many: they change slowly.

    Attributes
    ----------
    n_steps : int
        Steps so far.

    Notes
    -----
    With R_i and C_j the averages over the steps of the sums of the squared gradients
    over the rows and the columns of a matrix, and S the sum of either, the second
    moment of an element is R_i C_j / S, no row's and no column's below 10⁻⁸ of the
    mean. A gradient is divided by the root of those of the steps before, and cut where
    it is larger than they lead to expect: as a whole to 1.2 times that, by its root
    mean square, and before that single parameters to five times. Only then it is
    averaged over steps and taken into the second moments, tenfold where less than a
    tenth of it was left. So a step needs few passes over the parameters, is the same in
    any unit of the gradient, and a burst neither moves far nor is remembered for long.

    References
    ----------
    N. Shazeer, M. Stern, "Adafactor: adaptive learning rates with sublinear memory
    cost", ICML 2018, algorithm 2 and section 6; D. Kingma, J. Ba, "Adam: a method for
    stochastic optimization", ICLR 2015.

    Examples
    --------
    The first step has the size of the learning rate, whatever the gradient's:

    >>> import numpy as np
    >>> from sklearn_drm.learning.optimizer import Adafactor
    >>> Adafactor().step(np.array([1e-3, -10.0]), 0.1).round(6)
    array([ 0.099999, -0.1     ])
    >>> Adafactor([(2, 1)]).step(np.array([0.1, -10.0]), 0.1).round(6)
    array([ 0.099997, -0.1     ])
    """

    def __init__(
        self,
        shapes: Sequence[tuple[int, int]] = (),
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        stride: int = 1,
    ) -> None:
        self.shapes = list(shapes)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.stride = stride
        self.n_steps = 0
        # Of the second moments: when they were brought up to date, and their weight.
        self._n_steps_then, self._total = 0, 0.0

    def step(self, gradient: Array, learning_rate: float) -> Array:
        """See :meth:`Optimizer.step`; the gradient is overwritten."""
        # What overflows is found, and refused, in the next gradient.
        with np.errstate(over="ignore", invalid="ignore"):
            return self._step(gradient, learning_rate)

    def _step(self, gradient: Array, learning_rate: float) -> Array:
        self.n_steps += 1
        if self.n_steps == 1:
            self._begin(gradient, learning_rate)
        elif not 0.5 * self._rate < learning_rate < 2 * self._rate:
            self._set_factors(learning_rate)
        # The learning rate and 1 − β₁ are part of the factors.
        gradient *= self._factors
        share = self._cut(gradient)
        first = self._first
        first *= self.beta_1
        first += gradient
        if self._is_due():
            # After a rest gradients are far larger than expected again and again: the
            # second moments would follow too slowly if they took in what the cut left.
            surprise = _SURPRISE if share > _SURPRISE else 1.0
            self._follow(gradient, learning_rate, surprise**2)
        correction = 1 / (1 - self.beta_1**self.n_steps)
        if correction < 1 + 1e-3:
            return first
        increment: Array = np.multiply(first, correction, out=gradient)
        return increment

    def _begin(self, gradient: Array, learning_rate: float) -> None:
        """Second moments of the first gradient."""
        largest = float(np.abs(gradient).max(initial=0.0))
        if not np.isfinite(largest):
            raise DivergenceError("The gradient is not finite.")
        self._first = np.zeros_like(gradient)
        self._factors = np.empty_like(gradient)
        self._n_in_matrices = sum(n * m for n, m in self.shapes)
        # Of every matrix: sums of squares over its rows and columns, and its second
        # moments, a scalar times a vector times another; what the scalar was at most.
        self._sums = [(np.zeros(n), np.zeros(m)) for n, m in self.shapes]
        self._rest_sums = np.zeros(len(gradient) - self._n_in_matrices)
        # As if the gradient had been divided by its largest value.
        largest = largest or 1.0
        self._moments = [(largest**2, np.ones(n), np.ones(m)) for n, m in self.shapes]
        self._rest_factors = np.full(self._rest_sums.shape, 1 / largest)
        self._largest_means, self._largest_root = [0.0] * len(self.shapes), 0.0
        self._follow(gradient / largest, learning_rate)

    def _is_due(self) -> bool:
        if self.n_steps <= _EVERY_STEP:
            # The first gradient was taken in before it was divided.
            return self.n_steps > 1
        return self.n_steps % self.stride == 0

    def _cut(self, gradient: Array) -> float:
        """Cut what is too large, in place, of a gradient times the factors.

        Returns how many times too large it was as a whole, at least 1.
        """
        size = self._rate * (1 - self.beta_1)
        rest = gradient[self._n_in_matrices :]
        whole = float(np.dot(rest, rest))
        if len(rest):
            largest = _LARGEST_SINGLE * size
            np.minimum(rest, largest, out=rest)
            np.maximum(rest, -largest, out=rest)
        norm = float(np.dot(gradient, gradient)) ** 0.5
        if not np.isfinite(whole + norm):
            raise DivergenceError("The gradient is not finite.")
        largest = _LARGEST * size * len(gradient) ** 0.5
        if norm <= largest:
            return 1.0
        gradient *= largest / norm
        return float(norm / largest)

    def _follow(
        self, gradient: Array, learning_rate: float, weight: float = 1.0
    ) -> None:
        """Take in the squares of a gradient that comes times the factors."""
        decay = self.beta_2 ** (self.n_steps - self._n_steps_then)
        self._n_steps_then = self.n_steps
        self._total = self._total * decay + 1
        # The factors are made anew, so that their array is free.
        squares, kind = np.square(gradient, out=self._factors), gradient.dtype
        if weight != 1:
            squares *= weight
        start = 0
        for (rows, columns), (scale, left, right) in zip(
            self._sums, self._moments, strict=True
        ):
            n, m = len(rows), len(columns)
            matrix = squares[start : start + n * m].reshape(n, m)
            start += n * m
            rows *= decay
            rows += (matrix @ right.astype(kind)) * left * scale
            columns *= decay
            columns += (left.astype(kind) @ matrix) * right * scale
        self._rest_sums *= decay
        self._rest_sums += squares[start:] / (self._rest_factors * self._rest_factors)
        self._set_factors(learning_rate)

    def _set_factors(self, learning_rate: float) -> None:
        """Learning rate times 1 − β₁ over the roots of the second moments."""
        self._rate = learning_rate
        size, kind = learning_rate * (1 - self.beta_1), self._factors.dtype
        start = 0
        for index, (rows, columns) in enumerate(self._sums):
            n, m = len(rows), len(columns)
            total = float(rows.sum())
            if total > 0:
                left = rows * (n / total) + _SMALLEST
                right = columns * (m / total) + _SMALLEST
                mean = total / (n * m * self._total)
                self._largest_means[index] = max(self._largest_means[index], mean)
            else:
                left, right, mean = np.ones(n), np.ones(m), 0.0
            # After a long rest a gradient would be divided by next to nothing.
            mean = max(mean, _SMALLEST**2 * self._largest_means[index]) or 1.0
            self._moments[index] = mean / size / size, left, right
            by_row = (size / mean**0.5 / np.sqrt(left)).astype(kind)
            by_column = (1 / np.sqrt(right)).astype(kind)
            matrix = self._factors[start : start + n * m].reshape(n, m)
            # Faster than by broadcasting.
            np.dot(by_row[:, None], by_column[None], out=matrix)
            start += n * m
        if start < len(self._factors):
            roots = np.sqrt(self._rest_sums / self._total)
            self._largest_root = max(self._largest_root, float(roots.max()))
            roots = np.maximum(roots, _SMALLEST * self._largest_root) + _EPSILON
            self._rest_factors = size / roots
            self._factors[start:] = self._rest_factors


class ParameterAverage:
    """Exponential average of a parameter vector over its updates.

    Parameters
    ----------
    vector : ndarray of shape (n_parameters,)
        The parameters at the start; not changed.
    decay : float in [0, 1)
        Decay per update; 0: the average is the last parameters.
    stride : int, default=1
        After the first 16 updates one in so many is looked at: later ones move
        the parameters too little to look at each.

    Attributes
    ----------
    value : ndarray of shape (n_parameters,)
        The average. The first updates count more than the decay says, so that the
        start is soon forgotten.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.learning.optimizer import ParameterAverage
    >>> average = ParameterAverage(np.zeros(1), 0.99)
    >>> average.follow(np.ones(1))
    >>> average.value
    array([0.9])
    """

    def __init__(self, vector: Array, decay: float, *, stride: int = 1) -> None:
        self.decay = decay
        self.stride = stride
        self.n_updates = 0
        self.value = vector.copy()

    def follow(self, vector: Array, *, scratch: Array | None = None) -> None:
        """Take in the parameters after an update.

        Parameters
        ----------
        vector : ndarray of shape (n_parameters,)
            The parameters.
        scratch : ndarray of shape (n_parameters,), optional
            Overwritten; spares an array.
        """
        self.n_updates += 1
        stride = 1 if self.n_updates <= _EVERY_STEP else self.stride
        if self.n_updates % stride:
            return
        keep = min(self.decay, self.n_updates / (self.n_updates + 9.0)) ** stride
        change = np.subtract(vector, self.value, out=scratch)
        change *= 1 - keep
        self.value += change
