"""Committed mini-batches for tests of sinks: tables encoded as a worker would, staged where the sink says."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from penstock.runtimes.batch.encoders import registry as encoders
from penstock.runtimes.batch.sinks.interface import Part, Sink


def staged(sink: Sink, results: Iterable[Any]) -> list[Part]:
    """One part for each of `results`: a ``pyarrow.Table``, what a script returned, or None for no results."""
    folder = sink.staging()
    return [
        encoded(sink.encoding, Path(folder) / f"{number}.1", number, one)
        for number, one in enumerate(results)
    ]


def encoded(encoding: str, path: Path, number: int, result: Any) -> Part:
    """`result` as the part `number`, encoded in the file at `path`."""
    encoder = encoders.open_encoder(encoding, str(path))
    if result is not None:
        encoder.write(result)
    encoder.close()
    rows = 0 if result is None else len(result)
    return Part(number=number, path=str(path), rows=rows, size=path.stat().st_size)
