"""The import hook through which scripts find our stand-ins for Azure's packages.

It stands last on ``sys.meta_path``: a package that the environment has wins, and only what is missing, even a
submodule of a real ``azureml`` package, is answered from here. The exception is `PREFERRED`, which stands
first. Runs in workers: Python 3.8, standard library.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import Any, Sequence

_STAND_INS = "penstock.scoring.compat"

MODULES: dict[str, str] = {
    "azureml.ai.monitoring": "monitoring",
    "azureml.ai.monitoring.collector": "monitoring",
    "azureml.ai.monitoring.context": "monitoring_context",
    "azureml.contrib.services.aml_request": "aml_request",
    "azureml.contrib.services.aml_response": "aml_response",
    "azureml.core": "core",
    "azureml.core.dataset": "workspace",
    "azureml.core.datastore": "workspace",
    "azureml.core.environment": "workspace",
    "azureml.core.experiment": "workspace",
    "azureml.core.model": "model",
    "azureml.core.run": "run",
    "azureml.core.workspace": "workspace",
    "azureml.monitoring": "model_data_collector",
    "azureml_inference_server_http.api.aml_request": "aml_request",
    "azureml_inference_server_http.api.aml_response": "aml_response",
    "azureml_inference_server_http.log_config": "log_config",
    "azureml_user.parallel_run": "entry_script",
    "entry_script": "entry_script",
    "inference_schema.parameter_types.abstract_parameter_type": "abstract_parameter_type",
    "inference_schema.parameter_types.numpy_parameter_type": "numpy_parameter_type",
    "inference_schema.parameter_types.pandas_parameter_type": "pandas_parameter_type",
    "inference_schema.parameter_types.spark_parameter_type": "spark_parameter_type",
    "inference_schema.parameter_types.standard_py_parameter_type": "standard_py_parameter_type",
    "inference_schema.schema_decorators": "schema_decorators",
    "inference_schema.schema_util": "schema_util",
}
"""Name that scripts import -> our module in `penstock.scoring.compat` that answers to it."""

PREFERRED = ("azureml.ai.monitoring",)
"""Answered from here even where the original is installed: that one hands its data to a process which stands
beside every container of Azure ML and nowhere else, and raises where it finds no trace of it."""

EMPTY_PACKAGES = frozenset(
    parent
    for name in MODULES
    for depth in range(1, name.count(".") + 1)
    for parent in [".".join(name.split(".")[:depth])]
    if parent not in MODULES
)
"""Packages that exist only to hold the above."""


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname in MODULES:
            holds_others = any(name.startswith(fullname + ".") for name in MODULES)
            return importlib.machinery.ModuleSpec(
                fullname, _StandIn(MODULES[fullname]), is_package=holds_others
            )
        if fullname in EMPTY_PACKAGES:
            return importlib.machinery.ModuleSpec(fullname, _Empty(), is_package=True)
        return None


class _PreferredFinder(_Finder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not f"{fullname}.".startswith(tuple(f"{name}." for name in PREFERRED)):
            return None
        return super().find_spec(fullname, path, target)


class _StandIn(importlib.abc.Loader):
    """Gives our own module under the foreign name, the same object under each of its names."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._identity: dict[str, Any] = {}

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(f"{_STAND_INS}.{self._module}")
        self._identity = {"__spec__": module.__spec__}
        if spec.submodule_search_locations is not None:
            module.__path__ = []
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just written the foreign spec into our module.
        module.__spec__ = self._identity["__spec__"]


class _Empty(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__doc__ = "Stands in for a package of Azure ML's; see penstock.scoring.compat."


_FINDER = _Finder()
_PREFERRED_FINDER = _PreferredFinder()


def install() -> None:
    """Put the hooks first and last on ``sys.meta_path``; once is enough, twice does no harm."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.append(_FINDER)
    if _PREFERRED_FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _PREFERRED_FINDER)
