"""Checks of hyperparameters, row weights and target columns."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import check_array, check_consistent_length

from sklearn_drm.core.units import Array

__all__ = ["check_parameters", "counted_rows", "hidden_sizes", "target_columns"]


def check_parameters(estimator: Any) -> None:
    """Raise ValueError for the first hyperparameter that is out of its range."""
    at_least = {
        "n_hidden_layers": 1,
        "pretrain_epochs": 0,
        "n_gibbs_steps": 1,
        "n_iter_no_change": 1,
    }
    if not isinstance(estimator.verbose, bool):
        at_least["verbose"] = 0
    for name, low in (("batch_size", 1), ("fine_tune_epochs", 0)):
        if not _is_auto(getattr(estimator, name)):
            at_least[name] = low
    if estimator.n_mean_field_iter is not None:
        at_least["n_mean_field_iter"] = 1
    for name, low in at_least.items():
        value = getattr(estimator, name)
        if not _is_whole(value, low):
            raise ValueError(f"{name} must be an int of at least {low}; got {value!r}.")
    for name in ("pretrain_learning_rate", "learning_rate", "validation_fraction"):
        value = getattr(estimator, name)
        if not _is_within(value, 0, np.inf) or value == 0:
            raise ValueError(f"{name} must be a positive number; got {value!r}.")
    shares = ["damping", "dropout", "averaging", "validation_fraction", "tol"]
    if not _is_auto(estimator.input_dropout):
        shares.append("input_dropout")
    for name in shares:
        value = getattr(estimator, name)
        if not _is_within(value, 0, 1):
            raise ValueError(f"{name} must be in [0, 1); got {value!r}.")
    relation_weight = getattr(estimator, "relation_weight", 0.0)
    if not _is_within(relation_weight, 0, np.inf):
        raise ValueError(
            f"relation_weight must not be negative; got {relation_weight!r}."
        )
    if estimator.fine_tune not in ("separate", "joint", None):
        raise ValueError(
            "fine_tune must be 'separate', 'joint' or None; got "
            f"{estimator.fine_tune!r}."
        )
    if estimator.mean_field not in ("collapsed", "naive"):
        raise ValueError(
            f"mean_field must be 'collapsed' or 'naive'; got {estimator.mean_field!r}."
        )
    scaling = getattr(estimator, "scaling", "columns")
    if scaling not in ("columns", "common"):
        raise ValueError(f"scaling must be 'columns' or 'common'; got {scaling!r}.")
    threshold = getattr(estimator, "binarize", None)
    if threshold is not None:
        number = isinstance(threshold, Real) and not isinstance(threshold, bool)
        if not (number and 0 <= threshold <= 1):
            raise ValueError(f"binarize must be in [0, 1] or None; got {threshold!r}.")
    hidden_sizes(estimator)


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


def _is_whole(value: Any, low: int) -> bool:
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    return bool(whole and value >= low)


def _is_within(value: Any, low: float, high: float) -> bool:
    return isinstance(value, Real) and low <= float(value) < high


def hidden_sizes(estimator: Any) -> list[int]:
    """Units of each hidden layer."""
    units: Any = estimator.n_hidden_units
    if isinstance(units, Integral):
        units = [units] * estimator.n_hidden_layers
    sizes = list(units) if np.iterable(units) else []
    whole = all(_is_whole(size, 1) for size in sizes)
    if len(sizes) != estimator.n_hidden_layers or not whole:
        raise ValueError(
            "n_hidden_units must be a positive int, or one for each of the "
            f"{estimator.n_hidden_layers} hidden layers; got "
            f"{estimator.n_hidden_units!r}."
        )
    return [int(size) for size in sizes]


def row_weights(sample_weight: Any, n_rows: int, dtype: Any) -> Array | None:
    """Checked weights; None where they are all equal."""
    if sample_weight is None:
        return None
    weight = np.asarray(sample_weight)
    if weight.ndim == 0:
        weight = np.full(n_rows, weight)
    weight = check_array(
        weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weight.shape != (n_rows,):
        raise ValueError(
            f"sample_weight has shape {weight.shape}; expected ({n_rows},)."
        )
    if (weight < 0).any() or not weight.any():
        raise ValueError(
            "sample_weight must not be negative, and not zero for every row."
        )
    # Equal weights take the faster way of None. Their size counts for nothing, and
    # their sum must not overflow.
    if (weight == weight[0]).all():
        return None
    scaled: Array = (weight / weight.max()).astype(dtype)
    return scaled


def counted_rows(
    X: Array, y: Array, sample_weight: Any, groups: Any
) -> tuple[Array, Array, Array | None, Array | None]:
    """Rows of a weight above zero, with checked weights and groups."""
    weight = row_weights(sample_weight, len(X), X.dtype)
    if groups is not None:
        groups = check_array(groups, ensure_2d=False, dtype=None, input_name="groups")
        check_consistent_length(X, groups)
        if groups.ndim != 1:
            raise ValueError(
                f"groups must have one label per row; got shape {groups.shape}."
            )
        if groups.dtype == object:
            try:
                np.unique(groups)
            except TypeError as error:  # None, or numbers among strings
                raise ValueError(
                    "groups must be labels of one kind, with none missing."
                ) from error
    if weight is not None and not (weight > 0).all():
        rows = weight > 0
        X, y, weight = X[rows], y[rows], weight[rows]
        groups = None if groups is None else groups[rows]
    return X, y, weight, groups


def target_columns(target: Any, n_columns: int, name: str) -> Array:
    """Indices of the target columns."""
    everything = np.arange(n_columns)
    if target is None:
        return everything
    try:
        chosen = everything[target if isinstance(target, slice) else list(target)]
    except (IndexError, TypeError) as error:
        raise ValueError(
            f"{name}={target!r} does not select from {n_columns} columns."
        ) from error
    if not chosen.size:
        raise ValueError(f"{name}={target!r} selects none of {n_columns} columns.")
    return np.unique(chosen)
