"""Types of text columns, found from samples of a file.

What Arrow infers, but for what would lose digits: a column in which a whole number has leading zeros (``007``, a
code) or more digits than 64 bits hold stays text. `ReadOptions.column_types` overrules it. Python 3.8.
"""

from __future__ import annotations

from typing import Any, Callable, Iterator

from penstock.runtimes.batch.formats import records
from penstock.runtimes.batch.formats.records import Records
from penstock.runtimes.batch.formats.texts import Text

SAMPLE = 256 << 10
"""Bytes of the first sample."""

SPOTS, SPOT = 8, 64 << 10
"""So many others of so many bytes, evenly spread, the last at the end."""

CODE = r"^[+-]?(0[0-9]+|[0-9]{19,})$"
"""A whole number that is not the same any more when it has been a number. Nineteen digits may fit, but a neighbour
will not."""


def samples(
    text: Text, format_records: Records, start: int, align: Callable[[bytes], bytes]
) -> Iterator[bytes]:
    """Whole records from the beginning of a text and from spots spread over it, or from the beginning only, where
    the rest is not at hand. `align` gives the whole records of bytes that begin and end anywhere."""
    if not text.cuttable or text.size - start <= 3 * SAMPLE:
        stop = text.size if text.cuttable else records.TO_THE_END
        taken = 0
        for _, data in records.blocks(text, format_records, start, stop, SAMPLE):
            yield data
            taken += len(data)
            if taken >= 3 * SAMPLE:
                return
        return
    for _, data in records.blocks(text, format_records, start, text.size, SAMPLE):
        yield data
        break
    with text.opened() as reader:
        for spot in range(1, SPOTS + 1):
            offset = start + (text.size - start - SPOT) * spot // SPOTS
            found = align(reader.read_at(offset, SPOT))
            # Where records are longer than that, a whole one is found in more.
            yield found or align(reader.read_at(min(offset, text.size - SAMPLE), SAMPLE))


def without_codes(schema: Any, texts: Any) -> Any:
    """`schema`, inferred from values that the table `texts` holds as bytes; a column of codes is a ``string``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    fields = []
    for field in schema:
        kind = field.type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            found = pc.match_substring_regex(texts.column(field.name), CODE)
            if pc.any(found, min_count=0).as_py():
                kind = pa.string()
        fields.append(pa.field(field.name, kind))
    return pa.schema(fields)
