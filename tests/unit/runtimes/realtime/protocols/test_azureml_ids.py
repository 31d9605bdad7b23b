"""Request ids: the table of what is sent and what comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.runtimes.realtime.protocols import azureml

FRESH = b"fresh"
header = st.none() | st.binary(max_size=120).filter(lambda value: b"\r" not in value and b"\n" not in value)


def block_of(**ids: str) -> bytes:
    return b"".join(f"{name.replace('_', '-')}: {value}\r\n".encode() for name, value in ids.items())


@pytest.mark.parametrize(
    ("sent", "block"),
    [
        ((None, None, None), block_of(x_request_id="fresh", x_ms_request_id="fresh")),
        ((b"a", None, None), block_of(x_request_id="a", x_ms_request_id="a")),
        (
            (None, b"b", None),
            block_of(x_request_id="fresh", x_ms_request_id="b", x_ms_client_request_id="b"),
        ),
        (
            (None, None, b"c"),
            block_of(x_request_id="fresh", x_ms_request_id="c", x_ms_client_request_id="c"),
        ),
        ((b"a", b"b", b"c"), block_of(x_request_id="a", x_ms_request_id="b", x_ms_client_request_id="c")),
    ],
)
def test_what_is_sent_decides_what_comes_back(sent, block):
    ids = azureml.resolve_ids(*sent, FRESH)
    assert ids.block == block
    assert ids.refusal == ""


def test_the_hot_path_agrees_with_the_table():
    assert azureml.plain_block(FRESH) == azureml.resolve_ids(None, None, None, FRESH).block


def test_trace_id_is_echoed_with_every_answer():
    for request_id in (b"a", b"a" * 101):
        assert azureml.resolve_ids(request_id, None, None, FRESH, b"t").block.endswith(b"TraceId: t\r\n")


def test_an_id_of_a_hundred_characters_is_the_longest():
    assert not azureml.resolve_ids(b"a" * 100, None, None, FRESH).refusal
    assert "x-request-id" in azureml.resolve_ids(b"a" * 101, None, None, FRESH).refusal
    for name in ({"ms_request_id": b"a" * 101}, {"client_request_id": b"a" * 101}):
        sent = {"request_id": None, "ms_request_id": None, "client_request_id": None, **name}
        ids = azureml.resolve_ids(**sent, fresh=FRESH)
        assert "must not exceed 100 characters" in ids.refusal
        assert ids.block == b"x-request-id: fresh\r\n"


@given(header, header, header)
def test_no_answer_carries_an_id_that_is_too_long(request_id, ms_request_id, client_request_id):
    ids = azureml.resolve_ids(request_id, ms_request_id, client_request_id, FRESH)
    lines = ids.block.split(b"\r\n")[:-1]
    assert all(len(line.partition(b": ")[2]) <= azureml.LONGEST_ID for line in lines)
    sent = [value for value in (request_id, ms_request_id, client_request_id) if value]
    assert bool(ids.refusal) == any(len(value) > azureml.LONGEST_ID for value in sent)
