"""An MLTable from its file to its rows: what is written, how it is read, what is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.runtimes.batch.formats import registry
from penstock.runtimes.batch.transformations import rewriting
from penstock.runtimes.batch.transformations.rewriting import Origin
from penstock.spec import mltables

CSV = "code,x,when,note\n007,1,01/02/2023,\n08,,15/03/2023,b\n9,2.5,bad,c\n"


@pytest.fixture
def rows(tmp_path: Path):
    """The rows that an MLTable with these transformations gives of `CSV`."""
    (tmp_path / "d.csv").write_text(CSV, encoding="utf-8")

    def reading(text: str) -> list[dict]:
        (tmp_path / "MLTable").write_text(
            "paths: [{file: d.csv}]\ntransformations:\n" + text, encoding="utf-8"
        )
        table = mltables.read(str(tmp_path))
        (path,) = table.locations
        form = registry.of(table.format)
        schema = form.schema(path, table.read)
        after = rewriting.schema_after(schema, table.transformations)
        found: list[dict] = []
        first = 0
        for cut in form.cuts(path, table.read, size=1 << 20, rows=1):
            for batch in form.batches(path, cut, table.read, schema=schema, columns=None, rows=2):
                import pyarrow as pa

                origin = Origin(path, first)
                made = rewriting.apply(pa.Table.from_batches([batch]), table.transformations, origin)
                assert made.schema == after
                found += made.to_pylist()
                first += batch.num_rows
        return found

    return reading


def test_types_are_inferred(rows):
    assert [row["x"] for row in rows("  - read_delimited\n")] == [1.0, None, 2.5]


def test_types_are_left_alone(rows):
    first, *_ = rows("  - read_delimited: {infer_column_types: false}\n")
    assert first == {"code": "007", "x": "1", "when": "01/02/2023", "note": None}


def test_codes_keep_their_zeros_and_empty_texts_may_stay(rows):
    found = rows(
        "  - read_delimited: {empty_as_string: true}\n"
        "  - convert_column_types:\n"
        "    - {columns: code, column_type: string}\n"
        "    - columns: when\n"
        "      column_type: {datetime: {formats: '%d/%m/%Y'}}\n"
        "  - filter: x >= 1 and when == datetime(2023, 2, 1)\n"
        "  - keep_columns: [note, code]\n"
    )
    assert found == [{"note": "", "code": "007"}]
