"""Cross-origin headers: who gets them, and which."""

import pytest

from penstock import errors
from penstock.runtimes.realtime.protocols import cors

ONE = cors.policy(["https://app.example.com"])
TWO = cors.policy(["https://b.example.com", "https://a.example.com"])
ANY = cors.policy(["*"])
PATTERN = cors.policy([r"https://.*\.example\.com"])


def test_without_origins_nothing_is_ever_sent():
    assert cors.policy([]) is None
    assert cors.policy([" ", ""]) is None
    assert cors.block(None, b"POST", b"https://app.example.com") == b""


@pytest.mark.parametrize(
    ("policy", "origin", "expected"),
    [
        (ONE, b"https://app.example.com", b"Access-Control-Allow-Origin: https://app.example.com\r\n"),
        (ONE, b"HTTPS://APP.example.com", b"Access-Control-Allow-Origin: HTTPS://APP.example.com\r\n"),
        (ONE, b"https://other.example.com", b""),
        (ONE, None, b"Access-Control-Allow-Origin: https://app.example.com\r\n"),
        (
            TWO,
            b"https://b.example.com",
            b"Access-Control-Allow-Origin: https://b.example.com\r\nVary: Origin\r\n",
        ),
        (TWO, None, b"Access-Control-Allow-Origin: https://a.example.com\r\nVary: Origin\r\n"),
        (ANY, b"https://x.org", b"Access-Control-Allow-Origin: https://x.org\r\nVary: Origin\r\n"),
        (ANY, None, b"Access-Control-Allow-Origin: *\r\n"),
        (
            PATTERN,
            b"https://a.example.com",
            b"Access-Control-Allow-Origin: https://a.example.com\r\nVary: Origin\r\n",
        ),
        (PATTERN, b"https://a.example.com.evil.org", b""),
        (PATTERN, None, b""),
    ],
)
def test_an_answer_names_the_origin_that_may_read_it(policy, origin, expected):
    assert cors.block(policy, b"POST", origin) == expected


def test_a_preflight_learns_methods_and_headers():
    got = cors.block(ONE, b"OPTIONS", b"https://app.example.com", b"POST", b"x-b, content-type")
    assert b"Access-Control-Allow-Methods: GET, POST\r\n" in got
    assert b"Access-Control-Allow-Headers: content-type, x-b\r\n" in got


@pytest.mark.parametrize("method", [b"PUT", b"ET", b"", None])
def test_a_preflight_for_another_method_learns_nothing(method):
    got = cors.block(ONE, b"OPTIONS", b"https://app.example.com", method, b"content-type")
    assert got == b"Access-Control-Allow-Origin: https://app.example.com\r\n"


def test_private_networks_are_refused():
    got = cors.block(ONE, b"OPTIONS", b"https://app.example.com", private_network=b"true")
    assert b"Access-Control-Allow-Private-Network: false\r\n" in got


def test_a_broken_pattern_is_a_usage_error():
    with pytest.raises(errors.UsageError, match="not a regular expression"):
        cors.policy(["https://[.example.com"])
