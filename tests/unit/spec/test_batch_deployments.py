"""Azure ML's batch deployment files: every key accepted, every slip reported, every meaning kept."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.bundle.batch import BatchSettings, Output
from penstock.errors import SpecError
from penstock.spec import batch_deployment_schema, batch_deployments, validation

DATA = Path(__file__).parents[2] / "data" / "batch_deployments"
FULL = ("full-model.yml", "full-legacy.yml")

HEAD = "name: night\nendpoint_name: credit-batch\ncompute: azureml:cluster\n"
SCRIPT = "code_configuration: {code: code, scoring_script: batch_driver.py}\n"
MLFLOW = "model: {path: mlflow}\n"

DEFAULTS = {
    "workers": 1,
    "mini_batch_size": 10,
    "mini_batch_unit": "files",
    "takes": "files",
    "max_retries": 3,
    "timeout_s": 30.0,
    "error_threshold": -1,
    "logging_level": "INFO",
    "fail_if_none_succeeded": True,
    "azure": True,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``code/``, ``model/``, ``mlflow/`` and ``environment/``."""
    return Path(shutil.copytree(DATA, tmp_path_factory.mktemp("deployments"), dirs_exist_ok=True))


@pytest.fixture
def read(folder: Path):
    """Reads deployment YAML that lies in `folder`."""

    def reading(text: str, **given: bool):
        (folder / "d.yml").write_text(text, encoding="utf-8")
        return batch_deployments.read(str(folder / "d.yml"), **given)

    return reading


def error_of(read, text: str, **given: bool) -> SpecError:
    with pytest.raises(SpecError) as caught:
        read(text, **given)
    return caught.value


def test_a_deployment_with_type_in_full():
    found = batch_deployments.read(str(DATA / "full-model.yml"))
    draft = found.draft
    assert draft.name == "night"
    assert (draft.model.path, draft.model.name, draft.model.version) == (
        str(DATA / "model/model.bin"),
        "credit-model",
        "3",
    )
    assert (draft.code.directory, draft.code.script) == (str(DATA / "code"), "batch_driver.py")
    assert draft.environment.value == str(DATA / "environment/conda.yml")
    assert draft.variables == {"OUTER": "1", "INNER": "2.5", "BOTH": "inner"}
    assert found.batch == {
        **DEFAULTS,
        "workers": 6,
        "mini_batch_size": 5,
        "max_retries": 1,
        "partition_keys": ("customer",),
        "timeout_s": 300.0,
        "error_threshold": 7,
        "logging_level": "DEBUG",
    }
    assert found.output == {"form": "append-row", "mode": "skip"}
    assert found.output_file_name == "scores.csv"
    (effects,) = [note for note in draft.notes if "without effect" in note]
    for key in ("compute", "resources.instance_type", "resources.shm_size"):
        assert effects.count(key) == 1
    assert "tags" not in effects


def test_a_deployment_without_type_in_full():
    found = batch_deployments.read(str(DATA / "full-legacy.yml"))
    assert found.batch == {
        **DEFAULTS,
        "workers": 6,
        "mini_batch_size": 5,
        "max_retries": 1,
        "timeout_s": 300.0,
        "error_threshold": 7,
        "logging_level": "WARNING",
    }
    assert found.output == {"form": "append-row", "mode": "skip"}
    assert found.draft.model.directory == str(DATA)


def test_the_full_files_hold_every_key_of_the_schema():
    own = (
        batch_deployment_schema.ModelBatchDeployment,
        batch_deployment_schema.NestedSettings,
        batch_deployment_schema.JobResources,
        batch_deployment_schema.RetrySettings,
        batch_deployment_schema.Compute,
    )
    held: set[str] = set()

    def collect(value: object) -> None:
        if isinstance(value, dict):
            held.update(value)
            for each in value.values():
                collect(each)

    for file in FULL:
        collect(yaml.safe_load((DATA / file).read_text(encoding="utf-8")))
    for section in own:
        assert set(validation.keys_of(section)) <= held, section


def test_every_field_is_one_of_the_job():
    found = batch_deployments.read(str(DATA / "full-model.yml"))
    assert set(found.batch) <= {field.name for field in dataclasses.fields(BatchSettings)}
    assert set(found.output) <= {field.name for field in dataclasses.fields(Output)} - {"location"}


