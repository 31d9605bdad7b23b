"""A job's log files, laid out as Azure ML's parallel jobs lay them out: ``logs/`` in the job's folder, one tree
for every job, so that whoever knows where to look there knows where to look here. Its `readme.txt` says what is
where.

The driver writes all of it: workers, wherever they run, only tell. Driver only.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from penstock.errors import PenstockError
from penstock.runtimes.batch.messages import Outcome
from penstock.runtimes.batch.reports import bounded_files, perf_log, progress
from penstock.runtimes.batch.tally import Tally

FLUSH_S = 0.2
"""Seconds after which what was told reaches the files."""

OVERVIEW_S = 10.0
"""Seconds between two versions of the overview."""

README = f"""What is where in this folder. Times are UTC.

job_progress_overview.txt
    How far the job is: mini-batches, items, rate; and what became of it. Rewritten every {OVERVIEW_S:g} s.
sys/master_role.txt
    What the driver decided, line by line: the plan, workers that came and were lost, mini-batches that were tried
    again or given up, the verdict, what was published.
sys/node/<node>/process<n>.txt
    Every mini-batch that this worker finished: items, failed items, when it began, seconds.
user/error.txt
    Every failed mini-batch once, with its error and traceback, the first failure first.
user/error/<node>/process<n>.txt
    The same by worker.
user/stdout/<node>/process<n>.stdout.txt
user/stderr/<node>/process<n>.stderr.txt
user/entry_script_log/<node>/process<n>.log.txt
    What the script printed, and what it logged (logging, EntryScript().logger).
perf/<node>/node_resource_usage.csv, processes_resource_usage.csv, node_disk_usage.csv
perf/<node>/os/%Y%m%d%H/processes_%M
    What the driver's machine was busy with, at the start, at the end, and every {perf_log.INTERVAL_S:g} s, or as
    often as the job says.

<node> is the machine's IP address, or on a Ray cluster agent-<n>. process<n> is the job's nth worker there; one
that takes the place of a lost worker has a number of its own. process0 is the process that loads the model, from
which the others are forked: with it stands what cannot be told apart, such as what C libraries write.

A file holds {bounded_files.FILE_BYTES:,} bytes at most, and all that scripts print and log in one run takes
{bounded_files.TOTAL_BYTES:,} bytes at most; a file that is cut says so in its last line. A resumed job goes on in
the same files.
"""

SCRIPTS_OWN = "user/entry_script_log"
"""What scripts log by ``EntryScript``, and in their node's folder what they write there themselves."""

_STREAMS = {
    "stdout": ("user/stdout", ".stdout.txt"),
    "stderr": ("user/stderr", ".stderr.txt"),
    "log": (SCRIPTS_OWN, ".log.txt"),
}
_MASTER = "sys/master_role.txt"
_ERRORS = "user/error.txt"
_WORKER = re.compile(r"(?:(.+)[.-])?(\d+)")
"""A worker's name: its number, on a cluster after its agent's."""


