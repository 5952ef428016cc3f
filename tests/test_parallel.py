"""Work in several processes, and interruptions while it starts or runs."""

from __future__ import annotations

import signal
import sys
import time
import warnings

import pytest
from joblib import delayed
from joblib.externals.loky import get_reusable_executor

from sklearn_drm.lipspeech import parallel
from sklearn_drm.lipspeech.parallel import results_of

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
BOTH = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture
def raising():
    """Both signals raise KeyboardInterrupt, as under the command."""

    def stop(*_):
        raise KeyboardInterrupt

    before = [signal.signal(number, stop) for number in BOTH]
    yield stop
    assert [signal.getsignal(number) for number in BOTH] == [stop, stop]
    for number, handler in zip(BOTH, before, strict=True):
        signal.signal(number, handler)


def last_first(number):
    time.sleep(0.4 if number == 0 else 0)
    return number


def when_the_last_is_done(number, done):
    """The first call waits for the last one."""
    while number == 0 and not done.exists():
        time.sleep(0.01)
    if number == 3:
        done.touch()
    return number


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_results_come_in_order(n_jobs):
    calls = [delayed(last_first)(number) for number in range(4)]
    assert list(results_of(calls, n_jobs)) == [0, 1, 2, 3]


def test_results_come_as_they_are_ready(tmp_path):
    done = tmp_path / "done"
    calls = [delayed(when_the_last_is_done)(number, done) for number in range(4)]
    ready = list(results_of(calls, 2, ordered=False))
    # The first and the last end at the same time.
    assert ready[:2] == [1, 2]
    assert sorted(ready) == [0, 1, 2, 3]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_consumer_that_stops_early_gets_no_advice(n_jobs):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        work = results_of((delayed(last_first)(k % 2) for k in range(20)), n_jobs)
        assert next(work) == 0
        work.close()
        del work
    assert not told


@posix
def test_processes_hear_sigterm_and_not_ctrl_c():
    # Not those that another test has started.
    get_reusable_executor().shutdown()
    calls = [delayed(signal.pthread_sigmask)(signal.SIG_BLOCK, []) for _ in range(4)]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    for blocked in results_of(calls, 3):
        assert signal.SIGINT in blocked
        assert signal.SIGTERM not in blocked
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


@posix
@pytest.mark.parametrize("number", BOTH)
def test_an_interruption_waits_until_the_processes_have_started(
    monkeypatch, raising, number
):
    events = []

    class Starting:
        def __init__(self, **_):
            pass

        def __call__(self, calls):
            signal.raise_signal(number)
            events.append("started")
            return self

        def close(self):
            events.append("closed")

    monkeypatch.setattr(parallel, "Parallel", Starting)
    with pytest.raises(KeyboardInterrupt):
        next(results_of([], 2))
    assert events == ["started", "closed"]
