"""Whether a file is an ONNX model, from the outermost fields of its protocol buffer.

Source: onnx.proto, message ModelProto: ir_version 1, producer_name 2, producer_version 3, domain 4,
model_version 5, doc_string 6, graph 7, opset_import 8, metadata_props 14, training_info 20, functions 25,
configuration 26. Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

from typing import BinaryIO

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_ONNX_FIELDS = {1: _VARINT, 2: _BYTES, 3: _BYTES, 4: _BYTES, 5: _VARINT, 6: _BYTES, 7: _BYTES, 8: _BYTES}
_ONNX_FIELDS.update({14: _BYTES, 20: _BYTES, 25: _BYTES, 26: _BYTES})


def onnx_state(file: BinaryIO, size: int) -> str:
    """``whole`` for an ONNX model, ``cut`` for one whose end is missing, ``no`` for anything else.

    `file` stands at its beginning and is `size` bytes long. Only field headers are read.
    """
    seen: dict[int, int] = {}
    while file.tell() < size:
        tag = _varint(file)
        if tag is None:
            return "no"
        number, wire = tag >> 3, tag & 7
        if _ONNX_FIELDS.get(number) != wire:
            return "no"
        seen[number] = seen.get(number, 0) + 1
        value = _varint(file)
        if value is None:
            return "no"
        if wire == _BYTES:
            if file.tell() + value > size:
                return "cut" if seen.get(1) == 1 and number == 7 else "no"
            file.seek(value, 1)
    return "whole" if 7 in seen and 1 in seen else "no"


def _varint(file: BinaryIO) -> int | None:
    value = shift = 0
    while shift < 64:
        byte = file.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7
    return None
