"""The Open Inference Protocol's inference requests and the metadata of a model.

Sources: the protocol's REST specification; Triton's binary tensor data extension; MLServer's convention that
a scikit-learn model's methods are its outputs: a request that names the output ``predict_proba`` gets that
method's answer, and one that names none gets the default method's; MLServer's tensor parameter
``content_type: base64`` for BYTES in JSON.

Inputs reach the model as its layout wants them: columns by name, each ``[rows]`` or ``[rows, 1]``; one tensor
``[rows, columns]`` of any name, for tables and arrays; or tensors by name.

Runs in workers: Python 3.8, standard library; NumPy inside the functions that need it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence
from urllib.parse import unquote

from penstock import errors
from penstock.scoring import tables
from penstock.scoring.codecs import compressed, json_text, openinference_outputs, schema, values
from penstock.scoring.codecs import openinference_tensors as tensors
from penstock.scoring.codecs.interface import Call
from penstock.scoring.interface import Field, Model, Reply, Request

HEADER_LENGTH = "Inference-Header-Content-Length"

PLATFORMS = {
    "sklearn": "sklearn_pickle",
    "xgboost": "xgboost_booster",
    "lightgbm": "lightgbm_booster",
    "catboost": "catboost_cbm",
    "onnx": "onnxruntime_onnx",
    "torch": "pytorch_torchscript",
    "mlflow": "mlflow_pyfunc",
    "python": "python_pickle",
}
"""The metadata's ``platform``, written ``<project>_<format>`` as the protocol asks, by `Model.format`."""


@dataclass(frozen=True)
class Wanted:
    """One output of the answer; `binary` says how its data goes."""

    name: str
    binary: bool


@dataclass(frozen=True)
class Form:
    """What `encode` must know of the request. `outputs` is empty where the request names none; then `binary`
    holds for all. `methods` are what is to be called, in order; the scorer calls the first. `version` is the
    model's as the path names it, or empty."""

    id: str
    version: str
    outputs: tuple[Wanted, ...]
    methods: tuple[str, ...]
    binary: bool


def metadata(model: Model, *, version: str = "") -> dict[str, Any]:
    """The model's metadata, for `Description.inference`. What the signature does not know is left out."""
    signature = model.signature
    found = {
        "name": model.name,
        "platform": PLATFORMS.get(model.format, f"{model.format}_model"),
        "inputs": [_described(field, "input") for field in signature.inputs],
        "outputs": [_described(field, "output") for field in signature.outputs],
    }
    version = version or str(getattr(model, "version", ""))
    if version:
        found["versions"] = [version]
    return found


class OpenInferenceCodec:
    """See the module. Errors are ``{"error": message}``."""

    def decode(self, request: Request, model: Model) -> Call:
        """See `Codec.decode`."""
        header, binary = _parts(request)
        inference = json_text.loads(header)
        if not isinstance(inference, dict):
            raise errors.MalformedInput(
                f"expected an inference request, an object with inputs; found {values.shown(inference)}"
            )
        parameters = _parameters(inference, "the request")
        form = _form(inference, parameters, _version(request.path), model)
        data = schema.from_named(_inputs(inference, binary, model), model)
        # Only what the model says it takes: the protocol's parameters are for everybody on the way.
        taken = {field.name for field in getattr(model, "params", ())}
        return Call(
            data,
            schema.row_count(data),
            method=form.methods[0],
            params={name: value for name, value in parameters.items() if name in taken},
            form=form,
        )

    def encode(self, result: Any, call: Call, model: Model) -> Reply:
        """See `Codec.encode`. Where the request names outputs of several methods, the others are called here:
        a call of the scorer is one method."""
        form: Form = call.form
        named = openinference_outputs.named(result, form.methods[0])
        for method in form.methods[1:]:
            more = model.call(method, tables.prepared(call.data, model), call.params) if call.rows else []
            for name, array in openinference_outputs.named(more, method).items():
                named.setdefault(name, array)
        wanted = form.outputs or tuple(Wanted(name, form.binary) for name in named)
        for output in wanted:
            if output.name not in named:
                raise _unknown_output(output.name, list(named))
        return _reply([(output, named[output.name]) for output in wanted], form, model)

    def refuse(self, status: int, message: str, request: Request) -> Reply:
        """See `Codec.refuse`."""
        return Reply(json_text.dumps({"error": message}), status=status)


