"""Which request goes to which worker, when. No sockets and no timers here: the gateway brings them.

Batching needs no timer: while the workers are busy, requests queue; a worker that comes free takes all that
fit. A lone request never waits. A model that we load scores a frame in one call; a script is called once a
request, so it is given only as many as it finishes in about a millisecond, and the rest stay in the queue
where any worker may take them.

What happens to requests whose worker dies: those that it had not started go back to the front of the queue.
Those that it had started are scored again, alone, where scoring has no side effects (a model that we load),
so that a request that kills workers is found out and answered 502 by itself; a script's is answered 502 at
once, because nobody can know what its `run` had done. A request past its deadline is answered 504; once the
worker has been at it for as long as a request may take, it is killed, and its fellows in the frame are saved in
the same way. Not before: a request that has waited long has little time left, and that its `run` does not keep
to that is no sign of a hang. Under more load than fits, every worker would be killed for it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

from penstock.runtimes.realtime import metrics

FRAME_S = 0.001
"""A script's frame holds about this much work."""
FRAME_BYTES = 8 * 1024 * 1024
"""A frame holds at most about this many bytes of bodies, unless one body alone is larger."""
STALL_S = 0.1
"""A script's frame that overstays by this much has its waiting requests recalled."""
MOST_ATTEMPTS = 3

DEADLINE_MESSAGE = "The request's deadline passed before it was answered."
QUEUE_MESSAGE = "The request waited too long for a worker; try again later."
CRASH_MESSAGE = "The worker died while it scored this request."


class Caller(Protocol):
    """Who waits for an answer: a connection."""

    def answer(self, entry: Entry, status: int, head: bytes, body: bytes) -> None:
        """Deliver a worker's reply."""

    def refuse(self, entry: Entry, status: int, message: str) -> None:
        """Deliver an answer of our own."""


class Entry:
    """One accepted request. `open` until it is answered or its caller is gone. Times in monotonic seconds."""

    __slots__ = (
        "arrived",
        "attempts",
        "body",
        "caller",
        "counts",
        "deadline",
        "ids",
        "meta",
        "open",
        "sent",
        "solo",
    )

    def __init__(
        self,
        caller: Caller,
        meta: bytes,
        body: bytes,
        ids: bytes,
        counts: metrics.Route,
        now: float,
        deadline: float,
    ) -> None:
        self.caller = caller
        self.meta = meta
        self.body = body
        self.ids = ids
        self.counts = counts
        self.arrived = now
        self.sent = now
        self.deadline = deadline
        self.open = True
        self.attempts = 0
        self.solo = False


class Link:
    """One connected worker. `send` writes a frame to it; `started` tells how many requests of the current
    frame it has begun (scripts; a whole frame otherwise); `recall` asks it to begin no more."""

    def __init__(
        self,
        *,
        pid: int,
        batches: bool,
        send: Callable[[list[Entry]], None],
        retire: Callable[[], None],
        started: Callable[[int], int],
        recall: Callable[[int], None],
    ) -> None:
        self.pid = pid
        self.batches = batches
        self.send = send
        self.retire = retire
        self.started = started
        self.recall = recall
        self.frame: list[Entry] = []
        self.done = 0
        self.frames = 0
        self.since = 0.0
        self.overstays_at = math.inf
        self.recalled = False
        self.retiring = False
        self.doomed = False


