"""The memory guard: who has a limit, who is replaced, who is killed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.runtimes.batch.memory_guard import MemoryGuard

MB = 10**6


def test_a_limit_that_was_said() -> None:
    guard = MemoryGuard(100 * MB, machine=1000 * MB, workers=4)
    assert guard.born("1", 50 * MB, is_shared=True) == ""
    assert guard.grown("1", 100 * MB) == ""
    assert not guard.is_to_go("1")
    assert guard.grown("1", 110 * MB) == ""
    assert guard.is_to_go("1")
    assert not guard.is_to_go("1"), "it is told once"
    assert "more than the limit of 100 MB" in guard.grown("1", 126 * MB)
    assert "only loaded takes 101 MB" in guard.born("2", 101 * MB, is_shared=False)
    assert guard.grown("a stranger", 2**60) == ""


@pytest.mark.parametrize(("is_shared", "limit"), [(True, 100 + 200), (False, 225)])
def test_else_a_share_of_the_machine(is_shared: bool, limit: int) -> None:
    """Nine tenths of 1,000 MB for four; what all of them share counts once."""
    guard = MemoryGuard(0, machine=1000 * MB, workers=4)
    assert guard.born("1", 100 * MB, is_shared=is_shared) == ""
    assert guard.grown("1", limit * MB) == ""
    assert not guard.is_to_go("1")
    guard.grown("1", limit * MB + 1)
    assert guard.is_to_go("1")


def test_a_model_that_is_too_big_for_all_of_them() -> None:
    guard = MemoryGuard(0, machine=1000 * MB, workers=4)
    assert "its share of the machine's, 225 MB" in guard.born("1", 300 * MB, is_shared=False)


@given(st.integers(0, 2**61), st.booleans())
def test_on_a_machine_that_is_not_known_there_is_none(resident: int, is_shared: bool) -> None:
    guard = MemoryGuard(0, machine=0, workers=2)
    assert guard.born("1", resident, is_shared=is_shared) == ""
    assert guard.grown("1", resident) == ""
    assert not guard.is_to_go("1")
