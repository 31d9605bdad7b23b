"""What is judged of processes from what is seen of them."""

from __future__ import annotations

from penstock.runtimes.realtime.health import SILENT_S, STARTING_S, MemoryLimit, Pulse, TwoLooks


def test_silence_counts_from_an_unanswered_ping() -> None:
    pulse = Pulse()
    pulse.ping(1.0)
    pulse.heard()
    assert not pulse.is_silent(1000.0), "the supervisor has slept; nobody was asked meanwhile"
    assert pulse.is_due(1000.0)
    pulse.ping(1000.0)
    assert not pulse.is_due(1002.0)
    assert not pulse.is_silent(1000.0 + SILENT_S)
    assert pulse.is_silent(1000.1 + SILENT_S)


def test_a_first_word_may_take_long() -> None:
    pulse = Pulse()
    pulse.ping(0.0)
    assert not pulse.is_silent(SILENT_S + 1)
    assert pulse.is_silent(STARTING_S + 1)


def test_a_brief_stop_is_forgiven() -> None:
    looks = TwoLooks()
    assert looks.look({1, 2}) == set()
    assert looks.look({1, 3}) == {1}
    assert looks.look({1}) == set(), "another process may have been given the number"


def test_who_was_born_too_big_is_not_replaced() -> None:
    memory = MemoryLimit(100)
    memory.born(1, 50)
    memory.born(2, 120)
    assert not memory.has_outgrown(1, 100)
    assert memory.has_outgrown(1, 101)
    assert not memory.is_hopeless
    assert not memory.has_outgrown(2, 200)
    assert memory.is_hopeless
    assert not MemoryLimit(0).has_outgrown(3, 10**12)
