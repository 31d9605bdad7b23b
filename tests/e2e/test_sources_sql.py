"""A query's result as files, from a real PostgreSQL server and from SQLite."""

from __future__ import annotations

import datetime as dt
import random
import sqlite3
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from penstock.bundle.batch import Inputs
from penstock.errors import DataError
from penstock.runtimes.batch.formats import registry as formats
from penstock.runtimes.batch.plan import SourceFile
from penstock.runtimes.batch.sources import registry
from penstock.runtimes.batch.sources.interface import Source
from support import postgres as postgres_support
from support import services
from support.postgres import Database
from support.waiting import until

pytestmark = pytest.mark.slow


def opened(url: str, query: str, *, split: str = "", storage: Mapping[str, str] = {}) -> Source:
    """The source of one query."""
    inputs = Inputs((url,), query=query, split_column=split, storage=dict(storage))
    [source] = registry.open_sources(inputs, format_of=formats.format_of, environment={})
    return source


def fetched(source: Source, file: SourceFile, folder: Path) -> pa.Table:
    """The rows of one file."""
    path = folder / f"{random.random()}.arrow"
    source.fetch(file, str(path))
    with pa.OSFile(str(path)) as content:
        return pa.ipc.open_file(content).read_all()


def whole(url: str, query: str, folder: Path, **more: Any) -> tuple[list[SourceFile], pa.Table]:
    """All the files and all their rows."""
    source = opened(url, query, **more)
    try:
        files = list(source.files())
        return files, pa.concat_tables([fetched(source, file, folder) for file in files])
    finally:
        source.close()


def numbered(database: Database, rows: int = 1000) -> None:
    """A table `cases` with an integer primary key that has gaps."""
    database.run("CREATE TABLE cases (id bigint PRIMARY KEY, x double precision, name text)")
    database.run(
        "INSERT INTO cases SELECT i * i, i / 4.0, 'n' || i FROM generate_series(1, %s) AS i ORDER BY i %% 7",
        [rows],
    )


def test_a_table_in_ranges_of_its_key(postgres: Database, tmp_path: Path) -> None:
    numbered(postgres)
    files, table = whole(postgres.url, "cases", tmp_path, storage={"rows_per_range": "150"})
    assert len(files) == 7
    assert table.column("id").to_pylist() == [i * i for i in range(1, 1001)]
    assert table.schema == pa.schema([("id", pa.int64()), ("x", pa.float64()), ("name", pa.string())])
    assert table.column("name")[9].as_py() == "n10"
    where = f"postgresql://127.0.0.1:{postgres.port}/{postgres.name}/cases"
    assert files[0].uri == f"{where}?1<=id<22801"
    assert files[-1].uri == f"{where}?811801<=id<=1000000"
    assert {file.format for file in files} == {"arrow"}
    assert all(file.size > 0 and file.stamp for file in files)
    assert postgres_support.PASSWORD not in repr(files)
    assert postgres_support.QUOTED_PASSWORD not in repr(files)


def test_a_query_by_a_column_with_doubles_and_gaps(postgres: Database, tmp_path: Path) -> None:
    numbered(postgres)
    query = """SELECT id % 10 AS bucket, CASE WHEN id % 3 = 0 THEN NULL ELSE id / 100 END AS k, name -- all
        FROM cases;"""
    files, table = whole(postgres.url, query, tmp_path, split="k", storage={"rows_per_range": "100"})
    expected = postgres.run(f"SELECT bucket, k, name FROM ({query.rstrip(';')}) t")
    found = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert "k=NULL" in files[-1].uri
    keys = [k for _, k, _ in found if k is not None]
    assert keys == sorted(keys)
    again = whole(postgres.url, query, tmp_path, split="k", storage={"rows_per_range": "100"})
    assert again[1].equals(table)
    assert [file.stamp for file in again[0]] == [file.stamp for file in files]


@pytest.mark.parametrize(
    "kind",
    ["int", "numeric(12, 3)", "date", "timestamp", "timestamptz", "uuid", "text", "varchar(40)", "float8"],
)
def test_any_column_with_an_order_splits(kind: str, postgres: Database, tmp_path: Path) -> None:
    made = {
        "date": "date '2020-01-01' + i", "timestamp": "timestamp '2020-01-01' + i * interval '1.000001 s'",
        "timestamptz": "timestamptz '2020-01-01' + i * interval '1 h'", "uuid": "md5(i::text)::uuid",
        "text": "chr(39) || chr(92) || '%' || chr(34) || md5(i::text)", "varchar(40)": "md5(i::text)",
    }.get(kind, f"(i * 1.5)::{kind}")  # fmt: skip
    postgres.run(f'CREATE TABLE t AS SELECT ({made})::{kind} AS "the K", i FROM generate_series(1, 300) AS i')
    files, table = whole(postgres.url, "t", tmp_path, split="the K", storage={"rows_per_range": "64"})
    assert len(files) == 5
    assert sorted(table.column("i").to_pylist()) == list(range(1, 301))


