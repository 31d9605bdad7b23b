"""``penstock score``: parse, resolve, build the environment, become the driver."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

from penstock import errors
from penstock.assembly import batches
from penstock.bundle import jobs
from penstock.bundle.batch import BatchLaunch
from penstock.cli import handover, score_options, sections, thing_options, variables
from penstock.spec.drafts import Draft

EPILOG = """
What stands after -- goes to the script, as arguments.

Environment variables:
  PENSTOCK_JOBS    the folder of all jobs  [default: ~/.local/state/penstock/jobs]
  PENSTOCK_CACHE   where environments are kept

Exit codes:
  0 scored                               4 the environment cannot be built
  1 a bug in Penstock                    5 the job failed, or its input or output cannot be used
  2 a wrong command line or file       130 stopped, to be resumed
  3 model or scoring script cannot start

Examples:
  penstock score model.pkl --input data.parquet --output scores.parquet
  penstock score model.onnx -i 's3://bucket/2026/*/*.csv' --output scores/ --keep-columns id
  penstock score --script batch.py --model model.pkl -i images/ --output results.csv -- --threshold 0.5
  penstock score batch-deployment.yml --input data/ --output results/
  penstock score model.pkl -i postgresql://me@host/db --query customers --output scores.parquet
  penstock score --resume model-20261126-101500-3fa9
"""


@click.command(
    cls=sections.SectionedCommand,
    epilog=EPILOG,
    context_settings={"token_normalize_func": lambda name: name.replace("_", "-"), "max_content_width": 100},
)
@click.argument("thing", required=False, metavar="[THING]")
@click.argument("program_arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGS]")
@score_options.with_options
def score(**given: Any) -> None:
    """Score files, folders, tables or queries with THING: in parallel, in mini-batches, every row once.

    THING is a model file, an MLflow model folder, or an Azure ML batch deployment YAML. A batch scoring script
    is given with --script, with or without a model. Whatever dies, a job can be resumed, and its output is the
    same to the byte.
    """
    environ = dict(os.environ)
    launch = resumed(given, environ) if given["resume"] else begun(given, environ)
    inherited = {name: value for name, value in environ.items() if name not in variables.SECRETS}
    handover.hand_over(launch, inherited, to=handover.DRIVER)


def begun(given: Mapping[str, Any], environ: Mapping[str, str]) -> BatchLaunch:
    """The launch of a new job."""
    thing, arguments = given["thing"], tuple(given["program_arguments"])
    plan = batches.resolve(
        thing_options.sources(given), Draft(), asked(given, arguments), jobs_root=jobs.root(environ)
    )
    if os.path.exists(os.path.join(plan.launch.folder, jobs.LAUNCH)):  # noqa: PTH110, PTH118 - cheap start
        raise errors.JobError(
            f"there is a job {plan.launch.job} already",
            hint=f"penstock score --resume {plan.launch.job}, or another --job {thing or ''}".rstrip(),
        )
    return batches.furnish(plan, strict=given["strict_environment"], say=say)


def resumed(given: Mapping[str, Any], environ: Mapping[str, str]) -> BatchLaunch:
    """The launch of a job that was begun before, with what may be said anew: how, not what."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        if name not in SAID_ANEW and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            said = (
                parameter.opts[0] if isinstance(parameter, click.Option) else name.upper().replace("_", " ")
            )
            raise errors.UsageError(
                f"--resume goes on with what the job was begun with; {said} cannot be said anew",
                hint=f"penstock score --resume {given['resume']}, or a new job",
            )
    launch = jobs.read_launch(jobs.find(given["resume"], environ))
    settings = {name: value for name, value in settings_of(given).items() if name in RESUMABLE}
    return dataclasses.replace(
        launch, settings=dataclasses.replace(launch.settings, **settings), **launch_of(given)
    )


RESUMABLE = (
    "workers", "memory_limit_mb", "start_timeout_s", "preload", "max_retries", "timeout_s", "fail_on_timeout",
    "error_threshold", "mini_batch_error_threshold", "allowed_failed_percent",
)  # fmt: skip
"""Settings that a resumed job may change: none of them decides about a row that is scored."""

