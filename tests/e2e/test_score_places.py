"""``penstock score`` from the web, from and into Delta tables, with large objects; and what is shown of secrets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from support import batch_jobs, delta_logs, job_places, object_store
from support.http_files import Site
from support.postgres import PASSWORD, QUOTED_PASSWORD, Database

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["big.csv", "big.csv.gz", "big.parquet"])
def test_a_large_object_is_cut(
    jobs: batch_jobs.Jobs, tmp_path: Path, s3: object_store.Bucket, echo: tuple[str, ...], name: str
) -> None:
    rows = 1_000_000
    table = pa.table({"id": np.arange(rows), "x": np.random.default_rng(1).random(rows),
                      "y": np.random.default_rng(2).random(rows), "z": np.random.default_rng(3).random(rows),
                      "v": np.random.default_rng(4).random(rows)})  # fmt: skip
    if "csv" in name:
        packing = "gzip" if "gz" in name else None
        with pa.output_stream(str(tmp_path / name), compression=packing) as stream:
            pa_csv.write_csv(table, stream)
    else:
        pq.write_table(table, tmp_path / name, row_group_size=100_000, compression="none")
    assert (tmp_path / name).stat().st_size > 32 * 2**20
    s3.client().upload_file(str(tmp_path / name), s3.name, f"in/{name}")
    done = jobs.run(*echo, "-i", f"{s3.url}/in/{name}", "--output", "out.parquet", "--mini-batch-size",
                    "200000rows", *job_places.storage(s3.storage))  # fmt: skip
    assert done.event("planned")["mini_batches"] > 1 or "gz" in name
    assert pq.read_table(tmp_path / "out.parquet")["seen"].to_pylist() == list(range(rows))


def test_large_parquet_objects_are_planned_by_their_ends(
    jobs: batch_jobs.Jobs, tmp_path: Path, s3: object_store.Bucket
) -> None:
    """Nothing more of them is here when the first worker is, and what is done with goes before the job ends."""
    batch_jobs.script(
        tmp_path,
        "import os\n\n\ndef here():\n    top = os.path.join('JOBS', 'cut', 'inputs')\n"
        "    return sum(os.stat(os.path.join(at, name)).st_blocks * 512\n"
        "               for at, _, names in os.walk(top) for name in names)\n\n\n"
        "def init():\n    assert here() < 2**20\n\n\n"
        "def run(frame):\n    frame['here'] = here()\n    return frame\n".replace("JOBS", str(jobs.root)),
    )
    numbers = np.random.default_rng(1)
    for part in range(3):
        rows = np.arange(part * 600_000, part * 600_000 + 600_000)
        table = pa.table({"id": rows, **{name: numbers.random(600_000) for name in "abcdefg"}})
        pq.write_table(
            table, tmp_path / "part", row_group_size=60_000, compression="none", use_dictionary=False
        )
        s3.client().upload_file(str(tmp_path / "part"), s3.name, f"in/{part}.parquet")
    size = (tmp_path / "part").stat().st_size
    assert size > 32 * 2**20
    done = jobs.run("--script", "code/score.py", "-i", f"{s3.url}/in", "--output", "out.parquet", "--pass",
                    "dataframe", "--mini-batch-size", "16MB", "--job", "cut", "--workers", "1",
                    *job_places.storage(s3.storage))  # fmt: skip
    assert done.event("planned")["mini_batches"] >= 6
    found = pq.read_table(tmp_path / "out.parquet", columns=["id", "here"])
    assert found["id"].to_pylist() == list(range(1_800_000))
    assert found["here"].to_pylist()[-1] < 2.5 * size, "the first file is not here any more"


# The web


def test_from_the_web(jobs: batch_jobs.Jobs, tmp_path: Path, site: Site, echo: tuple[str, ...]) -> None:
    site.put("data.csv", job_places.csv(40))
    site.put("more.parquet", job_places.parquet(10, 40))
    jobs.run(*echo, "-i", site.url("data.csv", "cut-1"), "-i", site.url("more.parquet", "bare"),
             "--output", "out.csv")  # fmt: skip
    assert list(pd.read_csv(tmp_path / "out.csv")["seen"]) == list(range(50))
    gone = jobs.run(*echo, "-i", site.url("nothing.csv"), "--output", "no.csv", report="text", code=5)
    assert "nothing.csv" in gone.err
    assert "Traceback" not in gone.err


# Delta


def test_deleted_rows_of_delta_tables_are_nobodys(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    """They still lie in the files, where the log says that they are gone."""
    gone = [*range(5, 400, 7), 999]
    delta_logs.with_vectors(tmp_path / "table", gone, None, rows=1000)
    batch_jobs.script(tmp_path, "def run(frame):\n    return frame.rename(columns={'x': 'seen'})\n")
    given = ("--script", "code/score.py", "--pass", "dataframe", "--mini-batch-size", "300rows")
    jobs.run(*given, "-i", "table", "--output", "out.csv", "--with-lineage", "--workers", "2")
    found = pd.read_csv(tmp_path / "out.csv")
    there = [number for number in range(1000) if number not in gone]
    assert found["seen"].tolist() == [*there, *range(1000, 2000)]
    assert found["_row"].tolist() == [*there, *range(1000)]
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "MLTable").write_text(
        "paths: [{folder: ../table}]\ntransformations:\n  - read_delta_lake: {version_as_of: 0}\n"
        "  - skip: 3\n  - take: 20\n  - filter: 'col(\"x\") > 10'\n"
    )
    jobs.run(*given, "-i", "m", "--output", "some.csv")
    taken = [number for number in there[3:23] if number > 10]
    assert pd.read_csv(tmp_path / "some.csv")["seen"].tolist() == taken


def test_from_delta_to_delta(jobs: batch_jobs.Jobs, tmp_path: Path, echo: tuple[str, ...]) -> None:
    import deltalake

    deltalake.write_deltalake(tmp_path / "table", batch_jobs.table(30))
    deltalake.write_deltalake(tmp_path / "table", batch_jobs.table(20, 30), mode="append")
    jobs.run(*echo, "-i", "table", "--output", "scores", "--output-format", "delta", "--keep-columns", "id")
    found = deltalake.DeltaTable(tmp_path / "scores").to_pyarrow_table()
    assert sorted(found["id"].to_pylist()) == sorted(found["seen"].to_pylist()) == list(range(50))
    jobs.run(*echo, "-i", "table", "--storage", "version_as_of=0", "--output", "old.csv")
    assert sorted(pd.read_csv(tmp_path / "old.csv")["seen"]) == list(range(30))
    jobs.run(*echo, "-i", "table", "--output", "scores", "--output-format", "delta", "--keep-columns", "id",
             "--if-exists", "upsert", "--key", "id")  # fmt: skip
    assert deltalake.DeltaTable(tmp_path / "scores").to_pyarrow_table().num_rows == 50


# Secrets


def test_no_secret_is_shown(
    jobs: batch_jobs.Jobs, tmp_path: Path, s3: object_store.Bucket, postgres: Database
) -> None:
    batch_jobs.script(tmp_path, job_places.slow(0.5))
    for number in range(6):
        s3.put(f"in/{number}.csv", job_places.csv(2, number))
    arguments = (
        "--script", "code/score.py", "--pass", "dataframe", "-i", f"{s3.url}/in/", "--workers", "1",
        "--mini-batch-size", "1", "--output", postgres.url, "--table", "scores", *job_places.storage(s3.storage),
        "--log-level", "debug",
    )  # fmt: skip
    secrets = [object_store.SECRET, object_store.KEY, PASSWORD, QUOTED_PASSWORD]
    process = jobs.start(*arguments, "--job", "quiet")
    batch_jobs.wait_for_workers(process.pid)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    seen = " ".join(" ".join(child.cmdline()) for child in family)
    done = jobs.finish(process)
    assert done.code == 0, done.err
    lost = jobs.run(*arguments, "-i", f"{s3.url}-not/in", report="text", code=5)
    again = jobs.run(*arguments, report="text", code=5)  # the table is there
    checked = jobs.run(*arguments, "--if-exists", "append", "--check", "-o", "json")
    texts = {"arguments": seen}
    for number, each in enumerate((done, lost, again, checked)):
        texts |= {f"out {number}": each.out, f"err {number}": each.err}
    for path in (tmp_path / "jobs").rglob("*"):
        if path.is_file():
            if path.name == "launch.json":
                assert path.stat().st_mode & 0o777 == 0o600
            else:
                texts[str(path)] = path.read_bytes().decode("utf-8", "replace")
    for secret in secrets:
        found = [name for name, text in texts.items() if secret in text]
        assert not found, f"{secret} is in {found}"
    assert json.loads((tmp_path / "jobs/quiet/job.json").read_text())["status"] == "done"
