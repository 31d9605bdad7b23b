"""What a batch job is, as values: its inputs, its output, its settings, and all that the driver is handed.

`penstock.assembly` fills this in, every path absolute and every default resolved; from here on nobody asks
again. It crosses processes, and is kept in the job's folder, as JSON: what is kept there is what is resumed.
Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Mapping

from penstock.bundle.manifest import Manifest
from penstock.bundle.requirements import Requirements
from penstock.kit import urls


@dataclass(frozen=True)
class ReadOptions:
    """How text is read; what other formats do not need they do not look at."""

    delimiter: str = ","
    quote: str = '"'
    """Empty: quotes mean nothing."""
    escape: str = ""
    """Before a quote within quotes, where quotes are not doubled; empty: they are doubled."""
    encoding: str = "utf-8"
    header: str = "all_files_same_headers"
    """As in MLTable: ``no_header``, ``from_first_file``, ``all_files_different_headers``,
    ``all_files_same_headers``. The last two are read alike: each file's own header names its columns."""
    column_names: tuple[str, ...] = ()
    """For files without a header (``from_first_file``: found in that file); none: ``Column1``, ``Column2``, ...
    as MLTable calls them."""
    column_types: Mapping[str, str] = field(default_factory=dict)
    """Arrow's type names by column (``int64``, ``double``, ``string``, ``bool``, ``timestamp[us]``), said by the
    user; what is not said is inferred once for the whole job."""
    null_values: tuple[str, ...] = (
        "",
        "NA",
        "N/A",
        "NaN",
        "nan",
        "null",
        "NULL",
        "None",
        "#N/A",
        "-nan",
        "n/a",
    )
    """Texts that are a missing value, in columns that are no text. An empty one is missing everywhere."""
    skip_rows: int = 0
    """Lines at a file's start that are no data, before its header."""
    comment: str = ""
    """Lines that begin with this are no data; empty: all are."""
    invalid_lines: str = "error"
    """JSON Lines: ``error`` or ``drop``."""
    infer_types: bool = True
    """Delimited text: False: every column that `column_types` does not name is ``string``."""
    version_as_of: int = -1
    """Delta: the version that is read; -1: the latest, or that of `timestamp_as_of`."""
    timestamp_as_of: str = ""
    """Delta: the version of that time is read, ISO 8601; empty: the latest, or `version_as_of`."""


@dataclass(frozen=True)
class Inputs:
    """Where the rows come from, in this order.

    `locations`: absolute local paths of files or folders, globs, or URLs (``s3://``, ``abfs://``, ``https://``,
    ``postgresql://``). `format` is ``parquet``, ``csv``, ``jsonl``, ``arrow``, ``delta``, ``mltable``, ``sql``,
    ``files`` (handed to a script by path), or empty: by each file's name.
    """

    locations: tuple[str, ...]
    format: str = ""
    read: ReadOptions = ReadOptions()
    query: str = ""
    """SQL: what is selected; a table's name is enough."""
    split_column: str = ""
    """SQL: an integer column by whose ranges the query is read; empty: its result is read in one go."""
    storage: Mapping[str, str] = field(default_factory=dict)
    """Options of the remote file system (endpoint_url, connection_string, ...)."""
    expected_types: Mapping[str, str] = field(default_factory=dict)
    """Arrow's types by column, as a model's signature has them, for texts whose samples leave it open: what looks
    like whole numbers may be ``double`` or ``string``."""
    nested: bool = True
    """Files in folders within a folder are input, too."""
    is_table: bool = False
    """An MLTable with a reader: a script gets its rows, not its files."""
    transformations: tuple[Mapping[str, Any], ...] = ()
    """What an MLTable does to its rows, in order, each ``{"name": arguments}``; the reading itself left out."""


