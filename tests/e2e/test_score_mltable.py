"""MLTable folders through ``penstock score``: what they do to rows, for models and scripts, however cut."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from support import batch_jobs

pytestmark = pytest.mark.slow

ECHO = "def init():\n    pass\n\n\ndef run(frame):\n    return frame\n"
SIZES = "def init():\n    pass\n\n\ndef run(frame):\n    return [len(frame)] * len(frame)\n"


def mltable(folder: Path, text: str) -> Path:
    """The folder ``table`` with an MLTable of this text."""
    (folder / "table").mkdir(exist_ok=True)
    (folder / "table" / "MLTable").write_text("type: mltable\n" + text)
    return folder / "table"


def both(jobs: batch_jobs.Jobs, folder: Path, *arguments: str, cut: str) -> pd.DataFrame:
    """The result of a job for one worker and for three, whose bytes are the same."""
    contents = []
    for workers in (1, 3):
        name = f"{workers}.csv"
        jobs.run(*arguments, "-i", "table", "--output", name, "--workers", workers, "--mini-batch-size", cut)
        contents.append((folder / name).read_bytes())
    assert contents[0] == contents[1]
    return pd.read_csv(folder / "1.csv")


def test_delimited_text_with_partitions(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    table = mltable(
        tmp_path,
        "paths:\n  - pattern: ./**/*.txt\n"
        "transformations:\n"
        "  - read_delimited: {delimiter: ';', encoding: latin1, header: all_files_same_headers}\n"
        "  - extract_columns_from_partition_format: /{region}/{when:yyyy-MM-dd}.txt\n"
        "  - filter: 'col(\"x\") > 2'\n"
        "  - convert_column_types:\n"
        "      - {columns: code, column_type: string}\n"
        "      - {columns: flag, column_type: {boolean: {true_values: ['ja'], false_values: ['nein']}}}\n"
        "  - drop_columns: [junk]\n",
    )
    for region in ("nord", "süd"):
        (table / region).mkdir()
        for day in ("2024-01-01", "2024-01-02"):
            lines = [f"{n};00{n};{'ja' if n % 2 else 'nein'};ü{n};-" for n in range(200)]
            text = "\n".join(["x;code;flag;name;junk", *lines]) + "\n"
            (table / region / f"{day}.txt").write_bytes(text.encode("latin1"))
    batch_jobs.script(tmp_path, ECHO)
    found = both(jobs, tmp_path, "--script", "code/score.py", cut="1KB")
    assert list(found["x"]) == list(range(3, 200)) * 4
    assert set(found.columns) == {"x", "code", "flag", "name", "region", "when"}
    assert list(found["region"]) == ["nord"] * 394 + ["süd"] * 394
    assert list(found["name"][:2]) == ["ü3", "ü4"]
    assert list(found["flag"][:2]) == [True, False]
    assert found["when"].iloc[0].startswith("2024-01-01")
    again = pd.read_csv(tmp_path / "1.csv", dtype=str)
    assert list(again["code"][:2]) == ["003", "004"]


@pytest.mark.parametrize("packed", [False, True])
def test_only_the_first_file_has_a_header(jobs: batch_jobs.Jobs, tmp_path: Path, packed: bool) -> None:
    """Rows of all files, the first one's too, whether files are cut or gathered."""
    ending = ".csv.gz" if packed else ".csv"
    table = mltable(
        tmp_path,
        f"paths:\n  - pattern: ./*{ending}\n"
        "transformations:\n  - read_delimited: {header: from_first_file}\n",
    )
    for number in range(3):
        rows = "".join(f"{n},x{n}\n" for n in range(number * 100, number * 100 + 100))
        text = ("id,name\n" if number == 0 else "") + rows
        (table / f"{number}{ending}").write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    batch_jobs.script(tmp_path, ECHO)
    for cut in ("100B", "1MB"):
        found = both(jobs, tmp_path, "--script", "code/score.py", "--if-exists", "replace", cut=cut)
        assert list(found.columns) == ["id", "name"]
        assert list(found["id"]) == list(range(300))
        assert found["name"].iloc[200] == "x200"


