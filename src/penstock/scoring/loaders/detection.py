"""What a model file or folder is, told from its bytes.

No model library is imported and nothing is unpickled, so this is safe on a file that nobody trusts, and fast
enough for a command line. Names and extensions are ignored: people save joblib files as ``.pkl``, XGBoost
JSON as ``.model`` and an error page as ``.onnx``. What we cannot score is recognised too where we can tell,
because "this is a Keras file, do that" helps and "unknown format" does not.
Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import difflib
import os

from penstock.errors import ModelError
from penstock.scoring.loaders import file_signs, folder_signs


def detect(path: str) -> str:
    """The loader for `path`: ``sklearn``, ``python``, ``xgboost``, ``lightgbm``, ``onnx``, ``torch``,
    ``skops`` or ``mlflow``.

    ``sklearn`` and ``python`` are both pickles; the first names an object of scikit-learn at its top. For a
    folder that is no model itself the answer is for the one model file in it (`locate`). Raises ModelError:
    not there, not readable, or nothing that we can score, saying what it looks like and what to do.
    """
    target = locate(path)
    if os.path.isdir(target):
        return "mlflow"
    return file_signs.file_format(target)


def locate(path: str) -> str:
    """The model itself: `path` if it is a file or an MLflow folder, else the only model inside the folder.

    Azure ML and MLflow both hand out a folder around the thing (``azureml-models/name/1/model.pkl``,
    ``artifacts/model/MLmodel``). Raises ModelError when there is none, or more than one.
    """
    if not os.path.exists(path):
        raise _missing(path)
    if os.path.isdir(path):
        return folder_signs.model_in(path)
    return path


def _missing(path: str) -> ModelError:
    """Names the deepest folder that exists, and what there is like the name that does not."""
    folder, name = os.path.split(os.path.abspath(path))
    while not os.path.isdir(folder):
        if os.path.isfile(folder):
            return ModelError(f"no model at {path}: {folder} is a file, not a folder")
        folder, name = os.path.split(folder)
    present = _names_in(folder)
    near = difflib.get_close_matches(name, present, n=3, cutoff=0.5)
    if near:
        hint = f"In {folder} there is {' and '.join(near)}."
    elif present:
        hint = f"In {folder} there is {', '.join(present[:8])}{' and more' if len(present) > 8 else ''}."
    else:
        hint = f"{folder} is empty."
    return ModelError(f"no model at {path}: {name} is not in {folder}", hint=hint)


def _names_in(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []
