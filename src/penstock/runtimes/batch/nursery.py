"""The nursery of a batch job: loads the job's scorer and forks workers that work for an engine.

Runs in the deployment's own environment: Python 3.8, standard library only.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from pathlib import Path
from typing import Any, Callable, Mapping

from penstock.kit import private_folders
from penstock.runtimes import nurseries
from penstock.runtimes.batch import worker
from penstock.runtimes.batch.messages import Job
from penstock.scoring import opening
from penstock.scoring.compat import entry_script
from penstock.scoring.interface import BatchScorer


class Batch:
    """The trade: see `penstock.runtimes.nurseries.Trade`. The order holds ``job`` and ``engine``, the path of the
    engine's socket."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        with open(order["job"], encoding="utf-8") as file:
            # A file, for an input of thousands of columns has a schema that no channel's message holds.
            self._job = Job.from_json(file.read())
        self._engine: str = order["engine"]
        self.preload = self._job.settings.preload

    def load(self) -> BatchScorer:
        """The job's scorer, its columns checked against the input's."""
        job = self._job
        if job.own_results:
            os.environ["AZUREML_BI_OUTPUT_PATH"] = job.own_results
            os.environ[entry_script.LOGS] = job.own_logs
        return opening.open_batch_scorer(job.manifest, job.settings, job.output, worker.offered_schema(job))

    def describe(self, loaded: BatchScorer) -> dict[str, Any]:
        """What the driver wants to know."""
        return {
            "notes": list(loaded.notes),
            "columns": None if loaded.columns is None else list(loaded.columns),
            "shared": loaded.fork_safe,
        }

    def work(self, loaded: BatchScorer, description: Mapping[str, Any], alive: Callable[[], bool]) -> None:
        """Work for the engine; its end closes the socket, so that `alive` need not be asked."""
        worker.Worker(loaded, self._job, engine=self._engine, about=description).run()

    def abandoned(self) -> None:
        """Remove the folder of the engine's socket, which a killed engine has left."""
        private_folders.remove(Path(self._engine).parent)


NEEDED = {
    "sklearn": ("pyarrow.parquet", "joblib", "sklearn.utils.validation"),
    "python": ("pyarrow.parquet", "joblib", "sklearn.utils.validation"),
    "xgboost": ("pyarrow.parquet", "xgboost"),
    "lightgbm": ("pyarrow.parquet", "lightgbm"),
    "catboost": ("pyarrow.parquet", "catboost"),
    "onnx": ("pyarrow.parquet", "onnxruntime"),
    "torch": ("pyarrow.parquet", "torch"),
}
"""What scoring a model of a format will import. It is imported while the driver plans, which takes as long."""


def main(argv: list[str]) -> None:
    """``nursery FORMAT CHANNEL_FD``; FORMAT may be empty."""
    for name in NEEDED.get(argv[1], ()):
        with contextlib.suppress(Exception):  # whoever needs it will say what is wrong
            importlib.import_module(name)
    nurseries.main([argv[0], argv[-1]], Batch)


if __name__ == "__main__":
    main(sys.argv)
