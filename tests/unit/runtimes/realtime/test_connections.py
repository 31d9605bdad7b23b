"""A connection means the same by its bytes, however they are cut into packets and whatever it remembers."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.desk import Desk, Pipe
from support.wire import chunked, get, post


@dataclass(frozen=True)
class Sent:
    """A request on the wire, and its answer if all is well."""

    data: bytes
    method: str
    status: int
    body: bytes


def _scored(data: bytes, method: str, body: bytes, *, query: str = "", mark: str = "") -> Sent:
    echo = {"method": method, "path": "/score", "query": query, "mark": mark, "body": body.decode("latin-1")}
    return Sent(data, method, 200, b"" if method == "HEAD" else json.dumps(echo).encode())


HEALTH = Sent(get("/"), "GET", 200, b"Healthy")
PROBE = Sent(get("/", method="HEAD"), "HEAD", 200, b"")
NOWHERE_FIELDS = "X-Nothing: to see\r\n"


def _plain(body: bytes) -> Sent:
    return _scored(post(body), "POST", body)


def _marked(mark: str, body: bytes) -> Sent:
    return _scored(post(body, fields=f"X-Mark: {mark}\r\n"), "POST", body, mark=mark)


def _marked_after(mark: str, body: bytes) -> Sent:
    head = f"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\nX-Mark: {mark}\r\n\r\n"
    return _scored(head.encode() + body, "POST", body, mark=mark)


def _chunks(body: bytes) -> Sent:
    data = chunked(body[:1] or b"-", body[1:] or b"-", end=b"0\r\nX-Mark: trailer\r\n\r\n")
    return _scored(data, "POST", (body[:1] or b"-") + (body[1:] or b"-"))


def _asking_for_http2(body: bytes) -> Sent:
    fields = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    return _scored(post(body, fields=fields), "POST", body)


def _old(body: bytes) -> Sent:
    return _scored(post(body, version="1.0", fields="Connection: keep-alive\r\n"), "POST", body)


def _absolute(body: bytes) -> Sent:
    return _scored(post(body, target="http://x:80/score?a=1"), "POST", body, query="a=1")


def _headed(body: bytes) -> Sent:
    data = b"HEAD /score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    return _scored(data, "HEAD", body)


def _queried(body: bytes) -> Sent:
    query = body.hex()
    return _scored(get(f"/score?{query}"), "GET", b"", query=query)


# What looks like a request, or like part of a head, is still a body.
BODIES = st.one_of(
    st.binary(max_size=3),
    st.integers(0, 999).map(lambda n: json.dumps({"n": n}).encode()),
    st.sampled_from([post(b"{}"), post(b'{"n": 1}'), b"\r\nContent-Length: 2\r\n\r\n{}", b"\r\n", b"\0"]),
)
REQUESTS = st.one_of(
    st.builds(_plain, BODIES),
    st.builds(_plain, BODIES),
    st.builds(_marked, st.sampled_from("ab"), BODIES),
    st.builds(_marked_after, st.sampled_from("ab"), BODIES),
    st.builds(_chunks, BODIES),
    st.builds(_asking_for_http2, BODIES),
    st.builds(_old, BODIES),
    st.builds(_absolute, BODIES),
    st.builds(_headed, BODIES),
    st.builds(_queried, BODIES),
    st.just(HEALTH),
    st.just(PROBE),
)


def _expected(requests: list[Sent]) -> list[tuple[int, bytes]]:
    return [(request.status, request.body) for request in requests]


def _packets(data: st.DataObject, requests: list[Sent]) -> list[bytes]:
    """Their bytes, cut at some of their ends and at a few places besides."""
    stream = b"".join(request.data for request in requests)
    ends = [0]
    for request in requests:
        ends.append(ends[-1] + len(request.data))
    kept = [end for end in ends if data.draw(st.booleans())] if data.draw(st.booleans()) else ends
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=4))
    places = sorted({0, len(stream), *kept, *cuts})
    return [stream[a:b] for a, b in itertools.pairwise(places)]


@given(data=st.data(), talks=st.lists(st.lists(REQUESTS, max_size=8), min_size=2, max_size=2))
@settings(max_examples=400, deadline=None)
def test_every_answer_is_its_own_requests(data: st.DataObject, talks: list[list[Sent]]) -> None:
    """Two connections, heads that repeat and heads that do not, packets and answers in any order."""
    with Desk() as desk:
        pipes = [desk.connect() for _ in talks]
        waiting = [_packets(data, talk) for talk in talks]
        while any(waiting):
            turn = data.draw(st.sampled_from([i for i, packets in enumerate(waiting) if packets]))
            pipes[turn].deliver(waiting[turn].pop(0))
            if data.draw(st.booleans()):
                desk.work()
                for pipe in pipes:
                    pipe.settle()
        desk.settle(*pipes)
        for pipe, talk in zip(pipes, talks, strict=True):
            assert pipe.answers([request.method for request in talk]) == _expected(talk)
            assert not pipe.is_closed


def _talk(desk: Desk, packets: list[bytes]) -> Pipe:
    pipe = desk.connect()
    for packet in packets:
        pipe.deliver(packet)
        desk.settle(pipe)
    return pipe


PAIR = [_marked("a", b'{"n": 1}'), _chunks(b"two")]


def test_two_requests_split_anywhere_are_two_requests() -> None:
    stream = b"".join(request.data for request in PAIR) * 2
    with Desk() as desk:
        for place in range(len(stream) + 1):
            pipe = _talk(desk, [part for part in (stream[:place], stream[place:]) if part])
            assert pipe.answers() == _expected(PAIR * 2), place


def test_requests_that_come_byte_by_byte_are_answered() -> None:
    stream = b"".join(request.data for request in PAIR) * 2
    with Desk() as desk:
        pipe = _talk(desk, [stream[i : i + 1] for i in range(len(stream))])
        assert pipe.answers() == _expected(PAIR * 2)


@pytest.mark.parametrize("count", [1, 31, 32, 33, 34, 64, 500])
def test_a_connection_lives_on_after_any_number_of_pipelined_requests(count: int) -> None:
    requests = [_queried(b"%d" % n) for n in range(count)]
    with Desk() as desk:
        pipe = desk.connect()
        pipe.deliver(b"".join(request.data for request in requests))
        desk.settle(pipe)
        pipe.deliver(HEALTH.data)
        desk.settle(pipe)
        assert pipe.answers() == _expected([*requests, HEALTH])


def test_thousands_of_declined_upgrades_in_one_packet() -> None:
    requests = [_asking_for_http2(b"1")] * 1500
    with Desk() as desk:
        pipe = _talk(desk, [b"".join(request.data for request in requests)])
        assert pipe.answers() == _expected(requests)


def test_a_refusal_behind_a_declined_upgrade_says_why() -> None:
    with Desk() as desk:
        pipe = _talk(desk, [_asking_for_http2(b"1").data + b"GET / HTTP/1.1\r\n\r\n"])
        assert [status for status, _ in pipe.answers()] == [200, 400]


def test_large_requests_wait_with_the_client() -> None:
    body = b"x" * (2 << 20)
    with Desk(max_body_bytes=4 << 20) as desk:
        pipe = desk.connect()
        for _ in range(3):
            pipe.deliver(post(body))
        assert pipe.is_paused, "one is being scored, one is kept, the third is not read"
        desk.settle(pipe)
        assert [status for status, _ in pipe.answers()] == [200] * 3


def test_a_body_that_begins_behind_another_request_is_no_request() -> None:
    """A remembered head in a body whose own head came in one packet with an earlier request."""
    hidden = post(b"{}")
    carrier = _plain(hidden)
    head = carrier.data[: -len(hidden)]
    with Desk() as desk:
        pipe = _talk(desk, [hidden, HEALTH.data + head, hidden, HEALTH.data])
        assert pipe.answers() == _expected([_plain(b"{}"), HEALTH, carrier, HEALTH])


def test_garbage_that_resembles_a_remembered_length_is_refused() -> None:
    with Desk() as desk:
        pipe = _talk(desk, [b"\x005\r\rabc"])
        assert [status for status, _ in pipe.answers()] == [400]
        assert pipe.is_closed


def test_a_head_request_leaves_no_trace_on_the_next() -> None:
    requests = [_plain(b"1"), PROBE, _plain(b"2"), _headed(b"3"), _headed(b"4"), _plain(b"5")]
    with Desk() as desk:
        pipe = _talk(desk, [request.data for request in requests])
        assert pipe.answers([request.method for request in requests]) == _expected(requests)


def test_trailers_are_no_headers() -> None:
    data = chunked(b"{}", end=b"0\r\nX-Mark: late\r\nAuthorization: Bearer late\r\n\r\n")
    with Desk() as desk:
        assert _talk(desk, [data]).answers() == _expected([_scored(data, "POST", b"{}")])


@pytest.mark.parametrize(
    "endless",
    [b"X-T: " + b"t" * 1000 + b"\r\n", b"t" * 1000],
    ids=["trailers", "one trailer"],
)
def test_trailers_without_end_are_refused(endless: bytes) -> None:
    with Desk() as desk:
        pipe = _talk(desk, [chunked(b"{}", end=b"0\r\nX: "), *[endless] * 80])
        assert [status for status, _ in pipe.answers()] in ([413], [400])


def test_a_chunk_extension_without_end_is_refused() -> None:
    with Desk() as desk:
        pipe = _talk(desk, [chunked(end=b"2;x="), *[b"e" * 1000] * 80])
        assert [status for status, _ in pipe.answers()] == [413]


def test_small_chunks_are_welcome() -> None:
    body = b"x" * 30_000
    with Desk() as desk:
        pipe = _talk(desk, [chunked(*[b"x"] * len(body))[i : i + 4096] for i in range(0, 190_000, 4096)])
        assert pipe.answers() == _expected([_plain(body)])


def test_old_clients_are_told_that_the_connection_stays() -> None:
    with Desk() as desk:
        stays = _talk(desk, [_old(b"1").data, _old(b"2").data])
        assert stays.written.count(b"connection: keep-alive\r\n") == 2
        assert not stays.is_closed
        ends = _talk(desk, [post(b"1", version="1.0")])
        assert ends.written.count(b"connection: close\r\n") == 1
        assert ends.is_closed


def test_the_last_bytes_of_an_answer_are_not_waited_for_without_end() -> None:
    """Too few to make the transport complain, and the connection is closing already."""
    with Desk() as desk:
        pipe = _talk(desk, [get("/", fields="Connection: close\r\n")])
        [connection] = desk.gateway.connections
        now = desk.gateway.now()
        pipe.unsent = 1000
        connection.check_patience(now)
        connection.check_patience(now + desk.gateway.patience.write_s - 1)
        assert not pipe.is_aborted
        pipe.unsent = 999
        connection.check_patience(now + desk.gateway.patience.write_s + 1)
        assert not pipe.is_aborted, "it takes its answer, if slowly"
        connection.check_patience(now + 2 * desk.gateway.patience.write_s + 2)
        assert pipe.is_aborted
