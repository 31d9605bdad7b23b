"""The plan's values: pieces of input files, gathered into mini-batches.

A plan is made once, before any work, and kept in the ledger: whatever dies, the same rows stay in the same
mini-batch, and so in the same place of the output. Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

MINI_BATCH_BYTES = 32 * 2**20
"""Input bytes of a mini-batch where nobody says otherwise."""


@dataclass(frozen=True)
class SourceFile:
    """One file of the input, before it is cut.

    `uri` is what people see: an absolute path, or a URL without secrets. `stamp` changes when the content does
    (modification time in nanoseconds, an etag). `format` is as in `penstock.bundle.batch.Inputs`, never empty.
    `constants` are columns that the file does not hold (Hive partitions, Delta partitions), by name, as text
    or None. `fetch` is what a source needs to bring it here, or empty for a file that is here. `deleted` says
    which of its rows are gone (`penstock.runtimes.batch.deletions`).
    """

    uri: str
    size: int
    stamp: str
    format: str
    constants: Mapping[str, Any]
    fetch: str = ""
    deleted: str = ""


@dataclass(frozen=True)
class Cut:
    """A part of a file that can be read by itself: from `start` up to `stop`, in the format's own units (bytes of
    text, Parquet row groups, Arrow record batches). `rows` is -1 where nobody has counted; `first_row` is the
    number of rows of the file before it, -1 where not known. `size` is its share of the file's bytes."""

    start: int
    stop: int
    size: int
    rows: int = -1
    first_row: int = -1


@dataclass(frozen=True)
class Piece:
    """A cut of a file, as a mini-batch holds it. `path` is where it lies on this machine; for a file that has
    to be fetched it is filled in with the lease. `deleted` is what `SourceFile.deleted` says of the cut's rows,
    counted from its first."""

    file: SourceFile
    cut: Cut
    path: str = ""
    deleted: str = ""


@dataclass(frozen=True)
class MiniBatch:
    """The unit of leasing, retrying and committing. `number` counts from 0 in the order of the output."""

    number: int
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Input bytes."""
        return sum(piece.cut.size for piece in self.pieces)
