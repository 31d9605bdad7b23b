"""One schema for many files, and batches made to fit it.

A job has one type for each column, whatever its files say: `unify` finds it, `fit` casts a batch to it. No cast
loses anything: what cannot be said in the job's type is a DataError that names file and column. Knows no format.
Python 3.8; pyarrow inside the functions.
"""

from __future__ import annotations

import re
from typing import Any, Iterable, Sequence

from penstock.errors import DataError

_PARAMETRIC = re.compile(r"\s*(timestamp|decimal128|decimal256|decimal)\s*[\[(]\s*([^\])]*?)\s*[\])]\s*")
_UNITS = ("s", "ms", "us", "ns")


def type_of(name: str, *, column: str = "") -> Any:
    """Arrow's type of that name: ``int64``, ``double``, ``string``, ``bool``, ``date32``, ``timestamp[us]``,
    ``timestamp[us, tz=UTC]``, ``decimal128(10, 2)``. Raises DataError when there is none; `column` is named."""
    import pyarrow as pa

    text = name.strip()
    try:
        return pa.type_for_alias(text)
    except ValueError:
        pass
    found = _PARAMETRIC.fullmatch(text)
    if found:
        kind, arguments = found.group(1), [part.strip() for part in found.group(2).split(",")]
        try:
            if kind == "timestamp" and arguments[0] in _UNITS:
                zone = arguments[1].replace("tz=", "").strip() if len(arguments) > 1 else None
                return pa.timestamp(arguments[0], tz=zone)
            make = pa.decimal256 if kind == "decimal256" else pa.decimal128
            return make(*(int(part) for part in arguments))
        except (ValueError, TypeError):
            pass
    raise DataError(
        f"no such type: {name!r}",
        column=column,
        hint="Arrow's names: int64, double, string, bool, date32, timestamp[us], decimal128(10, 2).",
    )


def unify(schemas: Iterable[tuple[str, Any]], *, text: bool) -> Any:
    """The schema that all files can be read with, from pairs of a file's name and its ``pyarrow.Schema``.

    Columns stand in the order in which they first appear. Numbers widen (int32 with int64, integers with
    floats), ``null`` gives way to anything. Types that have nothing in common become ``string`` where `text` is
    true, for there they were only guessed; else they are a DataError that names column and both files.
    """
    import pyarrow as pa

    types: dict[str, Any] = {}
    first: dict[str, str] = {}
    for file, schema in schemas:
        for field in schema:
            name = field.name
            if name not in types:
                types[name], first[name] = field.type, file
                continue
            if types[name].equals(field.type):
                continue
            joint = common(types[name], field.type)
            if joint is None and text:
                joint = pa.string()
            if joint is None:
                raise DataError(
                    f"is {field.type} here, but {types[name]} in {first[name]}",
                    file=file,
                    column=name,
                    hint="Score the files in two jobs, or write one of them anew with the other's type.",
                )
            if not joint.equals(types[name]):
                types[name], first[name] = joint, file
    return pa.schema([pa.field(name, kind) for name, kind in types.items()])


def common(one: Any, other: Any) -> Any:
    """The narrowest type into which values of both fit without loss, or None."""
    import pyarrow as pa

    is_ = pa.types
    if one.equals(other):
        return one
    for left, right in ((one, other), (other, one)):
        if is_.is_null(left):
            return right
        if is_.is_dictionary(left):
            return common(left.value_type, right.value_type if is_.is_dictionary(right) else right)
    for left, right in ((one, other), (other, one)):
        if is_.is_date(left) and is_.is_timestamp(right) and right.tz is None:
            return right
        for narrow, wide in _WIDER:
            if getattr(is_, narrow)(left) and getattr(is_, wide)(right):
                return right
    if is_.is_date(one) and is_.is_date(other):
        return pa.date64()
    if is_.is_timestamp(one) and is_.is_timestamp(other) and (one.tz is None) == (other.tz is None):
        unit = max(one.unit, other.unit, key=_UNITS.index)
        return pa.timestamp(unit, tz=one.tz if one.tz == other.tz else "UTC")
    return _common_number(one, other)


_WIDER = (
    ("is_string", "is_large_string"),
    ("is_binary", "is_large_binary"),
    ("is_list", "is_large_list"),
)


def _common_number(one: Any, other: Any) -> Any:
    """`common` of two numeric types. Integers meet floats in ``double``: `fit` checks that each value fits."""
    import pyarrow as pa

    is_ = pa.types
    if is_.is_integer(one) and is_.is_integer(other):
        signs = (is_.is_signed_integer(one), is_.is_signed_integer(other))
        if signs[0] == signs[1]:
            return one if one.bit_width >= other.bit_width else other
        unsigned, signed = (other, one) if signs[0] else (one, other)
        if unsigned.bit_width < signed.bit_width:
            return signed
        return {8: pa.int16(), 16: pa.int32()}.get(unsigned.bit_width, pa.int64())
    if is_.is_floating(one) and is_.is_floating(other):
        return one if one.bit_width >= other.bit_width else other
    if (is_.is_floating(one) and is_.is_integer(other)) or (is_.is_integer(one) and is_.is_floating(other)):
        return pa.float64()
    return None


