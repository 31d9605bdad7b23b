"""Stands in for the classes of ``azureml.core`` that speak with a workspace: scripts import them more often
than they use them, so importing works and using says what is missing.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

from typing import Any


class _NeedsWorkspace(type):
    """Makes every use of the class itself fail, ``Workspace.from_config()`` and the like."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotImplementedError(
            f"{cls.__name__}.{name} needs a workspace of Azure ML and azureml-core, which is not installed; add "
            "that package to the environment, or hand the data to the script by path"
        )

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"{cls.__name__} needs a workspace of Azure ML and azureml-core, which is not installed; add that "
            "package to the environment, or hand the data to the script by path"
        )


class Workspace(metaclass=_NeedsWorkspace):
    """Not available."""


class Experiment(metaclass=_NeedsWorkspace):
    """Not available."""


class Dataset(metaclass=_NeedsWorkspace):
    """Not available."""


class Datastore(metaclass=_NeedsWorkspace):
    """Not available."""


class Environment(metaclass=_NeedsWorkspace):
    """Not available."""


class Keyvault(metaclass=_NeedsWorkspace):
    """Not available."""
