"""What ``penstock score`` can be told: its options, under their headings."""

from __future__ import annotations

from collections.abc import Callable

import click

from penstock.cli import quantities, thing_options
from penstock.cli.thing_options import option

SCORER, ENVIRONMENT = "What scores", "Environment"
INPUT, TEXT, OUTPUT, WORK, FAILURES, JOB, REPORT = (
    "Input",
    "Reading text",
    "Output",
    "Workers",
    "Failures",
    "The job",
    "What is shown",
)

OPTIONS = (
    option(
        SCORER,
        "--step",
        metavar="NAME",
        help="Which parallel step, where THING is a pipeline with several.",
    ),
    option(
        INPUT,
        "--input",
        "-i",
        "inputs",
        multiple=True,
        metavar="PATH",
        help="File, folder, glob or URL (s3://, abfs://, https://, postgresql://); may be given several times."
        " NAME=PATH for a file that names its inputs.",
    ),
    option(
        INPUT,
        "--input-format",
        type=click.Choice(["parquet", "csv", "jsonl", "arrow", "delta", "mltable", "sql", "files"]),
        help="[default: by the names of the files]",
    ),
    option(
        INPUT, "--query", metavar="SQL", help="What is selected from a database; a table's name is enough."
    ),
    option(
        INPUT,
        "--split-column",
        metavar="COLUMN",
        help="Whole numbers by whose ranges a query is read in parts.  [default: the primary key of a table]",
    ),
    option(
        INPUT,
        "--input-columns",
        metavar="A,B,C",
        help="The columns that the model takes, in its order, where it does not know their names.",
    ),
    option(
        INPUT,
        "--storage",
        multiple=True,
        metavar="KEY=VALUE",
        help="An option of the storage of inputs and output: endpoint_url, account_name, anon, ...",
    ),
    option(
        INPUT,
        "--pass",
        "takes",
        type=click.Choice(["files", "dataframe"]),
        help="What a script's run() gets.  [default: files; tables and rows as a DataFrame]",
    ),
    option(
        TEXT, "--delimiter", metavar="CHAR", help="Between the columns of a CSV.  [default: ,; a tab in .tsv]"
    ),
    option(TEXT, "--encoding", metavar="NAME", help="[default: utf-8]"),
    option(TEXT, "--no-header", is_flag=True, help="The first line of a CSV is data already."),
    option(TEXT, "--column-names", metavar="A,B,C", help="The columns of a CSV without a header."),
    option(
        TEXT,
        "--column-type",
        multiple=True,
        metavar="COLUMN=TYPE",
        help="int64, double, string, bool, timestamp[us], ...  [default: found out from samples]",
    ),
    option(TEXT, "--null-value", multiple=True, metavar="TEXT", help="A text that means: no value."),
    option(
        OUTPUT,
        "--output",
        "output",
        metavar="PATH",
        help="A file (.parquet, .csv, .jsonl), a folder for Parquet files, a URL, or a database with --table.",
    ),
    option(
        OUTPUT,
        "--output-format",
        type=click.Choice(
            ["parquet-dataset", "parquet", "csv", "jsonl", "delta", "sql", "append-row", "summary-only"]
        ),
        help="[default: by the name of the output]",
    ),
    option(
        OUTPUT,
        "--if-exists",
        type=click.Choice(["error", "append", "replace", "upsert", "skip"]),
        help="What to do where results are already.  [default: error; skip with an Azure ML file]",
    ),
    option(OUTPUT, "--table", metavar="NAME", help="The table of a database: scores, or schema.scores."),
    option(OUTPUT, "--key", multiple=True, metavar="COLUMN", help="By which upsert knows rows."),
    option(
        OUTPUT,
        "--keep-columns",
        metavar="A,B,C",
        help="Input columns beside the predictions: names, all, none, or unused (those that the model does not"
        " take).  [default: unused]",
    ),
    option(
        OUTPUT,
        "--output-columns",
        metavar="A,B,C",
        help="Which of the prediction's columns are written.  [default: all]",
    ),
    option(OUTPUT, "--prediction-name", metavar="NAME", help="[default: prediction]"),
    option(
        OUTPUT,
        "--with-lineage",
        is_flag=True,
        help="Adds _file, _row (from 0 in its file) and _model (its SHA-256).",
    ),
    option(WORK, "--method", metavar="NAME", help="predict_proba, ...  [default: the model's first]"),
    option(
        WORK,
        "--workers",
        type=click.IntRange(1, 1024),
        metavar="N",
        help="Processes that score.  [default: one for each processor]",
    ),
    option(
        WORK,
        "--mini-batch-size",
        type=quantities.MiniBatchSize(),
        metavar="SIZE",
        help="10 (files), 5000rows or 64KB: for a script what one run() gets.  [default: 32MB; a script: 10]",
    ),
    option(
        WORK,
        "--partition-key",
        "partition_keys",
        multiple=True,
        metavar="COLUMN",
        help="One run() for all files whose paths agree in it (store=7/...); may be given several times.",
    ),
    option(
        WORK,
        "--memory-limit",
        type=quantities.Size(),
        metavar="SIZE",
        help="At which a worker is replaced.  [default: its share of the machine]",
    ),
    option(WORK, "--start-timeout", type=quantities.Duration(), metavar="TIME", help="[default: 10m]"),
    option(
        WORK,
        "--preload",
        type=click.Choice(["auto", "always", "never"]),
        help="Load once and fork the workers.  [default: auto, where that is safe]",
    ),
    option(
        WORK,
        "--engine",
        type=click.Choice(["local", "ray"]),
        help="Where workers run: this machine, or a Ray cluster.  [default: local]",
    ),
    option(
        WORK,
        "--address",
        metavar="HOST:PORT",
        help="Of the Ray cluster.  [default: one that is running here]",
    ),
    option(
        WORK, "--engine-option", multiple=True, metavar="KEY=VALUE", help="See the documentation of engines."
    ),
    option(
        FAILURES,
        "--timeout",
        type=quantities.Duration(),
        metavar="TIME",
        help="Longest time for one call.  [default: 10m; 30s from an Azure ML file]",
    ),
    option(
        FAILURES,
        "--fail-on-timeout/--no-fail-on-timeout",
        default=None,
        help="The job fails where all attempts at a call ran out of time, whatever --error-threshold says.",
    ),
    option(
        FAILURES,
        "--max-retries",
        type=click.IntRange(0),
        metavar="N",
        help="How often a call is repeated that fails, dies or overstays.  [default: 3]",
    ),
    option(
        FAILURES,
        "--on-error",
        type=click.Choice(["fail", "bisect"]),
        help="bisect: halve what fails until the bad rows are alone in a file.  [default: fail]",
    ),
    option(
        FAILURES,
        "--error-threshold",
        type=click.IntRange(-1),
        metavar="N",
        help="Rows (files) that may fail; -1: any number.  [default: 0; -1 with bisect or an Azure ML file]",
    ),
    option(
        FAILURES,
        "--mini-batch-error-threshold",
        type=click.IntRange(-1),
        metavar="N",
        help="Mini-batches that may fail.  [default: -1, any number]",
    ),
    option(
        FAILURES,
        "--allowed-failed-percent",
        type=click.FloatRange(0, 100),
        metavar="P",
        help="Share of mini-batches that may fail.  [default: 100]",
    ),
    option(JOB, "--job", metavar="NAME", help="What the job is called.  [default: made up]"),
    option(JOB, "--resume", metavar="JOB", help="Go on with a job that was stopped, killed or failed."),
    option(
        JOB, "--force", is_flag=True, help="Start even where a job that does the very same is not finished."
    ),
    option(
        JOB,
        "--incremental",
        is_flag=True,
        help="Only files that are new or changed since the last such job of the same model and output.",
    ),
    option(JOB, "--check", is_flag=True, help="Plan, show what would be scored, and stop."),
    option(
        REPORT,
        "--report",
        "-o",
        type=click.Choice(["text", "json"]),
        default="text",
        help="json: events, one a line, on stdout.  [default: text]",
    ),
    option(
        REPORT,
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="Which of the workers' own lines are shown; files keep all.  [default: warning]",
    ),
    option(
        REPORT,
        "--logging-level",
        type=click.Choice(["DEBUG", "INFO", "WARNING"], case_sensitive=False),
        help="Azure ML's: what a script is told.  [default: INFO]",
    ),
)


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """`function` with all of them, in their order."""
    return thing_options.decorated(function, (*thing_options.of(SCORER, ENVIRONMENT), *OPTIONS))
