"""What all systems share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import check_is_fitted

__all__ = ["Array", "TwoWaySystem"]

Array = NDArray[Any]


class TwoWaySystem(BaseEstimator):  # type: ignore[misc]
    """Base of the systems: rows of both views are checked and remembered.

    Attributes
    ----------
    n_features_in_ : int
        Columns of X.
    n_outputs_ : int
        Columns of y.
    """

    n_features_in_: int
    n_outputs_: int

    def _check_fit(self, X: Any, y: Any, groups: Any) -> tuple[Array, Array, Array]:
        """Rows of both views in one floating type, and a clip for each."""
        first = self._checked(X, "X")
        second = self._checked(y, "y").astype(first.dtype, copy=False)
        check_consistent_length(first, second, groups)
        self.n_features_in_, self.n_outputs_ = first.shape[1], second.shape[1]
        return first, second, _labels(groups, len(first))

    def _check_predict(
        self, rows: Any, groups: Any, name: str, width: str
    ) -> tuple[Array, Array]:
        check_is_fitted(self, "n_outputs_")
        checked, wanted = self._checked(rows, name), getattr(self, width)
        if checked.shape[1] != wanted:
            raise ValueError(
                f"{name} has {checked.shape[1]} columns, but {type(self).__name__} "
                f"was fitted with {wanted}"
            )
        check_consistent_length(checked, groups)
        return checked, _labels(groups, len(checked))

    def _check_x(self, X: Any, groups: Any) -> tuple[Array, Array]:
        return self._check_predict(X, groups, "X", "n_features_in_")

    def _check_y(self, y: Any, groups: Any) -> tuple[Array, Array]:
        return self._check_predict(y, groups, "y", "n_outputs_")

    def _checked(self, rows: Any, name: str) -> Array:
        checked: Array = check_array(
            rows, dtype=[np.float64, np.float32], input_name=name, estimator=self
        )
        return checked


def _labels(groups: Any, n_rows: int) -> Array:
    return np.zeros(n_rows, dtype=np.intp) if groups is None else np.asarray(groups)