@dataclass(frozen=True)
class Output:
    """Where results go.

    `form`: ``parquet-dataset`` (a folder of parts), ``parquet``, ``csv``, ``jsonl`` (one file each),
    ``delta``, ``sql``, ``append-row`` (Azure ML's text of what a script returned: spaces, no header),
    ``append-row-mlflow`` (``row,prediction,file``), ``summary-only`` (the scripts write for themselves).
    `location` is an absolute path or a URL.
    """

    location: str
    form: str = "parquet-dataset"
    mode: str = "error"
    """What is done where something is there already: ``error``, ``append``, ``replace`` (only what a job of ours
    wrote), ``upsert`` (SQL and Delta, by `key`), ``skip`` (Azure ML's: an existing file is left as it is)."""
    key: tuple[str, ...] = ()
    scripts_own: tuple[str, ...] = ()
    """Folders that a script's arguments name for what it writes itself; they are there before it runs."""
    table: str = ""
    """SQL: the table, with its schema if need be."""
    storage: Mapping[str, str] = field(default_factory=dict)
    keep_columns: tuple[str, ...] = ("*unused",)
    """Input columns that stand beside the predictions: names, or one of ``*all``, ``*none``, ``*unused`` (those
    that the model does not take)."""
    prediction_columns: tuple[str, ...] = ()
    """Which of the prediction's columns are written; none: all."""
    prediction_name: str = "prediction"
    header: bool = False
    """``append-row``: a script's DataFrames begin with their column names, once in the file."""
    lineage: bool = False
    """Adds ``_file``, ``_row`` (counted from 0 in its file) and ``_model`` (the model's digest)."""


@dataclass(frozen=True)
class BatchSettings:
    """How a job is run. One field a setting, unit in the name."""

    workers: int = 0
    """Worker processes; 0: one for each processor that this process may use."""
    mini_batch_size: int = 0
    """In `mini_batch_unit`; 0: mini-batches of about 32 MB, cut where the format allows."""
    mini_batch_unit: str = "bytes"
    """``files``, ``rows`` or ``bytes``: for a script what one call of ``run`` gets."""
    partition_keys: tuple[str, ...] = ()
    """Columns that the files' paths hold. All files in which they have the same values are one mini-batch and one
    call, whatever its size."""
    sums_up: bool = False
    """A script may return any number of items for those that it gets: of a partition it may make one model."""
    takes: str = "arrow"
    """What the scorer gets: ``arrow`` (a model of ours), ``frame`` (a script, a pandas DataFrame), ``files`` (a
    list of local paths)."""
    method: str = ""
    """The model's method, ``predict_proba``; empty: its first."""
    input_columns: tuple[str, ...] = ()
    """The input's columns that the model takes, in its order; none: those of its names, or where it has none
    all numeric columns, if they are as many as it takes."""
    max_retries: int = 3
    """How often a call is repeated that fails, dies or overstays. What a model raises is never repeated: the same
    rows would fail again."""
    timeout_s: float = 600.0
    """Longest time for one call; then the worker is killed and the call counts as failed."""
    fail_on_timeout: bool = False
    """A mini-batch whose attempts all took longer than `timeout_s` ends the job, whatever the thresholds say: one
    page of Azure ML's documentation has it so, and the others do not."""
    error_threshold: int = 0
    """How many items (rows; for ``files``: files) may fail before the job does; -1: any number."""
    mini_batch_error_threshold: int = -1
    """How many mini-batches may fail; -1: any number."""
    allowed_failed_percent: float = 100.0
    """Which share of mini-batches may fail."""
    on_error: str = "fail"
    """``fail``: a call that fails costs all of its rows. ``bisect``: it is halved until the bad rows are alone."""
    memory_limit_mb: int = 0
    """Resident memory at which a worker is replaced; 0: its share of the machine."""
    start_timeout_s: float = 600.0
    preload: str = "auto"
    """As `penstock.bundle.manifest.Settings.preload`."""
    logging_level: str = "INFO"
    """Azure ML's ``logging_level``: arrives in a script's arguments as ``--logging_level``."""
    model_alone: bool = True
    """A script's ``AZUREML_MODEL_DIR`` is a folder that holds the model and nothing else, as on Azure ML; else it
    is `penstock.bundle.manifest.ModelSource.directory`."""
    program_arguments: tuple[str, ...] = ()
    """Further arguments in a script's ``sys.argv``."""
    monitor_interval_s: float = 600.0
    """Between two looks at what the machine's processes take, for the log tree; 0: none is taken."""
    fail_if_none_succeeded: bool = False
    """Azure ML: a job whose every mini-batch failed has failed, whatever the thresholds say."""
    azure: bool = False
    """The job comes from Azure ML's YAML: its log folder tree is written."""

    @property
    def noun(self) -> str:
        """What items are: ``files`` or ``rows``."""
        return "files" if self.takes == "files" else "rows"


