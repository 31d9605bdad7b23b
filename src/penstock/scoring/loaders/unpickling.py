"""Unpickling a model, with what goes wrong said in words that help.

A pickle is code: loading one runs what its author wrote. Runs in workers: Python 3.8, standard library;
joblib where it is installed.
"""

from __future__ import annotations

import pickle
import re
import sys
import traceback
import warnings
from typing import Any

from penstock.errors import ModelError
from penstock.scoring.loaders import compression, packages

_SKLEARN_VERSION = re.compile(rb"_sklearn_version.{1,12}?(\d+\.\d+[0-9A-Za-z.]*)", re.DOTALL)
_SKLEARN_WARNING = re.compile(r"from version (\S+) when using version (\S+?)\. ")
_SCAN_BYTES = 64 * 1024 * 1024


def load(path: str) -> tuple[Any, tuple[str, ...]]:
    """The object in the pickle at `path`, of any protocol and any compression that joblib writes, and notes
    on version clashes. Raises ModelError, whose `detail` is the library's own traceback."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            loaded = _read(path)
        except Exception as error:  # unpickling runs arbitrary code, which raises anything
            raise translated(path, error) from error
    return loaded, _notes(caught)


def _read(path: str) -> Any:
    try:
        import joblib
    except ImportError:
        with compression.open_plain(path) as stream:
            return pickle.load(stream)
    return joblib.load(path)


def _notes(caught: list[warnings.WarningMessage]) -> tuple[str, ...]:
    """Version warnings as one note each; the rest is warned again, to the log."""
    notes: list[str] = []
    for warning in caught:
        clash = _SKLEARN_WARNING.search(str(warning.message) + " ")
        if clash:
            note = (
                f"the model was pickled with scikit-learn {clash.group(1)} and is served with "
                f"{clash.group(2)}: answers may differ; list the model's version in its environment"
            )
            if note not in notes:
                notes.append(note)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return tuple(notes)


def translated(path: str, error: Exception) -> ModelError:
    """The ModelError for an `error` that unpickling `path` raised, with what to do about it."""
    detail = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    clash = _sklearn_clash(path)
    text = str(error)
    if isinstance(error, ModuleNotFoundError):
        message, hint = _missing_module(path, error.name or text)
    elif isinstance(error, AttributeError) and "__main__" in text:
        name = re.search(r"attribute '([^']+)'", text)
        message = (
            f"{path} needs the class or function {name.group(1) if name else text}, which was defined in the "
            "script or notebook that saved the model (__main__) and is not in the file"
        )
        hint = (
            "Put it in a module of its own, import it from there and save the model again; or give a scoring "
            "script that defines it, with --code DIR --script score.py."
        )
    elif isinstance(error, (EOFError, pickle.UnpicklingError)) and "truncated" in text + "truncated" * (
        not text
    ):
        message, hint = (
            f"{path} ends too soon: {text or 'the pickle is cut off'}",
            "Save or copy the model again.",
        )
    elif "unsupported pickle protocol" in text:
        message = f"{path} was pickled by a newer Python than this {_python()}: {text}"
        hint = "Give the model's environment the Python that saved it (conda file: python=3.x)."
    else:
        message = f"{path} cannot be unpickled: {type(error).__name__}: {text}"
        hint = "List the libraries and versions that the model was saved with in its environment."
    if clash:
        message, hint = f"{message}. {clash}", f"{hint} List scikit-learn in the saved version."
    return ModelError(message, detail=detail, hint=hint)


def _missing_module(path: str, module: str) -> tuple[str, str]:
    top = module.split(".")[0]
    installed = packages.version(packages.distribution_of(top))
    if top == "numpy":
        message = f"{path} was pickled with another major version of NumPy than the installed {installed}"
        return f"{message}: it needs {module}", "List the NumPy that it was saved with in its environment."
    if top in sys.modules or installed:
        owner = f"{packages.distribution_of(top)} {installed}".rstrip()
        message = f"{path} needs the module {module}, which the installed {owner} does not have"
        return message, "It was saved with another version: list that version in the model's environment."
    known = packages.install_hint(top)
    if known:
        message = f"{path} needs the Python package {packages.distribution_of(top)}, which is not installed"
        return message, known
    hint = (
        f"If {top} is a package, list it in the model's environment (conda file or requirements). "
        "If it is your own code, give its folder and a scoring script: --code DIR --script score.py."
    )
    return f"{path} needs the Python module {module}, which is not installed here", hint


def _sklearn_clash(path: str) -> str:
    """A sentence with both versions of scikit-learn where they differ, from the bytes of the pickle."""
    installed = packages.version("scikit-learn")
    try:
        with compression.open_plain(path) as stream:
            found = _SKLEARN_VERSION.search(stream.read(_SCAN_BYTES))
    except Exception:  # noqa: BLE001 - a damaged file has already been reported as what it is
        return ""
    saved = found.group(1).decode("ascii").rstrip(".") if found else ""
    if not saved or saved == installed:
        return ""
    return f"It was saved with scikit-learn {saved}; installed is {installed or 'none'}"


def _python() -> str:
    return f"Python {sys.version_info.major}.{sys.version_info.minor}"
