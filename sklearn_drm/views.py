"""What estimators of two views share: views of any shape, names, tags, routing.

A *view* is whatever the user passes for one side of the pair: a 2-D array, a data
frame, a stack of images ``(n, H, W)`` or ``(n, frames, H, W)``, or a 1-D target.
Its first axis always counts rows.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import clone
from sklearn.metrics import r2_score
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.metadata_routing import process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import has_fit_parameter

__all__: list[str] = []

FLOATS = [np.float64, np.float32]
_Method = TypeVar("_Method", bound=Callable[..., Any])


def if_inner_has(inner: str, name: str) -> Callable[[_Method], _Method]:
    """A method that an estimator around another has where that one has `name`.

    The other is the attribute ``inner``, fitted ``inner_``. This is scikit-learn's
    ``available_if``, keeping the method's type.
    """

    def check(estimator: Any) -> bool:
        fitted = getattr(estimator, f"{inner}_", getattr(estimator, inner))
        return hasattr(fitted, name)

    return cast(Callable[[_Method], _Method], available_if(check))


@contextmanager
def unchanged_on_error(estimator: Any) -> Iterator[None]:
    """Leave an estimator as it was where what is done meanwhile fails.

    Also where it is interrupted. Only its attributes are put back: what these hold
    must be replaced, not changed. Those of scikit-learn's callbacks stay, since it
    takes them down itself.
    """
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        now = vars(estimator)
        before |= {name: now[name] for name in now if "callback" in name}
        now.clear()
        now.update(before)
        raise


def rows_of(view: Any) -> Any:
    """The view with a shape: lists and array look-alikes become arrays."""
    shape = getattr(view, "shape", None)
    return view if isinstance(shape, tuple) else np.asarray(view)


def trailing_shape(view: Any) -> tuple[int, ...]:
    """Shape of one row of the view; ``()`` for a 1-D view."""
    return tuple(int(length) for length in view.shape[1:])


def counted(view: Any) -> Any:
    """The view as something scikit-learn can count the columns and names of.

    scikit-learn counts ``shape[1]``; an image has H·W features, so a stack of
    images is replaced by an array of the right shape that takes no memory.
    """
    if len(view.shape) <= 2:
        return view
    width = math.prod(view.shape[1:])
    return np.broadcast_to(np.zeros(()), (view.shape[0], width))


def column_names(view: Any) -> NDArray[np.object_] | None:
    """Column names of a data frame, None where they are not all strings."""
    columns = getattr(view, "columns", None)
    if columns is None or len(getattr(view, "shape", ())) != 2:
        return None
    names = np.asarray(list(columns), dtype=object)
    return names if len(names) and all(isinstance(n, str) for n in names) else None


def set_target_names(owner: Any, y: Any) -> None:
    """Note the column names of ``fit``'s y, or forget those of an earlier one."""
    names = column_names(y)
    if names is not None:
        owner.target_names_in_ = names
    elif hasattr(owner, "target_names_in_"):
        del owner.target_names_in_


def check_names(view: Any, expected: NDArray[np.object_] | None, name: str) -> None:
    """Raise ValueError for a data frame with other columns than in ``fit``."""
    names = column_names(view)
    if expected is None or names is None or np.array_equal(names, expected):
        return
    raise ValueError(
        f"The column names of {name} should match those that were passed during fit: "
        f"expected {list(expected)}, got {list(names)}."
    )


def input_tags_of(transformer: Any) -> Any:
    """Input tags of a transformer, for a Pipeline those of its first step.

    A Pipeline passes the view to its first step untouched but does not pass that
    step's tags on.
    """
    steps = getattr(transformer, "steps", None)
    if isinstance(steps, list) and steps and hasattr(steps[0][1], "fit"):
        return input_tags_of(steps[0][1])
    return get_tags(transformer).input_tags


def takes_images(transformer: Any) -> bool:
    """Whether a view with more than two dimensions can be given to a transformer."""
    if transformer is None:
        return False
    steps = getattr(transformer, "steps", None)
    if isinstance(steps, list) and steps and hasattr(steps[0][1], "fit"):
        return takes_images(steps[0][1])
    tags = get_tags(transformer)
    return bool(tags.input_tags.three_d_array or tags.no_validation)


def transforms_view(estimator: Any, view: str) -> bool:
    """Whether an estimator prepares a view ("x" or "y") by a transformer of its own.

    Such a view may be images or a data frame with columns of several kinds, so
    nobody else can validate it as a table of numbers.
    """
    inner = getattr(estimator, "estimator", None)
    if inner is not None and hasattr(estimator, "predict_x"):
        return transforms_view(inner, "y" if view == "x" else "x")
    return getattr(estimator, f"{view}_transformer", None) is not None


def routing_is_on() -> bool:
    """Whether scikit-learn's metadata routing is enabled."""
    return bool(get_config()["enable_metadata_routing"])


def fit_arguments(owner: Any, role: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments for the inner estimator's ``fit``.

    With metadata routing the inner estimator's requests decide. Without it what
    the caller gave is passed on, and is an error where ``fit`` does not take it:
    a silently dropped ``groups`` would leak rows into the early-stopping set.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if routing_is_on():
        if not given:
            return {}
        routed = process_routing(owner, "fit", **given)
        return dict(routed[role].fit)
    inner = getattr(owner, role)
    # A search takes whatever the estimator in it does.
    accepts = inspect.signature(inner.fit).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepts):
        return given
    for name in given:
        if not has_fit_parameter(inner, name):
            raise ValueError(
                f"{type(inner).__name__}.fit takes no {name}: fit without it, or "
                f"use a {role} whose fit does."
            )
    return given


def flat_r2(
    true: ArrayLike, predicted: ArrayLike, sample_weight: ArrayLike | None
) -> float:
    """scikit-learn's R², uniform average, over views of any shape."""
    # In double precision: squares of large or small values leave single precision.
    true = np.asarray(true, dtype=np.float64)
    predicted = np.asarray(predicted, dtype=np.float64)
    n_rows = true.shape[0]
    return float(
        r2_score(
            true.reshape(n_rows, -1),
            predicted.reshape(n_rows, -1),
            sample_weight=sample_weight,
        )
    )


def seeded(estimator: Any, random_state: Any) -> Any:
    """A clone whose unset seeds are drawn from the state, unless that is None."""
    if not hasattr(estimator, "get_params"):
        return estimator
    copy = clone(estimator)
    if random_state is None:
        return copy
    draw = check_random_state(random_state)
    unset = {
        name: int(draw.randint(2**31 - 1))
        for name, value in sorted(copy.get_params().items())
        if (name == "random_state" or name.endswith("__random_state")) and value is None
    }
    return copy.set_params(**unset)


def seed(random_state: Any) -> dict[str, Any]:
    """Keyword for a ``sample`` method; None leaves the estimator's own seed."""
    return {} if random_state is None else {"random_state": random_state}


def takes_return_std(method: Callable[..., Any]) -> bool:
    """Whether a prediction method has a ``return_std`` parameter."""
    return "return_std" in inspect.signature(method).parameters
