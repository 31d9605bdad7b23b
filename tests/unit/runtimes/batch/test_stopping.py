"""Signals that stop a job: whoever asks is heard at any time, and nobody is interrupted twice."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from penstock.runtimes.batch.stopping import Stopped, Stops

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_ends_whatever_can_be_resumed(number: signal.Signals) -> None:
    stops = Stops()
    with pytest.raises(Stopped):
        signal.raise_signal(number)
    signal.raise_signal(number)  # what ends is not interrupted
    assert stops.count == 2


def test_work_under_way_is_drained() -> None:
    asked: list[int] = []
    stops = Stops()
    with stops.draining(lambda: asked.append(1)):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert (asked, stops.count) == ([1], 2)


def test_after_the_work_it_is_as_before() -> None:
    stops = Stops()
    with stops.draining(lambda: None):
        pass
    with pytest.raises(Stopped):
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_was_raised_where_nobody_heard_it_is_raised_again() -> None:
    class Deaf:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    stops = Stops()
    unheard = Deaf()
    del unheard
    assert stops.count == 1
    with pytest.raises(Stopped), stops.draining(lambda: None):
        pass


def test_nobody_takes_it_for_an_error() -> None:
    assert not issubclass(Stopped, Exception)


def test_what_was_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stops = Stops()
    signal.raise_signal(signal.SIGHUP)
    assert stops.count == 0
