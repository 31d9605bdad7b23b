"""The dispatcher under every order of arrivals, answers, deaths and deadlines: each accepted request is answered
exactly once, with its own answer, and a script's request never starts again once it may have run."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from penstock.runtimes.realtime import dispatch, metrics

COUNTS = metrics.Metrics("test").score


class Caller:
    """Records what it is told; a real connection does the same with bytes."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.told: list[tuple[int, bytes]] = []

    def answer(self, entry: dispatch.Entry, status: int, head: bytes, body: bytes) -> None:
        self.told.append((status, body))

    def refuse(self, entry: dispatch.Entry, status: int, message: str) -> None:
        self.told.append((status, b""))


class FakeWorker:
    """A worker as the dispatcher sees it, driven by the machine step by step."""

    def __init__(self, machine: DispatcherMachine, pid: int, *, batches: bool) -> None:
        self.machine = machine
        self.frame: list[bytes] = []
        self.begun = 0
        self.answered = 0
        self.recalled = False
        self.retired = False
        self.link = dispatch.Link(
            pid=pid,
            batches=batches,
            send=self.send,
            retire=self.retire,
            started=lambda frame: self.begun,
            recall=self.recall,
        )

    def send(self, frame: list[dispatch.Entry]) -> None:
        assert self.answered == len(self.frame), "a frame was sent to a busy worker"
        self.frame = [entry.body for entry in frame]
        self.begun = self.answered = 0
        self.recalled = False

    def retire(self) -> None:
        self.retired = True

    def recall(self, frame: int) -> None:
        self.recalled = True

    def begin(self) -> None:
        body = self.frame[self.begun]
        self.begun += 1
        self.machine.runs[body] = self.machine.runs.get(body, 0) + 1


