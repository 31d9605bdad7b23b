"""v1's ``inferenceconfig.json`` and ``deploymentconfig.json``."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import SpecError
from penstock.spec import deployment_configs, inference_configs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "score.py").write_text("def init(): ...\ndef run(data): ...\n")
    (tmp_path / "source" / "conda.yml").write_text("dependencies: [python=3.11]\n")
    return tmp_path


def written(folder: Path, data: object) -> str:
    path = folder / "config.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data, indent=1))
    return str(path)


FULL_AKS = {
    "computeType": "AKS",
    "containerResourceRequirements": {
        "cpu": 0.5,
        "cpuLimit": 1,
        "memoryInGB": 1,
        "memoryInGBLimit": 1.5,
        "gpu": 1,
    },
    "autoScaler": {
        "autoscaleEnabled": True,
        "minReplicas": 2,
        "maxReplicas": 5,
        "refreshPeriodInSeconds": 1,
        "targetUtilization": 70,
    },
    "dataCollection": {"storageEnabled": True},
    "authEnabled": True,
    "tokenAuthEnabled": False,
    "appInsightsEnabled": True,
    "scoringTimeoutMs": 3000,
    "maxConcurrentRequestsPerContainer": 2,
    "maxQueueWaitMs": 700,
    "keys": {"primaryKey": "first-key-1", "secondaryKey": "second-key"},
    "gpuCores": 1,
    "livenessProbeRequirements": {
        "periodSeconds": 1,
        "initialDelaySeconds": 2,
        "timeoutSeconds": 3,
        "successThreshold": 1,
        "failureThreshold": 4,
    },
    "namespace": "ml",
}


def test_aks_in_full(folder):
    draft = deployment_configs.read(written(folder, FULL_AKS))
    assert draft.settings == {
        "workers": 2,
        "request_timeout_ms": 3000,
        "max_queue_wait_ms": 700,
        "max_queue": 2 * 2 * 2 - 2,
        "start_timeout_s": 120,
    }
    assert draft.serving == {"keys": ("first-key-1", "second-key")}
    (note,) = draft.notes
    for key in (
        "namespace",
        "gpuCores",
        "autoScaler.maxReplicas",
        "containerResourceRequirements.memoryInGBLimit",
    ):
        assert note.count(key) == 1


def test_defaults_of_the_three_kinds(folder):
    aks = deployment_configs.read(written(folder, {"computeType": "aks"}))
    assert aks.settings == {"workers": 1, "request_timeout_ms": 60_000, "max_queue_wait_ms": 500}
    assert "authEnabled, but no keys" in aks.notes[0]
    aci = deployment_configs.read(
        written(folder, {"computeType": "ACI", "containerResourceRequirements": {"memoryInGB": 0.5}})
    )
    assert (aci.settings, aci.serving) == ({}, {})
    assert "containerResourceRequirements.memoryInGB" in aci.notes[0]
    assert deployment_configs.read(written(folder, {"computeType": "Local", "port": 32267})).serving == {
        "port": 32267
    }


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("{}", 1, "must be local, aci or aks, it is missing"),
        ('{"computeType": "acs"}', 1, "found 'acs'"),
        ('{"computeType": "local",\n"prot": 1}', 2, "did you mean port?"),
        ('{"computeType": "local",\n"port": 70000}', 2, "at most 65535"),
        ('{"computeType": "aks",\n"autoScaler": {"minReplicas": 3, "maxReplicas": 2}}', 2, "minReplicas 3"),
        ('{"computeType": "aks",\n"authEnabled": true,\n"tokenAuthEnabled": true}', 3, "exclude"),
        ('{"computeType": "aks",\n"keys": {"secondaryKey": "x"}}', 2, "without primaryKey"),
        ('{"computeType": "aks",\n"computeType": "aci"}', 2, "stood on line 1"),
        ('{"entryScript": "score.py"}', 1, "this is an inference configuration"),
        ("", 0, "empty"),
        ("[]", 1, "a list"),
        ("{'a': 1}", 1, "not JSON"),
    ],
)
def test_what_is_wrong_in_a_deployment_config(folder, text, line, words):
    with pytest.raises(SpecError) as caught:
        deployment_configs.read(written(folder, text))
    assert words in str(caught.value)
    assert caught.value.line == line


def config(**environment: object) -> dict[str, object]:
    return {"entryScript": "score.py", "sourceDirectory": "source", "environment": environment}


@pytest.mark.parametrize(
    ("environment", "kind", "value"),
    [
        ({"python": {"condaDependenciesFile": "conda.yml"}}, "conda", "source/conda.yml"),
        ({"python": {"condaDependenciesFile": "source/conda.yml"}}, "conda", "source/conda.yml"),
        ({"python": {"condaDependencies": {"dependencies": ["python=3.11", {"pip": ["x"]}]}}}, "inline", ""),
        ({"docker": {"baseImage": "mcr.microsoft.com/a:1"}}, "reference", "mcr.microsoft.com/a:1"),
        ({"name": "AzureML-Tutorial", "version": 7}, "reference", "azureml:AzureML-Tutorial:7"),
        (
            {
                "docker": {"baseImage": "i"},
                "python": {"userManagedDependencies": True, "condaDependencies": {}},
            },
            "reference",
            "i",
        ),
    ],
)
def test_environments(folder, environment, kind, value):
    choice = inference_configs.read(written(folder, config(**environment))).environment
    assert choice.kind == kind
    assert choice.value in {value, str(folder / value)}


def test_an_inference_config_in_full(folder):
    docker = {
        "arguments": [],
        "baseDockerfile": None,
        "baseImage": "i",
        "enabled": False,
        "sharedVolumes": True,
    }
    docker |= {"shmSize": "2g", "baseImageRegistry": {"address": None}}
    python = {"userManagedDependencies": False, "interpreterPath": "python", "baseCondaEnvironment": None}
    python |= {"condaDependenciesFile": "conda.yml", "condaDependencies": None}
    data = config(
        name="e",
        version="1",
        environmentVariables={"A": "b", "N": 1},
        docker=docker,
        python=python,
        inferencingStackVersion="latest",
        spark={"packages": []},
    )
    draft = inference_configs.read(written(folder, data))
    assert (draft.code.directory, draft.code.script) == (str(folder / "source"), "score.py")
    assert draft.variables == {"A": "b", "N": "1"}
    assert draft.environment.kind == "conda"
    (note,) = draft.notes
    assert "environment.docker.shmSize" in note
    assert "arguments" not in note


def test_nothing_about_packages_is_said(folder):
    draft = inference_configs.read(written(folder, {"entryScript": "score.py", "sourceDirectory": "source"}))
    assert draft.environment is None
    assert "current interpreter" in draft.notes[0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"sourceDirectory": "source"}, "entryScript: is missing"),
        ({"entryScript": "scores.py", "sourceDirectory": "source"}, "no file"),
        ({"entryScript": "score.py", "sourceDirectory": "src"}, "no folder"),
        ({"entryScript": "../x.py", "sourceDirectory": "source"}, "outside"),
        ({"entryscript": "score.py"}, "did you mean entryScript?"),
        (config(pyhton={}), "did you mean python?"),
        (config(docker={"baseDockerfile": "FROM x"}), "Dockerfile is not run"),
        (config(python={"condaDependenciesFile": "c.yml"}), "no file"),
        ({"computeType": "local"}, "this is a deployment configuration"),
    ],
)
def test_what_is_wrong_in_an_inference_config(folder, data, words):
    with pytest.raises(SpecError) as caught:
        inference_configs.read(written(folder, data))
    assert words in str(caught.value)
    assert caught.value.line


def places(data: object, path: tuple = ()):
    if isinstance(data, dict):
        for key, value in data.items():
            yield (*path, key)
            yield from places(value, (*path, key))


@settings(max_examples=60, deadline=None)
@given(
    where=st.sampled_from(list(places(FULL_AKS))),
    value=st.sampled_from([None, True, "", "x", -1, 1.5, [], {}, [1], {"a": 1}, 10**30]),
)
def test_any_value_anywhere_is_taken_or_placed(where, value, tmp_path_factory):
    data = json.loads(json.dumps(FULL_AKS))
    parent = data
    for part in where[:-1]:
        parent = parent[part]
    parent[where[-1]] = value
    with contextlib.suppress(SpecError):
        deployment_configs.read(written(tmp_path_factory.getbasetemp(), data))
