"""Joint Gaussian mixture with maximum-likelihood trajectories."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from drm_transformers.parameter_generation import delta_features, mlpg
from sklearn_drm.lipspeech.systems._base import Array, TwoWaySystem

__all__ = ["JointMixture"]


class JointMixture(TwoWaySystem):
    r"""Gaussian mixture of both views with their differences in time.

    Parameters
    ----------
    n_components : int, default=8
        Gaussians, each with a full covariance.
    trajectory : bool, default=True
        Most likely trajectory along the most likely sequence of Gaussians; False:
        the conditional mean of each row by itself.
    reg_covar : float, default=0.01
        Added to variances.
    max_iter : int, default=20
        Steps of expectation maximisation.
    random_state : int or None, default=None
        Seed of the first Gaussians.

    Attributes
    ----------
    mixture_ : sklearn.mixture.GaussianMixture
        Of static, Δ and ΔΔ columns of x, then those of y.

    Notes
    -----
    With s the given view, t the wanted one and k the Gaussian of largest p(k | s) in
    a row: :math:`E = \mu_k^t + \Sigma_k^{ts} (\Sigma_k^{ss})^{-1} (s - \mu_k^s)` and
    :math:`D = \mathrm{diag}(\Sigma_k^{tt} - \Sigma_k^{ts} (\Sigma_k^{ss})^{-1}
    \Sigma_k^{st})` go into `mlpg` [1]_. One mixture serves both directions.

    References
    ----------
    .. [1] T. Toda, A. W. Black and K. Tokuda, "Voice conversion based on
       maximum-likelihood estimation of spectral parameter trajectory", IEEE Trans.
       ASLP 15(8), 2007, pp. 2222-2235.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.lipspeech.systems import JointMixture
    >>> X = np.sin(np.arange(200) / 5)[:, None]
    >>> system = JointMixture(n_components=2, random_state=0).fit(X, 2 * X)
    >>> bool(np.abs(system.predict_y(X) - 2 * X).max() < 0.3)
    True
    """

    def __init__(
        self,
        *,
        n_components: int = 8,
        trajectory: bool = True,
        reg_covar: float = 0.01,
        max_iter: int = 20,
        random_state: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.trajectory = trajectory
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> JointMixture:
        """Fit the mixture.

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
        JointMixture
            The fitted system.
        """
        first, second, clips = self._check_fit(X, y, groups)
        rows = np.hstack([delta_features(v, clips) for v in (first, second)])
        mixture = GaussianMixture(
            min(self.n_components, len(rows)),
            reg_covar=self.reg_covar,
            max_iter=self.max_iter,
            random_state=self.random_state,
        )
        # For k-means, where it starts; see HiddenMarkovLips.
        one_thread = threadpool_limits(limits=1, user_api="openmp")
        with one_thread, warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.mixture_ = mixture.fit(rows)
        return self

    def predict_y(self, X: Any, groups: Any = None) -> Array:
        """Predict y.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            Lip features.
        groups : array-like of shape (n,), optional
            Clip of each row, rows of a clip in time order; None: all one clip.

        Returns
        -------
        ndarray of shape (n, n_y)
            Speech features.
        """
        rows, clips = self._check_x(X, groups)
        n_x, n_y = 3 * self.n_features_in_, 3 * self.n_outputs_
        return self._predict(rows, clips, slice(n_x), slice(n_x, n_x + n_y))

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
        n_x, n_y = 3 * self.n_features_in_, 3 * self.n_outputs_
        return self._predict(rows, clips, slice(n_x, n_x + n_y), slice(n_x))

    def _predict(self, rows: Array, clips: Array, given: slice, wanted: slice) -> Array:
        source = delta_features(rows, clips).astype(np.float64)
        scores, means, variances = self._conditionals(source, given, wanted)
        best = scores.argmax(axis=0)
        if self.trajectory:
            chosen = means[best, np.arange(len(source))]
            made = mlpg(chosen, variances[best], clips)
        else:
            shares = np.exp(scores - scores.max(axis=0))
            shares /= shares.sum(axis=0)
            static = means[:, :, : means.shape[2] // 3]
            made = np.einsum("kn,knd->nd", shares, static)
        return np.asarray(made, rows.dtype)

    def _conditionals(
        self, source: Array, given: slice, wanted: slice
    ) -> tuple[Array, Array, Array]:
        """Per Gaussian: log p(k, s), means and variances of the wanted columns."""
        scores, means, variances = [], [], []
        for weight, mean, covariance in zip(
            self.mixture_.weights_,
            self.mixture_.means_,
            self.mixture_.covariances_.astype(np.float64),
            strict=True,
        ):
            factor = cho_factor(covariance[given, given], lower=True)
            gain = cho_solve(factor, covariance[given, wanted])
            deviation = source - mean[given]
            distance = np.einsum(
                "nd,nd->n", deviation, cho_solve(factor, deviation.T).T
            )
            log_root = np.log(np.diag(factor[0])).sum()
            scores.append(np.log(weight) - 0.5 * distance - log_root)
            means.append(mean[wanted] + deviation @ gain)
            explained = np.einsum("gw,gw->w", covariance[given, wanted], gain)
            total = np.diag(covariance[wanted, wanted])
            # Rounding may leave nothing of a column that the source fixes.
            variances.append(np.maximum(total - explained, 1e-6 * total))
        return np.stack(scores), np.stack(means), np.stack(variances)
