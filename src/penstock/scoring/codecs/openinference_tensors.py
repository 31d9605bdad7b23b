"""Tensors of the Open Inference Protocol: datatype and shape, JSON data and binary data, to arrays and back.

Sources: the protocol's "Tensor Data Types" and "Tensor Data", and Triton's binary tensor data extension:
little-endian, row-major, BOOL one byte, a BYTES element its length as u32 and then its bytes. BF16 is an
addition of Triton's and KServe's; NumPy has no such type, so it arrives as float32, which holds it exactly.

A BYTES element is text (`str`) until a model says otherwise: it arrives as `str` from JSON and as `bytes`
from binary data, and `as_text` joins the two.

Runs in workers: Python 3.8, standard library; NumPy inside the functions that need it.
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Any, Sequence

from penstock import errors

DTYPES: dict[str, str] = {
    "BOOL": "|b1",
    "UINT8": "|u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "|i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
"""NumPy's dtype of each datatype that it has."""

DATATYPES = (*DTYPES, "BF16", "BYTES")

_NAMES = {dtype.lstrip("<|"): datatype for datatype, dtype in DTYPES.items()}

DATATYPES_BY_DTYPE = {
    "bool": "BOOL",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    **{f"int{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
}
"""The datatype of each of NumPy's dtypes by its name."""

MOST_DIMENSIONS = 32
"""NumPy's own limit, before its version 2."""

LARGEST_DIMENSION = 2**31 - 1
"""No tensor that fits a request has a longer one."""

MOST_ELEMENTS = 2**48
"""Beyond any request. The dimensions of an empty tensor must keep to it too, for NumPy multiplies them."""

_LENGTH = struct.Struct("<I")
_EXACT_FLOAT = 2**53


def check(name: str, datatype: Any, shape: Any) -> tuple[int, ...]:
    """The shape as a tuple. Raises MalformedInput when `datatype` or `shape` is not one of the protocol's."""
    if datatype not in DATATYPES:
        raise errors.MalformedInput(
            "tensor {!r}: datatype {} is not one of {}".format(name, _shown(datatype), ", ".join(DATATYPES))
        )
    if not isinstance(shape, list):
        raise errors.MalformedInput(f"tensor {name!r}: shape is {_shown(shape)}, expected a list")
    if len(shape) > MOST_DIMENSIONS:
        raise errors.MalformedInput(
            f"tensor {name!r}: shape has {len(shape)} dimensions, at most {MOST_DIMENSIONS} are possible"
        )
    for size in shape:
        if type(size) is not int or not 0 <= size <= LARGEST_DIMENSION:
            raise errors.MalformedInput(
                f"tensor {name!r}: shape holds {_shown(size)}, "
                f"expected whole numbers from 0 to {LARGEST_DIMENSION}"
            )
    if count([size or 1 for size in shape]) > MOST_ELEMENTS:
        raise errors.MalformedInput(f"tensor {name!r}: shape {shape} is larger than any request")
    return tuple(shape)


def count(shape: Sequence[int]) -> int:
    """Elements of a tensor of `shape`. Exact: Python's integers do not overflow."""
    elements = 1
    for size in shape:
        elements *= size
    return elements


def from_json(name: str, datatype: str, shape: tuple[int, ...], data: Any, *, encoded: bool = False) -> Any:
    """The array of `shape` whose elements are `data`, a flat or nested list in row-major order.

    `encoded`: the elements of a BYTES tensor are base64. ``null`` is NaN in a floating-point tensor. Raises
    MalformedInput when an element is not of `datatype` or the elements do not fill `shape`.
    """
    import numpy as np

    if not isinstance(data, list):
        raise errors.MalformedInput(f"tensor {name!r}: data is {_shown(data)}, expected a list")
    if datatype == "BYTES":
        flat = _flat(name, shape, data)
        array = np.empty(len(flat), dtype=object)
        array[:] = [_text(name, element, encoded) for element in flat]
    else:
        array = _numbers(name, datatype, shape, data)
    return array.reshape(shape)


def from_binary(name: str, datatype: str, shape: tuple[int, ...], data: bytes) -> Any:
    """The array of `shape` that the binary `data` holds; writable, aligned and in the machine's byte order.
    Raises MalformedInput when sizes do not match."""
    import numpy as np

    if datatype == "BYTES":
        split = _split(name, shape, data)
        array = np.empty(len(split), dtype=object)
        array[:] = split
        return array.reshape(shape)
    elements = count(shape)
    dtype = np.dtype("<u2" if datatype == "BF16" else DTYPES[datatype])
    if len(data) != elements * dtype.itemsize:
        raise errors.MalformedInput(
            f"tensor {name!r}: {datatype} of shape {list(shape)} takes {elements * dtype.itemsize} bytes, "
            f"got {len(data)}"
        )
    if datatype == "BOOL":
        raw = np.frombuffer(data, dtype=np.uint8)
        if raw.size and int(raw.max()) > 1:
            raise errors.MalformedInput(f"tensor {name!r}: a BOOL byte is {int(raw.max())}, expected 0 or 1")
        return raw.astype(bool).reshape(shape)
    found = np.frombuffer(data, dtype=dtype)
    if datatype == "BF16":
        widened = found.astype(np.uint32) << np.uint32(16)
        return widened.view(np.float32).reshape(shape)
    return found.astype(dtype.newbyteorder("=")).reshape(shape)


def as_text(name: str, array: Any) -> Any:
    """`array` of BYTES with every element a `str`. Raises SchemaMismatch for bytes that are not UTF-8."""
    import numpy as np

    texts = np.empty(array.size, dtype=object)
    for at, element in enumerate(array.ravel()):
        if isinstance(element, bytes):
            try:
                element = element.decode("utf-8")
            except UnicodeDecodeError as error:
                raise errors.SchemaMismatch(
                    f"tensor {name!r}: element {at} is not UTF-8 text ({error.reason})",
                    field=name,
                ) from error
        texts[at] = element
    return texts.reshape(array.shape)


def as_bytes(array: Any) -> Any:
    """`array` of BYTES with every element `bytes`."""
    import numpy as np

    found = np.empty(array.size, dtype=object)
    for at, element in enumerate(array.ravel()):
        found[at] = element.encode("utf-8") if isinstance(element, str) else element
    return found.reshape(array.shape)


def datatype_of(dtype: Any) -> str:
    """The datatype that carries arrays of NumPy's `dtype`; BYTES where no number does."""
    return _NAMES.get(f"{dtype.kind}{dtype.itemsize}", "BYTES")


def to_json(array: Any) -> tuple[list[Any], dict[str, Any]]:
    """The flat data of `array` and its tensor parameters.

    JSON has no NaN and no infinity: both are ``null``, which `from_json` reads as NaN; binary data keeps
    them. Bytes that are not UTF-8 make the whole tensor base64, which the parameters then say.
    """
    import numpy as np

    flat = array.ravel()
    if flat.dtype.kind == "f":
        values = flat.tolist()
        if not np.isfinite(flat).all():
            values = [value if finite else None for value, finite in zip(values, np.isfinite(flat).tolist())]
        return values, {}
    if datatype_of(flat.dtype) != "BYTES":
        return flat.tolist(), {}
    elements = [_bytes(element) for element in flat.tolist()]
    try:
        return [element.decode("utf-8") for element in elements], {}
    except UnicodeDecodeError:
        encoded = [base64.b64encode(element).decode("ascii") for element in elements]
        return encoded, {"content_type": "base64"}


def to_binary(array: Any) -> bytes:
    """The binary data of `array`."""
    datatype = datatype_of(array.dtype)
    if datatype == "BYTES":
        parts: list[bytes] = []
        for element in array.ravel().tolist():
            data = _bytes(element)
            parts.append(_LENGTH.pack(len(data)))
            parts.append(data)
        return b"".join(parts)
    data = array.astype(DTYPES[datatype], copy=False).tobytes()
    assert isinstance(data, bytes)
    return data


def _bytes(element: Any) -> bytes:
    if isinstance(element, bytes):
        return element
    return str(element).encode("utf-8", "surrogatepass")


def _text(name: str, element: Any, encoded: bool) -> Any:
    if not isinstance(element, str):
        raise errors.MalformedInput(
            f"tensor {name!r}: a BYTES element is {_shown(element)}, expected a string"
        )
    if not encoded:
        return element
    try:
        return base64.b64decode(element, validate=True)
    except (binascii.Error, ValueError) as error:
        raise errors.MalformedInput(f"tensor {name!r}: {_shown(element)} is not base64 ({error})") from error


def _numbers(name: str, datatype: str, shape: tuple[int, ...], data: list[Any]) -> Any:
    import numpy as np

    dtype = np.dtype("f4" if datatype == "BF16" else DTYPES[datatype]).newbyteorder("=")
    flat = _flat(name, shape, data)
    array = _quick(flat)
    if array is not None:
        exact = _exact(array, datatype, dtype)
        if exact is not None:
            return exact
    # Something in it is not plain: find out what, element by element.
    return np.array([_number(name, element, datatype, dtype) for element in flat], dtype=dtype)


def _quick(flat: list[Any]) -> Any:
    """`flat` as NumPy reads it, if that is numbers throughout; else None."""
    import numpy as np

    try:
        array = np.array(flat)
    except (ValueError, OverflowError, TypeError):
        return None
    return array if array.dtype.kind in "iufb" and array.ndim == 1 else None


def _exact(array: Any, datatype: str, dtype: Any) -> Any:
    """`array` in `dtype` where nothing is lost or mistaken; None where somebody must look closer."""
    import numpy as np

    if not array.size:
        return array.astype(dtype)
    kind = array.dtype.kind
    if dtype.kind == "b":
        return array if kind == "b" else None
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        fits = kind in "iu" and limits.min <= int(array.min()) and int(array.max()) <= limits.max
        return array.astype(dtype) if fits else None
    # A list of numbers that holds a boolean reads as numbers too: that slip is let pass, it means 0 or 1.
    if kind == "b":
        return None
    with np.errstate(over="ignore"):
        cast = _rounded(array) if datatype == "BF16" else array.astype(dtype)
    return cast if np.isfinite(cast).all() else None


def _rounded(array: Any) -> Any:
    """float32 that BF16 holds exactly, rounded to nearest, ties to even."""
    import numpy as np

    bits = array.astype(np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return np.where(np.isfinite(bits.view(np.float32)), rounded, bits).astype(np.uint32).view(np.float32)


def _number(name: str, element: Any, datatype: str, dtype: Any) -> Any:
    import numpy as np

    if dtype.kind == "f":
        if element is None:
            return float("nan")
        if type(element) in (int, float):
            return _floating(name, element, datatype, dtype)
    elif dtype.kind == "b":
        if type(element) is bool or (type(element) is int and element in (0, 1)):
            return bool(element)
    else:
        if type(element) is float and element.is_integer() and abs(element) <= _EXACT_FLOAT:
            element = int(element)
        if type(element) is int:
            limits = np.iinfo(dtype)
            if limits.min <= element <= limits.max:
                return element
            raise _misfit(name, element, f"from {limits.min} to {limits.max}", datatype)
    raise _misfit(
        name, element, {"f": "a number", "b": "true or false"}.get(dtype.kind, "a whole number"), datatype
    )


def _floating(name: str, element: Any, datatype: str, dtype: Any) -> Any:
    import numpy as np

    try:
        value = float(element)
    except OverflowError:
        value = float("inf")
    with np.errstate(over="ignore"):
        cast = np.array([value], dtype=dtype)
        cast = _rounded(cast)[0] if datatype == "BF16" else cast[0]
    # The parser reads 1e999 as infinity; only a caller who wrote Infinity means it, and both look alike here.
    if np.isinf(cast) and not (isinstance(element, float) and element in (float("inf"), float("-inf"))):
        raise _misfit(name, element, "a number that it can hold", datatype)
    return cast


def _misfit(name: str, element: Any, expected: str, datatype: str) -> errors.MalformedInput:
    return errors.MalformedInput(
        f"tensor {name!r}: {_shown(element)} is no element of {datatype}, expected {expected}"
    )


def _flat(name: str, shape: tuple[int, ...], data: list[Any]) -> list[Any]:
    """The elements of `data`, flat or nested as `shape` says. Never goes deeper than `shape`."""
    if list not in set(map(type, data)):
        if len(data) != count(shape):
            raise _misshapen(name, shape, f"{len(data)} elements")
        return data
    level: list[Any] = [data]
    for size in shape:
        if not all(isinstance(part, list) and len(part) == size for part in level):
            raise _misshapen(name, shape, "nested otherwise")
        level = [element for part in level for element in part]
    if any(isinstance(element, list) for element in level):
        raise _misshapen(name, shape, "nested otherwise")
    return level


def _misshapen(name: str, shape: tuple[int, ...], found: str) -> errors.MalformedInput:
    return errors.MalformedInput(
        f"tensor {name!r}: shape {list(shape)} holds {count(shape)} elements, but data is {found}"
    )


def _split(name: str, shape: tuple[int, ...], data: bytes) -> list[bytes]:
    elements: list[bytes] = []
    at = 0
    expected = count(shape)
    while at < len(data) and len(elements) < expected:
        start = at + _LENGTH.size
        if start > len(data):
            break
        at = start + _LENGTH.unpack_from(data, start - _LENGTH.size)[0]
        if at > len(data):
            raise errors.MalformedInput(
                f"tensor {name!r}: element {len(elements)} is said to have {at - start} bytes, "
                f"but {len(data) - start} are left"
            )
        elements.append(data[start:at])
    if at != len(data) or len(elements) != expected:
        raise errors.MalformedInput(
            "tensor {!r}: BYTES of shape {} has {} elements, but {} bytes of data hold {}{}".format(
                name,
                list(shape),
                expected,
                len(data),
                len(elements),
                "" if at == len(data) else f" and {len(data) - at} bytes more",
            )
        )
    return elements


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
