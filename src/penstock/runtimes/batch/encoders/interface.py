"""The seam between results and their bytes: what a worker writes for one mini-batch. Worker side: Python 3.8;
pyarrow inside the functions that need it.

`penstock.runtimes.batch.sinks` publishes what is written here. An encoder must be deterministic: the same
results are the same bytes, in any process, on any day, however they were cut into calls.
"""

from __future__ import annotations

from typing import Any, Protocol


class Encoder(Protocol):
    """Writes one mini-batch's results to one file, which is complete when `close` has returned."""

    def write(self, table: Any) -> None:
        """Append the rows of a ``pyarrow.Table`` or ``RecordBatch``. For ``append-row`` it is a script's own result
        instead: a pandas DataFrame, a list or a tuple. Raises OutputError: disk full, a column that changes its
        type from call to call, a type that the form cannot hold."""

    def close(self) -> None:
        """Finish the file. A mini-batch without results leaves an empty file, or one without rows where the
        form can say so and a schema is known."""


class Opener(Protocol):
    """How an encoder is opened: one a form."""

    def __call__(self, path: str) -> Encoder:
        """An encoder that writes to `path`, a new file."""
