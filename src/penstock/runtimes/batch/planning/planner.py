"""The plan of a job: which rows make which mini-batch. Decided once, before any work, from names, sizes and the
formats' own cuts; nothing that is decided here depends on how many workers there are.

Large files are cut, small ones gathered, so that mini-batches are of about equal size. It is a stream from the
listing to the ledger: a million files are never all in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from penstock.bundle.batch import BatchSettings, ReadOptions
from penstock.runtimes.batch import deletions
from penstock.runtimes.batch.formats import registry
from penstock.runtimes.batch.plan import MINI_BATCH_BYTES, Cut, MiniBatch, Piece, SourceFile

MOST_PIECES = 5000
"""Pieces of one mini-batch at most, however small they are: an order must stay a small message."""


ANY_SIZE = 2**62
"""More bytes than anybody has."""

Partition = tuple[Any, ...]
"""The values of a job's partition keys."""


@dataclass(frozen=True)
class Near:
    """What is here of a file. `cut_at` is where it can be cut, for which less than the whole may do; empty: it is
    one piece. `whole` is where all of it stays; empty: it is fetched in its turn, unless it is here then."""

    cut_at: str
    whole: str


def plan(
    files: Iterable[SourceFile],
    settings: BatchSettings,
    read: Callable[[SourceFile], ReadOptions],
    *,
    near: Callable[[SourceFile], Near],
    counted: bool,
    partition: Callable[[SourceFile], Partition],
) -> Iterator[MiniBatch]:
    """The mini-batches of `files`, in order; those of one partition come in parts of the same number.

    `read` says how a file is cut, `near` what of it is here; both are asked when the listing has come to the file.
    `counted`: rows must be numbered within their file (lineage). `partition` is asked where there are keys.
    """
    size, most = _limits(settings)

    def pieces_of(file: SourceFile) -> Iterable[Piece]:
        if settings.takes == "files":
            return (Piece(file, Cut(0, 0, file.size)),)
        rows = settings.mini_batch_size if settings.mini_batch_unit == "rows" else int(counted)
        return _pieces_of(file, read(file), near(file), size=size, rows=rows)

    if settings.partition_keys:
        yield from _by_partition((partition(file), pieces_of(file)) for file in files)
        return
    pieces = (piece for file in files for piece in pieces_of(file))
    yield from gathered(pieces, size=size, most_files=most)


def _limits(settings: BatchSettings) -> tuple[int, int]:
    """The most bytes of a mini-batch, and the most pieces; 0: any number."""
    said = settings.mini_batch_size
    in_files = said if settings.mini_batch_unit == "files" else 0
    if settings.partition_keys:
        return ANY_SIZE, 0
    if settings.mini_batch_unit == "bytes" and said:
        return said, 0
    if settings.takes == "files":
        return ANY_SIZE, in_files or 1
    return MINI_BATCH_BYTES, in_files


def _by_partition(found: Iterable[tuple[Partition, Iterable[Piece]]]) -> Iterator[MiniBatch]:
    """A mini-batch for each partition that has any, in the order in which the listing comes upon them."""
    numbers: dict[Partition, int] = {}
    for partition, pieces in found:
        if held := tuple(pieces):  # a file without a byte has none
            yield MiniBatch(numbers.setdefault(partition, len(numbers)), held)


def gathered(pieces: Iterable[Piece], *, size: int, most_files: int = 0) -> Iterator[MiniBatch]:
    """Consecutive `pieces` together, until another would make more than `size` bytes, or more than `most_files`
    files (0: any number)."""
    waiting: list[Piece] = []
    held = 0
    number = 0
    most = min(most_files or MOST_PIECES, MOST_PIECES)
    for piece in pieces:
        if waiting and (held + piece.cut.size > size or len(waiting) >= most):
            yield MiniBatch(number, tuple(waiting))
            number, waiting, held = number + 1, [], 0
        waiting.append(piece)
        held += piece.cut.size
    if waiting:
        yield MiniBatch(number, tuple(waiting))


def _pieces_of(file: SourceFile, read: ReadOptions, near: Near, *, size: int, rows: int) -> Iterator[Piece]:
    if not near.cut_at:
        yield deletions.piece_of(file, Cut(0, -1, file.size), near.whole)
        return
    for cut in registry.of(file.format).cuts(near.cut_at, read, size=size, rows=rows):
        yield deletions.piece_of(file, cut, near.whole)
