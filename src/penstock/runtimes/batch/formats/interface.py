"""The seam between data formats and the rest: where a file may be cut, and how a cut is read.

One module a format, each with the functions of `Format`; `registry.of` finds it by name. The planner cuts and
looks at schemas in the driver, workers read; both sides run the same module, so it runs on Python 3.8 with
pyarrow 14 or newer, imported inside the functions.
"""

from __future__ import annotations

from typing import Any, Callable, Iterator, Optional, Protocol, Sequence

from penstock.bundle.batch import ReadOptions
from penstock.errors import DataError
from penstock.runtimes.batch.plan import Cut

Refuse = Optional[Callable[[DataError], None]]
"""Takes the error of a row that cannot be read; `DataError.row` says which one of its cut."""


class Format(Protocol):
    """What a format's module offers. Every error of the file's content is a `penstock.errors.DataError` that
    names the file and the line, row group or column."""

    def schema(self, path: str, read: ReadOptions) -> Any:
        """The columns of the file at `path` as a ``pyarrow.Schema``. For text: inferred from samples at its
        beginning, middle and end, ``null`` where every sample is empty."""

    def cuts(self, path: str, read: ReadOptions, *, size: int, rows: int) -> Iterator[Cut]:
        """`path` in cuts of about `size` bytes each, or, where `rows` is not 0, of a multiple of `rows` rows (the
        last may have fewer). Every row is in exactly one cut; an empty file has none. A cut may be larger
        where the format cannot be cut (a compressed text, a row group).

        Where `rows` is not 0 or counting costs nothing, `Cut.rows` and `Cut.first_row` are known, but for two
        cases in which all of a file is one cut ``Cut(0, -1, ...)``, its rows uncounted: it cannot be cut; or
        it is smaller than `size` and `rows` is 0 or 1, so that nobody needs to open it. Whatever was
        planned, each format reads that cut as all of the file."""

    def batches(
        self,
        path: str,
        cut: Cut,
        read: ReadOptions,
        *,
        schema: Any,
        columns: Sequence[str] | None,
        rows: int,
        refuse: Refuse = None,
    ) -> Iterator[Any]:
        """The rows of `cut`, in order, as ``pyarrow.RecordBatch`` of at most `rows` rows, on one thread, with
        bounded memory.

        `schema` is the job's; each batch has its types. `columns` are those wanted, in that order; None: all
        of `schema`. Raises DataError for a column that is missing or a value that is not of its type.

        `refuse`: where a format can tell a row from its neighbours (texts), a row that cannot be read is handed
        to it and left out, before the batch that would have held it; the rest is read on. None: it is raised.
        """
