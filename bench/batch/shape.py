"""What the rows look like, for everybody who makes, reads or scores them. Standard library only."""

from __future__ import annotations

from pathlib import Path

from bench.realtime import place

FEATURES = tuple(f"f{number}" for number in range(20))
ID = "id"
PROBABILITY = "probability_1"
ROWS_A_FILE = 500_000
SEED = 20
CACHE = place.CACHE / "batch"


def parts(rows: int) -> list[int]:
    """How many rows each file of a data set of `rows` rows has."""
    whole, rest = divmod(rows, ROWS_A_FILE)
    return [ROWS_A_FILE] * whole + [rest] * (rest > 0)


def files(folder: Path) -> list[Path]:
    """The Parquet files under `folder`, in order; what begins with a dot or an underscore is no data."""
    return sorted(
        path
        for path in folder.rglob("*.parquet")
        if not any(part[0] in "._" for part in path.relative_to(folder).parts)
    )
