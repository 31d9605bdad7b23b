"""Filter expressions are taken apart, and nothing else is."""

from __future__ import annotations

import contextlib
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.bundle import row_filters
from penstock.bundle.row_filters import Arithmetic, Column, Compare, Literal, Logic, Not, StartsWith


def test_an_expression_is_taken_apart():
    found = row_filters.parse('col("FBI Code") == "11" and not (x + 1 > -2.5) or name.startswith("a")')
    assert found == Logic(
        "or",
        (
            Logic(
                "and",
                (
                    Compare("==", Column("FBI Code"), Literal("11")),
                    Not(Compare(">", Arithmetic("+", Column("x"), Literal(1)), Literal(-2.5))),
                ),
            ),
            StartsWith(Column("name"), "a"),
        ),
    )
    assert row_filters.columns_of(found) == ("FBI Code", "x", "name")
    assert row_filters.parse("datetime(2015, 7, 5, 23)") == Literal(dt.datetime(2015, 7, 5, 23))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no expression"),
        ("x ==", "is no expression"),
        ("x = 1", "write == to compare"),
        ("x == 1 && y == 2", "write and, or"),
        ("x == 1 || y == 2", "write and, or"),
        ("!x", "write not"),
        ('FBI Code == "11"', 'col("FBI Code")'),
        ("1 < x < 3", "1 < x and x < 3"),
        ("x in [1, 2]", 'x == "a" or x == "b"'),
        ("x is None", "is is not known"),
        ("~x", "write not"),
        ("name.lower() == 'a'", "lower() is not known"),
        ("__import__('os').system('x')", "system() is not known"),
        ("(lambda: 1)()", "not known"),
        ("x[0] == 1", "[...] is not known"),
        ("x.y == 1", "a dot is not known"),
        ("f'{x}' == 'a'", "not known"),
        ("[x for x in y]", "not known"),
        ("b'x' == x", "not known"),
        ("x if y else z", "if is not known"),
        ("(x := 1)", "not known"),
        ("col(x)", "in quotes"),
        ("col('x', 'y')", "in quotes"),
        ("name.startswith(x)", "in quotes"),
        ("datetime(2015)", "year, month, day"),
        ("datetime(2015, 13, 1)", "month must be in 1..12"),
        ("datetime(2015, 1, 1.5)", "year, month, day"),
        ("x > 99999999999999999999", "too large"),
        ("(" * 300 + "x" + ")" * 300, "no expression"),
        ("not " * 100 + "x", "too deeply nested"),
        ("x" * 20_000, "too long"),
        ("x == '\0'", "no expression"),
    ],
)
def test_what_is_no_filter_is_said(text, words):
    with pytest.raises(row_filters.WrongFilter) as caught:
        row_filters.parse(text)
    assert words in str(caught.value)


@given(st.text(st.sampled_from("x1 ()'\"=<>!.andorot+-*/%[]{}:,\\\n\t\0é"), max_size=40))
def test_any_text_is_taken_or_refused(text):
    with contextlib.suppress(row_filters.WrongFilter):
        row_filters.columns_of(row_filters.parse(text))
