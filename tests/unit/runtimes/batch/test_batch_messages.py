"""What crosses between driver and workers arrives as it was."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from penstock.bundle.batch import BatchSettings, Output, ReadOptions
from penstock.bundle.manifest import Manifest, ModelSource
from penstock.kit import frames
from penstock.runtimes.batch import messages
from penstock.runtimes.batch.messages import Job, Order, Outcome
from penstock.runtimes.batch.plan import Cut, Piece, SourceFile

texts = st.text(max_size=20)
numbers = st.integers(-1, 2**62)
files = st.builds(
    SourceFile, texts, numbers, texts, texts, st.dictionaries(texts, st.one_of(st.none(), texts)), texts
)
pieces = st.builds(Piece, files, st.builds(Cut, numbers, numbers, numbers, numbers, numbers), texts)
spans = st.lists(st.tuples(numbers, numbers, texts), max_size=3).map(tuple)


@given(st.lists(pieces, max_size=4).map(tuple), spans, st.lists(numbers).map(tuple), numbers)
def test_an_order(
    held: tuple[Piece, ...], dead: tuple[tuple[int, int, str], ...], splits: tuple[int, ...], allowed: int
) -> None:
    order = Order(number=7, attempt=2, pieces=held, dead=dead, splits=splits, failures_allowed=allowed)
    [(kind, payload)] = frames.FrameReader().feed(order.to_frame())
    assert kind == messages.ORDER
    assert Order.from_payload(payload) == order


@given(texts, texts, numbers)
def test_an_outcome(error: str, traceback: str, rows: int) -> None:
    outcome = Outcome(
        number=1, attempt=2, error=error, traceback=traceback, rows=rows, cpu_s=0.25, fatal=True
    )
    assert Outcome(**json.loads(json.dumps(outcome.to_json()))) == outcome


def test_a_job() -> None:
    job = Job(
        manifest=Manifest(name="m", model=ModelSource(path="/m.pkl", name="m", format="sklearn")),
        settings=BatchSettings(input_columns=("a", "ü"), program_arguments=("--x", "1")),
        output=Output(location="/out", key=("id",)),
        read=ReadOptions(column_types={"a": "int64"}, column_names=("a",)),
        encoding="parquet",
        staging="/staging",
        schema=bytes(range(256)),
        transformations=({"take": 5}, {"filter": 'col("a") > 1'}),
        model_digest="ab",
        own_results="/own",
    )
    assert Job.from_json(job.to_json()) == job
