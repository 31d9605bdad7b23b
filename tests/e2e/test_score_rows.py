"""Rows through ``penstock score``: what one call gets, what stands beside predictions, where a row is from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from support import batch_jobs

pytestmark = pytest.mark.slow

SIZES = "def init():\n    pass\n\n\ndef run(frame):\n    return [len(frame)] * len(frame)\n"
ECHO = "def init():\n    pass\n\n\ndef run(frame):\n    return frame[['id']].rename(columns={'id': 'seen'})\n"
SCRIPT = ("--script", "code/score.py", "--pass", "dataframe", "--workers", "1")


def calls(path: Path) -> list[int]:
    """The rows of each call, where every row says how many its call had."""
    found, rows = [], list(pd.read_csv(path)["prediction"])
    while rows:
        found.append(rows[0])
        assert rows[: rows[0]] == [rows[0]] * rows[0]
        rows = rows[rows[0] :]
    return found


def test_how_much_one_call_gets(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.script(tmp_path, SIZES)
    batch_jobs.parquet(tmp_path, [30, 0, 45, 10, 20], group=7)
    jobs.run(*SCRIPT, "-i", "data", "--output", "rows.csv", "--mini-batch-size", "20rows")
    assert calls(tmp_path / "rows.csv") == [20, 20, 20, 20, 20, 5]
    jobs.run(*SCRIPT, "-i", "data", "--output", "files.csv", "--mini-batch-size", "2")
    assert sum(calls(tmp_path / "files.csv")) == 105
    # One row group that is far larger than a call shall be.
    pq.write_table(batch_jobs.table(50_000), tmp_path / "one.parquet")
    jobs.run(*SCRIPT, "-i", "one.parquet", "--output", "bytes.csv", "--mini-batch-size", "64KB")
    found = calls(tmp_path / "bytes.csv")
    assert sum(found) == 50_000
    assert 1900 < max(found) <= 65_536 // 32
    assert min(found[:-1]) == max(found)


def test_what_stands_beside_predictions(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.model(tmp_path)
    table = batch_jobs.table(20).append_column("note", pa.array([f"n {n}" for n in range(20)]))
    pq.write_table(table, tmp_path / "data.parquet")
    for said, columns in {
        "all": ["id", "a", "b", "c", "note", "prediction"],
        "none": ["prediction"],
        "unused": ["id", "note", "prediction"],
        "note,a": ["note", "a", "prediction"],
    }.items():
        jobs.run("model.pkl", "-i", "data.parquet", "--output", "out.parquet", "--keep-columns", said,
                 "--if-exists", "replace", "--workers", "1")  # fmt: skip
        found = pq.read_table(tmp_path / "out.parquet")
        assert found.column_names == columns, said
    assert found["note"].to_pylist() == table["note"].to_pylist()
    lost = jobs.run("model.pkl", "-i", "data.parquet", "--output", "x.csv", "--keep-columns", "nto", report="text",
                    code=5)  # fmt: skip
    assert "no column 'nto'" in lost.err
    assert "Traceback" not in lost.err


def test_rows_are_numbered_through_quoted_line_ends(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.script(tmp_path, ECHO)
    lines = ["id,text", *(f'{n},"line {n}\n""second"", line"' for n in range(3000))]
    (tmp_path / "a ü.csv").write_text("\r\n".join(lines))
    (tmp_path / "b.csv").write_text("\n".join(lines[:11]) + "\n")
    jobs.run(*SCRIPT, "-i", "a ü.csv", "-i", "b.csv", "--output", "out.csv", "--with-lineage",
             "--mini-batch-size", "8KB", "--keep-columns", "text")  # fmt: skip
    found = pd.read_csv(tmp_path / "out.csv")
    assert list(found["_row"]) == list(found["seen"]) == [*range(3000), *range(10)]
    assert set(found["_file"]) == {str(tmp_path / "a ü.csv"), str(tmp_path / "b.csv")}
    assert found["text"][7] == 'line 7\n"second", line'
    assert len(set(found["_model"])) == 1
    assert len(found["_model"][0]) == 64


def test_folders_are_columns(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    """``c`` is an input of the model that stands in the folders' names only."""
    batch_jobs.model(tmp_path)
    for day in (1, 2):
        folder = tmp_path / "data" / f"day={day}" / f"c={day * 10}"
        folder.mkdir(parents=True)
        pq.write_table(batch_jobs.table(10).drop_columns(["c"]), folder / "x.parquet")
    jobs.run("model.pkl", "-i", "data", "--output", "out.csv", "--workers", "1")
    found = pd.read_csv(tmp_path / "out.csv")
    assert list(found.columns) == ["id", "day", "prediction"]
    assert list(found["day"]) == [1] * 10 + [2] * 10
    data = batch_jobs.table(10).to_pandas()
    assert found["prediction"][13] == pytest.approx(data["a"][3] + 10 * data["b"][3] + 100 * 20)