def test_every_range_is_of_one_moment(postgres: Database, tmp_path: Path) -> None:
    numbered(postgres)
    source = opened(postgres.url, "cases", storage={"rows_per_range": "100"})
    files = source.files()
    first = next(files)
    postgres.run("UPDATE cases SET id = -id WHERE id % 2 = 0")
    postgres.run("DELETE FROM cases WHERE id % 3 = 0")
    postgres.run("INSERT INTO cases SELECT 10000000 + i, 0, '' FROM generate_series(1, 50) i")
    listed = [first, *files]
    with ThreadPoolExecutor(4) as pool:
        tables = list(pool.map(lambda file: fetched(source, file, tmp_path), listed))
    source.close()
    assert pa.concat_tables(tables).column("id").to_pylist() == [i * i for i in range(1, 1001)]
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    until(lambda: postgres.run(sessions) == [(1,)], "the sessions to end")


@pytest.mark.parametrize("query", ["cases", "SELECT * FROM cases"])
def test_a_resumed_job_reads_what_stayed_and_refuses_what_changed(
    query: str, postgres: Database, tmp_path: Path
) -> None:
    numbered(postgres)
    source = opened(postgres.url, query, split="id", storage={"rows_per_range": "100"})
    files = list(source.files())
    expected = [fetched(source, file, tmp_path) for file in files]
    source.close()
    postgres.run("UPDATE cases SET x = -1 WHERE id = 100")  # in the first range
    postgres.run("INSERT INTO cases VALUES (10000000, 0, '')")  # beyond the last
    postgres.run("DELETE FROM cases WHERE id = 1000 * 1000")  # in the last
    resumed = opened(postgres.url, query, split="id", storage={"rows_per_range": "100"})
    for file, table in zip(files[1:-1], expected[1:-1], strict=True):
        assert fetched(resumed, file, tmp_path).equals(table)
    for file in (files[0], files[-1]):
        with pytest.raises(DataError, match="has changed since the job was planned"):
            fetched(resumed, file, tmp_path)
    resumed.close()


def test_a_snapshot_that_is_lost_is_followed_by_the_next(postgres: Database, tmp_path: Path) -> None:
    numbered(postgres)
    source = opened(postgres.url, "cases", storage={"rows_per_range": "100"})
    files = list(source.files())
    postgres.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                 "AND datname = current_database()")  # fmt: skip
    tables = [fetched(source, file, tmp_path) for file in files]
    source.close()
    assert pa.concat_tables(tables).num_rows == 1000


def test_a_query_without_a_key_in_one_go(postgres: Database, tmp_path: Path) -> None:
    numbered(postgres)
    query = "SELECT name, id FROM cases WHERE name LIKE 'n1%' AND '12:30' <> ':x' ORDER BY id DESC"
    files, table = whole(postgres.url, query, tmp_path)
    assert [file.uri.rpartition("/")[2].partition("-")[0] for file in files] == ["query"]
    assert table.column("id").to_pylist() == [key for (key,) in postgres.run(f"SELECT id FROM ({query}) t")]
    source = opened(postgres.url, query)
    with pytest.raises(DataError, match="may have changed since") as caught:
        fetched(source, files[0], tmp_path)
    source.close()
    assert "--split-column" in caught.value.hint


def test_a_table_without_a_key(postgres: Database, tmp_path: Path) -> None:
    postgres.run("CREATE TABLE loose AS SELECT i FROM generate_series(1, 100) AS i")
    files, table = whole(postgres.url, "loose", tmp_path)
    assert len(files) == 1
    assert table.column("i").to_pylist() == list(range(1, 101))
    source = opened(postgres.url, "loose")
    assert fetched(source, files[0], tmp_path).equals(table)
    postgres.run("INSERT INTO loose VALUES (101)")
    source.close()
    source = opened(postgres.url, "loose")
    with pytest.raises(DataError, match="has changed since"):
        fetched(source, files[0], tmp_path)
    source.close()


