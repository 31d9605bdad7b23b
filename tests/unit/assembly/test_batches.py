"""From what somebody typed behind ``penstock score`` to a plan: what is read, what is written, what a script gets,
and what is refused."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock import errors
from penstock.assembly import batches, things
from penstock.bundle.batch import BatchLaunch
from penstock.spec.drafts import Draft

DEPLOYMENT = """\
name: night
endpoint_name: credit
type: model
model: {path: model.pkl}
code_configuration: {code: src, scoring_script: score.py}
environment: {conda_file: conda.yml}
compute: azureml:cluster
resources: {instance_count: 2}
settings: {mini_batch_size: 5, max_concurrency_per_instance: 3, output_file_name: found.txt}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path) -> Iterator[Path]:
    """A working directory with a model, a script, a deployment and an MLTable."""
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"a": 1}))
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "score.py").write_text("def init(): ...\ndef run(data): ...\n")
    (tmp_path / "conda.yml").write_text("dependencies: [python=3.11]\n")
    (tmp_path / "night.yml").write_text(DEPLOYMENT)
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "a.csv").touch()
    (tmp_path / "table" / "MLTable").write_text(
        "paths: [{file: ./a.csv}]\ntransformations: [{read_delimited: {delimiter: ';'}}]\n"
    )
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def plan(
    thing: str = "", *inputs: str, output: str = "out", script: str = "", **asked: Any
) -> batches.BatchPlan:
    said = batches.Asked(inputs=inputs, output=output, **asked)
    return batches.resolve(things.Sources(thing=thing, script=script), Draft(), said, jobs_root="/jobs")


def launch(*given: str, **asked: Any) -> BatchLaunch:
    return plan(*given, **asked).launch


def refused(*given: str, **asked: Any) -> errors.UsageError:
    with pytest.raises(errors.UsageError) as caught:
        plan(*given, **asked)
    assert caught.value.hint
    return caught.value


def test_a_bare_model(here: Path) -> None:
    made = plan("model.pkl", "data/*.csv", "s3://bucket/x", job="mine")
    assert (made.launch.job, made.launch.folder) == ("mine", "/jobs/mine")
    assert made.launch.inputs.locations == (str(here / "data/*.csv"), "s3://bucket/x")
    assert (made.launch.output.location, made.launch.output.form) == (str(here / "out"), "parquet-dataset")
    assert (made.launch.settings.takes, made.format, made.environment.kind) == ("arrow", "python", "current")
    assert BatchLaunch.from_json(made.launch.to_json()) == made.launch


def test_a_job_has_a_name_of_its_own_else() -> None:
    first, second = (launch("model.pkl", "data.csv").job for _ in range(2))
    assert first.startswith("model-")
    assert first != second
    with pytest.raises(errors.JobError, match="no job can be called"):
        plan("model.pkl", "data.csv", job="../x")


@pytest.mark.parametrize(
    ("output", "form"),
    [
        ("x.parquet", "parquet"),
        ("x.PQ", "parquet"),
        ("s3://bucket/x.csv?versionId=1", "csv"),
        ("x.ndjson", "jsonl"),
        ("x.csv/", "parquet-dataset"),
        ("x", "parquet-dataset"),
        ("sqlite:///x.db", "sql"),
        ("postgresql+psycopg://me@host/db", "sql"),
    ],
)
def test_an_outputs_name_promises_its_form(output: str, form: str) -> None:
    assert launch("model.pkl", "in", output=output, writing={"table": "t"}).output.form == form
    asked = launch("model.pkl", "in", output=output, output_format="jsonl")
    assert asked.output.form == "jsonl", "what is said goes over what a name promises"


def test_what_a_script_gets() -> None:
    def takes(*inputs: str, **asked: Any) -> str:
        return launch("", *inputs, script="src/score.py", **asked).settings.takes

    assert takes("images") == "files"
    assert takes("images", takes="dataframe") == "frame"
    assert takes("data.csv", settings={"mini_batch_unit": "rows", "mini_batch_size": 10}) == "frame"
    assert takes("postgresql://me@host/db", query="t") == "frame"
    assert takes("table") == "frame"
    assert takes("data", input_format="delta") == "frame"
    assert "--pass" in refused("model.pkl", "in", takes="files").message


def test_an_mltable_says_how_it_is_read(here: Path) -> None:
    inputs = launch("model.pkl", "table").inputs
    assert (inputs.format, inputs.read.delimiter, inputs.is_table) == ("csv", ";", True)
    assert inputs.locations == (str(here / "table" / "a.csv"),)
    assert "MLTable" in refused("model.pkl", "table", "other.csv").message


