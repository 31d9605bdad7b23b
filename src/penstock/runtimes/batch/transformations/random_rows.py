"""Which rows a random sample holds: decided for each by a hash of the seed, its file and its place in the file.

No generator is stepped from row to row, so the same rows are drawn by any number of workers, in any order, after
any resume. Worker side: Python 3.8; NumPy only where it is there, with the same result.
"""

from __future__ import annotations

import hashlib
from typing import Any, Sequence

_STEP = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_ALL = 2**64


def drawn(*, seed: int, probability: float, file: str, first_row: int, rows: int) -> Sequence[bool] | Any:
    """Whether each of `rows` rows of `file`, from `first_row` on, is drawn: each with `probability`, whatever the
    others are."""
    threshold = int(probability * _ALL)
    if threshold >= _ALL:
        return [True] * rows
    text = f"{seed}\0{file}".encode("utf-8", "surrogatepass")
    base = int.from_bytes(hashlib.sha256(text).digest()[:8], "little")
    try:
        import numpy as np
    except ImportError:
        return [_mixed(base, row) < threshold for row in range(first_row, first_row + rows)]
    with np.errstate(over="ignore"):
        places = np.arange(first_row + 1, first_row + 1 + rows, dtype=np.uint64)
        mixed = np.uint64(base) + places * np.uint64(_STEP)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(_FIRST)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(_SECOND)
        return (mixed ^ (mixed >> np.uint64(31))) < np.uint64(threshold)


def _mixed(base: int, row: int) -> int:
    """Steele, Lea and Flood's SplitMix64 at the place `row`."""
    mixed = (base + (row + 1) * _STEP) % _ALL
    mixed = (mixed ^ (mixed >> 30)) * _FIRST % _ALL
    mixed = (mixed ^ (mixed >> 27)) * _SECOND % _ALL
    return mixed ^ (mixed >> 31)
