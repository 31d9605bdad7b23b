"""From what somebody typed behind ``penstock score`` to a `BatchLaunch`.

`resolve` decides: it reads files and looks at paths, and changes nothing. `furnish` acts: it builds the
environment. What starts processes is the command line's business.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock import errors
from penstock.assembly import environments, things
from penstock.assembly.things import Sources
from penstock.bundle import batch, jobs, manifest
from penstock.bundle.batch import BatchLaunch, Inputs, Output, ReadOptions
from penstock.spec import drafts, paths
from penstock.spec.batch_drafts import BatchDraft
from penstock.spec.drafts import Draft, EnvironmentChoice

DATABASES = ("postgresql", "postgres", "sqlite", "mysql", "mariadb", "mssql", "oracle", "snowflake", "duckdb")
"""URL schemes, with or without a driver (``postgresql+psycopg``), that are databases."""

FORMS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
"""What a name of an output file promises."""

PYARROW = "pyarrow>=14"
"""What a deployment's environment needs besides where rows are read; scripts that take files need nothing."""


_AS_RETURNED = ("append-row", "summary-only")
"""Forms of output for which what a script returns is never made a table."""


BY_FILE = "append-row-mlflow"
"""The form in which a model is given files: its results name each row's."""


_SKIPPABLE = ("parquet", "csv", "jsonl", "append-row", BY_FILE, "summary-only")
"""Forms that are one file, or nobody's."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command line says of a job. Mappings hold fields of the values in `penstock.bundle.batch` by name,
    as far as anything was said."""

    inputs: tuple[str, ...] = ()
    """Each a location, or ``name=location`` where a file names its inputs."""
    output: str = ""
    output_format: str = ""
    input_format: str = ""
    takes: str = ""
    query: str = ""
    reading: Mapping[str, Any] = field(default_factory=dict)
    intake: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of `Inputs`."""
    writing: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of `Output`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    launch: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of `BatchLaunch`."""
    job: str = ""
    step: str = ""
    """Which parallel step of a pipeline."""


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """All that was decided. `launch.python` is empty until `furnish` has built the environment."""

    launch: BatchLaunch
    environment: EnvironmentChoice
    format: str = ""


def resolve(sources: Sources, said: Draft, asked: Asked, *, jobs_root: str) -> BatchPlan:
    """The plan for `sources` and what was `asked`: the command line goes over what the files say.

    Raises UsageError, SpecError (a file) and ModelError (a model that nothing here can score).
    """
    things.refuse_contradictions(sources, "penstock score")
    filed = _of_file(sources, asked)
    draft = drafts.layered(filed.draft, drafts.layered(things.of_sources(sources, filed.draft), said))
    if draft.model is None and draft.code is None:
        raise errors.UsageError(
            "nothing to score with: no model, no scoring script, no deployment file",
            hint="penstock score model.pkl --input data.parquet --output scores.parquet",
        )
    if draft.code is not None:
        things.check_code(draft.code)
    found = things.format_of(draft)
    is_script = draft.code is not None
    output = _output(filed, asked, is_script=is_script)
    inputs = _inputs(filed, asked)
    if output.form == BY_FILE:
        inputs = _by_file(inputs, asked)
    elif found == "mlflow" and draft.model is not None and not is_script:
        from penstock.scoring.loaders import detection
        from penstock.spec import mlflow_signatures

        expected = mlflow_signatures.column_types(detection.locate(draft.model.path))
        inputs = dataclasses.replace(inputs, expected_types=expected)
    settings = _settings(
        filed, asked, inputs, output.form, is_script=is_script, model_directory=draft.model_directory
    )
    model, variables = things.model_and_variables(draft, found)
    name = draft.name or (model.name if model else Path(draft.code.script).stem if draft.code else "")
    described = manifest.Manifest(
        name=name, model=model, code=draft.code, variables=variables, sample_input=draft.sample_input
    )
    job = jobs.checked_name(asked.job) if asked.job else jobs.new_name(name)
    launch = BatchLaunch(
        job=job,
        folder=str(Path(jobs_root, job)),
        manifest=described,
        python="",
        inputs=inputs,
        output=output,
        settings=settings,
        notes=(*draft.notes, *_without_effect(filed, settings)),
        **asked.launch,
    )
    environment = draft.environment or things.unsaid_environment(draft, found)
    return BatchPlan(launch=launch, environment=environment, format=found)