class DispatcherMachine(RuleBasedStateMachine):
    """Arrivals, answers, deaths, departures and time, in any order."""

    workers = Bundle("workers")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.callers: dict[int, Caller] = {}
        self.entries: dict[int, dispatch.Entry] = {}
        self.runs: dict[bytes, int] = {}
        self.wakes = 0
        self.doomed: list[int] = []
        self.live: dict[int, FakeWorker] = {}
        self.batches: bool | None = None
        self.dispatcher = dispatch.Dispatcher(
            clock=lambda: self.now,
            wake=self.wake,
            overstayed=self.doomed.append,
            max_queue=8,
            max_batch_size=4,
            max_queue_wait_s=0.0,
        )

    def wake(self) -> None:
        self.wakes += 1

    @rule(target=workers, batches=st.booleans())
    def join(self, batches: bool) -> FakeWorker:
        if self.batches is None:
            self.batches = batches
        worker = FakeWorker(self, len(self.live) + 100 * len(self.runs) + 1, batches=self.batches)
        self.live[id(worker)] = worker
        self.dispatcher.join(worker.link)
        return worker

    @rule()
    def arrive(self) -> None:
        number = len(self.callers)
        caller = self.callers[number] = Caller(number)
        entry = dispatch.Entry(caller, b"", b"%d" % number, b"", COUNTS, self.now, self.now + 5)
        self.entries[number] = entry
        if not self.dispatcher.submit(entry):
            assert self.dispatcher.queued >= 8
            entry.open = False
            caller.told.append((429, b""))

    @rule()
    def pump(self) -> None:
        self.dispatcher.pump()

    @precondition(lambda self: any(not c.told for c in self.callers.values()))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from([n for n, c in self.callers.items() if not c.told]))
        self.entries[number].open = False
        self.callers[number].told.append((0, b"left"))

    @rule(worker=workers)
    def work(self, worker: FakeWorker) -> None:
        if id(worker) not in self.live or worker.answered == len(worker.frame):
            return
        if worker.link.batches:
            while worker.begun < len(worker.frame):
                worker.begin()
            answers = [(200, b"", b"to " + body) for body in worker.frame]
        elif worker.recalled and worker.begun == worker.answered:
            answers = [(0, b"", b"")] * (len(worker.frame) - worker.answered)
            worker.begun = len(worker.frame)
        else:
            if worker.begun == worker.answered:
                worker.begin()
            answers = [(200, b"", b"to " + worker.frame[worker.answered])]
        worker.answered += len(answers)
        self.dispatcher.replied(worker.link, answers)

    @rule(worker=workers)
    def begin_and_hang(self, worker: FakeWorker) -> None:
        if (
            id(worker) in self.live
            and worker.begun == worker.answered < len(worker.frame)
            and not worker.recalled
        ):
            worker.begin()

    @rule(worker=consumes(workers))
    def die(self, worker: FakeWorker) -> None:
        if self.live.pop(id(worker), None) is not None:
            if worker.link.batches:
                worker.begun = len(worker.frame)
            self.dispatcher.lost(worker.link)

    @rule(seconds=st.sampled_from([0.01, 0.2, 1.0, 6.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.dispatcher.sweep()

    @invariant()
    def nobody_is_told_twice_or_wrongly(self) -> None:
        for number, caller in self.callers.items():
            assert len(caller.told) <= 1, f"{number} was told {caller.told}"
            for status, body in caller.told:
                if status == 200:
                    assert body == b"to %d" % number

    @invariant()
    def work_for_the_idle_is_announced(self) -> None:
        # Whenever someone waits while a worker is idle, a wake has been asked for since.
        if not self.wakes:
            assert not (any(e.open for e in self.dispatcher._queue) and self.dispatcher._idle)

    def teardown(self) -> None:
        """A healthy worker comes; in the end everybody has been told something."""
        for worker in list(self.live.values()):
            self.dispatcher.lost(worker.link)
        self.live.clear()
        worker = FakeWorker(self, 9999, batches=bool(self.batches))
        self.live[id(worker)] = worker
        self.dispatcher.join(worker.link)
        for _ in range(100):
            self.dispatcher.pump()
            while worker.answered < len(worker.frame):
                self.work(worker)
        for number, caller in self.callers.items():
            assert len(caller.told) == 1, f"{number} was told {caller.told}"
        if self.batches is False:
            # Nothing here is ever completed but unsent, so no run() may have happened twice.
            assert all(count == 1 for count in self.runs.values()), self.runs


DispatcherMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_every_request_is_answered_once = DispatcherMachine.TestCase


def _dispatcher(now: list[float], doomed: list[int]) -> dispatch.Dispatcher:
    return dispatch.Dispatcher(
        clock=lambda: now[0],
        wake=lambda: None,
        overstayed=doomed.append,
        max_queue=100,
        max_batch_size=64,
        max_queue_wait_s=0.5,
    )


def _link(sent: list[list[bytes]], *, batches: bool, started: int = 0, pid: int = 1) -> dispatch.Link:
    return dispatch.Link(
        pid=pid,
        batches=batches,
        send=lambda frame: sent.append([entry.body for entry in frame]),
        retire=lambda: None,
        started=lambda frame: started,
        recall=lambda frame: None,
    )


def _entries(dispatcher: dispatch.Dispatcher, count: int, deadline: float = 5.0) -> list[Caller]:
    callers = [Caller(n) for n in range(count)]
    for caller in callers:
        assert dispatcher.submit(
            dispatch.Entry(caller, b"", b"%d" % caller.number, b"", COUNTS, 0.0, deadline)
        )
    return callers


def test_a_free_worker_takes_all_that_wait_and_two_share() -> None:
    dispatcher, sent = _dispatcher([0.0], []), []
    dispatcher.join(_link(sent, batches=True))
    _entries(dispatcher, 5)
    dispatcher.pump()
    assert [len(frame) for frame in sent] == [5]

    dispatcher, sent = _dispatcher([0.0], []), []
    for pid in (1, 2):
        dispatcher.join(_link(sent, batches=True, pid=pid))
    _entries(dispatcher, 5)
    dispatcher.pump()
    assert sorted(len(frame) for frame in sent) == [2, 3]


def test_a_request_that_kills_workers_is_found_out_alone() -> None:
    dispatcher, sent = _dispatcher([0.0], []), []
    link = _link(sent, batches=True)
    dispatcher.join(link)
    callers = _entries(dispatcher, 3)
    dispatcher.pump()
    dispatcher.lost(link)
    for poisoned in range(3):
        link = _link(sent, batches=True)
        dispatcher.join(link)
        dispatcher.pump()
        assert sent[-1] == [b"%d" % poisoned]
        if poisoned == 1:
            dispatcher.lost(link)
        else:
            dispatcher.replied(link, [(200, b"", b"fine")])
            dispatcher.lost(link)
    assert [caller.told[0][0] for caller in callers] == [200, 502, 200]


def test_only_the_request_that_overstays_fails() -> None:
    now, doomed = [0.0], []
    dispatcher, sent = _dispatcher(now, doomed), []
    link = _link(sent, batches=False, started=1, pid=7)
    dispatcher.join(link)
    dispatcher._run_s = 0.0001
    callers = _entries(dispatcher, 3)
    dispatcher.pump()
    assert len(sent[0]) == 3
    now[0] = 0.2
    dispatcher.sweep()
    assert dispatcher.queued == 2, "those behind the stall wait where any worker may take them"
    other = _link(sent, batches=False, pid=8)
    dispatcher.join(other)
    dispatcher.pump()
    dispatcher.replied(other, [(200, b"", b"fine")] * len(sent[-1]))
    now[0] = 5.1
    dispatcher.sweep()
    assert doomed == [7]
    assert [caller.told[0][0] for caller in callers] == [504, 200, 200]


def test_a_wait_over_the_limit_is_refused() -> None:
    now: list[float] = [0.0]
    dispatcher = _dispatcher(now, [])
    callers = _entries(dispatcher, 1)
    now[0] = 0.6
    dispatcher.sweep()
    assert callers[0].told == [(429, b"")]


def test_a_worker_is_not_killed_for_a_request_that_waited_long() -> None:
    now, doomed = [0.0], []
    dispatcher = _dispatcher(now, doomed)
    link = _link([], batches=False, started=1, pid=7)
    [late] = _entries(dispatcher, 1)
    now[0] = 0.4
    dispatcher.join(link)
    dispatcher.pump()
    now[0] = 5.1
    dispatcher.sweep()
    assert late.told[0][0] == 504
    assert not doomed, "it has had 4.7 s of the 5 that a request may take"
    dispatcher.replied(link, [(200, b"", b"too late")])
    assert len(late.told) == 1
    [second] = _entries(dispatcher, 1, deadline=5.2)
    dispatcher.pump()
    now[0] = 5.3
    assert dispatcher.sweep()
    assert not doomed, "another frame, another clock"
    now[0] = 10.4
    dispatcher.sweep()
    assert doomed == [7]
    assert second.told[0][0] == 504


def test_nobody_is_refused_while_a_worker_is_idle() -> None:
    dispatcher, sent = _dispatcher([0.0], []), []
    dispatcher.join(_link(sent, batches=False))
    _entries(dispatcher, 100)
    assert not sent, "the gateway has not pumped yet"
    _entries(dispatcher, 1)
    assert len(sent) == 1
    caller = Caller(101)
    assert not dispatcher.submit(dispatch.Entry(caller, b"", b"101", b"", COUNTS, 0.0, 5.0))
