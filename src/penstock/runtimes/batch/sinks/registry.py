"""The one place that knows which sink belongs to which form of output."""

from __future__ import annotations

from penstock.bundle.batch import Output
from penstock.runtimes.batch.sinks import dataset, delta, single, sql
from penstock.runtimes.batch.sinks.interface import Sink


def open_sink(output: Output, *, job: str, folder: str) -> Sink:
    """The sink for `output`; `folder` is the job's own. Nothing is touched, nothing is connected yet."""
    if output.form == "parquet-dataset":
        return dataset.DatasetSink(output, job=job, folder=folder)
    if output.form == "delta":
        return delta.DeltaSink(output, job=job, folder=folder)
    if output.form == "sql":
        return sql.SqlSink(output, job=job, folder=folder)
    return single.FileSink(output, job=job, folder=folder)