def test_a_deployment_file_and_what_goes_over_it(here: Path) -> None:
    made = launch("night.yml", "in")
    assert (made.settings.workers, made.settings.mini_batch_size, made.settings.takes) == (6, 5, "files")
    assert (made.output.form, made.output.mode) == ("append-row", "skip")
    assert made.output.location == str(here / "out" / "found.txt")
    assert made.manifest.code is not None
    assert made.manifest.code.directory == str(here / "src")
    over = launch("night.yml", "in", output="x.csv", settings={"workers": 1})
    assert (over.settings.workers, over.settings.mini_batch_size, over.output.form) == (1, 5, "csv")


def test_a_deployment_has_one_input_whatever_it_is_called(here: Path) -> None:
    assert launch("night.yml", "heart=in").inputs.locations == (str(here / "in"),)
    (here / "year=2024").mkdir()
    assert launch("night.yml", "year=2024").inputs.locations == (str(here / "year=2024"),)
    assert launch("model.pkl", "heart=in").inputs.locations == (str(here / "heart=in"),)


def test_a_files_skip_is_for_one_file_only() -> None:
    """Azure ML leaves a file that is there; of a table or folder that would be to add to it."""
    delta = launch("night.yml", "in", output="x", output_format="delta").output
    assert (delta.form, delta.mode) == ("delta", "error")
    assert "skip is for one file" in refused("model.pkl", "in", writing={"mode": "skip"}).message
    message = refused("night.yml", "in", launch={"incremental": True}).message
    assert "--incremental adds" in message
    added = launch("night.yml", "in", launch={"incremental": True}, writing={"mode": "append"})
    assert (added.incremental, added.output.mode) == (True, "append")


def test_a_scripts_model_stands_alone_unless_a_folder_is_said(here: Path) -> None:
    assert launch("night.yml", "in").settings.model_alone
    said = things.Sources(thing="night.yml", model_directory="src")
    asked = batches.Asked(inputs=("in",), output="out")
    assert not batches.resolve(said, Draft(), asked, jobs_root="/jobs").launch.settings.model_alone


def test_what_is_refused() -> None:
    assert "nothing to score with" in refused("", "in").message
    assert "no input" in refused("model.pkl").message
    assert "no output" in refused("model.pkl", "in", output="").message
    assert "--query" in refused("model.pkl", "in.csv", query="SELECT 1").message
    assert "no table" in refused("model.pkl", "in", output="sqlite:///x.db").message
    assert "there is no script" in refused("model.pkl", "in", output_format="append-row").message
    assert "upsert" in refused("model.pkl", "in", writing={"mode": "upsert"}).message
    lineage = {"lineage": True}
    assert "--with-lineage" in refused("night.yml", "in", writing=lineage).message
    assert launch("night.yml", "in", output="x.csv", writing=lineage).output.lineage


@pytest.mark.parametrize(
    ("said", "sums_up"),
    [
        ({"partition_keys": ("day",)}, True),
        ({"partition_keys": ("day",), "azure": True, "error_threshold": -1}, True),
        ({"partition_keys": ("day",), "azure": True, "error_threshold": 0}, False),
        ({}, False),
    ],
)
def test_a_partition_may_be_summed_up(said: dict[str, Any], sums_up: bool) -> None:
    assert launch("", "in", script="src/score.py", settings=said).settings.sums_up == sums_up


def test_a_script_gets_files_though_the_deployment_has_none(here: Path) -> None:
    text = DEPLOYMENT.replace("code_configuration: {code: src, scoring_script: score.py}\n", "")
    (here / "bare.yml").write_text(text)
    assert launch("bare.yml", "in").output.form == "append-row-mlflow"
    assert launch("bare.yml", "in").settings.takes == "files"
    assert not launch("bare.yml", "in").inputs.nested
    assert launch("bare.yml", "in", output="x.csv").settings.takes == "arrow"
    made = launch("bare.yml", "in", script="src/score.py")
    assert (made.settings.takes, made.output.form, made.inputs.nested) == ("files", "append-row", True)


def test_a_partition_is_scored_as_a_whole() -> None:
    keys = {"partition_keys": ("day",)}
    made = launch("", "in", script="src/score.py", settings={**keys, "mini_batch_size": 9}).settings
    assert (made.partition_keys, made.mini_batch_size, made.mini_batch_unit) == (("day",), 0, "files")
    assert "no script" in refused("model.pkl", "in", settings=keys).message
    bisect = {**keys, "on_error": "bisect"}
    assert "--on-error" in refused("", "in", script="src/score.py", settings=bisect).message
    incremental = {"incremental": True}
    said = refused("", "in", script="src/score.py", settings=keys, launch=incremental)
    assert "--incremental" in said.message
    assert "database" in refused("", "sqlite:///x.db", script="src/score.py", settings=keys).message
