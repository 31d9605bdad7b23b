"""The real azureml-inference-server-http and Penstock get the same scripts and the same requests.

Status, headers and body must agree, unless the case stands in the table of ``docs/differences.md``; a case in
that table must differ, and in the way that the table says. So neither code nor table can rot.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import azureml_peer
import pytest
from azureml_peer import Call, Seen, Server

from support import peers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DIFFERENCES = peers.ROOT / "docs" / "differences.md"
JSON = (("Content-Type", "application/json"),)
LONG = "x" * 101


def post(payload: Any, *headers: tuple[str, str]) -> Call:
    return Call(json.dumps(payload).encode(), headers=JSON + headers)


def get(path: str, *headers: tuple[str, str]) -> Call:
    return Call(method="GET", path=path, headers=headers)


def typed(body: bytes, content_type: str) -> Call:
    return Call(body, headers=(("Content-Type", content_type),))


def raw(do: str, body: bytes = b"", content_type: str = "", query: str = "", **headers: str) -> Call:
    sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
    if content_type:
        sent.append(("Content-Type", content_type))
    return Call(body, path=f"/score?do={do}{query}", headers=tuple(sent))


ROW = [[1, 2, 3]]
PEOPLE = [{"age": 20, "name": "eve", "score": 2, "member": True}]
FORM = (
    b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\none\r\n'
    b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\ntwo\r\n'
    b'--XX\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\nContent-Type: text/plain\r\n\r\n'
    b"line\r\n\r\nline\r\n--XX--\r\n"
)

CASES: dict[str, dict[str, Call]] = {
    "plain": {
        "object": post({"a": 1}),
        "list": post([[1.5, 2]]),
        "no content type": Call(b'{"a": 1}'),
        "text content type": typed(b'{"a": 1}', "text/plain"),
        "form content type": typed(b'{"a": 1}', "application/x-www-form-urlencoded"),
        "multipart content type": typed(b'{"a": 1}', "multipart/form-data; boundary=x"),
        "odd content type": typed(b"[1]", "application/vnd.me+json; v=1"),
        "unicode": Call('text:\u4e16\u754c "\U0001f600"'.encode(), headers=JSON),
        "byte order mark": Call(b"\xef\xbb\xbftext:", headers=JSON),
        "control characters": Call(b"text:\x00\x01\n\r\t", headers=JSON),
        "bad utf-8": Call(b"text:\xff\xfe", headers=JSON),
        "cut utf-8": Call(b"text:\xe4\xb8", headers=JSON),
        "empty body": Call(b"", headers=JSON),
        "bad json": Call(b"{", headers=JSON),
        "run raises": post("raise"),
        "run raises TimeoutError": post("timeout"),
        "working directory": post("where"),
        "large": post(["0123456789" * 10] * 2000),
        "get": get("/score?a=1&b=[1,2]&c=x&d=null&e="),
        "get without query": get("/score"),
        "get repeats": get("/score?foo=1&foo=bar&x=y&foo"),
        "get encoded": get("/score?a%20b=c+d%26&u=%E4%B8%96"),
        "get bad utf-8": get("/score?a=%ff%e4"),
        "get numbers": get("/score?a=1e5&b=-0&c=NaN&d=%22s%22&e=true"),
        "get semicolon": get("/score?a=1;b=2"),
        "post with query": Call(b'{"a": 1}', path="/score?a=2", headers=JSON),
        "options": Call(method="OPTIONS"),
        "head": Call(method="HEAD"),
        "put": Call(b"{}", method="PUT"),
        "delete": Call(method="DELETE"),
        "unknown method": Call(method="BREW"),
        "unknown path": get("/nothing"),
        "score with slash": Call(b"{}", path="/score/", headers=JSON),
        "post to root": Call(b"{}", path="/", headers=JSON),
        "health": get("/"),
        "health with ids": get("/", ("x-request-id", "mine"), ("TraceId", "t")),
        "swagger": get("/swagger.json"),
        "swagger 2.0": get("/swagger.json?version=2.0"),
        "swagger 3": get("/swagger.json?version=3"),
        "swagger 3.0": get("/swagger.json?version=3.0"),
        "swagger 3.1": get("/swagger.json?version=3.1"),
        "swagger 4": get("/swagger.json?version=4"),
        "swagger no version": get("/swagger.json?version="),
        "request id": post(1, ("x-request-id", "mine")),
        "request id spelling": post(1, ("X-REQUEST-ID", "mine")),
        "request id empty": post(1, ("x-request-id", "")),
        "ms request id": post(1, ("x-ms-request-id", "theirs")),
        "client request id": post(1, ("x-ms-client-request-id", "client")),
        "all ids": post(1, ("x-request-id", "a"), ("x-ms-request-id", "b"), ("x-ms-client-request-id", "c")),
        "ids on failure": post("raise", ("x-request-id", "a"), ("x-ms-client-request-id", "c")),
        "ids on bad input": Call(b"\xff", headers=(("x-request-id", "a"), ("TraceId", "t"))),
        "id of 100": post(1, ("x-request-id", "x" * 100)),
        "long request id": post(1, ("x-request-id", LONG)),
        "long ms request id": post(1, ("x-ms-request-id", LONG)),
        "long client request id": post(1, ("x-ms-client-request-id", LONG), ("x-request-id", "a")),
        "long id on health": get("/", ("x-request-id", LONG)),
        "trace id": post(1, ("TraceId", "abc")),
    },
    "headers": {
        "spelling": post(["X-Custom-Name", "Content-Type", "X-Absent"], ("x-CUSTOM-name", "value")),
        "repeats": post(["X-Repeat"], ("x-repeat", "one"), ("x-repeat", "two")),
        "host and length": post(["Host", "Content-Length"]),
        "all of mine": Call(b"", headers=(("x-b", "1"), ("x-a", "2"))),
        "latin-1": post(["X-Name"], ("x-name", "J\xf6rg")),
        "get": get("/score?X-A=1", ("x-a", "1")),
    },
    "schema_numpy": {
        "good": post({"data": ROW}),
        "strings as numbers": post({"data": [["1", "2", "3"]]}),
        "many rows": post({"data": ROW * 50}),
        "no rows": post({"data": []}),
        "wrong width": post({"data": [[1, 2]]}),
        "ragged": post({"data": [[1, 2, 3], [1]]}),
        "wrong dimensions": post({"data": [1, 2, 3]}),
        "not an array": post({"data": "abc"}),
        "null": post({"data": None}),
        "optional": post({"data": ROW, "weights": [7, 8], "power": 2}),
        "optional null": post({"data": ROW, "weights": None}),
        "optional empty": post({"data": ROW, "weights": []}),
        "dates": post({"data": ROW, "when": ["2021-02-03", "2021-02-03T04:05:06"]}),
        "bad date": post({"data": ROW, "when": ["soon"]}),
        "loose": post({"data": ROW, "loose": [[1.5], [2]]}),
        "unknown key": post({"data": ROW, "other": 1}),
        "missing": post({"weights": [1]}),
        "empty object": post({}),
        "list body": post(ROW),
        "string body": post("abc"),
        "null body": post(None),
        "empty body": Call(b"", headers=JSON),
        "bad json": Call(b'{"data": [[1,', headers=JSON),
        "bad utf-8": Call(b'{"data": "\xff"}', headers=JSON),
        "utf-16": Call('{"data": [[1, 2, 3]]}'.encode("utf-16"), headers=JSON),
        "byte order mark": Call(b'\xef\xbb\xbf{"data": [[1, 2, 3]]}', headers=JSON),
        "nan": Call(b'{"data": [[NaN, 1, 2]]}', headers=JSON),
        "duplicate key": Call(b'{"data": 1, "data": [[1, 2, 3]]}', headers=JSON),
        "no content type": Call(b'{"data": [[1, 2, 3]]}'),
        "text content type": typed(b'{"data": [[1, 2, 3]]}', "text/plain"),
        "json with charset": typed(b'{"data": [[1, 2, 3]]}', "Application/JSON; charset=utf-8"),
        "json dialect": typed(b'{"data": [[1, 2, 3]]}', "application/problem+json"),
        "get": get("/score?data=[[1,2,3]]&power=2"),
        "get missing": get("/score?power=2"),
        "options": Call(method="OPTIONS"),
        "put": Call(b"{}", method="PUT", headers=JSON),
        "swagger 2": get("/swagger.json?version=2"),
        "swagger 3": get("/swagger.json?version=3"),
        "swagger 3.1": get("/swagger.json?version=3.1"),
    },
    "schema_pandas": {
        "good": post({"data": PEOPLE}),
        "other order": post({"data": [{"member": False, "score": 1.5, "name": "x", "age": 1}]}),
        "missing column": post({"data": [{"age": 1, "name": "x", "score": 1}]}),
        "extra column": post({"data": [{**PEOPLE[0], "more": 1}]}),
        "wrong type": post({"data": [{**PEOPLE[0], "age": "old"}]}),
        "null in integers": post({"data": [{**PEOPLE[0], "age": None}]}),
        "float in integers": post({"data": [{**PEOPLE[0], "age": 1.9}]}),
        "no rows": post({"data": []}),
        "scalar": post({"data": 5}),
        "columns": post({"data": PEOPLE, "wide": {"a": {"0": 1, "1": 2}, "b": {"0": 3, "1": 4}}}),
        "split": post({"data": PEOPLE, "split": {"columns": ["a", "c"], "index": [0], "data": [[1, 2]]}}),
        "dates": post({"data": PEOPLE, "dated": [{"day": "2022-03-04", "n": 1}]}),
        "swagger 2": get("/swagger.json?version=2"),
        "swagger 3": get("/swagger.json?version=3"),
    },
    "schema_standard": {
        "good": post({"count": 1}),
        "float for int": post({"count": 1.5}),
        "string for int": post({"count": "1"}),
        "int for float": post({"count": 1, "ratio": 2}),
        "bool for int": post({"count": True}),
        "zero": post({"count": 0, "ratio": 0, "label": ""}),
        "label and flag": post({"count": 1, "label": "x", "flag": True}),
        "blob": post({"count": 1, "blob": "AAEC"}),
        "bad blob": post({"count": 1, "blob": "A"}),
        "moment": post({"count": 1, "moment": "2021-02-03 04:05:06.5 +0100"}),
        "moment iso": post({"count": 1, "moment": "2021-02-03T04:05:06Z"}),
        "bad moment": post({"count": 1, "moment": "soon"}),
        "clock": post({"count": 1, "clock": "04:05:06.25 +0000"}),
        "day": post({"count": 1, "day": "2021-02-03"}),
        "nested": post(
            {
                "count": 1,
                "nested": {
                    "array": [[3, 4]],
                    "table": [{"x": 2, "y": "b"}],
                    "inner": {"deep": [1, 2]},
                    "plain": "anything",
                    "more": 1,
                },
            }
        ),
        "nested part": post({"count": 1, "nested": {"array": [[3, 4]]}}),
        "nested wrong": post({"count": 1, "nested": {"array": [[3, 4, 5]]}}),
        "nested no object": post({"count": 1, "nested": [1]}),
        "many": post({"count": 1, "many": [[1, 2], [3]]}),
        "many no array": post({"count": 1, "many": {"a": 1}}),
        "untouched": post({"count": 1, "untouched": [1, 2]}),
        "agent": post({"count": 1}, ("User-Agent", "me")),
        "swagger 2": get("/swagger.json?version=2"),
        "swagger 3": get("/swagger.json?version=3"),
    },
    "raw": {
        "post": raw("look", b"abc", "text/plain; charset=utf-8", "&a=1&a=2&b=%20", x_custom="Y"),
        "get": get("/score?do=look&x=1", ("Cookie", 'a=1; b="two"')),
        "head": Call(method="HEAD", path="/score?do=text"),
        "options": Call(method="OPTIONS", path="/score?do=look"),
        "put": Call(b"x", method="PUT", path="/score?do=look"),
        "no body": raw("look"),
        "text": raw("text", "gr\u00fc\u00dfe".encode()),
        "bad utf-8 as text": raw("text", b"a\xffb"),
        "json": raw("json", b'{"a": [1]}', "application/json"),
        "json without type": raw("json", b'{"a": [1]}'),
        "bad json": raw("json", b"{", "application/json"),
        "silent": raw("silent", b"{", "application/json"),
        "forced": raw("silent", b"[1]", "text/plain"),
        "urlencoded": raw("form", b"a=1&a=2&b=%26+c", "application/x-www-form-urlencoded"),
        "multipart": raw("form", FORM, "multipart/form-data; boundary=XX"),
        "multipart cut": raw("form", FORM[:60], "multipart/form-data; boundary=XX"),
        "multipart without boundary": raw("form", FORM, "multipart/form-data"),
        "no form": raw("form", b"abc", "text/plain"),
        "stream": raw("stream", b"abcdefgh"),
        "bytes": raw("bytes", bytes(range(256)), "application/octet-stream"),
        "created": raw("created", b"x"),
        "teapot": raw("teapot"),
        "fail": raw("fail"),
        "unknown word": raw("nothing"),
        "swagger 2": get("/swagger.json"),
    },
    "answers": {
        **{
            word: Call(word.encode())
            for word in (
                "string",
                "none",
                "number",
                "nan",
                "unicode",
                "tuple",
                "keys",
                "array",
                "scalar",
                "integer",
                "set",
                "decimal",
                "bytes",
                "circular",
                "response-none",
                "response-json",
                "response-text",
                "response-bytes",
                "response-dict",
                "response-list",
                "response-headers",
                "response-400",
                "response-500",
                "response-503",
                "response-failed",
                "response-number",
                "response-empty",
                "response-204",
                "response-charset",
            )
        },
        "unknown word": Call(b"nothing"),
    },
    "driver": {"run of the script behind": Call(b"x")},
    "own_pages": {
        "2": get("/swagger.json"),
        "3": get("/swagger.json?version=3"),
        "3.1": get("/swagger.json?version=3.1"),
    },
    "slow": {
        "in time": Call(b"0.01"),
        "timeout": Call(b"5"),
        "after a timeout": Call(b"0"),
        "cors": Call(b"0", headers=(("Origin", "https://a.example"),)),
        "cors stranger": Call(b"0", headers=(("Origin", "https://c.example"),)),
        "cors preflight": Call(
            method="OPTIONS",
            headers=(
                ("Origin", "https://b.example"),
                ("Access-Control-Request-Method", "POST"),
                ("Access-Control-Request-Headers", "X-B, content-type"),
            ),
        ),
        "cors preflight put": Call(
            method="OPTIONS",
            headers=(("Origin", "https://b.example"), ("Access-Control-Request-Method", "PUT")),
        ),
        "cors on failure": Call(b"x", headers=(("Origin", "https://a.example"),)),
        "cors on health": get("/", ("Origin", "https://a.example")),
    },
}

VARIABLES = {
    "slow": {"SCORING_TIMEOUT_MS": "300", "AML_CORS_ORIGINS": "https://a.example, https://b.example"}
}


def known_differences() -> dict[str, tuple[str, str]]:
    """Pattern of cases -> what the table says of the two servers' statuses."""
    rows = {}
    for line in DIFFERENCES.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 5:
            for pattern in re.findall(r"`([^`]+)`", cells[0]):
                rows[pattern] = (cells[2], cells[3])
    return rows


