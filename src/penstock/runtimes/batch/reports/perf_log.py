"""What the driver's machine is busy with while a job runs, as Azure ML's parallel jobs log it: three CSV files, and
a list of all processes at each look. From the kernel's own files; where there are none (``/proc``), nothing is
written. Driver only.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock.runtimes.batch.reports.bounded_files import BoundedFiles

INTERVAL_S = 600.0
"""Seconds between two looks, as Azure ML's ``resource_monitor_interval`` has it; 0: none is taken."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

_NODE = (
    "time,cpus,cpu_percent,load_1m,load_5m,load_15m,memory_bytes,memory_available_bytes,swap_bytes,swap_free_bytes,"
    "received_bytes,sent_bytes\n"
)
_PROCESSES = (
    "time,process,pid,parent,state,cpu_user_s,cpu_system_s,resident_bytes,threads,read_bytes,written_bytes\n"
)
_DISKS = "time,device,place,bytes,used_bytes,free_bytes\n"


@dataclass(frozen=True, kw_only=True)
class Process:
    """What the kernel says of a process: `user_s` and `system_s` are CPU seconds so far, `began_s` seconds after
    the machine's start."""

    pid: int
    name: str
    state: str
    parent: int
    user_s: float
    system_s: float
    threads: int
    began_s: float
    resident_bytes: int


