"""Stands in for ``azureml.core``, of which scoring scripts use ``Model`` and ``Run``.

Runs in workers: Python 3.8.
"""

from __future__ import annotations

from penstock.scoring.compat.model import Model
from penstock.scoring.compat.run import Run
from penstock.scoring.compat.workspace import Dataset, Datastore, Environment, Experiment, Keyvault, Workspace

__all__ = ["Dataset", "Datastore", "Environment", "Experiment", "Keyvault", "Model", "Run", "Workspace"]

VERSION = __version__ = "0"
"""Scripts print it."""
