"""A command as a process tree: run to its end, timed and weighed.

The harness adopts orphans, so that daemons which detach themselves stay in the tree. Memory is the
proportional set size summed over the tree, read ten times a second where that is cheap: what processes share
counts once. CPU is what the kernel hands over when a process is waited for, or what was last seen of each
process, whichever is more: neither sees everything.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.realtime import place

INTERVAL_S = 0.1
"""Between two readings of the tree, where they are cheap."""
READING_SHARE = 0.05
"""Largest part of a core that readings may take: those of trees with many or large processes are rarer."""
FAREWELL_S = 10.0
"""How long processes may outlive the command before they are killed."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PR_SET_CHILD_SUBREAPER = 36


class CommandError(Exception):
    """A command that failed or overstayed; the message ends with its last lines."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one command took."""

    wall_s: float
    cpu_s: float
    """User and system time of the whole tree."""
    peak_mb: float
    """Largest PSS of the tree in MB (10**6 bytes)."""
    samples: int
    """How often the tree was read; a peak among few is a guess."""
    harness_cpu_s: float
    """CPU that the reading itself took, beside the command."""
    left_behind: int
    """Processes that had to be killed after the command had ended."""


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends. Once, at start."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def run(
    argv: Sequence[str],
    log: Path,
    *,
    timeout_s: float,
    variables: Mapping[str, str] | None = None,
    weigh: bool = True,
) -> Reading:
    """Run `argv` on two cores, its output in `log`. Nothing else may run under this process meanwhile.

    Raises CommandError for an exit status other than 0, and when `timeout_s` seconds are over.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    cores = ",".join(map(str, place.cores()))
    tree = _Tree()
    own_before = time.process_time()
    start = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", cores, *argv],
            cwd=log.parent,
            env=place.environment(**(variables or {})),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        ended = _watch(process.pid, tree, until=start + timeout_s, weigh=weigh)
    except BaseException:
        # Somebody stops the harness; the command goes with it.
        tree.kill()
        _reap(process, tree)
        raise
    wall_s = time.perf_counter() - start
    harness_cpu_s = time.process_time() - own_before
    if not ended:
        tree.kill()
    waited_s, left_behind = _reap(process, tree)
    if not ended or process.returncode:
        how = f"ended with {process.returncode}" if ended else f"was not done after {timeout_s:.0f} s"
        raise CommandError(f"{' '.join(argv)} {how}.\n{_last_lines(log)}")
    return Reading(
        wall_s=wall_s,
        cpu_s=max(waited_s, tree.cpu_s()),
        peak_mb=tree.peak_mb,
        samples=tree.samples,
        harness_cpu_s=harness_cpu_s,
        left_behind=left_behind,
    )


class _Tree:
    """All that ever ran below this process: sampled, summed."""

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self.samples = 0
        self._ticks: dict[tuple[int, str], int] = {}
        self._ours = {os.getpid()}
        self._strangers: set[int] = set()

    def sample(self, *, weigh: bool) -> None:
        """Read the tree once."""
        total_kib = 0
        for pid, fields in self.living():
            self._ticks[pid, fields[19]] = int(fields[11]) + int(fields[12])
            if weigh:
                total_kib += _pss_kib(pid)
        self.samples += 1
        self.peak_mb = max(self.peak_mb, total_kib * 1024 / 1e6)

    def cpu_s(self) -> float:
        """Own CPU seconds of every process, as last seen."""
        return sum(self._ticks.values()) / _TICKS_PER_S

    def kill(self) -> int:
        """SIGKILL to all that runs now; returns how many that were."""
        found = [pid for pid, fields in self.living() if fields[0] != "Z"]
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(found)

    def living(self) -> list[tuple[int, list[str]]]:
        """Every process below this one, and the fields of its /proc/PID/stat from the third (the state) on.

        Whether a process is below is asked once: orphans come to us, so it never changes. The many strangers of
        a machine then cost nothing.
        """
        now = {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208  # cheap, often
        self._ours &= now
        self._strangers &= now
        stats = {pid: fields for pid in now - self._strangers if (fields := _stat(pid))}
        unknown = stats.keys() - self._ours
        while found := {pid for pid in unknown if int(stats[pid][1]) in self._ours}:
            self._ours |= found
            unknown -= found
        self._strangers |= unknown
        return [(pid, stats[pid]) for pid in stats.keys() & self._ours if pid != os.getpid()]


def _watch(root: int, tree: _Tree, *, until: float, weigh: bool) -> bool:
    """Sample until `root` ends (True) or the time is over (False)."""
    ending = os.pidfd_open(root)
    try:
        poll = select.poll()
        poll.register(ending, select.POLLIN)
        interval_s = INTERVAL_S
        while time.perf_counter() < until:
            if poll.poll(interval_s * 1000):
                return True
            before = time.thread_time()
            tree.sample(weigh=weigh)
            interval_s = max(INTERVAL_S, (time.thread_time() - before) / READING_SHARE)
        return False
    finally:
        os.close(ending)


def _reap(process: subprocess.Popen[bytes], tree: _Tree) -> tuple[float, int]:
    """Wait for `process` and all adopted; kill what does not end. CPU seconds they took, and how many were
    killed."""
    deadline = time.monotonic() + FAREWELL_S
    waited_s, killed = 0.0, 0
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return waited_s, killed
        if pid:
            waited_s += usage.ru_utime + usage.ru_stime
            if pid == process.pid:
                process.returncode = os.waitstatus_to_exitcode(status)
            continue
        if time.monotonic() > deadline:
            killed += tree.kill()
            deadline = time.monotonic() + FAREWELL_S
        time.sleep(0.02)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; none for a process that has just gone."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  # cheap, often
        # The second field, the name in parentheses, may itself hold blanks and parentheses.
        return stat.read().rpartition(")")[2].split()
    return []


def _pss_kib(pid: int) -> int:
    """Proportional set size; 0 for a process that has just gone."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as rollup:  # noqa: PTH123  # as above
        for line in rollup:
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-30:])
