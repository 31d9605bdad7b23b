"""Dask: a data frame of Parquet files, `map_partitions`, on a local cluster of two processes.

python dask_frame.py MODEL INPUT OUTPUT
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import dask.dataframe as dd
import joblib
import pandas as pd
from dask.distributed import Client, LocalCluster

FEATURES = [f"f{number}" for number in range(20)]
META = {"id": "int64", "probability_1": "float64"}


@functools.cache
def load(path: str) -> Any:
    """The model, once a process."""
    return joblib.load(path)


def score(frame: pd.DataFrame, model: str) -> pd.DataFrame:
    """One partition."""
    probability = load(model).predict_proba(frame[FEATURES])[:, 1]
    return pd.DataFrame({"id": frame["id"], "probability_1": probability.astype("float64")})


def main(model: str, folder: str, output: str) -> None:
    """The whole job."""
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        frame = dd.read_parquet(folder)
        frame.map_partitions(score, model, meta=META).to_parquet(output, write_index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
