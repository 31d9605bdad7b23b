"""Azure ML's online deployment files: every key accepted, every slip reported, every meaning kept."""

from __future__ import annotations

import contextlib
import re
import shutil
import typing
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import SpecError
from penstock.spec import deployment_schema, deployments, documents, validation

DATA = Path(__file__).parents[2] / "data" / "deployments"
FULL = ("full-managed.yml", "full-kubernetes.yml")

HEAD = "name: blue\nendpoint_name: credit-risk\n"
SCRIPT = "code_configuration: {code: code, scoring_script: score.py}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``code/``, ``model/`` and ``environment/``."""
    return Path(shutil.copytree(DATA, tmp_path_factory.mktemp("deployments"), dirs_exist_ok=True))


@pytest.fixture
def read(folder: Path):
    """Reads deployment YAML that lies in `folder`."""

    def reading(text: str, **given: bool):
        (folder / "d.yml").write_text(text, encoding="utf-8")
        return deployments.read(str(folder / "d.yml"), **given)

    return reading


def error_of(read, text: str, **given: bool) -> SpecError:
    with pytest.raises(SpecError) as caught:
        read(text, **given)
    return caught.value


def key_paths(data: object, path: documents.KeyPath = ()):
    """Every key path of a file, except those of free mappings."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield (*path, key)
            yield from key_paths(value, (*path, key))


def sections_of(kind: type[validation.Section]) -> set[type[validation.Section]]:
    found = {kind}
    for field in kind.model_fields.values():
        stack = [field.annotation]
        while stack:
            annotation = stack.pop()
            if isinstance(annotation, type) and issubclass(annotation, validation.Section):
                found |= sections_of(annotation)
            stack += typing.get_args(annotation)
    return found


def known_paths(file: str) -> list[documents.KeyPath]:
    """The key paths of `file` that the schema knows, each to be misspelt in turn."""
    document = documents.read_yaml(str(DATA / file))
    kind = deployment_schema.ManagedOnlineDeployment
    if "kubernetes" in file:
        kind = deployment_schema.KubernetesOnlineDeployment
    known = []
    for path in key_paths(document.data):
        _, models = validation._nearest(kind, path)
        if any(path[-1] in validation.keys_of(model) for model in models) and not _is_free(path):
            known.append(path)
    return known


def _is_free(path: documents.KeyPath) -> bool:
    free = {"tags", "properties", "environment_variables", "flavors", "creation_context", "collections"}
    free |= {"system_metadata", "intellectual_property", "auto_delete_setting", "default_deployment_template"}
    return any(part in free for part in path[:-1]) and path[:2] != ("data_collector", "collections")


KNOWN = [(file, path) for file in FULL for path in known_paths(file) if path[-1] != "$schema"]


@pytest.mark.parametrize("file", FULL)
def test_every_key_is_accepted(file):
    draft = deployments.read(str(DATA / file))
    assert draft.code.script == "score.py"


def test_the_full_files_hold_every_key_of_the_schema():
    held = {
        key for file in FULL for path in key_paths(yaml.safe_load((DATA / file).read_text())) for key in path
    }
    for kind in (deployment_schema.ManagedOnlineDeployment, deployment_schema.KubernetesOnlineDeployment):
        for section in sections_of(kind):
            assert set(validation.keys_of(section)) <= held, section


@settings(max_examples=40, deadline=None)
@given(
    where=st.sampled_from(KNOWN), at=st.integers(min_value=0), how=st.sampled_from(["drop", "double", "swap"])
)
def test_a_misspelt_key_is_reported_with_line_and_suggestion(where, at, how):
    file, path = where
    key = str(path[-1])
    at = at % (len(key) - 1)
    wrong = {
        "drop": key[:at] + key[at + 1 :],
        "double": key[: at + 1] + key[at:],
        "swap": key[:at] + key[at + 1] + key[at] + key[at + 2 :],
    }[how]
    document = documents.read_yaml(str(DATA / file))
    parent = document.data
    for part in path[:-1]:
        parent = parent[part]
    if wrong in parent or not wrong or key == "type" or path[-2:-1] == ("build",) or wrong == key:
        return
    line = document.line_of(path)
    parent[wrong] = parent.pop(key)
    lines = {(*p[: len(path) - 1], wrong) if p == path else p: n for p, n in document.lines.items()}
    kind = deployment_schema.ManagedOnlineDeployment
    if "kubernetes" in file:
        kind = deployment_schema.KubernetesOnlineDeployment
    misspelt = documents.Document(
        file=file, folder=document.folder, data=document.data, lines=lines, texts=document.texts
    )
    with pytest.raises(SpecError) as caught:
        validation.validated(misspelt, kind)
    said = [text for text in str(caught.value).splitlines() if f"{wrong}: unknown key" in text]
    assert len(said) == 1
    assert f"{file}:{line}: " in said[0] or caught.value.line == line
    nearest = re.search(r"did you mean (\S+)\?", said[0])
    known = len(key) < 5 or (nearest is not None and nearest[1] == key)
    assert known or "older" in said[0], said[0]


def test_all_problems_are_reported_at_once(read):
    text = (
        HEAD
        + "instance_cuont: 2\nmodel:\n  pth: x\n  type: mlflow\nrequest_settings: {request_timeout_ms: soon}\n"
    )
    error = error_of(read, text)
    assert (error.line, error.key) == (3, "instance_cuont")
    told = str(error).splitlines()
    assert len(told) == 4
    assert "did you mean instance_count?" in told[0]
    assert "d.yml:5: model.pth: unknown key; did you mean path?" in told[1]
    assert "d.yml:6: model.type: must be one of custom_model, mlflow_model" in told[2]
    assert "d.yml:7: request_settings.request_timeout_ms: must be a whole number, found 'soon'" in told[3]


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("name: b\n" + SCRIPT, 1, "name", "3 to 32 characters"),
        ("name: 1blue\n" + SCRIPT, 1, "name", "start with a letter"),
        ("name: blue--x\n" + SCRIPT, 1, "name", "single dashes"),
        ("name: on\n" + SCRIPT, 1, "name", "found on, which YAML reads as true; put it in quotes"),
        ("name: 123\n" + SCRIPT, 1, "name", "must be text, found 123; put it in quotes"),
        (HEAD + SCRIPT + "instance_count: 0\n", 4, "instance_count", "at least 1, found 0"),
        (HEAD + SCRIPT + "instance_count: true\n", 4, "instance_count", "must be a whole number"),
        (HEAD + SCRIPT + "instance_count: 1.5\n", 4, "instance_count", "must be a whole number, found 1.5"),
        (HEAD + SCRIPT + "instance_count: null\ntype: manged\n", 5, "type", "did you mean managed?"),
        (
            HEAD + SCRIPT + "request_settings: {request_timeout_ms: 180001}\n",
            4,
            "request_settings.request_timeout_ms",
            "at most 180000",
        ),
        (
            HEAD + SCRIPT + "type: kubernetes\nrequest_settings:\n  request_timeout_ms: 300001\n",
            6,
            "request_settings.request_timeout_ms",
            "at most 300000",
        ),
        (HEAD + SCRIPT + "liveness_probe: {period: 0}\n", 4, "liveness_probe.period", "at least 1"),
        (
            HEAD + SCRIPT + "liveness_probe: {success_threshold: 2}\n",
            4,
            "liveness_probe.success_threshold",
            "at most 1",
        ),
        (
            HEAD + SCRIPT + "scale_settings: {type: target_utilization}\n",
            4,
            "scale_settings.type",
            "default for a managed",
        ),
        (
            HEAD + SCRIPT + "data_collector: {sampling_rate: 2}\n",
            4,
            "data_collector.sampling_rate",
            "at most 1",
        ),
        (
            HEAD + SCRIPT + "data_collector: {rolling_rate: weekly}\n",
            4,
            "data_collector.rolling_rate",
            "one of minute, hour",
        ),
        (
            HEAD + SCRIPT + "environment_variables: {A: }\n",
            4,
            "environment_variables.A",
            "must be text, found nothing",
        ),
        (HEAD + SCRIPT + "environment_variables: {A: [1]}\n", 4, "environment_variables.A", "found a list"),
        (HEAD + SCRIPT + "environment_variables: {A=B: 1}\n", 4, "environment_variables.A=B", "name"),
        (
            HEAD + SCRIPT + "environment_variables: {WORKER_COUNT: many}\n",
            4,
            "environment_variables.WORKER_COUNT",
            "number of workers",
        ),
        (HEAD + SCRIPT + "resources: {limits: {memory: 1Gi}}\n", 4, "resources", "only kubernetes"),
        (
            HEAD + SCRIPT + "type: kubernetes\nresources: {limits: {memory: lots}}\n",
            5,
            "resources.limits.memory",
            "500Mi",
        ),
        (
            HEAD
            + SCRIPT
            + "type: kubernetes\nscale_settings: {type: target_utilization, min_instances: 3, max_instances: 2}\n",
            5,
            "scale_settings",
            "less than 3 instances",
        ),
        (
            HEAD + "code_configuration: {code: cod, scoring_script: score.py}\n",
            3,
            "code_configuration.code",
            "no folder",
        ),
        (
            HEAD + "code_configuration: {code: code, scoring_script: scores.py}\n",
            3,
            "code_configuration.scoring_script",
            "no file",
        ),
        (
            HEAD + "code_configuration: {code: code, scoring_script: ../x.py}\n",
            3,
            "code_configuration.scoring_script",
            "outside",
        ),
        (
            HEAD + "code_configuration: {code: code, scoring_script: plumber.R}\n",
            3,
            "code_configuration.scoring_script",
            "must be a Python file",
        ),
        (HEAD + "code_configuration: {code: code}\n", 3, "code_configuration.scoring_script", "is missing"),
        (
            HEAD + "code_configuration: {code: {local_path: code}, scoring_script: score.py}\n",
            3,
            "code_configuration.code",
            "found a mapping",
        ),
        (HEAD + "model: azureml:credit:3\n", 3, "model", "registered model"),
        (HEAD + "model: ./model\n", 3, "model", "must be a mapping with path"),
        (HEAD + "model: {name: credit, version: 3}\n", 3, "model.path", "no registry"),
        (HEAD + "model: {path: azureml://jobs/x/outputs/y}\n", 3, "model.path", "cannot be fetched"),
        (HEAD + "model: {local_path: model}\n", 3, "model.local_path", "since CLI v2 it is called path"),
        (HEAD + "model: {path: modle}\n", 3, "model.path", "no file or folder"),
        (HEAD + "model: {path: model, type: triton_model}\n", 3, "model.type", "not served yet"),
        (HEAD + "model: {path: model, type: mlflow_model}\n", 3, "model.path", "no file MLmodel"),
        (HEAD + SCRIPT + "environment: my-env\n", 4, "environment", "azureml:NAME:VERSION"),
        (HEAD + SCRIPT + "environment: {name: e, version: 1}\n", 4, "environment", "needs an image"),
        (
            HEAD + SCRIPT + "environment: {image: x, build: {path: .}}\n",
            4,
            "environment",
            "exclude each other",
        ),
        (
            HEAD + SCRIPT + "environment: {build: {path: code}}\n",
            4,
            "environment.build",
            "Dockerfile is not run",
        ),
        (
            HEAD + SCRIPT + "environment: {image: x, conda_file: nope.yml}\n",
            4,
            "environment.conda_file",
            "no file",
        ),
        (HEAD + SCRIPT + "environment: {docker: {image: x}}\n", 4, "environment.docker", "since CLI v2"),
        (
            HEAD
            + "model: {path: model}\nenvironment: {inference_config: {scoring_route: {path: /, port: 1}}}\n",
            4,
            "environment.inference_config",
            "its own server",
        ),
        (HEAD + "environment: azureml:packaged@latest\n", 0, "", "nothing to serve"),
        (HEAD + SCRIPT + "auth_mode: key\n", 4, "auth_mode", "in the endpoint's own YAML"),
        (
            HEAD + "model: {path: model, model_format: mlflow}\n",
            3,
            "model.model_format",
            "type: mlflow_model",
        ),
        (
            HEAD + "code_configuration: {code: {local_path: code}, scoring_script: score.py}\n",
            3,
            "code_configuration.code",
            "the path itself stands here",
        ),
        ("name: $NAME\n" + SCRIPT, 1, "name", "$NAME is a placeholder"),
        (HEAD + "model:\n  path: ./{{ folder }}/model\n", 4, "model.path", "{{ folder }} is a placeholder"),
        (
            HEAD + "code_configuration: {code: <CODE>, scoring_script: score.py}\n",
            3,
            "code_configuration.code",
            "<CODE> is a placeholder",
        ),
        (
            HEAD + "code_configuration: {code: code, scoring_script: <SCRIPT>}\n",
            3,
            "code_configuration.scoring_script",
            "<SCRIPT> is a placeholder",
        ),
        (
            HEAD + SCRIPT + "environment: {image: x, conda_file: <% DIR %>/conda.yml}\n",
            4,
            "environment.conda_file",
            "<% DIR %> is a placeholder",
        ),
    ],
)
def test_what_cannot_be_meant_is_placed(read, text, line, key, words):
    error = error_of(read, text)
    assert words in f"{error} {error.hint}"
    assert error.key == key
    if line:
        assert error.line == line


def test_a_managed_deployment_in_full():
    draft = deployments.read(str(DATA / "full-managed.yml"))
    assert draft.name == "blue"
    assert (draft.model.path, draft.model.directory) == (str(DATA / "model/model.bin"), str(DATA / "model"))
    assert (draft.model.name, draft.model.version) == ("credit-model", "3")
    assert (draft.environment.kind, draft.environment.value) == ("conda", str(DATA / "environment/conda.yml"))
    assert draft.variables == {"TEXT": "plain", "NUMBER": "7", "FRACTION": "0.5", "SWITCH": "True"}
    assert draft.settings == {
        "workers": 2,
        "request_timeout_ms": 9000,
        "max_queue": 2 * 4 * 2 - 2,
        "start_timeout_s": 20 + 60 * 5,
    }
    (effects,) = [note for note in draft.notes if "without effect" in note]
    for key in ("instance_type", "app_insights_enabled", "egress_public_network_access"):
        assert effects.count(key) == 1
    (collector,) = [note for note in draft.notes if "data_collector" in note]
    assert "PENSTOCK_COLLECTION_DIR" in collector
    assert "tags" not in effects


def test_a_kubernetes_deployment_in_full():
    draft = deployments.read(str(DATA / "full-kubernetes.yml"))
    assert draft.settings == {
        "workers": 3,
        "request_timeout_ms": 250_000,
        "max_queue_wait_ms": 3000,
    }
    assert draft.model.directory == str(DATA)
    assert draft.environment.value == str(DATA / "environment/conda.yml")
    assert any("Dockerfile is not run" in note for note in draft.notes)


def test_defaults_are_those_of_azure_ml(read):
    assert read(HEAD + SCRIPT).settings == {"workers": 1, "request_timeout_ms": 5000}
    kubernetes = read(HEAD + SCRIPT + "type: kubernetes\n").settings
    assert kubernetes == {"workers": 1, "request_timeout_ms": 5000, "max_queue_wait_ms": 500}


def test_worker_count_multiplies_instances(read):
    assert (
        read(HEAD + SCRIPT + "instance_count: 2\nenvironment_variables: {WORKER_COUNT: 4}\n").settings[
            "workers"
        ]
        == 8
    )


def test_a_memory_limit_is_said_not_to_be_enforced(read):
    """Fresh workers of ordinary models exceed the 200Mi of Azure ML's own example."""
    draft = read(HEAD + SCRIPT + "type: kubernetes\nresources: {limits: {memory: 200Mi}}\n")
    assert "memory_limit_mb" not in draft.settings
    assert any("200Mi is not enforced" in note for note in draft.notes)


