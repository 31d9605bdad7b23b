"""ONNX models, on ONNX Runtime's CPU provider.

One input is an array, several of one column each (as skl2onnx makes them for DataFrames) a table, any others
named tensors. A classifier's label and probability outputs become `predict` and `predict_proba`; other
models give their one output, or a dict of all. Runs in workers: Python 3.8; onnxruntime and NumPy.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from typing import Any, Mapping, Sequence

from penstock.errors import ModelError
from penstock.scoring.interface import Field, Signature
from penstock.scoring.loaders import batches, packages, probing, threads
from penstock.scoring.loaders.loaded import LoadedModel

_DTYPES = {"float": "float32", "double": "float64", "string": "str"}
_PROBE_ROWS = 3
# Sizes tried for free dimensions other than rows: small ones are fast, but convolutions need some room.
_FREE_SIZES = (4, 64)


def load(path: str, *, name: str, sample_input: str = "") -> LoadedModel:
    """The model at `path`. Raises ModelError."""
    runtime = packages.require("onnxruntime", path, "an ONNX model")
    options = runtime.SessionOptions()
    # With one thread ONNX Runtime starts no pool, so that the process may fork afterwards.
    options.intra_op_num_threads = threads.count()
    options.inter_op_num_threads = 1
    # Whatever goes wrong is raised too.
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions have no common base
        raise _unreadable(path, error, runtime.__version__) from error
    return _model(session, path, name)


def _model(session: Any, path: str, name: str) -> LoadedModel:
    inputs = [_field(value, path) for value in session.get_inputs()]
    fixed = batches.fixed_rows([field.shape for field in inputs])
    runner = _Runner(session, inputs)
    run: batches.Run = runner.run
    if fixed:
        run = batches.in_fixed(run, fixed)
    if fixed is not None:
        inputs = [batches.free(field) for field in inputs]
    layout = _layout(inputs)
    # A column of a table has one dimension; the graph's may be (rows, 1).
    shown = [replace(field, shape=(-1,)) for field in inputs] if layout == "table" else inputs
    signature = Signature(layout, tuple(shown), (), "the ONNX graph")
    score = _Score(run, layout, inputs, runner)
    signature, independent = _probed(score, signature, fixed)
    if independent is None:
        # No proof either way; what these converters write scores each row for itself.
        independent = fixed == 0 and session.get_modelmeta().producer_name in _ROW_WISE_PRODUCERS
    return LoadedModel(
        name=name,
        format="onnx",
        signature=signature,
        methods=runner.methods,
        fork_safe=threads.count() == 1,
        row_independent=independent,
        score=score,
        accepts_array=layout == "table" and all(field.dtype in _NUMBERS for field in inputs),
    )


_ROW_WISE_PRODUCERS = ("skl2onnx", "OnnxMLTools")
_NUMBERS = ("float64", "float32", "float16")


def _field(value: Any, path: str) -> Field:
    match = re.match(r"tensor\((\w+)\)\Z", value.type)
    if not match:
        raise ModelError(
            f"the input {value.name!r} of {path} is a {value.type}, which no payload can carry",
            hint="Load the model in a scoring script, which can build it.",
        )
    dtype = _DTYPES.get(match.group(1), match.group(1))
    return Field(value.name, dtype, tuple(size if isinstance(size, int) else -1 for size in value.shape))


def _layout(inputs: Sequence[Field]) -> str:
    if len(inputs) == 1:
        return "array"
    if all(field.shape in ((-1,), (-1, 1)) for field in inputs):
        return "table"
    return "tensors"


class _Runner:
    """Feeds arrays to the session and names what comes out."""

    def __init__(self, session: Any, inputs: Sequence[Field]) -> None:
        self._session = session
        self._inputs = inputs
        self._dtypes = {field.name: _numpy_dtype(field.dtype) for field in inputs}
        outputs = session.get_outputs()
        self._names = [output.name for output in outputs]
        self._label = _is_classifier(outputs)
        self.methods: tuple[str, ...] = ("predict", "predict_proba") if self._label else ("predict",)
        self.classes: list[Any] | None = None

    def run(self, data: Mapping[str, Any]) -> Any:
        """Every output by name for named arrays; ZipMap's list of dicts as a matrix, columns in its order."""
        import numpy as np

        feed = {name: np.asarray(data[name], dtype=dtype) for name, dtype in self._dtypes.items()}
        answers = self._session.run(None, feed)
        return {name: self._plain(answer) for name, answer in zip(self._names, answers)}

    def _plain(self, answer: Any) -> Any:
        if not isinstance(answer, list) or not answer or not isinstance(answer[0], dict):
            return answer
        import numpy as np

        self.classes = list(answer[0])
        return np.array([list(row.values()) for row in answer], dtype=np.float32)

    def pick(self, answers: dict[str, Any], method: str) -> Any:
        """What `method` gives of all outputs."""
        if self._label:
            return answers[self._names[1 if method == "predict_proba" else 0]]
        return answers[self._names[0]] if len(self._names) == 1 else answers


