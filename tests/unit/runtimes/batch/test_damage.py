"""The search for rows that kill: every killer is found, and nobody else is condemned."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from penstock.runtimes.batch.damage import Damage


def attempt(damage: Damage, rows: int, call: int, killers: set[int]) -> bool:
    """One attempt of a mini-batch, as a worker does it: calls of `call` rows, cut as the damage says, in order,
    until one kills. Whether it came to its end."""
    edges = {*range(0, rows, call), rows, *damage.splits}
    edges |= {edge for start, stop, _ in damage.dead for edge in (start, stop)}
    marks = sorted(edges)
    for span in itertools.pairwise(marks):
        if any(start <= span[0] < stop for start, stop, _ in damage.dead):
            continue
        if killers & set(range(*span)):
            damage.hit(span, "killed")
            return False
    return True


@given(
    st.integers(1, 60),
    st.integers(1, 25),
    st.integers(0, 3),
    st.booleans(),
    st.sets(st.integers(0, 59), max_size=6),
)
def test_killers_are_found(rows: int, call: int, retries: int, bisect: bool, killers: set[int]) -> None:
    killers = {killer for killer in killers if killer < rows}
    damage = Damage(max_retries=retries, bisect=bisect)
    deaths = 0
    while not attempt(damage, rows, call, killers):
        deaths += 1
        assert deaths <= (len(killers) or 1) * (retries + 12), "the search does not end"
    dead = {row for start, stop, _ in damage.dead for row in range(start, stop)}
    if bisect:
        assert dead == killers
    else:
        spans = {row // call for row in killers}
        assert dead == {row for row in range(rows) if row // call in spans}
    assert bool(damage.tries) == bool(killers)


def test_a_call_is_tried_as_often_as_is_said() -> None:
    damage = Damage(max_retries=2, bisect=False)
    assert [damage.hit((0, 4), "") for _ in range(3)] == [False, False, True]
    assert [damage.lost() for _ in range(3)] == [False, False, True]