def test_a_page_of_the_reference_misspells_scale_settings(read):
    draft = read(
        HEAD + SCRIPT + "type: kubernetes\nscale_setting: {type: target_utilization, min_instances: 2}\n"
    )
    assert draft.settings["workers"] == 2
    assert any("d.yml:5: scale_setting is read as scale_settings" in note for note in draft.notes)
    error = error_of(
        read, HEAD + SCRIPT + "type: kubernetes\nscale_setting:\n  min_instance: 2\n  type: default\n"
    )
    assert (error.line, error.key) == (6, "scale_settings.min_instance")


def test_what_the_command_line_replaces_need_not_be_there(read):
    text = HEAD + "model: azureml:credit@latest\nenvironment: nonsense\n" + SCRIPT
    draft = read(text, model_given=True, environment_given=True)
    assert draft.model is None
    assert draft.environment is None


@pytest.mark.parametrize(
    ("environment", "kind", "value"),
    [
        (
            "azureml:AzureML-sklearn-1.0-ubuntu20.04-py38-cpu@latest",
            "reference",
            "azureml:AzureML-sklearn-1.0-ubuntu20.04-py38-cpu@latest",
        ),
        (
            "azureml://registries/azureml/environments/sklearn-1.5/labels/latest",
            "reference",
            "azureml://registries/azureml/environments/sklearn-1.5/labels/latest",
        ),
        (
            "{image: 'mcr.microsoft.com/azureml/sklearn:1'}",
            "reference",
            "mcr.microsoft.com/azureml/sklearn:1",
        ),
        ("{image: x, conda_file: 'file:environment/conda.yml'}", "conda", "environment/conda.yml"),
        ("{image: x, conda_file: {dependencies: [python=3.11, pip, {pip: [scikit-learn]}]}}", "inline", ""),
        ("{build: {path: environment}}", "conda", "environment/conda.yml"),
    ],
)
def test_environments(read, folder, environment, kind, value):
    choice = read(f"{HEAD}{SCRIPT}environment: {environment}\n").environment
    assert choice.kind == kind
    assert choice.value in {value, str(folder / value)}
    assert choice.said.endswith("d.yml:4")
    if kind == "inline":
        assert (choice.requirements.python, choice.requirements.packages) == ("3.11", ("scikit-learn",))


