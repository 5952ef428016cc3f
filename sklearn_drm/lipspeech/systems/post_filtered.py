"""A system with a post-filter behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GroupKFold
from sklearn.utils.metaestimators import available_if

from sklearn_drm.lipspeech.systems._base import Array, TwoWaySystem

__all__ = ["PostFiltered", "unseen_predictions"]


def _has(method: str) -> Any:
    return available_if(lambda self: hasattr(self.system, method))


class PostFiltered(TwoWaySystem):
    """Gives a system's trajectories the statistics of natural ones.

    Parameters
    ----------
    system : two-way system
        Predicts in one direction or both.
    filter : post-filter
        With `fit(natural, generated, groups)` and `transform(rows, groups)`, such as
        `GlobalVarianceFilter`; one is fitted per direction.
    fit_on : {"held-out", "crossed", "training"}, default="held-out"
        Predictions that the filter learns from. "held-out": of a fifth of the clips,
        made by a system fitted on the others; "crossed": of all clips, in five parts;
        "training": of the clips that the system itself was fitted on, which are too
        good, so the filter does too little. The system is always fitted on all clips
        in the end.

    Attributes
    ----------
    system_ : two-way system
    filter_y_, filter_x_ : post-filter
        Fitted; only of the directions that the system has.

    Examples
    --------
    >>> import numpy as np
    >>> from drm_transformers import GlobalVarianceFilter
    >>> from sklearn_drm.lipspeech.systems import LinearSystem, PostFiltered
    >>> rng = np.random.default_rng(0)
    >>> X, clips = rng.normal(size=(1000, 1)), np.arange(1000) // 50
    >>> y = X + rng.normal(size=X.shape)
    >>> lively = PostFiltered(LinearSystem(), GlobalVarianceFilter()).fit(X, y, clips)
    >>> round(float(lively.predict_y(X, clips).var() / y.var()), 1)
    1.0
    """

    def __init__(self, system: Any, filter: Any, *, fit_on: str = "held-out") -> None:
        self.system = system
        self.filter = filter
        self.fit_on = fit_on

    def fit(self, X: Any, y: Any, groups: Any = None) -> PostFiltered:
        """Fit the system and its filters.

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
        PostFiltered
            The fitted system.

        Raises
        ------
        ValueError
            If `fit_on` is unknown.
        """
        if self.fit_on not in ("held-out", "crossed", "training"):
            raise ValueError(
                f"fit_on={self.fit_on!r}: must be 'held-out', 'crossed' or 'training'"
            )
        first, second, clips = self._check_fit(X, y, groups)
        self.system_ = clone(self.system).fit(first, second, clips)
        if self.fit_on == "training":
            rows, made = (
                np.arange(len(first)),
                _predictions(self.system_, first, second, clips),
            )
        else:
            rows, made = unseen_predictions(
                self.system, first, second, clips, crossed=self.fit_on == "crossed"
            )
        for name, natural in (("y", second), ("x", first)):
            if name in made:
                fitted = clone(self.filter).fit(natural[rows], made[name], clips[rows])
                setattr(self, f"filter_{name}_", fitted)
        return self

    @_has("predict_y")  # type: ignore[untyped-decorator]
    def predict_y(self, X: Any, groups: Any = None) -> Array:
        """Predict y and filter it.

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
        made = self.system_.predict_y(rows, clips)
        return np.asarray(self.filter_y_.transform(made, clips))

    @_has("predict_x")  # type: ignore[untyped-decorator]
    def predict_x(self, y: Any, groups: Any = None) -> Array:
        """Predict x and filter it.

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
        made = self.system_.predict_x(rows, clips)
        return np.asarray(self.filter_x_.transform(made, clips))


def unseen_predictions(
    system: Any, X: Array, y: Array, groups: Array, *, crossed: bool = False
) -> tuple[Array, dict[str, Array]]:
    """Predictions of training clips by a system that was not fitted on them.

    Parameters
    ----------
    system : two-way system
        Left as it is; copies are fitted.
    X, y : ndarray of shape (n, n_x) and (n, n_y)
        Lip and speech features.
    groups : ndarray of shape (n,)
        Clip of each row, at least two different ones.
    crossed : bool, default=False
        Predict all clips, in five parts, instead of a fifth of them.

    Returns
    -------
    rows : ndarray of int
        Which rows were predicted.
    predictions : dict of str to ndarray
        Of "y" and "x", those that the system can do.

    Raises
    ------
    ValueError
        If there is one clip only.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.lipspeech.systems import LinearSystem, unseen_predictions
    >>> X, clips = np.arange(50.0)[:, None], np.repeat(range(5), 10)
    >>> rows, made = unseen_predictions(LinearSystem(), X, 2 * X, clips)
    >>> len(rows), made["y"].shape
    (10, (10, 1))
    """
    n_clips = len(np.unique(groups))
    if n_clips < 2:
        raise ValueError(
            "one clip is too few: the filter needs predictions of clips that the "
            "system has not seen; give more, or fit_on='training'"
        )
    folds = list(GroupKFold(min(5, n_clips)).split(X, groups=groups))
    found = []
    for seen, held in folds if crossed else folds[:1]:
        fitted = clone(system).fit(X[seen], y[seen], groups[seen])
        found.append(_predictions(fitted, X[held], y[held], groups[held]))
    rows = np.concatenate([held for _, held in folds[: len(found)]])
    return rows, {
        name: np.concatenate([part[name] for part in found]) for name in found[0]
    }


def _predictions(system: Any, X: Array, y: Array, groups: Array) -> dict[str, Array]:
    return {
        name: np.asarray(getattr(system, f"predict_{name}")(source, groups))
        for name, source in (("y", X), ("x", y))
        if hasattr(system, f"predict_{name}")
    }
