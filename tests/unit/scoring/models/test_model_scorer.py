"""What a frame of requests gets from ModelScorer, with real estimators and with models that misbehave."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from penstock import errors
from penstock.bundle import interpreters
from penstock.bundle.manifest import Manifest, ModelSource
from penstock.scoring import opening
from penstock.scoring.interface import Field, Reply, Request, Signature
from penstock.scoring.loaders import sklearn as sklearn_loader
from penstock.scoring.models.rows import MOST_SHARED
from penstock.scoring.models.scorer import FAILED, ModelScorer

CSV = ("Content-Type", "text/csv")
WIDTH = 3
NUMBERS = Signature("array", (Field("input", "float64", (-1, WIDTH)),))


class Scripted:
    """A model that answers what `answer` makes of its data; counts the calls and the rows of each."""

    name = "scripted"
    format = "python"
    methods = ("predict", "predict_proba")
    fork_safe = True

    def __init__(
        self,
        answer: Callable[[Any], Any],
        signature: Signature = NUMBERS,
        *,
        row_independent: bool = True,
    ) -> None:
        self.answer = answer
        self.signature = signature
        self.row_independent = row_independent
        self.calls: list[int] = []

    def call(self, method: str, data: Any, params: Mapping[str, Any]) -> Any:
        self.calls.append(len(data))
        return self.answer(data)


def post(payload: Any, *, query: str = "", path: str = "/score", headers: Any = (), id: str = "") -> Request:  # noqa: A002 - the field's own word
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Request(body, path=path, query=query, headers=headers, id=id)


def rows(*firsts: float) -> dict[str, Any]:
    return {"data": [[first, 0, 0] for first in firsts]}


def told(reply: Reply) -> tuple[int, Any]:
    value = json.loads(reply.body)
    return reply.status, value["message"] if reply.status >= 400 else value


@pytest.fixture(scope="module")
def people() -> ModelScorer:
    frame = pd.DataFrame({"age": [30.0, 40, 50, 60], "city": ["Oslo", "Bern", "Oslo", "Rome"]})
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["city"]), (StandardScaler(), ["age"])
    )
    pipeline = make_pipeline(encode, LogisticRegression()).fit(frame, ["a", "b", "a", "b"])
    return ModelScorer(sklearn_loader.adopt(pipeline, path="people.pkl", name="people"))


@pytest.fixture(scope="module")
def ridge() -> Ridge:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(50, WIDTH))
    return Ridge().fit(features, features @ [1, 2, 3])


def test_a_real_estimator_answers_a_bare_list(ridge: Ridge) -> None:
    scorer = ModelScorer(sklearn_loader.adopt(ridge, path="ridge.pkl", name="ridge"))
    replies = scorer.score([post({"data": [[1, 2, 3]]}), post({"data": [[4, 5, 6], [7, 8, 9]]})])
    assert [reply.status for reply in replies] == [200, 200]
    expected = ridge.predict([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    found = json.loads(replies[0].body) + json.loads(replies[1].body)
    np.testing.assert_allclose(found, expected)
    assert replies[0].content_type == "application/json"


@pytest.mark.parametrize("as_frame", [False, True])
def test_all_that_may_share_a_call_share_one(as_frame: bool) -> None:
    fields = tuple(Field(name, "float64") for name in "abc")
    signature = (
        Signature("table", fields) if as_frame else Signature("array", (Field("x", "float64", (-1, 3)),))
    )
    model = Scripted(lambda data: np.asarray(data)[:, 0], signature)
    requests = [
        post(rows(1)),
        post(b"2,0,0\n3,0,0\n", headers=[CSV]),
        post({"input_data": {"columns": ["a", "b", "c"], "data": [[4, 0, 0]]}}, id="x"),
        post({"instances": [[5, 0, 0]]}, path="/invocations"),
    ]
    replies = ModelScorer(model).score(requests)
    assert [told(reply) for reply in replies] == [
        (200, [1]),
        (200, [2, 3]),
        (200, [4]),
        (200, {"predictions": [5]}),
    ]
    assert model.calls == [2, 3] or model.calls == [5]
    model.calls.clear()
    ModelScorer(model).score([post(rows(1)), post(rows(2, 3)), post(rows(4))])
    assert model.calls == [4]


def test_columns_of_several_types_share_a_call() -> None:
    fields = (Field("n", "int64"), Field("s", "str"))
    model = Scripted(
        lambda frame: (frame["s"] + frame["n"].astype(str)).to_numpy(), Signature("table", fields)
    )
    requests = [post({"data": [{"s": "a", "n": 1}]}), post({"data": [[2, "b"], [3, "c"]]})]
    assert [told(reply)[1] for reply in ModelScorer(model).score(requests)] == [["a1"], ["b2", "c3"]]
    assert model.calls == [3]


def test_methods_and_params_are_called_apart(people: ModelScorer) -> None:
    person = [{"age": 41, "city": "Oslo"}]
    requests = [
        post({"data": person}),
        post({"data": person, "method": "predict_proba"}),
        post({"data": person}, query="method=decision_function"),
        post({"data": person, "params": {"k": 1}}),
        post({"data": person}, query="method=predict_prob"),
        post({"data": person}),
    ]
    answers = [told(reply) for reply in people.score(requests)]
    assert answers[0] == answers[5] == (200, ["a"])
    assert answers[1][0] == 200
    assert len(answers[1][1][0]) == 2
    assert answers[2][0] == 200
    assert answers[3] == (400, "the model has no parameter 'k'; it takes none")
    assert answers[4][0] == 400
    assert "it has predict, predict_proba, decision_function" in answers[4][1]


def test_only_the_culprit_hears_of_an_error(people: ModelScorer, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = {"data": [{"age": 41, "city": "Oslo"}]}, {"data": [{"age": None, "city": "Oslo"}]}
    answers = [told(reply) for reply in people.score([post(good), post(bad, id="id-7"), post(good)])]
    assert answers[0] == answers[2] == (200, ["a"])
    assert answers[1][0] == 400
    assert answers[1][1].startswith("The model refused its input: Input X contains NaN.")
    log = capsys.readouterr().err
    assert "request id-7: predict refused its input: ValueError: Input X contains NaN. (validation.py:" in log


def test_one_culprit_costs_few_calls() -> None:
    def answer(data: Any) -> Any:
        if (data[:, 0] == 13).any():
            raise ValueError("unlucky")
        return data[:, 0]

    model = Scripted(answer)
    replies = ModelScorer(model).score(
        [post(rows(13 if index == 21 else index + 100)) for index in range(32)]
    )
    expected: list[Any] = [(200, [index + 100.0]) for index in range(32)]
    expected[21] = (400, "The model refused its input: unlucky")
    assert [told(reply) for reply in replies] == expected
    assert len(model.calls) <= 2 + 2 * 5


def test_a_model_that_raises_is_logged_with_the_requests_id(capsys: pytest.CaptureFixture[str]) -> None:
    def answer(data: Any) -> Any:
        if (data[:, 0] == 13).any():
            raise KeyError("secret detail")
        return data[:, 0]

    replies = ModelScorer(Scripted(answer)).score([post(rows(1)), post(rows(13), id="id-13"), post(rows(2))])
    assert [told(reply) for reply in replies] == [(200, [1]), (500, FAILED), (200, [2])]
    log = capsys.readouterr().err
    assert "request id-13: predict failed on 1 rows\nTraceback" in log
    assert "secret detail" in log


def test_where_nothing_is_known_of_the_inputs_a_misfit_is_the_inputs() -> None:
    def answer(data: Any) -> Any:
        return [row["age"] for row in data]

    replies = [
        ModelScorer(Scripted(answer, signature)).score([post({"data": [[1, 0, 0]]})])[0]
        for signature in (Signature(), NUMBERS)
    ]
    assert told(replies[0])[0] == 400
    assert told(replies[0])[1].startswith("The model refused its input: IndexError: only integers")
    assert told(replies[1]) == (500, FAILED)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda data: data[:-1, 0], "0 rows for 1 rows"),
        (lambda data: np.append(data[:, 0], 0), "2 rows for 1 rows"),
        (lambda data: data[:, 0].sum(), "a single float64 for 1 rows"),
        (lambda data: {"a": data[:, 0], "b": [1, 2, 3]}, "a single dict for 1 rows"),
        (lambda data: [], "0 rows for 1 rows"),
        (lambda data: None, "a single NoneType for 1 rows"),
    ],
    ids=range(6),
)
def test_a_wrong_number_of_rows_is_never_cut(answer: Any, found: str) -> None:
    model = Scripted(answer)
    replies = ModelScorer(model).score([post(rows(1)), post(rows(2))])
    assert [told(reply) for reply in replies] == [
        (500, f"The model answered {found}, so no answer can be told whose it is.")
    ] * 2
    assert model.calls == [2, 2, 1, 1] or model.calls == [2, 1, 1]


def test_a_model_whose_rows_belong_together_is_called_once_a_request() -> None:
    model = Scripted(lambda data: float(data.sum()), row_independent=False)
    scorer = ModelScorer(model)
    assert not scorer.batches
    assert [told(reply) for reply in scorer.score([post(rows(1, 2)), post(rows(5))])] == [
        (200, 3.0),
        (200, 5.0),
    ]
    assert model.calls == [2, 1]


def test_no_rows_is_no_call() -> None:
    model = Scripted(lambda data: data[:, 0])
    scorer = ModelScorer(model)
    assert [
        told(reply) for reply in scorer.score([post({"data": []}), post(rows(1)), post({"data": []})])
    ] == [
        (200, []),
        (200, [1]),
        (200, []),
    ]
    assert model.calls == [1]
    assert scorer.score([post(b"a,b,c\n", headers=[CSV])])[0].body == b"[]"
    assert scorer.score([post({"data": []}, path="/invocations")])[0].body == b'{"predictions":[]}'


@pytest.mark.parametrize("key", ["data", "inputs"])
def test_large_requests_are_called_alone(key: str) -> None:
    model = Scripted(lambda data: data[:, 0])
    many = {key: [[1, 0, 0]] * MOST_SHARED}
    few = {key: [[2, 0, 0]] * (MOST_SHARED // 2 + 1)}
    replies = ModelScorer(model).score([post(few), post(many), post(few), post({key: [[3, 0, 0]]})])
    assert [json.loads(reply.body)[0] for reply in replies] == [2, 1, 2, 3]
    assert sorted(model.calls) == [MOST_SHARED // 2 + 1, MOST_SHARED // 2 + 2, MOST_SHARED]


@pytest.mark.parametrize(
    ("request_", "status", "said"),
    [
        (post(b"{"), 400, "the body is not JSON"),
        (post(rows(1), headers=[("content-type", "text/plain")]), 415, "send application/json, text/csv"),
        (post(rows(1), headers=[("accept", "image/png")]), 406, "accept application/json"),
        (Request(b"", path="/nowhere"), 404, "nothing at /nowhere"),
        (Request(b"", method="GET"), 405, "use POST"),
        (post({"data": [[1, 2]]}), 400, "expected 3 values, found 2"),
        (post({"data": [["1", 2, 3]]}), 400, "column 0: expected a number"),
    ],
    ids=range(7),
)
def test_statuses(request_: Request, status: int, said: str) -> None:
    model = Scripted(lambda data: data[:, 0])
    replies = ModelScorer(model).score([post(rows(1)), request_, post(rows(2))])
    assert [told(replies[0]), told(replies[2])] == [(200, [1]), (200, [2])]
    found, message = told(replies[1])
    assert found == status
    assert said in message


def test_options_and_prefixes_and_mlflows_errors() -> None:
    scorer = ModelScorer(Scripted(lambda data: data[:, 0]))
    assert scorer.score([Request(b"", method="OPTIONS")])[0].status == 200
    assert told(scorer.score([post(rows(1), path="/v1/service/score")])[0]) == (200, [1])
    refused = scorer.score([post({"instances": [[1]]}, path="/invocations")])[0]
    assert json.loads(refused.body)["error_code"] == "BAD_REQUEST"


def test_an_answer_that_cannot_be_written_costs_its_own_request_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = Scripted(lambda data: [object() if row[0] == 13 else row[0] for row in data.tolist()])
    replies = ModelScorer(model).score([post(rows(1)), post(rows(13)), post(rows(2))])
    assert [reply.status for reply in replies] == [200, 500, 200]
    assert "answered a object, which has no JSON form" in told(replies[1])[1]


def test_results_of_many_kinds_are_cut_at_the_callers_rows() -> None:
    for answer in (
        lambda data: pd.DataFrame({"x": data[:, 0]}),
        lambda data: pd.Series(data[:, 0], index=range(100, 100 + len(data))),
        lambda data: {"x": data[:, 0], "y": data[:, :2]},
        lambda data: [str(value) for value in data[:, 0]],
        lambda data: data[:, 0].astype("float32"),
        lambda data: np.where(data[:, 0] > 1, np.nan, data[:, 0]),
        lambda data: data[:, 0].astype(str).astype(object),
    ):
        requests = [post(rows(1)), post(rows(2, 3)), post(rows(4))]
        together = [reply.body for reply in ModelScorer(Scripted(answer)).score(requests)]
        apart = [ModelScorer(Scripted(answer)).score([request])[0].body for request in requests]
        assert together == apart
        assert len(set(together)) > 1


def test_describe_has_pages_and_metadata(people: ModelScorer) -> None:
    description = people.describe()
    assert description.kind == "model"
    assert set(description.documents) == {"2", "3", "3.1"}
    assert description.inference is not None
    assert description.inference["name"] == "people"
    assert not description.wants_headers
    json.dumps(description.to_json())


def test_open_scorer_loads_a_model_file(tmp_path: Any, ridge: Ridge) -> None:
    import joblib

    path = tmp_path / "ridge.joblib"
    joblib.dump(ridge, path)
    scorer = opening.open_scorer(Manifest("demo", model=ModelSource(str(path), "ridge")))
    assert scorer.batches
    assert scorer.score([post({"data": [[1, 2, 3]]})])[0].status == 200
    assert scorer.describe().documents["3"]["info"]["title"] == "demo"
    with pytest.raises(errors.ModelError, match="neither a model nor a scoring script"):
        opening.open_scorer(Manifest("demo"))


def test_the_modules_import_on_the_oldest_python_without_any_library() -> None:
    old = [found for found in interpreters.find() if found.version[:2] == (3, 8)]
    if not old:
        pytest.skip("no Python 3.8 on this machine")
    program = """
        import sys
        sys.path.insert(0, sys.argv[1])
        from penstock.scoring import opening
        from penstock.scoring.models import scorer as model, openapi
        from penstock.scoring.codecs import accept, answers, arrow_stream, csv_text, envelopes, schema, score_route
        from penstock.scoring.codecs import json_text
        assert json_text.dumps({"a": [1.5, float("nan")]}) == b'{"a":[1.5,null]}'
        assert json_text.loads(b"[NaN]")
        assert not {"numpy", "pandas", "pyarrow", "orjson"} & set(sys.modules)
    """
    source = Path(opening.__file__).parents[2]
    argv = [old[0].path, "-I", "-S", "-B", "-c", textwrap.dedent(program), str(source)]
    subprocess.run(argv, check=True, timeout=30)


def test_scoring_loads_no_library_before_it_is_needed() -> None:
    program = (
        "import sys, penstock.scoring.models.scorer;"
        "assert not {'numpy', 'pandas', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


@pytest.mark.parametrize(
    ("body", "encoding", "status", "said"),
    [
        (gzip.compress(json.dumps(rows(3)).encode(), mtime=0), "gzip", 200, [3.0]),
        (zlib.compress(json.dumps(rows(4)).encode()), "deflate", 200, [4.0]),
        (gzip.compress(json.dumps(rows(3)).encode(), mtime=0)[:-9], "gzip", 400, "the body is not whole"),
        (b"plain", "gzip", 400, "the body is not gzip"),
        (b"plain", "br", 415, "send gzip, deflate or none"),
    ],
    ids=range(5),
)
def test_compressed_bodies(body: bytes, encoding: str, status: int, said: Any) -> None:
    model = Scripted(lambda data: data[:, 0])
    (reply,) = ModelScorer(model).score([post(body, headers=[("content-encoding", encoding)])])
    found, answer = told(reply)
    assert found == status
    assert answer == said or said in answer


def test_an_integer_beyond_all_floats_is_the_callers_mistake() -> None:
    def fail(data: Any) -> Any:
        raise OverflowError("int too large to convert to float")

    (reply,) = ModelScorer(Scripted(fail)).score([post(rows(1))])
    assert told(reply) == (400, "The model refused its input: int too large to convert to float")
