"""The inputs that a TorchScript module was traced with, which ``torch.jit.trace`` writes into the file.

torch itself does not give them back, so their shapes are read from the archive (``traced_inputs.pkl``) by an
unpickler that knows four names and executes nothing. Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from typing import Any

_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "float32",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


def read(path: str) -> list[tuple[str, tuple[int, ...]]] | None:
    """``(dtype, shape)`` of each positional input of `forward`; None where the file has none, or they are
    not all tensors."""
    with zipfile.ZipFile(path) as archive:
        found = [name for name in archive.namelist() if name.endswith("/traced_inputs.pkl")]
        if not found:
            return None
        content = archive.read(found[0])
    try:
        inputs = _Reader(io.BytesIO(content)).load()["forward"]
    except (pickle.UnpicklingError, KeyError, TypeError, EOFError):
        return None
    if not isinstance(inputs, list) or not all(isinstance(value, _Tensor) for value in inputs):
        return None
    return [(value.dtype, value.shape) for value in inputs]


class _Tensor:
    def __init__(self, storage: str, _offset: int, shape: tuple[int, ...], *_rest: Any) -> None:
        self.dtype = storage
        self.shape = tuple(shape)


_KNOWN: dict[tuple[str, str], Any] = {
    ("torch.jit._pickle", "restore_type_tag"): lambda value, _tag: value,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("collections", "OrderedDict"): collections.OrderedDict,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an example") from None

    def persistent_load(self, pid: Any) -> Any:
        # ("storage", type, key, device, size)
        return pid[1]
