"""What a model answered, as JSON, CSV or an Arrow stream.

JSON is a list with one element a row: a number or string, a list (several outputs, probabilities), or an
object (DataFrames, as MLflow gives them). A model that answers named tensors gives an object of lists. NaN,
infinities and missing values become ``null``, which is what JSON has for them (MLflow and ``json.dumps`` write
``NaN``, which most clients cannot read); dates become ISO 8601 text, bytes base64, as in MLflow.
Runs in workers: Python 3.8; NumPy, pandas and pyarrow inside the functions that need them.
"""

from __future__ import annotations

import base64
import csv
import datetime as dt
import io
from typing import Any, Sequence

from penstock import errors
from penstock.scoring.codecs import accept, json_text
from penstock.scoring.interface import Field

_PLAIN = {str, int, float, bool, type(None)}


def jsonable(result: Any) -> Any:
    """`result` as dicts, lists, strings, numbers, booleans and None (NaN is left to `json_text.dumps`)."""
    kind = type(result)
    if kind in _PLAIN:
        return result
    if hasattr(result, "iloc"):
        return _of_pandas(result)
    letter = getattr(getattr(result, "dtype", None), "kind", None)
    if isinstance(letter, str):
        return _of_numpy(result, letter)
    if isinstance(result, dict):
        return {str(name): jsonable(value) for name, value in result.items()}
    if isinstance(result, (list, tuple, set, frozenset)):
        if kind is list and set(map(type, result)) <= _PLAIN:
            return result
        return [jsonable(item) for item in result]
    return _of_scalar(result)


def _of_numpy(result: Any, kind: str) -> Any:
    if hasattr(result, "toarray"):  # a SciPy sparse matrix
        result = result.toarray()
    if kind in "fiub":
        return result.tolist()
    if kind in "Mm":
        import numpy as np

        if kind == "m":
            return (result / np.timedelta64(1, "s")).tolist()  # seconds
        text = np.datetime_as_string(result).tolist()
        return _dates(text)
    if kind == "c":
        return jsonable([[value.real, value.imag] for value in result.ravel().tolist()])
    return jsonable(result.tolist())


def _dates(text: Any) -> Any:
    if isinstance(text, list):
        return [_dates(item) for item in text]
    return None if text == "NaT" else text


def _of_pandas(result: Any) -> Any:
    if hasattr(result, "columns"):
        columns = [_of_pandas(result.iloc[:, index]) for index in range(result.shape[1])]
        names = [str(name) for name in result.columns]
        return [dict(zip(names, row)) for row in zip(*columns)]
    if result.dtype.kind in "fiub" and type(result.dtype).__module__.startswith("numpy"):
        return result.tolist()
    # Whatever the dtype (categories, nullable integers, zoned dates), the elements are Python's or pandas'.
    return [jsonable(item) for item in result.tolist()]


def _of_scalar(value: Any) -> Any:
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode("ascii")
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # a torch tensor
        return value.detach().cpu().tolist()
    if isinstance(value, (str, int, float)):
        return value
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "_asdict"):
        return jsonable(value._asdict())
    raise TypeError(f"the model answered a {type(value).__name__}, which has no JSON form")


def write(result: Any, content_type: str, output: Field | None, *, wrapped: bool) -> bytes:
    """`result` in `content_type`; `wrapped` puts JSON into MLflow's ``{"predictions": ...}``. `output` is what
    the signature says of it."""
    if content_type == accept.ARROW:
        return _arrow(columns(result, output))
    if content_type == accept.CSV:
        return _csv(columns(result, output))
    value = jsonable(result)
    return json_text.dumps({"predictions": value} if wrapped else value)


def columns(result: Any, output: Field | None) -> dict[str, Any]:
    """`result` as named columns of values: a DataFrame's, dict's or records' own names; ``predictions`` for
    one value a row; for several the classes that `output` names, or ``predictions_0`` and so on."""
    if hasattr(result, "columns"):
        return {str(name): result.iloc[:, index] for index, name in enumerate(result.columns)}
    if isinstance(result, dict):
        return {str(name): value for name, value in result.items()}
    if hasattr(result, "toarray"):
        result = result.toarray()
    if isinstance(result, list) and result and all(isinstance(row, dict) for row in result):
        names = list(dict.fromkeys(name for row in result for name in row))
        return {str(name): [row.get(name) for row in result] for name in names}
    if len(getattr(result, "shape", ())) != 2:
        return {"predictions": result}
    width = result.shape[1]
    if width == 1:
        return {"predictions": result[:, 0]}
    classes = output.categories if output is not None and output.categories else ()
    named = [str(name) for name in classes]
    if len(named) != width or len(set(named)) != width:
        named = [f"predictions_{index}" for index in range(width)]
    return {name: result[:, index] for index, name in enumerate(named)}


def _arrow(by_name: dict[str, Any]) -> bytes:
    pyarrow = arrow_library()
    table = pyarrow.table({name: _arrow_array(pyarrow, column) for name, column in by_name.items()})
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body: bytes = sink.getvalue().to_pybytes()
    return body


def _arrow_array(pyarrow: Any, column: Any) -> Any:
    if len(getattr(column, "shape", ())) > 1:
        return pyarrow.array(column.tolist())
    return pyarrow.array(column)


def arrow_library() -> Any:
    """pyarrow. Raises UnsupportedMedia where the environment has none."""
    try:
        import pyarrow as pa
    except ImportError:
        raise errors.UnsupportedMedia(
            f"{accept.ARROW} needs pyarrow, which the model's environment does not have; use {accept.JSON}"
        ) from None
    return pa


def _csv(by_name: dict[str, Any]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(by_name)
    cells: list[Sequence[Any]] = [jsonable(column) for column in by_name.values()]
    for row in zip(*cells):
        writer.writerow([_cell(value) for value in row])
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    """Missing is empty; what is no single value is written as JSON."""
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json_text.dumps(value).decode() if isinstance(value, (list, dict)) else value
