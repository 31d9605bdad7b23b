"""``penstock score`` from and into real object stores: S3 and Azure Blob."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support import azurite as azurite_support
from support import batch_jobs, job_places, object_store
from support.postgres import Database

pytestmark = pytest.mark.slow


def test_from_s3_to_s3(
    jobs: batch_jobs.Jobs, tmp_path: Path, s3: object_store.Bucket, echo: tuple[str, ...]
) -> None:
    s3.put("in/day=1/a.parquet", job_places.parquet(100))
    s3.put("in/day=1/b ü.parquet", job_places.parquet(50, 100))
    s3.put("in/day=2/a.parquet", job_places.parquet(50, 150))
    s3.put("in/day=2/notes.txt", b"nothing")
    options = job_places.storage(s3.storage)
    done = jobs.run(
        *echo, "-i", f"{s3.url}/in/**/*.parquet", "--output", f"{s3.url}/out/", "--keep-columns", "id,day",
        "--with-lineage", *options,
    )  # fmt: skip
    there = s3.keys()
    keys = [key for key in there if key.startswith("out/")]
    assert "out/_SUCCESS" in keys
    parts = [pq.read_table(io.BytesIO(s3.get(key))) for key in keys if key.endswith(".parquet")]
    found = pa.concat_tables(parts)
    assert found["id"].to_pylist() == found["seen"].to_pylist() == list(range(200))
    assert found["day"].to_pylist() == [1] * 150 + [2] * 50
    assert found["_file"].to_pylist()[100] == f"{s3.url}/in/day=1/b ü.parquet"
    assert found["_row"].to_pylist() == [*range(100), *range(50), *range(50)]
    written = {item["Key"]: item["LastModified"] for item in
               s3.client().list_objects_v2(Bucket=s3.name, Prefix="out/")["Contents"]}  # fmt: skip
    assert max(written, key=lambda key: (written[key], key == "out/_SUCCESS")) == "out/_SUCCESS"
    assert done.summary["output"] == f"{s3.url}/out/"
    again = jobs.run(*echo, "-i", f"{s3.url}/in/day=1/", "--output", f"{s3.url}/out/", *options,
                     report="text", code=5)  # fmt: skip
    assert "--if-exists" in again.err


def test_large_texts_are_scored_as_on_a_disk_and_do_not_stay(
    jobs: batch_jobs.Jobs, tmp_path: Path, s3: object_store.Bucket
) -> None:
    """Above 32 MB a text is brought here to be planned; its parts are several mini-batches."""
    line = 'x,"two\nlines"\n'.rjust(1000).replace(" ", "-")
    (tmp_path / "in").mkdir()
    for name in ("a.csv", "b.csv"):
        text = "note,more\n" + "".join(f"{number}{line}" for number in range(40_000))
        (tmp_path / "in" / name).write_text(text)
        s3.put(f"in/{name}", text.encode())
    batch_jobs.script(
        tmp_path,
        "def init():\n    pass\n\n\n"
        "def run(frame):\n    assert (frame['more'] == 'two\\nlines').all()\n"
        "    return frame['note'].str.split('-').str[0].astype(int).to_frame('seen')\n",
    )
    given = ("--script", "code/score.py", "--pass", "dataframe", "--mini-batch-size", "8MB", "--workers", "2")
    jobs.run(*given, "-i", "in", "--output", "local.csv")
    away = ("-i", f"{s3.url}/in/", *job_places.storage(s3.storage))
    done = jobs.run(*given, *away, "--output", "away.csv", "--job", "away")
    assert (tmp_path / "away.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()
    assert pd.read_csv(tmp_path / "away.csv")["seen"].tolist() == [*range(40_000)] * 2
    assert done.event("planned")["mini_batches"] == 8
    assert not list((tmp_path / "jobs" / "away").rglob("*a.csv"))


def test_s3_by_the_environment_into_one_csv(
    tmp_path: Path, s3: object_store.Bucket, echo: tuple[str, ...]
) -> None:
    jobs = batch_jobs.Jobs(tmp_path, s3.variables)
    s3.put("in/a.csv", job_places.csv(100))
    s3.put("in/b.csv", job_places.csv(50, 100))
    s3.put("inner.csv", job_places.csv(10))
    try:
        jobs.run(*echo, "-i", f"{s3.url}/in", "--output", f"{s3.url}/results/out.csv")
        assert list(pd.read_csv(io.BytesIO(s3.get("results/out.csv")))["seen"]) == list(range(150))
        jobs.run(*echo, "-i", f"{s3.url}/in/a.csv", "--output", "local.csv")
        assert list(pd.read_csv(tmp_path / "local.csv")["seen"]) == list(range(100))
    finally:
        jobs.close()


def test_storage_options_serve_whichever_side_is_remote(
    jobs: batch_jobs.Jobs, tmp_path: Path, s3: object_store.Bucket, postgres: Database, echo: tuple[str, ...]
) -> None:
    (tmp_path / "data.csv").write_bytes(job_places.csv(20))
    options = job_places.storage(s3.storage)
    jobs.run(*echo, "-i", "data.csv", "--output", f"{s3.url}/out.csv", *options)
    assert list(pd.read_csv(io.BytesIO(s3.get("out.csv")))["seen"]) == list(range(20))
    jobs.run(*echo, "-i", f"{s3.url}/out.csv", "--output", postgres.url, "--table", "t", *options, code=None)
    wrong = jobs.run(*echo, "-i", "data.csv", "--output", f"{s3.url}/out2.csv", *options,
                     "--storage", "endpoint_uri=x", report="text", code=5)  # fmt: skip
    assert "endpoint_uri" in wrong.err


def test_a_script_gets_objects_as_files_of_their_names(
    jobs: batch_jobs.Jobs, tmp_path: Path, s3: object_store.Bucket
) -> None:
    batch_jobs.script(
        tmp_path,
        "import os\n\n\ndef init():\n    pass\n\n\ndef run(paths):\n"
        "    return [os.path.basename(path) + ' ' + open(path).read() for path in paths]\n",
    )
    long = "x" * 300 + ".txt"
    names = ["a b.txt", "deep/a b.txt", "ü.txt", long]
    for name in names:
        s3.put(f"in/{name}", name[-5:].encode())
    jobs.run("--script", "code/score.py", "-i", f"{s3.url}/in/", "--output", "out.csv", "--with-lineage",
             "--workers", "1", "--mini-batch-size", "2", *job_places.storage(s3.storage))  # fmt: skip
    found = pd.read_csv(tmp_path / "out.csv")
    expected = sorted(names)
    assert list(found["_file"]) == [f"{s3.url}/in/{name}" for name in expected]
    said = [f"{Path(name).name if name != long else 'data.txt'} {name[-5:]}" for name in expected]
    assert list(found["prediction"]) == said


def test_only_new_objects_are_scored(
    jobs: batch_jobs.Jobs, tmp_path: Path, s3: object_store.Bucket, echo: tuple[str, ...]
) -> None:
    s3.put("in/a.csv", job_places.csv(10))
    arguments = (
        *echo, "-i", f"{s3.url}/in/", "--output", f"{s3.url}/out/", "--incremental", "--if-exists", "append",
        *job_places.storage(s3.storage),
    )  # fmt: skip
    assert jobs.run(*arguments).summary["items"] == 10
    s3.put("in/b.csv", job_places.csv(5, 10))
    done = jobs.run(*arguments)
    assert (done.summary["items"], done.summary["left_out"]) == (5, 1)
    s3.put("in/a.csv", job_places.csv(3, 100))
    assert jobs.run(*arguments).summary["items"] == 3
    there = s3.keys()
    parts = [pq.read_table(io.BytesIO(s3.get(key))) for key in there if key.endswith(".parquet")]
    assert sorted(pa.concat_tables(parts)["seen"].to_pylist()) == [*range(15), 100, 101, 102]


def test_an_object_that_changes_after_it_was_listed_is_told(
    jobs: batch_jobs.Jobs, tmp_path: Path, s3: object_store.Bucket
) -> None:
    """More files than are looked at before any work; the script's first call changes one of the last."""
    for number in range(60):
        s3.put(f"in/{number:02}.csv", job_places.csv(1, number))
    body = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n\n"
        "def init():\n    from support import object_store\n"
        f"    object_store.Bucket({s3.endpoint!r}, {s3.name!r}).put('in/59.csv', b'id,a,b,c\\n1,2,3,4\\n')\n\n\n"
        "def run(frame):\n    return frame[['id']]\n"
    )
    batch_jobs.script(tmp_path, body)
    done = jobs.run(
        "--script", "code/score.py", "--pass", "dataframe", "-i", f"{s3.url}/in/", "--output", "out.csv",
        "--workers", "1", "--mini-batch-size", "1", *job_places.storage(s3.storage), report="text", code=5,
    )  # fmt: skip
    assert "in/59.csv has changed" in done.err
    assert not (tmp_path / "out.csv").exists()


