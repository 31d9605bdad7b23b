"""MLflow model folders.

Flavours whose files we read ourselves (scikit-learn, XGBoost, LightGBM, ONNX, PyTorch) need no mlflow; any
other is scored through ``mlflow.pyfunc`` if mlflow is installed. The folder's signature is what callers see;
where the model inside wants another form (an array instead of named columns), it is turned at the call.
Runs in workers: Python 3.8; what the flavour needs.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import replace
from typing import Any, Callable, Mapping

from penstock.errors import ModelError
from penstock.scoring.interface import Signature
from penstock.scoring.loaders import (
    file_signs,
    lightgbm,
    mlflow_forms,
    mlflow_signature,
    mlflow_versions,
    mlmodel_file,
    onnx,
    packages,
    probing,
    samples,
    sklearn,
    skops,
    torch,
    unpickling,
    xgboost,
)
from penstock.scoring.loaders.loaded import LoadedModel

Flavor = Mapping[str, Any]


def load(path: str, *, name: str, sample_input: str = "") -> LoadedModel:
    """The model in the folder at `path`. Raises ModelError."""
    file = os.path.join(path, "MLmodel")
    content = mlmodel_file.read(file)
    flavors = content.get("flavors")
    if not isinstance(flavors, dict) or not flavors:
        raise ModelError(f"{file} names no flavors", hint="Save the model again with mlflow.")
    _use_code(path, flavors)
    signature = mlflow_signature.read(content.get("signature"), file)
    signature = replace(signature, sample=_example(path, content) if signature.inputs else None)
    own = [flavor for flavor in _OWN if flavor in flavors]
    # A python_model is its author's own code around whatever else the folder holds.
    is_own_code = flavors.get("python_function", {}).get("loader_module") == "mlflow.pyfunc.model"
    if own and not is_own_code:
        inner = _OWN[own[0]](path, flavors[own[0]], name, signature)
        model = mlflow_forms.dressed(inner, signature)
        model = replace(model, methods=_ordered(model.methods, flavors))
    else:
        params = mlflow_signature.params(content.get("signature"), file)
        is_hinted = bool(content.get("is_signature_from_type_hint"))
        model = replace(_pyfunc(path, flavors, name, signature, is_hinted=is_hinted), params=params)
    if model.signature.layout == "unknown" and sample_input:
        model = replace(model, signature=samples.signature(sample_input))
    return replace(model, notes=model.notes + mlflow_versions.notes(path, flavors))


def _data(path: str, flavor: Flavor, key: str) -> str:
    relative = flavor.get(key)
    if not isinstance(relative, str) or os.path.isabs(relative) or ".." in relative.split("/"):
        raise ModelError(
            f"{os.path.join(path, 'MLmodel')}: {key} must be a path inside the folder: {relative!r}"
        )
    target = os.path.join(path, relative)
    if not os.path.exists(target):
        raise ModelError(
            f"{target} is missing: the MLmodel file names it as {key}", hint="Copy the whole folder."
        )
    return target


def _sklearn(path: str, flavor: Flavor, name: str, _known: Signature) -> LoadedModel:
    return _pickled_or_skops(_data(path, flavor, "pickled_model"), flavor, name)


def _xgboost(path: str, flavor: Flavor, name: str, _known: Signature) -> LoadedModel:
    # Before MLflow 1.25 there was neither model_class nor anything but Booster.
    wrapper = str(flavor.get("model_class", "xgboost.core.Booster")).rsplit(".", 1)[-1]
    return xgboost.load(_data(path, flavor, "data"), name=name, wrapper=wrapper)


def _lightgbm(path: str, flavor: Flavor, name: str, _known: Signature) -> LoadedModel:
    data = _data(path, flavor, "data")
    if file_signs.file_format(data) == "lightgbm":
        return lightgbm.load(data, name=name)
    return replace(_pickled_or_skops(data, flavor, name), format="lightgbm")


def _pickled_or_skops(data: str, flavor: Flavor, name: str) -> LoadedModel:
    if file_signs.file_format(data) == "skops":
        return skops.load(data, name=name, trusted=flavor.get("skops_trusted_types") or ())
    return sklearn.load(data, name=name)


def _onnx(path: str, flavor: Flavor, name: str, _known: Signature) -> LoadedModel:
    return onnx.load(_data(path, flavor, "data"), name=name)


def _torch(path: str, flavor: Flavor, name: str, known: Signature) -> LoadedModel:
    folder = _data(path, flavor, "model_data")
    found = [file for file in sorted(os.listdir(folder)) if file.startswith("model.")]
    if not found:
        raise ModelError(f"{folder} holds no model file", hint="Copy the whole folder.")
    data = os.path.join(folder, found[0])
    if _is_scripted(data):
        return torch.load(data, name=name, known=known)
    library = packages.require("torch", path, "a PyTorch model")
    try:
        module = library.load(data, map_location="cpu", weights_only=False)
    except Exception as error:  # unpickling runs arbitrary code, which raises anything
        raise unpickling.translated(data, error) from error
    return torch.adopt(module, name=name, known=known)


def _is_scripted(data: str) -> bool:
    """False for a module that was pickled whole, whose class must be importable."""
    try:
        return file_signs.file_format(data) == "torch"
    except ModelError:
        return False


_OWN: dict[str, Callable[[str, Flavor, str, Signature], LoadedModel]] = {
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "onnx": _onnx,
    "pytorch": _torch,
    "sklearn": _sklearn,
}


def _pyfunc(
    path: str, flavors: Mapping[str, Any], name: str, signature: Signature, *, is_hinted: bool
) -> LoadedModel:
    """Through mlflow itself. Nothing is known of the code inside, so that every request is a call of its own,
    and every worker loads for itself. `is_hinted`: `predict` says by type hints that it takes a list."""
    names = [flavor for flavor in flavors if flavor != "python_function"]
    kind = (
        names[0] if names else str(flavors.get("python_function", {}).get("loader_module", "python_function"))
    )
    if not packages.version("mlflow"):
        raise ModelError(
            f"{path} is an MLflow model of the flavour {kind}, which is scored through mlflow, and mlflow is "
            "not installed",
            hint=f"{packages.install_hint('mlflow')} {_flavor_hint(kind)}".strip(),
        )
    pyfunc = packages.require("mlflow.pyfunc", path, "an MLflow model")
    try:
        loaded = pyfunc.load_model(path)
    except Exception as error:  # loading runs arbitrary code, which raises anything
        raise unpickling.translated(path, error) from error

    def score(method: str, data: Any, params: Mapping[str, Any]) -> Any:
        if is_hinted:
            data = data.to_dict("records") if hasattr(data, "to_dict") else data.tolist()
        return loaded.predict(data, params=dict(params)) if params else loaded.predict(data)

    return LoadedModel(
        name=name,
        format="mlflow",
        signature=signature,
        methods=("predict",),
        fork_safe=False,
        row_independent=False,
        score=score,
    )


def _flavor_hint(kind: str) -> str:
    """The library of a flavour; mlflow's own loaders have none of their own."""
    return "" if kind.startswith("mlflow") or kind == "python_function" else f"It needs {kind} too."