def test_defaults_are_those_of_azure_ml(read):
    found = read(HEAD + "model: {path: model}\n" + SCRIPT)
    assert found.batch == DEFAULTS
    assert found.output == {"form": "append-row", "mode": "skip"}
    assert found.output_file_name == "predictions.csv"
    assert any("names no environment" in note for note in found.draft.notes)


def test_an_mlflow_model_needs_neither_code_nor_environment(read):
    found = read(HEAD + MLFLOW)
    assert found.output["form"] == "append-row-mlflow"
    assert found.batch["takes"] == "arrow"
    assert found.draft.code is None
    assert found.draft.environment is None


def test_a_script_on_an_mlflow_model_needs_an_environment(read):
    error = error_of(read, HEAD + MLFLOW + SCRIPT)
    assert error.key == "environment"
    assert "needs an environment" in str(error)
    assert "--environment" in error.hint
    assert read(HEAD + MLFLOW + SCRIPT, environment_given=True).output["form"] == "append-row"
    environment = "environment: {image: x, conda_file: environment/conda.yml}\n"
    assert read(HEAD + MLFLOW + SCRIPT + environment).draft.environment.kind == "conda"


@pytest.mark.parametrize("place", ["", "settings"])
@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("mini_batch_size: 3", "mini_batch_size", 3),
        ("mini_batch_size: '3'", "mini_batch_size", 3),
        ("max_concurrency_per_instance: 2", "workers", 2),
        ("error_threshold: 0", "error_threshold", 0),
        ("logging_level: Info", "logging_level", "INFO"),
        ("logging_level: warn", "logging_level", "WARNING"),
        ("logging_level: error", "logging_level", "ERROR"),
        ("retry_settings: {max_retries: 0}", "max_retries", 0),
        ("retry_settings: {timeout: 45}", "timeout_s", 45.0),
        ("retry_settings: {timeout: '45'}", "timeout_s", 45.0),
        ("retry_settings: {timeout: PT1M30S}", "timeout_s", 90.0),
        ("retry_settings: {timeout: P1DT1H}", "timeout_s", 90_000.0),
    ],
)
def test_a_setting_may_stand_at_both_places(read, place, text, field, value):
    head = HEAD + SCRIPT + ("type: model\n" if place else "")
    said = f"settings:\n  {text}\n" if place else f"{text}\n"
    assert read(head + said).batch == {**DEFAULTS, field: value}


@pytest.mark.parametrize(
    ("word", "form"),
    [
        ("append_row", "append-row"),
        ("AppendRow", "append-row"),
        ("appendRow", "append-row"),
        ("APPEND_ROW", "append-row"),
        ("summary_only", "append-row"),
        ("SummaryOnly", "append-row"),
        ("SUMMARY_ONLY", "append-row"),
    ],
)
def test_words_are_taken_in_any_case(read, word, form):
    """What was processed is written in any case; what else, is the script's affair."""
    assert read(HEAD + SCRIPT + f"output_action: {word}\ntype: Model\n").output["form"] == form


def test_under_settings_wins_and_it_is_said(read):
    text = (
        HEAD
        + SCRIPT
        + "type: model\nmini_batch_size: 4\nlogging_level: debug\nretry_settings: {max_retries: 5, timeout: 5}\n"
        "settings:\n  mini_batch_size: 6\n  logging_level: debug\n  retry_settings: {timeout: 7}\n"
    )
    found = read(text)
    assert found.batch["mini_batch_size"] == 6
    assert (found.batch["max_retries"], found.batch["timeout_s"]) == (5, 7.0)
    said = [note for note in found.draft.notes if "under settings wins" in note]
    assert len(said) == 2
    assert "mini_batch_size stands on line 6 and, with other values, under settings on line 10" in said[0]