def test_partitioned_tables_and_views(postgres: Database, tmp_path: Path) -> None:
    postgres.run("CREATE TABLE p (id int PRIMARY KEY, x int) PARTITION BY RANGE (id)")
    postgres.run("CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (50)")
    postgres.run("CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (50) TO (1000)")
    postgres.run("INSERT INTO p SELECT i, i FROM generate_series(1, 100) i")
    postgres.run("CREATE VIEW v AS SELECT * FROM p")
    assert whole(postgres.url, "p", tmp_path, storage={"rows_per_range": "30"})[1].num_rows == 100
    assert len(whole(postgres.url, "v", tmp_path)[0]) == 1
    files, table = whole(postgres.url, "v", tmp_path, split="id", storage={"rows_per_range": "30"})
    assert len(files) == 4
    assert table.column("id").to_pylist() == list(range(1, 101))


def test_nothing_is_a_file_without_rows(postgres: Database, tmp_path: Path) -> None:
    postgres.run("CREATE TABLE t (id int PRIMARY KEY, x text)")
    for query in ("t", "SELECT * FROM t"):
        files, table = whole(postgres.url, query, tmp_path)
        assert len(files) == 1
        assert table.num_rows == 0
        assert table.schema.names == ["id", "x"]


UTC = dt.UTC
TYPES: list[tuple[str, str, pa.DataType, Any]] = [
    ("smallint", "7", pa.int16(), 7),
    ("integer", "-7", pa.int32(), -7),
    ("bigint", "9007199254740993", pa.int64(), 9007199254740993),
    ("real", "0.5", pa.float32(), 0.5),
    ("double precision", "'NaN'", pa.float64(), "nan"),
    ("double precision", "'-Infinity'", pa.float64(), float("-inf")),
    ("numeric(9, 2)", "1234567.89", pa.decimal128(9, 2), Decimal("1234567.89")),
    ("numeric(9, 0)", "1000000", pa.decimal128(9, 0), Decimal(1000000)),
    ("numeric(50, 10)", "1e30", pa.decimal256(50, 10), Decimal("1e30")),
    ("numeric(90, 0)", "1e80", pa.string(), "1" + 80 * "0"),
    ("numeric", "1.1", pa.float64(), 1.1),
    ("numeric", "1e15", pa.float64(), 1e15),
    ("boolean", "true", pa.bool_(), True),
    ("date", "'0044-03-15'", pa.date32(), dt.date(44, 3, 15)),
    ("time", "'23:59:59.999999'", pa.time64("us"), dt.time(23, 59, 59, 999999)),
    ("timetz", "'23:59:59+02'", pa.string(), "23:59:59+02"),
    ("timestamp", "'2024-02-29 12:00:00.000001'", pa.timestamp("us"), dt.datetime(2024, 2, 29, 12, 0, 0, 1)),
    ("timestamptz", "'2024-02-29 12:00+05:30'", pa.timestamp("us", "UTC"),
     dt.datetime(2024, 2, 29, 6, 30, tzinfo=UTC)),
    ("interval", "'1 mon 2 days 03:00'", pa.string(), "1 mon 2 days 03:00:00"),
    ("text", "'a%:b''é\\'", pa.string(), "a%:b'é\\"),
    ("varchar(5)", "'ab'", pa.string(), "ab"),
    ("char(4)", "'ab'", pa.string(), "ab  "),
    ("bytea", "'\\x00ff'", pa.binary(), b"\x00\xff"),
    ("uuid", "'00000000-0000-0000-0000-00000000000A'", pa.string(), "00000000-0000-0000-0000-00000000000a"),
    ("json", "'{\"a\":  1}'", pa.string(), '{"a":  1}'),
    ("jsonb", "'{\"a\":  1.10}'", pa.string(), '{"a": 1.10}'),
    ("int[]", "'{1,NULL,3}'", pa.list_(pa.int32()), [1, None, 3]),
    ("text[]", "'{a,\"b c\"}'", pa.list_(pa.string()), ["a", "b c"]),
    ("numeric[]", "'{1.5}'", pa.list_(pa.float64()), [1.5]),
    ("uuid[]", "'{00000000-0000-0000-0000-00000000000A}'", pa.list_(pa.string()),
     ["00000000-0000-0000-0000-00000000000a"]),
    ("inet", "'10.0.0.1/8'", pa.string(), "10.0.0.1/8"),
    ("int4range", "'[1,5)'", pa.string(), "[1,5)"),
    ("mood", "'so so'", pa.string(), "so so"),
    ("positive", "5", pa.int32(), 5),
    ("point", "'(1,2)'", pa.string(), "(1,2)"),
    ("money", "'1.50'", pa.string(), "$1.50"),
    ("xml", "'<a/>'", pa.string(), "<a/>"),
]  # fmt: skip


