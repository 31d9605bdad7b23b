"""What a model answered, as named arrays that the Open Inference Protocol can carry.

Every array is of numbers, booleans, or objects that are `str` or `bytes`. What has no form of its own becomes
text: dates ISO 8601, records and ragged lists JSON. A missing string is the empty one: BYTES has no null.

Runs in workers: Python 3.8, standard library; NumPy inside the functions that need it.
"""

from __future__ import annotations

import warnings
from typing import Any

from penstock.scoring.codecs import answers, json_text
from penstock.scoring.codecs import openinference_tensors as tensors


def named(result: Any, method: str) -> dict[str, Any]:
    """`result` of `method` by output name: a dict's and a DataFrame's own names, else that of the method."""
    if isinstance(result, dict):
        return {str(name): to_array(value) for name, value in result.items()}
    if hasattr(result, "columns") and hasattr(result, "iloc"):
        return {str(name): to_array(result.iloc[:, at]) for at, name in enumerate(result.columns)}
    return {method: to_array(result)}


def to_array(value: Any) -> Any:
    """`value` as an array that `openinference_tensors` can write."""
    import numpy as np

    if hasattr(value, "toarray"):  # a SciPy sparse matrix
        value = value.toarray()
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # a torch tensor
        value = value.detach().cpu().numpy()
    if hasattr(value, "iloc"):
        value = _of_series(value)
    if type(value).__module__ != "numpy":
        value = _of_objects(value)
    array = np.asarray(value)
    kind = array.dtype.kind
    if kind in "biuf":
        known = tensors.datatype_of(array.dtype.newbyteorder("=")) != "BYTES"
        return array if known else array.astype(np.float64)
    if kind in "US":
        return array.astype(object)
    if kind == "M":
        return np.datetime_as_string(array).astype(object)
    if kind == "m":
        return array / np.timedelta64(1, "s")
    if kind == "c":
        return np.stack([array.real, array.imag], axis=-1).astype(np.float64)
    return _of_elements(array)


def _of_series(series: Any) -> Any:
    """A pandas Series; nullable numbers become floats with NaN where something is missing."""
    kind = getattr(series.dtype, "kind", "O")
    if kind in "iufb" and type(series.dtype).__module__ != "numpy":
        if series.isna().any():
            return series.to_numpy(dtype="float64", na_value=float("nan"))
        return series.to_numpy(dtype=getattr(series.dtype, "numpy_dtype", None))
    return series.to_numpy()


def _of_objects(value: Any) -> Any:
    """Lists and single values; an array of objects where NumPy finds no common type or shape."""
    import numpy as np

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # before 1.24, NumPy warns of ragged lists and goes on
            array = np.array(value)
    except ValueError:
        array = None
    # NumPy would make text of numbers that stand beside text.
    if array is not None and array.dtype.kind not in "USO":
        return array
    if not isinstance(value, (list, tuple)):
        value = [value]
    objects = np.empty(len(value), dtype=object)
    objects[:] = value
    return objects


def _of_elements(array: Any) -> Any:
    import numpy as np

    elements = array.ravel().tolist()
    plain = [None if type(element).__name__ in ("NAType", "NaTType") else element for element in elements]
    types = set(map(type, plain))
    if types == {bool}:
        return array.astype(bool)
    if types and types <= {int, float, type(None)} and types != {type(None)}:
        return _of_numbers(plain, types).reshape(array.shape)
    texts = np.empty(len(plain), dtype=object)
    has_text = bool(types & {str, bytes})
    for at, element in enumerate(plain):
        if isinstance(element, (str, bytes)):
            texts[at] = element
        elif has_text and (element is None or element != element):
            texts[at] = ""
        else:
            texts[at] = json_text.dumps(answers.jsonable(element)).decode()
    return texts.reshape(array.shape)


def _of_numbers(elements: list[Any], types: set[type]) -> Any:
    import numpy as np

    if types == {int}:
        try:
            return np.array(elements, dtype=np.int64)
        except OverflowError:
            pass  # beyond 64 bits only a float comes near
    return np.array([np.nan if element is None else float(element) for element in elements])
