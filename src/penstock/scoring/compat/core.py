"""Stands in for ``azureml.core``, of which scoring scripts use ``Model``. Runs in workers: Python 3.8."""

from __future__ import annotations

from penstock.scoring.compat.model import Model

__all__ = ["Model"]
