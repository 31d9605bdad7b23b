"""The encoders by name: what a sink's `encoding` may be, and what `open_encoder` makes of it."""

from __future__ import annotations

from penstock.runtimes.batch.encoders import appended, arrow, delimited, jsonlines, parquet
from penstock.runtimes.batch.encoders.interface import Encoder, Opener

ENCODERS: dict[str, Opener] = {
    "parquet": parquet.ParquetEncoder,
    "arrow": arrow.ArrowEncoder,
    "csv": delimited.CsvEncoder,
    "jsonl": jsonlines.JsonLinesEncoder,
    "append-row": appended.AppendRowEncoder,
    "append-row-header": appended.AppendRowHeaderEncoder,
    "append-row-mlflow": delimited.MlflowRowEncoder,
    "none": appended.NothingEncoder,
}
"""``append-row-header`` is ``append-row`` whose DataFrames begin with their column names; ``none`` writes nothing,
for scripts that write their results themselves."""


def open_encoder(encoding: str, path: str) -> Encoder:
    """An encoder of this name that writes to `path`, a new file."""
    return ENCODERS[encoding](path)
