"""Several post-filters, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

__all__ = ["FilterChain"]


class FilterChain(BaseEstimator):  # type: ignore[misc]
    """Post-filters in a row, each fitted on what the one before it gives.

    Parameters
    ----------
    filters : sequence of post-filters
        For example `ModulationSpectrumFilter`, which restores how fast trajectories
        move, then `GlobalVarianceFilter`, which restores how much.

    Attributes
    ----------
    filters_ : list of post-filters
        Fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from drm_transformers import (
    ...     FilterChain, GlobalVarianceFilter, ModulationSpectrumFilter)
    >>> natural = np.random.default_rng(0).normal(size=(200, 1))
    >>> clips = np.repeat(np.arange(10), 20)
    >>> chain = FilterChain([ModulationSpectrumFilter(), GlobalVarianceFilter()])
    >>> filtered = chain.fit(natural, natural / 4, clips).transform(natural / 4, clips)
    >>> bool(np.isclose(filtered.var(), natural.var()))
    True
    """

    def __init__(self, filters: Sequence[Any]) -> None:
        self.filters = filters

    def fit(
        self,
        natural: npt.ArrayLike,
        generated: npt.ArrayLike,
        groups: npt.ArrayLike | None = None,
    ) -> FilterChain:
        """Fit each filter.

        Parameters
        ----------
        natural, generated : array-like of shape (n, d)
            True and predicted rows of the same clips.
        groups : array-like of shape (n,), optional
            Clip of each row; None: all one clip.

        Returns
        -------
        FilterChain
            The chain.

        Raises
        ------
        ValueError
            What a filter raises.
        """
        self.filters_ = []
        for one in self.filters:
            fitted = clone(one).fit(natural, generated, groups)
            generated = fitted.transform(generated, groups)
            self.filters_.append(fitted)
        return self

    def transform(
        self, rows: npt.ArrayLike, groups: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.floating]:
        """Filter predicted rows.

        Parameters
        ----------
        rows : array-like of shape (n, d)
            Predicted rows, those of a clip in time order.
        groups : array-like of shape (n,), optional
            Clip of each row; None: all one clip.

        Returns
        -------
        ndarray of shape (n, d)
        """
        check_is_fitted(self, "filters_")
        made = np.asarray(rows)
        for one in self.filters_:
            made = one.transform(made, groups)
        return made
