"""The numbers of consecutive rows, as Arrow has them. Runs in workers: Python 3.8; pyarrow inside the functions."""

from __future__ import annotations

import functools
from typing import Any


def numbers(first: int, count: int) -> Any:
    """The ``int64`` array of the `count` numbers from `first` on."""
    import pyarrow.compute as pc

    return pc.add(_from_zero(1 << count.bit_length())[:count], first)


@functools.lru_cache(maxsize=4)
def _from_zero(count: int) -> Any:
    """Kept, for making them of Python's numbers costs more than decoding the rows that they are of."""
    import pyarrow as pa

    return pa.array(range(count), pa.int64())
