"""Checks of parameters and column names that the transformers share."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "check_choice",
    "check_input_names",
    "check_positive",
    "is_positive_integer",
    "whole_rate",
]


def is_positive_integer(value: object) -> bool:
    """True for Python and NumPy integers above 0, not for booleans."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return bool(whole and value > 0)  # type: ignore[operator]


def check_positive(name: str, value: object, unit: str) -> None:
    """Raise ValueError unless `value` is a finite real number above 0."""
    real = isinstance(value, int | float | np.integer | np.floating)
    if isinstance(value, bool) or not real or not 0 < float(value) < np.inf:  # type: ignore[arg-type]
        raise ValueError(f"{name} must be a positive number of {unit}, got {value!r}.")


def whole_rate(name: str, value: Any) -> int:
    """A sampling rate as int; ValueError unless it is a whole number of Hz above 0."""
    check_positive(name, value, "Hz")
    if value != int(value):
        raise ValueError(f"{name} must be a whole number of Hz, got {value!r}.")
    return int(value)


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise ValueError unless `value` is one of the strings in `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {choices}, got {value!r}.")


def check_input_names(estimator: Any, input_features: Any) -> None:
    """Raise ValueError where `input_features` are not the columns seen at fit."""
    if input_features is None:
        return
    names = np.asarray(input_features, dtype=object)
    if len(names) != estimator.n_features_in_:
        raise ValueError(
            "input_features should have length equal to number of features "
            f"({estimator.n_features_in_}), got {len(names)}"
        )
    known = getattr(estimator, "feature_names_in_", None)
    if known is not None and not np.array_equal(known, names):
        raise ValueError("input_features is not equal to feature_names_in_")
