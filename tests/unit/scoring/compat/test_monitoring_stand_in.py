"""The collector: one event a line, where Azure ML puts them."""

from __future__ import annotations

import json

import pytest

from penstock.kit import context
from penstock.scoring.compat import model, model_data_collector, monitoring
from penstock.scoring.compat.monitoring_context import BasicCorrelationContext

pd = pytest.importorskip("pandas")


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PENSTOCK_COLLECTION_DIR", str(tmp_path))
    monitoring._names.clear()


def events(tmp_path):
    return [
        json.loads(line)
        for path in sorted(tmp_path.rglob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]


def test_inputs_and_outputs_of_one_request_are_tied_together(tmp_path):
    inputs, outputs = monitoring.Collector(name="model_inputs"), monitoring.Collector(name="model_outputs")
    frame = pd.DataFrame({"a": [1, 2], "d": pd.to_datetime(["2020-01-01", None])})
    context.request_id = "request-7"
    try:
        tie = inputs.collect(frame)
        outputs.collect(frame[["a"]], tie)
    finally:
        context.request_id = ""
    first, second = events(tmp_path)
    assert first["correlationid"] == second["correlationid"] == first["xrequestid"] == "request-7"
    assert (first["type"], first["specversion"]) == ("azureml.inference.model_inputs", "1.0")
    assert second["data"] == [{"a": 1}, {"a": 2}]
    assert first["data"][1]["d"] is None
    path = next(tmp_path.rglob("*.jsonl")).relative_to(tmp_path)
    assert path.parts[:4] == ("modelDataCollector", "local", "local", "model_inputs")
    assert len(path.parts) == 9


def test_errors_are_raised_or_handed_over():
    with pytest.raises(TypeError, match="DataFrame"):
        monitoring.Collector(name="a").collect([1])
    seen = []
    tie = monitoring.Collector(name="b", on_error=seen.append).collect([1], BasicCorrelationContext(id="x"))
    assert tie.get_id() == "x"
    assert isinstance(seen[0], TypeError)
    with pytest.raises(ValueError, match="letters"):
        monitoring.Collector(name="../up")


def test_five_collectors_are_the_most():
    for number in range(5):
        monitoring.Collector(name=f"c{number}")
    monitoring.Collector(name="c0")
    with pytest.raises(ValueError, match="at most 5"):
        monitoring.Collector(name="c5")


def test_without_a_folder_it_says_so_and_scoring_goes_on(tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("PENSTOCK_COLLECTION_DIR")
    monitoring.Collector(name="quiet").collect(pd.DataFrame({"a": [1]}))
    assert "PENSTOCK_COLLECTION_DIR" in caplog.text
    assert events(tmp_path) == []


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["m/1/a.pkl", "m/2/b.pkl"], "m/2/b.pkl"),
        (["m/2/a.pkl", "m/10/b.pkl", "m/10/c.pkl"], "m/10"),
        (["m/a.pkl"], "m"),
        (["m.pkl", "other.pkl"], "m.pkl"),
        (["model.joblib"], "model.joblib"),
    ],
)
def test_registered_models_are_found_by_name(tmp_path, monkeypatch, files, found):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    assert model.Model.get_model_path("m") == str(tmp_path / found)


def test_a_model_that_is_not_there(tmp_path, monkeypatch):
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="there are a, b"):
        model.Model.get_model_path("m")
    with pytest.raises(NotImplementedError, match="azureml-core"):
        model.Model("ws", name="m")


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        ([1, 2], ["1,2"]),
        ([[1, 2], [3, 4]], ["1,2", "3,4"]),
        (pd.DataFrame({"a": [1], "b": ["x,y"]}), ['1,"x,y"']),
        (pd.DataFrame({"a": [1, 2], "b": [3, 4]}).to_numpy(), ["1,3", "2,4"]),
    ],
)
def test_the_older_collector_appends_rows(tmp_path, data, lines):
    collector = model_data_collector.ModelDataCollector("m", designation="inputs", feature_names=["a", "b"])
    collector.collect(data, "tie")
    collector.collect([7, 8])
    (path,) = tmp_path.rglob("data.csv")
    written = path.read_text().splitlines()
    assert written[0] == "$Timestamp,$RequestId,$CorrelationId,a,b"
    assert [line.split(",tie,")[1] for line in written[1:-1]] == lines
    assert written[-1].endswith(",7,8")
    assert path.relative_to(tmp_path).parts[4:8] == ("local", "m", "1", "inputs")