@dataclass(frozen=True)
class BatchLaunch:
    """Everything that `python -m penstock.runtimes.batch.driver --launch-fd N` needs to know."""

    job: str
    """The job's name, unique in `folder`'s parent."""
    folder: str
    """The job's own folder, absolute: ledger, staging, logs."""
    manifest: Manifest
    python: str
    """Absolute path of the interpreter that the workers run on."""
    inputs: Inputs
    output: Output
    settings: BatchSettings = BatchSettings()
    requirements: Requirements | None = None
    """What the environment was built from, for engines that build it elsewhere again; None: the current one."""
    engine: str = "local"
    engine_options: Mapping[str, str] = field(default_factory=dict)
    incremental: bool = False
    """Score only inputs that are new or changed since the last successful job of the same kind."""
    force: bool = False
    """Start even where a job that does the very same is not finished."""
    check: bool = False
    """Plan, say what would be scored, and stop; nothing is left behind."""
    notes: tuple[str, ...] = ()
    log_format: str = "human"
    """``human``: a progress bar and a summary; ``json``: events, one a line."""
    log_level: str = "warning"

    def to_json(self) -> str:
        """One line of JSON."""
        raw = dataclasses.asdict(self)
        raw["manifest"] = self.manifest.to_json()
        return json.dumps(raw, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> BatchLaunch:
        """The reverse of `to_json`."""
        raw: dict[str, Any] = json.loads(text)
        read = ReadOptions(**tuples(raw["inputs"].pop("read")))
        requirements = raw["requirements"]
        return cls(
            **tuples({key: raw[key] for key in _PLAIN}),
            manifest=Manifest.from_json(raw["manifest"]),
            inputs=Inputs(read=read, **tuples(raw["inputs"])),
            output=Output(**tuples(raw["output"])),
            settings=BatchSettings(**tuples(raw["settings"])),
            requirements=Requirements(**tuples(requirements)) if requirements else None,
        )

    def kind(self) -> str:
        """A digest of what makes two jobs the same kind of work: inputs, model, script, output, and those
        settings that decide about what is written. 16 hexadecimal digits."""
        settings = dataclasses.asdict(self.settings)
        for name in _WITHOUT_EFFECT_ON_RESULTS:
            del settings[name]
        inputs, output = dataclasses.asdict(self.inputs), dataclasses.asdict(self.output)
        # A new password or token makes no new kind of work.
        inputs["locations"] = [urls.without_secrets(location) for location in self.inputs.locations]
        output["location"] = urls.without_secrets(self.output.location)
        del inputs["storage"], output["storage"]
        text = json.dumps([self.manifest.to_json(), inputs, output, settings], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


_PLAIN = (
    "job", "folder", "python", "engine", "engine_options", "incremental", "force", "check", "notes", "log_format",
    "log_level",
)  # fmt: skip

_WITHOUT_EFFECT_ON_RESULTS = (
    "workers", "max_retries", "memory_limit_mb", "start_timeout_s", "preload", "monitor_interval_s",
)  # fmt: skip


def tuples(raw: dict[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples that they were."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
