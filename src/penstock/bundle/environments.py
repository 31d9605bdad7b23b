"""The environment that a deployment's workers run in: a virtual environment built by uv, kept by digest.

An environment lies at ``<cache>/environments/<digest>``, is built there once under a file lock, and counts
only when its marker file stands, which is written last: a build that is killed leaves nothing that anybody
uses, and the next one starts afresh. It is built in place, as scripts in a virtual environment hold their own
path.
Nothing of Penstock is installed in it; `launch.worker_argv` brings the worker code along.
Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, Mapping

from penstock.bundle import build_failures, installer, interpreters, numpy_fit, requirement_lines
from penstock.bundle.requirements import Requirements
from penstock.errors import EnvironmentBuildError

FORMAT = "2"
"""Raised when what is built from the same requirements changes, so that older environments are built anew."""

_SETUPTOOLS = "setuptools<81"

COMPANIONS = ("pip", _SETUPTOOLS, "orjson")
"""Installed where the requirements leave them out and a wheel fits, never a reason to fail: conda's own
environments always bring the first two, and old libraries import ``pkg_resources`` without asking for it
(setuptools 81 warns of its end, and 82 is without it); orjson makes workers faster."""

_MARKER = ".penstock-ready"


@dataclass(frozen=True)
class Environment:
    """`python` is the absolute path of the interpreter that workers run on; `notes` are lines for people."""

    python: str
    notes: tuple[str, ...] = ()


def current() -> Environment:
    """The environment that this process runs in."""
    return Environment(sys.executable)


def cache_directory(variables: Mapping[str, str]) -> str:
    """``PENSTOCK_CACHE``, else ``penstock`` in the user's cache folder."""
    named = variables.get("PENSTOCK_CACHE")
    if named:
        return str(Path(named).expanduser().resolve())
    caches = variables.get("XDG_CACHE_HOME") or Path(variables.get("HOME") or Path.home(), ".cache")
    return str(Path(caches, "penstock"))


def prepare(requirements: Requirements, *, strict: bool, say: Callable[[str], None]) -> Environment:
    """The environment that holds `requirements`, built now unless it was built before.

    `strict`: the Python asked for or none. `say` is told of progress, a line a call. Raises
    EnvironmentBuildError: no such Python, a package that cannot be had, a conflict, no network, a full disk.
    """
    source = requirements.source or "the requirements"
    choice = interpreters.pick(requirements.python, strict=strict, source=source)
    notes = requirements.notes + ((choice.note,) if choice.note else ())
    root = os.path.join(cache_directory(os.environ), "environments")
    folder = os.path.join(root, digest(requirements, choice.interpreter))
    try:
        if not is_ready(folder):
            Path(root).mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(folder + ".lock", say) as lock:
                if not is_ready(folder):
                    _build(folder, requirements, choice.interpreter, say, lock)
    except OSError as error:
        raise EnvironmentBuildError(
            f"cannot build the environment in {root}: {error.strerror or error}",
            hint="make room or set PENSTOCK_CACHE to a folder that can be written",
        ) from error
    return Environment(python_of(folder), notes)


def digest(requirements: Requirements, interpreter: interpreters.Interpreter) -> str:
    """What an environment is kept by: 24 hexadecimal digits over all that goes into it, local files too."""
    lines = sorted({requirement_lines.normalized(line) for line in requirements.packages})
    content = [
        FORMAT,
        interpreter.path,
        interpreters.dotted(interpreter.version),
        lines,
        list(requirements.options),
    ]
    content.append(
        [requirement_lines.fingerprint(path) for path in requirement_lines.local_paths(requirements)]
    )
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]


def python_of(folder: str) -> str:
    """The interpreter of the virtual environment at `folder`."""
    return os.path.join(folder, "bin", "python")


def is_ready(folder: str) -> bool:
    """Whether `folder` holds a finished environment whose base interpreter still exists."""
    return Path(folder, _MARKER).exists() and os.access(python_of(folder), os.X_OK)