KNOWN = known_differences()


def pattern_for(case: str) -> str | None:
    return next((pattern for pattern in KNOWN if fnmatch.fnmatchcase(case, pattern)), None)


@pytest.fixture(scope="session")
def peer() -> Path:
    return azureml_peer.build_peer()


WITH_ORIGINALS = {"raw", "answers", "schema_standard"}
"""Scripts that are also served by us beside Flask, inference-schema and the rest of the real modules."""


class Servers:
    """The servers on one script at a time: started when its first case comes, stopped when another's does."""

    def __init__(self, peer: Path, logs: Path) -> None:
        self._peer = peer
        self._logs = logs
        self._script = ""
        self._stack = contextlib.ExitStack()
        self._running: list[Server] = []

    def on(self, script: str) -> list[Server]:
        """Theirs, ours, and perhaps ours with the originals; ready."""
        if not self._running or self._script != script:
            self.close()
            logs = self._logs / script
            logs.mkdir(exist_ok=True)
            path = azureml_peer.SCRIPTS / script / "score.py"
            variables = VARIABLES.get(script, {})
            self._running = self._stack.enter_context(
                azureml_peer.all_on(self._peer, path, logs, originals=script in WITH_ORIGINALS, **variables)
            )
            self._script = script
        return self._running

    def close(self) -> None:
        """Stop them."""
        self._running = []
        self._stack.close()