def test_types(postgres: Database, tmp_path: Path) -> None:
    postgres.run("CREATE TYPE mood AS ENUM ('so so')")
    postgres.run("CREATE DOMAIN positive AS int CHECK (VALUE > 0)")
    postgres.run("SET lc_monetary = 'C'")
    columns = ", ".join(f"c{number} {kind}" for number, (kind, *_) in enumerate(TYPES))
    postgres.run(f"CREATE TABLE t (id int PRIMARY KEY, {columns})")
    values = ", ".join(value for _, value, *_ in TYPES)
    postgres.run(f"INSERT INTO t VALUES (1, {values})")
    postgres.run("INSERT INTO t VALUES (2)")
    for query in ("t", "SELECT * FROM t"):
        table = whole(postgres.url, query, tmp_path, split="id")[1]
        for number, (kind, _, expected, value) in enumerate(TYPES):
            column = table.column(f"c{number}")
            assert column.type == expected, kind
            found = column[0].as_py()
            assert (str(found) if value == "nan" else found) == value, kind
            assert column[1].as_py() is None, kind


def test_types_one_at_a_time(postgres: Database, tmp_path: Path) -> None:
    # Alone in a table most types travel in their binary form, and all together as text.
    for number, (kind, said, expected, value) in enumerate(TYPES):
        if kind in ("mood", "positive"):
            continue
        postgres.run(f"CREATE TABLE t{number} (id int, x {kind})")
        postgres.run(f"INSERT INTO t{number} VALUES (1, {said}), (2, NULL)")
        table = whole(postgres.url, f"SELECT * FROM t{number} ORDER BY id", tmp_path)[1]
        assert table.column("x").type == expected, kind
        first, second = table.column("x").to_pylist()
        assert (str(first) if value == "nan" else first) == value, kind
        assert second is None, kind


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("'NaN'::numeric(5, 2)", "column 'x'"),
        ("'12345678901234567890'::numeric", "whole number that a double does not hold"),
        ("'infinity'::date", "value that cannot be read"),
        ("'infinity'::timestamp", "value that cannot be read"),
        ("'0044-03-15 BC'::date", "value that cannot be read"),
        ("'{{1,2},{3,4}}'::int[]", "column 'x'"),
        ("1 / (id - 1)", "division by zero"),
    ],
)
def test_values_that_cannot_be_read(
    expression: str, message: str, postgres: Database, tmp_path: Path
) -> None:
    numbered(postgres, 3)
    with pytest.raises(DataError, match=message) as caught:
        whole(postgres.url, f"SELECT id, {expression} AS x FROM cases", tmp_path)
    assert f"127.0.0.1:{postgres.port}/{postgres.name}" in str(caught.value)
    assert "cast" in caught.value.hint or "division" in message


def test_mistakes(postgres: Database, tmp_path: Path) -> None:
    numbered(postgres, 3)
    postgres.run('CREATE TABLE "Mixed Case" (id int)')

    def fails(query: str, message: str, hint: str = "", **more: Any) -> None:
        with pytest.raises(DataError, match=message) as caught:
            whole(postgres.url, query, tmp_path, **more)
        assert hint in caught.value.hint
        assert postgres_support.PASSWORD not in f"{caught.value!r}{caught.value.hint}"

    fails("case", "has no table case", "did you mean cases?")
    fails("nothing.cases", "has no table nothing.cases", "cases")
    fails("SELECT * FORM cases", "cannot run the query: syntax error")
    fails("SELECT nonsense FROM cases", "nonsense")
    fails("cases", "no column 'idd' to split it by", "did you mean id?", split="idd")
    fails("SELECT 1 AS a, 2 AS a", "more than one column called a", "AS a_2")
    fails("  ", "nobody says what to read", "--query")
    fails("cases", "rows_per_range is 'many'", storage={"rows_per_range": "many"})
    fails("DELETE FROM cases", "cannot run the query")
    fails("SELECT 1; DROP TABLE cases", "cannot run the query")
    assert postgres.run("SELECT count(*) FROM cases") == [(3,)]
    assert whole(postgres.url, '"Mixed Case"', tmp_path)[1].num_rows == 0
    assert whole(postgres.url, "public.CASES", tmp_path)[1].num_rows == 3


def test_connections_that_cannot_be_made(postgres: Database, tmp_path: Path) -> None:
    def fails(url: str, message: str) -> None:
        source = opened(url, "cases")
        with pytest.raises(DataError, match=message) as caught:
            list(source.files())
        source.close()
        assert "sesame" not in f"{caught.value}{caught.value.hint}{caught.value.__cause__}"
        assert "wr0ng" not in f"{caught.value}{caught.value.hint}"

    fails(postgres.url.replace(postgres_support.QUOTED_PASSWORD, "wr0ng"), "no access to postgresql://127")
    fails(postgres.url + "_not", "does not exist")
    fails(postgres.url.replace(str(postgres.port), str(services.free_port())), "cannot be reached")
    with pytest.raises(DataError, match="URL cannot be read"):
        opened("postgresql://u:p@h:port/db", "cases")


