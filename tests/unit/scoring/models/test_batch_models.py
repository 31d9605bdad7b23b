"""The scorer of a batch as a whole: what it says of itself, and what failures say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from batch_model_bench import FOLDER, opened, scorer, scripted
from sklearn.linear_model import Ridge

from penstock import errors
from penstock.bundle.batch import BatchLaunch, BatchSettings, Inputs, Output
from penstock.bundle.manifest import Manifest, ModelSource
from penstock.scoring import opening
from penstock.scoring.interface import Field, Signature
from support import sample_models

ROWS = pa.table({"a": [1.0, 2.0]})
NUMBER = Signature("table", (Field("a", "float64"),))


def test_the_one_door_opens_it(tmp_path: Path) -> None:
    path = sample_models.joblib_file(tmp_path, Ridge().fit([[0.0], [1.0]], [0.0, 1.0]))
    manifest = Manifest("m", model=ModelSource(str(path), "m"))
    made = opening.open_batch_scorer(manifest, BatchSettings(), FOLDER, ROWS.schema)
    content = made.score(ROWS).content
    np.testing.assert_array_equal(
        content.column("prediction"), Ridge().fit([[0.0], [1.0]], [0, 1]).predict([[1], [2]])
    )
    made.close()
    with pytest.raises(errors.ModelError, match="names neither a model nor a scoring script"):
        opening.open_batch_scorer(Manifest("m"), BatchSettings(), FOLDER, ROWS.schema)


def test_what_loading_noted_is_passed_on(tmp_path: Path) -> None:
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(2, n_jobs=2).fit([[0.0], [1.0]], [0.0, 1.0])
    made = opened(sample_models.joblib_file(tmp_path, forest), ROWS.schema)
    assert any("n_jobs" in note for note in made.notes)


def raising(error: Exception) -> Callable[[Any], Any]:
    def answer(data: Any) -> Any:
        raise error

    return answer


def test_what_the_model_refuses_is_the_datas_fault() -> None:
    made = scorer(scripted(raising(ValueError("Input X contains NaN.\nmore")), NUMBER), ROWS.schema)
    with pytest.raises(errors.InputError) as caught:
        made.score(ROWS)
    assert caught.value.message.startswith(
        "the model refused its input: predict: ValueError: Input X contains NaN. (test_batch_models.py:"
    )
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.hint == ""


@pytest.mark.parametrize("error", [KeyError("a"), ZeroDivisionError("no"), MemoryError()])
def test_what_the_model_raises_otherwise_is_its_own(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        scorer(scripted(raising(error), NUMBER), ROWS.schema).score(ROWS)
    assert caught.value is error


def test_chosen_columns_cross_processes(tmp_path: Path) -> None:
    launch = BatchLaunch(
        job="j",
        folder=str(tmp_path),
        manifest=Manifest("m"),
        python="python",
        inputs=Inputs(("a.parquet",)),
        output=Output("/nowhere"),
        settings=BatchSettings(input_columns=("b", "a")),
    )
    assert BatchLaunch.from_json(launch.to_json()) == launch
    assert launch.kind() != BatchLaunch.from_json(launch.to_json().replace('["b", "a"]', '["a", "b"]')).kind()
