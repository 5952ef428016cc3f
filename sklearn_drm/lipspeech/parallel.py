"""Work on many clips in several processes, one result at a time."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing import resource_tracker
from typing import Any

from joblib import Parallel

from sklearn_drm.lipspeech.interruption import interruptions_later

__all__ = ["results_of"]


def results_of(
    calls: Iterable[tuple[Any, ...]], n_jobs: int, *, ordered: bool = True
) -> Generator[Any, None, None]:
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
    cancelled at once and without joblib's advice to have asked for less. The processes
    leave Ctrl-C to this one.

    Examples
    --------
    >>> from joblib import delayed
    >>> from sklearn_drm.lipspeech.parallel import results_of
    >>> list(results_of((delayed(abs)(k) for k in (-2, 1)), 1))
    [2, 1]
    """
    kind = "generator" if ordered else "generator_unordered"
    work: Any = None
    try:
        with _starting() if n_jobs > 1 else nullcontext():
            work = Parallel(n_jobs=n_jobs, return_as=kind, batch_size=1)(calls)
        # ``yield from`` would close it before the advice is silenced.
        for result in work:  # noqa: UP028
            yield result
    finally:
        if work is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                work.close()


@contextmanager
def _starting() -> Iterator[None]:
    """While it lasts, interruptions wait, and new processes get deaf to Ctrl-C."""
    with interruptions_later(), _deaf_processes():
        yield


@contextmanager
def _deaf_processes() -> Iterator[None]:
    # Masks are inherited by processes, handlers are not.
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Two helpers start with the first processes, and both listen again after that.
    resource_tracker.ensure_running()
    with suppress(ImportError):
        from joblib.externals.loky.backend import resource_tracker as joblibs

        joblibs.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