def furnish(plan: BatchPlan, *, strict: bool, say: Callable[[str], None]) -> BatchLaunch:
    """The launch of `plan`, its environment built; `say` is told of progress.

    `strict`: the Python that the files ask for, or none. Raises EnvironmentBuildError, and SpecError for an
    environment file that cannot be read.
    """
    form = plan.launch.output.form
    reads_rows = plan.launch.settings.takes != "files" or form not in _AS_RETURNED
    also = (PYARROW, "pandas") if form == BY_FILE else (PYARROW,) if reads_rows else ()
    furnished = environments.furnish(plan.environment, strict=strict, say=say, also=also)
    return dataclasses.replace(
        plan.launch,
        python=furnished.python,
        requirements=furnished.requirements,
        notes=plan.launch.notes + furnished.notes,
    )


def _of_file(sources: Sources, asked: Asked) -> BatchDraft:
    """What a deployment file says, its inputs bound to those of the command line."""
    if not things.is_deployment_file(sources.thing):
        return BatchDraft(draft=Draft())
    from penstock.spec import batch_files

    return batch_files.read(
        sources.thing,
        inputs=dict(_named(asked.inputs)),
        output=asked.output,
        step=asked.step,
        model_given=bool(sources.model),
        environment_given=bool(sources.environment),
    )


def _named(inputs: tuple[str, ...]) -> list[tuple[str, str]]:
    """The ``name=location`` pairs among `inputs`."""
    pairs = (text.partition("=") for text in inputs)
    return [(name, value) for name, equals, value in pairs if equals and name.isidentifier()]


def _unnamed(filed: BatchDraft, asked: Asked) -> list[str]:
    """The inputs that are not bound by a name. Names mean nothing to a deployment, which has one input."""
    named = {f"{name}={value}": value for name, value in _named(asked.inputs)}
    if filed.names_inputs:
        return [text for text in asked.inputs if text not in named]
    if not filed.ignores_names:
        return list(asked.inputs)
    return [text if paths.exists(paths.absolute(text)) else named.get(text, text) for text in asked.inputs]


def _inputs(filed: BatchDraft, asked: Asked) -> Inputs:
    typed = tuple(_location(text) for text in _unnamed(filed, asked))
    locations = typed or filed.locations
    if not locations:
        raise errors.UsageError(
            "no input", hint="--input PATH: a file, a folder, a glob, a URL; several times for several"
        )
    read = ReadOptions(**asked.reading)
    common: dict[str, Any] = {"query": asked.query, **asked.intake}
    tables = [location for location in locations if _is_mltable(location)]
    if asked.input_format == "mltable" or tables:
        if len(locations) > 1:
            raise errors.UsageError(
                f"{(tables or list(locations))[0]} is an MLTable, and other inputs are given besides",
                hint="list all paths in one MLTable, or score them one after the other",
            )
        from penstock.spec import mltables

        found = mltables.read(locations[0])
        said = {name: value for name, value in common.items() if value}
        return dataclasses.replace(found, is_table=found.format != "files", **said)
    is_database = [_scheme(location) in DATABASES for location in locations]
    form = asked.input_format or filed.input_format or ("sql" if all(is_database) else "")
    if asked.query and not all(is_database):
        raise errors.UsageError(
            "--query selects from a database, and the input is none",
            hint="--input postgresql://user@host/database --query 'SELECT ...'",
        )
    return Inputs(locations=locations, format=form, read=read, **common)


def _location(text: str) -> str:
    """A URL as it is; a path or glob absolute."""
    return text if "://" in text or text.startswith("azureml:") else str(paths.absolute(text))


def _scheme(location: str) -> str:
    """``postgresql`` of ``postgresql+psycopg://...``; empty for a path."""
    head, mark, _ = location.partition("://")
    return head.partition("+")[0].lower() if mark else ""


def _is_mltable(location: str) -> bool:
    path = Path(location)
    return path.name == "MLTable" or Path(path, "MLTable").is_file()


def _by_file(inputs: Inputs, asked: Asked) -> Inputs:
    """`inputs` for a model that is given files, which it reads by their names, none of a folder within a folder:
    so Azure ML does. Whatever is said of rows cannot be meant."""
    of_rows = inputs.format not in ("", "files") or inputs.read != ReadOptions()
    if of_rows or asked.settings.get("mini_batch_unit") == "rows":
        raise errors.UsageError(
            "a deployment without a script gives its model whole .csv and .parquet files and images, as Azure ML "
            "does; an MLTable, a database or an option that says how rows are read cannot be meant",
            hint="--output results.csv scores rows, whatever they come from",
        )
    return dataclasses.replace(inputs, nested=False)


def _settings(
    filed: BatchDraft, asked: Asked, inputs: Inputs, form: str, *, is_script: bool, model_directory: str
) -> batch.BatchSettings:
    said: dict[str, Any] = {**filed.batch, **asked.settings}
    said["model_alone"] = not model_directory
    if not is_script and "partition_keys" not in asked.settings:
        said.pop("partition_keys", None)  # a file's say something of its script
    said["takes"] = _takes(asked, inputs, said, form, is_script=is_script)
    if said.get("partition_keys"):
        _check_partitioned(said, asked, inputs, is_script=is_script)
        said.update(mini_batch_size=0, mini_batch_unit="files")  # the keys win, as on Azure ML
        # There what is missing counts as failed, unless everything may fail.
        said["sums_up"] = not (said.get("azure") and said.get("error_threshold", 0) >= 0)
    return batch.BatchSettings(**said)


