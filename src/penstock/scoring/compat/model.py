"""Stands in for the one thing of ``azureml.core.model`` that scoring scripts use: ``Model.get_model_path``.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import os
from typing import Any

ONLY_MODEL = "PENSTOCK_MODEL_PATH"
"""Variable with the path of a batch deployment's one model: whatever a script calls it, it means this one."""


class Model:
    """Where a registered model lies. Anything else of the SDK needs ``azureml-core`` in the environment."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            "only Model.get_model_path is answered without azureml-core; add that package for the rest"
        )

    @staticmethod
    def get_model_path(model_name: str, version: int | None = None, _workspace: Any = None) -> str:
        """The path of the model called `model_name` under ``AZUREML_MODEL_DIR``.

        Registered models lie there as ``<name>/<version>/...`` or as themselves; with one model, the folder
        holds it directly. Raises FileNotFoundError when nothing there has that name.
        """
        root = os.environ.get("AZUREML_MODEL_DIR", "")
        if not root:
            raise FileNotFoundError("AZUREML_MODEL_DIR is not set: no model was given to this deployment")
        direct = os.path.join(root, model_name)
        if os.path.exists(direct):
            return _newest(direct, version)
        names = sorted(os.listdir(root))
        stems = [name for name in names if os.path.splitext(name)[0] == model_name]
        if stems or len(names) == 1:
            return os.path.join(root, (stems or names)[0])
        if os.path.basename(root.rstrip(os.sep)) == model_name:
            return root
        only = os.environ.get(ONLY_MODEL, "")
        if only:
            return only
        raise FileNotFoundError(2, f"no model {model_name!r}; there are {', '.join(names) or 'none'}", direct)


def _newest(path: str, version: int | None) -> str:
    versions = (
        sorted((name for name in os.listdir(path) if name.isdigit()), key=int) if os.path.isdir(path) else []
    )
    if not versions:
        return path
    folder = os.path.join(path, str(version) if version is not None else versions[-1])
    entries = os.listdir(folder)
    return os.path.join(folder, entries[0]) if len(entries) == 1 else folder
