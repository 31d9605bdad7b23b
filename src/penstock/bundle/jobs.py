"""Where jobs live: a folder for each, under one root, with the launch that made it. Runs in workers: Python 3.8.

``PENSTOCK_JOBS``, else ``penstock/jobs`` in the user's state folder. A job's folder holds ``launch.json`` (what is
resumed; it may hold the password of a database, so that only its owner reads it), ``job.json`` (what it is and how
it stands, for people and for other jobs), the ledger, what is staged, and the logs.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import secrets
from typing import Any, Iterator, Mapping

from penstock.bundle.batch import BatchLaunch
from penstock.errors import JobError

LAUNCH, ABOUT = "launch.json", "job.json"

WORKER = "worker.json"
"""What workers must know of the job."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def root(variables: Mapping[str, str]) -> str:
    """The folder of all jobs, absolute."""
    named = variables.get("PENSTOCK_JOBS")
    if named:
        return os.path.abspath(os.path.expanduser(named))
    home = variables.get("HOME") or os.path.expanduser("~")
    states = variables.get("XDG_STATE_HOME") or os.path.join(home, ".local", "state")
    return os.path.join(os.path.abspath(states), "penstock", "jobs")


def new_name(about: str) -> str:
    """A name that no job has: what it is about, the time, and something random."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", about).strip("-")[:40] or "job"
    return f"{stem}-{dt.datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def checked_name(name: str) -> str:
    """`name`, if a folder can be called that. Raises JobError."""
    if not _NAME.fullmatch(name):
        raise JobError(
            f"no job can be called {name!r}",
            hint="letters, digits, dots, dashes and underscores; 100 at most",
        )
    return name


def find(said: str, variables: Mapping[str, str]) -> str:
    """The folder of the job that `said` names: its name, or its folder. Raises JobError."""
    for folder in (said, os.path.join(root(variables), said)):
        if os.path.isfile(os.path.join(folder, LAUNCH)):
            return os.path.abspath(folder)
    known = sorted(names(root(variables)), key=lambda name: name[::-1])
    near = [name for name in known if said in name][-3:] or known[-3:]
    raise JobError(
        f"there is no job {said!r} in {root(variables)}",
        hint="jobs there: " + ", ".join(near) if near else "there are no jobs yet",
    )


def names(folder: str) -> Iterator[str]:
    """The names of the jobs under the root `folder`."""
    if os.path.isdir(folder):
        for entry in os.scandir(folder):
            if os.path.isfile(os.path.join(entry.path, LAUNCH)):
                yield entry.name


def write_launch(launch: BatchLaunch) -> None:
    """Make the job's folder with its launch in it."""
    os.makedirs(launch.folder, mode=0o700, exist_ok=True)
    replace_file(os.path.join(launch.folder, LAUNCH), launch.to_json())


def read_launch(folder: str) -> BatchLaunch:
    """The launch of the job in `folder`. Raises JobError."""
    path = os.path.join(folder, LAUNCH)
    try:
        with open(path, encoding="utf-8") as file:
            return BatchLaunch.from_json(file.read())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JobError(f"{path} cannot be read: {error}", hint="start a new job") from error


def write_about(job_folder: str, **about: Any) -> None:
    """Keep what is known of the job, for people and other jobs; each fact over what was there."""
    replace_file(
        os.path.join(job_folder, ABOUT), json.dumps({**read_about(job_folder), **about}, indent=1) + "\n"
    )


def read_about(folder: str) -> dict[str, Any]:
    """What is known of the job in `folder`; nothing, where nothing is or can be read."""
    try:
        with open(os.path.join(folder, ABOUT), encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def replace_file(path: str, text: str) -> None:
    """Write `text` to `path`, whole or not at all; only the owner may read it."""
    part = f"{path}.part"
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
