"""Where records end: compared, at every cut of every text, with a machine that goes letter by letter."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.bundle.batch import ReadOptions
from penstock.errors import DataError
from penstock.runtimes.batch.formats.csv_boundaries import Boundaries

DOUBLED = ReadOptions()
ESCAPED = ReadOptions(escape="\\")
UNQUOTED = ReadOptions(quote="")
COMMENTED = ReadOptions(comment="#", delimiter=";", quote="'")
OPTIONS = [DOUBLED, ESCAPED, UNQUOTED, COMMENTED]


def letter_by_letter(data: bytes, read: ReadOptions) -> tuple[list[tuple[int, int]], bool]:
    """The records of `data` as offsets, and whether the last one is still within quotes or after an escape."""
    delimiter, quote, escape, comment = (
        text.encode() for text in (read.delimiter, read.quote, read.escape, read.comment)
    )
    found, position, begin, state = [], 0, 0, "record"
    while position < len(data):
        letter = data[position : position + 1]
        ends = letter in (b"\n", b"\r")
        width = 2 if data[position : position + 2] == b"\r\n" else 1
        if state == "record":
            begin = position
            if ends:
                position += width
                continue
            if comment and data.startswith(comment, position):
                state = "comment"
                continue
            state = "field start"
        if state == "comment":
            position += width if ends else 1
            state = "record" if ends else state
            continue
        if state == "quoted":
            if escape and letter == escape:
                position += 2
            elif letter == quote:
                doubled = not escape and data[position + 1 : position + 2] == quote
                position += 2 if doubled else 1
                state = "quoted" if doubled else "field"
            else:
                position += 1
            continue
        if state == "field start" and quote and letter == quote:
            position, state = position + 1, "quoted"
        elif escape and letter == escape:
            position, state = position + 2, "field"
        elif ends:
            position += width
            found.append((begin, position))
            state = "record"
        else:
            position, state = position + 1, "field start" if letter == delimiter else "field"
    if state not in ("record", "comment"):
        found.append((begin, len(data)))
    return found, state == "quoted" or position > len(data)


def texts(read: ReadOptions) -> st.SearchStrategy[bytes]:
    signs = [read.delimiter, read.quote, read.escape, read.comment, "\n", "\r", "\r\n", "a", "5", " ", "é"]
    letters = st.sampled_from([sign for sign in signs if sign])
    quoted = st.lists(letters, max_size=4).map(
        lambda inner: (
            read.quote
            + "".join(inner).replace(read.quote or "\0", read.quote * 2)
            + read.quote
            + read.delimiter
        )
    )
    return st.lists(st.one_of(letters, quoted), max_size=14).map(lambda parts: "".join(parts).encode())


@pytest.mark.parametrize("read", OPTIONS, ids=["doubled", "escaped", "unquoted", "commented"])
def test_boundaries_agree_with_the_machine(read: ReadOptions) -> None:
    boundaries = Boundaries(read)

    @settings(max_examples=100, deadline=None)
    @given(texts(read))
    @example(b'a,"b\n",c\n5" pipe,6",\n"x""y\n",\r\n')
    @example(b'"a"b"c,"\n"\n1,2')
    @example(b"\n\r\n\ra\r")
    def check(data: bytes) -> None:
        records, is_open = letter_by_letter(data, read)
        end = boundaries.end(data, final=True)
        if is_open:
            assert end <= records[-1][0]
            assert end >= (records[-2][1] if len(records) > 1 else 0)
            return
        assert end == len(data)
        assert list(boundaries.spans(data)) == records
        assert boundaries.count(data) == len(records)
        kept = boundaries.without_comments(data)
        assert kept == b"".join(data[a:b] for a, b in records) or not read.comment or b"#" not in data
        for stop in range(len(data)):
            cut = boundaries.end(data[:stop], final=False)
            assert cut == 0 or all(b <= cut or a >= cut for a, b in records), (stop, cut)
            assert data[cut - 1 : cut + 1] != b"\r\n" or cut == 0
            complete = [b for _, b in letter_by_letter(data[: max(0, stop - 1)], read)[0][:-1]]
            assert cut >= max(complete, default=0), "a complete record was not seen"

    check()


def test_a_text_without_quotes_is_cut_at_its_last_line() -> None:
    data = b"1,2\n" * 100_000 + b"3"
    assert Boundaries(DOUBLED).end(data, final=False) == len(data) - 1
    assert Boundaries(DOUBLED).count(data) == 100_001


def test_an_open_quote_keeps_the_rest_together() -> None:
    data = b'1,2\n"3\n4,5\n6'
    assert Boundaries(DOUBLED).end(data, final=False) == 4
    assert Boundaries(DOUBLED).end(data, final=True) == 4


@pytest.mark.parametrize(
    "read",
    [
        ReadOptions(delimiter=""),
        ReadOptions(delimiter=",,"),
        ReadOptions(delimiter="§"),
        ReadOptions(quote="\n"),
        ReadOptions(delimiter='"'),
    ],
)
def test_options_that_make_no_sense_are_refused(read: ReadOptions) -> None:
    with pytest.raises(DataError, match=r"ASCII character|differ"):
        Boundaries(read)