def test_a_query_that_is_never_the_same(postgres: Database, tmp_path: Path) -> None:
    numbered(postgres)
    query = "SELECT id FROM cases WHERE random() < 0.5"
    with pytest.raises(DataError, match="were counted"):
        whole(postgres.url, query, tmp_path, split="id", storage={"rows_per_range": "200"})


def test_odd_names(postgres: Database, tmp_path: Path) -> None:
    postgres.run('CREATE SCHEMA "s %"')
    postgres.run('CREATE TABLE "s %"."t ""q""" ("a ""b"" %s :c" int PRIMARY KEY)')
    postgres.run('INSERT INTO "s %"."t ""q""" SELECT generate_series(1, 10)')
    files, table = whole(postgres.url, '"s %"."t ""q"""', tmp_path, storage={"rows_per_range": "4"})
    assert len(files) == 3
    assert table.column('a "b" %s :c').to_pylist() == list(range(1, 11))


def test_memory_is_bounded(postgres: Database, tmp_path: Path) -> None:
    import tracemalloc

    postgres.run(
        "CREATE TABLE big AS SELECT i AS id, repeat('x', 200) || i AS t FROM generate_series(1, 200000) i"
    )
    postgres.run("ANALYZE big")
    whole(postgres.url, "SELECT * FROM big LIMIT 10", tmp_path)  # imports what it needs, which is not counted
    source = opened(postgres.url, "SELECT * FROM big")
    [file] = source.files()
    usual = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(usual)  # its peak is ours alone, not that of the tests before
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        source.fetch(file, str(tmp_path / "big"))
        peak = tracemalloc.get_traced_memory()[1] + pool.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)
    source.close()
    assert (tmp_path / "big").stat().st_size > 40_000_000
    assert pool.max_memory() > 0
    assert peak < 40_000_000, (peak, pool.max_memory())


def test_sqlite(tmp_path: Path) -> None:
    database = tmp_path / "a b.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE cases (id INTEGER PRIMARY KEY, x REAL, n, t TEXT, b BLOB, e)")
        connection.executemany(
            "INSERT INTO cases VALUES (?, ?, ?, ?, ?, NULL)",
            [(i * i, i / 4, i if i % 2 else float(i), f"t%:{i}", bytes([i % 256])) for i in range(1, 301)],
        )
    url = f"sqlite:///{database}"
    files, table = whole(url, "cases", tmp_path, storage={"rows_per_range": "100"})
    assert [file.uri for file in files] == [
        f"sqlite:///{database}/cases?1<=id<10201", f"sqlite:///{database}/cases?10201<=id<40401",
        f"sqlite:///{database}/cases?40401<=id<=90000",
    ]  # fmt: skip
    assert table.column("id").to_pylist() == [i * i for i in range(1, 301)]
    assert [str(column.type) for column in table.columns] == [
        "int64",
        "double",
        "double",
        "string",
        "binary",
        "null",
    ]
    query = "SELECT id, t FROM cases WHERE t LIKE '%1%' AND t <> ':x'"
    assert (
        whole(url, query, tmp_path)[1].num_rows == whole(url, query, tmp_path, split="id")[1].num_rows == 138
    )
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE cases SET x = 0 WHERE id = 1")
    resumed = opened(url, "cases", storage={"rows_per_range": "100"})
    assert fetched(resumed, files[1], tmp_path).equals(table.slice(100, 100))
    with pytest.raises(DataError, match="has changed since"):
        fetched(resumed, files[0], tmp_path)
    resumed.close()
    with pytest.raises(DataError, match="has no table case") as caught:
        whole(url, "case", tmp_path)
    assert "did you mean cases?" in caught.value.hint
    with pytest.raises(DataError, match="there is no SQLite file"):
        opened(f"sqlite:///{tmp_path}/other.db", "cases")
    assert not (tmp_path / "other.db").exists()
    with pytest.raises(DataError, match="syntax error"):
        whole(url, "SELECT FROM", tmp_path)
    with pytest.raises(DataError, match="cannot be split by t"):
        whole(url, "cases", tmp_path, split="t")


def test_dialects_that_are_not_installed() -> None:
    with pytest.raises(DataError, match="nothing here speaks to mysql"):
        opened("mysql://u:p@h/db", "t")
