"""The format of one file, from its bytes: first by magic numbers, then by structure.

What we score returns a loader's name; what we recognise and cannot score raises a ModelError that says what
it looks like and what to do. Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
import zipfile
from typing import Callable

from penstock.errors import ModelError
from penstock.scoring.loaders import compression, pickle_signs, protobuf_signs

FORMATS = (
    "scikit-learn (joblib, pickle), XGBoost, LightGBM, CatBoost, ONNX, TorchScript, torch.export "
    "or an MLflow folder"
)
_HEAD_BYTES = 1 << 16

_AGAIN = "Save or copy the model again."
_DATA = "Give the model itself; data can be its --sample-input."
_RE_EXPORT = "Export it to ONNX, or log it with mlflow and serve that folder, or load it in a scoring script."

_SCRIPT = "load it in a scoring script"

# (test on the first bytes, what it looks like, what to do)
_FOREIGN: tuple[tuple[Callable[[bytes], bool], str, str], ...] = (
    (
        lambda head: head.startswith(b"version https://git-lfs.github.com/spec/"),
        "a Git LFS pointer, not the model itself",
        "Run `git lfs pull` in its repository to fetch the real file.",
    ),
    (
        lambda head: bool(re.match(rb"\s*(<!doctype html|<html)", head[:512], re.IGNORECASE)),
        "an HTML page, perhaps the error or login page of a download that failed",
        "Download the model again, signed in, and look at what came.",
    ),
    (lambda head: b"<PMML" in head[:2048], "a PMML document", _RE_EXPORT),
    (
        lambda head: head.startswith(b"\x89HDF\r\n\x1a\n"),
        "an HDF5 file, the form of Keras models and weights",
        f"Export it to ONNX (tf2onnx, or model.export(format='onnx') in Keras 3), or {_SCRIPT}.",
    ),
    (
        lambda head: head[8:10] == b'{"' and struct.unpack("<Q", head[:8])[0] < 100_000_000,
        "a safetensors file: weights without the network that uses them",
        f"Export the whole model (torch.export.save, torch.jit.save or ONNX), or {_SCRIPT}.",
    ),
    (
        lambda head: head.startswith(b"GGUF"),
        "a GGUF file, a language model for llama.cpp",
        "It needs llama.cpp.",
    ),
    (lambda head: head[4:8] == b"TFL3", "a TensorFlow Lite model", _RE_EXPORT),
    (
        lambda head: bool(re.match(rb"RD[XA][23]\n|[XA]\n\x00\x00\x00[\x02\x03]", head)),
        "an R object (.rds or .RData)",
        "Export it from R in the library's own form (xgb.save, lgb.save) or as ONNX.",
    ),
    (lambda head: head.startswith(b"\x93NUMPY"), "a NumPy array, not a model", _DATA),
    (lambda head: head.startswith(b"PAR1"), "a Parquet table, not a model", _DATA),
    (lambda head: head[257:262] == b"ustar", "a tar archive", "Unpack it and give what is inside."),
    (
        lambda head: head.startswith((b"\x7fELF", b"MZ")),
        "a program or shared library",
        "Give the model file.",
    ),
)


def file_format(path: str) -> str:
    """The loader's name for the file at `path`; raises ModelError, see the module."""
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise ModelError(f"cannot read the model file {path}: {error.strerror or error}") from error
    if size == 0:
        raise ModelError(f"the model file {path} is empty (0 bytes)", hint=_AGAIN)
    _refuse_foreign(path, head)
    if head.startswith(b"CBM1"):
        return "catboost"
    if compression.name(head) is not None:
        return _compressed_format(path)
    if head.startswith(b"PK\x03\x04"):
        return _zip_format(path)
    if pickle_signs.is_pickle(head, whole=size <= len(head)):
        return _pickle_format(path, head)
    if head[:1] in (b"{", b"["):
        return _braces_format(path, head)
    if re.match(rb"\s*tree\r?\n", head):
        return _lightgbm_format(path, size)
    if _is_old_xgboost(head):
        return "xgboost"
    if head[4:8] == b"ORTM":
        return "onnx"
    return _protobuf_format(path, size, head)


def _refuse_foreign(path: str, head: bytes) -> None:
    for matches, looks_like, advice in _FOREIGN:
        if matches(head):
            raise ModelError(f"{path} looks like {looks_like}", hint=advice)


def _compressed_format(path: str) -> str:
    try:
        with compression.open_plain(path) as stream:
            head = stream.read(_HEAD_BYTES)
    except ImportError:
        # This may be the command line's Python; the model's own may have the codec. Only joblib writes such.
        return "python"
    except Exception as error:  # each codec has errors of its own for a damaged stream
        raise ModelError(f"{path} is compressed, and damaged: {error}", hint=_AGAIN) from error
    _refuse_foreign(path, head)
    if pickle_signs.is_pickle(head, whole=len(head) < _HEAD_BYTES):
        return _pickle_format(path, head)
    raise ModelError(f"{path} is compressed, and what it holds is no pickle", hint="Decompress it first.")


def _pickle_format(path: str, head: bytes) -> str:
    # torch.save before 1.6: a pickled magic number, then the rest.
    if b"\xfc\x9cF\xf9 j\xa8P\x19." in head[:32]:
        raise _weights_only(path)
    top = pickle_signs.top_class(head)
    return "sklearn" if top is not None and top[0].split(".")[0] == "sklearn" else "python"


