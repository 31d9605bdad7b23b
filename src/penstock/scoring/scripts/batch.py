"""A user's batch scoring script behind the batch door: `ScriptBatchScorer`.

The contract is that of Azure ML's batch deployments and parallel steps, so that drivers written for those run
unchanged; docs/batch-scripts.md says it for users. Runs in workers: Python 3.8, standard library; pandas only
where a script wants data frames.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Any, Mapping, Sequence

from penstock import errors
from penstock.bundle.batch import BatchSettings
from penstock.bundle.manifest import Manifest
from penstock.scoring.interface import Scored
from penstock.scoring.scripts import (
    batch_frames,
    batch_logging,
    batch_results,
    batch_script,
    failures,
    loading,
    stand_ins,
    version_warnings,
)
from penstock.scoring.scripts.batch_script import MiniBatchContext
from penstock.scoring.scripts.settings import read_settings

_logger = logging.getLogger("azmlinfsrv")


def open_batch_script(manifest: Manifest, settings: BatchSettings, schema: Any = None) -> ScriptBatchScorer:
    """Import the manifest's batch scoring script, check it, call its ``init()``.

    `schema` is the input's ``pyarrow.Schema``, None for files. A script is handed its columns and no others.
    Changes this process: working directory, ``sys.path``, ``sys.argv``, logging, and the environment where
    Azure ML's variables are not set yet. Raises `ScriptError`.
    """
    if manifest.code is None:
        raise errors.ScriptError(f"the deployment {manifest.name} has no code", stage="import")
    directory = os.path.abspath(manifest.code.directory)
    _set_variables(manifest, directory)
    found = read_settings(directory, os.environ)
    stand_ins.install()
    batch_logging.configure(settings.logging_level)
    sys.argv = _arguments(os.path.join(directory, manifest.code.script), settings)
    if settings.takes == "frame":
        _require_pandas()
    with version_warnings.version_clashes() as clashes:
        script = batch_script.load(directory, manifest.code.script, found)
        loading.run_init(script, directory, found)
    return ScriptBatchScorer(
        script,
        takes=settings.takes,
        names=None if schema is None else list(schema.names),
        sums_up=settings.sums_up,
        notes=tuple(clashes),
    )


def _require_pandas() -> None:
    try:
        importlib.import_module("pandas")
    except ImportError as error:
        raise errors.ScriptError(
            f"the script is to get pandas data frames, and pandas cannot be imported: {error}",
            stage="import",
            hint="Add pandas to the environment's conda file or requirements.",
        ) from error


def _set_variables(manifest: Manifest, directory: str) -> None:
    """What a script may read; a worker that was started with all of it keeps what it has."""
    for name, value in manifest.variables.items():
        os.environ.setdefault(name, value)
    if manifest.model is not None:
        os.environ.setdefault("AZUREML_MODEL_DIR", manifest.model.directory)
        os.environ.setdefault("PENSTOCK_MODEL_PATH", manifest.model.path)
    os.environ.setdefault("AML_APP_ROOT", directory)
    if manifest.code is not None:
        os.environ.setdefault("AZUREML_ENTRY_SCRIPT", manifest.code.script)


def _arguments(path: str, settings: BatchSettings) -> list[str]:
    """``sys.argv``: `--logging_level` is all that Azure's driver is known to promise; what else it has there is
    its own, and would only break scripts that parse strictly."""
    arguments = [path, *settings.program_arguments]
    if not any(argument.split("=")[0] == "--logging_level" for argument in settings.program_arguments):
        arguments += ["--logging_level", settings.logging_level.upper()]
    return arguments


class ScriptBatchScorer:
    """Scores each mini-batch by one call of the script's ``run``. Constructing it calls nothing of the user's.

    `names` are the input's columns, None where they are not known. `sums_up`: what goes in may come out as fewer.
    """

    fork_safe = False
    """``init`` may have started threads, opened connections or a device: no child may inherit those."""
    columns: tuple[str, ...] | None = None

    def __init__(
        self,
        script: batch_script.BatchScript,
        *,
        takes: str,
        names: Sequence[str] | None = None,
        sums_up: bool = False,
        notes: tuple[str, ...] = (),
    ) -> None:
        self._script = script
        self._names = names
        self._sums_up = sums_up
        self.takes = takes
        self.notes = notes
        self._context = MiniBatchContext(0)
        self._closed = False

    def begin(self, number: int, start: int = 0, partition: Mapping[str, Any] | None = None) -> None:
        """The next call is for the items from `start` on of mini-batch `number`, whose partition keys have the
        values `partition`: what a script that takes a context is told."""
        self._context = MiniBatchContext(number, start, partition)

    def score(self, data: Any) -> Scored:
        """Call ``run`` with `data`: a list of paths, or a pandas DataFrame or Arrow table of at least one row.

        Raises `ScriptRunError`, and MemoryError as it comes: the worker's own affair.
        """
        given = len(data)
        mini_batch = list(data) if self.takes == "files" else batch_frames.own_frame(data, self._names)
        try:
            returned = self._script.call(mini_batch, self._context)
        except MemoryError:
            raise
        except BaseException as error:  # user code may raise anything, exit() included
            raise errors.ScriptRunError(
                f"run() failed: {failures.last_line(error)}", detail=failures.user_traceback(error)
            ) from error
        noun = "file" if self.takes == "files" else "row"
        return batch_results.scored(returned, given, noun, any_number=self._sums_up)

    def close(self) -> None:
        """Call ``shutdown()`` where the script has one, once. What it raises is logged."""
        if self._closed or self._script.shutdown is None:
            return
        self._closed = True
        try:
            self._script.shutdown()
        except BaseException as error:  # noqa: BLE001 - user code; the results are complete without it
            _logger.error(
                "shutdown() failed: %s\n%s", failures.last_line(error), failures.user_traceback(error)
            )
