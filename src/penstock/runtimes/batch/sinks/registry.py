"""The one place that knows which sink belongs to which form of output. The concrete ones are imported when one is
needed: a job on local files must not wait for the libraries of clouds and databases."""

from __future__ import annotations

import dataclasses
from urllib.parse import unquote

from penstock.bundle.batch import Output
from penstock.runtimes.batch.sinks import dataset, single, summary
from penstock.runtimes.batch.sinks.interface import Sink
from penstock.runtimes.batch.sources import addresses


def open_sink(output: Output, *, job: str, folder: str) -> Sink:
    """The sink for `output`; `folder` is the job's own. Nothing is touched, nothing is connected yet."""
    if output.form == "sql":
        from penstock.runtimes.batch.sinks import sql

        return sql.SqlSink(output, job=job, folder=folder)
    scheme = addresses.scheme_of(output.location)
    if scheme == "file":
        path = unquote(output.location.partition("://")[2])
        return open_sink(dataclasses.replace(output, location=path), job=job, folder=folder)
    if output.form == "delta":
        from penstock.runtimes.batch.sinks import delta

        return delta.DeltaSink(output, job=job, folder=folder)
    if output.form == "summary-only":
        return summary.SummarySink(output, job=job, folder=folder)
    if scheme:
        from penstock.runtimes.batch.sinks import remote_dataset, remote_single

        remote = (
            remote_dataset.RemoteDatasetSink
            if output.form == "parquet-dataset"
            else remote_single.RemoteFileSink
        )
        return remote(output, job=job, folder=folder)
    local = dataset.DatasetSink if output.form == "parquet-dataset" else single.FileSink
    return local(output, job=job, folder=folder)
