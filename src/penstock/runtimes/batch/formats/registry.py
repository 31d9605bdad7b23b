"""Which data formats there are, and which one a file's name promises. What a file really holds shows when it
is opened: a name that lies is a DataError of the format's module.
"""

from __future__ import annotations

import importlib
from typing import cast

from penstock.errors import DataError
from penstock.runtimes.batch.formats.interface import Format

_MODULES = {
    "parquet": "parquet",
    "csv": "csv_text",
    "jsonl": "json_lines",
    "arrow": "arrow_ipc",
}

_SUFFIXES = {
    "parquet": "parquet",
    "pq": "parquet",
    "pqt": "parquet",
    "parq": "parquet",
    "csv": "csv",
    "tsv": "csv",
    "tab": "csv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "json": "jsonl",
    "arrow": "arrow",
    "arrows": "arrow",
    "feather": "arrow",
    "ipc": "arrow",
}
"""``.json`` is read as JSON Lines, which is what Spark and BigQuery write under that name; a file that holds one
document instead is refused with the line at which that shows. ``.txt`` promises nothing: whoever means a table
by it says ``csv``."""

_PACKED = ("gz", "gzip", "zst", "zstd", "bz2")
_PACKABLE = ("csv", "jsonl")


def names() -> tuple[str, ...]:
    """Every format's name, as `penstock.bundle.batch.Inputs.format` spells it."""
    return tuple(_MODULES)


def format_of(file_name: str) -> str:
    """The format that `file_name` promises by its suffix, whatever its case; empty: none that is read here.
    Texts may be compressed (``.csv.gz``, ``.jsonl.zst``); the other formats compress inside."""
    stem, _, suffix = file_name.lower().rpartition(".")
    if suffix in _PACKED:
        inner = _SUFFIXES.get(stem.rpartition(".")[2], "") if "." in stem else ""
        return inner if inner in _PACKABLE else ""
    return _SUFFIXES.get(suffix, "") if stem else ""


def of(name: str) -> Format:
    """The module of the format `name`. Raises DataError when there is none; pyarrow is not imported yet."""
    module = _MODULES.get(name)
    if module is None:
        raise DataError(f"no such data format: {name!r}", hint=f"One of {', '.join(_MODULES)}.")
    return cast(Format, importlib.import_module("penstock.runtimes.batch.formats." + module))
