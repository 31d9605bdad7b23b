"""What is wrong with a job's columns for a model, in words for the person whose data it is.

Everything is told at once: names that are missing with their nearest, types that can never become the model's.
Runs in workers: Python 3.8, standard library only (Arrow schemas appear as ``Any``).
"""

from __future__ import annotations

import difflib
from collections import Counter
from typing import Any, Mapping, Sequence

from penstock import errors
from penstock.scoring.codecs import arrays, values
from penstock.scoring.interface import Field
from penstock.scoring.models import batch_columns, batch_tensors

_MOST_TOLD = 100


def check_chosen(chosen: Sequence[str], found: Any) -> None:
    """Raise where a column that the user named is not there, or is named twice."""
    missing = [name for name in chosen if name not in found.names]
    if missing:
        raise errors.SchemaMismatch(
            f"the input has no column{_plural(missing)} {_near(missing, found.names)}; "
            f"it has {values.listed(found.names, most=40)}",
            field=missing[0],
            hint="--input-columns names columns of the input.",
        )
    check_repeated(chosen, chosen)


def check_repeated(needed: Sequence[str], names: Sequence[str]) -> None:
    """Raise where one of the names `needed` stands for several of the columns `names`."""
    counts = Counter(names)
    repeated = sorted({name for name in needed if counts[name] > 1})
    if repeated:
        raise errors.SchemaMismatch(
            f"columns named twice: {values.listed(repeated, most=_MOST_TOLD)}", field=repeated[0]
        )


def check_missing(
    fields: Sequence[Field], given: Sequence[str], present: Sequence[str], found: Any, what: str
) -> None:
    """Raise where the input lacks some of the `fields` that the model needs. `given` are those that are there,
    `present` the columns looked at; `what` they are called: ``column`` or ``tensor``."""
    there = set(given)
    missing = [field.name for field in fields if field.required and field.name not in there]
    if not missing:
        return
    troubles = _misfits(given, [field for field in fields if field.name in there], found)
    also = f"; besides, {_misfit_error(troubles).message}" if troubles else ""
    known = [field.name for field in fields]
    raise errors.SchemaMismatch(
        f"the input lacks {len(missing)} of the {len(fields)} {what}s that the model takes: "
        f"{_near(missing, present)}; it has {values.listed(present, most=40)}{also}",
        field=missing[0],
        hint="Rename columns in the data, or say --input-columns with the input's columns in the model's "
        f"order: {','.join(known[:40])}.",
    )


def check_types(names: Sequence[str], fields: Sequence[Field], found: Any) -> None:
    """Raise where one of the columns `names` has a type that cannot become the one of `fields` at its place."""
    troubles = _misfits(names, fields, found)
    if troubles:
        raise _misfit_error(troubles)


def _misfits(names: Sequence[str], fields: Sequence[Field], found: Any) -> dict[str, str]:
    """What is wrong with the types of the columns `names`, by name."""
    troubles = {}
    for name, field in zip(names, fields):
        kind = found.field(name).type
        if batch_columns.is_list(kind) and len(field.shape) > 1:
            trouble = batch_tensors.misfit(kind, field)
        elif len(field.shape) > 1 and not is_flat(field):
            trouble = f"is {kind}, the model takes lists: an array of shape {arrays.shape_text(field.shape)}"
        else:
            trouble = batch_columns.misfit(kind, field)
        if trouble:
            troubles[name] = trouble
    return troubles


def _misfit_error(troubles: Mapping[str, str]) -> errors.SchemaMismatch:
    told = "; ".join(f"column {name!r} {text}" for name, text in list(troubles.items())[:_MOST_TOLD])
    return errors.SchemaMismatch(
        told,
        field=next(iter(troubles)),
        hint="Say the column's type where it was guessed from text (--column-type NAME=TYPE), or cast it in the "
        "data.",
    )


def _near(missing: Sequence[str], present: Sequence[str]) -> str:
    """``'age' (did you mean 'Age'?), 'city'``."""
    folded = {name.lower(): name for name in present}
    told = []
    for name in missing[:_MOST_TOLD]:
        near = difflib.get_close_matches(name.lower(), folded, n=1)
        told.append(repr(name) + (f" (did you mean {folded[near[0]]!r}?)" if near else ""))
    more = f" and {len(missing) - _MOST_TOLD} more" if len(missing) > _MOST_TOLD else ""
    return ", ".join(told) + more


def _plural(names: Sequence[Any]) -> str:
    return "" if len(names) == 1 else "s"


def is_flat(field: Field) -> bool:
    """Whether a plain column will do."""
    return len(field.shape) <= 1 or field.shape[1:] == (1,)


def typed_names(found: Any) -> str:
    """``'age' (int64), 'city' (string)``."""
    return ", ".join(f"{each.name!r} ({each.type})" for each in list(found)[:40])
