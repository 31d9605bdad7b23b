"""The Pythons on this machine, and which of them a deployment's environment is built on.

`find` looks where people keep interpreters (PATH, pyenv, uv, conda, asdf, mise, the system's folders) and
asks each for its version; `choose` is a pure decision. Nothing is ever downloaded.
Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import glob
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence, Tuple

from penstock.errors import EnvironmentBuildError

Version = Tuple[int, int, int]

OLDEST: Version = (3, 8, 0)
"""The oldest Python that worker code runs on."""

_PROBE_TIMEOUT_S = 20.0
_SYSTEM_FOLDERS = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/opt/local/bin")
_NAME = re.compile(r"python(3(\.\d+)?)?\Z")
_CLAUSE = re.compile(
    r"(?P<operator>===|==|~=|!=|>=|<=|>|<|)\s*(?P<version>\d+(?:\.\d+)*)(?P<wildcard>\.\*)?\Z"
)
_PROBE = (
    "import sys, json; v = sys.version_info;"
    "print(json.dumps([list(v[:3]), v[3], sys.implementation.name, getattr(sys, 'abiflags', ''),"
    " sys.prefix != sys.base_prefix]))"
)


@dataclass(frozen=True)
class Interpreter:
    """A CPython: the `path` of its executable, symbolic links resolved, and its `version`."""

    path: str
    version: Version

    @property
    def label(self) -> str:
        """``Python 3.8.18``."""
        return "Python " + dotted(self.version)


@dataclass(frozen=True)
class Choice:
    """The interpreter to use; `note` says what was wanted where that is not what it is, else empty."""

    interpreter: Interpreter
    note: str = ""


def dotted(version: Sequence[int]) -> str:
    """``3.8.18``."""
    return ".".join(str(part) for part in version)


def satisfies(version: Version, wanted: str) -> bool:
    """Whether `version` is what `wanted` asks: ``3.8`` and ``==3.8`` mean any 3.8, ``>=3.8,<3.11`` a range.

    Raises EnvironmentBuildError where `wanted` is no version.
    """
    return all(
        _clause_holds(version, clause.strip(), wanted) for clause in wanted.split(",") if clause.strip()
    )


def _clause_holds(version: Version, clause: str, wanted: str) -> bool:
    match = _CLAUSE.match(clause)
    if match is None:
        raise EnvironmentBuildError(
            f"cannot read the Python version {wanted!r}",
            hint="write it like 3.9, 3.9.13 or >=3.8,<3.11",
        )
    asked = tuple(int(part) for part in match["version"].split("."))
    same = version[: len(asked)]
    operator = match["operator"]
    if operator in ("", "==", "==="):
        return same == asked
    if operator == "!=":
        return same != asked
    if operator == "~=":
        return same >= asked and version[: len(asked) - 1] == asked[:-1]
    padded = ((*asked, 0, 0, 0))[:3]
    if operator == ">=":
        return version >= padded
    if operator == "<":
        return version < padded
    # As people mean it: 3.10.4 is not greater than 3.10, and satisfies <=3.10.
    return same > asked if operator == ">" else same <= asked


def choose(
    wanted: str, available: Sequence[Interpreter], *, preferred: Version, strict: bool, source: str = ""
) -> Choice:
    """The interpreter for `wanted` (as `satisfies` reads it; empty: any).

    Of those that satisfy it: one of the minor version of `preferred` (the running Python) where `wanted`
    leaves that open, else the newest. Where none does, the nearest, the older of two equally near (a pin has
    wheels for older Pythons sooner than for newer ones), with a note; EnvironmentBuildError where `strict`,
    or where nothing here can run workers. `source` names the file that asks.
    """
    usable = [interpreter for interpreter in available if interpreter.version >= OLDEST]
    have = ", ".join(sorted({dotted(each.version) for each in usable}, key=_natural)) or "none"
    if not usable:
        raise EnvironmentBuildError(
            f"no Python {dotted(OLDEST[:2])} or newer was found on this machine",
            hint=f"install one, for example with pyenv or `uv python install {dotted(OLDEST[:2])}`",
        )
    matching = [interpreter for interpreter in usable if satisfies(interpreter.version, wanted)]
    if matching:
        return Choice(_best(matching, preferred))
    asker = source or "the environment"
    aim = _aim(wanted)
    nearest = min(usable, key=lambda each: (_distance(each.version, aim), _negative(each.version)))
    if strict:
        raise EnvironmentBuildError(
            f"{asker} asks for Python {wanted}, which this machine lacks; found {have}",
            hint=_strict_hint(wanted, aim, nearest),
        )
    note = "{} asks for Python {}, which {}; using {}".format(
        asker,
        wanted,
        "is too old for worker processes (3.8 is the oldest)" if aim < OLDEST else "this machine lacks",
        nearest.label,
    )
    if nearest.version[:2] != aim[:2]:
        note += ". A model pickled on another Python may not load."
    return Choice(nearest, note)


def _best(matching: Sequence[Interpreter], preferred: Version) -> Interpreter:
    def rank(interpreter: Interpreter) -> tuple[bool, bool, Version]:
        version = interpreter.version
        return version[:2] == preferred[:2], version == preferred, version

    return max(matching, key=rank)


def _aim(wanted: str) -> Version:
    """The version at the heart of `wanted`, to measure distances from."""
    match = re.search(r"\d+(?:\.\d+)*", wanted)
    parts = tuple(int(part) for part in match.group().split(".")) if match else OLDEST
    padded = ((*parts, 0, 0, 0))[:3]
    return padded[0], padded[1], padded[2]


def _distance(version: Version, aim: Version) -> tuple[int, int, bool, int]:
    minors = abs((version[0] - aim[0]) * 100 + version[1] - aim[1])
    return abs(version[0] - aim[0]), minors, version > aim, abs(version[2] - aim[2]) if minors == 0 else 0


def _negative(version: Version) -> Version:
    return -version[0], -version[1], -version[2]


def _strict_hint(wanted: str, aim: Version, nearest: Interpreter) -> str:
    if aim < OLDEST:
        return f"Python {dotted(OLDEST[:2])} is the oldest that can score; save the model anew on a newer one"
    if nearest.version[:2] == aim[:2]:
        series = dotted(aim[:2])
        return f"ask for python={series} to accept {nearest.label}, or leave out --strict-environment"
    return (
        "install it (`pyenv install {0}` or `uv python install {0}`), "
        "or leave out --strict-environment to use {1}".format(dotted(aim[:2]), nearest.label)
    )


def _natural(text: str) -> list[int]:
    return [int(part) for part in text.split(".")]


def pick(wanted: str, *, strict: bool, source: str = "") -> Choice:
    """`choose` among what `find` finds, starting no more interpreters than the answer needs."""
    here = running()
    if here.version >= OLDEST and satisfies(here.version, wanted):
        return Choice(here)
    named = [path for path in candidates(os.environ) if _named_for(path, wanted)]
    likely = [each for each in _probe(named) if each.version >= OLDEST and satisfies(each.version, wanted)]
    return choose(wanted, likely or find(), preferred=here.version, strict=strict, source=source)


def _named_for(path: str, wanted: str) -> bool:
    """Whether the file name at `path` says the one series that `wanted` names; a range names none."""
    asked = re.match(r"(?:==)?(\d+\.\d+)(?:\.\d+)?(?:\.\*)?\Z", wanted)
    return asked is not None and os.path.basename(path) == "python" + asked[1]


def running() -> Interpreter:
    """The interpreter that runs this code, the virtual environment around it taken away."""
    base = getattr(sys, "_base_executable", "") or sys.executable
    return Interpreter(os.path.realpath(base), sys.version_info[:3])


def find(variables: Mapping[str, str] | None = None) -> list[Interpreter]:
    """Every CPython on this machine that starts, the running one first, each once; free-threaded builds and
    pre-releases left out. `variables` is the process environment (default: ours)."""
    here = running()
    paths = candidates(os.environ if variables is None else variables)
    return [here, *_probe([path for path in paths if path != here.path])]


def _probe(paths: Sequence[str]) -> list[Interpreter]:
    """The interpreters among `paths`, all asked at once."""
    processes = [_start_probe(path) for path in paths]
    versions = [_finish_probe(process) for process in processes]
    return [Interpreter(path, version) for path, version in zip(paths, versions) if version is not None]


def candidates(variables: Mapping[str, str]) -> list[str]:
    """Paths that may be interpreters, symbolic links resolved, in the order in which they are looked for."""
    home = variables.get("HOME") or str(Path.home())
    data = variables.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    pyenv = variables.get("PYENV_ROOT") or os.path.join(home, ".pyenv")
    installs = [
        os.path.join(pyenv, "versions", "*", "bin"),
        os.path.join(
            variables.get("UV_PYTHON_INSTALL_DIR") or os.path.join(data, "uv", "python"), "*", "bin"
        ),
        os.path.join(
            variables.get("ASDF_DATA_DIR") or os.path.join(home, ".asdf"), "installs", "python", "*", "bin"
        ),
        os.path.join(
            variables.get("MISE_DATA_DIR") or os.path.join(data, "mise"), "installs", "python", "*", "bin"
        ),
    ]
    folders = [folder for pattern in installs for folder in sorted(glob.glob(pattern))]
    folders += [folder for folder in variables.get("PATH", "").split(os.pathsep) if folder.startswith("/")]
    folders += _SYSTEM_FOLDERS
    folders += _conda_folders(home)
    # pyenv's shims are shell scripts that start what a folder asks for; what they start was found above.
    shims = os.path.realpath(os.path.join(pyenv, "shims"))
    seen: dict[str, None] = {}
    for folder in folders:
        if os.path.realpath(folder) == shims or not Path(folder).is_dir():
            continue
        for name in sorted(os.listdir(folder)):
            path = os.path.realpath(os.path.join(folder, name))
            if _NAME.match(name) and os.access(path, os.X_OK):
                seen.setdefault(path, None)
    return list(seen)


def _conda_folders(home: str) -> list[str]:
    """The environments that conda has made, as it lists them itself."""
    try:
        listed = Path(home, ".conda", "environments.txt").read_text(encoding="utf-8")
    except OSError:
        return []
    return [os.path.join(line.strip(), "bin") for line in listed.splitlines() if line.strip()]


def _start_probe(path: str) -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(
            [path, "-I", "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
    except OSError:
        return None


def _finish_probe(process: subprocess.Popen[bytes] | None) -> Version | None:
    """The version of a finished CPython that can carry an environment, else None."""
    if process is None:
        return None
    try:
        output, _ = process.communicate(timeout=_PROBE_TIMEOUT_S)
        (major, minor, patch), level, implementation, flags, in_venv = json.loads(output)
    except (subprocess.TimeoutExpired, ValueError, TypeError):
        process.kill()
        process.wait()
        return None
    if process.returncode != 0 or level != "final" or implementation != "cpython" or "t" in flags or in_venv:
        return None
    return major, minor, patch
