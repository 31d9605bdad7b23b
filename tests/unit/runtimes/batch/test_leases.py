"""Leases under every order of events: nothing is lost, nothing is done twice at once, nobody idles without need."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.bundle.batch import BatchSettings
from penstock.runtimes.batch import leases, messages
from penstock.runtimes.batch.damage import Damage


class World:
    """Workers that do what the leases say; `events` decides what happens to them."""

    def __init__(self, total: int, **said: object) -> None:
        self.settings = BatchSettings(max_retries=2, timeout_s=5, **said)  # type: ignore[arg-type]
        self.leases = leases.Leases(self.settings, iter(range(total)))
        self.now = 0.0
        self.out: dict[str, list[int]] = {}
        self.finished: list[int] = []
        self.given_up: list[int] = []
        self.killed: list[str] = []
        self.failed = ""

    def perform(self, actions: list[leases.Action]) -> None:
        for action in actions:
            if action.do == "order":
                flat = [number for held in self.out.values() for number in held]
                assert action.number not in flat, "leased twice at once"
                assert action.number not in self.finished
                self.out[action.worker].append(action.number)
            elif action.do == "give-up":
                self.given_up.append(action.number)
            elif action.do == "fail":
                self.failed = f"{action.number}: {action.why}"
            else:
                self.killed.append(action.worker)

    def raise_worker(self, name: str) -> None:
        self.out[name] = []
        self.perform(self.leases.ready(name, self.now))

    def finish(self, worker: str) -> None:
        if self.out.get(worker):
            number = self.out[worker].pop(0)
            self.finished.append(number)
            self.perform(self.leases.done(worker, number, self.now))

    def lose(self, worker: str, phase: str) -> None:
        held = self.out.pop(worker, None)
        if held is None:
            return
        if held:
            self.leases.at(worker, held[0], phase, 0, 0 if phase == messages.READING else 4, self.now)
        self.perform(self.leases.gone(worker, "killed by SIGKILL", self.now))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.perform(self.leases.tick(self.now))


event = st.one_of(
    st.tuples(st.just("finish"), st.integers(0, 3)),
    st.tuples(st.just("lose"), st.integers(0, 3)),
    st.tuples(st.just("raise"), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.floats(0, 3)),
)


@settings(max_examples=200)
@given(st.integers(0, 12), st.lists(event, max_size=40))
def test_every_mini_batch_ends_once(total: int, events: list[tuple[str, float]]) -> None:
    world = World(total)
    births = 0
    for what, value in events:
        names = list(world.out)
        if what == "raise" and len(names) < 4:
            births += 1
            world.raise_worker(f"w{births}")
        elif what == "wait":
            world.wait(value)
        elif names and what == "finish":
            world.finish(names[int(value) % len(names)])
        elif names and what == "lose":
            world.lose(names[int(value) % len(names)], messages.CALLING)
    # From here on all goes well.
    world.raise_worker("last")
    for _ in range(20 * total + 20):
        for name in list(world.out):
            world.finish(name)
        world.wait(1.0)
    assert world.leases.is_idle
    assert sorted(world.finished) == list(range(total))
    assert not world.given_up


def test_a_worker_that_rests_has_its_deadlines_all_the_same() -> None:
    world = World(9)
    world.leases._typical_s = 0.0  # so quick that a worker holds two
    world.raise_worker("a")
    assert len(world.out["a"]) == 2
    world.leases.rest("a")
    world.finish("a")
    assert len(world.out["a"]) == 1, "nothing more"
    assert world.leases.reason_of("a", "killed by SIGSEGV") == "killed by SIGSEGV"
    world.leases.at("a", world.out["a"][0], messages.CALLING, 0, 4, world.now)
    world.wait(6.0)
    assert world.killed == ["a"]
    world.finish("a")
    assert world.leases.reason_of("a", "exit code 0") == "one call took longer than 5 s"


def test_a_worker_that_overstays_is_killed_once_and_its_rows_are_blamed() -> None:
    world = World(1)
    world.raise_worker("a")
    world.leases.at("a", 0, messages.CALLING, 10, 20, 0.0)
    world.wait(4.9)
    assert not world.killed
    world.wait(0.2)
    world.wait(0.2)
    assert world.killed == ["a"]
    world.perform(world.leases.gone("a", "killed by SIGKILL", world.now))
    assert world.leases.damage(0).tries == {(10, 20): 1}


@pytest.mark.parametrize(
    ("asked", "dies_once", "fails"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_a_job_may_fail_where_every_attempt_ran_out_of_time(
    asked: bool, dies_once: bool, fails: bool
) -> None:
    world = World(1, fail_on_timeout=asked)
    for number in range(3):
        assert not world.failed
        world.raise_worker(f"w{number}")
        world.leases.at(f"w{number}", 0, messages.CALLING, 0, 4, world.now)
        world.wait(0.1 if dies_once and number == 1 else 6)
        world.out.pop(f"w{number}")
        world.perform(world.leases.gone(f"w{number}", "killed by SIGKILL", world.now))
        world.wait(30)
    assert world.failed == ("0: one call took longer than 5 s" if fails else "")


def test_a_mini_batch_that_cannot_be_read_is_given_up() -> None:
    world = World(1)
    for number in range(3):
        assert not world.given_up
        world.raise_worker(f"w{number}")
        world.wait(30)
        world.lose(f"w{number}", messages.READING)
    assert world.given_up == [0]
    assert world.leases.is_idle


def test_the_second_lease_of_a_dead_worker_is_not_held_against_it() -> None:
    settings_ = BatchSettings(max_retries=0)
    held = leases.Leases(settings_, iter(range(8)), ahead=True)
    orders = held.ready("a", 0.0)
    assert [action.number for action in orders] == [0, 1]
    held.at("a", 0, messages.CALLING, 0, 5, 0.0)
    held.gone("a", "killed", 0.0)
    assert not held.damage(1).tries
    assert [action.number for action in held.ready("b", 100.0)] == [1, 0]


def test_slow_mini_batches_are_not_hoarded() -> None:
    world = World(6)
    world.raise_worker("a")
    world.now += 3.0
    world.finish("a")
    world.raise_worker("b")
    assert [len(numbers) for numbers in world.out.values()] == [1, 1]


def test_who_has_nothing_left_to_do_is_told_once() -> None:
    world = World(2)
    world.raise_worker("a")
    assert world.leases.take_spare() == []
    world.raise_worker("b")
    world.finish("b")
    world.finish("b")
    assert world.leases.take_spare() == (["b"] if world.out["a"] else ["a", "b"])
    assert world.leases.take_spare() == []


def test_nothing_is_handed_out_after_the_close() -> None:
    world = World(5)
    world.raise_worker("a")
    world.leases.close()
    world.finish("a")
    assert world.out["a"] == []
    assert world.leases.is_idle


@pytest.mark.parametrize("killers", [{0}, {7}, {3, 4}, {0, 15}])
def test_the_search_finds_exactly_the_rows_that_kill(killers: set[int]) -> None:
    damage = Damage(max_retries=1, bisect=True)
    for _ in range(100):
        edges = sorted({0, 16, *damage.splits})
        spans = [
            span
            for span in itertools.pairwise(edges)
            if not any(span[0] >= a and span[1] <= b for a, b, _ in damage.dead)
        ]
        fatal = next((span for span in spans if any(span[0] <= row < span[1] for row in killers)), None)
        if fatal is None:
            break
        damage.hit(fatal, "killed by SIGSEGV")
    assert {start for start, _, _ in damage.dead} == killers
    assert all(stop - start == 1 for start, stop, _ in damage.dead)


def test_without_bisection_the_whole_call_is_dead_after_its_attempts() -> None:
    damage = Damage(max_retries=2, bisect=False)
    assert [damage.hit((0, 8), "hung") for _ in range(3)] == [False, False, True]
    assert damage.dead == [(0, 8, "hung")]


def test_what_a_worker_says_it_does_is_what_it_does() -> None:
    """The files of the second lease may be here before those of the first."""
    held = leases.Leases(BatchSettings(timeout_s=5), iter(range(2)), ahead=True)
    assert len(held.ready("a", 0.0)) == 2
    held.postpone("a", 0)
    held.postpone("a", 1)
    assert held.sent("a", 1, 1.0)
    held.at("a", 1, messages.CALLING, 0, 4, 2.0)
    assert held.first_of("a") == 1
    [kill] = held.tick(7.5)
    assert (kill.do, kill.number) == ("kill", 1)
    held.gone("a", "", 8.0)
    assert held.damage(1).tries == {(0, 4): 1}
    assert not held.damage(0).tries


def test_an_outcome_of_a_worker_that_was_taken_for_dead_ends_the_mini_batch() -> None:
    held = leases.Leases(BatchSettings(max_retries=5), iter([0]))
    held.ready("a", 0.0)
    held.at("a", 0, messages.CALLING, 0, 4, 0.0)
    assert held.gone("a", "silent", 1.0) == []
    held.ready("b", 1.0)
    [again] = held.tick(5.0)
    assert (again.worker, again.attempt) == ("b", 2)
    assert held.done("a", 0, 6.0) == []
    held.at("b", 0, messages.CALLING, 0, 4, 6.0)
    assert held.gone("b", "killed", 7.0) == []
    held.ready("c", 7.0)
    assert held.tick(1000.0) == []
    assert held.is_idle


def test_only_calls_have_the_deadline_of_calls() -> None:
    held = leases.Leases(BatchSettings(timeout_s=1), iter([0]))
    held.ready("a", 0.0)
    held.at("a", 0, messages.CALLING, 0, 4, 0.0)
    held.at("a", 0, messages.WRITING, 0, 4, 0.9)
    assert held.tick(100.0) == []
    held.gone("a", "killed by SIGSEGV", 101.0)
    assert held.damage(0).tries == {(0, 4): 1}, "what is written of a call is that call's"
