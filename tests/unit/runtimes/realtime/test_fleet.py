"""The fleet's decisions under every order of events: it converges to the workers asked for, it never retires
the last that serve before others have joined, and it gives up only before anything has ever served."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.runtimes.realtime import fleet

FAILURE = {"stage": "init", "message": "no", "detail": "", "hint": ""}


class World:
    """Performs the fleet's actions on pretend processes, at once or when the test says."""

    def __init__(self, desired: int = 2, *, preload: bool = True) -> None:
        self.now = 0.0
        self.fleet = fleet.Fleet(
            desired=desired, preload=preload, start_timeout_s=60.0, retire_timeout_s=10.0
        )
        self.nurseries: set[int] = set()
        self.loading: dict[int, int] = {}
        self.serving: dict[int, int] = {}
        self.next_pid = 100
        self.gave_up = False
        self.spawn_orders: list[int] = []
        self.perform(self.fleet.reconcile(self.now))

    def perform(self, actions: list[fleet.Action]) -> None:
        for action in actions:
            if action.do == "start-nursery":
                assert action.generation not in self.nurseries
                self.nurseries.add(action.generation)
            elif action.do == "stop-nursery":
                self.nurseries.discard(action.generation)
            elif action.do == "spawn":
                self.spawn_orders.append(action.generation)
            elif action.do == "retire" or action.do == "kill":
                self.exit(action.pid)
            elif action.do == "give-up":
                self.gave_up = True

    def exit(self, pid: int) -> None:
        if self.loading.pop(pid, None) or self.serving.pop(pid, None):
            self.perform(self.fleet.exited(pid, self.now))

    def settle(self, steps: int = 60) -> None:
        """Let everything that is under way succeed, and time pass."""
        for _ in range(steps):
            self.now += 1.0
            for generation in list(self.nurseries):
                self.perform(self.fleet.nursery_ready(generation, self.now))
            while self.spawn_orders:
                self.spawn()
            for pid in list(self.loading):
                self.join(pid)
            self.perform(self.fleet.reconcile(self.now))

    def spawn(self) -> None:
        generation = self.spawn_orders.pop(0)
        if generation in self.nurseries:
            self.next_pid += 1
            self.loading[self.next_pid] = generation
            self.perform(self.fleet.spawned(generation, self.next_pid, self.now))

    def join(self, pid: int) -> None:
        if pid in self.loading:
            self.serving[pid] = self.loading.pop(pid)
            self.perform(self.fleet.joined(pid, self.serving[pid], self.now))


events = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "ready",
                "spawn",
                "join",
                "exit",
                "nursery-dies",
                "load-fails",
                "reload",
                "worn",
                "time",
                "unshareable",
            ]
        ),
        st.integers(0, 5),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(events, st.integers(1, 4))
def test_it_converges_whatever_happens(  # noqa: C901 - one branch an event
    happenings: list[tuple[str, int]], desired: int
) -> None:
    world = World(desired)
    for what, number in happenings:
        if world.gave_up:
            assert not world.fleet.served
            return
        pids = [*world.loading, *world.serving]
        if what == "ready":
            for generation in list(world.nurseries):
                world.perform(world.fleet.nursery_ready(generation, world.now))
        elif what == "spawn" and world.spawn_orders:
            world.spawn()
        elif what == "join" and world.loading:
            before = len(world.serving)
            world.join(list(world.loading)[number % len(world.loading)])
            # A join may retire others, but only once the full strength serves.
            assert len(world.serving) > before or len(world.serving) >= desired
        elif what == "exit" and pids:
            world.exit(pids[number % len(pids)])
        elif what == "nursery-dies" and world.nurseries:
            generation = sorted(world.nurseries)[number % len(world.nurseries)]
            world.nurseries.discard(generation)
            # Orders to a dead process are lost.
            world.spawn_orders = [g for g in world.spawn_orders if g != generation]
            world.perform(world.fleet.nursery_died(generation, world.now))
        elif what == "unshareable" and world.nurseries and world.fleet.preload and not world.loading:
            generation = sorted(world.nurseries)[-1]
            if world.fleet.nurseries[generation].phase == "starting":
                world.nurseries.discard(generation)
                world.perform(world.fleet.nursery_unshareable(generation, world.now))
        elif what == "load-fails" and world.loading:
            pid = sorted(world.loading)[number % len(world.loading)]
            generation = world.loading[pid]
            world.perform(world.fleet.load_failed(generation, FAILURE, world.now))
            world.exit(pid)
        elif what == "reload":
            world.perform(world.fleet.reload(world.now))
        elif what == "worn" and world.serving:
            world.perform(world.fleet.worn(sorted(world.serving)[number % len(world.serving)], world.now))
        elif what == "time":
            world.now += number
            world.perform(world.fleet.reconcile(world.now))
    if world.gave_up:
        return
    world.settle()
    assert len(world.serving) == desired
    assert not world.loading
    assert set(world.serving.values()) == {world.fleet.generation}
    assert world.nurseries == {world.fleet.generation}
    assert not world.fleet.candidate


