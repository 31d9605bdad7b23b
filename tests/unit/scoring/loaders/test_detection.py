"""Formats told from bytes."""

from __future__ import annotations

import gzip
import importlib.util
import json
import pickle
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import ModelError
from penstock.scoring.loaders import detection
from support import sample_models


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3), ("zlib", 3)])
def test_joblib_of_every_compression(tmp_path: Path, compress: object) -> None:
    path = sample_models.joblib_file(tmp_path, sample_models.ridge(), compress=compress)
    assert detection.detect(str(path)) == "sklearn"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(sample_models.ridge(), protocol))
    assert detection.detect(str(path)) == "sklearn"
    path.write_bytes(pickle.dumps({"model": sample_models.ridge()}, protocol))
    assert detection.detect(str(path)) == "python"


def test_a_large_forest_whose_pickle_is_not_seen_whole(tmp_path: Path) -> None:
    from sklearn.ensemble import RandomForestRegressor

    data = sample_models.numbers(500)
    forest = RandomForestRegressor(20).fit(data, data[:, 0])
    assert detection.detect(str(sample_models.joblib_file(tmp_path, forest))) == "sklearn"


@pytest.mark.parametrize("ending", ["json", "ubj"])
def test_xgboost(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"model.{ending}"
    sample_models.xgboost_booster().save_model(path)
    path = path.rename(tmp_path / "model")
    assert detection.detect(str(path)) == "xgboost"


def test_xgboost_before_json(tmp_path: Path) -> None:
    parameters = b"\0\0\0?" + b"\4" + b"\0" * 131
    names = b"".join(len(name).to_bytes(8, "little") + name for name in (b"reg:linear", b"gbtree"))
    (tmp_path / "old.model").write_bytes(parameters + names + b"\0" * 300)
    assert detection.detect(str(tmp_path / "old.model")) == "xgboost"


def test_lightgbm_and_one_that_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    sample_models.lightgbm_booster().save_model(path)
    assert detection.detect(str(path)) == "lightgbm"
    text = path.read_bytes()
    for length in (40, 300, text.index(b"Tree=1") + 50):
        path.write_bytes(text[:length])
        # LightGBM itself takes the process down on some of these.
        with pytest.raises(ModelError, match="end is missing"):
            detection.detect(str(path))


def test_onnx_and_one_that_is_cut_off(tmp_path: Path) -> None:
    path = sample_models.onnx_file(tmp_path, sample_models.ridge())
    assert detection.detect(str(path)) == "onnx"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelError, match="ONNX model whose end is missing"):
        detection.detect(str(path))


def _zip(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")


@pytest.mark.parametrize(
    ("content", "looks_like"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "HTML page"),
        (b'<?xml version="1.0"?>\n<PMML version="4.4">', "PMML"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 40, "HDF5"),
        ((9).to_bytes(8, "little") + b'{"a":{}}', "safetensors"),
        (gzip.compress(b"X\n\0\0\0\3\0\4\2\0", mtime=0), "R object"),
        (b"RDX3\nX\n\0\0\0\3", "R object"),
        (b"PAR1" + b"\0" * 20, "Parquet"),
        (b'{"openapi": "3.1.0"}', "JSON"),
        (b'{"tree_info": []}', "dump_model"),
        (b'[{"nodeid": 0, "leaf": 1}]', "dump_model"),
        (b"a,b\n1,2\n", "text file"),
        (b"\x00\x01\x02\x03" * 20, "no model format known"),
        (gzip.compress(b"hello", mtime=0)[:-9], "damaged"),
        (b"PK\x03\x04 cut", "damaged"),
    ],
)
def test_what_is_no_model_is_named(tmp_path: Path, content: bytes, looks_like: str) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=looks_like) as caught:
        detection.detect(str(path))
    assert str(path) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("names", "looks_like"),
    [
        (["model/data.pkl", "model/data/0"], "torch.save"),
        (["config.json", "model.weights.h5"], "Keras"),
        (["m/MLmodel", "m/model.pkl"], "MLflow"),
        (["weights.npy", "bias.npy"], "NumPy arrays"),
        (["readme.txt"], "zip archive"),
    ],
)
def test_archives(tmp_path: Path, names: list[str], looks_like: str) -> None:
    _zip(tmp_path / "model.zip", *names)
    with pytest.raises(ModelError, match=looks_like):
        detection.detect(str(tmp_path / "model.zip"))


def test_a_tar_archive_plain_and_compressed(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    for mode, name in (("w", "m.tar"), ("w:gz", "m.tgz")):
        with tarfile.open(tmp_path / name, mode) as archive:
            archive.add(tmp_path / "x")
        with pytest.raises(ModelError, match="tar archive"):
            detection.detect(str(tmp_path / name))


def test_npy_is_data(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(ModelError, match="NumPy array"):
        detection.detect(str(tmp_path / "x.npy"))


def test_a_missing_path_names_what_is_near(tmp_path: Path) -> None:
    (tmp_path / "model_v2.pkl").write_bytes(b"x")
    with pytest.raises(ModelError) as caught:
        detection.detect(str(tmp_path / "model_v1.pkl"))
    assert "model_v1.pkl" in caught.value.message
    assert "model_v2.pkl" in caught.value.hint
    with pytest.raises(ModelError, match="deep is not in"):
        detection.detect(str(tmp_path / "deep" / "model.pkl"))


def test_a_folder_around_one_model(tmp_path: Path) -> None:
    inner = tmp_path / "azureml-models" / "credit" / "1"
    inner.mkdir(parents=True)
    path = sample_models.joblib_file(inner, sample_models.ridge())
    (inner / "README.md").write_text("hello")
    assert detection.locate(str(tmp_path)) == str(path)
    assert detection.detect(str(tmp_path)) == "sklearn"
    joblib.dump(sample_models.ridge(), inner / "other.pkl")
    with pytest.raises(ModelError, match=r"holds 2 models: .*model.joblib.*other.pkl"):
        detection.detect(str(tmp_path))


def test_folders_of_other_frameworks(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is empty"):
        detection.detect(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({}))
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match="Hugging Face"):
        detection.detect(str(tmp_path))
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    with pytest.raises(ModelError, match="SavedModel"):
        detection.detect(str(tmp_path))


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_any_bytes_get_an_answer_or_a_model_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "anything"
    path.write_bytes(content)
    known = {"sklearn", "python", "xgboost", "lightgbm", "catboost", "onnx", "torch", "skops"}
    message = ""
    try:
        found = detection.detect(str(path))
    except ModelError as error:
        found, message = "", error.message
    assert found in known or str(path) in message


def test_no_model_library_is_imported(tmp_path: Path) -> None:
    path = sample_models.joblib_file(tmp_path, sample_models.ridge())
    code = (
        "import sys; from penstock.scoring.loaders import detection; detection.detect(sys.argv[1]);"
        "print([m for m in ('numpy', 'sklearn', 'joblib', 'pandas', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_codec_that_this_python_lacks_is_left_to_the_models_own(tmp_path: Path) -> None:
    # The command line looks at files too, in an environment that is not the model's.
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x04\x22\x4d\x18" + b"\0" * 20)
    assert importlib.util.find_spec("lz4") is None
    assert detection.detect(str(path)) == "python"
