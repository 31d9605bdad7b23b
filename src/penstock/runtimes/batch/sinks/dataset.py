"""A Parquet dataset: a folder of parts, ``_SUCCESS`` written last.

``_SUCCESS`` is what Spark and its kin look for; readers pass over names that begin with ``_`` or a dot, so ours
also holds a manifest: the parts that jobs of ours have written. By it, and by nothing else, we know what is ours
in a folder.

A folder that is not there yet appears complete, by one rename. In a folder that is there already parts appear one
by one, after ``_SUCCESS`` has gone and before it is written anew; what was there before is kept in the job's
receipt meanwhile, so that whoever comes after a kill ends it the same way.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.bundle.batch import Output
from penstock.errors import OutputError
from penstock.runtimes.batch.sinks import places, receipts, schemas, staged
from penstock.runtimes.batch.sinks.interface import Part, Published

MARKER = "_SUCCESS"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A part as the manifest lists it; `size` in bytes."""

    name: str
    rows: int
    size: int


def manifest_text(parts: Iterable[Listed]) -> str:
    """The marker's content, the same for the same parts: one a line, for people."""
    lines = ",\n".join(json.dumps(vars(part)) for part in parts)
    return f'{{"written_by": "penstock", "parts": [\n{lines}\n]}}\n'


