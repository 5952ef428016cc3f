"""What a person sees of a fit: lines, a bar, or scikit-learn's callbacks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = [
    "CallbackSupport",
    "FitReport",
    "begin_report",
    "callback_data",
    "propagated",
    "with_callbacks",
]

try:
    # Experimental in scikit-learn 1.9; earlier versions have none.
    from sklearn.callback import CallbackSupportMixin as CallbackSupport
    from sklearn.callback import with_callbacks
except ImportError:

    class CallbackSupport:  # type: ignore[no-redef]
        """Nothing: this scikit-learn has no callbacks."""

    def with_callbacks(method: Any) -> Any:
        """The method as it is."""
        return method


_PHASES = {
    "pretrain": "pre-training",
    "y": "fine-tuning x -> y",
    "x": "fine-tuning y -> x",
    "joint": "fine-tuning both ways",
}


class FitReport:
    """Tells of the epochs of a fit as they end.

    Parameters
    ----------
    estimator : estimator
        Whose fit it is.
    context : CallbackContext or None
        scikit-learn's record of the fit, where callbacks are set.
    data : mapping
        What callbacks may score by: ``X``, ``y`` and ``metadata`` as ``fit`` got them.
    """

    def __init__(self, estimator: Any, context: Any, data: Mapping[str, Any]) -> None:
        self._estimator = estimator
        self._data = data
        self._verbose = int(estimator.verbose)
        self._context = context
        self._task: Any = None
        self._bar: Any = None
        self._label, self._n_epochs, self._start = "", 0, time.perf_counter()
        # Whether what begins next learns from all rows, none held out any more.
        self.all_rows = False
        # Gives the fitted attributes that the estimator would have if fit ended now.
        self.state: Callable[[], dict[str, Any]] | None = None

    def begin(self, phase: str, n_epochs: int) -> None:
        """A phase of at most ``n_epochs`` epochs starts."""
        self._label = _PHASES[phase] + (", all rows" if self.all_rows else "")
        self._n_epochs = n_epochs
        self._start = time.perf_counter()
        if self._context is not None:
            self._task = self._context.subcontext(
                task_name=self._label, max_subtasks=n_epochs
            ).call_on_fit_task_begin(estimator=self._estimator)
        elif self._verbose == 1:
            self._bar = _bar(self._label, n_epochs)

    def epoch(self, epoch: int, loss: float, scores: Mapping[str, float]) -> bool:
        """Epoch number ``epoch``, from 0, ended with this loss and held-out R².

        Returns
        -------
        bool
            Whether a callback asks to end the phase.
        """
        stop = False
        if self._task is not None:
            leaf = self._task.subcontext(task_name="epoch")
            leaf.call_on_fit_task_begin(estimator=self._estimator)
            stop = bool(
                leaf.call_on_fit_task_end(
                    estimator=self._estimator,
                    reconstruction_attributes=self.state,
                    **self._data,
                )
            )
        if self._bar is not None:
            self._bar.set_postfix_str(
                f"loss {loss:.4g}{_held_out(scores)}", refresh=False
            )
            self._bar.update()
        if self._verbose > 1:
            self._line(
                f", epoch {epoch + 1}/{self._n_epochs}: loss {loss:.4g}"
                f"{_held_out(scores)}"
            )
        return stop

    def end(self, losses: list[float], scores: Mapping[str, float]) -> None:
        """The phase is over; ``scores`` are the best of each direction."""
        if self._task is not None:
            self._task.call_on_fit_task_end(estimator=self._estimator)
            self._task = None
        self.close()
        if self._verbose and losses:
            way = " -> ".join(f"{loss:.4g}" for loss in (losses[0], losses[-1]))
            said = f"{len(losses)} epochs, loss {way}"
            if len(losses) == 1:
                said = f"1 epoch, loss {losses[0]:.4g}"
            self._line(f": {said}{_held_out(scores)}")

    def close(self) -> None:
        """Take the bar away, if there is one."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _line(self, text: str) -> None:
        seconds = time.perf_counter() - self._start
        name = type(self._estimator).__name__
        print(f"[{name}] {self._label}{text}, {seconds:.1f} s", flush=True)


def _held_out(scores: Mapping[str, float]) -> str:
    parts = [f"{view} {value:.4f}" for view, value in scores.items()]
    return f", held-out R2 {' '.join(parts)}" if parts else ""


def _bar(label: str, n_epochs: int) -> Any:
    """A bar on a terminal where tqdm is installed, else None."""
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(desc=label, total=n_epochs, unit=" epochs", leave=False)


def callback_data(X: Any, y: Any, sample_weight: Any) -> dict[str, Any]:
    """What ``fit`` got, as callbacks are given it."""
    weights = None if sample_weight is None else {"sample_weight": sample_weight}
    return {"X": X, "y": y, "metadata": weights}


@contextmanager
def begin_report(
    estimator: Any, n_phases: int, data: Mapping[str, Any]
) -> Iterator[FitReport | None]:
    """The report of a fit; None where nobody looks.

    Parameters
    ----------
    estimator : estimator
        With ``verbose``, and callbacks where scikit-learn has them.
    n_phases : int
        Phases that the fit will have.
    data : mapping
        As in :class:`FitReport`.

    Yields
    ------
    FitReport or None
        What to tell of each phase.
    """
    context = None
    # Under a meta-estimator its callbacks need the tree even without own ones.
    told = getattr(estimator, "_skl_callbacks", None)
    if told or hasattr(estimator, "_parent_callback_ctx"):
        context = estimator._init_callback_context(max_subtasks=n_phases)
        context.call_on_fit_task_begin(estimator=estimator)
    if context is None and not estimator.verbose:
        yield None
        return
    report = FitReport(estimator, context, data)
    try:
        yield report
        if context is not None:
            context.call_on_fit_task_end(
                estimator=estimator, reconstruction_attributes={}, **data
            )
    finally:
        report.close()


@contextmanager
def propagated(
    estimator: Any, inner: Any, role: str, data: Mapping[str, Any]
) -> Iterator[None]:
    """Give a meta-estimator's callbacks to what it fits, for that long.

    Parameters
    ----------
    estimator : estimator
        The meta-estimator, in its ``fit``.
    inner : estimator
        What it is about to fit.
    role : str
        The meta-estimator's parameter that holds it.
    data : mapping
        As in :class:`FitReport`; by then the meta-estimator has to be fitted.
    """
    told = getattr(estimator, "_skl_callbacks", None)
    if not (told or hasattr(estimator, "_parent_callback_ctx")):
        yield
        return
    context = estimator._init_callback_context(max_subtasks=1)
    context.call_on_fit_task_begin(estimator=estimator)
    task = context.subcontext(task_name=f"fit-{role}")
    task.call_on_fit_task_begin(estimator=estimator)
    with task.propagate_callback_context(inner):
        yield
    task.call_on_fit_task_end(estimator=estimator)
    context.call_on_fit_task_end(
        estimator=estimator, reconstruction_attributes={}, **data
    )
