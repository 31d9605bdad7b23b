"""``penstock score`` as its users type it: from files to predictions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from support import batch_jobs

pytestmark = pytest.mark.slow


def expected(rows: int) -> np.ndarray:
    data = batch_jobs.table(rows).to_pandas()
    return data["a"] + 10 * data["b"] + 100 * data["c"]


def test_a_file_of_rows_becomes_a_file_of_predictions(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.model(tmp_path)
    pq.write_table(batch_jobs.table(1000), tmp_path / "data.parquet")
    done = jobs.run("model.pkl", "--input", "data.parquet", "--output", "scores.parquet", report="text")
    found = pd.read_parquet(tmp_path / "scores.parquet")
    assert list(found.columns) == ["id", "prediction"]
    assert list(found["id"]) == list(range(1000))
    np.testing.assert_allclose(found["prediction"], expected(1000), atol=1e-9)
    assert "1,000 rows" in done.out
    assert "scores.parquet" in done.out


@pytest.mark.parametrize("output", ["scores.csv", "scores.jsonl", "scores"])
def test_the_output_is_the_same_to_the_byte_for_any_number_of_workers(
    jobs: batch_jobs.Jobs, tmp_path: Path, output: str
) -> None:
    batch_jobs.model(tmp_path)
    batch_jobs.parquet(tmp_path, [5000, 10, 0, 7000, 3])
    contents = []
    for workers in (1, 3):
        name = f"{workers}-{output}"
        jobs.run(
            "model.pkl", "-i", "data", "--output", name, "--workers", workers, "--with-lineage",
            "--mini-batch-size", "64KB",
        )  # fmt: skip
        contents.append(batch_jobs.content(tmp_path / name))
    manifests = [content.pop("_SUCCESS", b"") for content in contents]
    assert contents[0] == contents[1]
    assert all(manifests) or output != "scores"
    if output == "scores.csv":
        found = pd.read_csv(tmp_path / "1-scores.csv")
        assert list(found["id"]) == list(range(12013))
        assert list(found["_row"]) == [*range(5000), *range(10), *range(7000), *range(3)]


@pytest.mark.parametrize("form", ["csv", "csv.gz", "jsonl", "arrow", "parquet"])
def test_every_format_gives_the_same_predictions(jobs: batch_jobs.Jobs, tmp_path: Path, form: str) -> None:
    batch_jobs.model(tmp_path)
    table = batch_jobs.table(300)
    name = f"data.{form}"
    if form.startswith("csv"):
        with pa.output_stream(str(tmp_path / name), compression="gzip" if "gz" in form else None) as stream:
            pa_csv.write_csv(table, stream)
    elif form == "jsonl":
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    elif form == "arrow":
        with pa.ipc.new_file(str(tmp_path / name), table.schema) as writer:
            writer.write_table(table)
    else:
        pq.write_table(table, tmp_path / name)
    jobs.run("model.pkl", "-i", name, "--output", "scores.parquet")
    found = pq.read_table(tmp_path / "scores.parquet")
    assert found.column("id").to_pylist() == list(range(300))
    np.testing.assert_allclose(found.column("prediction"), expected(300), atol=1e-9)


def test_a_wrong_column_is_told_before_any_work(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.model(tmp_path)
    table = batch_jobs.table(10).rename_columns(["id", "a", "bb", "c"])
    pq.write_table(table, tmp_path / "data.parquet")
    done = jobs.run("model.pkl", "-i", "data.parquet", "--output", "scores.parquet", report="text", code=5)
    assert "'b'" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "scores.parquet").exists()


def test_a_script_gets_files_or_a_table(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.script(
        tmp_path,
        "import os\n\n\ndef init():\n    pass\n\n\n"
        "def run(paths):\n    return [f'{os.path.basename(path)}:{os.path.getsize(path)}' for path in paths]\n",
    )
    images = tmp_path / "images"
    images.mkdir()
    for number in range(25):
        (images / f"{number:02}.png").write_bytes(b"x" * number)
    done = jobs.run("--script", "code/score.py", "-i", "images", "--output", "sizes.csv")
    lines = (tmp_path / "sizes.csv").read_text().splitlines()
    assert lines[1:] == [f"{number:02}.png:{number}" for number in range(25)]
    assert done.summary["items"] == 25
    batch_jobs.script(
        tmp_path,
        "def init():\n    pass\n\n\ndef run(frame):\n    assert len(frame) <= 40\n    return frame[['id']] * 2\n",
    )
    pq.write_table(batch_jobs.table(100), tmp_path / "data.parquet")
    jobs.run(
        "--script",
        "code/score.py",
        "-i",
        "data.parquet",
        "--output",
        "doubled.csv",
        "--mini-batch-size",
        "40rows",
    )
    assert list(pd.read_csv(tmp_path / "doubled.csv")["id"]) == [2 * number for number in range(100)]


def test_bad_rows_are_found_and_the_rest_is_scored(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.script(
        tmp_path,
        "def init():\n    pass\n\n\ndef run(frame):\n    if (frame['id'] % 97 == 13).any():\n"
        "        raise ValueError('thirteen')\n    return frame[['id']]\n",
    )
    pq.write_table(batch_jobs.table(500), tmp_path / "data.parquet")
    arguments = (
        "--script",
        "code/score.py",
        "-i",
        "data.parquet",
        "--pass",
        "dataframe",
        "--max-retries",
        "0",
    )
    done = jobs.run(*arguments, "--output", "good.csv", "--on-error", "bisect")
    bad = [number for number in range(500) if number % 97 == 13]
    found = list(pd.read_csv(tmp_path / "good.csv")["id"])
    assert found == [number for number in range(500) if number not in bad]
    letters = [json.loads(line) for line in Path(done.summary["dead_letters"]).read_text().splitlines()]
    assert [letter["values"]["id"] for letter in letters] == bad
    assert [letter["row"] for letter in letters] == bad
    assert "ValueError: thirteen" in letters[0]["traceback"]
    failed = jobs.run(*arguments, "--output", "none.csv", report="text", code=5)
    assert "ValueError: thirteen" in failed.err
    assert "--resume" in failed.err
    assert not (tmp_path / "none.csv").exists()


def test_a_torn_last_line_is_told_or_set_aside(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.model(tmp_path)
    lines = ["id,a,b,c", *(f"{number},1,2,3" for number in range(50)), "50,1,2"]
    (tmp_path / "data.csv").write_text("\n".join(lines))
    done = jobs.run("model.pkl", "-i", "data.csv", "--output", "scores.csv", report="text", code=5)
    assert "data.csv" in done.err
    assert "52" in done.err
    done = jobs.run("model.pkl", "-i", "data.csv", "--output", "scores.csv", "--on-error", "bisect")
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 50
    [letter] = [json.loads(line) for line in Path(done.summary["dead_letters"]).read_text().splitlines()]
    assert letter["row"] == 50


def test_the_same_job_by_accident_is_told(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.script(
        tmp_path, "def init():\n    raise RuntimeError('not today')\n\n\ndef run(paths):\n    return paths\n"
    )
    (tmp_path / "data.bin").write_bytes(b"1")
    arguments = ("--script", "code/score.py", "-i", "data.bin", "--output", "out.csv")
    jobs.run(*arguments, "--job", "first", report="text", code=3)
    done = jobs.run(*arguments, report="text", code=5)
    assert "first" in done.err
    assert "--resume first" in done.err
    batch_jobs.script(tmp_path, "def init():\n    pass\n\n\ndef run(paths):\n    return paths\n")
    jobs.run("--resume", "first")
    assert (tmp_path / "out.csv").exists()


def test_nothing_to_score_is_told(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.model(tmp_path)
    (tmp_path / "empty").mkdir()
    done = jobs.run("model.pkl", "-i", "empty", "--output", "scores.csv", report="text", code=5)
    assert "empty" in done.err
    assert "Traceback" not in done.err


def test_a_file_of_which_anything_failed_is_new_the_next_time(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    """Though its other mini-batches were scored."""
    batch_jobs.script(
        tmp_path,
        "import os\n\n\ndef init():\n    pass\n\n\ndef run(frame):\n"
        f"    if frame['id'].iloc[0] == 150 and not os.path.exists({str(tmp_path / 'mended')!r}):\n"
        "        raise ValueError('no')\n    return frame\n",
    )
    batch_jobs.parquet(tmp_path, [100, 100])
    arguments = (
        "--script", "code/score.py", "-i", "data", "--incremental", "--mini-batch-size", "50rows",
        "--max-retries", "0", "--error-threshold", "-1", "--output", "out.csv", "--if-exists", "replace",
    )  # fmt: skip
    assert jobs.run(*arguments).summary["failed"] == 50
    (tmp_path / "mended").touch()
    done = jobs.run(*arguments)
    assert (done.event("planned")["files"], done.event("planned")["left_out"]) == (1, 1)
    assert list(pd.read_csv(tmp_path / "out.csv")["id"]) == list(range(100, 200))


def test_incremental_scores_only_what_is_new(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.model(tmp_path)
    folder = batch_jobs.parquet(tmp_path, [30, 20])
    arguments = ("model.pkl", "-i", "data", "--output", "scores", "--incremental", "--if-exists", "append")
    assert jobs.run(*arguments).summary["items"] == 50
    pq.write_table(batch_jobs.table(10, 50), folder / "0002.parquet")
    done = jobs.run(*arguments)
    assert done.summary["items"] == 10
    assert done.summary["left_out"] == 2
    assert sorted(pq.read_table(tmp_path / "scores").column("id").to_pylist()) == list(range(60))
    assert jobs.run(*arguments).summary["items"] == 0


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (("--prediction-name", "id"), "--prediction-name"),
        (("--engine-option", "nodes=3"), "the local engine has no option 'nodes'"),
        (("--address", "somewhere:6379"), "the local engine has no option 'address'"),
    ],
)
def test_what_cannot_be_is_told_with_what_to_do(
    jobs: batch_jobs.Jobs, tmp_path: Path, said: tuple[str, ...], told: str
) -> None:
    batch_jobs.model(tmp_path)
    pq.write_table(batch_jobs.table(10), tmp_path / "data.parquet")
    done = jobs.run("model.pkl", "-i", "data.parquet", "--output", "x.csv", *said, report="text", code=5)
    assert told in done.err
    assert "Traceback" not in done.err
