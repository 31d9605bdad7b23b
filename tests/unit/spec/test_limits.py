"""Limits and arithmetic of Azure ML's files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.spec import limits

WORDS = st.text(alphabet="abzXY09", min_size=1, max_size=10)


@given(first=st.sampled_from("aZ"), words=st.lists(WORDS, min_size=1, max_size=5))
def test_words_between_single_dashes_are_a_name(first, words):
    name = first + "-".join(words)
    assert bool(limits.name_problem(name)) == (not 3 <= len(name) <= 32)


@pytest.mark.parametrize(
    "name", ["ab", "1ab", "-abc", "abc-", "a--b", "a_b", "a b", "a.b", "äbc", "abc\n", "x" * 33, ""]
)
def test_no_names(name):
    assert limits.name_problem(name)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("200Mi", 200 * 2**20),
        ("0.5Gi", 2**29),
        ("2G", 2 * 10**9),
        ("1k", 1000),
        ("128974848", 128974848),
        ("1Ti", 2**40),
    ],
)
def test_memory(text, number):
    assert limits.memory_bytes(text) == number


@pytest.mark.parametrize("text", ["", "lots", "1GB", "-1Gi", "1 Gi b", "Gi"])
def test_no_memory(text):
    assert limits.memory_bytes(text) is None


@given(concurrent=st.integers(1, 100), instances=st.integers(1, 50), per_instance=st.integers(1, 8))
def test_somebody_may_always_wait(concurrent, instances, per_instance):
    length = limits.queue_length(concurrent, instances, instances * per_instance)
    assert length >= 1
    assert length + instances * per_instance >= 2 * concurrent * instances


def test_an_impatient_probe_does_not_cut_a_first_start():
    assert limits.start_timeout_s(5, 5, 10, 1) == limits.LEAST_START_TIMEOUT_S
    assert limits.start_timeout_s(10, 10, 2, 30) == 310
