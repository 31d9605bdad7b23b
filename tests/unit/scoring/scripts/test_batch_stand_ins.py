"""What batch scripts import from Azure's packages, where those are not installed."""

from __future__ import annotations

import logging
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_script_bench import untouched

from penstock.scoring.compat import entry_script, model
from penstock.scoring.scripts import stand_ins


@pytest.fixture(autouse=True)
def _process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with untouched():
        stand_ins.install()
        forget()
        yield
        forget()


def forget() -> None:
    """A new process has neither the one object nor its logger."""
    type(entry_script.EntryScript)._instances.clear()
    logger = logging.getLogger("azureml_user.parallel_run")
    for handler in list(logger.handlers):
        handler.close()
        logger.removeHandler(handler)


def test_names_of_one_thing():
    from azureml.core import Model, Run
    from azureml.core.model import Model as Model2
    from azureml.core.run import Run as Run2
    from azureml_user.parallel_run import EntryScript
    from entry_script import EntryScript as Older

    assert (Model, Run, EntryScript) == (Model2, Run2, Older)


# EntryScript


def test_one_object_and_its_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AZUREML_BI_OUTPUT_PATH", str(tmp_path / "a" / "score"))
    sys.argv[:] = [str(tmp_path / "code" / "driver.py")]
    first = entry_script.EntryScript()
    assert entry_script.EntryScript() is first
    assert pickle.loads(pickle.dumps(first)) is first
    assert Path(first.output_dir).is_dir()
    assert (first.working_dir, first.dir) == (str(tmp_path), str(tmp_path / "code"))
    assert Path(first.log_dir).parent == tmp_path / "logs" / "user" / "entry_script_log"
    monkeypatch.delenv("AZUREML_BI_OUTPUT_PATH")
    assert first.output_dir == str(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], ["info"]),
        (["--logging_level", "debug"], ["debug", "info"]),
        (["--logging_level=WARNING"], []),
        (["--logging_level", "nonsense"], ["info"]),
        (["--logging_level"], ["info"]),
    ],
)
def test_the_logger_has_the_deployments_level(arguments, said, capsys):
    sys.argv[:] = ["driver.py", *arguments]
    logging.root.addHandler(logging.StreamHandler())  # a script's own, which must not double what is logged
    logger = entry_script.EntryScript().logger
    logger.debug("debug")
    logger.info("info")
    assert entry_script.EntryScript().logger is logger
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition("|")[2] for line in lines] == said


def test_the_jobs_log_folder_is_the_scripts_too(tmp_path, monkeypatch):
    monkeypatch.setenv(entry_script.LOGS, str(tmp_path / "logs"))
    assert Path(entry_script.EntryScript().log_dir).parent == tmp_path / "logs"


# The run


def test_metrics_are_printed(capsys):
    from azureml.core import Run

    run = Run.get_context()
    run.log("a", 1)
    run.log("b", 2, step=3)
    run.log_list("c", [1, 2])
    run.log_row("d", x=1)
    run.log_table("e", {"x": [1]})
    run.log_image("f", path="f.png")
    run.log_confusion_matrix("g", {})
    run.log_accuracy_table("h", {})
    run.log_residuals("i", {})
    run.log_predictions("j", {})
    run.fail("why")
    assert capsys.readouterr().out.splitlines() == [
        "metric a: 1",
        "metric b: 2 (step 3)",
        "metric c: [1, 2]",
        "metric d: {'x': 1}",
        "metric e: {'x': [1]}",
        "metric f: f.png",
        "metric g: {}",
        "metric h: {}",
        "metric i: {}",
        "metric j: {}",
        "the script reports a failure: why",
    ]


def test_a_run_keeps_what_it_is_told_and_has_no_workspace():
    from azureml.core.run import Run, _OfflineRun, get_run

    run = Run.get_context(allow_offline=True)
    assert Run.get_context() is run
    assert isinstance(run, _OfflineRun)
    assert "_OfflineRun" in str(run)
    assert run.id.startswith("OfflineRun")
    with run.child_run("x") as child:
        child.tag("a", 1)
        child.set_tags({"b": 2})
        child.add_properties({"c": 3})
        child.upload_file("x", "y")
        child.upload_folder("x", "y")
        child.flush()
        child.complete()
    assert (child.tags, child.get_tags()) == ({"a": 1, "b": 2}, {"a": 1, "b": 2})
    assert (child.properties, child.get_properties()) == ({"c": 3}, {"c": 3})
    assert (child.get_metrics(), child.get_file_names(), child.get_status()) == ({}, [], "Running")
    assert not hasattr(run, "experiment")
    with pytest.raises(AttributeError, match="no workspace"):
        _ = run.experiment
    with pytest.raises(RuntimeError, match="no online run"):
        Run.get_context(allow_offline=False)
    with pytest.raises(NotImplementedError, match="add that package"):
        Run(None, "id")
    with pytest.raises(NotImplementedError, match="azureml-core"):
        get_run(None, "id")


def test_a_workspace_may_be_imported_and_not_used():
    from azureml.core import Dataset, Datastore, Experiment, Workspace
    from azureml.core.dataset import Dataset as Dataset2
    from azureml.core.workspace import Workspace as Workspace2

    assert (Dataset2, Workspace2) == (Dataset, Workspace)
    for use in (
        lambda: Workspace.from_config(),
        lambda: Dataset.Tabular.from_parquet_files("x"),
        lambda: Experiment(None, "x"),
        lambda: Datastore.get(None, "x"),
    ):
        with pytest.raises(NotImplementedError, match="add that package"):
            use()
    assert isinstance(Workspace, type)
    assert not hasattr(Workspace, "__wrapped__")


# Models


def test_whatever_a_script_calls_the_one_model(tmp_path, monkeypatch):
    for name in ("a.pkl", "b.txt"):
        (tmp_path / name).write_text("")
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no model 'mnist'"):
        model.Model.get_model_path("mnist")
    monkeypatch.setenv(model.ONLY_MODEL, str(tmp_path / "a.pkl"))
    assert model.Model.get_model_path("mnist") == str(tmp_path / "a.pkl")
    assert model.Model.get_model_path("b.txt") == str(tmp_path / "b.txt")
