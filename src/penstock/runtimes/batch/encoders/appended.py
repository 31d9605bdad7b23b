"""Azure ML's ``append_row``: the text of what a scoring script's ``run`` returned.

What that text is, is known from those who publish what they read it with, and from what the service's own
driver has shown of itself in public snapshots of runs:

- *A DataFrame* is pandas' CSV with a space between the values, without header and index. Published readers use
  ``delimiter=" ", header=None``; texts that hold a space are in double quotes (a reader by others counts on it,
  and it follows from pandas' defaults). Missing values are empty.
- *A list* is one element a line, each as ``format`` shows it, nothing quoted: the well-known digits example returns
  ``"name.png: 7"`` and is read with ``delimiter=":"``; lists in the list look as Python writes them, and are read
  with ``ast.literal_eval``. NumPy's numbers, dicts and nested lists follow from ``format`` (a float32 shows all of
  its digits as a double); so does it that an element that holds an end of line takes two lines.
- ``--append_row_dataframe_header True`` among a step's arguments puts the column names first. That there is one
  header in the file, however many mini-batches there are, is inferred: all published readers expect one.
- A tuple is taken for a list (the parallel step's page allows it).

Encoding is UTF-8, lines end with LF: the service runs on Linux.
"""

from __future__ import annotations

from typing import Any

from penstock.runtimes.batch.encoders import segments


class AppendRowEncoder:
    """A DataFrame's rows with spaces between the values, no header; a list's elements one a line."""

    def __init__(self, path: str) -> None:
        self._file = segments.SegmentFile(path)

    def write(self, table: Any) -> None:
        """See `penstock.runtimes.batch.encoders.interface`."""
        self._file.write(_text(table, header=False))

    def close(self) -> None:
        """See `penstock.runtimes.batch.encoders.interface`."""
        self._file.close()


class AppendRowHeaderEncoder:
    """The segment begins with the column names of the first DataFrame, or with an empty line where the first
    result is a list: so that whoever joins segments knows what to leave out."""

    def __init__(self, path: str) -> None:
        self._file = segments.SegmentFile(path)
        self._begun = False

    def write(self, table: Any) -> None:
        """See `penstock.runtimes.batch.encoders.interface`."""
        if not self._begun and not hasattr(table, "to_csv"):
            self._file.write(b"\n")
        self._file.write(_text(table, header=not self._begun))
        self._begun = True

    def close(self) -> None:
        """See `penstock.runtimes.batch.encoders.interface`."""
        self._file.close()


def _text(result: Any, *, header: bool) -> bytes:
    if hasattr(result, "to_csv"):
        text = result.to_csv(sep=" ", header=header, index=False)
    else:
        text = "".join(["{}\n".format(element) for element in result])  # noqa: UP032 - what Azure's driver calls
    # Names of files may hold bytes that are no UTF-8; they are written as what they are.
    encoded: bytes = text.encode("utf-8", "surrogateescape")
    return encoded


class NothingEncoder:
    """Writes nothing: the scripts write for themselves."""

    def __init__(self, path: str) -> None:
        self._file = segments.SegmentFile(path)

    def write(self, table: Any) -> None:
        """See `penstock.runtimes.batch.encoders.interface`."""

    def close(self) -> None:
        """See `penstock.runtimes.batch.encoders.interface`."""
        self._file.close()