def test_instances_are_said_once(read):
    error = error_of(read, HEAD + SCRIPT + "resources: {instance_count: 2}\nsettings:\n  instance_count: 2\n")
    assert (error.line, error.key) == (7, "settings.instance_count")
    assert read(HEAD + SCRIPT + "settings: {instance_count: 4}\n").batch["workers"] == 4
    assert (
        read(HEAD + SCRIPT + "max_concurrency_per_instance: 3\nresources: {instance_count: 2}\n").batch[
            "workers"
        ]
        == 6
    )


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        (SCRIPT + "mini_batch_size: 0\n", 5, "mini_batch_size", "at least 1, found 0"),
        (SCRIPT + "mini_batch_size: 10kb\n", 5, "mini_batch_size", "whole number"),
        (SCRIPT + "mini_batch_size: yes\n", 5, "mini_batch_size", "whole number"),
        (SCRIPT + "error_threshold: -2\n", 5, "error_threshold", "at least -1, found -2"),
        (SCRIPT + "settings:\n  error_treshold: 1\n", 6, "settings.error_treshold", "mean error_threshold?"),
        (SCRIPT + "setings: {}\n", 5, "setings", "did you mean settings?"),
        (SCRIPT + "logging_level: verbose\n", 5, "logging_level", "must be one of debug, info"),
        (SCRIPT + "output_action: append_rows\n", 5, "output_action", "did you mean append_row?"),
        (SCRIPT + "output_file_name: ../x.csv\n", 5, "output_file_name", "without a folder"),
        (
            SCRIPT + "settings: {output_file_name: /x.csv}\n",
            5,
            "settings.output_file_name",
            "without a folder",
        ),
        (SCRIPT + "retry_settings: {timeout: 0}\n", 5, "retry_settings.timeout", "more than 0"),
        (
            SCRIPT + "retry_settings: {timeout: soon}\n",
            5,
            "retry_settings.timeout",
            "such as PT30S, found 'soon'",
        ),
        (SCRIPT + "retry_settings: {timeout: P1Y}\n", 5, "retry_settings.timeout", "such as PT30S"),
        (SCRIPT + "retry_settings: {timeout: .inf}\n", 5, "retry_settings.timeout", "finite"),
        (SCRIPT + "retry_settings: {max_retries: -1}\n", 5, "retry_settings.max_retries", "at least 0"),
        (SCRIPT + "retry_settings: {retries: 1}\n", 5, "retry_settings.retries", "did you mean max_retries?"),
        (SCRIPT + "max_retries: 1\n", 5, "max_retries", "it stands in retry_settings"),
        (SCRIPT + "instance_count: 1\n", 5, "instance_count", "it stands in resources"),
        (SCRIPT + "auth_mode: key\n", 5, "auth_mode", "endpoint's own YAML"),
        (SCRIPT + "scoring_script: x.py\n", 5, "scoring_script", "it stands in code_configuration"),
        (SCRIPT + "type: model\nsettings: {default_compute: x}\n", 6, "settings.default_compute", "pipeline"),
        (SCRIPT + "environment_variables: {A=B: 1}\n", 5, "environment_variables.A=B", "name"),
        (
            SCRIPT + "settings: {environment_variables: {A=B: 1}}\n",
            5,
            "settings.environment_variables.A=B",
            "name",
        ),
        ("model: azureml:credit:3\n", 4, "model", "registered model"),
        ("model: azureml:credit@latest\n", 4, "model", "--model"),
        ("model: {path: azureml://jobs/x/outputs/y}\n", 4, "model.path", "cannot be fetched"),
        ("model: {local_path: model}\n", 4, "model.local_path", "called path"),
        ("model: {path: modle}\n", 4, "model.path", "did you mean model?"),
        (
            "code_configuration: {code: code, scoring_script: driver.py}\n",
            4,
            "code_configuration.scoring_script",
            "batch_driver.py",
        ),
        (SCRIPT + "environment: {image: x, conda_file: nope.yml}\n", 5, "environment.conda_file", "no file"),
        ("description: no model\n", 1, "", "nothing to score with"),
    ],
)
def test_what_cannot_be_meant_is_placed(read, text, line, key, words):
    error = error_of(read, HEAD + text)
    assert words in f"{error} {error.hint}"
    assert (error.line, error.key) == (line, key)


def test_what_the_command_line_replaces_need_not_be_there(read):
    text = HEAD + "model: azureml:credit@latest\nenvironment: nonsense\n"
    found = read(text, model_given=True, environment_given=True)
    assert found.draft.model is None
    assert found.draft.environment is None
    assert found.output["form"] == "append-row-mlflow"


