"""PySpark: `mapInPandas` over Arrow, two local task slots.

python spark.py MODEL INPUT OUTPUT
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pandas as pd
from pyspark.sql import SparkSession

FEATURES = [f"f{number}" for number in range(20)]


def scorer(path: str) -> Any:
    """The function that Spark's Python workers run."""

    def score(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        import joblib

        model = joblib.load(path)
        for frame in frames:
            probability = model.predict_proba(frame[FEATURES])[:, 1]
            yield pd.DataFrame({"id": frame["id"], "probability_1": probability})

    return score


def main(model: str, folder: str, output: str) -> None:
    """The whole job."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "100000")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .getOrCreate()
    )
    rows = spark.read.parquet(folder)
    rows.mapInPandas(scorer(model), "id long, probability_1 double").write.parquet(output)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