SAID_ANEW = frozenset((
    "resume", "workers", "memory_limit", "start_timeout", "preload", "max_retries", "timeout",
    "fail_on_timeout", "error_threshold", "mini_batch_error_threshold", "allowed_failed_percent", "engine",
    "address", "engine_option", "force", "report", "log_level",
))  # fmt: skip
"""Options that may stand beside ``--resume``, by their parameters' names."""


def asked(given: Mapping[str, Any], arguments: tuple[str, ...]) -> batches.Asked:
    """What the options say."""
    reading = {
        "delimiter": _unescaped(given["delimiter"]),
        "encoding": given["encoding"],
        "header": "no_header" if given["no_header"] or given["column_names"] else None,
        "column_names": _names(given["column_names"]),
        "column_types": _pairs(given["column_type"], "--column-type"),
        "null_values": given["null_value"] or None,
    }
    writing = {
        "mode": given["if_exists"],
        "table": given["table"],
        "key": given["key"] or None,
        "keep_columns": _kept(given["keep_columns"]),
        "prediction_columns": _names(given["output_columns"]),
        "prediction_name": given["prediction_name"],
        "lineage": given["with_lineage"] or None,
        "storage": _pairs(given["storage"], "--storage"),
    }
    intake = {"split_column": given["split_column"], "storage": _pairs(given["storage"], "--storage")}
    settings = settings_of(given)
    if arguments:
        settings["program_arguments"] = arguments
    return batches.Asked(
        inputs=given["inputs"],
        output=given["output"] or "",
        output_format=given["output_format"] or "",
        input_format=given["input_format"] or "",
        takes=given["takes"] or "",
        query=given["query"] or "",
        reading=_said(reading),
        intake=_said(intake),
        writing=_said(writing),
        settings=settings,
        launch=launch_of(given),
        job=given["job"] or "",
        step=given["step"] or "",
    )


def settings_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `BatchSettings` that the options say."""
    size, unit = given["mini_batch_size"] or (None, None)
    limit = given["memory_limit"]
    threshold = given["error_threshold"]
    if threshold is None and given["on_error"] == "bisect":
        threshold = -1
    return _said(
        {
            "workers": given["workers"],
            "mini_batch_size": size,
            "mini_batch_unit": unit,
            "partition_keys": given["partition_keys"] or None,
            "method": given["method"],
            "input_columns": _names(given["input_columns"]),
            "max_retries": given["max_retries"],
            "timeout_s": None if given["timeout"] is None else given["timeout"] / 1000,
            "fail_on_timeout": given["fail_on_timeout"],
            "error_threshold": threshold,
            "mini_batch_error_threshold": given["mini_batch_error_threshold"],
            "allowed_failed_percent": given["allowed_failed_percent"],
            "on_error": given["on_error"],
            "memory_limit_mb": None if limit is None else max(1, limit // 1024**2),
            "start_timeout_s": None if given["start_timeout"] is None else given["start_timeout"] / 1000,
            "preload": given["preload"],
            "logging_level": given["logging_level"],
        }
    )


def launch_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Further fields of `BatchLaunch` that the options say."""
    options = _pairs(given["engine_option"], "--engine-option") or {}
    if given["address"]:
        options["address"] = given["address"]
    return _said(
        {
            "engine": given["engine"],
            "engine_options": options or None,
            "incremental": given["incremental"] or None,
            "force": given["force"] or None,
            "check": given["check"] or None,
            "log_format": "json" if given["report"] == "json" else "human",
            "log_level": given["log_level"],
        }
    )


def say(line: str) -> None:
    """Progress, to stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _names(text: str | None) -> tuple[str, ...] | None:
    """``a, b`` as names; None: nothing was said."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else None


def _kept(text: str | None) -> tuple[str, ...] | None:
    names = _names(text)
    if names in (("all",), ("none",), ("unused",)):
        return (f"*{names[0]}",)
    return names


def _unescaped(delimiter: str | None) -> str | None:
    """A shell has no good way to type a tab."""
    return {"\\t": "\t", "tab": "\t"}.get(delimiter, delimiter) if delimiter else None


def _pairs(said: tuple[str, ...], option: str) -> dict[str, str] | None:
    found = {}
    for text in said:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise errors.UsageError(f"{option} {key}: write KEY=VALUE")
        found[key] = value
    return found or None


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
