"""Rows never cross callers: whatever shares a frame, every answer is the one its request gets alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.scoring.interface import Field, Reply, Request, Signature
from penstock.scoring.models.frames import Frames
from penstock.scoring.models.scorer import ModelScorer

NAMES = ("a", "b", "c")
ARROW = "application/vnd.apache.arrow.stream"


class Echo:
    """Answers each row with its own values, so that a row that is moved shows. Refuses 13, breaks on 17,
    and answers one row too few when it sees 19."""

    name = "echo"
    format = "python"
    methods = ("predict", "predict_proba")
    fork_safe = True
    row_independent = True

    def __init__(self, signature: Signature, *, accepts_array: bool = False, as_list: bool = False) -> None:
        self.signature = signature
        self.accepts_array = accepts_array
        self.as_list = as_list

    def call(self, method: str, data: Any, params: Mapping[str, Any]) -> Any:
        values = np.asarray(data)
        firsts = values[:, 0].tolist()
        if 13 in firsts:
            raise ValueError("13 brings bad luck")
        if 17 in firsts:
            raise RuntimeError("broken")
        if 19 in firsts:
            values = values[1:]
        if self.as_list:
            return [f"{method}:{row}:{sorted(params.items())}" for row in values.tolist()]
        return values * (1 if method == "predict" else -1)


class Joined(Echo):
    """Answers an array of texts, made of two columns."""

    def call(self, method: str, data: Any, params: Mapping[str, Any]) -> Any:
        if 17 in data["b"].tolist():
            raise RuntimeError("broken")
        return np.array([f"{a}{c}" for a, c in zip(data["a"], data["c"], strict=True)], dtype=object)


NUMERIC = tuple(Field(name, "float64") for name in NAMES)
MIXED = (Field("a", "float64"), Field("b", "int64"), Field("c", "str"))
MODELS = {
    "array": Echo(Signature("array", (Field("x", "float64", (-1, 3)),))),
    "float32": Echo(Signature("array", (Field("x", "float32", (-1, 3)),))),
    "anything": Echo(Signature("array", (Field("x", "object", (-1, 3)),)), as_list=True),
    "table": Echo(Signature("table", NUMERIC)),
    "table as array": Echo(Signature("table", NUMERIC), accepts_array=True),
    "mixed table": Echo(Signature("table", MIXED), as_list=True),
    "mixed table by columns": Joined(Signature("table", MIXED)),
    "unknown": Echo(Signature(), as_list=True),
}

numbers = st.sampled_from([0, 1, 2.5, -3, 7, 1e30]) | st.integers(-5, 20)
strange = st.sampled_from([None, True, "x", "2.5", 10**30, 1e300, [1], {}, float("nan"), "", "\u00e9"])
cells = st.integers(0, 20).flatmap(lambda dice: strange if dice == 0 else numbers)
grids = st.lists(st.lists(cells, min_size=3, max_size=3), max_size=4)
ragged = st.lists(st.lists(cells, max_size=4) | cells, max_size=3)


def as_request(body: Any, **more: Any) -> Request:
    return Request(body if isinstance(body, bytes) else json.dumps(body).encode(), **more)


def records(grid: list[list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(NAMES, row, strict=False)) for row in grid]


def as_csv(grid: list[list[Any]], *, header: bool) -> Request:
    lines = [",".join(map(str, row)) for row in ([list(NAMES)] if header else []) + grid]
    return as_request("\n".join(lines).encode(), headers=[("content-type", "text/csv")])


def as_arrow(grid: list[list[Any]], *, answer: str) -> Request:
    columns = zip(*grid, strict=True) if grid else [[], [], []]
    table = pa.table(
        {name: [float(cell) for cell in cells] for name, cells in zip(NAMES, columns, strict=True)}
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return as_request(sink.getvalue().to_pybytes(), headers=[("content-type", ARROW), ("accept", answer)])


plain_grids = st.lists(st.lists(st.integers(-5, 20), min_size=3, max_size=3), max_size=4)
requests = st.one_of(
    st.builds(lambda grid: as_request({"data": grid}), grids),
    st.builds(lambda grid: as_request({"data": grid}), plain_grids),
    st.builds(lambda grid: as_request({"data": grid}), ragged),
    st.builds(lambda grid: as_request(grid), grids),
    st.builds(lambda grid: as_request({"data": records(grid)}), grids),
    st.builds(lambda grid: as_request({"dataframe_records": records(grid)}, path="/invocations"), grids),
    st.builds(
        lambda grid, names: as_request({"input_data": {"columns": names, "data": grid}}),
        grids,
        st.permutations(NAMES) | st.just(["a", "b", "z"]),
    ),
    st.builds(
        lambda grid: as_request({"inputs": {name: [row[i] for row in grid] for i, name in enumerate(NAMES)}}), grids
    ),
    st.builds(
        lambda grid, method: as_request({"instances": grid, "method": method}),
        grids,
        st.sampled_from(["predict", "predict_proba", "guess"]),
    ),
    st.builds(lambda grid, k: as_request({"data": grid, "params": {"k": k}}), grids, st.integers(0, 2)),
    st.builds(lambda grid: as_request({"data": grid}, query="method=predict_proba"), grids),
    st.builds(lambda grid, header: as_csv(grid, header=header), grids, st.booleans()),
    st.builds(lambda grid, answer: as_arrow(grid, answer=answer), plain_grids, st.sampled_from([ARROW, "*/*"])),
    st.sampled_from(
        [as_request(b""), as_request(b"{"), as_request({}), as_request({"data": 1}), as_request(b"\xff"),
         as_request(b"[[1,2,3]]", headers=[("accept", "image/png")]), Request(b"", path="/nowhere")]
    ),
)  # fmt: skip


def told(reply: Reply) -> tuple[int, bytes, str]:
    return reply.status, reply.body, reply.content_type


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=120, deadline=None)
@given(frame=st.lists(requests, max_size=6))
def test_every_answer_is_the_one_its_request_gets_alone(name: str, frame: list[Request]) -> None:
    scorer = ModelScorer(MODELS[name])
    together = [told(reply) for reply in scorer.score(frame)]
    alone = [told(scorer.score([request])[0]) for request in frame]
    assert together == alone


@pytest.mark.parametrize("name", ["array", "table", "table as array"])
@settings(max_examples=120, deadline=None)
@given(
    grids=st.lists(plain_grids, min_size=1, max_size=8), form=st.sampled_from(["data", "instances", "inputs"])
)
def test_every_caller_gets_its_own_rows(name: str, grids: list[list[list[int]]], form: str) -> None:
    scorer = ModelScorer(MODELS[name])
    replies = scorer.score(
        [as_request({form if index % 2 else "data": grid}) for index, grid in enumerate(grids)]
    )
    for grid, reply in zip(grids, replies, strict=True):
        firsts = [row[0] for row in grid]
        if 13 in firsts:
            assert reply.status == 400
        elif 17 in firsts or 19 in firsts:
            assert reply.status == 500
        else:
            assert (reply.status, json.loads(reply.body)) == (200, grid)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=120, deadline=None)
@given(frame=st.lists(requests, min_size=1, max_size=4))
def test_the_quick_way_and_the_explaining_way_agree(name: str, frame: list[Request]) -> None:
    scorer = ModelScorer(MODELS[name])
    # A header that changes nothing, but keeps a request from the quick way.
    explained = [
        Request(r.body, path=r.path, query=r.query, headers=[*r.headers, ("x-note", "")]) for r in frame
    ]
    for quick, slow in zip(scorer.score(frame), scorer.score(explained), strict=True):
        if quick.content_type == ARROW:
            assert quick.status == slow.status
        else:
            assert told(quick) == told(slow)


@pytest.mark.parametrize(
    "payload",
    [
        {"data": [{"c": "z", "a": 1, "b": 2}]},
        {"input_data": {"columns": ["a", "b", "c"], "index": ["r"], "data": [[1, 2, "z"]]}},
        {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1, 2, "z"]]}},
        {"dataframe_records": [{"a": 1, "b": 2, "c": "z"}]},
        [[1, 2, "z"]],
    ],
    ids=str,
)
def test_the_common_forms_go_the_quick_way(payload: Any) -> None:
    frames = Frames.of(MODELS["mixed table by columns"])
    assert frames is not None
    replies = frames.score([as_request(payload), as_request(payload)])
    assert replies is not None
    assert [json.loads(reply.body) for reply in replies] == [["1.0z"]] * 2