class Dispatcher:
    """The queue and the links. `wake` is called when there is work for an idle worker; the gateway then calls
    `pump` once it has read all that has arrived. `overstayed` is told the pid of a worker to be killed."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        wake: Callable[[], None],
        overstayed: Callable[[int], None],
        max_queue: int,
        max_batch_size: int,
        max_queue_wait_s: float,
    ) -> None:
        self._clock = clock
        self._wake = wake
        self._overstayed = overstayed
        self._max_queue = max_queue
        self._max_batch_size = max_batch_size
        self._max_queue_wait_s = max_queue_wait_s
        self._queue: deque[Entry] = deque()
        self._idle: list[Link] = []
        self._busy: set[Link] = set()
        self._run_s = 0.0

    @property
    def queued(self) -> int:
        """Requests that wait for a worker (those whose callers have left included, until they are reached)."""
        return len(self._queue)

    @property
    def running(self) -> int:
        """Requests that workers hold."""
        return sum(len(link.frame) - link.done for link in self._busy)

    @property
    def serving(self) -> int:
        """Workers that are loaded and not on their way out."""
        return sum(not link.retiring and not link.doomed for link in (*self._idle, *self._busy))

    def submit(self, entry: Entry) -> bool:
        """Queue `entry`; False when the queue is full."""
        queue = self._queue
        if len(queue) >= self._max_queue and not self._has_room():
            return False
        queue.append(entry)
        if self._idle:
            self._wake()
        return True

    def _has_room(self) -> bool:
        """Make room before anybody is refused: for those whose callers have left, and by giving idle workers
        at once what they were about to be given."""
        self.pump()
        waiting = [entry for entry in self._queue if entry.open]
        self._queue.clear()
        self._queue.extend(waiting)
        return len(waiting) < self._max_queue

    def pump(self) -> None:
        """Give every idle worker what it should take now."""
        idle = self._idle
        while self._queue and idle:
            frame = self._take(len(idle), idle[-1].batches)
            if not frame:
                return
            link = idle.pop()
            link.frame = frame
            link.done = 0
            link.frames += 1
            link.recalled = False
            link.overstays_at = math.inf
            link.since = now = self._clock()
            for entry in frame:
                entry.sent = now
            self._busy.add(link)
            link.send(frame)

    def _take(self, sharers: int, batches: bool) -> list[Entry]:
        queue = self._queue
        room = min(-(-len(queue) // sharers), self._max_batch_size)
        if not batches:
            room = max(1, min(room, int(FRAME_S / self._run_s))) if self._run_s else 1
        frame: list[Entry] = []
        size = 0
        while queue and room:
            entry = queue[0]
            if not entry.open:
                queue.popleft()
                continue
            size += len(entry.body)
            if frame and (entry.solo or size > FRAME_BYTES):
                break
            frame.append(queue.popleft())
            room -= 1
            if entry.solo:
                break
        return frame

    def join(self, link: Link) -> None:
        """A worker is there and has nothing to do."""
        self._idle.append(link)
        if self._queue:
            self._wake()

    def replied(self, link: Link, answers: list[tuple[int, bytes, bytes]]) -> None:
        """Deliver `answers` to those who wait."""
        frame = link.frame
        at = link.done
        skipped: list[Entry] = []
        for status, head, body in answers:
            entry = frame[at]
            at += 1
            if not entry.open:
                continue
            if status == 0:
                skipped.append(entry)
                continue
            entry.open = False
            entry.caller.answer(entry, status, head, body)
        link.done = at
        if skipped:
            self._put_back(skipped)
        if at == len(frame):
            self._finish(link)

    def _finish(self, link: Link) -> None:
        if not link.batches and link.frame:
            run_s = (self._clock() - link.since) / len(link.frame)
            self._run_s = run_s if run_s > self._run_s else 0.8 * self._run_s + 0.2 * run_s
        link.frame = []
        link.done = 0
        self._busy.discard(link)
        if link.retiring:
            link.retire()
        elif not link.doomed:
            self._idle.append(link)
            if self._queue:
                self._wake()

    def lost(self, link: Link) -> None:
        """A worker's connection has closed: save what can be saved."""
        if link in self._idle:
            self._idle.remove(link)
        self._busy.discard(link)
        rest = link.frame[link.done :]
        started = len(link.frame) if link.batches else link.started(link.frames)
        link.frame = []
        waiting = []
        for index, entry in enumerate(rest, start=link.done):
            if not entry.open:
                continue
            if index >= started:
                waiting.append(entry)
            elif link.batches:
                entry.attempts += 1
                if entry.attempts >= MOST_ATTEMPTS or (entry.solo and entry.attempts > 1):
                    self._refuse(entry, 502, CRASH_MESSAGE)
                else:
                    entry.solo = True
                    waiting.append(entry)
            elif index == started - 1:
                self._refuse(entry, 502, CRASH_MESSAGE)
            else:
                # Its run() had ended, within the last millisecond, but its answer had not left.
                waiting.append(entry)
        self._put_back(waiting)

    def retire(self, pid: int) -> None:
        """Give this worker no more; when it has answered what it holds, let it go."""
        for link in (*self._idle, *self._busy):
            if link.pid == pid and not link.retiring:
                link.retiring = True
                if link in self._idle:
                    self._idle.remove(link)
                    link.retire()

    def pids(self) -> list[int]:
        """The connected workers."""
        return [link.pid for link in (*self._idle, *self._busy)]

    def sweep(self) -> bool:
        """Answer those whose time is up and free those who wait behind a stall; whether anything is pending."""
        now = self._clock()
        self._sweep_queue(now)
        for link in list(self._busy):
            frame = link.frame
            overdue = [e for e in frame[link.done :] if e.open and e.deadline <= now]
            for entry in overdue:
                self._refuse(entry, 504, DEADLINE_MESSAGE)
                link.overstays_at = min(link.overstays_at, link.since + entry.deadline - entry.arrived)
            if link.overstays_at <= now and not link.doomed:
                link.doomed = True
                self._overstayed(link.pid)
            elif self._is_stalled(link, now):
                self._recall(link)
        return bool(self._queue or self._busy)

    def _sweep_queue(self, now: float) -> None:
        queue = self._queue
        while queue:
            entry = queue[0]
            if not entry.open:
                queue.popleft()
            elif entry.deadline <= now:
                queue.popleft()
                self._refuse(entry, 504, DEADLINE_MESSAGE)
            elif self._max_queue_wait_s and now - entry.arrived > self._max_queue_wait_s:
                queue.popleft()
                self._refuse(entry, 429, QUEUE_MESSAGE)
            else:
                return

    @staticmethod
    def _is_stalled(link: Link, now: float) -> bool:
        others_wait = not link.batches and len(link.frame) - link.done > 1
        return others_wait and not link.recalled and now - link.since > STALL_S

    def _recall(self, link: Link) -> None:
        """The worker is long at one request: take back all its others. Those that it has not begun will not
        run there; an answer that it has but has not sent (less than a millisecond old) is made again."""
        link.recalled = True
        link.recall(link.frames)
        running = link.started(link.frames) - 1
        spared = []
        for index in range(link.done, len(link.frame)):
            entry = link.frame[index]
            if index == running or not entry.open:
                continue
            spared.append(entry)
            # The worker answers in the order of the frame; a closed stand-in keeps the place.
            stand_in = Entry(entry.caller, b"", b"", b"", entry.counts, entry.arrived, entry.deadline)
            stand_in.open = False
            link.frame[index] = stand_in
        self._put_back(spared)

    def _put_back(self, entries: list[Entry]) -> None:
        self._queue.extendleft(reversed(entries))
        if entries and self._idle:
            self._wake()

    @staticmethod
    def _refuse(entry: Entry, status: int, message: str) -> None:
        entry.open = False
        entry.caller.refuse(entry, status, message)