@pytest.mark.parametrize(
    ("text", "noun", "advice"),
    [
        (
            HEAD + "type: pipeline\ncomponent: azureml:c@latest\n",
            "a batch deployment of a pipeline",
            "pipelines",
        ),
        (HEAD + "job_definition: azureml:job\n", "a batch deployment of a pipeline", "pipelines"),
        (
            "$schema: https://x/latest/pipelineComponentBatchDeployment.schema.json\nname: abc\n",
            "a batch deployment of a pipeline",
            "pipelines",
        ),
        (
            "$schema: x/batchEndpoint.schema.json\nname: e\nauth_mode: aad_token\n",
            "a batch endpoint",
            "deployment's",
        ),
        ("name: e\nauth_mode: key\n", "an online endpoint", "deployment"),
        ("command: python x.py\nenvironment: azureml:e:1\n", "a job", "not here yet"),
        ("channels: [x]\ndependencies: [python]\n", "a conda environment", "--environment"),
        ("type: mltable\npaths: [{file: x.csv}]\ntransformations: []\n", "an MLTable", "--input"),
        ("type: uri_folder\npath: data\nname: d\n", "a data asset", "--input"),
    ],
)
def test_another_kind_of_file_is_named(read, text, noun, advice):
    error = error_of(read, text)
    assert f"this is {noun}, not a batch deployment" in str(error)
    assert advice in error.hint


def test_an_online_deployment_is_none(read):
    text = "name: blue\nendpoint_name: credit\nmodel: {path: model}\ninstance_type: x\n"
    assert "this is an online deployment, not a batch deployment" in str(error_of(read, text))


def test_something_else_altogether(read):
    assert "neither endpoint_name nor model" in str(error_of(read, "hello: world\n"))


@pytest.mark.parametrize("schema", ["batchDeployment", "modelBatchDeployment", "batchEndpoint"])
def test_the_schemas_of_samples(read, schema):
    said = f"$schema: https://azuremlschemas.azureedge.net/latest/{schema}.schema.json\n"
    assert read(said + "name: mlflowdp\nendpoint_name: mybatchedp\n" + MLFLOW).batch["mini_batch_size"] == 10


@settings(max_examples=60, deadline=None)
@given(
    file=st.sampled_from(FULL),
    at=st.integers(0, 200),
    value=st.sampled_from(
        ["[]", "{}", "null", "~", "yes", "1.5", "''", "{a: 1}", "[x]", "-3", "9" * 400, ".inf", ".nan"]
    ),
)
def test_any_value_anywhere_is_taken_or_placed(file, at, value, folder):
    """Never anything but a BatchDraft or a SpecError."""
    lines = (DATA / file).read_text(encoding="utf-8").splitlines()
    at = at % len(lines)
    key, colon, _ = lines[at].partition(":")
    lines[at] = f"{key}{colon} {value}"
    (folder / "any.yml").write_text("\n".join(lines), encoding="utf-8")
    with contextlib.suppress(SpecError):
        found = batch_deployments.read(str(folder / "any.yml"))
        assert found.batch["workers"] >= 1
        assert found.batch["timeout_s"] > 0


@settings(max_examples=60, deadline=None)
@given(file=st.sampled_from(FULL), at=st.integers(0, 200), cut=st.integers(0, 200))
def test_a_misspelt_key_is_never_passed_over(file, at, cut, folder):
    """A key that lost a letter is an error on its line, or on that of a key that is now missing."""
    lines = (DATA / file).read_text(encoding="utf-8").splitlines()
    named = [n for n, line in enumerate(lines) if ":" in line and not line.strip().startswith(("#", "$"))]
    free = ("OUTER", "INNER", "BOTH")
    number = named[at % len(named)]
    key = lines[number].partition(":")[0].strip()
    if len(key) < 4 or key in free:
        return
    cut = cut % len(key)
    wrong = key[:cut] + key[cut + 1 :]
    lines[number] = lines[number].replace(key, wrong, 1)
    (folder / "slip.yml").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        batch_deployments.read(str(folder / "slip.yml"))
    assert f"slip.yml:{number + 1}:" in str(caught.value)
    assert f"did you mean {key}?" in str(caught.value)
