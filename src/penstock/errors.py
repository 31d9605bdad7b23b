"""Every error that Penstock raises on purpose, in one tree.

::

    PenstockError
    ├── UsageError              a command line that cannot be meant
    ├── SpecError               a file that people write: names file, line and key
    ├── EnvironmentBuildError   an environment that cannot be built or found
    ├── StartError              a deployment that cannot start; `stage` says where
    │   ├── ModelError          the model file: missing, unreadable, of no known format, library missing
    │   └── ScriptError         the scoring script: import, missing function, failed init
    ├── DataError               input data of a batch job; names file, line, row or column
    ├── OutputError             the place for results: taken, missing, full, not writable
    ├── ScriptRunError          a scoring script's run() failed for one mini-batch
    ├── JobError                a batch job that failed, or cannot be started or resumed
    └── InputError              a request whose content is wrong; never the server's fault
        ├── MalformedInput      cannot be parsed at all
        ├── SchemaMismatch      parsed, but a column, type or shape is wrong; names it
        ├── UnsupportedMedia    a content type that nothing here reads
        └── NotAcceptable       an `Accept` that nothing here writes

A message says what was found and what to do next. How an error looks outside (an exit code, an HTTP status)
is a table in the surface that shows it, never an attribute here.

Runs in workers too: Python 3.8, standard library only.
"""

from __future__ import annotations


class PenstockError(Exception):
    """Root of the tree. ``str(error)`` is the message a person reads; `hint` is the next step, or empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(PenstockError):
    """A command line that cannot be meant: options that exclude each other, a path that is not there."""


class SpecError(PenstockError):
    """Something wrong in a file that people write.

    `file` as the user named it, `line` counted from 1 (0: the file as a whole), `key` as a dotted path
    (``code_configuration.scoring_script``; empty: the whole document).
    """

    def __init__(self, message: str, *, file: str = "", line: int = 0, key: str = "", hint: str = "") -> None:
        where = ":".join(part for part in (file, str(line) if line else "") if part)
        super().__init__(": ".join(part for part in (where, key, message) if part), hint=hint)
        self.file = file
        self.line = line
        self.key = key


class EnvironmentBuildError(PenstockError):
    """An environment that cannot be built, found or used."""


class StartError(PenstockError):
    """A deployment that cannot start.

    `stage` is one of ``environment``, ``model``, ``import``, ``function``, ``init``. `detail` is the user's
    own traceback where there is one.
    """

    def __init__(self, message: str, *, stage: str, detail: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.stage = stage
        self.detail = detail


class ModelError(StartError):
    """The model file cannot be used."""

    def __init__(self, message: str, *, detail: str = "", hint: str = "") -> None:
        super().__init__(message, stage="model", detail=detail, hint=hint)


class ScriptError(StartError):
    """The scoring script cannot be used; `stage` is ``import``, ``function`` or ``init``."""


class DataError(PenstockError):
    """Input data that cannot be used: a file, line, row, column or value, named in the message.

    `file` as people see it, `line` counted from 1 in it (0: none, or not a text), `row` counted from 0 in the
    cut that was read (-1: no single row is at fault), `column` by name (empty: no single one).
    """

    def __init__(
        self, message: str, *, file: str = "", line: int = 0, row: int = -1, column: str = "", hint: str = ""
    ) -> None:
        where = ":".join(part for part in (file, str(line) if line else "") if part)
        named = f"column {column!r}" if column else ""
        super().__init__(": ".join(part for part in (where, named, message) if part), hint=hint)
        self.file = file
        self.line = line
        self.row = row
        self.column = column


class OutputError(PenstockError):
    """The place for results cannot be used: something is there already, it is not writable, it is full."""


class JobError(PenstockError):
    """A batch job that failed, or that cannot be started or resumed. `detail` is the first real traceback."""

    def __init__(self, message: str, *, detail: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.detail = detail


class ScriptRunError(PenstockError):
    """A batch scoring script's ``run`` raised, or returned what cannot be used. `detail` is the script's own
    traceback, empty where nothing was raised."""

    def __init__(self, message: str, *, detail: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.detail = detail


class InputError(PenstockError):
    """A request whose content is wrong."""


class MalformedInput(InputError):
    """A payload that cannot be parsed: bad UTF-8, bad JSON, a truncated tensor."""


class SchemaMismatch(InputError):
    """A payload whose column, type or shape is not the model's; `field` names it."""

    def __init__(self, message: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field


class UnsupportedMedia(InputError):
    """A content type that nothing here reads."""


class NotAcceptable(InputError):
    """An ``Accept`` header that nothing here writes."""