def test_a_reload_keeps_the_old_until_all_of_the_new_serve() -> None:
    world = World(2)
    world.settle(3)
    old = set(world.serving)
    world.perform(world.fleet.reload(world.now))
    world.perform(world.fleet.nursery_ready(2, world.now))
    world.spawn()
    world.join(next(iter(world.loading)))
    assert old <= set(world.serving)
    world.settle(3)
    assert not old & set(world.serving)
    assert len(world.serving) == 2


def test_a_reload_that_cannot_load_changes_nothing() -> None:
    world = World(1)
    world.settle(3)
    old = set(world.serving)
    world.perform(world.fleet.reload(world.now))
    world.perform(world.fleet.load_failed(2, FAILURE, world.now))
    world.settle(3)
    assert set(world.serving) == old
    assert not world.gave_up


def test_a_load_that_fails_before_anything_served_ends_the_start() -> None:
    world = World(2)
    world.perform(world.fleet.load_failed(1, FAILURE, world.now))
    assert world.gave_up
    assert not world.fleet.load_failed(1, FAILURE, world.now), "every worker says it; it is told once"


def test_a_worker_that_dies_young_again_and_again_is_restarted_ever_later() -> None:
    world = World(1)
    world.settle(3)
    pauses = []
    for _ in range(6):
        world.exit(next(iter(world.serving)))
        pauses.append(max(0.0, world.fleet.not_before - world.now))
        world.now = max(world.now, world.fleet.not_before)
        world.perform(world.fleet.reconcile(world.now))
        world.spawn()
        world.join(next(iter(world.loading)))
    assert pauses == sorted(pauses)
    assert pauses[0] == 0.0 < pauses[-1]


def test_a_worker_that_served_well_is_replaced_at_once() -> None:
    world = World(1)
    world.settle(20)
    world.exit(next(iter(world.serving)))
    assert world.spawn_orders == [1]


def test_loading_that_takes_too_long_fails() -> None:
    world = World(1)
    world.perform(world.fleet.nursery_ready(1, world.now))
    world.spawn()
    world.now += 61
    world.perform(world.fleet.reconcile(world.now))
    assert world.gave_up


def _serving(desired: int = 1) -> World:
    world = World(desired)
    world.settle(3)
    return world


def test_a_worker_may_join_before_its_birth_is_told() -> None:
    """Nursery and gateway speak through different channels."""
    world = World(1)
    world.fleet.nursery_ready(1, 1.0)
    world.fleet.joined(500, 1, 1.1)
    world.fleet.spawned(1, 500, 1.2)
    assert world.fleet.workers[500].phase == fleet.SERVING
    assert world.fleet.nurseries[1].asked == 0


def test_a_worker_of_an_abandoned_generation_never_serves() -> None:
    world = _serving()
    world.fleet.reload(10.0)
    world.fleet.load_failed(2, FAILURE, 11.0)
    assert fleet.Action("kill", pid=700, reason="superseded") in world.fleet.joined(700, 2, 12.0)
    assert 700 not in world.fleet.workers


def test_a_retiring_worker_that_meets_a_new_gateway_retires_there() -> None:
    world = _serving()
    [pid] = world.fleet.workers
    world.fleet.workers[pid].phase = fleet.RETIRING
    assert fleet.Action("retire", pid=pid) in world.fleet.joined(pid, 1, 20.0)


def test_a_nursery_that_cannot_fork_is_asked_again() -> None:
    world = World(1)
    assert [action.do for action in world.fleet.nursery_ready(1, 1.0)] == ["spawn"]
    world.fleet.not_spawned(1, 1.0)
    assert [action.do for action in world.fleet.not_spawned(1, 1.0)] == []
    assert "spawn" in [action.do for action in world.fleet.reconcile(60.0)]


def test_the_serving_generation_is_kept_at_strength_while_another_loads() -> None:
    world = _serving()
    [pid] = world.serving
    world.fleet.reload(100.0)
    assert fleet.Action("spawn", generation=1) in world.fleet.exited(pid, 100.5)


def test_deaths_after_a_success_never_cost_long() -> None:
    world = _serving()
    now = 10.0
    for _ in range(20):
        [pid] = world.serving
        world.perform(world.fleet.exited(pid, now))
        world.serving.clear()
        world.nurseries.clear()
        world.spawn_orders.clear()
        world.perform(world.fleet.nursery_died(1, now))
        began = world.now = now
        while not world.serving:
            world.now += 0.1
            world.perform(world.fleet.reconcile(world.now))
            for generation in list(world.nurseries):
                world.perform(world.fleet.nursery_ready(generation, world.now))
            while world.spawn_orders:
                world.spawn()
            for waiting in list(world.loading):
                world.join(waiting)
        now = world.now
        assert now - began < 1.5


def test_at_the_end_what_loads_is_not_waited_for() -> None:
    world = World(1)
    world.perform(world.fleet.nursery_ready(1, 1.0))
    world.spawn()
    [pid] = world.loading
    assert world.fleet.end() == [fleet.Action("kill", pid=pid, reason="the service ends")]
    assert world.fleet.exited(pid, 2.0) == []
