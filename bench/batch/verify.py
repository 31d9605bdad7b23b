"""Is every row in the output once, with the right probability? In a process of its own: Arrow is mapped here.

    python -m bench.batch.verify check OUTPUT REFERENCE     compares; prints JSON
    python -m bench.batch.verify make OUTPUT REFERENCE MODEL INPUT
                                                            OUTPUT becomes the reference

A reference holds the probability of id 0, 1, 2, ... It is what the bare loop wrote, after the first rows of
every file were compared with the model itself, called on a frame.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from bench.batch import shape

TOLERANCE = {"float64": 1e-12, "float32": 1e-6}
"""By the type in which the model answers. In float32 the last bits depend on how many rows a call has."""
SAMPLE = 1_000
"""Rows of each file that are compared with the model itself."""


class WrongOutputError(Exception):
    """An output that is not what the model says of every row."""


def read(output: Path, rows: int) -> np.ndarray:
    """The probabilities of ids 0 to `rows` - 1, in the type in which they were written."""
    found: np.ndarray | None = None
    seen = np.zeros(rows, dtype=np.int8)
    for path in shape.files(output):
        # Opened by itself: a folder's name that looks like a partition adds no column.
        table = pq.ParquetFile(path).read()
        others = [name for name in table.column_names if name != shape.ID]
        if len(others) != 1:
            raise WrongOutputError(f"{path}: columns {table.column_names}, expected {shape.ID} and one more")
        ids, values = table[shape.ID].to_numpy(), table[others[0]].to_numpy()
        if len(ids) and not 0 <= ids.min() <= ids.max() < rows:
            raise WrongOutputError(f"{path}: ids from {ids.min()} to {ids.max()}, expected 0 to {rows - 1}")
        np.add.at(seen, ids, 1)
        if found is None:
            found = np.full(rows, np.nan, dtype=values.dtype)
        found[ids] = values
    if found is None:
        raise WrongOutputError(f"{output}: no Parquet file in it")
    missing, repeated = int((seen == 0).sum()), int((seen > 1).sum())
    if missing or repeated:
        raise WrongOutputError(f"{output}: {missing} rows missing, {repeated} more than once, of {rows}")
    return found


def compare(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference. Raises WrongOutputError where it is more than rounding."""
    difference = float(np.abs(found.astype(np.float64) - expected.astype(np.float64)).max())
    if not difference <= TOLERANCE[str(expected.dtype)]:  # not: NaN is wrong, too
        raise WrongOutputError(f"probabilities differ by up to {difference}")
    return difference


def make(output: Path, reference: Path, model_path: Path, folder: Path) -> None:
    """Turn the bare loop's output into a reference."""
    import joblib  # here: `check` needs no model, and runs after every command

    model = joblib.load(model_path)
    files = shape.files(folder)
    rows = sum(pq.read_metadata(path).num_rows for path in files)
    found = read(output, rows)
    for path in files:
        table = next(pq.ParquetFile(path).iter_batches(SAMPLE)).to_pandas()
        compare(found[table[shape.ID]], model.predict_proba(table[list(shape.FEATURES)])[:, 1])
    reference.parent.mkdir(parents=True, exist_ok=True)
    staged = reference.with_suffix(".part.npy")
    np.save(staged, found)
    staged.replace(reference)


def check(output: Path, reference: Path) -> float:
    """The largest difference between `output` and `reference`."""
    expected = np.load(reference, mmap_mode="r")
    return compare(read(output, len(expected)), expected)


if __name__ == "__main__":
    what, *paths = sys.argv[1:]
    try:
        if what == "make":
            make(*map(Path, paths))
        else:
            print(json.dumps({"largest_difference": check(*map(Path, paths))}))
    except WrongOutputError as error:
        raise SystemExit(str(error)) from error
