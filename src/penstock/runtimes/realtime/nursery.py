"""The nursery of a scoring server: loads the deployment's scorer and forks workers that serve the gateway.

Runs in the deployment's own environment: Python 3.8, standard library only.
"""

from __future__ import annotations

import sys
from typing import Any, Callable, Mapping

from penstock.bundle.manifest import Manifest
from penstock.runtimes import nurseries
from penstock.runtimes.realtime import worker
from penstock.scoring import opening
from penstock.scoring.interface import Scorer


class Serving:
    """The trade: see `penstock.runtimes.nurseries.Trade`. The order holds ``manifest`` and ``gateway``, the path of
    its socket for workers."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        self._manifest = Manifest.from_json(order["manifest"])
        self._gateway: str = order["gateway"]
        self._generation: int = order["generation"]
        self.preload = self._manifest.settings.preload

    def load(self) -> Scorer:
        """The deployment's scorer."""
        return opening.open_scorer(self._manifest)

    def describe(self, loaded: Scorer) -> dict[str, Any]:
        """What the gateway wants to know."""
        return loaded.describe().to_json()

    def work(self, loaded: Scorer, description: Mapping[str, Any], alive: Callable[[], bool]) -> None:
        """Serve the gateway."""
        about = {"generation": self._generation, "description": description}
        worker.Worker(loaded, gateway=self._gateway, about=about, alive=alive).run()

    def abandoned(self) -> None:
        """Nothing is ours: other generations may still serve the gateway, in whose folder its socket lies."""


if __name__ == "__main__":
    nurseries.main(sys.argv, Serving)