@pytest.mark.parametrize("output", ["out.csv", "out.parquet", "out"])
def test_no_rows_at_all_are_an_empty_output(jobs: batch_jobs.Jobs, tmp_path: Path, output: str) -> None:
    batch_jobs.model(tmp_path)
    (tmp_path / "data").mkdir()
    if output == "out.csv":
        (tmp_path / "data" / "a.csv").write_text("id,a,b,c\n")
    else:
        pq.write_table(batch_jobs.table(0), tmp_path / "data" / "a.parquet")
    done = jobs.run("model.pkl", "-i", "data", "--output", output, "--workers", "1")
    assert done.summary["rows"] == 0
    if output == "out.csv":
        assert (tmp_path / output).read_text() == "id,prediction\n"
        return
    found = pq.read_table(tmp_path / output)
    assert found.schema.names == ["id", "prediction"]
    assert found.num_rows == 0
    assert output != "out" or (tmp_path / output / "_SUCCESS").exists()


def test_names_of_jobs_and_files_that_are_there(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.script(tmp_path, ECHO)
    pq.write_table(batch_jobs.table(3), tmp_path / "data.parquet")
    arguments = (*SCRIPT, "-i", "data.parquet", "--output", "out.csv")
    checked = jobs.run(*arguments, "--check", "--job", "one")
    about = json.loads(checked.out.splitlines()[-1])
    assert about["event"] == "checked"
    assert about["columns"] == {"id": "int64", "a": "double", "b": "double", "c": "double"}
    assert (about["files"], about["mini_batches"]) == (1, 1)
    assert not (tmp_path / "jobs" / "one").exists()
    assert not (tmp_path / "out.csv").exists()
    jobs.run(*arguments, "--job", "one")
    twice = jobs.run(*arguments, "--job", "one", report="text", code=5)
    assert "job one already" in twice.err
    there = jobs.run(*arguments, report="text", code=5)
    assert "out.csv is there already" in there.err
    jobs.run(*arguments, "--if-exists", "append")
    assert list(pd.read_csv(tmp_path / "out.csv")["seen"]) == [0, 1, 2] * 2
    skipped = jobs.run(*arguments, "--if-exists", "skip", report="text")
    assert "left as it was" in skipped.out
    jobs.run(*arguments, "--if-exists", "replace")
    assert list(pd.read_csv(tmp_path / "out.csv")["seen"]) == [0, 1, 2]


def test_a_file_that_is_listed_twice_counts_twice(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.script(tmp_path, ECHO)
    batch_jobs.parquet(tmp_path, [3, 4])
    done = jobs.run(*SCRIPT, "-i", "data", "-i", "data/0001.parquet", "--output", "out.csv")
    assert list(pd.read_csv(tmp_path / "out.csv")["seen"]) == [*range(7), *range(3, 7)]
    assert done.event("planned")["files"] == 3


def test_a_signature_says_what_samples_leave_open(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    """Whole numbers at the beginning, middle and end of the text, and something else between."""

    class Doubles(mlflow.pyfunc.PythonModel):
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input["amount"] * 2 + model_input["code"].str.len()

    signature = ModelSignature(inputs=Schema([ColSpec("double", "amount"), ColSpec("string", "code")]))
    mlflow.pyfunc.save_model(
        str(tmp_path / "model"), python_model=Doubles(), signature=signature, pip_requirements=["numpy"]
    )
    lines = [f"{number},{100_000 + number}" for number in range(200_000)]
    lines[60_000], lines[150_000] = "0.25,abc", "7,"
    (tmp_path / "data.csv").write_text("\n".join(["amount,code", *lines]) + "\n")
    jobs.run("model", "-i", "data.csv", "--output", "out.csv", "--environment", "current")
    found = pd.read_csv(tmp_path / "out.csv")["prediction"]
    assert len(found) == 200_000
    assert (found[60_000], found[5]) == (3.5, 16)