@pytest.fixture(scope="module")
def servers(peer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(peer, tmp_path_factory.mktemp("servers"))
    yield servers
    servers.close()


@pytest.mark.parametrize("case", [f"{script}: {name}" for script, calls in CASES.items() for name in calls])
def test_both_servers_answer_alike(servers: Servers, case: str) -> None:
    script, _, name = case.partition(": ")
    call = CASES[script][name]
    theirs, ours, *beside_originals = (
        azureml_peer.exchange(server.port, call) for server in servers.on(script)
    )
    if call.path.startswith("/swagger.json") and (theirs.status, ours.status) == (200, 200):
        theirs, ours = skeleton(theirs), skeleton(ours)
        beside_originals = [skeleton(seen) for seen in beside_originals]
    pattern = pattern_for(case)
    found = differences(theirs, ours)
    if pattern is None:
        assert not found, "\n".join(found)
        assert [differences(theirs, seen) for seen in beside_originals] in ([], [[]])
    else:
        assert found, f"docs/differences.md says that {pattern!r} differs, but it does not"
        for said, seen in zip(KNOWN[pattern], (theirs, ours), strict=True):
            statuses = re.findall(r"\b[1-5]\d\d\b", said)
            assert not statuses or str(seen.status) in statuses


def differences(theirs: Seen, ours: Seen) -> list[str]:
    """What differs, a line each; long bodies are cut, for pytest takes minutes to compare them."""
    found = []
    if theirs.status != ours.status:
        found.append(f"status {theirs.status} != {ours.status}")
    for name in sorted(theirs.headers.keys() | ours.headers.keys()):
        pair = theirs.headers.get(name), ours.headers.get(name)
        # Our gateway says nothing of run() in the answers for which it asked no worker.
        if pair[0] != pair[1] and not (name == "x-ms-run-function-failed" and pair == (["False"], None)):
            found.append(f"{name}: {pair[0]} != {pair[1]}")
    if theirs.body != ours.body and not _same_json(theirs, ours):
        found.append(f"body {theirs.body[:800]!r}\n  != {ours.body[:800]!r}")
    return found


def _same_json(theirs: Seen, ours: Seen) -> bool:
    """Whether two answers of the servers themselves say the same; only what `run` gave must agree byte by byte."""
    if "x-ms-run-fn-exec-ms" in theirs.headers or theirs.headers.get("content-type") != ["application/json"]:
        return False
    return json.loads(theirs.body) == json.loads(ours.body or b"null")


def skeleton(seen: Seen) -> Seen:
    """A schema page without its prose: paths, operations, schemas."""
    page = json.loads(seen.body)
    if "paths" not in page:
        return seen
    schemas = page.get("definitions") or page["components"]["schemas"]
    operations = {
        path: {method: operation["operationId"] for method, operation in methods.items()}
        for path, methods in page["paths"].items()
    }
    kept = {
        "version": page.get("swagger") or page["openapi"],
        "title": page["info"]["title"],
        "number": page["info"]["version"],
        "operations": operations,
        "schemas": schemas,
        "security": page["paths"]["/score"]["post"]["security"],
        "schemes": page.get("securityDefinitions") or page["components"]["securitySchemes"],
    }
    kept["schemes"]["Bearer"].pop("description")
    return Seen(seen.status, seen.headers, json.dumps(kept, sort_keys=True).encode())


def test_every_difference_in_the_table_is_tried() -> None:
    cases = [f"{script}: {name}" for script, calls in CASES.items() for name in calls]
    unused = [pattern for pattern in KNOWN if not fnmatch.filter(cases, pattern)]
    assert KNOWN
    assert unused == []


CANNOT_START = {
    "no_init.py": "init",
    "no_run.py": "run",
    "only_headers.py": "request_headers",
    "no_parameter.py": "run()",
    "variadic.py": "**kwargs",
    "positional_only.py": "positional-only",
    "missing_module.py": "a_module_that_nobody_has",
    "failing_init.py": "model.pkl",
    "exiting_init.py": "no licence",
    "raw_and_schema.py": "rawhttp",
    "syntax.py": "SyntaxError",
}
"""Script that cannot start -> what our log must say."""


@dataclass(frozen=True)
class Failure:
    """How both servers ended on one script, and our log."""

    codes: tuple[int, int]
    log: str


@pytest.fixture(scope="module")
def failures(peer: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Failure]:
    """All of them at once, some at a time: each waits more than it works."""
    home = tmp_path_factory.mktemp("broken")
    code = home / "code"
    shutil.copytree(azureml_peer.SCRIPTS / "broken", code)
    (code / "syntax.py").write_text("def init(:\n")
    models = home / "models"
    models.mkdir()
    (models / "model.pkl").touch()

    def fail(script: str) -> Failure:
        variables = {"AZUREML_MODEL_DIR": str(models)}
        theirs = azureml_peer.start_theirs(peer, code, script, home / f"{script}.theirs.log", variables)
        ours = azureml_peer.start_ours(code, script, home / f"{script}.ours.log", variables)
        try:
            return Failure((theirs.wait_exit(), ours.wait_exit()), ours.log.read_text())
        finally:
            theirs.stop()
            ours.stop()

    with ThreadPoolExecutor(3) as pool:
        return dict(zip(CANNOT_START, pool.map(fail, CANNOT_START), strict=True))


@pytest.mark.parametrize("script", CANNOT_START)
def test_a_script_that_cannot_start_ends_both_servers_alike(
    failures: dict[str, Failure], script: str
) -> None:
    assert failures[script].codes == (3, 3)
    assert CANNOT_START[script] in failures[script].log
