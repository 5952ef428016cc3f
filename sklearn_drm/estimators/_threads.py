"""How many threads the linear algebra of a fit may use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["small_products_on_one_thread"]

# Multiply-adds of a batch's largest matrix product from which more threads pay.
_LARGE_PRODUCT = 2e7


_held = Lock()


@lru_cache(maxsize=1)
def _controller() -> Any:
    return ThreadpoolController()


@contextmanager
def _one_thread() -> Iterator[None]:
    """The controller's own limit, unless a fit in another thread has set it.

    The limit is the process's, and what was before is put back in the order of a
    stack: two that overlap would leave it at 1.
    """
    if not _held.acquire(blocking=False):
        yield
        return
    try:
        with _controller().limit(limits=1, user_api="blas"):
            yield
    finally:
        _held.release()


def small_products_on_one_thread(
    batch_size: int, sizes: list[int]
) -> AbstractContextManager[Any]:
    """Keep BLAS to one thread while a small chain is trained.

    Parameters
    ----------
    batch_size : int
        Rows in a batch.
    sizes : list of int
        Units per layer.

    Returns
    -------
    context manager
        Limits BLAS where the largest product of a batch is small: handing such
        products to several threads costs more than it saves, many times more when
        another process wants the cores, and makes rounding depend on the machine.
    """
    pairs = zip(sizes[:-1], sizes[1:], strict=True)
    largest = batch_size * max(a * b for a, b in pairs)
    if largest >= _LARGE_PRODUCT:
        return nullcontext()
    return _one_thread()
