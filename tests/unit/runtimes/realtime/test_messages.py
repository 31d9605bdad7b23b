"""Frames: whatever is cut however, comes out whole and in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.kit import frames
from penstock.runtimes.realtime import messages
from penstock.scoring.interface import Reply

line = st.text(st.characters(codec="latin-1", exclude_characters="\n\r\0"), max_size=20)
token = st.text("abcdefXYZ-", min_size=1, max_size=10)


@given(st.lists(st.tuples(st.integers(1, 4), st.binary(max_size=60)), max_size=8), st.data())
def test_frames_survive_any_cut(sent: list[tuple[int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(frames.frame(kind, payload) for kind, payload in sent)
    reader = frames.FrameReader()
    found = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += reader.feed(stream[:size])
        stream = stream[size:]
    assert found == sent


@given(
    st.lists(
        st.tuples(
            st.floats(allow_nan=False),
            st.binary(max_size=40),
            st.one_of(st.none(), st.tuples(token, token, line, st.lists(st.tuples(token, line), max_size=3))),
        ),
        max_size=6,
    )
)
def test_a_batch_is_read_as_it_was_written(items: list) -> None:
    written = []
    for deadline, body, about in items:
        meta = b""
        if about is not None:
            request_id, method, target, headers = about
            meta = request_id.encode() + messages.meta_of(
                method.encode(),
                target.encode("latin-1"),
                [(k.encode(), v.encode("latin-1")) for k, v in headers],
            )
        written.append((deadline, meta, body))
    [(kind, payload)] = frames.FrameReader().feed(messages.batch(written))
    assert kind == messages.BATCH
    read = messages.read_batch(payload)
    assert [(deadline, request.body) for deadline, request in read] == [(d, b) for d, b, _ in items]
    for (_, request), (_, _, about) in zip(read, items, strict=True):
        if about is None:
            assert (request.method, request.path, request.headers) == ("POST", "/score", ())
        else:
            request_id, method, target, headers = about
            assert (request.id, request.method, request.headers) == (request_id, method, headers)
            assert request.path + ("?" if "?" in target else "") + request.query == target


@given(
    st.lists(st.one_of(st.none(), st.tuples(st.integers(200, 599), st.binary(max_size=40), line)), max_size=6)
)
def test_replies_are_read_as_they_were_written(answers: list) -> None:
    written = [None if a is None else Reply(a[1], status=a[0], headers=[("x-note", a[2])]) for a in answers]
    [(kind, payload)] = frames.FrameReader().feed(messages.replies(written))
    assert kind == messages.REPLIES
    read = messages.read_replies(payload)
    assert [(status, body) for status, _, body in read] == [(0, b"") if a is None else a[:2] for a in answers]


@given(st.text(max_size=30))
def test_no_header_value_can_start_a_line_of_its_own(value: str) -> None:
    head = messages.head_of(Reply(b"", headers=[("x-note", value)]))
    assert head.count(b"\n") == head.count(b"\r") == 2
