"""Hidden Markov model of speech whose states move the lips."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from hmmlearn.hmm import GaussianHMM
from threadpoolctl import threadpool_limits

from drm_transformers.parameter_generation import delta_features, mlpg
from sklearn_drm.lipspeech.systems._base import Array, TwoWaySystem

__all__ = ["HiddenMarkovLips"]


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """While it lasts, a logger tells errors only, not each fall by rounding."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


class HiddenMarkovLips(TwoWaySystem):
    """Speech to lips through the states of a hidden Markov model.

    The model learns speech and its differences in time; the training clips, aligned
    to its states, give each state's lips with their differences. New speech is
    aligned likewise, and the lips are the most likely trajectory through its states.

    Parameters
    ----------
    n_states : int, default=64
    n_iter : int, default=10
        Steps of expectation maximisation.
    min_variance : float, default=0.01
        Least variance of a column in a state.
    trajectory : bool, default=True
        Most likely trajectory; False: each state's mean, held while it lasts.
    random_state : int or None, default=None
        Seed of the first states.

    Attributes
    ----------
    model_ : hmmlearn.hmm.GaussianHMM
        Of static, Δ and ΔΔ columns of speech.
    lip_means_, lip_variances_ : ndarray of shape (n_states, 3 * n_x)

    Notes
    -----
    It has no direction lips → speech. A state that no training frame is aligned to
    has the mean and variance of all frames.

    References
    ----------
    .. [1] E. Yamamoto, S. Nakamura and K. Shikano, "Lip movement synthesis from
       speech based on hidden Markov models", Speech Communication 26, 1998.
    .. [2] M. Tamura, T. Masuko, T. Kobayashi and K. Tokuda, "Visual speech synthesis
       based on parameter generation from HMM", AVSP 1998, pp. 221-226.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.lipspeech.systems import HiddenMarkovLips
    >>> X = np.sin(np.arange(200) / 5)[:, None]
    >>> system = HiddenMarkovLips(n_states=8, random_state=0).fit(X, 2 * X)
    >>> bool(np.corrcoef(system.predict_x(2 * X)[:, 0], X[:, 0])[0, 1] > 0.9)
    True
    """

    def __init__(
        self,
        *,
        n_states: int = 64,
        n_iter: int = 10,
        min_variance: float = 0.01,
        trajectory: bool = True,
        random_state: int | None = None,
    ) -> None:
        self.n_states = n_states
        self.n_iter = n_iter
        self.min_variance = min_variance
        self.trajectory = trajectory
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> HiddenMarkovLips:
        """Fit states of speech, and the mean lips of each.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            Lip features.
        y : array-like of shape (n, n_y)
            Speech features.
        groups : array-like of shape (n,), optional
            Clip of each row, rows of a clip in time order; None: all one clip.

        Returns
        -------
        HiddenMarkovLips
            The fitted system.
        """
        first, second, clips = self._check_fit(X, y, groups)
        speech, lengths, order = self._sequences(second, clips)
        model = GaussianHMM(
            min(self.n_states, len(speech)),
            covariance_type="diag",
            min_covar=self.min_variance,
            n_iter=self.n_iter,
            random_state=self.random_state,
            # Of next to no weight: a state that loses all its frames keeps numbers.
            startprob_prior=1.001,
            transmat_prior=1.001,
            means_weight=1e-3,
        )
        # k-means, where it starts, loses far more than it gains by threads when other
        # processes want the cores: 0.4 s became 6 s.
        one_thread = threadpool_limits(limits=1, user_api="openmp")
        with one_thread, _quiet("hmmlearn"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            self.model_ = model.fit(speech, lengths)
            states = self.model_.predict(speech, lengths)
        lips = delta_features(first, clips)[order].astype(np.float64)
        self._learn_lips(lips, states)
        return self

    def predict_x(self, y: Any, groups: Any = None) -> Array:
        """Predict x.

        Parameters
        ----------
        y : array-like of shape (n, n_y)
            Speech features.
        groups : array-like of shape (n,), optional
            Clip of each row, rows of a clip in time order; None: all one clip.

        Returns
        -------
        ndarray of shape (n, n_x)
            Lip features.
        """
        rows, clips = self._check_y(y, groups)
        speech, lengths, order = self._sequences(rows, clips)
        states = np.empty(len(rows), dtype=np.intp)
        states[order] = self.model_.predict(speech, lengths)
        means = self.lip_means_[states]
        made = means[:, : self.n_features_in_]
        if self.trajectory:
            made = mlpg(means, self.lip_variances_[states], clips)
        return np.asarray(made, rows.dtype)

    def _sequences(self, rows: Array, clips: Array) -> tuple[Array, Array, Array]:
        """Static-dynamic rows clip after clip, their lengths, and where they lay."""
        labels, lengths = np.unique(clips, return_inverse=True, return_counts=True)[1:]
        order = np.argsort(labels, kind="stable")
        features = delta_features(rows, clips).astype(np.float64)
        return features[order], lengths, order

    def _learn_lips(self, lips: Array, states: Array) -> None:
        n_states = self.model_.n_components
        self.lip_means_ = np.tile(lips.mean(axis=0), (n_states, 1))
        self.lip_variances_ = np.tile(lips.var(axis=0), (n_states, 1))
        for state in np.unique(states):
            mine = lips[states == state]
            self.lip_means_[state] = mine.mean(axis=0)
            # One frame has no variance of its own.
            if len(mine) > 1:
                self.lip_variances_[state] = mine.var(axis=0)
        np.maximum(self.lip_variances_, self.min_variance, out=self.lip_variances_)
