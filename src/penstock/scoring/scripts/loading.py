"""A user's scoring script, imported, checked and initialised: code -> `Script`.

The rules are those of Azure ML's inference server, so that a script which starts there starts here. What
fails becomes a `ScriptError` with the user's own traceback. Runs in workers: Python 3.8, standard library.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Callable, Protocol

from penstock import errors
from penstock.scoring.scripts import failures
from penstock.scoring.scripts.settings import ScriptSettings

TEXT, OBJECT, RAW = "text", "object", "raw"
"""The three input modes: the body as a string, keyword arguments from a JSON object, the HTTP request."""

MODULE_NAME = "entry_module"
"""Name that the script's module gets, as on Azure ML's server; pickles may refer to it."""

_SCHEMA_MODULES = ("inference_schema.schema_util", "penstock.scoring.compat.schema_util")
_RAW_MODULES = ("azureml_inference_server_http.api.aml_request", "azureml.contrib.services.aml_request")


@dataclass(frozen=True)
class Script:
    """A scoring script that has been imported and whose `run` obeys the rules.

    `parameters` are those of `run` without ``request_headers``; `mode` is `TEXT`, `OBJECT` or `RAW`.
    """

    path: str
    init: Callable[[], Any]
    run: Callable[..., Any]
    mode: str
    parameters: tuple[inspect.Parameter, ...]
    wants_request_headers: bool


class Initialised(Protocol):
    """What `run_init` asks of a script, whatever its contract."""

    @property
    def path(self) -> str:
        """The script's file, absolute."""

    @property
    def init(self) -> Callable[[], Any]:
        """Called once."""


def load_script(code_directory: str, script: str, settings: ScriptSettings) -> Script:
    """Import `script` (relative to `code_directory`, or ``main.py`` when empty) and check its functions.

    As `import_script`; raises `ScriptError` with stage ``function`` too.
    """
    path, module = import_script(code_directory, script, settings)
    return _check(path, module)


def import_script(
    code_directory: str,
    script: str,
    settings: ScriptSettings,
    name_for: Callable[[str], str] = lambda path: MODULE_NAME,
) -> tuple[str, ModuleType]:
    """The path and the module of `script` (relative to `code_directory`, or ``main.py`` when empty).

    Puts the code directory on ``sys.path`` and makes it the working directory. `name_for` says what the module
    of a path is called, once the path is extended. Raises `ScriptError` with stage ``import``.
    """
    path = os.path.join(code_directory, script or "main.py")
    if not os.path.isfile(path):
        raise errors.ScriptError(
            f"There is no scoring script {path}",
            stage="import",
            hint="In {} there are: {}.".format(
                code_directory, ", ".join(_python_files(code_directory)) or "no Python files"
            ),
        )
    _extend_path(code_directory, os.path.dirname(path), settings.source_directory)
    try:
        os.chdir(code_directory)
        module = _import(path, script, name_for)
    except BaseException as error:
        raise _failure(error, "cannot be imported", "import", path, code_directory, settings) from error
    return path, module


def run_init(script: Initialised, code_directory: str, settings: ScriptSettings) -> None:
    """Call ``init()``. Raises `ScriptError` with stage ``init`` and the model directory's listing."""
    try:
        script.init()
    except BaseException as error:
        failure = _failure(error, "failed in init()", "init", script.path, code_directory, settings)
        if settings.model_directory:
            failure.detail += "\n\n" + failures.model_tree(settings.model_directory)
        raise failure from error


def _failure(
    error: BaseException, what: str, stage: str, path: str, code_directory: str, settings: ScriptSettings
) -> errors.ScriptError:
    return errors.ScriptError(
        f"{os.path.relpath(path, code_directory)} {what}: {failures.last_line(error)}",
        stage=stage,
        detail=failures.user_traceback(error),
        hint=failures.hint_for(
            error, code_directory=code_directory, model_directory=settings.model_directory
        ),
    )


def _python_files(directory: str) -> tuple[str, ...]:
    try:
        return tuple(sorted(name for name in os.listdir(directory) if name.endswith(".py"))[:20])
    except OSError:
        return ()


