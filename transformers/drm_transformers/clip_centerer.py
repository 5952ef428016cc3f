"""Take off what a clip adds to all its rows, though it may hold no pause.

A clip's mean is its own offset, such as the light and the place of the mouth, and the
mean of what is said in it. The two are told apart here by what rows look like.
"""

from __future__ import annotations

import warnings
from numbers import Integral, Real

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp, softmax
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.utils.validation import check_is_fitted, validate_data

from drm_transformers._groups import labelled_rows, members_of
from drm_transformers.trajectory import group_means

__all__ = ["ClipCenterer"]

FloatArray = npt.NDArray[np.floating]
Float64 = npt.NDArray[np.float64]

# Rows that one component of the mixture is to have at least, on average.
_ROWS_PER_COMPONENT = 20

# Evenly spaced rows that the mixture is fitted to, of more; its fit holds a number for
# each of them and each component.
_MOST_ROWS = 100_000

# Where the search for an offset ends, in standard deviations of a column.
_TOLERANCE, _MOST_STEPS = 1e-3, 200

# Likewise; beyond it squares leave double precision nothing of an offset.
_FARTHEST = 1e6


class ClipCenterer(
    OneToOneFeatureMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    r"""Take off each clip's own offset, whatever part of a clip there is.

    The mean of a clip cut to its words is another than that of the clip with its
    pauses: `remove_group_mean` makes other rows of the same frames. This takes off the
    most probable offset instead, and gives nearly the same rows, as long as words and
    pauses differ in more than their place: in how much they vary, or in other columns.

    Parameters
    ----------
    n_components : int, range [1, inf), default=64
        Gaussians that describe rows without offset; fewer where there are fewer than
        20 training rows for each.
    dependence : float, range [1, inf), default=3.0
        Consecutive rows that are worth one independent row. The more, the nearer
        an offset stays to the training mean.
    random_state : int, RandomState instance or None, default=0
        Where the mixture starts.

    Attributes
    ----------
    mean_ : ndarray of shape (d,)
        Mean of the training rows: the offset of a clip of which nothing is known.
    scale_ : ndarray of shape (d,)
        Standard deviation of the training rows; 1 where a column is constant.
    mixture_ : sklearn.mixture.GaussianMixture
        Of training rows without the mean of their clips, in units of `scale_`.
    n_features_in_ : int
        d.

    See Also
    --------
    remove_group_mean : Takes off the mean; the same where all clips are alike.

    Notes
    -----
    A row is :math:`x_t = o + u_t`, with :math:`u_t` from the mixture and the clip's
    offset :math:`o` from a Gaussian with mean and variances of all training rows. The
    offset maximises :math:`\log p(o) + \frac{1}{\tau} \sum_t \log p(x_t - o)`, found by
    expectation-maximisation from the training mean and from the clip's own mean; the
    better end counts, which need not be the highest maximum of all. With one Gaussian
    and many rows it is the clip's mean. The bias of stochastic matching [1]_ is the
    same without a prior.

    References
    ----------
    .. [1] A. Sankar and C.-H. Lee, "A maximum-likelihood approach to stochastic
       matching for robust speech recognition", *IEEE Transactions on Speech and Audio
       Processing* 4(3), 1996, pp. 190-202.

    Examples
    --------
    Two clips that are at 0 half of the time, at 10 otherwise, one with 3 added:

    >>> import numpy as np
    >>> from drm_transformers import ClipCenterer
    >>> noise = np.random.default_rng(0).normal(size=(400, 1))
    >>> clips = np.repeat([0, 1], 200)
    >>> states = np.tile([[0.0], [10.0]], (200, 1))
    >>> X = noise + states + 3 * clips[:, None]
    >>> centerer = ClipCenterer(2).fit(X, groups=clips)

    What is at 10 alone has another mean, and is known all the same:

    >>> cut = X[1:200:2] + 2
    >>> [round(float(x.mean())) for x in (cut, centerer.transform(cut))]
    [12, 5]
    """

    def __init__(
        self,
        n_components: int = 64,
        *,
        dependence: float = 3.0,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.n_components = n_components
        self.dependence = dependence
        self.random_state = random_state

    def fit(
        self,
        X: npt.ArrayLike,
        y: None = None,
        groups: npt.ArrayLike | None = None,
    ) -> ClipCenterer:
        """Learn what rows look like without offset.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows of whole clips.
        y : None
            Ignored.
        groups : array-like of shape (n,), optional
            Clip of each row; None: all one clip.

        Returns
        -------
        ClipCenterer

        Raises
        ------
        ValueError
            If there are no rows, a value is not finite, or a parameter is out of its
            range.
        """
        self._check()
        values, labels = self._checked(X, groups, reset=True)
        rows = values.astype(np.float64)
        self.mean_ = rows.mean(axis=0)
        spread = rows.std(axis=0)
        # A constant column has rounding error for a deviation.
        varies = spread > 1e-9 * np.abs(rows).max(axis=0)
        self.scale_ = np.where(varies, spread, 1.0)
        centred = (rows - group_means(rows, labels)) / self.scale_
        centred = centred[:: -(-len(centred) // _MOST_ROWS)]
        most = max(1, len(centred) // _ROWS_PER_COMPONENT)
        with warnings.catch_warnings():
            # Any mixture does, and there can be fewer distinct rows than components.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.mixture_ = GaussianMixture(
                min(self.n_components, most),
                covariance_type="diag",
                reg_covar=1e-3,
                random_state=self.random_state,
            ).fit(centred if len(centred) > 1 else np.repeat(centred, 2, axis=0))
        return self

    def _check(self) -> None:
        n, tau = self.n_components, self.dependence
        if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
            raise ValueError(f"n_components={n!r}: must be an integer of 1 or more")
        if isinstance(tau, bool) or not isinstance(tau, Real) or not 1 <= tau < np.inf:
            raise ValueError(f"dependence={tau!r}: must be a number of 1 or more")

    def offsets(
        self, X: npt.ArrayLike, groups: npt.ArrayLike | None = None
    ) -> FloatArray:
        """The offset of each row's clip, repeated for its rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows of whole clips or of parts of them.
        groups : array-like of shape (n,), optional
            Clip of each row; None: all one clip.

        Returns
        -------
        ndarray of shape (n, d)

        Raises
        ------
        ValueError
            If there are no rows, they have another width than in the fit, or a value
            is not finite.
        """
        check_is_fitted(self, "mixture_")
        return self._offsets(*self._checked(X, groups, reset=False))

    def _checked(
        self, X: npt.ArrayLike, groups: npt.ArrayLike | None, *, reset: bool
    ) -> tuple[FloatArray, npt.NDArray[np.intp]]:
        types = [np.float64, np.float32]
        return labelled_rows(validate_data(self, X, reset=reset, dtype=types), groups)

    def transform(
        self, X: npt.ArrayLike, groups: npt.ArrayLike | None = None
    ) -> FloatArray:
        """Take off the offset of each clip.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows of whole clips or of parts of them.
        groups : array-like of shape (n,), optional
            Clip of each row; None: all one clip.

        Returns
        -------
        ndarray of shape (n, d)

        Raises
        ------
        ValueError
            As `offsets`.
        """
        check_is_fitted(self, "mixture_")
        values, labels = self._checked(X, groups, reset=False)
        return np.asarray(values - self._offsets(values, labels))

    def _offsets(self, values: FloatArray, labels: npt.NDArray[np.intp]) -> FloatArray:
        rows = (values.astype(np.float64) - self.mean_) / self.scale_
        if (farthest := np.abs(rows).max()) > _FARTHEST:
            raise ValueError(
                f"rows lie {farthest:.1g} standard deviations away from the mean of "
                "those of the fit: are they in other units?"
            )
        posterior = _Posterior(self.mixture_, self.dependence)
        found = np.empty_like(rows)
        for members in members_of(labels):
            found[members] = posterior.best(rows[members])
        return np.asarray(self.mean_ + self.scale_ * found, dtype=values.dtype)


class _Posterior:
    """How probable offsets are given rows of one clip, all in units of the fit.

    Shares of the components are those of the mixture's own ``predict_proba``, without
    its checks, which take most of the time of a clip.
    """

    def __init__(self, mixture: GaussianMixture, dependence: float) -> None:
        self.dependence = dependence
        self.precisions: Float64 = mixture.precisions_
        self.scaled_means: Float64 = mixture.precisions_ * mixture.means_
        self.constant = np.log(mixture.weights_) + 0.5 * np.sum(
            np.log(self.precisions) - self.scaled_means * mixture.means_, axis=1
        )

    def best(self, rows: Float64) -> Float64:
        """The better of the maxima above the training mean and the rows' own."""
        starts = np.zeros(rows.shape[1]), rows.mean(axis=0)
        ends = [self._climb(rows, start) for start in starts]
        return max(ends, key=lambda offset: self._log(rows, offset))

    def _climb(self, rows: Float64, offset: Float64) -> Float64:
        for _ in range(_MOST_STEPS):
            share = softmax(self._log_shares(rows - offset), axis=1) / self.dependence
            mass = share.sum(axis=0)
            pull = np.sum(self.precisions * (share.T @ rows), axis=0)
            before = offset
            offset = (pull - mass @ self.scaled_means) / (1 + mass @ self.precisions)
            if np.abs(offset - before).max() < _TOLERANCE:
                break
        return offset

    def _log(self, rows: Float64, offset: Float64) -> float:
        likelihood = logsumexp(self._log_shares(rows - offset), axis=1).sum()
        return float(likelihood / self.dependence - 0.5 * np.square(offset).sum())

    def _log_shares(self, centred: Float64) -> Float64:
        """Log of weight times density of each component, but for a constant."""
        linear = centred @ self.scaled_means.T
        squares = np.square(centred) @ self.precisions.T
        return np.asarray(self.constant + linear - 0.5 * squares)