def _use_code(path: str, flavors: Mapping[str, Any]) -> None:
    """Make the modules importable that the model was saved with (``code_paths``)."""
    for flavor in flavors.values():
        code = flavor.get("code") if isinstance(flavor, dict) else None
        folder = os.path.join(path, code) if isinstance(code, str) else ""
        if folder and os.path.isdir(folder) and folder not in sys.path:
            sys.path.insert(0, folder)


def _ordered(methods: tuple[str, ...], flavors: Mapping[str, Any]) -> tuple[str, ...]:
    """`methods` with the one first that the model was saved to be scored with (``pyfunc_predict_fn``)."""
    first = flavors.get("python_function", {}).get("predict_fn")
    return (first, *(method for method in methods if method != first)) if first in methods else methods


def _example(path: str, content: Mapping[str, Any]) -> Any:
    """The first row of the input example that was saved with the model, or None."""
    info = content.get("saved_input_example_info")
    file = os.path.join(path, str(info.get("artifact_path", ""))) if isinstance(info, dict) else ""
    if not os.path.isfile(file):
        return None
    with contextlib.suppress(ModelError):
        data = samples.read(file)
        if isinstance(data, dict):
            return probing.sample_of({name: array[:1] for name, array in data.items()})
        return probing.sample_of(data[:1])
    return None
