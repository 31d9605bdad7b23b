"""The nursery of a batch job: loads the job's scorer and forks workers that work for an engine.

Runs in the deployment's own environment: Python 3.8, standard library only.
"""

from __future__ import annotations

import sys
from typing import Any, Callable, Mapping

from penstock.runtimes import nurseries
from penstock.runtimes.batch import worker
from penstock.runtimes.batch.messages import Job
from penstock.scoring import opening
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


if __name__ == "__main__":
    nurseries.main(sys.argv, Batch)
