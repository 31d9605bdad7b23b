"""Azure ML's ``append_row``: the text of what a scoring script's ``run`` returned."""

from __future__ import annotations

from typing import Any

from penstock.runtimes.batch.encoders import segments


class AppendRowEncoder:
    """A DataFrame's rows with spaces between the values, no header; a list's elements one a line."""

    header = False

    def __init__(self, path: str) -> None:
        self._file = segments.SegmentFile(path)
        self._begun = False

    def write(self, table: Any) -> None:
        """See `penstock.runtimes.batch.encoders.interface`."""
        if hasattr(table, "to_csv"):
            header = self.header and not self._begun
            text = table.to_csv(sep=" ", header=header, index=False, lineterminator="\n")
        else:
            text = "".join(f"{element}\n" for element in table)
        self._begun = True
        self._file.write(text.encode("utf-8", "surrogatepass"))

    def close(self) -> None:
        """See `penstock.runtimes.batch.encoders.interface`."""
        self._file.close()


class AppendRowHeaderEncoder(AppendRowEncoder):
    """As with ``--append_row_dataframe_header True``: a DataFrame's column names come first."""

    header = True


class NothingEncoder:
    """Writes nothing: the scripts write for themselves."""

    def __init__(self, path: str) -> None:
        self._file = segments.SegmentFile(path)

    def write(self, table: Any) -> None:
        """See `penstock.runtimes.batch.encoders.interface`."""

    def close(self) -> None:
        """See `penstock.runtimes.batch.encoders.interface`."""
        self._file.close()