def _described(field: Field, default_name: str) -> dict[str, Any]:
    return {
        "name": field.name or default_name,
        "datatype": _datatype_of_field(field),
        "shape": list(field.shape),
    }


def _datatype_of_field(field: Field) -> str:
    if field.dtype == "category":
        kinds = {type(category) for category in field.categories or ()}
        return (
            {bool: "BOOL", int: "INT64", float: "FP64"}.get(kinds.pop(), "BYTES")
            if len(kinds) == 1
            else "BYTES"
        )
    if field.dtype in ("object", "str", "bytes") or field.dtype.startswith("datetime"):
        return "BYTES"
    return tensors.DATATYPES_BY_DTYPE.get(field.dtype, "BYTES")


# The request


def _parts(request: Request) -> tuple[bytes, memoryview]:
    """The JSON of the request and the binary data after it."""
    body = compressed.inflated(request)
    sent = request.header(HEADER_LENGTH)
    if not sent:
        return body, memoryview(b"")
    length = int(sent) if sent.isascii() and sent.isdigit() else -1
    if not 0 < length <= len(body):
        raise errors.MalformedInput(
            f"{HEADER_LENGTH}: {sent[:40]} is no length of the JSON in a body of {len(body)} bytes"
        )
    return body[:length], memoryview(body)[length:]


def _parameters(holder: Mapping[str, Any], where: str) -> dict[str, Any]:
    found = holder.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise errors.MalformedInput(f"parameters of {where}: expected an object, found {values.shown(found)}")
    return found


def _flag(parameters: Mapping[str, Any], name: str, default: bool, where: str) -> bool:
    found = parameters.get(name, default)
    if not isinstance(found, bool):
        raise errors.MalformedInput(f"{name} of {where}: expected true or false, found {values.shown(found)}")
    return found


def _version(path: str) -> str:
    """The version in ``/v2/models/{m}/versions/{v}/infer``; the gateway has checked that it is there."""
    head, _, version = path[: -len("/infer")].rpartition("/versions/")
    return unquote(version) if head else ""


def _form(inference: Mapping[str, Any], parameters: Mapping[str, Any], version: str, model: Model) -> Form:
    identity = inference.get("id", "")
    if not isinstance(identity, str):
        raise errors.MalformedInput(f"id: expected a string, found {values.shown(identity)}")
    binary = _flag(parameters, "binary_data_output", False, "the request")
    outputs = tuple(_wanted(found, binary) for found in _objects(inference, "outputs", required=False))
    _refuse_repeated("outputs", [output.name for output in outputs])
    return Form(identity, version, outputs, _methods([output.name for output in outputs], model), binary)


def _methods(names: Sequence[str], model: Model) -> tuple[str, ...]:
    """The methods whose answers hold the outputs `names`. Raises SchemaMismatch for a name that is known to be
    none: a model's signature may not know its outputs, and then only the answer tells."""
    default = model.methods[0]
    outputs = [field.name for field in model.signature.outputs]
    found = []
    for name in names:
        if name in model.methods:
            found.append(name)
        elif name in outputs or not outputs:
            found.append(default)
        else:
            raise _unknown_output(name, list(dict.fromkeys([*outputs, *model.methods])))
    return tuple(dict.fromkeys(found)) or (default,)


def _unknown_output(name: str, known: Sequence[str]) -> errors.SchemaMismatch:
    return errors.SchemaMismatch(
        f"the model has no output {name!r}; it has {values.listed(known, most=40)}", field=name
    )


def _wanted(found: Mapping[str, Any], binary: bool) -> Wanted:
    name = _name(found, "an output")
    where = f"output {name!r}"
    parameters = _parameters(found, where)
    _refuse_shared_memory(parameters, where)
    if parameters.get("classification"):
        raise errors.MalformedInput(
            f"{where}: the classification extension is not served here; ask for the output itself"
        )
    return Wanted(name, _flag(parameters, "binary_data", binary, where))


def _objects(inference: Mapping[str, Any], key: str, *, required: bool) -> list[dict[str, Any]]:
    found = inference.get(key)
    if found is None and not required:
        return []
    if not isinstance(found, list) or (required and not found):
        what = "missing" if found is None else "empty" if found == [] else "found " + values.shown(found)
        raise errors.MalformedInput(f"{key}: expected a list of objects, {what}")
    for item in found:
        if not isinstance(item, dict):
            raise errors.MalformedInput(f"{key}: expected objects, found {values.shown(item)}")
    return found


