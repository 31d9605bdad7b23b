"""Streams that joblib and people compress models with, opened by their first bytes.

Runs in workers: Python 3.8, standard library only. (An interpreter built without bz2 or lzma still works for
the rest.)
"""

from __future__ import annotations

import gzip
import importlib
import io
import zlib
from typing import BinaryIO, cast

GZIP = b"\x1f\x8b"
BZIP2 = b"BZh"
XZ = b"\xfd7zXZ\x00"
LZMA = b"]\x00\x00"
ZLIB = b"\x78"
LZ4 = b"\x04\x22\x4d\x18"


def name(head: bytes) -> str | None:
    """``gzip``, ``bz2``, ``xz``, ``lzma``, ``zlib``, ``lz4``, or None for what is not compressed."""
    if head.startswith(GZIP):
        return "gzip"
    if head.startswith(BZIP2):
        return "bz2"
    if head.startswith(XZ):
        return "xz"
    if head.startswith(LZMA):
        return "lzma"
    if head.startswith(LZ4):
        return "lz4"
    # RFC 1950: deflate with a 32 KiB window, and the two bytes are a multiple of 31.
    if head.startswith(ZLIB) and len(head) > 1 and int.from_bytes(head[:2], "big") % 31 == 0:
        return "zlib"
    return None


def open_plain(path: str) -> BinaryIO:
    """`path` opened for reading, decompressed on the fly. Raises OSError, EOFError, zlib.error or
    lzma.LZMAError while reading what is damaged, and ImportError where the codec is missing."""
    with open(path, "rb") as file:
        kind = name(file.read(16))
    if kind == "gzip":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if kind == "bz2":
        import bz2

        return cast(BinaryIO, bz2.open(path, "rb"))
    if kind in ("xz", "lzma"):
        import lzma

        return cast(BinaryIO, lzma.open(path, "rb"))
    if kind == "zlib":
        return cast(BinaryIO, io.BufferedReader(_ZlibStream(path)))
    if kind == "lz4":
        # By name: nobody has its types, and few have it.
        return cast(BinaryIO, importlib.import_module("lz4.frame").open(path, "rb"))
    return open(path, "rb")


class _ZlibStream(io.RawIOBase):
    """A zlib file (``joblib.dump(compress=3)``) as a stream: the standard library has none for files."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._file = open(path, "rb")  # noqa: SIM115 - closed in `close`
        self._inflate = zlib.decompressobj()
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer)).cast("B")
        while not self._ready and not self._inflate.eof:
            chunk = self._inflate.unconsumed_tail or self._file.read(1 << 16)
            if not chunk:
                break
            self._ready = self._inflate.decompress(chunk, 1 << 20)
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
