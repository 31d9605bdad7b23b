"""Which package brings a module, and which version is installed. Runs in workers: Python 3.8, standard
library only."""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import Any

from penstock.errors import ModelError
from penstock.scoring import distributions

# Extras of Penstock, by module: see pyproject.toml.
_EXTRAS = {
    "sklearn": "sklearn",
    "joblib": "sklearn",
    "pandas": "sklearn",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "onnxruntime": "onnx",
    "torch": "torch",
    "mlflow": "mlflow",
    "pyarrow": "arrow",
}
# Further packages that bring what a format needs, under the name of their module.
_OTHERS = {"catboost", "imblearn", "lz4", "skops", "statsmodels"}
# Packages that bring a module under another distribution's name, tried in order.
_ALTERNATIVES = {
    "xgboost": ("xgboost", "xgboost-cpu"),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "mlflow": ("mlflow", "mlflow-skinny"),
}


def distribution_of(module: str) -> str:
    """The name on PyPI of the package that brings `module`."""
    return distributions.BY_MODULE.get(module, module)


def version(distribution: str) -> str:
    """The installed version, or empty."""
    for name in _ALTERNATIVES.get(distribution, (distribution,)):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


def install_hint(module: str) -> str:
    """What to install for `module`, or empty where we do not know it."""
    extra = _EXTRAS.get(module)
    if extra is None and module not in distributions.BY_MODULE and module not in _OTHERS:
        return ""
    name = distribution_of(module)
    if extra is None:
        return f"List {name} in the model's environment, or run pip install {name}."
    return f"List {name} in the model's environment, or run pip install 'penstock[{extra}]'."


def require(module: str, path: str, form: str) -> Any:
    """Import `module`, without which the model at `path`, of format `form`, cannot be loaded. Raises
    ModelError with the package to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = distribution_of(module.split(".")[0])
        if isinstance(error, ModuleNotFoundError) and error.name in (module, module.split(".")[0]):
            message = f"{path} is {form}, and {name} is not installed"
        else:
            message = f"{path} is {form}, and {name} cannot be imported: {error}"
        raise ModelError(message, hint=install_hint(module.split(".")[0])) from error


def parsed(text: str) -> tuple[int, ...]:
    """The leading numbers of a version, ``(1, 26, 4)``; enough to compare."""
    numbers = []
    for part in text.split("."):
        digits = "".join(char for char in part if char.isdigit())
        if not digits or not part[0].isdigit():
            break
        numbers.append(int(digits))
    return tuple(numbers)
