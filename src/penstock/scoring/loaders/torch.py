"""PyTorch models that carry their own code: TorchScript (``.pt``) and torch.export (``.pt2``), on the CPU.

An exported program tells its inputs; a TorchScript file tells their names only, so that its signature comes
from the example it was traced with or from ``--sample-input``, and without either nothing is checked.
Runs in workers: Python 3.8; torch and NumPy.
"""

from __future__ import annotations

import contextlib
import zipfile
from dataclasses import replace
from typing import Any, Callable, Mapping, Sequence

from penstock.errors import ModelError
from penstock.scoring.interface import Field, Signature
from penstock.scoring.loaders import batches, packages, probing, samples, threads, traced_example
from penstock.scoring.loaders.loaded import LoadedModel

_TELLS_NOTHING = (
    "the model does not tell its inputs: nothing is checked, and every number is sent as float32 "
    "(--sample-input FILE changes that)"
)
_PROBE_ROWS = 3
_FREE_SIZES = (4, 64)


def load(path: str, *, name: str, sample_input: str = "", known: Signature | None = None) -> LoadedModel:
    """The model at `path`. `known` is its signature where somebody else tells it (an MLflow folder). Raises
    ModelError."""
    torch = packages.require("torch", path, "a PyTorch model")
    with zipfile.ZipFile(path) as archive:
        is_script = any(entry.endswith("constants.pkl") for entry in archive.namelist())
    try:
        if is_script:
            module = torch.jit.load(path, map_location="cpu")
            traced = traced_example.read(path)
            return adopt(module, name=name, sample_input=sample_input, traced=traced, known=known)
        program = torch.export.load(path)
        return _exported(program, name)
    except ModelError:
        raise
    except Exception as error:  # a RuntimeError of the C++ reader, or what an older torch lacks
        lines = [line for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else type(error).__name__
        hint = "List the torch that saved it in the model's environment; custom operators need a script."
        raise ModelError(
            f"torch {torch.__version__} cannot load {path}: {reason}", detail=str(error), hint=hint
        ) from error


def adopt(
    module: Any,
    *,
    name: str,
    sample_input: str = "",
    traced: Sequence[tuple[str, tuple[int, ...]]] | None = None,
    known: Signature | None = None,
    notes: tuple[str, ...] = (),
) -> LoadedModel:
    """The Model of a module in memory: TorchScript, or any ``torch.nn.Module``. `traced` is what it was
    traced with, see `traced_example`."""
    module.eval()
    names = _argument_names(module)
    signature = known or Signature()
    if sample_input:
        signature = samples.signature(sample_input)
    elif signature.layout == "unknown":
        signature = _traced(traced, names)
    if signature.layout == "array" and len(names) == 1:
        signature = replace(signature, inputs=(replace(signature.inputs[0], name=names[0]),))
    if signature.layout == "table":
        # The columns of a table are one tensor, as its author would hand them over.
        width = len(signature.inputs)
        signature = replace(signature, layout="array", inputs=(Field("input", "float32", (-1, width)),))
    signature = replace(signature, inputs=tuple(_precise(field, module) for field in signature.inputs))
    if signature.layout == "unknown":
        notes = (*notes, _TELLS_NOTHING)
    runner = _Runner(lambda tensors: module(*tensors), names, signature, _parameter_dtype(module))
    return _model(runner.run, signature, 0 if signature.inputs else None, name, notes)


def _exported(program: Any, name: str) -> LoadedModel:
    import torch

    module = program.module()
    wanted = [str(value) for value in program.graph_signature.user_inputs]
    nodes = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    values: list[Any] = [nodes.get(value) for value in wanted]
    if not values or not all(isinstance(value, torch.Tensor) for value in values):
        raise ModelError(
            f"{name} takes inputs that are no tensors: {', '.join(wanted)}",
            hint="Load it in a scoring script, which can build them.",
        )
    fields = [
        Field(field_name, _dtype_name(value.dtype), _shape(value))
        for field_name, value in zip(wanted, values)
    ]
    fixed = batches.fixed_rows([field.shape for field in fields])
    shown = tuple(batches.free(field) if fixed is not None else field for field in fields)
    signature = Signature("array" if len(shown) == 1 else "tensors", shown, (), "the exported program")
    unflatten = torch.utils._pytree.tree_unflatten
    spec = program.call_spec.in_spec

    def call(tensors: Sequence[Any]) -> Any:
        args, kwargs = unflatten(list(tensors), spec)
        return module(*args, **kwargs)

    runner = _Runner(call, wanted, signature, torch.float32)
    run: batches.Run = batches.in_fixed(runner.run, fixed) if fixed else runner.run
    return _model(run, signature, fixed, name, ())


def _model(
    run: batches.Run, signature: Signature, fixed: int | None, name: str, notes: tuple[str, ...]
) -> LoadedModel:
    import torch

    torch.set_num_threads(threads.count())

    def score(method: str, data: Any, params: Mapping[str, Any]) -> Any:
        return run(data.to_numpy() if hasattr(data, "to_numpy") else data)

    signature, independent = _probed(run, score, signature, fixed)
    return LoadedModel(
        name=name,
        format="torch",
        signature=signature,
        methods=("predict",),
        fork_safe=threads.count() == 1,
        row_independent=independent,
        score=score,
        notes=notes,
    )


def _probed(run: batches.Run, score: Any, signature: Signature, fixed: int | None) -> tuple[Signature, bool]:
    """`signature` with outputs and sample from a first call, and whether rows are proven independent."""
    for size in _FREE_SIZES:
        # Made-up rows may not suit; real ones are the callers'.
        with contextlib.suppress(Exception):
            data = probing.rows(signature, _PROBE_ROWS, free=size)
            if data is None:
                break
            outputs = probing.outputs(score, ("predict",), data)
            independent = fixed is not None and batches.rows_are_independent(run, data)
            sample = signature.sample or _sample(data)
            return replace(signature, outputs=outputs, sample=sample), independent
    return signature, False


class _Runner:
    """Arrays to tensors, the module without gradients, and tensors to arrays."""

    def __init__(
        self, call: Callable[[Sequence[Any]], Any], names: Sequence[str], signature: Signature, dtype: Any
    ) -> None:
        import torch

        self._torch = torch
        self._call = call
        self._names = names
        known = {field.name: getattr(torch, field.dtype, None) for field in signature.inputs}
        self._dtypes = [known.get(name) or dtype for name in names] or [dtype]

    def run(self, data: Any) -> Any:
        """One array, or a dict of arrays by argument name."""
        arrays = [data[name] for name in self._names] if isinstance(data, dict) else [data]
        tensors = [self._tensor(array, dtype) for array, dtype in zip(arrays, self._dtypes)]
        with self._torch.inference_mode():
            return _arrays(self._call(tensors), self._torch)

    def _tensor(self, array: Any, dtype: Any) -> Any:
        import numpy as np

        # A request's buffer is read-only, which torch warns of; the copy is small beside the model.
        return self._torch.from_numpy(np.require(array, requirements=("C", "W"))).to(dtype)


def _arrays(result: Any, torch: Any) -> Any:
    if isinstance(result, torch.Tensor):
        if result.dtype == torch.bfloat16:
            result = result.float()
        return result.detach().cpu().numpy()
    if isinstance(result, dict):
        return {str(name): _arrays(value, torch) for name, value in result.items()}
    if isinstance(result, (list, tuple)):
        return {f"output_{place}": _arrays(value, torch) for place, value in enumerate(result)}
    return result


def _traced(example: Sequence[tuple[str, tuple[int, ...]]] | None, names: Sequence[str]) -> Signature:
    """The signature of a traced example.

    The features of a row are taken as they were; sizes inside an image, a sequence or a list of tokens are
    left free, since a trace often works for others and we cannot know.
    """
    if not example or len(example) != len(names) or any(not shape for _, shape in example):
        return Signature()
    fields = []
    for name, (dtype, shape) in zip(names, example):
        is_row_of_features = len(shape) <= 2 and dtype.startswith("float")
        inner = shape[1:] if is_row_of_features else (-1,) * (len(shape) - 1)
        fields.append(Field(name, dtype, (-1, *inner)))
    layout = "array" if len(fields) == 1 else "tensors"
    return Signature(layout, tuple(fields), (), "the traced example")


def _argument_names(module: Any) -> list[str]:
    """The arguments of `forward` that must be given."""
    schema = getattr(getattr(module, "forward", None), "schema", None)
    if schema is None:
        return ["input"]
    return [argument.name for argument in schema.arguments[1:] if not argument.has_default_value()]


def _parameter_dtype(module: Any) -> Any:
    import torch

    value: Any
    for value in module.parameters():
        if value.is_floating_point():
            return value.dtype
    return torch.float32


def _precise(field: Field, module: Any) -> Field:
    """JSON's numbers are float64; the network's are its parameters'."""
    if field.dtype == "float64":
        return replace(field, dtype=_dtype_name(_parameter_dtype(module)))
    return field


def _dtype_name(dtype: Any) -> str:
    name = str(dtype).replace("torch.", "")
    return "float32" if name == "bfloat16" else name


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else -1 for size in value.shape)


def _sample(data: Any) -> Any:
    if isinstance(data, dict):
        return probing.sample_of({name: array[:1] for name, array in data.items()})
    return probing.sample_of(data[:1])
