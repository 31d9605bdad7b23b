"""Delta tables written by hand, for what the library reads and does not write. Source of the format: the Delta
transaction log protocol, delta-io/delta, PROTOCOL.md."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq


def log(top: Path, *actions: dict[str, Any]) -> None:
    """A table at `top` of one version."""
    (top / "_delta_log").mkdir(parents=True)
    (top / "_delta_log/00000000000000000000.json").write_text("\n".join(map(json.dumps, actions)))


def metadata(configuration: dict[str, str], mapping: dict[str, Any]) -> dict[str, Any]:
    """The action that describes a table of one column, ``x``."""
    column = {"name": "x", "type": "long", "nullable": True, "metadata": mapping}
    return {"metaData": {
        "id": "0a1b2c3d-0000-4000-8000-000000000000", "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps({"type": "struct", "fields": [column]}), "partitionColumns": [],
        "configuration": configuration, "createdTime": 0,
    }}  # fmt: skip


def add(path: str, size: int, **more: Any) -> dict[str, Any]:
    """The action that adds the file at `path`."""
    return {
        "add": {
            "path": path,
            "partitionValues": {},
            "size": size,
            "modificationTime": 0,
            "dataChange": True,
            **more,
        }
    }


def _z85(content: bytes) -> str:
    letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    words = struct.unpack(f">{len(content) // 4}I", content)
    return "".join(letters[word // 85**place % 85] for word in words for place in range(4, -1, -1))


def with_vectors(top: Path, *deleted: Sequence[int] | None, rows: int = 40) -> None:
    """A table of files of `rows` rows each, of which those `deleted` are in deletion vectors (None: no vector)."""
    top.mkdir()
    features = ["deletionVectors"]
    protocol = {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features,
                             "writerFeatures": features}}  # fmt: skip
    added = []
    for number, gone in enumerate(deleted):
        path = top / f"{number} ü.parquet"
        pq.write_table(pa.table({"x": range(number * rows, (number + 1) * rows)}), path, row_group_size=13)
        more = {"stats": json.dumps({"numRecords": rows, "nullCount": {"x": 0}})}
        if gone is not None:
            # An array of one 32-bit Roaring bitmap, which has one container, a sorted array.
            bitmap = struct.pack("<IQIIIHHI", 1681511377, 1, 0, 12346, 1, 0, len(gone) - 1, 16)
            bitmap += struct.pack(f"<{len(gone)}H", *sorted(gone))
            inline = _z85(bitmap + b"\0" * (-len(bitmap) % 4))
            more["deletionVector"] = {"storageType": "i", "pathOrInlineDv": inline, "sizeInBytes": len(bitmap),
                                      "cardinality": len(gone)}  # fmt: skip
        added.append(add(quote(path.name), path.stat().st_size, **more))
    log(top, protocol, metadata({}, {}), *added)
