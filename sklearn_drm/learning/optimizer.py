"""Steps of gradient ascent on one flat parameter vector."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from sklearn_drm.core.units import Array

__all__ = ["Adam", "GradientAscent", "Optimizer", "ParameterAverage", "clip_norm"]

# First steps of a phase, at each of which everything is brought up to date.
_EVERY_STEP = 32


class Optimizer(Protocol):
    """Turns a gradient into an increment."""

    def step(
        self, gradient: Array, learning_rate: float, *, out: Array | None = None
    ) -> Array:
        """Increment in the direction of the gradient."""
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

    def step(
        self, gradient: Array, learning_rate: float, *, out: Array | None = None
    ) -> Array:
        """Increment in the direction of the gradient.

        Parameters
        ----------
        gradient : ndarray of shape (n_parameters,)
            Direction of ascent.
        learning_rate : float > 0
            Step size.
        out : ndarray of shape (n_parameters,), optional
            Where to write the increment; may be the gradient itself.

        Returns
        -------
        ndarray of shape (n_parameters,)
            Increment to add.
        """
        increment: Array = np.multiply(gradient, learning_rate, out=out)
        return increment


class Adam:
    """Adaptive moment estimation; its state takes its size from the first step.

    Parameters
    ----------
    beta_1, beta_2 : float in [0, 1), default=0.9, 0.999
        Decay of the first and second moment.
    epsilon : float, default=1e-8
        Added to the root of the second moment.
    stride : int, default=1
        After the first 32 steps the second moment decays, and its root is taken, at
        one in so many, or where the learning rate has moved by 1 %: roots and
        divisions take most of a step's time, and change slowly. The steps between
        go by the last root, and none is larger than Adam allows. Needs β₁² < β₂.
    dtype : str, optional
        Type of the moments; by default the gradient's. Steps need fewer digits than
        the parameters to which they are added: with "float32" a step for parameters
        in double precision takes 0.6 of the time. Its error is some 10⁻⁶ rates.
        Gradients must then stay below 10¹⁹.

    References
    ----------
    D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015,
    algorithm 1.

    Examples
    --------
    The first step has the size of the learning rate, whatever the gradient's:

    >>> import numpy as np
    >>> from sklearn_drm.learning.optimizer import Adam
    >>> Adam().step(np.array([1e-3, -10.0]), 0.1).round(6)
    array([ 0.099999, -0.1     ])
    """

    def __init__(
        self,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        stride: int = 1,
        dtype: str | None = None,
    ) -> None:
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.stride = stride
        self.dtype = dtype
        self.n_steps = 0
        # At the last root: the number of steps and the learning rate.
        self._n_steps_then, self._rate_then = 0, 0.0
        # Sum of the squared gradients' weights in the second moment.
        self._total = 0.0
        self._state: tuple[Array, Array, Array, Array] | None = None

    def step(
        self, gradient: Array, learning_rate: float, *, out: Array | None = None
    ) -> Array:
        """Increment in the direction of the gradient.

        Parameters
        ----------
        gradient : ndarray of shape (n_parameters,)
            Direction of ascent.
        learning_rate : float > 0
            Step size.
        out : ndarray of shape (n_parameters,), optional
            Where to write the increment; may be the gradient itself. By default an
            array of the moments' type that is reused at the next call.

        Returns
        -------
        ndarray of shape (n_parameters,)
            Increment to add.
        """
        if self._state is None:
            like = gradient.astype(self.dtype or gradient.dtype)
            self._state = (
                np.zeros_like(like),
                np.zeros_like(like),
                np.empty_like(like),
                like,
            )
        first, second, precision, buffer = self._state
        if gradient.dtype != first.dtype:
            np.copyto(buffer, gradient)
            gradient = buffer
        increment = buffer if out is None or out.dtype != first.dtype else out
        self.n_steps += 1
        fresh = self._needs_root(learning_rate)
        # The moments are kept without their factors 1 − β: fewer passes over memory.
        first *= self.beta_1
        first += gradient
        if fresh:
            decay = self.beta_2 ** (self.n_steps - self._n_steps_then)
            second *= decay
            self._total *= decay
            self._n_steps_then, self._rate_then = self.n_steps, learning_rate
        np.multiply(gradient, gradient, out=buffer)
        second += buffer
        self._total += 1.0
        if fresh:
            # Those factors, both bias corrections and the learning rate are scalars.
            scale = (1 - self.beta_1) / (1 - self.beta_1**self.n_steps)
            root = float(np.sqrt(self._total))
            np.sqrt(second, out=precision)
            precision += self.epsilon * root
            np.divide(learning_rate * scale * root, precision, out=precision)
        np.multiply(first, precision, out=increment)
        if not fresh:
            # A gradient where there was none for long: old roots would divide it by
            # next to nothing.
            largest = learning_rate * self._largest_step
            np.clip(increment, -largest, largest, out=increment)
        if out is None or out is increment:
            return increment
        np.copyto(out, increment)
        return out

    def _needs_root(self, learning_rate: float) -> bool:
        return (
            self.n_steps <= _EVERY_STEP
            or self.n_steps % self.stride == 0
            or abs(learning_rate - self._rate_then) > 0.01 * self._rate_then
        )

    @property
    def _largest_step(self) -> float:
        """Bound of |step| / learning rate after many steps, by Cauchy and Schwarz."""
        spread = (1 - self.beta_2) * (1 - self.beta_1**2 / self.beta_2)
        return (1 - self.beta_1) / float(np.sqrt(spread))


class ParameterAverage:
    """Exponential average of a parameter vector over its updates.

    Parameters
    ----------
    vector : ndarray of shape (n_parameters,)
        The parameters at the start; not changed.
    decay : float in [0, 1)
        Decay per update; 0: the average is the last parameters.
    stride : int, default=1
        After the first 32 updates one in so many is looked at: later ones move
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
        stride = 1 if self.n_updates < _EVERY_STEP else self.stride
        if self.n_updates % stride:
            return
        keep = min(self.decay, self.n_updates / (self.n_updates + 9.0)) ** stride
        change = np.subtract(vector, self.value, out=scratch)
        change *= 1 - keep
        self.value += change


def clip_norm(gradient: Array, max_norm: float) -> float:
    """Scale a gradient down, in place, to a largest Euclidean norm.

    Parameters
    ----------
    gradient : ndarray of shape (n_parameters,)
        Changed in place where its norm is larger.
    max_norm : float > 0
        Largest norm allowed.

    Returns
    -------
    float
        The norm before clipping; nan or inf where the gradient is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.learning.optimizer import clip_norm
    >>> gradient = np.array([3.0, 4.0])
    >>> clip_norm(gradient, 1.0), gradient
    (5.0, array([0.6, 0.8]))
    """
    norm = float(np.sqrt(gradient @ gradient))
    if max_norm < norm < np.inf:
        gradient *= max_norm / norm
    return norm
