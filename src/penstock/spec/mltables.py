"""From an MLTable to `Inputs`: which files, how they are read, and what is done to their rows.

What a table does to its rows is kept as Azure ML's own words with every default filled in, and done by the
workers (`penstock.runtimes.batch.transformations`). What cannot be done as on Azure ML is an error. A random sample
without a seed has the seed 0: a job that is resumed must find the same rows.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from penstock.bundle import partition_formats, row_filters
from penstock.bundle.batch import Inputs, ReadOptions
from penstock.errors import SpecError
from penstock.spec import documents, paths, placeholders, validation
from penstock.spec.documents import Document
from penstock.spec.mltable_schema import (
    ColumnPattern,
    ColumnTypeSection,
    Conversion,
    Inference,
    MLTable,
    ReadDelimited,
    ReadDeltaLake,
    ReadJsonLines,
    Transformation,
)

PATH_COLUMN = "Path"
"""What ``include_path_column`` calls its column."""

_READERS = {
    "read_delimited": "csv",
    "read_parquet": "parquet",
    "read_json_lines": "jsonl",
    "read_delta_lake": "delta",
}
_REMOTE = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+://")
_ARROW_TYPES = {"int": "int64", "float": "double", "string": "string", "boolean": "bool"}


def read(location: str) -> Inputs:
    """The MLTable in the folder `location`, or the file itself; its paths are relative to it. `Inputs.format` is
    ``files`` where it only lists files, to be handed to a script by path; all that may be said of those is what
    their paths hold. Raises SpecError."""
    document = _plain(documents.read_yaml(str(_file_of(location))))
    spec = validation.validated(document, MLTable)
    if spec.query_source is not None:
        raise document.error(
            "asks a database through a workspace, which is not here",
            "query_source",
            hint='ask it directly: --input "postgresql://..." --query "select ..."',
        )
    steps = spec.transformations or []
    for number, step in enumerate(steps):
        _check_step(document, step, number)
    reader = _reader(document, steps)
    options, rows = _reading(document, steps, reader)
    format_ = "files" if reader is None else _READERS[_name(steps[reader])]
    if reader is None and any("extract_columns_from_partition_format" not in step for step in rows):
        raise document.error(
            "nothing says how the files are read",
            "transformations",
            hint=f"begin with one of {', '.join(_READERS)}",
        )
    return Inputs(
        locations=_locations(document, spec), format=format_, read=options, transformations=tuple(rows)
    )


def lists_files(location: str) -> bool:
    """Whether the MLTable at `location` says nothing of how its files are read. Raises SpecError."""
    return read(location).format == "files"


def _file_of(location: str) -> Path:
    path = paths.absolute(location)
    file = path / "MLTable" if paths.is_folder(path) else path
    if not paths.is_file(file):
        raise SpecError("there is no file MLTable in it", file=location, hint=paths.neighbour(file))
    return file


def _plain(document: Document) -> Document:
    """Shorthands written out: ``- read_parquet``, a reader without arguments, words of truth values that YAML took
    for other than text, and the reference page's ``{timestamp:yyyy/MM/dd}``, which YAML takes for a mapping."""
    steps = document.data.get("transformations")
    if not isinstance(steps, list):
        return document
    plain = [_plain_step(document, step, number) for number, step in enumerate(steps)]
    return replace(document, data={**document.data, "transformations": plain})


def _plain_step(document: Document, step: Any, number: int) -> Any:
    if isinstance(step, str):
        step = {step: None}
    if not isinstance(step, dict):
        return step
    written = dict(step)
    for name, value in step.items():
        if value is None and name in _READERS:
            written[name] = {}
        if name == "extract_columns_from_partition_format":
            if isinstance(value, str):
                written[name] = {"partition_format": value}
            elif isinstance(value, dict) and "partition_format" not in value and len(value) == 1:
                (key, rest), *_ = value.items()
                written[name] = {"partition_format": "{" + key + ("" if rest is None else f":{rest}") + "}"}
        if name == "convert_column_types":
            listed = value if isinstance(value, list) else [value]
            at = ("transformations", number, name)
            written[name] = [
                _plain_words(document, each, (*at, index) if isinstance(value, list) else at)
                for index, each in enumerate(listed)
            ]
    return written


def _plain_words(document: Document, conversion: Any, at: documents.KeyPath) -> Any:
    """`true_values` and `false_values` as they were written: ``[yes, 1]`` are texts."""
    words = conversion.get("column_type", {}) if isinstance(conversion, dict) else {}
    boolean = words.get("boolean") if isinstance(words, dict) else None
    if not isinstance(boolean, dict):
        return conversion
    as_written = dict(boolean)
    for key in ("true_values", "false_values"):
        if isinstance(boolean.get(key), list):
            as_written[key] = [
                document.texts.get((*at, "column_type", "boolean", key, index), value)
                for index, value in enumerate(boolean[key])
            ]
    return {**conversion, "column_type": {**words, "boolean": as_written}}


def _name(step: Transformation) -> str:
    return next(iter(step.model_fields_set))


