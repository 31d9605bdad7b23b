"""What goes wrong when a pickle is loaded, said in words."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import pytest
import sklearn
from loader_checks import load

from penstock.errors import ModelError
from support import sample_models


def _made_elsewhere(tmp_path: Path, code: str) -> Path:
    """A pickle that a script of its own wrote to ``sys.argv[1]``."""
    path = tmp_path / "model.pkl"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, cwd=tmp_path)
    return path


def test_a_class_of_the_script_that_saved_it(tmp_path: Path) -> None:
    path = _made_elsewhere(
        tmp_path,
        "import pickle, sys\nclass Doubler:\n    def predict(self, X): return X\n"
        "pickle.dump(Doubler(), open(sys.argv[1], 'wb'))",
    )
    with pytest.raises(ModelError, match=r"needs the class or function Doubler.*__main__") as caught:
        load(path)
    assert "--code DIR --script" in caught.value.hint
    assert "Traceback" in caught.value.detail


def test_a_module_that_is_not_here(tmp_path: Path) -> None:
    (tmp_path / "houses.py").write_text("class Prices:\n    def predict(self, X): return X\n")
    path = _made_elsewhere(
        tmp_path, "import pickle, sys, houses\npickle.dump(houses.Prices(), open(sys.argv[1], 'wb'))"
    )
    with pytest.raises(ModelError, match=r"needs the Python module houses, which is not installed") as caught:
        load(path)
    assert "list it in the model's environment" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cnumpy._core_of_another_major\nx\n.", "another major version of NumPy"),
        (b"csklearn.gone.module\nX\n.", "scikit-learn [0-9.]+ does not have"),
        (b"ctensorflowx.keras\nX\n(dp0\n.", "Python module tensorflowx"),
    ],
)
def test_other_versions(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "model.pkl").write_bytes(b"\x80\x02" + content)
    with pytest.raises(ModelError, match=message):
        load(tmp_path / "model.pkl")


def _of_another_version(model: object) -> bytes:
    """`model` as a scikit-learn of another version of as many characters would have pickled it."""
    ours = sklearn.__version__.encode()
    return pickle.dumps(model).replace(ours, b"0" + ours[1:])


def test_another_scikit_learn_is_noted_once(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(_of_another_version(sample_models.people_pipeline()))
    notes = [note for note in load(tmp_path / "model.pkl").notes if "pickled with scikit-learn 0." in note]
    assert len(notes) == 1
    assert f"served with {sklearn.__version__}" in notes[0]


def test_another_scikit_learn_is_told_when_it_cannot_be_loaded(tmp_path: Path) -> None:
    content = _of_another_version(sample_models.ridge()).replace(b"_ridge", b"_fudge")
    joblib_like = tmp_path / "model.pkl"
    joblib_like.write_bytes(content)
    with pytest.raises(ModelError, match=rf"saved with scikit-learn 0.*installed is {sklearn.__version__}"):
        load(joblib_like)


def test_a_pickle_that_is_cut_off(tmp_path: Path) -> None:
    path = sample_models.joblib_file(tmp_path, sample_models.ridge())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ModelError, match=r"ends too soon|cannot be unpickled"):
        load(path)


def test_a_pickle_of_no_class(tmp_path: Path) -> None:
    joblib.dump({"weights": [1, 2]}, tmp_path / "model.pkl")
    with pytest.raises(ModelError, match="a dict with the keys 'weights'"):
        load(tmp_path / "model.pkl")
