"""An MLTable file as people write it: paths, how they are read, and what is done to the rows.

Keys, types and enumerations are those of Azure ML's reference page and of its `mltable` package; where the two
disagree, both are accepted. What they mean is `penstock.spec.mltables`' business.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from penstock.spec import validation
from penstock.spec.deployment_schema import Pairs, Switch, lower, no_bool

CODECS = {
    "utf8": "utf-8",
    "utf8bom": "utf-8-sig",
    "iso88591": "latin-1",
    "latin1": "latin-1",
    "ascii": "ascii",
    "utf16": "utf-16",
    "utf32": "utf-32",
    "windows1252": "cp1252",
}
"""Python's name for each encoding; MLTable spells them with and without dashes and spaces."""


def _encoding(value: object) -> object:
    if not isinstance(value, str) or (codec := CODECS.get(re.sub(r"[-_ ]", "", value.lower()))) is None:
        raise ValueError(f"must be one of {', '.join(CODECS)}")
    return codec


def _delimiter(value: object) -> object:
    return {"\\t": "\t"}.get(value, value) if isinstance(value, str) else value


def _mismatch(value: object) -> object:
    return str(value).lower() if isinstance(value, (bool, str)) else value


Encoding = Annotated[str, BeforeValidator(_encoding)]
Delimiter = Annotated[str, BeforeValidator(_delimiter), Field(min_length=1, max_length=2)]
Natural = Annotated[int, BeforeValidator(no_bool), Field(ge=0)]


def form_of(value: object) -> str:
    """The tag of a union of text, a list and a mapping."""
    return "text" if isinstance(value, str) else "list" if isinstance(value, list) else "section"


class ColumnPattern(validation.Section):
    """Columns by a regular expression."""

    pattern: str
    ignore_case: Switch = False
    invert: Switch = False


Columns = Annotated[
    Annotated[str, Tag("text")]
    | Annotated[list[str], Tag("list")]
    | Annotated[ColumnPattern, Tag("section")],
    Discriminator(form_of),
]


class BooleanType(validation.Section):
    """``boolean`` with its words."""

    true_values: list[str] | None = None
    false_values: list[str] | None = None
    mismatch_as: Annotated[Literal["true", "false", "error"] | None, BeforeValidator(_mismatch)] = None


Formats = Annotated[Annotated[str, Tag("text")] | Annotated[list[str], Tag("list")], Discriminator(form_of)]


class DatetimeType(validation.Section):
    """``datetime`` with its formats, in Python's ``strptime`` language."""

    formats: Formats | None = None
    date_constant: str | None = None


class ColumnTypeSection(validation.Section):
    """``column_type`` as a mapping of one type to its arguments."""

    boolean: BooleanType | None = None
    datetime: DatetimeType | None = None
    stream_info: Any = None


SimpleType = Annotated[
    Literal["int", "float", "string", "boolean", "datetime", "stream_info"], BeforeValidator(lower)
]
ColumnType = Annotated[
    Annotated[SimpleType, Tag("text")] | Annotated[ColumnTypeSection, Tag("section")], Discriminator(form_of)
]


class Conversion(validation.Section):
    """One of ``convert_column_types``."""

    columns: Columns
    column_type: ColumnType


class Inference(validation.Section):
    """``infer_column_types`` as a mapping."""

    sample_size: Natural | None = None
    column_type_overrides: list[Conversion] | None = None


def _inference_form(value: object) -> str:
    return "section" if isinstance(value, dict) else "switch"


class ReadDelimited(validation.Section):
    """``read_delimited``."""

    older_keys: ClassVar[dict[str, str]] = {
        "separator": "it is called delimiter",
        "sep": "it is called delimiter",
    }

    delimiter: Delimiter = ","
    header: Annotated[
        Literal["no_header", "from_first_file", "all_files_different_headers", "all_files_same_headers"],
        BeforeValidator(lower),
    ] = "all_files_same_headers"
    encoding: Encoding = "utf-8"
    empty_as_string: Switch = False
    support_multi_line: Switch = False
    quoting: Switch = True
    include_path_column: Switch = False
    infer_column_types: Annotated[
        Annotated[Switch, Tag("switch")] | Annotated[Inference, Tag("section")],
        Discriminator(_inference_form),
    ] = True
    path_column: str | None = None
    partition_size: Natural | None = None


class ReadParquet(validation.Section):
    """``read_parquet``."""

    include_path_column: Switch = False
    path_column: str | None = None


class ReadJsonLines(validation.Section):
    """``read_json_lines``."""

    encoding: Encoding = "utf-8"
    invalid_lines: Annotated[Literal["error", "drop"], BeforeValidator(lower)] = "error"
    include_path_column: Switch = False
    path_column: str | None = None
    partition_size: Natural | None = None


class ReadDeltaLake(validation.Section):
    """``read_delta_lake``."""

    timestamp_as_of: str | None = None
    version_as_of: Natural | None = None
    include_path_column: Switch = False


class RandomSample(validation.Section):
    """``take_random_sample``."""

    probability: Annotated[float, BeforeValidator(no_bool), Field(ge=0, le=1, allow_inf_nan=False)]
    seed: Annotated[int, BeforeValidator(no_bool)] | None = None


class Sampler(validation.Section):
    """``sample``, as the package writes ``take_random_sample`` in some versions."""

    sampler: Annotated[Literal["random_percent"], BeforeValidator(lower)]
    sampler_arguments: RandomSample


class Partition(validation.Section):
    """``extract_columns_from_partition_format``."""

    partition_format: str


class Transformation(validation.Section):
    """One of ``transformations``: exactly one key is said."""

    read_delimited: ReadDelimited | None = None
    read_parquet: ReadParquet | None = None
    read_json_lines: ReadJsonLines | None = None
    read_delta_lake: ReadDeltaLake | None = None
    take: Natural | None = None
    skip: Natural | None = None
    take_random_sample: RandomSample | None = None
    sample: Sampler | None = None
    filter: str | None = None
    keep_columns: Columns | None = None
    drop_columns: Columns | None = None
    convert_column_types: list[Conversion] | None = None
    extract_columns_from_partition_format: Partition | None = None
    select_partitions: Any = None


class Location(validation.Section):
    """One of ``paths``: exactly one key is said."""

    older_keys: ClassVar[dict[str, str]] = {"path": "it is file, folder or pattern"}

    file: str | None = None
    folder: str | None = None
    pattern: str | None = None


class MLTable(validation.Section):
    """The whole file."""

    older_keys: ClassVar[dict[str, str]] = {
        "path": "it is called paths, a list of file, folder or pattern",
        **dict.fromkeys(
            ("read_delimited", "read_parquet", "read_json_lines", "read_delta_lake"),
            "it stands in transformations",
        ),
    }

    schema_: str | None = Field(None, alias="$schema")
    type: Annotated[Literal["mltable"] | None, BeforeValidator(lower)] = None
    paths: list[Location] | None = None
    transformations: list[Transformation] | None = None
    query_source: Any = None
    metadata: Pairs | None = None
    traits: Pairs | None = None
    auth: Any = None
    name: str | None = None
    version: str | int | float | None = None
    description: str | None = None