def _check_step(document: Document, step: Transformation, number: int) -> None:
    """Raises SpecError where not exactly one thing is said, or one that is not done here."""
    said = step.model_fields_set
    key = ("transformations", number)
    if len(said) != 1:
        found = f"found {' and '.join(sorted(said))}" if said else "found nothing"
        raise document.error(
            f"must be one transformation, {found}", *key, hint="write each after a dash of its own"
        )
    name = _name(step)
    if getattr(step, name) is None:
        raise document.error("has no value", *key, name)
    if name == "select_partitions":
        raise document.error(
            "counts partitions as Azure ML's own reader cuts them, which nothing here knows",
            *key,
            name,
            hint="use take, skip or filter",
        )


def _reader(document: Document, steps: list[Transformation]) -> int | None:
    """Which of `steps` says how files are read. Raises SpecError for two of them, or one that is not at the front:
    only a partition format, which looks at paths, may stand before it."""
    found = [number for number, step in enumerate(steps) if _name(step) in _READERS]
    if len(found) > 1:
        raise document.error(
            f"files are read twice: {_name(steps[found[0]])} stands above",
            "transformations",
            found[1],
            _name(steps[found[1]]),
        )
    if not found:
        return None
    for number, step in enumerate(steps[: found[0]]):
        if _name(step) != "extract_columns_from_partition_format":
            raise document.error(
                f"stands before {_name(steps[found[0]])}, so that there are no rows yet",
                "transformations",
                number,
                _name(step),
            )
    return found[0]


def _reading(
    document: Document, steps: list[Transformation], reader: int | None
) -> tuple[ReadOptions, list[Mapping[str, Any]]]:
    """How files are read, and what is done to their rows."""
    if reader is None:
        return ReadOptions(), [_row_step(document, step, number) for number, step in enumerate(steps)]
    said = getattr(steps[reader], _name(steps[reader]))
    rows: list[Mapping[str, Any]] = []
    options = ReadOptions()
    if isinstance(said, ReadDelimited):
        options = _delimited(
            document, said, steps[reader + 1 :], ("transformations", reader, "read_delimited")
        )
        if said.empty_as_string:
            rows.append({"empty_as_string": {}})
    elif isinstance(said, ReadJsonLines):
        options = ReadOptions(encoding=said.encoding, invalid_lines=said.invalid_lines)
    elif isinstance(said, ReadDeltaLake):
        options = _delta(document, said, ("transformations", reader, "read_delta_lake"))
    path_column = getattr(said, "path_column", None)
    if path_column not in (None, PATH_COLUMN):
        raise document.error(
            f"must be {PATH_COLUMN}: before the files are read there is no other column",
            "transformations",
            reader,
            _name(steps[reader]),
            "path_column",
        )
    if said.include_path_column:
        rows.append({"include_path_column": {"name": PATH_COLUMN}})
    for number, step in enumerate(steps):
        if number != reader:
            rows.append(_row_step(document, step, number))
    return options, rows


def _delimited(
    document: Document, said: ReadDelimited, rest: list[Transformation], key: documents.KeyPath
) -> ReadOptions:
    types: dict[str, str] = {}
    inferred = said.infer_column_types
    if isinstance(inferred, Inference):
        for number, each in enumerate(inferred.column_type_overrides or []):
            at = (*key, "infer_column_types", "column_type_overrides", number)
            types.update(_override(document, each, at))
    for name in _converted_first(rest):
        types.setdefault(name, "string")
    return ReadOptions(
        delimiter=said.delimiter,
        quote='"' if said.quoting else "",
        encoding=said.encoding,
        header=said.header,
        column_types=types,
        infer_types=bool(inferred),
    )


def _override(document: Document, said: Conversion, key: documents.KeyPath) -> dict[str, str]:
    """Types of columns that are not inferred; those with words or formats of their own are converted later."""
    if isinstance(said.columns, ColumnPattern):
        raise document.error("must name columns", *key, "columns")
    if not isinstance(said.column_type, str) or said.column_type not in _ARROW_TYPES:
        raise document.error(
            f"must be one of {', '.join(_ARROW_TYPES)}",
            *key,
            "column_type",
            hint="convert_column_types does the others",
        )
    return dict.fromkeys(_names(said.columns), _ARROW_TYPES[said.column_type])


def _converted_first(rest: list[Transformation]) -> list[str]:
    """Columns that are converted before anything else looks at them. They are read as the text that stands in the
    file, as Azure ML does: the code ``007`` that becomes a string keeps its zeros."""
    found: list[str] = []
    looked_at: set[str] = set()
    for step in rest:
        if step.filter is not None:
            try:
                looked_at.update(row_filters.columns_of(row_filters.parse(step.filter)))
            except row_filters.WrongFilter:
                return found
        for each in step.convert_column_types or []:
            if isinstance(each.columns, ColumnPattern):
                return found
            found += [name for name in _names(each.columns) if name not in looked_at]
            looked_at.update(_names(each.columns))
    return found


