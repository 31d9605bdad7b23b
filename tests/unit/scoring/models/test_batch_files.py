"""A model that is given files: each is one call, and has the types of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from batch_model_bench import FOLDER, scripted
from PIL import Image

from penstock import errors
from penstock.bundle.batch import BatchSettings
from penstock.scoring.interface import Field, Signature
from penstock.scoring.models.batch_files import FilesBatchScorer

COLUMNS = Signature("table", (Field("a", "float64"), Field("b", "str")))
TENSOR = Signature("array", (Field("image", "uint8", (-1, -1, -1, 3)),))


def scorer(answer: Any, signature: Signature, **settings: Any) -> FilesBatchScorer:
    return FilesBatchScorer(scripted(answer, signature), BatchSettings(takes="files", **settings), FOLDER)


def test_each_file_is_one_call(tmp_path: Path) -> None:
    calls: list[Any] = []

    def answer(frame: pd.DataFrame) -> Any:
        calls.append(frame)
        return frame["a"] * 2

    (tmp_path / "one.csv").write_text("b,a,more\n007,1,\ny,2,\n")
    (tmp_path / "none.csv").write_text("b,a\n")
    (tmp_path / "TWO.CSV").write_text("a,b\n0.5,,\n")
    pd.DataFrame({"b": ["z"], "a": [3]}).to_parquet(tmp_path / "three.pqt")
    paths = [str(tmp_path / name) for name in ("one.csv", "none.csv", "TWO.CSV", "three.pqt")]
    scored = scorer(answer, COLUMNS).score(paths)
    assert scored.successes == 4
    assert [table.num_rows for table in scored.content] == [2, 0, 1, 1]
    assert [value for table in scored.content for value in table.to_pydict().get("prediction", [])] == [
        2,
        4,
        1,
        6,
    ]
    assert [len(frame) for frame in calls] == [2, 1, 1]
    assert [list(frame["b"].fillna("-")) for frame in calls] == [["007", "y"], ["-"], ["z"]]
    assert all(list(frame.columns) == ["a", "b"] for frame in calls)


def test_texts_are_read_as_they_stand_and_others_as_pandas_does(tmp_path: Path) -> None:
    found: list[pd.DataFrame] = []

    def answer(frame: pd.DataFrame) -> Any:
        found.append(frame)
        return frame["a"]

    signature = Signature("table", (*COLUMNS.inputs, Field("c", "category", categories=("01", "02"))))
    (tmp_path / "x.csv").write_text("a,b,c,mixed\n1,NA,01,1\nNA,,02,x\nnan,null,01,2\n")
    scorer(answer, signature).score([str(tmp_path / "x.csv")])
    assert found[0]["b"].fillna("-").tolist() == ["NA", "-", "null"]
    assert found[0]["c"].astype(str).tolist() == ["01", "02", "01"]
    assert found[0]["a"].isna().tolist() == [False, True, True]


def test_texts_of_other_names_stand_too(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("n,land\n1,NA\n2,007\n")
    seen: list[Any] = []
    made = scorer(lambda given: seen.append(given) or given["a"], COLUMNS, input_columns=("n", "land"))
    made.score([str(tmp_path / "x.csv")])
    assert seen[0]["b"].tolist() == ["NA", "007"]
    lone = Signature("array", (Field("input", "str", (-1,)),))
    (tmp_path / "x.csv").write_text("n,text\n1,NA\n2,so it is\n")
    scorer(lambda given: seen.append(given) or given, lone).score([str(tmp_path / "x.csv")])
    assert list(seen[1]) == ["NA", "so it is"]


def test_a_column_of_numbers_and_then_words_harms_nobody(tmp_path: Path) -> None:
    lines = [f"1,x,{number if number < 300_000 else 'word'}\n" for number in range(300_002)]
    (tmp_path / "x.csv").write_text("a,b,note\n" + "".join(lines))
    scored = scorer(lambda frame: frame["a"], COLUMNS).score([str(tmp_path / "x.csv")])
    assert scored.content[0].num_rows == 300_002


def test_a_frames_own_index_is_no_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "y": [0.5] * 4})[lambda each: each.x != 2]
    frame["id"] = [7, 8, 12]
    frame.set_index("id").to_parquet(tmp_path / "named.parquet")
    named = Signature("table", (Field("id", "int64"), Field("x", "float64")))
    scored = scorer(lambda given: given["id"], named).score([str(tmp_path / "named.parquet")])
    assert scored.content[0].to_pydict() == {"prediction": [7, 8, 12]}
    frame = frame.drop(columns="id")
    frame.to_parquet(tmp_path / "x.parquet")
    matrix = Signature("array", (Field("input", "float64", (-1, 2)),))
    for name in ("x.parquet", "named.parquet"):
        scored = scorer(lambda given: given.sum(axis=1), matrix).score([str(tmp_path / name)])
        assert scored.content[0].to_pydict() == {"prediction": [1.5, 3.5, 4.5]}


def test_images(tmp_path: Path) -> None:
    for width in (3, 5):
        Image.new("RGB", (width, 2), (width, 0, 0)).save(tmp_path / f"{width}.png")
    paths = [str(tmp_path / "3.png"), str(tmp_path / "5.png")]
    means = scorer(lambda given: given.mean(axis=(1, 2))[:, 0], TENSOR).score(paths).content
    assert [table.to_pydict() for table in means] == [{"prediction": [3.0]}, {"prediction": [5.0]}]
    unknown = Signature()
    shapes = scorer(lambda given: [str(given.shape)], unknown).score(paths).content
    assert [table.column(0)[0].as_py() for table in shapes] == ["(2, 3, 3)", "(2, 5, 3)"]
    single = scorer(lambda given: np.float64(given.max()), unknown).score(paths).content
    assert [table.column(0)[0].as_py() for table in single] == [3.0, 5.0]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.txt", b"a,b\n1,2\n", "files of this kind"),
        ("x.csv", b"", "cannot be read as CSV"),
        ("x.csv", b"a,b\n1,2\n1,2,3\n", "cannot be read as CSV"),
        ("x.csv", b"a,b\n1,2,5\n3,4,6\n", "more values than its header has names"),
        ("x.csv", b"a,b\n1,x\nmuch,x\n", "a"),
        ("x.csv", b"\xff\xfe,b\n1,2\n", "cannot be read as CSV"),
        ("x.parquet", b"PAR1", "cannot be read as Parquet"),
        ("x.csv", b"b\nx\n", "a"),
        ("x.csv", b"a,b\nmuch,x\n", "a"),
        ("x.png", None, "takes columns (a, b)"),
    ],
)
def test_a_file_that_cannot_be_scored_is_named(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    path = tmp_path / name
    if content is None:
        Image.new("RGB", (2, 2)).save(path)
    else:
        path.write_bytes(content)
    with pytest.raises(errors.DataError) as caught:
        scorer(lambda frame: frame["a"], COLUMNS).score([str(path)])
    assert caught.value.message.startswith(f"{name}: ")
    assert said in caught.value.message


def test_a_method_that_is_not_there() -> None:
    with pytest.raises(errors.ModelError, match="no method 'transform'"):
        scorer(lambda frame: frame["a"], COLUMNS, method="transform")


def test_what_answers_only_one_row_for_many_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,x\n2,y\n")
    with pytest.raises(errors.JobError, match="1 rows for 2 rows"):
        scorer(lambda frame: pa.array([1]).to_numpy(), COLUMNS).score([str(tmp_path / "x.csv")])
