"""Cuts that count rows, for formats that keep their rows in groups whose sizes they know. Pure; Python 3.8."""

from __future__ import annotations

import bisect
import itertools
from typing import Iterator, Sequence

from penstock.runtimes.batch.plan import Cut

WHOLE = -1
"""`Cut.stop` of a cut that is all of a file that nobody has opened."""


def cuts(counts: Sequence[int], shares: Sequence[float], *, size: int, rows: int) -> Iterator[Cut]:
    """Groups of `counts` rows and `shares` bytes in cuts of about `size` bytes. Where `rows` is 0 or 1, groups are
    gathered and never split; else a cut ends at a multiple of `rows`, where a group ends if that may be."""
    if sum(counts) == 0:
        return
    start = 0
    ends = _after_groups(counts, shares, size) if rows <= 1 else _at_multiples(counts, shares, size, rows)
    for stop, share in ends:
        yield Cut(start, stop, max(1, round(share)), rows=stop - start, first_row=start)
        start = stop


def _after_groups(counts: Sequence[int], shares: Sequence[float], size: int) -> Iterator[tuple[int, float]]:
    """Where cuts end, in rows, with their bytes: before they would grow beyond `size`."""
    row, gathered, pending = 0, 0.0, 0
    for count, share in zip(counts, shares):
        if pending and gathered + share > size:
            yield row, gathered
            gathered, pending = 0.0, 0
        row += count
        pending += count
        gathered += share
    if pending:
        yield row, gathered


def _at_multiples(
    counts: Sequence[int], shares: Sequence[float], size: int, rows: int
) -> Iterator[tuple[int, float]]:
    """Where cuts end, in rows, with their bytes. A group that is split is decoded twice: the end of one that lies
    within the second half of what a cut may have is preferred."""
    total = sum(counts)
    a_row = max(sum(shares) / total, 1e-9)
    step = max(1, int(size / (a_row * rows))) * rows
    good = [end for end in itertools.accumulate(counts) if end % rows == 0]
    start = 0
    while start < total:
        stop = min(start + step, total)
        nearest = bisect.bisect_right(good, stop) - 1
        if stop < total and nearest >= 0 and good[nearest] > start + step // 2:
            stop = good[nearest]
        yield stop, (stop - start) * a_row
        start = stop


def overlapped(counts: Sequence[int], start: int, stop: int) -> tuple[list[int], int]:
    """The groups that hold the rows from `start` to `stop`, and how many rows of the first come before `start`."""
    groups: list[int] = []
    skip, row = 0, 0
    for index, count in enumerate(counts):
        if count and row < stop and row + count > start:
            if not groups:
                skip = start - row
            groups.append(index)
        row += count
    return groups, skip
