"""Azure ML's append_row: what its driver makes of what run() returned."""

from __future__ import annotations

import ast
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from penstock.runtimes.batch.encoders import registry


def written(path: Path, *results: Any, encoding: str = "append-row") -> str:
    encoder = registry.open_encoder(encoding, str(path))
    for one in results:
        encoder.write(one)
    encoder.close()
    return path.read_bytes().decode()


@pytest.mark.parametrize(
    ("element", "line"),
    [
        ("name.png: 7", "name.png: 7"),
        ('quoted "text", and more', 'quoted "text", and more'),
        (7, "7"),
        (0.1, "0.1"),
        (np.int64(7), "7"),
        (np.float64(0.1), "0.1"),
        (np.float32(0.1), "0.10000000149011612"),
        (["heart.csv", 1], "['heart.csv', 1]"),
        (("a", 0.5), "('a', 0.5)"),
        ({"image": "a.png", "p": 0.5}, "{'image': 'a.png', 'p': 0.5}"),
        ('{"a": 1}', '{"a": 1}'),
        (None, "None"),
        (np.array([1, 2]), "[1 2]"),
    ],
)
def test_elements_of_a_list(tmp_path: Path, element: Any, line: str) -> None:
    assert written(tmp_path / "x", [element, element]) == f"{line}\n{line}\n"


def test_readers_of_others_read_it(tmp_path: Path) -> None:
    digits = written(tmp_path / "a", [f"{n}.png: {n}" for n in range(3)])
    frame = pd.read_csv(io.StringIO(digits), delimiter=":", header=None)
    assert frame[1].tolist() == [0, 1, 2]

    lists = written(tmp_path / "b", [["a.csv", 0], ["b.csv", 1]])
    assert ast.literal_eval(lists.replace("\n", ",")) == (["a.csv", 0], ["b.csv", 1])

    rows = pd.DataFrame({"file": ["a b.png", "c.png"], "class": [3, 4], "p": [0.25, None]})
    text = written(tmp_path / "c", rows)
    assert text == '"a b.png" 3 0.25\nc.png 4 \n'
    read = pd.read_csv(io.StringIO(text), header=None, names=["file", "class", "p"], sep=" ")
    pd.testing.assert_frame_equal(read, rows)


def test_a_tuple_is_a_list(tmp_path: Path) -> None:
    assert written(tmp_path / "x", ("a", 1)) == "a\n1\n"


def test_names_of_files_that_are_no_utf8(tmp_path: Path) -> None:
    encoder = registry.open_encoder("append-row", str(tmp_path / "x"))
    encoder.write([b"caf\xe9.png".decode("utf-8", "surrogateescape")])
    encoder.close()
    assert (tmp_path / "x").read_bytes() == b"caf\xe9.png\n"


def test_a_header_comes_once(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a b": [1], "c": [2]})
    assert written(tmp_path / "x", frame, frame, encoding="append-row-header") == '"a b" c\n1 2\n1 2\n'
    assert written(tmp_path / "y", ["x"], ["y"], encoding="append-row-header") == "\nx\ny\n"