def _without_effect(filed: BatchDraft, settings: batch.BatchSettings) -> tuple[str, ...]:
    if filed.batch.get("partition_keys") and not settings.partition_keys:
        return ("without effect where there is no script: partition_keys",)
    return ()


def _check_partitioned(said: Mapping[str, Any], asked: Asked, inputs: Inputs, *, is_script: bool) -> None:
    """Whatever would tear a partition apart is refused."""
    if not is_script:
        raise errors.UsageError(
            "partition keys say which rows one call of a script gets, and there is no script",
            hint="--script score.py, or leave them out",
        )
    if said.get("on_error") == "bisect":
        raise errors.UsageError(
            "--on-error bisect halves what fails, and a partition is scored as a whole", hint="leave it out"
        )
    if asked.launch.get("incremental"):
        raise errors.UsageError(
            "--incremental takes the new files of a partition, and a partition is scored as a whole",
            hint="leave it out",
        )
    if inputs.format == "sql":
        raise errors.UsageError(
            "partition keys are taken from the paths of files, and the input is a database",
            hint="export it to folders called key=value",
        )


def _takes(asked: Asked, inputs: Inputs, said: Mapping[str, Any], form: str, *, is_script: bool) -> str:
    """What the scorer gets. A script gets paths of files, as Azure ML has it, unless its input is a table; so does
    a model whose results are of the form `BY_FILE`."""
    if not is_script:
        if asked.takes:
            raise errors.UsageError(
                "--pass says what a script gets, and there is no script",
                hint="--script score.py, or leave it out",
            )
        return "files" if form == BY_FILE else "arrow"
    if asked.takes:
        return {"files": "files", "dataframe": "frame"}[asked.takes]
    is_table = inputs.format in ("sql", "delta") or inputs.is_table or said.get("mini_batch_unit") == "rows"
    # Where the file says arrow, the script is the command line's.
    return "frame" if is_table or said.get("takes") == "frame" else "files"


def _output(filed: BatchDraft, asked: Asked, *, is_script: bool) -> Output:
    said: dict[str, Any] = {**filed.output, **asked.writing}
    if not asked.output:
        raise errors.UsageError(
            "no output", hint="--output scores.parquet, --output scores.csv, --output FOLDER, or a URL"
        )
    location = _location(asked.output)
    form = asked.output_format or _form_of(asked.output)
    if form:
        said.pop("scripts_own", None)  # folders within an output that is none
    elif said.get("form"):
        # Azure ML's output is a folder, in which the file lies that its YAML names.
        form = said["form"]
        if form != "summary-only":
            location = f"{location.rstrip('/')}/{filed.output_file_name or 'predictions.csv'}"
    said["form"] = ("append-row" if form == BY_FILE and is_script else form) or "parquet-dataset"
    if said.get("mode") == "skip" and said["form"] not in _SKIPPABLE:
        if asked.writing.get("mode"):
            raise errors.UsageError(
                f"--if-exists skip is for one file, and the output is {said['form']}",
                hint="--if-exists error, append or replace",
            )
        said["mode"] = "error"
    if said.get("mode") == "skip" and asked.launch.get("incremental"):
        raise errors.UsageError(
            "--incremental adds to what is there, and skip leaves it as it is",
            hint="--if-exists append",
        )
    if said["form"] == "append-row" and not is_script:
        raise errors.UsageError(
            "append-row is the text of what a script returned, and there is no script",
            hint="--output-format csv",
        )
    for name, option in (("keep_columns", "--keep-columns"), ("lineage", "--with-lineage")):
        if asked.writing.get(name) and said["form"] in (*_AS_RETURNED, BY_FILE):
            raise errors.UsageError(
                f"{option} adds columns to a table, and the output is {said['form']}",
                hint="--output scores.csv",
            )
    if said["form"] == "sql" and not said.get("table"):
        raise errors.UsageError("no table in the database", hint="--table scores, or --table schema.scores")
    if said.get("mode") == "upsert" and not said.get("key"):
        raise errors.UsageError(
            "upsert needs to know which rows are the same", hint="--key id, several times for several columns"
        )
    return Output(location=location, **said)


def _form_of(said: str) -> str:
    """What an output's name promises; empty: a folder of Parquet files, unless a file says otherwise."""
    if _scheme(said) in DATABASES:
        return "sql"
    if said.endswith("/"):
        return ""
    return FORMS.get(Path(said.partition("?")[0]).suffix.lower(), "")