class PerfLog:
    """Writes to `folder`, relative to `files`. `place` is a folder whose disk is looked at, the job's."""

    def __init__(
        self, files: BoundedFiles, folder: str, *, place: Path, interval_s: float = INTERVAL_S
    ) -> None:
        self._files = files
        self._folder = folder
        self._place = place
        self._interval_s = interval_s
        self._next = 0.0
        self._begun: set[str] = set()
        self._cpu: tuple[float, float] | None = None

    def tick(self, now: float, names: Mapping[int, str]) -> None:
        """Look where it is time. `names`: what the job's workers are called, by pid. `now` is monotonic."""
        if self._interval_s > 0 and now >= self._next:
            self._next = now + self._interval_s
            self.look(names)

    def look(self, names: Mapping[int, str]) -> None:
        """Write down how things stand now. What the kernel does not tell is left out."""
        if self._interval_s <= 0 or not Path("/proc/self/stat").exists():
            return
        clock = time.gmtime()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", clock)
        found = {process.pid: process for process in processes()}
        ours = family(found, os.getpid())
        self._node(stamp)
        self._disks(stamp)
        self._write("processes_resource_usage.csv", _PROCESSES, self._rows(stamp, found, ours, names))
        self._write(time.strftime("os/%Y%m%d%H/processes_%M", clock), "", _listing(found, ours))

    def _node(self, stamp: str) -> None:
        memory = _named_numbers("/proc/meminfo")
        kib = [memory.get(name, 0) * 1024 for name in ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree")]
        loads = [f"{load:.2f}" for load in os.getloadavg()]
        cells = [stamp, os.cpu_count(), self._cpu_percent(), *loads, *kib, *_network()]
        self._write("node_resource_usage.csv", _NODE, ",".join(map(str, cells)) + "\n")

    def _cpu_percent(self) -> str:
        """Of all processors since the last look; the first knows no earlier one."""
        numbers = [int(word) for word in _text("/proc/stat").partition("\n")[0].split()[1:9]]
        if len(numbers) < 5:
            return ""
        now = (float(sum(numbers)), float(numbers[3] + numbers[4]))
        before, self._cpu = self._cpu, now
        if before is None or now[0] <= before[0]:
            return ""
        return f"{100 * (1 - (now[1] - before[1]) / (now[0] - before[0])):.1f}"

    def _disks(self, stamp: str) -> None:
        rows = ""
        for device, place in _disks(self._place):
            with contextlib.suppress(OSError):
                room = os.statvfs(place)
                size, free = room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize
                used = (room.f_blocks - room.f_bfree) * room.f_frsize
                rows += f"{stamp},{_cell(device)},{_cell(place)},{size},{used},{free}\n"
        self._write("node_disk_usage.csv", _DISKS, rows)

    def _rows(
        self, stamp: str, found: Mapping[int, Process], ours: set[int], names: Mapping[int, str]
    ) -> str:
        rows = ""
        for pid in sorted(ours):
            process = found[pid]
            traffic = _named_numbers(f"/proc/{pid}/io")
            name = "driver" if pid == os.getpid() else names.get(pid, process.name)
            cells = [
                stamp, _cell(name), pid, process.parent, process.state, f"{process.user_s:.2f}",
                f"{process.system_s:.2f}", process.resident_bytes, process.threads,
                traffic.get("read_bytes", ""), traffic.get("write_bytes", ""),
            ]  # fmt: skip
            rows += ",".join(map(str, cells)) + "\n"
        return rows

    def _write(self, name: str, header: str, rows: str) -> None:
        path = f"{self._folder}/{name}"
        if header and path not in self._begun:
            self._begun.add(path)
            if not self._files.has(path):
                rows = header + rows
        self._files.write(path, rows)


def processes() -> Iterator[Process]:
    """All processes of this machine that we may see."""
    with contextlib.suppress(OSError):
        for entry in os.scandir("/proc"):
            if entry.name.isdigit() and (found := _process(int(entry.name))):
                yield found


def family(found: Mapping[int, Process], pid: int) -> set[int]:
    """`pid` and all its descendants, as far as they are among `found`."""
    children: dict[int, list[int]] = {}
    for process in found.values():
        children.setdefault(process.parent, []).append(process.pid)
    taken: set[int] = set()
    open_ = [pid] if pid in found else []
    while open_:
        taken.add(next_ := open_.pop())
        open_ += [child for child in children.get(next_, ()) if child not in taken]
    return taken


def _process(pid: int) -> Process | None:
    before, _, after = _text(f"/proc/{pid}/stat").rpartition(")")
    words = after.split()
    if len(words) < 22:
        return None  # it has ended meanwhile
    return Process(
        pid=pid,
        name=before.partition("(")[2],
        state=words[0],
        parent=int(words[1]),
        user_s=int(words[11]) / _TICKS,
        system_s=int(words[12]) / _TICKS,
        threads=int(words[17]),
        began_s=int(words[19]) / _TICKS,
        resident_bytes=int(words[21]) * _PAGE_BYTES,
    )


def _listing(found: Mapping[int, Process], ours: set[int]) -> str:
    """A table for people. Only the job's own processes are told with their arguments: those of others may hold what
    is not for this log's readers."""
    lines = [f"{'PID':>8} {'PPID':>8} S {'THREADS':>7} {'RESIDENT_MB':>11} {'CPU_S':>10} COMMAND\n"]
    for pid in sorted(found):
        process = found[pid]
        command = f"[{process.name}]"
        if pid in ours:
            command = _text(f"/proc/{pid}/cmdline").replace("\0", " ").strip()[:2000] or command
        lines.append(
            f"{pid:>8} {process.parent:>8} {process.state} {process.threads:>7} "
            f"{process.resident_bytes / 1e6:>11.1f} {process.user_s + process.system_s:>10.2f} "
            + command.replace("\n", " ")
            + "\n"
        )
    return "".join(lines)


def _disks(place: Path) -> list[tuple[str, str]]:
    """Devices and where they are mounted: the machine's own disks, and what holds the job and temporary files. No
    others are asked: a network file system whose server is gone would hold us up."""
    found: dict[str, str] = {}
    for line in _text("/proc/self/mounts").splitlines():
        device, where = line.split(" ")[:2]
        if device.startswith("/dev/"):
            found.setdefault(device, where.replace("\\040", " "))
    disks = [(device, where) for device, where in found.items() if Path(where).is_dir()]
    for further in ("/", tempfile.gettempdir(), str(place)):
        with contextlib.suppress(OSError):
            number = os.stat(further).st_dev  # noqa: PTH116 - beside statvfs, which takes the same text
            if all(number != os.stat(where).st_dev for _, where in disks):  # noqa: PTH116
                disks.append(("", further))
    return disks


def _network() -> tuple[int, int]:
    """Bytes received and sent by all interfaces but the loopback."""
    received = sent = 0
    for line in _text("/proc/net/dev").splitlines()[2:]:
        name, _, rest = line.partition(":")
        words = rest.split()
        if name.strip() != "lo" and len(words) > 8:
            received += int(words[0])
            sent += int(words[8])
    return received, sent


def _named_numbers(path: str) -> dict[str, int]:
    """Lines of ``name: number``."""
    found = {}
    for line in _text(path).splitlines():
        name, _, rest = line.partition(":")
        word = rest.split()[:1]
        if word and word[0].isdigit():
            found[name] = int(word[0])
    return found


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - thousands of them in a moment
            return file.read()
    except OSError:
        return ""


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(letter in text for letter in ',"\n') else text