def _extend_path(code_directory: str, script_directory: str, source_directory: str) -> None:
    """The code directory comes first, so that the script's own modules win over installed ones of the same
    name; the folders of a nested script and of AZUREML_SOURCE_DIRECTORY come last."""
    if code_directory not in sys.path:
        sys.path.insert(0, code_directory)
    for extra in (
        os.path.join(code_directory, source_directory) if source_directory else "",
        script_directory,
    ):
        if extra and extra not in sys.path:
            sys.path.append(extra)


def _import(path: str, script: str, name_for: Callable[[str], str]) -> ModuleType:
    importlib.invalidate_caches()
    _forget_previous()
    if not script:
        return importlib.import_module("main")
    name = name_for(path)
    # Search locations make the script a package, so that `from .features import ...` finds its neighbours.
    spec = importlib.util.spec_from_file_location(
        name, path, submodule_search_locations=[os.path.dirname(path)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"not a Python file: {path}")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickles look their module up by name.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _forget_previous() -> None:
    """A process that has loaded another script before must not mistake that one's marks for this one's."""
    for name in [name for name in sys.modules if name.partition(".")[0] == MODULE_NAME]:
        del sys.modules[name]
    for name in _RAW_MODULES:
        if name in sys.modules:
            sys.modules[name]._rawHttpRequested = False  # type: ignore[attr-defined] # the contract's own flag
    forget = getattr(schema_registry(), "forget", None)
    if forget is not None:
        forget(MODULE_NAME)


def _check(path: str, module: ModuleType) -> Script:
    name = os.path.basename(path)
    for function in ("init", "run"):
        if not callable(getattr(module, function, None)):
            raise errors.ScriptError(
                f"{name} has no {function}() function",
                stage="function",
                hint="A scoring script defines init(), called once, and run(data), called for each request.",
            )
    run = module.run
    driven = getattr(module, "driver_module", None)
    if isinstance(driven, ModuleType) and hasattr(driven, "run"):
        # A generated driver script wraps the real one and passes decorated arguments on wrongly.
        run = driven.run
    declared = tuple(inspect.signature(run).parameters.values())
    wanted = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    wrong = [str(parameter) for parameter in declared if parameter.kind not in wanted]
    if wrong:
        raise errors.ScriptError(
            "{}: run() may not take positional-only arguments, *args or **kwargs; it has {}".format(
                name, ", ".join(wrong)
            ),
            stage="function",
            hint="Name every parameter. A decorator of your own should use functools.wraps.",
        )
    parameters = tuple(parameter for parameter in declared if parameter.name != "request_headers")
    if not parameters:
        raise errors.ScriptError(
            "{}: run() needs a parameter for the input data{}".format(
                name, " besides request_headers" if declared else ""
            ),
            stage="function",
            hint="Declare it as run(data).",
        )
    return Script(
        path=path,
        init=module.init,
        run=run,
        mode=_mode(name, run),
        parameters=parameters,
        wants_request_headers=len(parameters) != len(declared),
    )


def _mode(name: str, run: Callable[..., Any]) -> str:
    raw = any(getattr(sys.modules.get(module), "_rawHttpRequested", False) for module in _RAW_MODULES)
    decorated = is_schema_decorated(run)
    if raw and decorated:
        raise errors.ScriptError(
            f"{name}: run() cannot have both @rawhttp and @input_schema",
            stage="function",
            hint="Use @rawhttp alone to see the whole request, or the schema decorators alone.",
        )
    return RAW if raw else OBJECT if decorated else TEXT


def is_schema_decorated(run: Callable[..., Any]) -> bool:
    """Whether `run` has a decorator of inference-schema, the original's or ours."""
    schemas = schema_registry()
    return schemas is not None and bool(schemas.is_schema_decorated(run))


def schema_registry() -> Any:
    """The loaded module that knows what the schema decorators declared, or None: none was ever used."""
    return next((sys.modules[name] for name in _SCHEMA_MODULES if name in sys.modules), None)
