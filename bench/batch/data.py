"""Makes the rows, in a process of its own so that the harness never maps Arrow.

    python -m bench.batch.data rows ROWS ROWS_A_GROUP FOLDER
    python -m bench.batch.data many FILES FOLDER

Every file follows from its number alone, so the 10 million rows are the first files of the 40 million, and
the data sets share them as hard links. One file at a time is in memory.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bench.batch import shape

FILES_A_FOLDER = 1_000
LINKS_A_FILE = 1_000
"""File systems allow some 65,000 names for one file."""


def features(number: int, rows: int) -> npt.NDArray[np.float32]:
    """The features of file `number`, ``(rows, 20) float32``, each column contiguous."""
    drawn = np.random.default_rng([shape.SEED, number]).standard_normal(
        (len(shape.FEATURES), rows), dtype=np.float32
    )
    return drawn.T


def labels(rows: npt.NDArray[np.float32], number: int) -> npt.NDArray[np.int64]:
    """Classes 0 and 1: a bent surface with noise, so that trees have something to find."""
    noise = np.random.default_rng([shape.SEED, number, 1]).standard_normal(len(rows))
    score: npt.NDArray[np.float64] = (
        rows[:, :8].sum(axis=1) + 2 * rows[:, 8] * rows[:, 9] + np.abs(rows[:, 10]) + noise
    )
    return (score > 0.8).astype(np.int64)


def write(number: int, first: int, rows: int, path: Path, *, rows_a_group: int) -> None:
    """File `number`, its ids counted from `first`."""
    columns = {shape.ID: pa.array(np.arange(first, first + rows, dtype=np.int64))}
    drawn = features(number, rows)
    for index, name in enumerate(shape.FEATURES):
        columns[name] = pa.array(drawn[:, index])
    staged = path.with_suffix(".part")
    pq.write_table(pa.table(columns), staged, row_group_size=rows_a_group)
    staged.replace(path)


def make(rows: int, rows_a_group: int, folder: Path) -> None:
    """A data set of `rows` rows in `folder`."""
    pool = folder.parent / f"pool-{rows_a_group}"
    staged = folder.with_name(folder.name + ".part")
    shutil.rmtree(staged, ignore_errors=True)
    for path in (pool, staged):
        path.mkdir(parents=True, exist_ok=True)
    for number, count in enumerate(shape.parts(rows)):
        path = pool / f"{number:05}-{count}.parquet"
        if not path.exists():
            write(number, number * shape.ROWS_A_FILE, count, path, rows_a_group=rows_a_group)
        os.link(path, staged / f"part-{number:05}.parquet")
    staged.rename(folder)


def many(files: int, folder: Path) -> None:
    """`files` names of files of ten rows, a thousand to a folder."""
    staged = folder.with_name(folder.name + ".part")
    shutil.rmtree(staged, ignore_errors=True)
    for number in range(files):
        inside = staged / f"{number // FILES_A_FOLDER:04}"
        path = inside / f"{number:07}.parquet"
        first = inside / f"{number - number % LINKS_A_FILE:07}.parquet"
        if path == first:
            inside.mkdir(parents=True, exist_ok=True)
            write(number, number, 10, path, rows_a_group=10)
        else:
            os.link(first, path)
    staged.rename(folder)


if __name__ == "__main__":
    what, *numbers, where = sys.argv[1:]
    {"rows": make, "many": many}[what](*map(int, numbers), Path(where))  # type: ignore[operator]  # by name
