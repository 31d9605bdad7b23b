"""Which source reads a location. The concrete ones are imported when one is needed: a job on local files must not
wait for the libraries of a cloud."""

from __future__ import annotations

from collections.abc import Callable

from penstock.bundle.batch import Inputs
from penstock.runtimes.batch.sources import local
from penstock.runtimes.batch.sources.interface import Reading, Source


def open_sources(inputs: Inputs, *, format_of: Callable[[str], str], by_path: bool = False) -> list[Source]:
    """A source for each of the locations, in their order; nothing is opened yet.

    `format_of` says a file's format by its name, empty for none; `by_path`: the files are handed to a script.
    Raises DataError for a location that nothing here reads.
    """
    reading = Reading(
        of_name=format_of,
        format="" if inputs.format in ("delta", "mltable") else inputs.format,
        by_path=by_path,
    )
    return [_open(location, inputs, reading) for location in inputs.locations]


def _open(location: str, inputs: Inputs, reading: Reading) -> Source:
    return local.LocalSource(location, reading)