def test_parquet_for_a_model(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.model(tmp_path)
    table = mltable(
        tmp_path,
        "paths:\n  - folder: ./parts\n"
        "transformations:\n  - read_parquet\n  - take_random_sample: {probability: 0.5, seed: 7}\n"
        "  - keep_columns: [id, a, b, c]\n  - skip: 100\n  - take: 1000\n",
    )
    (table / "parts").mkdir()
    for number in range(3):
        whole = batch_jobs.table(1500, 1500 * number)
        pq.write_table(whole.append_column("more", whole["a"]), table / "parts" / f"{number}.parquet",
                       row_group_size=300)  # fmt: skip
    found = both(jobs, tmp_path, "model.pkl", cut="16KB")
    assert list(found.columns) == ["id", "prediction"]
    assert len(found) == 1000
    assert found["id"].is_monotonic_increasing
    assert found["id"].is_unique
    assert 100 <= found["id"].iloc[0] < 400
    data = batch_jobs.table(4500).to_pandas().loc[found["id"]]
    np.testing.assert_allclose(found["prediction"], data["a"] + 10 * data["b"] + 100 * data["c"], atol=1e-9)


def test_lines_of_json(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    table = mltable(
        tmp_path,
        "paths:\n  - file: ./a.jsonl\n  - file: ./b.jsonl\n"
        "transformations:\n  - read_json_lines: {invalid_lines: drop, include_path_column: true}\n  - skip: 5\n",
    )
    for name, start in (("a", 0), ("b", 50)):
        lines = [json.dumps({"id": n, "text": f"zeile {n}\n…"}) for n in range(start, start + 50)]
        lines.insert(20, '{"id": torn')
        (table / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    batch_jobs.script(tmp_path, ECHO)
    found = both(jobs, tmp_path, "--script", "code/score.py", cut="500B")
    assert list(found["id"]) == list(range(5, 100))
    assert found["text"].iloc[0] == "zeile 5\n…"
    assert [Path(path).name for path in found["Path"].iloc[[0, -1]]] == ["a.jsonl", "b.jsonl"]
    (table / "MLTable").write_text((table / "MLTable").read_text().replace("drop", "error"))
    failed = jobs.run("--script", "code/score.py", "-i", "table", "--output", "x.csv", report="text", code=5)
    assert "a.jsonl" in failed.err
    assert "21" in failed.err


def test_a_step_that_asks_for_ten_kilobytes(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    table = mltable(tmp_path, "paths:\n  - pattern: ./*.csv\ntransformations:\n  - read_delimited\n")
    for number in range(3):
        pa_csv.write_csv(batch_jobs.table(700, 700 * number), table / f"{number}.csv")
    size = sum(path.stat().st_size for path in table.glob("*.csv"))
    batch_jobs.script(tmp_path, SIZES)
    (tmp_path / "step.yml").write_text(
        "type: parallel\nname: sizes\ninputs:\n  data: {type: mltable}\noutputs:\n  out: {type: uri_file}\n"
        "input_data: ${{inputs.data}}\nmini_batch_size: 10kb\n"
        "task:\n  type: run_function\n  code: code\n  entry_script: score.py\n  append_row_to: ${{outputs.out}}\n"
    )
    jobs.run("step.yml", "--input", "data=table", "--output", "results")
    calls = [int(line) for line in (tmp_path / "results" / "out").read_text().split()]
    assert len(calls) == 2100
    each = size / 2100
    assert max(calls) * each < 16_000  # the last of a file rather than a crumb
    assert 9_000 < np.median(calls) * each < 12_000


MANY_MODELS = """
import os, pickle, sys
import pandas as pd

def init():
    global folder
    folder = sys.argv[sys.argv.index("--models") + 1]

def run(input_data, mini_batch_context):
    keys = mini_batch_context.partition_key_value
    assert isinstance(input_data, pd.DataFrame)
    place = os.path.join(folder, *keys.values())
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, "model.pkl"), "wb") as file:
        pickle.dump(input_data["Quantity"].mean(), file)
    found = pd.DataFrame({key: [value] for key, value in keys.items()})
    found["rows"] = len(input_data)
    found["columns"] = "+".join(input_data.columns)
    found["call"] = mini_batch_context.minibatch_index
    return found
"""
MANY_MODELS_STEPS = """
type: pipeline
jobs:
  partition:
    type: command
    command: python partition.py
    environment: azureml:any:1
    outputs: {tables: {type: mltable}}
  train:
    type: parallel
    inputs:
      sales: {path: "${{parent.jobs.partition.outputs.tables}}", type: mltable, mode: direct}
    outputs:
      models: {type: uri_folder, mode: rw_mount}
      scores: {type: uri_file}
    partition_keys: %s
    mini_batch_size: 1kb
    mini_batch_error_threshold: 5
    input_data: ${{inputs.sales}}
    task:
      type: run_function
      code: code
      entry_script: score.py
      program_arguments: --models ${{outputs.models}}
      append_row_to: ${{outputs.scores}}
"""


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("[Store, Brand]", [f"{store} {brand} 60" for store in (1000, 1001) for brand in ("dole", "sun")]),
        ("[Brand]", ["dole 120", "sun 120"]),
    ],
)
def test_a_model_for_each_partition(
    jobs: batch_jobs.Jobs, tmp_path: Path, keys: str, expected: list[str]
) -> None:
    """All files of a key are one mini-batch: wherever they lie, and whatever size was said besides."""
    table = mltable(
        tmp_path,
        "paths:\n  - pattern: ./**/*.csv\ntransformations:\n"
        "  - read_delimited: {delimiter: ',', encoding: ascii, include_path_column: true}\n"
        "  - extract_columns_from_partition_format:\n"
        "      partition_format: '{Store}/{Brand}/{file_name}.{extension}'\n"
        "  - drop_columns: [Path, file_name, extension]\n",
    )
    for store in (1000, 1001):
        for brand in ("sun", "dole"):
            (table / f"{store}" / brand).mkdir(parents=True)
            for part in (1, 2):
                sold = pd.DataFrame({"Week": range(30), "Quantity": np.arange(30) * part})
                sold.to_csv(table / f"{store}" / brand / f"{part}.csv", index=False)
    batch_jobs.script(tmp_path, MANY_MODELS)
    (tmp_path / "pipeline.yml").write_text(MANY_MODELS_STEPS % keys)
    results = []
    for workers in (1, 3):
        given = ("pipeline.yml", "--step", "train", "--input", "sales=table", "--output", f"out{workers}")
        jobs.run(*given, "--workers", workers)
        results.append((tmp_path / f"out{workers}" / "scores").read_text())
    assert results[0] == results[1]
    lines = [line.split() for line in results[0].splitlines()]
    assert [" ".join(line[:-2]) for line in lines] == expected
    assert {line[-2] for line in lines} == {"Store+Brand+Week+Quantity"}
    assert [line[-1] for line in lines] == [str(number) for number in range(len(expected))]
    models = sorted(path.relative_to(tmp_path / "out1" / "models") for path in tmp_path.glob("out1/**/*.pkl"))
    assert [" ".join(path.parent.parts) for path in models] == [line.rpartition(" ")[0] for line in expected]


def test_files_of_a_partition_are_handed_over_together(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    for day in (1, 2):
        for region in ("a", "b"):
            folder = tmp_path / "in" / f"day={day}" / f"region={region}"
            folder.mkdir(parents=True)
            for name in ("x.txt", "y.txt"):
                (folder / name).write_text("")
    batch_jobs.script(
        tmp_path,
        "def init():\n    pass\n\n\n"
        "def run(files, mini_batch_context):\n"
        "    key = str(mini_batch_context.partition_key_value)\n"
        "    return [key + ' ' + '/'.join(file.split('/')[-3:]) for file in files]\n",
    )
    given = ("--script", "code/score.py", "-i", "in", "--output", "out.csv", "--workers", "2")
    jobs.run(*given, "--partition-key", "region")
    found = pd.read_csv(tmp_path / "out.csv").iloc[:, -1].tolist()
    assert found == [
        f"{{'region': '{region}'}} day={day}/region={region}/{name}"
        for region in ("a", "b")
        for day in (1, 2)
        for name in ("x.txt", "y.txt")
    ]
    failed = jobs.run(*given[:-3], "z.csv", "--partition-key", "regoin", report="text", code=5)
    assert "partition key regoin" in failed.err
    assert "did you mean region?" in failed.err
