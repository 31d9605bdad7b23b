"""Requirements files and the ``pip:`` lists of conda files, read as pip reads them.

Nested ``-r`` files are read in, constraints and local projects become absolute paths, comments and
continuation lines go, options that mean something to an installer are kept in order; an option that does not
is left out with a note. Source of the format: pip's "Requirements File Format" page.
"""

from __future__ import annotations

import codecs
import difflib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from penstock.bundle import requirement_lines
from penstock.bundle.requirements import Requirements
from penstock.errors import SpecError

KEPT = (
    "--extra-index-url",
    "--find-links",
    "--index-url",
    "--no-binary",
    "--no-index",
    "--only-binary",
    *requirement_lines.ON_COMMAND_LINE_OPTIONS,
)

WITHOUT_MEANING = (
    "--break-system-packages",
    "--cache-dir",
    "--default-timeout",
    "--disable-pip-version-check",
    "--ignore-installed",
    "--no-build-isolation",
    "--no-cache-dir",
    "--no-clean",
    "--prefer-binary",
    "--progress-bar",
    "--quiet",
    "--retries",
    "--timeout",
    "--upgrade",
    "--upgrade-strategy",
    "--use-deprecated",
    "--use-feature",
    "--use-pep517",
    "--user",
    "--verbose",
    "-I",
    "-U",
    "-q",
    "-v",
)
"""pip's options that change how it works or talks, and nothing of what a new environment will hold."""

_ARCHIVES = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz")
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_URL = re.compile(r"(?:[a-z]+\+)?(?:https?|ssh|git|file)[:@]", re.IGNORECASE)
_PER_LINE_OPTION = re.compile(r"\s--(hash|config-settings?|global-option|install-option)\b")
_VERSION = r"(?:===|==|~=|!=|>=|<=|>|<)\s*[A-Za-z0-9._*+!-]+"
_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*"
    r"(?:\[[A-Za-z0-9._,\s-]*\])?\s*"
    rf"(?:(?:\(\s*)?{_VERSION}(?:\s*,\s*{_VERSION})*\s*,?\s*\)?)?\s*(?:;(?P<marker>.+))?\Z"
)


@dataclass
class Collected:
    """What was read so far, in order; `open_files` are the files being read, against ``-r`` in circles."""

    packages: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    open_files: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class Line:
    """One logical line: its `text`, the `file` as the user named it, its `number` from 1 (0: unknown), and
    the `folder` that relative paths start from."""

    text: str
    file: str
    number: int
    folder: Path

    def error(self, message: str, hint: str = "") -> SpecError:
        """What is wrong with this line."""
        return SpecError(message, file=self.file, line=self.number, hint=hint)

    def path(self, text: str) -> Path:
        """`text` as an absolute path."""
        return Path(os.path.normpath(self.folder / Path(text).expanduser()))


def read_requirements_file(path: str | Path) -> Requirements:
    """The requirements of the file at `path`. Raises SpecError naming file and line."""
    collected = Collected()
    collect_file(collected, Path(path), named=str(path))
    return Requirements(
        packages=tuple(collected.packages),
        options=tuple(collected.options),
        source=str(path),
        notes=tuple(collected.notes),
    )


def collect_file(collected: Collected, path: Path, *, named: str) -> None:
    """Add what the file at `path` asks; `named` is what to call it."""
    actual = path.expanduser().resolve()
    if actual in collected.open_files:
        raise SpecError(
            "this file includes itself", file=named, hint="take out the `-r` line that closes the circle"
        )
    collected.open_files.append(actual)
    for number, text in logical_lines(read_text(actual, named)):
        collect_line(collected, Line(text, named, number, actual.parent))
    collected.open_files.pop()


def read_text(path: Path, named: str) -> str:
    """The text of a file; UTF-16 where a byte order mark says so, as PowerShell writes it. SpecError where it
    cannot be read."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise SpecError("there is no such file", file=named) from None
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", file=named) from error
    encoding = next((name for mark, name in _BOMS.items() if raw.startswith(mark)), "utf-8")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise SpecError("is not UTF-8 text", file=named, line=raw[: error.start].count(b"\n") + 1) from error


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with a number each, continuations joined, comments and blanks gone."""
    start, pending = 0, ""
    for number, raw in enumerate(text.splitlines(), start=1):
        start = start or number
        comment = re.match(r"\s*#", raw)
        if raw.rstrip().endswith("\\") and not comment:
            pending += raw.rstrip()[:-1] + " "
            continue
        whole = without_comment(pending + ("" if comment else raw))
        if whole:
            yield start, whole
        start, pending = 0, ""
    if without_comment(pending):
        yield start, without_comment(pending)


def without_comment(text: str) -> str:
    """`text` up to a ``#`` that starts it or follows a blank, stripped."""
    return re.sub(r"(^|\s+)#.*\Z", "", text).strip()


def collect_items(collected: Collected, lines: Iterable[Line]) -> None:
    """Add the entries of a conda file's ``pip:`` list."""
    for line in lines:
        text = without_comment(line.text)
        if text:
            collect_line(collected, Line(text, line.file, line.number, line.folder))