def _delta(document: Document, said: ReadDeltaLake, key: documents.KeyPath) -> ReadOptions:
    if (said.timestamp_as_of is None) == (said.version_as_of is None):
        raise document.error(
            "needs exactly one of timestamp_as_of and version_as_of",
            *key,
            hint="for the latest version write timestamp_as_of: '2999-01-01T00:00:00Z'",
        )
    if said.version_as_of is not None:
        return ReadOptions(version_as_of=said.version_as_of)
    text = str(said.timestamp_as_of)
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        raise document.error(
            f"must be a time such as 2022-10-01T00:00:00Z, found {text!r}", *key, "timestamp_as_of"
        ) from None
    return ReadOptions(timestamp_as_of=text)


def _row_step(document: Document, step: Transformation, number: int) -> Mapping[str, Any]:
    """`step` in the words of `penstock.runtimes.batch.transformations`. Raises SpecError."""
    key: documents.KeyPath = ("transformations", number, _name(step))
    if step.filter is not None:
        try:
            row_filters.parse(step.filter)
        except row_filters.WrongFilter as error:
            raise document.error(str(error), *key) from None
        return {"filter": step.filter}
    if step.extract_columns_from_partition_format is not None:
        text = step.extract_columns_from_partition_format.partition_format
        try:
            partition_formats.parse(text)
        except partition_formats.WrongFormat as error:
            raise document.error(str(error), *key) from None
        return {"extract_columns_from_partition_format": {"partition_format": text}}
    sample = step.sample.sampler_arguments if step.sample is not None else step.take_random_sample
    if sample is not None:
        return {"take_random_sample": {"probability": sample.probability, "seed": sample.seed or 0}}
    if step.convert_column_types is not None:
        return {
            "convert_column_types": [
                _conversion(document, each, (*key, index))
                for index, each in enumerate(step.convert_column_types)
            ]
        }
    columns = step.keep_columns if step.keep_columns is not None else step.drop_columns
    if columns is not None:
        return {_name(step): _selector(document, columns, key)}
    return {_name(step): getattr(step, _name(step))}


def _conversion(document: Document, said: Conversion, key: documents.KeyPath) -> dict[str, Any]:
    selector = _selector(document, said.columns, (*key, "columns"))
    kind = said.column_type
    at = (*key, "column_type")
    if isinstance(kind, ColumnTypeSection):
        if len(kind.model_fields_set) != 1:
            raise document.error("must be one type with its arguments", *at)
        boolean, moment = kind.boolean, kind.datetime
        if boolean is not None:
            if (boolean.true_values is None) != (boolean.false_values is None):
                raise document.error("true_values and false_values belong together", *at, "boolean")
            both = set(boolean.true_values or []) & set(boolean.false_values or [])
            if both:
                raise document.error(f"{min(both)!r} is true and false", *at, "boolean")
            return {
                "columns": selector,
                "type": "boolean",
                "true_values": boolean.true_values,
                "false_values": boolean.false_values,
                "mismatch_as": boolean.mismatch_as or "",
            }
        if moment is not None:
            if moment.date_constant is not None:
                raise document.error(
                    "is not supported: a time without its date", *at, "datetime", "date_constant"
                )
            formats = moment.formats
            return {
                "columns": selector,
                "type": "datetime",
                "formats": [formats] if isinstance(formats, str) else formats or [],
            }
    if not isinstance(kind, str) or kind == "stream_info":
        raise document.error(
            "stream_info cannot be given to a model: it stands for a file in Azure's storage",
            *at,
            hint="leave the column as text",
        )
    return {"columns": selector, "type": kind}


def _names(columns: str | list[str]) -> list[str]:
    return [columns] if isinstance(columns, str) else columns


def _selector(document: Document, said: str | list[str] | ColumnPattern, key: documents.KeyPath) -> Any:
    """A list of names, or a mapping with a pattern that `re` takes."""
    if not isinstance(said, ColumnPattern):
        return _names(said)
    try:
        re.compile(said.pattern)
    except re.error as error:
        raise document.error(f"is no regular expression: {error}", *key, "pattern") from None
    return said.model_dump()


def _locations(document: Document, spec: MLTable) -> tuple[str, ...]:
    if not spec.paths:
        raise document.error(
            "is missing: where the files are", "paths", hint="write paths: [{file: ./data.csv}]"
        )
    return tuple(
        _location(document, each.model_dump(exclude_none=True), n) for n, each in enumerate(spec.paths)
    )


def _location(document: Document, said: dict[str, str], number: int) -> str:
    key = ("paths", number)
    if len(said) != 1:
        found = f"found {' and '.join(said)}" if said else "found nothing"
        raise document.error(f"must be one of file, folder, pattern, {found}", *key)
    ((kind, text),) = said.items()
    if _REMOTE.match(text):
        return text
    path = paths.absolute(text.removeprefix("file://").removeprefix("file:"), document.folder)
    there = kind == "pattern" or (paths.is_folder(path) if kind == "folder" else paths.exists(path))
    if not there:
        noun = "folder" if kind == "folder" else "file"
        hint = placeholders.hint_for(text) or paths.neighbour(path)
        raise document.error(f"no {noun} {path}", *key, kind, hint=hint)
    return str(path)
