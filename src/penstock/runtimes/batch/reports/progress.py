"""What whoever started the job sees of it: a bar that moves, or lines where nobody could see it move, or events
for machines; and at the end what came of it. Driver only.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

REDRAW_S = 0.1
LINE_S = 10.0
EVENT_S = 1.0

_LEVELS = {"debug": 0, "info": 1, "warning": 2, "error": 3, "critical": 3}


class Progress:
    """Writes to stderr while the job runs; the summary, or all events as JSON, to stdout."""

    def __init__(self, *, style: str, level: str) -> None:
        """`style`: ``human`` or ``json``. Log lines of workers below `level` are not shown."""
        self._json = style == "json"
        self._level = _LEVELS[level]
        self._bar = not self._json and sys.stderr.isatty()
        self._drawn = False
        self._next = 0.0
        self._began = time.monotonic()

    def event(self, name: str, **facts: Any) -> None:
        """Something that machines want to know."""
        if self._json:
            _write(sys.stdout, json.dumps({"event": name, "time": round(time.time(), 3), **facts}) + "\n")

    def say(self, text: str, *, level: str = "info") -> None:
        """A line for people, above the bar; an event for machines."""
        if self._json:
            self.event("log", level=level, message=text)
        else:
            self._clear()
            mark = "" if level == "info" else f"{level}: "
            _write(sys.stderr, f"  {mark}{text}\n")

    def log(self, level: str, text: str, worker: str) -> None:
        """What a worker wrote."""
        if _LEVELS.get(level, 1) < self._level:
            return
        if self._json:
            self.event("log", level=level, message=text, worker=worker)
        else:
            self._clear()
            start = f"  worker {worker}: " if worker else "  "
            _write(sys.stderr, start + text.replace("\n", "\n" + " " * len(start)) + "\n")

    def update(self, state: Mapping[str, Any]) -> None:
        """Show `state` where it is time: ``share`` done (0 to 1), ``items``, ``noun``, ``rate`` (items a second),
        ``size`` (bytes), ``failed``, ``workers``, ``left_s`` (or None)."""
        now = time.monotonic()
        if now < self._next:
            return
        if self._json:
            self._next = now + EVENT_S
            self.event("progress", **state)
        elif self._bar:
            self._next = now + REDRAW_S
            self._clear()
            _write(sys.stderr, _bar(state, shutil.get_terminal_size().columns))
            self._drawn = True
        else:
            if now - self._began >= LINE_S:
                _write(sys.stderr, "  " + " ".join(_facts(state)) + "\n")
            self._next = now + LINE_S

    def finish(self, summary: Mapping[str, Any], text: str) -> None:
        """The end: `summary` for machines, `text` for people."""
        self._clear()
        if self._json:
            self.event("finished", **summary)
        else:
            _write(sys.stdout, text)

    def clear(self) -> None:
        """Take the bar away before something else is written."""
        self._clear()

    def _clear(self) -> None:
        if self._drawn:
            _write(sys.stderr, "\r\x1b[2K")
            self._drawn = False


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        return  # nobody reads any more; the job goes on


def _bar(state: Mapping[str, Any], width: int) -> str:
    facts = "  ".join(_facts(state))
    room = max(min(30, width - len(facts) - 6), 0)
    full = int(state["share"] * room * 8)
    blocks = "█" * (full // 8) + (" ▏▎▍▌▋▊▉"[full % 8] if full % 8 else "")
    return f"  {blocks:·<{room}}  {facts}"[: max(width - 1, 20)]


def _facts(state: Mapping[str, Any]) -> list[str]:
    if not state["workers"] and not state["items"]:
        return ["waiting for the first worker to load"]
    facts = [
        f"{state['share']:.0%}",
        f"{number(state['items'])} {state['noun']}",
        f"{number(state['rate'])}/s",
        size(state["size"]),
        f"{number(state['failed'])} failed",
        counted(state["workers"], "worker"),
    ]
    if state["left_s"] is not None:
        facts.append(f"{duration(state['left_s'])} left")
    return facts


def counted(count: int, noun: str) -> str:
    """``1 file``, ``2,000 files``; `noun` as it is for one."""
    ending = "" if count == 1 else "es" if noun.endswith("ch") else "s"
    return f"{count:,} {noun}{ending}"


def number(value: float) -> str:
    """``950``, ``12.3k``, ``4.56M``."""
    for limit, mark in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit * 10:
            return f"{value / limit:.3g}{mark}" if value < limit * 1000 else f"{value / limit:.0f}{mark}"
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def size(value: float) -> str:
    """``812 B``, ``4.1 MB``."""
    for limit, mark in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if value >= limit:
            return f"{value / limit:.3g} {mark}"
    return f"{value:.0f} B"


def duration(seconds: float) -> str:
    """``4.2 s``, ``3:07``, ``2:03:07``."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