def test_name_and_endpoint_may_be_left_to_the_command_line(read):
    draft = read(SCRIPT)
    assert draft.name == "d"
    assert any("has no name" in note for note in draft.notes)
    draft = read("name: blue\nendpoint_name: <your_endpoint>\n" + SCRIPT)
    assert any("d.yml:2: endpoint_name '<your_endpoint>' is a placeholder" in note for note in draft.notes)
    draft = read("name: blue\nendpoint_name: e\n" + SCRIPT)
    assert any("would refuse the endpoint_name" in note for note in draft.notes)


@pytest.mark.parametrize(
    ("text", "noun"),
    [
        ("$schema: x/managedOnlineEndpoint.schema.json\nname: e\nauth_mode: key\n", "an online endpoint"),
        ("name: e\ntraffic: {blue: 100}\n", "an online endpoint"),
        (
            "$schema: x/modelBatchDeployment.schema.json\nname: b\nendpoint_name: e\nmodel: m\n",
            "a batch deployment",
        ),
        ("name: b\nendpoint_name: e\nmodel: azureml:m:1\nmini_batch_size: 10\n", "a batch deployment"),
        ("type: pipeline\njobs: {a: {}}\n", "a pipeline job"),
        ("command: python x.py\nenvironment: azureml:e:1\n", "a job"),
        ("$schema: x/model.schema.json\nname: m\npath: model\n", "a model"),
        ("name: m\npath: model\ntype: mlflow_model\n", "a model"),
        ("name: e\nimage: x\nconda_file: c.yml\n", "an environment"),
        ("channels: [x]\ndependencies: [python]\n", "a conda environment"),
        ("name: s\ntrigger: {type: cron}\ncreate_job: {}\n", "a schedule"),
        ("apiVersion: v1\nkind: Pod\n", "a Kubernetes manifest"),
        ("flavors: {python_function: {}}\nmodel_uuid: x\n", "an MLflow MLmodel file"),
    ],
)
def test_another_kind_of_file_is_named(read, text, noun):
    error = error_of(read, text)
    assert f"this is {noun}, not an online deployment" in str(error)
    assert error.hint


def test_the_type_wins_over_the_schema(read):
    schema = "$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json\n"
    draft = read(schema + HEAD + SCRIPT + "type: kubernetes\nresources: {limits: {cpu: 1}}\n")
    assert draft.settings["max_queue_wait_ms"] == 500


def test_something_else_altogether(read):
    assert "neither endpoint_name nor model" in str(error_of(read, "hello: world\n"))


@settings(max_examples=60, deadline=None)
@given(
    file=st.sampled_from(FULL),
    at=st.integers(0, 200),
    value=st.sampled_from(
        ["[]", "{}", "null", "~", "yes", "1.5", "''", "{a: 1}", "[x]", "-3", "9" * 400, ".inf"]
    ),
)
def test_any_value_anywhere_is_taken_or_placed(file, at, value, folder):
    """Never anything but a Draft or a SpecError."""
    lines = (DATA / file).read_text(encoding="utf-8").splitlines()
    at = at % len(lines)
    key, colon, _ = lines[at].partition(":")
    lines[at] = f"{key}{colon} {value}"
    (folder / "any.yml").write_text("\n".join(lines), encoding="utf-8")
    with contextlib.suppress(SpecError):
        deployments.read(str(folder / "any.yml"))