# Azure


def test_from_azure_blob_to_azure_blob(
    tmp_path: Path, azurite: azurite_support.Container, echo: tuple[str, ...]
) -> None:
    azurite.put("in/a.csv", job_places.csv(30))
    azurite.put("in/deep/b.csv", job_places.csv(20, 30))
    url = f"abfs://{azurite.name}"
    jobs = batch_jobs.Jobs(
        tmp_path,
        {"PENSTOCK_DATASTORE_WORKSPACEBLOBSTORE": url, "AZURE_STORAGE_CONNECTION_STRING": ""},
    )
    try:
        options = job_places.storage(azurite.storage)
        jobs.run(*echo, "-i", f"{url}/in/", "--output", f"{url}/out.csv", *options)
        assert list(pd.read_csv(io.BytesIO(azurite.get("out.csv")))["seen"]) == list(range(50))
        there = "azureml://datastores/workspaceblobstore/paths"
        jobs.run(*echo, "-i", f"{there}/in/deep", "--output", f"{there}/scores", *options)
        assert "scores/_SUCCESS" in azurite.names()
        lost = jobs.run(*echo, "-i", "azureml://datastores/other/paths/in", "--output", "x.csv",
                        *options, report="text", code=5)  # fmt: skip
        assert "PENSTOCK_DATASTORE_OTHER" in lost.err
    finally:
        jobs.close()
