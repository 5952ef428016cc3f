"""A progress bar for a fit that reports its epochs in words."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from tqdm import tqdm

__all__ = ["fit_progress"]


@contextmanager
def fit_progress() -> Iterator[int]:
    """Show what a regressor prints as one line that is written over.

    Yields
    ------
    int
        The `verbose` to give to the regressor: 2, or 0 where standard error is not
        a terminal and nothing is shown.
    """
    if not sys.stderr.isatty():
        yield 0
        return
    # The number of epochs is not known before the fit stops by itself.
    bar = tqdm(desc="fitting", unit=" epochs", file=sys.stderr)
    with bar, redirect_stdout(_Line(bar)):
        yield 2


class _Line(io.TextIOBase):
    """Text stream that shows its latest line beside a bar."""

    def __init__(self, bar: tqdm) -> None:
        self._bar = bar
        self._text = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._text = (self._text + text).split("\n")
        for line in lines:
            self._bar.set_postfix_str(line.split("] ", 1)[-1][:70], refresh=False)
            self._bar.update()
        return len(text)