def collect_line(collected: Collected, line: Line) -> None:
    """Add what one line asks."""
    text = _VARIABLE.sub(lambda match: os.environ.get(match[1], match[0]), line.text)
    if text.startswith("-"):
        _collect_option(collected, line, text)
        return
    if re.match(r"pkg[_-]resources==0\.0\.0\b", text):
        collected.notes.append(
            f"{line.file}: left out pkg-resources==0.0.0, which pip freeze makes up on Debian"
        )
        return
    collected.packages.append(_requirement(collected, line, text))


def _collect_option(collected: Collected, line: Line, text: str) -> None:
    name, value = requirement_lines.split_option(text)
    if name in ("-r", "--requirement") or (text[:2] == "-r" and text[:3] != "--r"):
        _include(collected, line, value or text[2:].strip())
    elif name == "--constraint":
        path = line.path(value)
        if not path.is_file():
            raise line.error(
                f"there is no constraints file {value!r}", "paths start from the file's own folder"
            )
        collected.options.append(f"--constraint {path}")
    elif name == "--editable":
        collected.options.append(f"--editable {value if _URL.match(value) else _project(line, value)}")
    elif name == "--find-links" and not _URL.match(value):
        path = line.path(value)
        if not path.exists():
            raise line.error(
                f"there is no folder {value!r} to find packages in", "make it, or take the line out"
            )
        collected.options.append(f"--find-links {path}")
    elif name in KEPT:
        collected.options.append(f"{name} {value}".strip())
    elif name in WITHOUT_MEANING:
        collected.notes.append(f"{line.file}: the option {name} has no meaning here and is left out")
    else:
        close = difflib.get_close_matches(name, [*KEPT, "--constraint", "--editable", "--requirement"], 1)
        raise line.error(
            f"the option {name} is not known", f"did you mean {close[0]}?" if close else "take the line out"
        )


def _include(collected: Collected, line: Line, value: str) -> None:
    if re.match(r"https?:", value):
        raise line.error(f"requirements from a URL are not fetched: {value}", "save the file beside this one")
    path = line.path(value)
    if not value or not path.is_file():
        raise line.error(f"there is no requirements file {value!r}", "paths start from the file's own folder")
    shown = path if Path(line.file).is_absolute() else Path(os.path.relpath(path))
    collect_file(collected, path, named=str(shown))


def _project(line: Line, value: str) -> Path:
    """The absolute path of a local project, its extras kept."""
    folder, bracket, extras = value.strip("\"'").partition("[")
    path = line.path(folder or ".")
    if not any((path / name).is_file() for name in ("pyproject.toml", "setup.py")):
        raise line.error(
            f"{value!r} is no Python project: {path} has neither pyproject.toml nor setup.py",
            "paths start from the file's own folder",
        )
    return Path(f"{path}{bracket}{extras}")


def _requirement(collected: Collected, line: Line, text: str) -> str:
    """One requirement, ready for the installer, its ``--hash`` options kept."""
    match = _PER_LINE_OPTION.search(text)
    body, rest = (text[: match.start()].strip(), text[match.start() :]) if match else (text, "")
    hashes = re.findall(r"--hash[=\s]+(\S+)", rest)
    for name in sorted(set(re.findall(r"--(config-settings?|global-option|install-option)\b", rest))):
        collected.notes.append(f"{line.file}: the option --{name} of {body} is left out")
    return " ".join([_body(line, body), *(f"--hash={value}" for value in hashes)])


def _body(line: Line, body: str) -> str:
    if " @ " in body or re.match(r"[A-Za-z0-9._-]+(\[.*\])?@\s*[a-z+]+:", body):
        name, _, target = body.partition("@")
        return f"{name.strip()} @ {_direct(line, name.strip(), target.strip())}"
    if _URL.match(body):
        return body
    if body.startswith((".", "/", "~")) or body.split(";")[0].strip().endswith(_ARCHIVES):
        return str(_local(line, body))
    match = _REQUIREMENT.match(body)
    if match is None:
        raise line.error(f"{body!r} is not a requirement that pip knows", _hint(body))
    return body


def _direct(line: Line, name: str, target: str) -> str:
    """The URL of ``name @ URL``, checked where it is a file of this machine."""
    url = target.split(" ;")[0].strip()
    if not url.startswith("file:"):
        return target
    path = Path(unquote(urlsplit(url).path))
    if not path.is_absolute():
        return target.replace(url, line.path(str(path)).as_uri())
    if not path.exists():
        raise line.error(
            f"{name} points to {path}, which is not on this machine",
            f"`pip freeze` in a conda environment writes where conda built the package: "
            f"write `{name}==VERSION` (`pip list --format=freeze` does)",
        )
    return target


def _local(line: Line, body: str) -> Path:
    place = body.split(" ;")[0].strip()
    if place.endswith(_ARCHIVES):
        path = line.path(place)
        if not path.is_file():
            raise line.error(f"there is no file {place!r}", "paths start from the file's own folder")
        return path
    return _project(line, place)


def _hint(body: str) -> str:
    if re.match(r"[A-Za-z0-9._-]+\s*=[^=]", body):
        return f"pip's equality has two signs: `{re.sub('=', '==', body, count=1)}`"
    if re.match(r"[A-Za-z0-9._-]+::", body):
        return "channels belong to conda's packages; under `pip:` write the name alone"
    if re.match(r"[A-Za-z0-9._-]+\s+[A-Za-z0-9]", body):
        return "one requirement a line, as in `numpy>=1.21,<2`"
    return "write it as in `numpy>=1.21,<2` or `pandas[parquet]==2.2.3`"