class LogTree:
    """The log files of one run under `folder`; nothing is there before `begin`, or an end before that.

    `tally` is the driver's, read for the overview. `noun`: rows or files. `now` of all methods is monotonic.
    """

    def __init__(
        self,
        folder: Path,
        tally: Tally,
        *,
        noun: str,
        node: str = "",
        interval_s: float = perf_log.INTERVAL_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._tally = tally
        self._noun = noun
        self._node = node or this_node()
        self._clock = clock
        # Apart, so that a script that prints without end does not silence what we say.
        self._told = bounded_files.BoundedFiles(folder)
        self._files = bounded_files.BoundedFiles(folder)
        self._perf = perf_log.PerfLog(
            self._files, f"perf/{self._node}", place=folder.parent, interval_s=interval_s
        )
        self._names: dict[str, tuple[str, str]] = {"": (self._node, "process0")}
        self._pids: dict[int, str] = {}
        self._last: dict[str, str] = {}
        self._planned = 0
        self._items_before = 0
        self._began = self._next = self._next_flush = 0.0
        self._result = "running"
        self._is_begun = False

    # What the driver decides

    def begin(self, planned: int, now: float) -> None:
        """The plan stands: so many mini-batches, of which the tally knows those that an earlier run has done."""
        self._planned, self._began, self._items_before = planned, now, self._tally.items
        self._is_begun = True
        self._replace("readme.txt", README)
        done = self._tally.mini_batches
        before = f", {done:,} of them done by an earlier run" if done else ""
        self.decided(f"planned: {planned:,} mini-batches{before}; driver {os.getpid()} on {self._node}")

    def decided(self, text: str) -> None:
        """A line of what the driver does and why."""
        self._files.write(_MASTER, f"{self._time()} {_one_line(text)}\n")

    def ready(self, worker: str, pid: int) -> None:
        """`worker` has loaded and takes work."""
        node, process = self._place(worker)
        if node == self._node and pid:
            self._pids[pid] = process
        self.decided(f"worker ready: {process} on {node}, pid {pid}")
        self._files.write(
            f"sys/node/{node}/{process}.txt", f"{self._time()} {process} on {node}, pid {pid}, is ready\n"
        )

    def lost(self, worker: str, number: int, why: str) -> None:
        """`worker` ended while it was at mini-batch `number` (-1: at none)."""
        node, process = self._place(worker)
        at = f" at mini-batch {number}" if number >= 0 else ""
        self.decided(f"worker lost: {process} on {node}{at}: {why}")
        self._files.write(f"sys/node/{node}/{process}.txt", f"{self._time()} lost{at}: {_one_line(why)}\n")

    def ordered(self, worker: str, number: int, attempt: int) -> None:
        """Mini-batch `number` was handed to `worker`; only what is tried again is worth a line."""
        if attempt > 1:
            node, process = self._place(worker)
            self.decided(f"mini-batch {number} is tried again by {process} on {node}, attempt {attempt}")

    # What came back

    def worker(self, worker: str, content: Mapping[str, Any]) -> None:
        """Something that `worker` wrote: the content of a ``log`` event. `worker` is empty where nobody knows who.
        What engines say themselves has no stream."""
        text = content["text"]
        if content.get("stream") not in _STREAMS:
            self.decided(f"{content['level']}: {text}")
            return
        above, ending = _STREAMS[content["stream"]]
        node, process = self._place(worker)
        name = f"{above}/{node}/{process}{ending}"
        at = content.get("request", "")
        if content["stream"] == "log":
            about = f"{self._time()}|{content['level'].upper()}|{content.get('logger', 'root')}|{at}|"
            self._told.write(name, f"{about}{text}\n")
        elif self._last.get(name, "") != at:
            # What a script prints stands there as it is; a line above says which mini-batch it belongs to.
            self._last[name] = at
            self._told.write(name, f"--- {self._time()} {at or 'between mini-batches'}\n{text}\n")
        else:
            self._told.write(name, f"{text}\n")

    def outcome(self, worker: str, outcome: Outcome) -> None:
        """What came of a mini-batch; `worker` is empty for one that was given up."""
        if worker:
            node, process = self._place(worker)
            took = outcome.reading_s + outcome.scoring_s + outcome.writing_s
            began = _stamp(self._clock() - took)
            self._files.write(
                f"sys/node/{node}/{process}.txt",
                f"{self._time()} mini-batch {outcome.number}: {outcome.items} {self._noun}, "
                f"{outcome.items - outcome.failed} succeeded, {outcome.failed} failed, "
                f"{outcome.rows} in the result; attempt {outcome.attempt}, began {began}, took {took:.3f} s "
                f"(reading {outcome.reading_s:.3f}, run {outcome.scoring_s:.3f}, "
                f"writing {outcome.writing_s:.3f}), CPU {outcome.cpu_s:.3f} s\n",
            )
        else:
            self.decided(f"mini-batch {outcome.number} is given up: {outcome.error}")
        if outcome.error:
            what = f"mini-batch {outcome.number}, {outcome.failed} of {outcome.items} {self._noun} failed"
            self._error(worker, what, outcome.error, outcome.traceback)

    def not_loaded(self, failure: Mapping[str, Any]) -> None:
        """The scorer could not be loaded: the content of a ``load-failed`` event."""
        self._error("", f"loading failed ({failure['stage']})", failure["message"], failure["detail"])

    # The course and the end

    def tick(self, now: float) -> None:
        """Time has passed: where it is time, what was told reaches the files, the overview is rewritten, and the
        perf log takes a look."""
        if now < self._next_flush:
            return
        self._next_flush = now + FLUSH_S
        self._told.flush()
        self._files.flush()
        if now >= self._next:
            self._overview(now)
            self._perf.tick(now, self._pids)

    def published(self, summary: Mapping[str, Any], text: str, now: float) -> None:
        """The job is done; `summary` and `text` are those of `closing`. One that was done before is not
        logged again."""
        if self._is_begun:
            self.decided(
                f"published: {summary['rows']:,} rows, {summary['output_files']:,} files, "
                f"{summary['output_bytes']:,} bytes: {summary['output']}"
            )
            self.decided("verdict: done")
            self._end(f"done\n\n{text}", now)

    def failed(self, error: PenstockError, now: float) -> None:
        """The job is lost."""
        hint = f"\n\n{error.hint}" if error.hint else ""
        self.decided(f"verdict: failed: {error.message}")
        where = "user/error.txt" if self._files.has(_ERRORS) else _MASTER
        self._end(f"failed: {error.message}{hint}\n\nBegin with {where} in this folder.", now)

    def stopped(self, now: float) -> None:
        """Somebody stopped it."""
        self.decided("verdict: stopped; it can be resumed")
        self._end("stopped; it can be resumed", now)

    def close(self) -> None:
        """Finish all files."""
        self._told.close()
        self._files.close()

    def _end(self, result: str, now: float) -> None:
        self._result = result
        if self._is_begun:
            self._perf.look(self._pids)
        self._overview(now)

    def _overview(self, now: float) -> None:
        self._next = now + OVERVIEW_S
        tally, elapsed = self._tally, max(now - self._began, 1e-6) if self._is_begun else 0.0
        rate = (tally.items - self._items_before) / elapsed if elapsed else 0.0
        trouble = self._files.trouble or self._told.trouble
        self._replace(
            "job_progress_overview.txt",
            f"{self._time()}\n\n"
            f"mini-batches   {self._planned:,}\n"
            f"  done         {tally.mini_batches:,}\n"
            f"  failed       {tally.failed_mini_batches:,}\n"
            f"  left         {max(self._planned - tally.mini_batches, 0):,}\n"
            f"{self._noun:<15}{tally.items:,}\n"
            f"  failed       {tally.failed:,}\n"
            f"  per second   {progress.number(rate)}\n"
            f"elapsed        {progress.duration(elapsed)}\n"
            + (f"log files      incomplete: {trouble}\n" if trouble else "")
            + f"\nresult         {self._result.rstrip()}\n",
        )

    # Files

    def _error(self, worker: str, what: str, error: str, traceback: str) -> None:
        node, process = self._place(worker)
        head = f"--- {self._time()} {what}"
        rest = f"\n{error}\n" + (f"\n{traceback.rstrip()}\n" if traceback else "") + "\n"
        self._files.write(_ERRORS, f"{head} ({process} on {node}){rest}")
        self._files.write(f"user/error/{node}/{process}.txt", head + rest)

    def _replace(self, name: str, text: str) -> None:
        """Whole or not at all, so that nobody reads half of it."""
        path = self._folder / name
        part = path.with_name(f".{name}.part")
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_text(text, "utf-8", "backslashreplace")
            part.replace(path)

    def _place(self, worker: str) -> tuple[str, str]:
        """Node and process."""
        found = self._names.get(worker)
        if found is None:
            found = self._names[worker] = place_of(worker, self._node)
        return found

    def _time(self) -> str:
        return _stamp(self._clock())


def place_of(worker: str, here: str) -> tuple[str, str]:
    """The node and the process of a worker's name; `here` is the node of those whose name tells none."""
    found = _WORKER.fullmatch(worker)
    if found is None:
        return here, f"process-{_safe(worker)}"
    agent, number = found.groups()
    return f"agent-{_safe(agent)}" if agent else here, f"process{number}"


def this_node() -> str:
    """This machine's IP address among its neighbours, as far as it is known without asking anybody."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        # Connecting a datagram socket sends nothing: the kernel only chooses the interface.
        sock.connect(("192.0.2.1", 9))
        address: str = sock.getsockname()[0]
        return address
    return "127.0.0.1"


def _stamp(seconds: float) -> str:
    return f"{_second(int(seconds))}.{int(seconds % 1 * 1000):03}Z"


@functools.lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _one_line(text: str) -> str:
    return text.replace("\r", "").rstrip("\n").replace("\n", " | ")


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)