def manifest_of(text: str) -> list[Listed] | None:
    """The parts that the marker's `text` lists; None where it is not ours."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        content = json.loads(text)
        if content["written_by"] == "penstock":
            # Names only: a marker that somebody has edited must not lead us out of the folder.
            return [Listed(**part) for part in content["parts"] if part["name"] == Path(part["name"]).name]
    return None


def check_mode(mode: str, place: str, there: Sequence[str], ours: Sequence[Listed] | None) -> None:
    """Raises OutputError where `mode` forbids what is at `place`: the names `there` (hidden ones left out), of
    which the manifest lists `ours` (None: there is no manifest of ours)."""
    if not there or mode == "append" or (mode == "replace" and ours is not None):
        return
    if mode == "replace":
        raise OutputError(
            f"{place} holds files ({there[0]}) and no {MARKER} by which to tell what Penstock has written, so"
            " nothing of it is replaced",
            hint="move them away, or add to them with --if-exists append",
        )
    choices = "append or --if-exists replace" if ours is not None else "append"
    raise OutputError(
        f"{place} is there already, and not empty ({there[0]})",
        hint=f"choose another --output, or say --if-exists {choices}",
    )


def part_names(parts: Sequence[Part], prefix: str) -> list[str]:
    """The file names of `parts`, which sort as the parts do."""
    width = max([5, *(len(str(part.number)) for part in parts)])
    return [f"{prefix}{part.number:0{width}}.parquet" for part in parts]


def free_prefix(job: str, there: Sequence[str]) -> str:
    """What the names of our parts begin with, where the names `there` are taken: none of them begins so."""
    if not there:
        return "part-"
    number, prefix = 1, f"part-{job}-"
    while any(name.startswith(prefix) for name in there):
        number += 1
        prefix = f"part-{job}.{number}-"
    return prefix


class DatasetSink:
    """See `penstock.runtimes.batch.sinks.interface`."""

    encoding = "parquet"

    def __init__(self, output: Output, *, job: str, folder: str) -> None:
        self._place = Path(os.path.realpath(output.location))
        self._mode = output.mode
        self._job = job
        self._receipt = receipts.Receipt(folder)
        # Staged beside a folder that will be; inside one that is, whose parent may be another disk, or not ours.
        name = receipts.staging_name(self._place.name, job, folder)
        self._beside = self._place.with_name(name)
        self._inside = self._place / name

    def check(self) -> None:
        """See the interface."""
        place = self._place
        if self._receipt.load():
            return  # we have begun to publish: the check was passed, and what is there may be ours
        if not place.exists():
            places.check_can_be_made(place)
            return
        if not place.is_dir():
            raise OutputError(
                f"{place} is a file, and the results are a folder of Parquet files",
                hint="for a single file choose a name that ends in .parquet, .csv or .jsonl",
            )
        places.check_writable(place)
        check_mode(self._mode, str(place), self._visible(), self._manifest())

    def _visible(self) -> list[str]:
        return sorted(path.name for path in self._place.iterdir() if not path.name.startswith("."))

    def _manifest(self) -> list[Listed] | None:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return manifest_of((self._place / MARKER).read_text())
        return None

    def staging(self) -> str:
        """See the interface."""
        inside = self._place.is_dir() and not self._beside.exists()
        staging = (self._inside if inside else self._beside) / "parts"
        places.make_folder(staging)
        return str(staging)

    def publish(self, parts: Callable[[], Iterable[Part]]) -> Published:
        """See the interface."""
        published = self._receipt.published()
        if published is not None:
            return published
        with places.translated(self._place):
            saved = self._receipt.load()
            if "appears" in saved and places.identity(self._place) == saved["appears"]:
                listed = self._manifest() or []
            elif "old" not in saved and not places.has_content(self._place):
                listed = self._appear(parts)
            else:
                listed = self._add(parts)
        size = sum(part.size for part in listed)
        rows = sum(part.rows for part in listed)
        return self._receipt.finish(
            Published(where=str(self._place), files=len(listed), rows=rows, size=size)
        )

    def _appear(self, parts: Callable[[], Iterable[Part]]) -> list[Listed]:
        """The whole dataset at once, where nothing is."""
        final = self._beside / "final"
        places.make_folder(final)
        listed = self._place_parts(parts, final, "part-")
        places.write_whole(final / MARKER, manifest_text(listed).encode())
        self._receipt.save(appears=places.identity(final))
        try:
            final.rename(self._place)  # onto nothing or an empty folder; anything else refuses
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            raise OutputError(
                f"{self._place} has appeared while the job was running, and is not ours",
                hint="move it away, then resume the job: everything that is scored is kept",
            ) from error
        places.sync(self._place.parent)
        return listed

    def _add(self, parts: Callable[[], Iterable[Part]]) -> list[Listed]:
        """Into a folder that is there."""
        with _locked(self._place):
            saved = self._receipt.load()
            if "old" not in saved:
                # Not `check`: what was saved on the way to a folder that appeared first says nothing of this one.
                check_mode(self._mode, str(self._place), self._visible(), self._manifest())
                saved = {
                    "old": [vars(part) for part in self._manifest() or []],
                    "prefix": free_prefix(self._job, self._visible()),
                }
                self._receipt.save(**saved)
            old = [Listed(**part) for part in saved["old"]]
            (self._place / MARKER).unlink(missing_ok=True)
            listed = self._place_parts(parts, self._place, saved["prefix"])
            if self._mode == "replace":
                for part in old:
                    (self._place / part.name).unlink(missing_ok=True)
                old = []
            places.sync(self._place)
            places.write_whole(self._place / MARKER, manifest_text([*old, *listed]).encode())
        return listed

    def _place_parts(self, parts: Callable[[], Iterable[Part]], target: Path, prefix: str) -> list[Listed]:
        chosen = staged.with_rows(staged.whole(parts()))
        common = schemas.common(chosen)
        listed = []
        for part, name in zip(chosen, part_names(chosen, prefix), strict=True):
            path = target / name
            if part.path in common.deviating:
                temporary = path.with_name(f".{path.name}.new")
                schemas.rewrite(part.path, common.schema, temporary)
                temporary.replace(path)
            else:
                places.link(Path(part.path), path)
            listed.append(Listed(name=path.name, rows=part.rows, size=path.stat().st_size))
        places.sync_all([target / one.name for one in listed], target)
        return listed

    def discard(self) -> None:
        """See the interface."""
        places.remove_tree(self._beside)
        places.remove_tree(self._inside)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One job at a time changes `folder`. Where the file system knows no locks, nobody is kept out."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
