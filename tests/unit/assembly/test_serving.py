"""From what somebody typed to a plan: what is served, where, and who wins when sources disagree."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from penstock import errors
from penstock.assembly import environments, serving, things
from penstock.bundle.launch import Launch
from penstock.spec.drafts import Draft, EnvironmentChoice, layered

CONDA = "dependencies: [python=3.11, pip, {pip: [scikit-learn==1.5.2]}]\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path):
    """A working directory with a model, a script, an MLflow model and a deployment."""
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"a": 1}))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "other.pkl").write_bytes(pickle.dumps([1]))
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "score.py").write_text("def init(): ...\ndef run(data): ...\n")
    (tmp_path / "conda.yml").write_text(CONDA)
    (tmp_path / "requirements.txt").write_text("numpy\n")
    (tmp_path / "blue.yml").write_text(
        "name: blue\nendpoint_name: credit\nmodel: {path: models/other.pkl, version: 3}\n"
        "code_configuration: {code: src, scoring_script: score.py}\n"
        "environment: {image: x, conda_file: conda.yml}\ninstance_count: 3\n"
    )
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def plan(said: Draft = Draft(), ambient: Draft = Draft(), **sources: str) -> serving.Plan:  # noqa: B008
    return serving.resolve(things.Sources(**sources), said, lambda folder: ambient)


def test_a_bare_model(here):
    made = plan(thing="model.pkl")
    manifest = made.launch.manifest
    assert manifest.model.path == str(here / "model.pkl")
    assert (manifest.name, manifest.model.name, manifest.model.directory) == ("model", "model", str(here))
    assert manifest.model.format == made.format == "python"
    assert manifest.code is None
    assert made.environment.kind == "current"
    assert Launch.from_json(made.launch.to_json()) == made.launch


def test_a_script_lies_in_its_own_folder_or_in_code(here):
    assert plan(script="src/score.py").launch.manifest.code.directory == str(here / "src")
    code = plan(code="src", script="score.py", thing="model.pkl").launch.manifest.code
    assert (code.directory, code.script) == (str(here / "src"), "score.py")
    code = plan(code=".", script="src/score.py").launch.manifest.code
    assert (code.directory, code.script) == (str(here), "src/score.py")


def test_model_dir_is_the_folder_that_holds_the_model_or_what_is_said(here):
    assert plan(thing="models/other.pkl").launch.manifest.model.directory == str(here / "models")
    assert plan(thing="models").launch.manifest.model.directory == str(here)
    assert plan(thing="model.pkl", model_directory="src").launch.manifest.model.directory == str(here / "src")
    bare = plan(script="src/score.py", model_directory="models").launch.manifest
    assert (bare.model, bare.variables) == (None, {"AZUREML_MODEL_DIR": str(here / "models")})


def test_a_linked_model_keeps_its_place(here):
    (here / "src" / "link.pkl").symlink_to(here / "model.pkl")
    assert plan(thing="src/link.pkl").launch.manifest.model.directory == str(here / "src")


def test_a_deployment_file(here):
    made = plan(thing="blue.yml")
    manifest = made.launch.manifest
    assert (manifest.name, manifest.settings.workers, manifest.settings.request_timeout_ms) == (
        "blue",
        3,
        5000,
    )
    assert manifest.model.version == "3"
    assert (made.environment.kind, made.environment.said) == ("conda", "blue.yml:5")


def test_options_win_over_variables_and_those_over_files(here):
    ambient = Draft(settings={"workers": 5, "preload": "never"}, serving={"log_level": "debug"})
    said = Draft(settings={"workers": 7}, serving={"port": 0, "reload": True})
    made = plan(said, ambient, thing="blue.yml", model="model.pkl", environment="current")
    manifest = made.launch.manifest
    assert (manifest.settings.workers, manifest.settings.preload) == (7, "never")
    assert (made.launch.log_level, made.launch.port) == ("debug", 0)
    assert manifest.model.path == str(here / "model.pkl")
    assert made.launch.reload_paths == (str(here / "src"), str(here / "model.pkl"))
    assert made.environment.kind == "current"
    assert plan(thing="blue.yml", script="src/score.py").launch.manifest.code.script == "score.py"


def test_the_folder_of_the_code_is_where_variables_may_lie(here):
    asked = []
    serving.resolve(things.Sources(thing="blue.yml"), Draft(), lambda folder: asked.append(folder) or Draft())
    serving.resolve(
        things.Sources(thing="model.pkl"), Draft(), lambda folder: asked.append(folder) or Draft()
    )
    assert asked == [str(here / "src"), ""]


def mlflow_model(folder: Path, **files: str) -> str:
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors:\n  sklearn:\n    pickled_model: model.pkl\n")
    (folder / "model.pkl").write_bytes(pickle.dumps([1]))
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return str(folder)


def test_an_mlflow_model_brings_its_environment(here):
    made = plan(thing=mlflow_model(here / "m", conda_yaml=CONDA))
    assert (made.environment.kind, made.environment.value, made.format) == (
        "mlflow",
        str(here / "m"),
        "mlflow",
    )
    assert plan(thing=str(here / "m" / "MLmodel")).launch.manifest.model.path == str(here / "m")
    assert plan(thing=str(here / "m"), environment="current").environment.kind == "current"
    assert plan(thing=mlflow_model(here / "bare")).environment.kind == "current"


def test_an_mlflow_model_of_this_interpreter_is_served_by_it(here):
    made = plan(thing=mlflow_model(here / "m", requirements_txt="pytest\nmlflow==0.1\n"))
    launch = serving.furnish(made, strict=False, say=lambda line: None)
    assert launch.python
    assert "current interpreter meets" in launch.notes[-1]


def test_environments_by_name_and_file(here):
    assert environments.environment_of("conda.yml").kind == "conda"
    assert environments.environment_of("requirements.txt").value == str(here / "requirements.txt")
    assert environments.environment_of("sklearn-1.5").kind == "reference"
    (here / "env.yml").write_text("name: e\nimage: x\nconda_file: conda.yml\n")
    assert environments.environment_of("env.yml").value == str(here / "conda.yml")
    with pytest.raises(errors.UsageError, match="neither a conda file"):
        environments.environment_of("model.pkl")
    with pytest.raises(errors.UsageError, match=r"no file condo\.yml"):
        environments.environment_of("condo.yml")
    with pytest.raises(errors.SpecError, match="this is a deployment"):
        environments.environment_of("blue.yml")


def test_an_unknown_reference_names_the_place_that_said_it():
    choice = EnvironmentChoice(kind="reference", value="azureml:nobody-has-this:1", said="blue.yml:5")
    with pytest.raises(errors.SpecError, match=r"blue\.yml:5: "):
        environments.read_requirements(choice)


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ({}, "nothing to serve"),
        ({"thing": "model.pkl", "model": "models/other.pkl"}, "two models"),
        ({"thing": "inferenceconfig.json"}, "v1 inference configuration"),
        ({"thing": "src/score.py"}, "is a script, not a model"),
        ({"thing": "model.pkl", "code": "src"}, "not which script"),
        ({"thing": "model.pkl", "script": "scor.py"}, "no scoring script"),
        ({"thing": "model.pkl", "code": "srcs", "script": "score.py"}, "no code folder"),
        ({"thing": "model.pkl", "code": "src", "script": "../model.pkl"}, "outside"),
        ({"thing": "blue.yml", "inference_config": "x.json"}, "each describe the deployment"),
        ({"thing": "model.pkl", "model_directory": "nope"}, "--model-dir: no folder nope"),
        ({"thing": "model.pkl", "sample_input": "nope"}, "--sample-input: no file nope"),
    ],
)
def test_what_cannot_be_meant(sources, words):
    with pytest.raises(errors.UsageError) as caught:
        plan(**sources)
    assert words in str(caught.value)


def test_a_model_that_is_not_there_or_unknown():
    with pytest.raises(errors.ModelError):
        plan(thing="modl.pkl")
    with pytest.raises(errors.ModelError):
        plan(thing="modl.pkl", script="src/score.py")
    with pytest.raises(errors.ModelError):
        plan(thing="requirements.txt")


def test_layers():
    low = Draft(name="a", settings={"workers": 1, "max_queue": 2}, notes=("x",), sample_input="s")
    high = Draft(name="b", settings={"workers": 3}, notes=("y",))
    both = layered(low, high)
    assert (both.name, both.settings, both.notes) == ("b", {"workers": 3, "max_queue": 2}, ("x", "y"))
    assert both.sample_input == "s"
