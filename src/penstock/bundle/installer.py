"""uv at work: makes virtual environments and installs into them, its progress told in plain lines.

Runs in workers: Python 3.8, standard library only (the ``uv`` package is asked for its binary when there).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Callable, Mapping, Sequence

from penstock.bundle import package_indexes
from penstock.errors import EnvironmentBuildError

Say = Callable[[str], None]

_RESOLVED = re.compile(r"Resolved (\d+ packages?) in (.+)\Z")
_DOWNLOADING = re.compile(r"Downloading (\S+) \((.+)\)\Z")
_BUILDING = re.compile(r"Building (\S+)")
_INSTALLED = re.compile(r"Installed (\d+ packages?) in (.+)\Z")


@dataclass(frozen=True)
class Outcome:
    """How one run of uv ended: its exit status and all that it said on standard error."""

    status: int
    log: str


def uv_binary() -> str:
    """The path of uv: the one that Penstock brings, else the one on PATH. Raises EnvironmentBuildError."""
    try:
        import uv
    except ImportError:
        pass
    else:
        try:
            return uv.find_uv_bin()
        except FileNotFoundError:
            pass
    found = shutil.which("uv")
    if found is None:
        raise EnvironmentBuildError(
            "uv, which builds environments, is not installed",
            hint="`pip install uv`, or serve in the running Python with --environment current",
        )
    return found


def uv_environment(variables: Mapping[str, str]) -> Mapping[str, str]:
    """The process environment for uv: ours, pip's configuration in uv's words, nothing of an active
    environment, and never a download of a Python."""
    ours = dict(variables)
    ours.update(package_indexes.uv_variables(variables))
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON", "UV_SYSTEM_PYTHON"):
        ours.pop(name, None)
    ours["UV_PYTHON_DOWNLOADS"] = "never"
    ours["UV_NO_PROGRESS"] = "1"
    ours["NO_COLOR"] = "1"
    return ours


def run(
    arguments: Sequence[str],
    *,
    say: Say,
    folder: str,
    requirements: str = "",
    lock: int | None = None,
) -> Outcome:
    """Run ``uv ARGUMENTS`` in `folder`, `requirements` on its standard input.

    `lock` is a file descriptor that uv inherits: a file lock on it then holds until uv has ended too, even
    when this process is killed. KeyboardInterrupt ends uv before it goes on.
    """
    process = subprocess.Popen(
        [uv_binary(), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=dict(uv_environment(os.environ)),
        pass_fds=() if lock is None else (lock,),
        encoding="utf-8",
        errors="replace",
    )
    assert process.stdin is not None  # both are pipes, as asked
    assert process.stderr is not None
    log: list[str] = []
    try:
        try:
            process.stdin.write(requirements)
            process.stdin.close()
        except BrokenPipeError:
            pass  # uv has given up already; its log says why
        for line in process.stderr:
            log.append(line)
            told = progress(line)
            if told:
                say(told)
        status = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        process.stderr.close()
    return Outcome(status, "".join(log))


def progress(line: str) -> str:
    """A line of uv's log as a person wants to read it; empty where it is of no interest."""
    text = line.strip()
    match = _RESOLVED.match(text)
    if match:
        return "resolved {} in {}".format(*match.groups())
    match = _DOWNLOADING.match(text)
    if match:
        return "downloading {} ({})".format(match[1], match[2].replace("iB", "B"))
    match = _BUILDING.match(text)
    if match:
        return f"building {match[1]} from source, as no wheel of it fits; this may take minutes"
    match = _INSTALLED.match(text)
    if match:
        return "installed {} in {}".format(*match.groups())
    return ""
