"""Logs that nobody reads, messages that are too long."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit import channels, logs
from support.waiting import until


def test_a_log_that_nobody_reads_holds_nobody_up_and_says_what_it_lost() -> None:
    read, write = os.pipe()
    log = logs.Log(style="json", fd=write)
    for _ in range(300):
        log("info", "x" * 65_536)
    data = b""

    def caught_up() -> bool:
        nonlocal data
        data += os.read(read, 1 << 20)
        log("info", "more")
        return b"were dropped" in data

    until(caught_up, "the loss to be told")
    records = [json.loads(line) for line in data.split(b"\n")[:-1]]
    [told] = [record["message"] for record in records if "dropped" in record["message"]]
    long_ones = sum(record["message"].startswith("xx") for record in records)
    assert long_ones + int(told.split()[0]) >= 300
    os.close(read)
    log.finish()
    os.close(write)


def test_what_is_logged_last_is_written_before_the_end() -> None:
    read, write = os.pipe()
    log = logs.Log(fd=write)
    for number in range(100):
        log("info", f"line {number}")
    log.finish()
    assert b"line 99" in os.read(read, 1 << 20)
    os.close(read)
    os.close(write)


@given(st.text(alphabet=st.characters(), max_size=300), st.integers(100, 2000))
def test_clipped_text_fits(text: str, most_bytes: int) -> None:
    clipped = channels.clipped(text, most_bytes)
    assert clipped == text or len(json.dumps(clipped)) <= most_bytes + 60
    assert clipped == text or len(json.dumps(text)) > most_bytes


def test_the_longest_message_crosses_whole_and_a_longer_one_is_refused() -> None:
    ours, theirs = channels.pair()
    text = "x" * (channels.LARGEST_BYTES - 20)
    ours.send({"text": text})
    assert theirs.receive() == {"text": text}
    with pytest.raises(ValueError, match="does not fit"):
        ours.send({"text": text + "x" * 20})
    ours.close()
    with pytest.raises(channels.ChannelClosedError):
        theirs.receive()
    theirs.close()
