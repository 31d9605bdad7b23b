"""TorchScript and exported programs answer as torch does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loader_checks import assert_equal, load

from penstock.errors import ModelError
from penstock.scoring.interface import Field
from support import sample_models

X = sample_models.numbers().astype(np.float32)


class Pair(torch.nn.Module):
    """Two inputs, two outputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 2)
        self.table = torch.nn.Embedding(9, 3)

    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"scores": self.linear(x), "places": self.table(ids)}


def _answer(module: Any, *inputs: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module(*map(torch.from_numpy, inputs)).numpy()


def test_a_trace_tells_its_features(tmp_path: Path) -> None:
    network = sample_models.network()
    torch.jit.trace(network, torch.from_numpy(X[:1])).save(tmp_path / "model.pt")
    model = load(tmp_path / "model.pt")
    assert model.signature.inputs == (Field("input", "float32", (-1, 4)),)
    assert model.row_independent
    assert_equal(model.call("predict", X, {}), _answer(network, X))


def test_a_script_needs_a_sample(tmp_path: Path) -> None:
    network = sample_models.network()
    scripted = torch.jit.script(network)
    scripted.train()
    scripted.save(tmp_path / "model.pt")
    model = load(tmp_path / "model.pt")
    assert model.signature.layout == "unknown"
    assert not model.row_independent
    assert any("--sample-input" in note for note in model.notes)
    # In eval mode, and float64 as JSON brings it.
    assert_equal(model.call("predict", X.astype(np.float64), {}), _answer(network, X))
    for name, content in (("s.json", {"data": X[:2].tolist()}), ("s.csv", None), ("s.npy", None)):
        sample = tmp_path / name
        if name == "s.npy":
            np.save(sample, X[:2])
        else:
            sample.write_text(json.dumps(content) if content else "a,b,c,d\n1,2,3,4.5\n")
        known = load(tmp_path / "model.pt", sample_input=str(sample))
        assert known.signature.inputs[0].shape == (-1, 4)
        assert known.signature.inputs[0].dtype == "float32"
        assert known.row_independent
        assert_equal(known.call("predict", X, {}), _answer(network, X))


def test_an_exported_program(tmp_path: Path) -> None:
    network = sample_models.network()
    batch = torch.export.Dim("batch")
    program = torch.export.export(network, (torch.from_numpy(X[:2]),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "model.pt2")
    model = load(tmp_path / "model.pt2")
    assert model.signature.inputs == (Field("input", "float32", (-1, 4)),)
    assert model.row_independent
    assert_equal(model.call("predict", X, {}), _answer(network, X))


def test_an_exported_program_of_one_row(tmp_path: Path) -> None:
    network = sample_models.network()
    torch.export.save(torch.export.export(network, (torch.from_numpy(X[:1]),)), tmp_path / "model.pt2")
    model = load(tmp_path / "model.pt2")
    assert model.signature.inputs == (Field("input", "float32", (-1, 4)),)
    np.testing.assert_allclose(model.call("predict", X, {}), _answer(network, X), rtol=1e-5, atol=1e-6)


def test_several_inputs(tmp_path: Path) -> None:
    pair = Pair().eval()
    batch = torch.export.Dim("batch")
    example = (torch.from_numpy(X[:2]), torch.tensor([1, 2]))
    program = torch.export.export(pair, example, dynamic_shapes=({0: batch}, {0: batch}))
    torch.export.save(program, tmp_path / "model.pt2")
    model = load(tmp_path / "model.pt2")
    assert model.signature.layout == "tensors"
    assert [(field.name, field.dtype, field.shape) for field in model.signature.inputs] == [
        ("x", "float32", (-1, 4)),
        ("ids", "int64", (-1,)),
    ]
    ids = np.arange(5)
    answer = model.call("predict", {"x": X[:5], "ids": ids}, {})
    with torch.no_grad():
        theirs = pair(torch.from_numpy(X[:5]), torch.from_numpy(ids))
    assert_equal(answer["scores"], theirs["scores"].numpy())
    assert_equal(answer["places"], theirs["places"].numpy())


@pytest.mark.parametrize("new_form", [True, False])
def test_weights_alone_are_no_model(tmp_path: Path, new_form: bool) -> None:
    torch.save(
        sample_models.network().state_dict(), tmp_path / "m.pt", _use_new_zipfile_serialization=new_form
    )
    with pytest.raises(ModelError, match=r"written by torch\.save") as caught:
        load(tmp_path / "m.pt")
    assert "torch.export.save" in caught.value.hint


def test_a_sample_that_cannot_be_read(tmp_path: Path) -> None:
    torch.jit.script(sample_models.network()).save(tmp_path / "model.pt")
    (tmp_path / "s.json").write_text('{"data": [[1, 2], [3]]}')
    with pytest.raises(ModelError, match=r"the sample input .* cannot be used"):
        load(tmp_path / "model.pt", sample_input=str(tmp_path / "s.json"))
    with pytest.raises(ModelError, match="cannot read the sample input"):
        load(tmp_path / "model.pt", sample_input=str(tmp_path / "none.json"))
