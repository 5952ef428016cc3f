"""SIGINT (Ctrl-C) and SIGTERM: raised, not lost, held back while something starts."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

__all__ = ["Interruption", "interruptions_later"]

_SIGNALS = signal.SIGINT, signal.SIGTERM


class Interruption:
    """Whether SIGINT (Ctrl-C) or SIGTERM came, and which."""

    number: int

    def __init__(self) -> None:
        self.came = False
        self.again: threading.Timer | None = None

    @contextmanager
    def watched(self, *, at_exit: bool) -> Iterator[None]:
        """Raise KeyboardInterrupt at either signal: it cleans up half-written files.

        What was stopped can outlast the command, and complain: nobody hears it where
        the process is ``at_exit`` afterwards.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # A command in the background of a script is not to hear Ctrl-C.
        heard = {
            number: handler
            for number in _SIGNALS
            if (handler := signal.getsignal(number)) not in (None, signal.SIG_IGN)
        }
        hooks = threading.excepthook, sys.unraisablehook
        threading.excepthook = self._silent(hooks[0])
        sys.unraisablehook = self._silent(hooks[1])
        try:
            for number in heard:
                signal.signal(number, self._stop)
            yield
        finally:
            if self.again is not None:
                self.again.cancel()
            for number, handler in heard.items():
                signal.signal(number, handler)
            if not (self.came and at_exit):
                threading.excepthook, sys.unraisablehook = hooks

    def _stop(self, number: int, _: Any) -> NoReturn:
        self.came = True
        self.number = number
        raise KeyboardInterrupt

    def _silent(self, hook: Callable[[Any], object]) -> Callable[[Any], None]:
        """A hook for errors that nobody catches, silent after an interruption."""

        def report(failure: Any) -> None:
            if not self.came:
                hook(failure)
            elif isinstance(failure.exc_value, KeyboardInterrupt):
                # It came in a destructor, or while a process was being started, where
                # Python drops it: once more, in a moment.
                self.again = threading.Timer(0.05, _signal_main_thread, [self.number])
                self.again.daemon = True
                self.again.start()

        return report


def _signal_main_thread(number: int) -> None:
    if sys.platform == "win32":
        signal.raise_signal(number)
    else:  # so that it ends a wait
        main_thread = threading.main_thread().ident
        assert main_thread is not None
        signal.pthread_kill(main_thread, number)


@contextmanager
def interruptions_later() -> Iterator[None]:
    """Hold back what `Interruption` or Python raises at a signal, until the end.

    Raised while Python forks, an interruption can be dropped, and leave a lock behind
    that the end of the process then waits for. Raised while an extension module is
    loaded, it can leave objects behind that the process aborts on at its end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _: held.append(number))
        for number in _SIGNALS
        if callable(signal.getsignal(number))
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if held:
            signal.raise_signal(held[0])