@contextlib.contextmanager
def _locked(path: str, say: Callable[[str], None]) -> Iterator[int]:
    """Hold the lock file at `path` alone. uv inherits the descriptor, so the lock outlives us if need be."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that builds the same environment")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _build(
    folder: str,
    requirements: Requirements,
    interpreter: interpreters.Interpreter,
    say: Callable[[str], None],
    lock: int,
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    source = requirements.source or "the requirements"
    say(f"building the environment of {source} on {interpreter.label}")
    try:
        _install(folder, requirements, interpreter, say, lock)
        _add_companions(folder, requirements, say, lock)
        with Path(folder, _MARKER).open("w", encoding="utf-8") as file:
            json.dump({"format": FORMAT, "source": source, "python": interpreter.path}, file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    say(f"environment ready: {folder}")


def _install(
    folder: str,
    requirements: Requirements,
    interpreter: interpreters.Interpreter,
    say: Callable[[str], None],
    lock: int,
) -> None:
    root = str(Path(folder).parent)
    venv = ["venv", "--no-project", "--no-config", "--quiet", "--python", interpreter.path, folder]
    outcome = installer.run(venv, say=say, folder=root, lock=lock)
    if outcome.status != 0:
        raise EnvironmentBuildError(
            f"uv cannot make a virtual environment on {interpreter.label} ({interpreter.path}):\n"
            f"{outcome.log.strip()}"
        )
    if not requirements.packages and not requirement_lines.installs(requirements.options):
        return
    arguments, text = requirement_lines.for_uv(requirements)
    install = ["pip", "install", "--python", python_of(folder), *arguments, "--requirements", "-"]
    outcome = installer.run(install, say=say, folder=root, requirements=text, lock=lock)
    if outcome.status != 0:
        raise build_failures.explain(outcome.log, requirements, interpreter)
    _hold_back(folder, install, text, say, lock)


def _hold_back(
    folder: str, install: list[str], text: str, say: Callable[[str], None], lock: int | None
) -> None:
    """Give old libraries the NumPy and setuptools that conda would have given them, unless others are asked
    for: then uv refuses the addition, and changes nothing."""
    root = str(Path(folder).parent)
    installed = _installed(folder)
    misfits = ", ".join(numpy_fit.misfits(installed))
    if misfits:
        outcome = installer.run(
            install,
            say=_nothing,
            folder=root,
            requirements=f"{text.rstrip()}\n{numpy_fit.HELD_BACK}\n",
            lock=lock,
        )
        if outcome.status == 0:
            text = f"{text.rstrip()}\n{numpy_fit.HELD_BACK}\n"
            say(f"NumPy is kept below 2: {misfits} is built for NumPy 1")
        else:
            say(f"NumPy 2 is asked for, but {misfits} is built for NumPy 1 and may not import")
    if "setuptools" in installed and numpy_fit.release_of(installed["setuptools"]) >= (81,):
        installer.run(
            install, say=_nothing, folder=root, requirements=f"{text.rstrip()}\n{_SETUPTOOLS}\n", lock=lock
        )


def _add_companions(
    folder: str, requirements: Requirements, say: Callable[[str], None], lock: int | None
) -> None:
    installed = _installed(folder)
    missing = [line for line in COMPANIONS if requirement_lines.name_of(line) not in installed]
    if not missing:
        return
    arguments, _ = requirement_lines.for_uv(Requirements(options=requirements.options))
    command = [
        "pip",
        "install",
        "--python",
        python_of(folder),
        "--only-binary",
        ":all:",
        *arguments,
    ]
    # They have no dependencies; with --no-deps uv would not ask whether a version is for this Python.
    # All at once as a rule; one by one where one of them cannot be had for this Python.
    for group in [missing, *([line] for line in missing)]:
        outcome = installer.run([*command, *group], say=_nothing, folder=str(Path(folder).parent), lock=lock)
        if outcome.status == 0 and group is missing:
            return


def _nothing(line: str) -> None:
    """Tells nobody: companions are no news."""


def _installed(folder: str) -> dict[str, str]:
    """The versions of what is installed in the environment at `folder`, by normalised name."""
    found = Path(folder, "lib").glob("python*/site-packages/*")
    names = [entry.stem.split("-") for entry in found if entry.suffix in (".dist-info", ".egg-info")]
    return {requirement_lines.name_of(name): "".join(rest[:1]) for name, *rest in names}
