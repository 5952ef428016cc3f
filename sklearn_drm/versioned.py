"""Saved estimators know the version that wrote them."""

from __future__ import annotations

import warnings
from typing import Any

from sklearn_drm import _version

__all__ = ["FormatError", "VersionWarning", "VersionedState"]

#: Layout of a saved estimator's state. Raised by one whenever an older version could
#: not use the file, or this one cannot use an older file.
FORMAT = 2

_VERSION_KEY, _FORMAT_KEY = "_sklearn_drm_version", "_sklearn_drm_format"


class VersionWarning(UserWarning):
    """An estimator was saved by another version of sklearn-drm.

    Examples
    --------
    >>> import warnings
    >>> from sklearn_drm.versioned import VersionWarning
    >>> warnings.simplefilter("error", VersionWarning)  # refuse other versions
    >>> warnings.resetwarnings()
    """


class FormatError(ValueError):
    """An estimator was saved in a layout that this version cannot read.

    Examples
    --------
    >>> from sklearn_drm import GGDRMRegressor
    >>> state = {**GGDRMRegressor().__getstate__(), "_sklearn_drm_format": 99}
    >>> GGDRMRegressor.__new__(GGDRMRegressor).__setstate__(state)
    Traceback (most recent call last):
    ...
    sklearn_drm.versioned.FormatError: GGDRMRegressor was saved by sklearn-drm ...
    """


class VersionedState:
    """Mixin: pickles, joblib and skops files carry the package's version.

    Put it before ``BaseEstimator`` in the list of bases. The version is in the file
    only; the estimator in memory has no attribute for it.

    Examples
    --------
    >>> from sklearn_drm import GGDRMRegressor, __version__
    >>> GGDRMRegressor().__getstate__()["_sklearn_drm_version"] == __version__
    True
    """

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        return {**state, _VERSION_KEY: _current(), _FORMAT_KEY: FORMAT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        version = state.pop(_VERSION_KEY, "0.1.0 or older")
        layout = state.pop(_FORMAT_KEY, FORMAT)
        name, current = type(self).__name__, _current()
        if layout != FORMAT:
            raise FormatError(
                f"{name} was saved by sklearn-drm {version} in format {layout}; "
                f"version {current} reads format {FORMAT}: install sklearn-drm "
                f"{version}, or fit the model again."
            )
        if version != current:
            warnings.warn(
                f"{name} was saved by sklearn-drm {version} and is read by "
                f"{current}: its predictions may differ. Install {version}, or fit "
                "the model again.",
                VersionWarning,
                stacklevel=2,
            )
        parent: Any = super()
        parent.__setstate__(state)


def _current() -> str:
    return _version.__version__
