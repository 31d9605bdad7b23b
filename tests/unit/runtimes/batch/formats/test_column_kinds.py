"""Names of types, as people write them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from penstock.errors import DataError
from penstock.runtimes.batch.formats import column_kinds


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("int64", pa.int64()),
        ("double", pa.float64()),
        ("string", pa.string()),
        ("bool", pa.bool_()),
        ("date32", pa.date32()),
        ("timestamp[us]", pa.timestamp("us")),
        ("timestamp[ns, tz=UTC]", pa.timestamp("ns", tz="UTC")),
        ("decimal128(10, 2)", pa.decimal128(10, 2)),
        (" float ", pa.float32()),
    ],
)
def test_names_of_types(name: str, kind: Any) -> None:
    assert column_kinds.type_of(name) == kind


@pytest.mark.parametrize("name", ["integer", "", "timestamp[x]", "decimal(x)", "decimal128()"])
def test_names_that_are_no_types(name: str) -> None:
    with pytest.raises(DataError, match="column 'c': no such type"):
        column_kinds.type_of(name, column="c")
