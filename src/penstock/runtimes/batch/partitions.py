"""Which partition a file belongs to: the values that its path gives to the job's partition keys.

A path holds columns as folders called ``key=value``, as a Delta table's log says, or as an MLTable's partition
format reads it. Pure. Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import difflib
from typing import Any, Mapping, Sequence

from penstock.errors import DataError
from penstock.runtimes.batch.plan import SourceFile
from penstock.runtimes.batch.transformations import rewriting


def values_of(
    file: SourceFile, keys: Sequence[str], transformations: rewriting.Transformations
) -> dict[str, Any]:
    """Each of `keys`, in their order, with its value: text as the path has it, None where the path says that there
    is none, a ``datetime`` for the moment of a partition format. Raises DataError: a key that the path lacks."""
    if not keys:
        return {}
    there: dict[str, Any] = dict(file.constants)
    for step in transformations:
        said: Mapping[str, Any] | None = step.get("extract_columns_from_partition_format")
        if said is not None:
            there.update(rewriting.path_values(said, file.uri))
    for key in keys:
        if key not in there:
            raise _missing(key, sorted(there), file)
    return {key: there[key] for key in keys}


def _missing(key: str, there: Sequence[str], file: SourceFile) -> DataError:
    hint = "name folders key=value, or let the MLTable say extract_columns_from_partition_format"
    if there:
        near = difflib.get_close_matches(key, there, n=1)
        hint = f"did you mean {near[0]}?" if near else f"the path holds {', '.join(there)}"
    return DataError(f"the path does not hold the partition key {key}", file=file.uri, hint=hint)
