"""Text files as bytes: unpacked where they are compressed, transcoded where they are not UTF-8, without a mark.

A text is *cuttable* where any of its bytes can be reached at no cost and a line feed is one byte. Offsets count the
file's own bytes there; elsewhere those of the unpacked, transcoded stream. Python 3.8.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
from typing import Any, Iterator

from penstock.errors import DataError

_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bz2"))
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_ONE_BYTE = re.compile(r"(ascii|iso8859-\d+|cp125\d|koi8-[ru]|mac-roman)")
"""Encodings of one byte a character, ASCII among them: cut like UTF-8, transcoded block by block."""
_CHUNK = 1 << 20


class Text:
    """The text at `path`, in `encoding` unless its byte order mark says otherwise. Raises DataError: gone, no
    permission, no such encoding."""

    def __init__(self, path: str, encoding: str) -> None:
        self.path = path
        try:
            with open(path, "rb") as file:
                head = file.read(16)
            self.size = os.path.getsize(path)
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or error}", file=path) from error
        self.compression = next((name for magic, name in _MAGIC if head.startswith(magic)), "")
        if self.compression == "bz2" and head[4:10] != b"1AY&SY":
            self.compression = ""
        if self.compression:
            with self._unpacked() as stream:
                head = stream.read(16)
        mark, marked = next(((mark, name) for mark, name in _MARKS if head.startswith(mark)), (b"", ""))
        try:
            self.encoding = codecs.lookup(marked or encoding).name
        except LookupError:
            raise DataError(f"no such encoding: {encoding!r}", file=path) from None
        if self.encoding == "utf-8-sig":
            self.encoding = "utf-8"
        self._mark = len(mark)
        self._one_byte = bool(_ONE_BYTE.fullmatch(self.encoding))
        self.cuttable = not self.compression and (self._one_byte or self.encoding == "utf-8")
        self.start = self._mark if self.cuttable else 0
        """Where the text begins, after its mark."""

    def utf8(self, data: Any) -> Any:
        """`data` as UTF-8, which is not checked where the text says that it is. Raises UnicodeDecodeError."""
        return bytes(data).decode(self.encoding).encode() if self._one_byte else data

    def guessed_utf8(self, data: bytes) -> bytes:
        """`data` as UTF-8 for a look at its types; what cannot be decoded is replaced: reading it will say so."""
        return data.decode(self.encoding, "replace").encode() if self._one_byte else data

    @contextlib.contextmanager
    def opened(self) -> Iterator[Reader]:
        """A reader of the text."""
        if self.cuttable:
            with open(self.path, "rb", buffering=0) as file:
                yield _Plain(file.fileno(), self.size)
            return
        with self._unpacked() as stream:
            yield _Streamed(self._transcoded(stream))

    def line_at(self, offset: int) -> int:
        """The number of the line that begins at `offset`, counted from 1. Reads all that is before it."""
        lines, position, last = 1, self.start, b""
        with self.opened() as reader:
            while position < offset:
                data = reader.read_at(position, min(_CHUNK, offset - position))
                if not data:
                    break
                lines += lines_in(data)
                lines -= last == b"\r" and data[:1] == b"\n"
                position += len(data)
                last = data[-1:]
        return lines

    @contextlib.contextmanager
    def _unpacked(self) -> Iterator[Any]:
        import pyarrow as pa

        with _translated(self.path), pa.OSFile(self.path) as raw:
            yield pa.CompressedInputStream(raw, self.compression) if self.compression else raw

    def _transcoded(self, stream: Any) -> Iterator[bytes]:
        """The stream's content in blocks of UTF-8, without its mark."""
        skip = self._mark
        plain = self.encoding == "utf-8" or self._one_byte
        decoder = None if plain else codecs.getincrementaldecoder(self.encoding)()
        while True:
            with _translated(self.path):
                data = stream.read(_CHUNK)
            final = not data
            data, skip = data[skip:], max(0, skip - len(data))
            if decoder is not None:
                try:
                    data = decoder.decode(data, final).encode()
                except UnicodeError as error:
                    raise DataError(f"not {self.encoding}: {error}", file=self.path) from error
            if data:
                yield data
            if final:
                return


def lines_in(data: bytes) -> int:
    """How many lines end in `data`."""
    found = data.count(b"\n")
    return found + data.count(b"\r") - data.count(b"\r\n") if b"\r" in data else found


class Reader:
    """Reads a text at any offset, or, where that is not possible, at one that never goes back."""

    def read_at(self, offset: int, size: int) -> bytes:
        """`size` bytes at `offset`; fewer only at the end."""
        raise NotImplementedError


class _Plain(Reader):
    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._size = size

    def read_at(self, offset: int, size: int) -> bytes:
        size = min(size, self._size - offset)
        data = os.pread(self._descriptor, size, offset) if size > 0 else b""
        while len(data) < size:
            more = os.pread(self._descriptor, size - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data


class _Streamed(Reader):
    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._held = b""
        self._at = 0

    def read_at(self, offset: int, size: int) -> bytes:
        assert offset >= self._at, "a stream does not go back"
        while self._at + len(self._held) < offset:
            self._at += len(self._held)
            self._held = next(self._blocks, b"")
            if not self._held:
                return b""
        if offset > self._at:
            self._held, self._at = self._held[offset - self._at :], offset
        if len(self._held) < size:
            parts, have = [self._held], len(self._held)
            while have < size:
                more = next(self._blocks, b"")
                if not more:
                    break
                parts.append(more)
                have += len(more)
            self._held = b"".join(parts)
        return self._held[:size]


@contextlib.contextmanager
def _translated(path: str) -> Iterator[None]:
    """What a decompressor says about bytes that it cannot read, as a DataError."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"cannot be unpacked, it is damaged or cut short: {reason}", file=path) from error
