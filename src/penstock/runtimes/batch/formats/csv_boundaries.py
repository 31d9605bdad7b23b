"""Where records of delimited text end, exactly as Arrow's parser sees it.

A quote is one at a field's start only; in the middle of a field (``5" pipe``) it is a letter. After the quote that
ends a quoted field all is letters up to the next delimiter. A line ends at ``\\n``, ``\\r\\n`` or a lone ``\\r``;
empty lines are no records, nor are those that begin with the comment's sign. Python 3.8; works on bytes that begin
where a record begins.
"""

from __future__ import annotations

import re
from typing import Any, Iterator

from penstock.bundle.batch import ReadOptions
from penstock.errors import DataError


class Boundaries:
    """Finds the ends of records of a text that is read as `read` says. Raises DataError for options that make
    no sense."""

    def __init__(self, read: ReadOptions) -> None:
        self._delimiter = _letter(read.delimiter, "delimiter")
        self._quote = _letter(read.quote, "quote") if read.quote else b""
        self._escape = _letter(read.escape, "escape") if read.escape else b""
        self._comment = read.comment.encode()
        signs = [sign for sign in (self._delimiter, self._quote, self._escape, self._comment[:1]) if sign]
        if len(set(signs)) < len(signs):
            raise DataError("delimiter, quote, escape and comment of delimited text must differ")
        self._record, self._nothing = _patterns(self._delimiter, self._quote, self._escape, self._comment)

    def end(self, data: bytes, *, final: bool) -> int:
        """The offset after the last complete record of `data`, 0 when there is none. `final`: nothing comes
        after `data`; then it is less than the length only where a quoted field is never closed."""
        if not self._is_plain(data):
            stop = self._regular_end(data, final)
            return self._scanned_end(data, final) if stop is None else stop
        if final:
            return len(data)
        stop = max(data.rfind(b"\n"), data.rfind(b"\r"))
        if stop == len(data) - 1 and data[stop:] == b"\r":  # perhaps the first half of \r\n
            stop = max(data.rfind(b"\n", 0, stop), data.rfind(b"\r", 0, stop))
        return stop + 1

    def count(self, data: bytes) -> int:
        """How many records there are in `data`, which ends where a record ends."""
        if self._comment and self._comment in data:
            return sum(1 for _ in self.spans(data))
        if self._is_plain(data):
            return _count_lines(data)
        if self._is_regular(data):
            return _count_lines(self._quote.join(data.split(self._quote)[::2]))
        return sum(1 for _ in self.spans(data))

    def spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Begin and end of each record in `data`, which ends where a record ends; the line's end is part of it."""
        whole = data + b"\n"  # an escaped line feed may be the last byte, and no end
        position = 0
        while True:
            nothing = self._nothing.match(whole, position)
            position = nothing.end() if nothing else position
            record = self._record.match(whole, position) if position < len(whole) else None
            if record is None:
                return
            yield position, min(record.end(), len(data))
            position = record.end()

    def without_comments(self, data: bytes) -> bytes:
        """`data`, which ends where a record ends, without the lines that are comments."""
        if not self._comment or self._comment not in data:
            return data
        return b"".join(data[start:stop] for start, stop in self.spans(data))

    def _is_plain(self, data: bytes) -> bool:
        """Whether every line's end in `data` ends a record."""
        return not ((self._quote and self._quote in data) or (self._escape and self._escape in data))

    def _is_regular(self, data: bytes) -> bool:
        """Whether the quotes of `data` open and close in turn: each odd one after a delimiter or a line's end,
        each even one before one. Two that touch are a doubled quote within a field, and change nothing."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._escape or (self._comment and self._comment in data):
            return False
        letters = pa.Array.from_buffers(pa.uint8(), len(data), [None, pa.py_buffer(data)])
        places = pc.indices_nonzero(pc.equal(letters, pa.scalar(self._quote[0], pa.uint8())))
        if len(places) % 2:
            places = pa.concat_arrays([places, pa.array([len(data)], places.type)])
        pairs = pa.FixedSizeListArray.from_arrays(places, 2)
        opens, closes = pc.list_element(pairs, 0), pc.list_element(pairs, 1)
        before = opens if opens[0].as_py() else opens[1:]
        after = closes if closes[-1].as_py() < len(data) - 1 else closes[:-1]
        near = self._delimiter + self._quote + b"\r\n"
        allowed = pa.array([letter in near for letter in range(256)])
        return all(
            pc.all(allowed.take(letters.take(beside)), min_count=0).as_py()
            for beside in (pc.subtract(before, 1), pc.add(after, 1))
        )

    def _regular_end(self, data: bytes, final: bool) -> int | None:
        """`end` for regular quotes, else None. Goes back from the end, where the number of quotes tells whether
        one is open."""
        if not self._is_regular(data):
            return None
        outside = data.count(self._quote) % 2 == 0
        if final and outside:
            return len(data)
        stop = len(data) - 1 if data.endswith(b"\r") and not final else len(data)
        while True:
            begin = data.rfind(self._quote, 0, stop) + 1
            if outside:
                found = max(data.rfind(b"\n", begin, stop), data.rfind(b"\r", begin, stop))
                if found >= 0:
                    return found + 1
            if begin == 0:
                return 0
            outside, stop = not outside, begin - 1

    def _scanned_end(self, data: bytes, final: bool) -> int:
        whole = data + b"\n" if final else data
        limit = len(whole) - 1 if whole.endswith(b"\r") else len(whole)
        position = 0
        while position < limit:
            found = self._nothing.match(whole, position, limit) or self._record.match(whole, position, limit)
            if found is None:
                break
            position = found.end()
        return min(position, len(data))


def _letter(text: str, what: str) -> bytes:
    if len(text) != 1 or ord(text) > 127 or text in "\r\n":
        raise DataError(f"the {what} of delimited text is one ASCII character, not {text!r}")
    return text.encode()


def _patterns(delimiter: bytes, quote: bytes, escape: bytes, comment: bytes) -> tuple[Any, Any]:
    """What matches one record with its line's end, and what matches lines that are none. Alternatives exclude each
    other by their first byte, so that nothing is tried twice."""
    d, q, e = (re.escape(sign) for sign in (delimiter, quote, escape))
    pair = rb"|" + e + rb"." if e else b""
    inner = rb"(?:[^" + d + e + rb"\r\n]" + pair + rb")*" if e else rb"[^" + d + rb"\r\n]*"
    first = rb"(?:[^" + d + e + q + rb"\r\n]" + pair + rb")"
    field = rb"(?:" + first + inner + rb")?"
    if q and e:
        quoted = q + rb"[^" + q + e + rb"]*(?:" + e + rb".[^" + q + e + rb"]*)*" + q + inner
        field = rb"(?:" + quoted + rb"|" + first + inner + rb"|)"
    elif q:
        quoted = q + rb"[^" + q + rb"]*(?:" + q + q + rb"[^" + q + rb"]*)*" + q + rb"(?!" + q + rb")" + inner
        field = rb"(?:" + quoted + rb"|" + first + inner + rb"|)"
    line_end = rb"(?:\r\n|\n|\r)"
    record = field + rb"(?:" + d + field + rb")*" + line_end
    nothing = rb"[\r\n]+"
    if comment:
        nothing = rb"(?:[\r\n]+|" + re.escape(comment) + rb"[^\r\n]*" + line_end + rb")+"
    return re.compile(record, re.DOTALL), re.compile(nothing, re.DOTALL)


def _count_lines(data: bytes) -> int:
    """The lines of `data` that are not empty."""
    if b"\r" in data:
        data = data.replace(b"\r", b"\n")
    if data.startswith(b"\n") or b"\n\n" in data:
        data = data.lstrip(b"\n")
        while b"\n\n" in data:
            data = data.replace(b"\n\n", b"\n")
    return data.count(b"\n") + (0 if data.endswith(b"\n") or not data else 1)