def _name(tensor: Mapping[str, Any], what: str) -> str:
    name = tensor.get("name")
    if not isinstance(name, str) or not name:
        found = "none" if name is None else values.shown(name)
        raise errors.MalformedInput(f"the name of {what}: expected a string, found {found}")
    return name


def _refuse_repeated(key: str, names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise errors.MalformedInput(f"{key}: named twice: {values.listed(repeated)}")


def _refuse_shared_memory(parameters: Mapping[str, Any], where: str) -> None:
    if "shared_memory_region" in parameters:
        raise errors.MalformedInput(f"{where}: shared memory is not served here; send the data")


def _inputs(inference: Mapping[str, Any], binary: memoryview, model: Model) -> dict[str, Any]:
    """The arrays of all inputs by name, BYTES as the model wants them."""
    found: dict[str, Any] = {}
    at = 0
    inputs = _objects(inference, "inputs", required=True)
    names = [_name(tensor, "an input") for tensor in inputs]
    _refuse_repeated("inputs", names)
    raw = {field.name for field in model.signature.inputs if field.dtype == "bytes"}
    if len(raw) == len(model.signature.inputs):
        raw.update(names)
    for name, tensor in zip(names, inputs):
        where = f"tensor {name!r}"
        shape = tensors.check(name, tensor.get("datatype"), tensor.get("shape"))
        parameters = _parameters(tensor, where)
        _refuse_shared_memory(parameters, where)
        array, at = _array(name, tensor, shape, parameters, binary, at)
        if tensor["datatype"] == "BYTES":
            array = tensors.as_bytes(array) if name in raw else tensors.as_text(name, array)
        found[name] = array
    if at != len(binary):
        raise errors.MalformedInput(
            f"the tensors' binary_data_size add up to {at} bytes, but {len(binary)} follow the JSON"
        )
    return found


def _array(
    name: str,
    tensor: Mapping[str, Any],
    shape: tuple[int, ...],
    parameters: Mapping[str, Any],
    binary: memoryview,
    at: int,
) -> tuple[Any, int]:
    """The array of one input, and where the binary data of the next one begins."""
    datatype = tensor["datatype"]
    size = parameters.get("binary_data_size")
    if size is None:
        if "data" not in tensor:
            raise errors.MalformedInput(f"tensor {name!r}: it has neither data nor binary_data_size")
        encoded = parameters.get("content_type") == "base64"
        return tensors.from_json(name, datatype, shape, tensor["data"], encoded=encoded), at
    if "data" in tensor:
        raise errors.MalformedInput(f"tensor {name!r}: it has both data and binary_data_size")
    if type(size) is not int or not 0 <= size <= len(binary) - at:
        raise errors.MalformedInput(
            f"tensor {name!r}: binary_data_size is {values.shown(size)}, but {len(binary) - at} bytes are left"
        )
    return tensors.from_binary(name, datatype, shape, bytes(binary[at : at + size])), at + size


# The answer


def _reply(outputs: Sequence[tuple[Wanted, Any]], form: Form, model: Model) -> Reply:
    blobs: list[bytes] = []
    written = []
    for output, array in outputs:
        tensor: dict[str, Any] = {
            "name": output.name,
            "datatype": tensors.datatype_of(array.dtype),
            "shape": list(array.shape),
        }
        if output.binary:
            blob = tensors.to_binary(array)
            tensor["parameters"] = {"binary_data_size": len(blob)}
            blobs.append(blob)
        else:
            data, parameters = tensors.to_json(array)
            if parameters:
                tensor["parameters"] = parameters
            tensor["data"] = data
        written.append(tensor)
    answer: dict[str, Any] = {"model_name": model.name}
    version = form.version or str(getattr(model, "version", ""))
    if version:
        answer["model_version"] = version
    if form.id:
        answer["id"] = form.id
    answer["outputs"] = written
    header = json_text.dumps(answer)
    if not blobs:
        return Reply(header)
    return Reply(
        b"".join([header, *blobs]),
        content_type="application/octet-stream",
        headers=[(HEADER_LENGTH, str(len(header)))],
    )
