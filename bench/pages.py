"""What the reports of all benchmarks have in common: a page of tables, the same as JSON, the machine, the bars."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.promises import Bar


def write(
    name: str, folder: Path, page: Iterable[str], figures: Any, bars: Sequence[Bar[Any]], *, command: str
) -> str:
    """Write ``NAME.json`` and ``NAME.md``, made of the lines of `page`, to `folder`; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(page) + "\n"
    (folder / f"{name}.md").write_text(text)
    (folder / f"{name}.json").write_text(json.dumps(_as_json(figures, bars, command), indent=1) + "\n")
    return text


def title(name: str, command: str) -> Iterator[str]:
    """The page's head: what, by which command, when, on which machine."""
    yield f"# {name}"
    yield ""
    yield f"`{command}`, {time.strftime('%Y-%m-%d', time.gmtime())}, {machine()}"
    yield ""


def verdicts(figures: Any, bars: Sequence[Bar[Any]]) -> Iterator[str]:
    """The table of promises."""
    yield from ("", "## Bars", "")
    yield from head("bar", "measured", "promised", "")
    for bar in bars:
        value = bar.measure(figures)
        promised = f"{'at most' if bar.at_most else 'at least'} {bar.limit:g} {bar.unit}".rstrip()
        if value is None:
            yield row(bar.name, "not measured", promised, "")
        else:
            verdict = "pass" if bar.passes(value) else "**MISS**"
            yield row(bar.name, f"{value:.3g} {bar.unit}".rstrip(), promised, verdict)


def machine() -> str:
    """Processors and Python."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} x {model}, Python {platform.python_version()}"


def head(*cells: str) -> Iterator[str]:
    """A table's first two lines."""
    yield row(*cells)
    yield row(*["---"] * len(cells))


def row(*cells: str) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def number(value: float | None, digits: int) -> str:
    """With so many digits behind the point; nothing for None."""
    return "" if value is None else f"{value:,.{digits}f}"


def _as_json(figures: Any, bars: Sequence[Bar[Any]], command: str) -> dict[str, Any]:
    return {
        "command": command,
        "machine": machine(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **dataclasses.asdict(figures),
        "bars": [
            {
                "name": bar.name,
                "limit": bar.limit,
                "at_most": bar.at_most,
                "unit": bar.unit,
                "value": (value := bar.measure(figures)),
                "passes": None if value is None else bar.passes(value),
            }
            for bar in bars
        ],
    }
