"""Work on many clips in several processes, one result at a time."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from joblib import Parallel

__all__ = ["results_of"]


def results_of(
    calls: Iterable[tuple[Any, ...]], n_jobs: int, *, ordered: bool = True
) -> Iterator[Any]:
    """Run calls in parallel; an iterator of what they return.

    Parameters
    ----------
    calls : iterable
        What :func:`joblib.delayed` returns.
    n_jobs : int
        Processes.
    ordered : bool, default=True
        Whether results come in the order of the calls, or as they are ready.

    Yields
    ------
    object
        What a call returned.

    Notes
    -----
    Where the consumer stops early, on Ctrl-C for one, what is still running is
    cancelled at once and without joblib's advice to have asked for less.

    Examples
    --------
    >>> from joblib import delayed
    >>> from sklearn_drm.lipspeech.parallel import results_of
    >>> list(results_of((delayed(abs)(k) for k in (-2, 1)), 1))
    [2, 1]
    """
    kind = "generator" if ordered else "generator_unordered"
    work: Any = Parallel(n_jobs=n_jobs, return_as=kind, batch_size=1)(calls)
    try:
        yield from work
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            work.close()