def choose(schema: Any, columns: Sequence[str] | None) -> Any:
    """The fields of `schema` that `columns` names, in that order; None: all. Raises DataError."""
    import pyarrow as pa

    if columns is None:
        return schema
    known = set(schema.names)
    for name in columns:
        if name not in known:
            raise DataError(f"no such column: {name!r}", hint=f"The input has {listed(schema.names)}.")
    return pa.schema([schema.field(name) for name in columns])


def require(wanted: Iterable[str], found: Sequence[str], file: str) -> None:
    """Raises DataError unless each name in `wanted` stands exactly once in `found`, the columns of `file`."""
    counts: dict[str, int] = {}
    for name in found:
        counts[name] = counts.get(name, 0) + 1
    for name in wanted:
        if counts.get(name, 0) > 1:
            raise DataError(f"the column stands {counts[name]} times in the file", file=file, column=name)
        if name not in counts:
            raise DataError(
                "the file has no such column", file=file, column=name, hint=f"It has {listed(found)}."
            )


def fit(batch: Any, schema: Any, file: str) -> Any:
    """`batch`, which has the columns of `schema` in its order, with the types of `schema`. Raises DataError for a
    type that has no lossless way there, or a value that has none."""
    import pyarrow as pa

    if not schema.names:
        return batch  # its number of rows is all that it says, and `from_arrays` would lose it
    if batch.schema.types == schema.types:
        return pa.RecordBatch.from_arrays(batch.columns, schema=schema)
    arrays = []
    for index, field in enumerate(schema):
        array = batch.column(index)
        if not array.type.equals(field.type):
            array = _cast(array, field, file)
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def only_rows(count: int) -> Any:
    """A ``RecordBatch`` of `count` rows without columns."""
    import pyarrow as pa

    return pa.RecordBatch.from_struct_array(pa.nulls(count, pa.struct([])))


def _cast(array: Any, field: Any, file: str) -> Any:
    import pyarrow as pa

    kind = array.type
    if not fits(kind, field.type):
        raise DataError(
            f"is {kind} in this file, but {field.type} in the job",
            file=file,
            column=field.name,
            hint="The job's types come from its first files; write this file anew with them, or leave it out.",
        )
    try:
        if pa.types.is_dictionary(field.type) and not pa.types.is_dictionary(kind):
            return array.cast(field.type.value_type).dictionary_encode().cast(field.type)
        return array.cast(field.type)
    except pa.ArrowException as error:
        raise DataError(
            f"a {kind} is no {field.type}: {clipped(str(error))}", file=file, column=field.name
        ) from error


def fits(kind: Any, target: Any) -> bool:
    """Whether values of type `kind` may be cast to `target` at all. Each value is still checked."""
    import pyarrow as pa

    is_ = pa.types
    if kind.equals(target) or is_.is_null(kind):
        return True
    if is_.is_dictionary(kind) or is_.is_dictionary(target):
        return fits(
            kind.value_type if is_.is_dictionary(kind) else kind,
            target.value_type if is_.is_dictionary(target) else target,
        )
    if is_.is_integer(kind) and is_.is_integer(target):
        return True
    if is_.is_struct(kind) and is_.is_struct(target):
        ours, theirs = list(kind), list(target)
        return [one.name for one in ours] == [one.name for one in theirs] and all(
            fits(one.type, other.type) for one, other in zip(ours, theirs)
        )
    if _is_listlike(kind) and _is_listlike(target):
        return fits(kind.value_type, target.value_type)
    if is_.is_decimal(kind) and is_.is_decimal(target):
        return True
    joint = common(kind, target)
    if joint is not None and joint.equals(target):
        return True
    return _same_family(kind, target)


def _is_listlike(kind: Any) -> bool:
    import pyarrow as pa

    is_ = pa.types
    return bool(is_.is_list(kind) or is_.is_large_list(kind) or is_.is_fixed_size_list(kind))


def _same_family(kind: Any, target: Any) -> bool:
    """Types that differ only in how long their offsets are, or how their time is counted."""
    import pyarrow as pa

    is_ = pa.types
    texts = [is_.is_string, is_.is_large_string]
    bytes_ = [is_.is_binary, is_.is_large_binary, is_.is_fixed_size_binary]
    if hasattr(is_, "is_string_view"):
        texts.append(is_.is_string_view)
        bytes_.append(is_.is_binary_view)
    for family in (texts, bytes_):
        if any(test(kind) for test in family) and any(test(target) for test in family):
            return True
    if is_.is_timestamp(kind) and is_.is_timestamp(target):
        return (kind.tz is None) == (target.tz is None)
    return bool(
        (is_.is_time(kind) and is_.is_time(target)) or (is_.is_duration(kind) and is_.is_duration(target))
    )


def listed(names: Sequence[str], most: int = 12) -> str:
    """Columns' names for a message, not more than `most` of them."""
    shown = ", ".join(str(name) for name in names[:most]) or "no columns"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def clipped(text: str, most: int = 80) -> str:
    """`text` for a message: one line of at most `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."
