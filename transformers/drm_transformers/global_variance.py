"""Scale predicted trajectories to the variance of natural ones.

A conditional mean varies less than what it predicts: a listener hears speech averaged
over all frames. Post-filters learn from natural and predicted training trajectories
what is missing, and put it back. They serve any predictor, in either direction.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from drm_transformers._filter_rows import checked_columns, checked_pair, checked_rows
from drm_transformers.trajectory import group_means

__all__ = ["GlobalVarianceFilter"]

FloatArray = npt.NDArray[np.floating]
Float64 = npt.NDArray[np.float64]

# A variance below this share of the mean square is taken for rounding error.
_FLOOR = 1e-12


class GlobalVarianceFilter(BaseEstimator):  # type: ignore[misc]
    r"""Scale predicted trajectories to the variance of natural ones.

    Parameters
    ----------
    around : {"all", "clip"}, default="all"
        What variances are taken around, and trajectories are scaled around. "all":
        the mean of all predicted training rows, so that the pooled variance over all
        clips becomes the natural one. "clip": each clip's own mean, as is usual in
        voice conversion; differences between clips stay as small as predicted.
    exclude : sequence of int, default=()
        Columns left as they are, for example 0 for c0.

    Attributes
    ----------
    gain_ : ndarray of shape (d,), range [0, inf)
        Factor per column; 1 where predictions do not vary at all.
    mean_ : ndarray of shape (d,)
        Mean of the predicted training rows.
    n_features_in_ : int
        d.

    Notes
    -----
    :math:`y' = \sqrt{v_{nat} / v_{gen}} (\hat y - \bar y) + \bar y` [1]_. Fit it on
    predictions of clips that the predictor has not seen: it predicts its own training
    clips with more variance than others, and the gain would come out too small.

    References
    ----------
    .. [1] K. Kobayashi and T. Toda, "sprocket: open-source voice conversion
       software", Odyssey 2018, pp. 203-210.

    Examples
    --------
    >>> import numpy as np
    >>> natural = np.array([[1.0], [-1.0], [3.0], [-3.0]])
    >>> generated = natural / 2 + 5
    >>> GlobalVarianceFilter().fit(natural, generated).transform(generated).ravel()
    array([6., 4., 8., 2.])
    """

    def __init__(self, *, around: str = "all", exclude: Sequence[int] = ()) -> None:
        self.around = around
        self.exclude = exclude

    def fit(
        self,
        natural: npt.ArrayLike,
        generated: npt.ArrayLike,
        groups: npt.ArrayLike | None = None,
    ) -> GlobalVarianceFilter:
        """Learn the gain of each column.

        Parameters
        ----------
        natural, generated : array-like of shape (n, d)
            True and predicted rows of the same clips.
        groups : array-like of shape (n,), optional
            Clip of each row; None: all one clip.

        Returns
        -------
        GlobalVarianceFilter
            The filter.

        Raises
        ------
        ValueError
            Shapes do not match, there are no rows, a value is not finite, or a
            parameter is out of its range.
        """
        if self.around not in ("all", "clip"):
            raise ValueError(f"around={self.around!r}: must be 'all' or 'clip'")
        true, made, _ = checked_pair(natural, generated, groups)
        kept = checked_columns(self.exclude, true.shape[1])
        self.mean_ = made.mean(axis=0)
        target = np.square(true - self._centre(true, groups, true.mean(axis=0)))
        found = np.square(made - self._centre(made, groups, self.mean_))
        wanted, present = target.mean(axis=0), found.mean(axis=0)
        # A constant column has rounding error for a variance; do not amplify that.
        varies = present > _FLOOR * np.square(made).mean(axis=0)
        self.gain_ = np.sqrt(wanted / np.where(varies, present, 1))
        self.gain_[~varies] = 1
        self.gain_[kept] = 1
        self.n_features_in_ = true.shape[1]
        return self

    def transform(
        self, rows: npt.ArrayLike, groups: npt.ArrayLike | None = None
    ) -> FloatArray:
        """Scale predicted rows.

        Parameters
        ----------
        rows : array-like of shape (n, d)
            Predicted rows.
        groups : array-like of shape (n,), optional
            Clip of each row; None: all one clip. Counts only with ``around="clip"``.

        Returns
        -------
        ndarray of shape (n, d)

        Raises
        ------
        ValueError
            If rows have another width than in the fit, or a value is not finite.
        """
        check_is_fitted(self, "gain_")
        values, _ = checked_rows(rows, groups, "rows", self.n_features_in_)
        made = values.astype(np.float64)
        centre = self._centre(made, groups, self.mean_)
        return np.asarray(made + (self.gain_ - 1) * (made - centre), values.dtype)

    def _centre(
        self, rows: Float64, groups: npt.ArrayLike | None, mean: Float64
    ) -> FloatArray:
        return group_means(rows, groups) if self.around == "clip" else mean
