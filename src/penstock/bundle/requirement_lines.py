"""Lines of a requirements file, once read: their names, what they point to, and how uv is told of them.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Iterator, Sequence
from urllib.parse import unquote, urlsplit

from penstock.bundle.requirements import Requirements

IN_FILE_OPTIONS = {
    "-c": "--constraint",
    "-e": "--editable",
    "-f": "--find-links",
    "-i": "--index-url",
    "--constraint": "--constraint",
    "--editable": "--editable",
    "--extra-index-url": "--extra-index-url",
    "--find-links": "--find-links",
    "--index-url": "--index-url",
    "--no-binary": "--no-binary",
    "--no-index": "--no-index",
    "--only-binary": "--only-binary",
    "--pypi-url": "--index-url",
}
"""Options that uv reads in a requirements file as pip does, by their long name there."""

ON_COMMAND_LINE_OPTIONS = {
    "--pre": ("--prerelease", "allow"),
    "--require-hashes": ("--require-hashes",),
    "--trusted-host": ("--allow-insecure-host",),
}
"""Options that uv takes on its command line only; the value, if any, follows."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt")
_NOT_SOURCE = (".git", ".hg", "__pycache__", "build", "dist", ".venv")


def name_of(line: str) -> str:
    """The normalised name at the head of a requirement (``Scikit_Learn[x]>=1`` gives ``scikit-learn``), or
    empty for a path or URL. Normalised as the packaging specifications say."""
    if re.match(r"[./]|[a-z+]+://|[a-z]+\+", line):
        return ""
    match = _NAME.match(line.strip())
    return re.sub(r"[-_.]+", "-", match.group()).lower() if match else ""


def normalized(line: str) -> str:
    """`line` with its name normalised and no blanks around operators: equal requirements look equal."""
    name = name_of(line)
    text = line.strip()
    if not name or "@" in text:
        return text
    rest = text[len(_NAME.match(text).group()) :]  # type: ignore[union-attr]  # name_of has matched it
    head, semicolon, marker = rest.partition(";")
    return name + re.sub(r"\s*([<>=!~,\[\]()]+)\s*", r"\1", head).strip() + semicolon + marker.strip()


def split_option(line: str) -> tuple[str, str]:
    """``--find-links=x``, ``--find-links x`` and ``-fx`` as ``("--find-links", "x")``; the name as written
    where it is not a short form."""
    if not line.startswith("--") and len(line) > 2 and line[:2] in IN_FILE_OPTIONS:
        name, value = line[:2], line[2:]
    else:
        parts = re.split(r"[=\s]", line, maxsplit=1)
        name, value = parts[0], parts[1] if len(parts) > 1 else ""
    return IN_FILE_OPTIONS.get(name, name), value.strip().lstrip("=").strip()


def installs(options: Sequence[str]) -> bool:
    """Whether `options` alone install something (an editable project)."""
    return any(split_option(line)[0] == "--editable" for line in options)


def for_uv(requirements: Requirements) -> tuple[list[str], str]:
    """Arguments for ``uv pip install``, and the text of the requirements file for its standard input, where
    URLs with passwords belong."""
    arguments: list[str] = []
    lines: list[str] = []
    for line in requirements.options:
        name, value = split_option(line)
        if name in ON_COMMAND_LINE_OPTIONS:
            arguments += [*ON_COMMAND_LINE_OPTIONS[name], *([value] if value else [])]
        else:
            lines.append(f"{name} {value}".strip())
            if name == "--extra-index-url" and "--index-strategy" not in arguments:
                # pip takes the best version over all indexes; uv would stop at the first that has the name.
                arguments += ["--index-strategy", "unsafe-best-match"]
    return arguments, "".join(line + "\n" for line in [*lines, *requirements.packages])


def local_paths(requirements: Requirements) -> list[str]:
    """Files and folders of this machine that `requirements` install from or are bound by."""
    paths = []
    for line in requirements.packages:
        target = line.split(" @ ", 1)[1] if " @ " in line else line
        target = target.split(" ;")[0].split(" --hash")[0].strip()
        if target.startswith("file:"):
            paths.append(unquote(urlsplit(target).path))
        elif target.startswith("/"):
            paths.append(re.sub(r"\[[^\]]*\]\Z", "", target))
    for line in requirements.options:
        name, value = split_option(line)
        if name == "--constraint" and value.startswith("/"):
            paths.append(value)
        elif name == "--editable" and value.startswith("/"):
            project = re.sub(r"\[[^\]]*\]\Z", "", value)
            # The code of an editable project is read where it lies; only what it asks for counts.
            paths += [os.path.join(project, name) for name in _PROJECT_FILES]
    return paths


def fingerprint(path: str) -> str:
    """Changes when the file or the source folder at `path` does; empty where there is none."""
    place = Path(path)
    if place.is_file():
        return hashlib.sha256(place.read_bytes()).hexdigest()
    return hashlib.sha256("\n".join(_listing(path)).encode()).hexdigest() if place.is_dir() else ""


def _listing(folder: str) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name not in _NOT_SOURCE and not name.endswith(".egg-info")
        )
        for name in sorted(files):
            status = Path(parent, name).stat()
            yield f"{os.path.join(parent, name)} {status.st_size} {status.st_mtime_ns}"
