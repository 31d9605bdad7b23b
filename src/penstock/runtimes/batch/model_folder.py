"""The folder that a script finds in ``AZUREML_MODEL_DIR``: as on Azure ML it holds the model and nothing else, for
scripts take the first thing they find there. Made in the job's folder. Driver only.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

from penstock.bundle.batch import BatchLaunch
from penstock.bundle.manifest import Manifest

FOLDER = "model"


def manifest_of(launch: BatchLaunch) -> Manifest:
    """The job's manifest, with that folder as its model's."""
    manifest = launch.manifest
    if manifest.model is None or manifest.code is None or not launch.settings.model_alone:
        return manifest
    folder = str(Path(launch.folder, FOLDER))
    return dataclasses.replace(manifest, model=dataclasses.replace(manifest.model, directory=folder))


def make(launch: BatchLaunch) -> None:
    """Make the folder, where there is to be one: links to the model's files, in folders of its own, for many who
    search folders follow no links to them."""
    model = manifest_of(launch).model
    if model is None or model == launch.manifest.model:
        return
    folder = Path(model.directory)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    top = folder / Path(model.path).name
    if not Path(model.path).is_dir():
        top.symlink_to(model.path)
        return
    for at, _, names in os.walk(model.path, followlinks=True):
        here = top / os.path.relpath(at, model.path)
        here.mkdir(parents=True, exist_ok=True)
        for name in names:
            (here / name).symlink_to(Path(at, name))