def _zip_format(path: str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelError(f"{path} begins like a zip archive, and is damaged: {error}", hint=_AGAIN) from error
    inner = {name.partition("/")[2] or name for name in names}
    tails = {name.rsplit("/", 1)[-1] for name in names}
    if "constants.pkl" in inner:
        return "torch"
    if "serialized_exported_program.json" in names or ("archive_format" in inner and _has(names, "models/")):
        return "torch"
    if "data.pkl" in inner:
        raise _weights_only(path)
    if "MLmodel" in tails:
        raise ModelError(f"{path} is a zip archive of an MLflow model", hint="Unpack it and give the folder.")
    if "model.weights.h5" in tails:
        raise ModelError(f"{path} looks like a Keras model", hint=_RE_EXPORT)
    if "schema.json" in names:
        return "skops"
    if names and all(name.endswith(".npy") for name in names):
        raise ModelError(f"{path} looks like NumPy arrays (.npz), not a model")
    raise ModelError(f"{path} is a zip archive", hint="Unpack it and give the model file or folder inside.")


def _has(names: list[str], part: str) -> bool:
    return any(part in name for name in names)


def _weights_only(path: str) -> ModelError:
    return ModelError(
        f"{path} was written by torch.save: weights, or a module whose class is not in the file. "
        "It cannot be scored by itself",
        hint="Save the whole network: torch.export.save(torch.export.export(model, args), 'model.pt2'), "
        "or torch.jit.script(model).save('model.pt'), or load it in a scoring script.",
    )


def _braces_format(path: str, head: bytes) -> str:
    """JSON, or UBJSON, which begins with the same brace."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(b"learner") >= 0 and content.find(b"gradient_booster") >= 0:
            return "xgboost"
        is_lightgbm = content.find(b'"tree_info"') >= 0
        is_catboost = content.find(b'"oblivious_trees"') >= 0 or content.find(b'"float_features"') >= 0
    if is_lightgbm:
        raise ModelError(
            f"{path} looks like LightGBM's dump_model, which is for reading and cannot be loaded",
            hint="Save the model with booster.save_model(path).",
        )
    if b'"nodeid"' in head:
        raise ModelError(
            f"{path} looks like XGBoost's dump_model, which is for reading and cannot be loaded",
            hint="Save the model with booster.save_model('model.json').",
        )
    if is_catboost:
        raise ModelError(f"{path} looks like a CatBoost model in JSON", hint=_RE_EXPORT)
    raise ModelError(f"{path} looks like JSON, and not like a model", hint=f"Known are {FORMATS}.")


def _lightgbm_format(path: str, size: int) -> str:
    """Refuses a text that is cut off, on which LightGBM itself crashes the process."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        sizes = re.search(rb"\ntree_sizes=([\d ]+)\r?\n\r?\n", content)
        is_cut = content.find(b"\nTree=") < 0
        if sizes:
            is_cut = sizes.end() + sum(map(int, sizes.group(1).split())) > size
    if is_cut:
        raise ModelError(
            f"{path} looks like a LightGBM model whose end is missing ({size} bytes)", hint=_AGAIN
        )
    return "lightgbm"


def _is_old_xgboost(head: bytes) -> bool:
    """XGBoost's binary form before JSON: an optional ``binf``, 136 bytes of parameters, then the names of
    objective and booster, each after its length as a 64-bit number."""
    at = 136 + (4 if head.startswith(b"binf") else 0)
    names = []
    for _ in range(2):
        if len(head) < at + 8:
            return False
        (length,) = struct.unpack_from("<Q", head, at)
        if not 0 < length < 64:
            return False
        names.append(head[at + 8 : at + 8 + length])
        at += 8 + length
    return names[1] in (b"gbtree", b"gblinear", b"dart")


def _protobuf_format(path: str, size: int, head: bytes) -> str:
    with open(path, "rb") as file:
        state = protobuf_signs.onnx_state(file, size)
    if state == "whole":
        return "onnx"
    if state == "cut":
        raise ModelError(f"{path} looks like an ONNX model whose end is missing ({size} bytes)", hint=_AGAIN)
    raise _unknown(path, head)


def _unknown(path: str, head: bytes) -> ModelError:
    if path.endswith((".py", ".yml", ".yaml", ".ipynb")):
        return ModelError(
            f"{path} is not a model", hint="A scoring script is given with --code DIR --script score.py."
        )
    try:
        text = head[:2048].decode("utf-8", errors="strict" if len(head) <= 2048 else "ignore")
        is_text = bool(text.strip()) and all(char.isprintable() or char in "\r\n\t" for char in text)
    except UnicodeDecodeError:
        is_text = False
    if is_text:
        first = text.strip().splitlines()[0][:60]
        return ModelError(
            f"{path} is a text file, not a model; it begins {first!r}", hint=f"Known are {FORMATS}."
        )
    begins = head[:8].hex(" ") if hasattr(head, "hex") else ""
    return ModelError(
        f"{path} is of no model format known here (it begins {begins})", hint=f"Known are {FORMATS}."
    )