class _Score:
    """From the layout's form of data to named arrays, and back."""

    def __init__(self, run: batches.Run, layout: str, inputs: Sequence[Field], runner: _Runner) -> None:
        self.run = run
        self.runner = runner
        self._layout = layout
        self._inputs = inputs

    def __call__(self, method: str, data: Any, params: Mapping[str, Any]) -> Any:
        return self.runner.pick(self.run(self.named(data)), method)

    def named(self, data: Any) -> Mapping[str, Any]:
        """`data` in the layout's form, as one array an input."""
        if self._layout == "tensors":
            named: Mapping[str, Any] = data
            return named
        if self._layout == "array":
            return {self._inputs[0].name: data.to_numpy() if hasattr(data, "to_numpy") else data}
        if hasattr(data, "columns"):
            columns = [data[field.name].to_numpy() for field in self._inputs]
        else:
            columns = [data[:, place] for place in range(len(self._inputs))]
        return {
            field.name: column.reshape(-1, 1) if len(field.shape) == 2 else column
            for field, column in zip(self._inputs, columns)
        }


def _numpy_dtype(dtype: str) -> Any:
    import numpy as np

    return np.dtype(object if dtype == "str" else dtype)


def _is_classifier(outputs: Sequence[Any]) -> bool:
    """Whether there are two outputs, labels and probabilities, as the converters of scikit-learn, XGBoost
    and LightGBM write them."""
    if len(outputs) != 2:
        return False
    label, probability = outputs
    return label.type in ("tensor(int64)", "tensor(string)") and (
        probability.type.startswith("seq(map(")
        or (probability.type in ("tensor(float)", "tensor(double)") and "prob" in probability.name.lower())
    )


def _probed(score: _Score, signature: Signature, fixed: int | None) -> tuple[Signature, bool | None]:
    """`signature` with outputs and sample from a first call, and whether rows are independent; None where no
    call succeeded."""
    for size in _FREE_SIZES:
        # Made-up rows may not suit; real ones are the callers'.
        with contextlib.suppress(Exception):
            data = probing.rows(signature, _PROBE_ROWS, free=size)
            if data is None:
                break
            named = dict(score.named(data))
            independent = fixed is not None and batches.rows_are_independent(score.run, named)
            outputs = probing.outputs(score, score.runner.methods, data, score.runner.classes)
            sample = probing.sample_of(data[:1] if signature.layout != "tensors" else _first_rows(data))
            return replace(signature, outputs=outputs, sample=sample), independent
    return signature, None


def _first_rows(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: array[:1] for name, array in data.items()}


def _unreadable(path: str, error: Exception, installed: str) -> ModelError:
    text = " ".join(str(error).split())
    newer = re.search(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)", text)
    opset = re.search(r"Opset (\d+) is under development.*?till opset (\d+)", text)
    operator = re.search(r"(\S+?)\(-?\d+\) is not a registered function/op", text)
    hint = "Export the model again, or load it in a scoring script."
    if newer:
        reason = f"it is of IR version {newer.group(1)}, and this runtime reads up to {newer.group(2)}"
        hint = "List a newer onnxruntime in the model's environment, or export with an older opset."
    elif opset:
        reason = f"it is of opset {opset.group(1)}, and this runtime reads up to {opset.group(2)}"
        hint = "List a newer onnxruntime in the model's environment, or export with an older opset."
    elif operator:
        reason = f"it uses the operator {operator.group(1)}, which this runtime does not have"
        hint = "A custom operator is registered in a scoring script; a new one needs a newer onnxruntime."
    elif "Failed to construct locale" in text:
        locale = re.search(r"with name:(\S+?):", text)
        reason = (
            f"its text operators need the locale {locale.group(1) if locale else ''}, which this system lacks"
        )
        hint = "Install it (Debian: apt-get install locales, then locale-gen), or export without it."
    elif "external data" in text.lower() or "No such file" in text:
        reason = f"its weights lie in another file, which is missing: {text}"
        hint = "Put the external data file beside the model."
    else:
        reason = text
    return ModelError(f"ONNX Runtime {installed} cannot load {path}: {reason}", detail=str(error), hint=hint)
