"""A batch scoring script, imported and checked: code -> `BatchScript`.

What Azure ML asks of it: ``run(mini_batch)``, or ``run(mini_batch, mini_batch_context)``; ``init()`` and
``shutdown()`` if it likes. Runs in workers: Python 3.8, standard library.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Callable, Mapping

from penstock import errors
from penstock.scoring.scripts import loading
from penstock.scoring.scripts.settings import ScriptSettings

CONTEXT = "mini_batch_context"
"""Name of the parameter that gets the context, wherever it stands."""


class MiniBatchContext:
    """What a script is told of its mini-batch beside the data: the mini-batch's `number` in the job, where in it
    this call starts, and its partition."""

    def __init__(self, number: int, start: int = 0, partition: Mapping[str, Any] | None = None) -> None:
        self.minibatch_index = f"{number}_{start}" if start else str(number)
        """Another for each call, the same when a call is repeated, so that scripts may name files by it."""
        self.partition_key_value = dict(partition or {})
        """Partition key -> value; empty where the input is not partitioned."""

    def __repr__(self) -> str:
        return (
            f"MiniBatchContext(minibatch_index={self.minibatch_index!r}, "
            f"partition_key_value={self.partition_key_value!r})"
        )


@dataclass(frozen=True)
class BatchScript:
    """A batch scoring script that has been imported and whose `run` obeys the rules.

    `context`: how `run` takes the context: ``positional``, ``keyword``, or empty for not at all.
    """

    path: str
    init: Callable[[], Any]
    run: Callable[..., Any]
    shutdown: Callable[[], Any] | None
    context: str

    def call(self, mini_batch: Any, context: MiniBatchContext) -> Any:
        """What ``run`` returns for `mini_batch`."""
        if not self.context:
            return self.run(mini_batch)
        if self.context == "positional":
            return self.run(mini_batch, context)
        return self.run(mini_batch, **{CONTEXT: context})


def load(code_directory: str, script: str, settings: ScriptSettings) -> BatchScript:
    """Import `script` (relative to `code_directory`) and check its functions.

    Raises `ScriptError` with stage ``import`` or ``function``.
    """
    path, module = loading.import_script(code_directory, script, settings, _module_name)
    return _checked(path, module)


def _module_name(path: str) -> str:
    """The name under which the script's other modules, and processes that it spawns, can import it; the name
    of real-time scripts where that is another module's."""
    stem = os.path.splitext(os.path.basename(path))[0]
    try:
        spec = importlib.util.find_spec(stem)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.origin or not os.path.exists(spec.origin):
        return loading.MODULE_NAME
    return stem if os.path.samefile(spec.origin, path) else loading.MODULE_NAME


def _nothing() -> None:
    """Stands for the ``init()`` that a script leaves out."""


def _checked(path: str, module: ModuleType) -> BatchScript:
    name = os.path.basename(path)
    run = getattr(module, "run", None)
    if not callable(run):
        raise errors.ScriptError(
            f"{name} has no run() function",
            stage="function",
            hint="A batch scoring script defines run(mini_batch), and init() if it has something to load.",
        )
    for optional in ("init", "shutdown"):
        if not callable(getattr(module, optional, _nothing)):
            raise errors.ScriptError(
                f"{name}: {optional} is no function",
                stage="function",
                hint="Give that variable another name.",
            )
    return BatchScript(
        path=path,
        init=getattr(module, "init", _nothing),
        run=run,
        shutdown=getattr(module, "shutdown", None),
        context=_context(name, run),
    )


def _context(name: str, run: Callable[..., Any]) -> str:
    try:
        parameters = list(inspect.signature(run).parameters.values())
    except (TypeError, ValueError):
        # A callable made in C does not say.
        return ""
    positional = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    takes_any = any(parameter.kind == parameter.VAR_POSITIONAL for parameter in parameters)
    if not positional and not takes_any:
        raise errors.ScriptError(
            f"{name}: run() has no parameter for the mini-batch",
            stage="function",
            hint="Declare it as run(mini_batch).",
        )
    left_over = [parameter for parameter in positional[2:] if parameter.default is parameter.empty]
    left_over += [
        parameter
        for parameter in parameters
        if parameter.kind == parameter.KEYWORD_ONLY
        and parameter.default is parameter.empty
        and parameter.name != CONTEXT
    ]
    if left_over:
        raise errors.ScriptError(
            "{}: run() needs {}, which nobody gives".format(
                name, ", ".join(parameter.name for parameter in left_over)
            ),
            stage="function",
            hint=f"It is called as run(mini_batch) or run(mini_batch, {CONTEXT}).",
        )
    named = [parameter for parameter in parameters if parameter.name == CONTEXT]
    if named and named[0].kind != named[0].POSITIONAL_ONLY and named[0] not in positional[:1]:
        return "keyword"
    second = positional[1] if len(positional) > 1 else None
    wanted = second is not None and (second.default is second.empty or second.name in (CONTEXT, "context"))
    return "positional" if wanted else ""
