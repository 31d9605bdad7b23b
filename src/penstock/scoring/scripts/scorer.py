"""A user's ``init``/``run`` script behind the one door: `ScriptScorer`.

The contract is that of Azure ML's inference server; docs/differences.md lists where we differ and why, and
``tests/e2e/test_differential_azureml.py`` holds us to it. Runs in workers: Python 3.8, standard library.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from types import FrameType
from typing import Any, Callable, ContextManager, Iterator

from penstock import errors
from penstock.bundle.manifest import Manifest
from penstock.scoring.interface import Description, Reply, Request
from penstock.scoring.scripts import (
    failures,
    inputs,
    loading,
    log_setup,
    outputs,
    stand_ins,
    swagger,
    version_warnings,
)
from penstock.scoring.scripts.loading import Script
from penstock.scoring.scripts.settings import ScriptSettings, read_settings

_RUN_FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."
_INTERNAL = "An unexpected internal error occurred. Check the logs for more info."


def open_script(manifest: Manifest) -> ScriptScorer:
    """Import the manifest's scoring script, check it, call its ``init()``.

    Changes this process: working directory, ``sys.path``, ``print``, logging. Raises `ScriptError`.
    """
    if manifest.code is None:
        raise errors.ScriptError(f"the deployment {manifest.name} has no code", stage="import")
    directory = os.path.abspath(manifest.code.directory)
    environ = dict(os.environ)
    environ.update(manifest.variables)
    if manifest.model is not None:
        environ.setdefault("AZUREML_MODEL_DIR", manifest.model.directory)
    settings = read_settings(directory, environ)
    stand_ins.install()
    log_setup.configure(directory, os.path.dirname(manifest.code.script), settings.log_level)
    with version_warnings.version_clashes() as clashes:
        script = loading.load_script(directory, manifest.code.script, settings)
        loading.run_init(script, directory, settings)
    return ScriptScorer(script, settings, directory, notes=tuple(clashes))


class ScriptScorer:
    """Scores each request by one call of the script's ``run``. Constructing it calls nothing of the user's."""

    batches = False
    fork_safe = False
    """``init`` may have started threads, opened connections or a device: no child may inherit those."""

    def __init__(
        self, script: Script, settings: ScriptSettings, code_directory: str, notes: tuple[str, ...] = ()
    ) -> None:
        self._script = script
        self._settings = settings
        self._code_directory = code_directory
        self._notes = notes
        self._run = script.run
        self._timeout_ms = settings.scoring_timeout_ms
        self._wants_request_headers = script.wants_request_headers
        self._flask = _flask_bridge() if script.mode == loading.RAW else _flask_bridge(loaded_only=True)
        self._read: inputs.Reader = self._raw if script.mode == loading.RAW else inputs.reader(script)

    def describe(self) -> Description:
        """Kind, methods and schema pages."""
        documents, notes = swagger.documents(self._script, self._settings, self._code_directory)
        return Description(
            kind="script",
            methods=("GET", "HEAD", "POST", "OPTIONS"),
            documents=documents,
            wants_headers=self._wants_request_headers
            or self._flask is not None
            or self._script.mode == "raw",
            notes=(*self._notes, *notes),
        )

    def score(self, requests: list[Request]) -> list[Reply]:
        """One call of ``run`` a request; whatever it raises becomes that request's answer."""
        return [self._score(request) for request in requests]

    def close(self) -> None:
        """Nothing: the contract has no counterpart to ``init``."""

    def _score(self, request: Request) -> Reply:
        if self._flask is None:
            return self._answer(request)
        with self._flask(request):
            return self._answer(request)

    def _answer(self, request: Request) -> Reply:
        try:
            arguments = self._read(request)
        except inputs.Refusal as refusal:
            if refusal.status == 405 and request.method == "OPTIONS":
                return outputs.options_reply()
            return outputs.error_reply(refusal.status, refusal.message)
        if self._wants_request_headers:
            arguments["request_headers"] = inputs.request_headers(request)
        try:
            if self._timeout_ms:
                with _alarm(self._timeout_ms):
                    started = time.perf_counter()
                    result = self._run(**arguments)
                    elapsed_ms = (time.perf_counter() - started) * 1000.0
            else:
                started = time.perf_counter()
                result = self._run(**arguments)
                elapsed_ms = (time.perf_counter() - started) * 1000.0
        except _Overstay as error:
            message = f"Scoring timeout after {self._timeout_ms} ms"
            _log_failure(message, error)
            return outputs.error_reply(500, message, run_failed=True)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - user code may raise anything
            _log_failure(f"run() raised {failures.last_line(error)}", error)
            return outputs.error_reply(500, _RUN_FAILED, run_failed=True)
        try:
            return outputs.result_reply(result, elapsed_ms)
        except Exception as error:  # noqa: BLE001 - a result can fail in any way while it is written
            _log_failure(
                f"run() returned {type(result).__name__}, which cannot be sent: {failures.last_line(error)}",
                error,
            )
            return outputs.error_reply(500, _INTERNAL)

    def _raw(self, request: Request) -> dict[str, Any]:
        if self._flask is not None:
            import flask

            raw: Any = flask.request._get_current_object()
        else:
            from penstock.scoring.scripts.raw_request import RawRequest

            raw = RawRequest(request)
        return {self._script.parameters[0].name: raw}


def _log_failure(summary: str, error: BaseException) -> None:
    log_setup.logger.error("%s\n%s", summary, failures.user_traceback(error))


def _flask_bridge(loaded_only: bool = False) -> Callable[[Request], ContextManager[Any]] | None:
    """A function that enters Flask's request context, where the script can see Flask; else None."""
    from penstock.scoring.scripts import flask_bridge

    return flask_bridge.context_maker(loaded_only=loaded_only)


class _Overstay(BaseException):
    """`run` took longer than SCORING_TIMEOUT_MS. Not an Exception: a script's own ``except`` may not eat it."""


def _ring(signum: int, frame: FrameType | None) -> None:
    raise _Overstay


@contextlib.contextmanager
def _alarm(timeout_ms: int) -> Iterator[None]:
    """Raise `_Overstay` in the block after `timeout_ms`; signals reach the main thread only, so elsewhere
    the block is not limited."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, timeout_ms / 1000.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
