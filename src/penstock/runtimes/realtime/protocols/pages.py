"""The page at ``/docs``: what the service is and how to call it, for people. One self-contained HTML document
that asks nothing of any other host; the only script is ours, and sends the form.

Everything that comes from the deployment is escaped. Pure but for reading the style and the script, once.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from html import escape
from importlib import resources
from typing import Any, Final

import penstock
from penstock.runtimes.realtime.protocols import page_schema
from penstock.runtimes.realtime.protocols.page_schema import Line

CONTENT_TYPE: Final = "text/html; charset=utf-8"

_WIDTH = 68
_LONGEST_SNIPPET = 3000
_MOST_CHIPS = 12
_MOST_LIST = 80


def schema_page(
    document: Mapping[str, Any],
    *,
    name: str,
    origin: str,
    prefix: str = "",
    requires_key: bool = False,
    inference: Mapping[str, Any] | None = None,
) -> bytes:
    """The page of the deployment `name`, from its OpenAPI 3 `document` (empty: it has none).

    `origin` is where the server believes it is reached (``http://127.0.0.1:5001``); the script corrects it to
    what the browser sees. `prefix` is that of every route. `inference` is the Open Inference Protocol's model
    metadata, or None where it is not spoken.
    """
    service = page_schema.read(document)
    score = prefix + "/score"
    sample = {} if service.sample is None else service.sample
    title = service.title or name
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        '<meta name=viewport content="width=device-width, initial-scale=1">',
        f'<meta http-equiv=Content-Security-Policy content="{escape(_security_policy())}">',
        "<meta name=robots content=noindex><link rel=icon href=data:,>",
        f"<title>{escape(title)}</title><style>{_asset('css')}</style></head><body>",
        _header(title, name, service, requires_key, inference),
        "<main>",
        _snippets(origin, score, sample, requires_key),
        _form(prefix, score, sample, requires_key, is_known=service.sample is not None),
        _table(
            "Input", "what a request holds", service.inputs, note=service.input_note, is_cut=service.is_cut
        ),
        _table("Answer", "what comes back", service.outputs),
        _routes(prefix, service.operations, inference),
        "</main>",
        f"<footer>Served by Penstock {escape(penstock.__version__)}</footer>",
        f"<script>{_asset('js')}</script></body></html>",
    ]
    return "".join(parts).encode("utf-8", "replace")


@functools.cache
def _security_policy() -> str:
    """Nothing runs and nothing is asked but the page's own style and script, known by their hashes."""
    style, script = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (_asset("css"), _asset("js"))
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
    )


@functools.cache
def _asset(kind: str) -> str:
    text = resources.files(__package__).joinpath(f"page.{kind}").read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def _header(
    title: str,
    name: str,
    service: page_schema.Service,
    requires_key: bool,
    inference: Mapping[str, Any] | None,
) -> str:
    facts = ["<span class=fact><span class=dot></span><b id=state>…</b></span>"]
    if title != name:
        facts.append(f"<span class=fact>{escape(name)}</span>")
    if service.version:
        facts.append(f"<span class=fact>version <b>{escape(service.version)}</b></span>")
    if inference is not None and inference.get("platform"):
        facts.append(f"<span class=fact>{escape(str(inference['platform']))}</span>")
    facts.append(f"<span class=fact>{'key required' if requires_key else 'no key needed'}</span>")
    description = f"<p>{escape(service.description)}</p>" if service.description else ""
    return (
        f"<header><div><h1>{escape(title)}</h1>{description}"
        f"<div class=facts>{''.join(facts)}</div></div></header>"
    )


def _snippets(origin: str, score: str, sample: Any, requires_key: bool) -> str:
    url = f"<span class=origin>{escape(origin)}</span>{escape(urllib.parse.quote(score))}"
    curl, python = _curl(url, sample, requires_key), _python(url, sample, requires_key)
    return (
        "<section><h2>Call it</h2><div class=tabs>"
        "<input type=radio name=tab id=tab-curl checked><label for=tab-curl>curl</label>"
        "<input type=radio name=tab id=tab-python><label for=tab-python>Python</label>"
        f"<div class='panel curl'><button class=copy type=button>Copy</button><pre>{curl}</pre></div>"
        f"<div class='panel python'><button class=copy type=button>Copy</button><pre>{python}</pre></div>"
        "</div></section>"
    )


def _curl(url: str, sample: Any, requires_key: bool) -> str:
    body = lay_out(sample)
    data = "'" + body.replace("'", "'\\''") + "'" if len(body) <= _LONGEST_SNIPPET else "@payload.json"
    key = "  -H 'Authorization: Bearer '\"$KEY\" \\\n" if requires_key else ""
    head = f"curl {url} \\\n  -H 'Content-Type: application/json' \\\n"
    return head + escape(key + f"  --data-binary {data}" if data[0] == "@" else key + f"  -d {data}")


def _python(url: str, sample: Any, requires_key: bool) -> str:
    body = lay_out(sample, python=True)
    payload = body if len(body) <= _LONGEST_SNIPPET else 'json.load(open("payload.json"))'
    imports = "import json\nimport requests\n" if payload is not body else "import requests\n"
    key = '\n    headers={"Authorization": "Bearer " + key},' if requires_key else ""
    return (
        escape(f"{imports}\npayload = {payload}\n\nanswer = requests.post(\n")
        + f"    &quot;{url}&quot;,\n    json=payload,{escape(key)}\n    timeout=60,\n)\n"
        + "answer.raise_for_status()\nprint(answer.json())"
    )


def _form(prefix: str, score: str, sample: Any, requires_key: bool, *, is_known: bool) -> str:
    note = "" if is_known else "<p class=note>The service names no sample: write a payload of your own.</p>"
    needed = "required" if requires_key else ""
    hint = "Key" if requires_key else "Key (none needed)"
    return (
        f"<section class=stretch><h2>Try it <small>sends to {escape(score)}</small></h2>{note}"
        f'<form data-score="{escape(urllib.parse.quote(score))}" '
        f'data-health="{escape(urllib.parse.quote(prefix or ""))}/">'
        f'<textarea name=payload aria-label="Payload" spellcheck=false>\n{escape(lay_out(sample))}</textarea>'
        f'<div class=row><input name=key type=password autocomplete=off placeholder="{hint}" '
        f'aria-label="Key" {needed}><button class=send>Send</button></div></form>'
        "<div class=result hidden aria-live=polite><div class=verdict><b id=status></b><span id=time></span>"
        "</div><pre id=answer></pre></div></section>"
    )


def _table(title: str, subtitle: str, lines: Iterable[Line], *, note: str = "", is_cut: bool = False) -> str:
    rows = "".join(map(_line, lines))
    if not rows:
        return ""
    told = f"<p class=note>{escape(note)}</p>" if note else ""
    more = "<p class=note>Not all of it is shown: the schema says the rest.</p>" if is_cut else ""
    return (
        f"<section class=wide><h2>{title} <small>{subtitle}</small></h2>{told}<div class=scroll><table>"
        f"<thead><tr><th>Name<th>Type<th>Allowed and notes</thead><tbody>{rows}</tbody></table></div>{more}"
        "</section>"
    )


def _line(line: Line) -> str:
    if line.is_group:
        note = f" <span class=more>{escape(line.note)}</span>" if line.note else ""
        return f"<tr class=group><td colspan=3><b>{escape(line.name)}</b>{note}"
    if not line.name and not line.type:
        return f'<tr><td colspan=3><span class="more d{min(line.depth, 4)}">{escape(line.note)}</span>'
    need = " <span class=need>required</span>" if line.is_required else ""
    chips = "".join(f"<span class=chip>{escape(_chip(value))}</span>" for value in line.allowed[:_MOST_CHIPS])
    rest = line.allowed[_MOST_CHIPS:]
    if rest:
        listed = ", ".join(map(_chip, rest[:_MOST_LIST])) + (" …" if len(rest) > _MOST_LIST else "")
        chips += f'<span class=more title="{escape(listed)}">and {len(rest)} more</span>'
    note = escape(line.note)
    name = f"<code>{escape(line.name)}</code>" if line.name else "<span class=more>the payload</span>"
    return (
        f"<tr><td><span class=d{min(line.depth, 4)}>{name}{need}</span>"
        f"<td><span class=type>{escape(line.type)}</span><td>{note}{' ' if note and chips else ''}{chips}"
    )


def _chip(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _routes(
    prefix: str, operations: Iterable[tuple[str, str, str]], inference: Mapping[str, Any] | None
) -> str:
    routes = {(method, path): summary for method, path, summary in operations}
    known = [
        ("POST", prefix + "/score", "Score a payload."),
        ("GET", prefix + "/", "Health: 200 when a worker is ready."),
        ("GET", prefix + "/swagger.json?version=3", "This service as OpenAPI 3; version=2 for Swagger 2."),
        ("GET", prefix + "/docs", "This page."),
        ("GET", prefix + "/metrics", "Counts and times for Prometheus."),
    ]
    if inference is not None:
        model = f"{prefix}/v2/models/{urllib.parse.quote(str(inference.get('name', '')), safe='')}"
        known += [
            ("POST", model + "/infer", "Open Inference Protocol: JSON or binary tensors."),
            ("GET", model, "The model's tensors."),
            ("GET", prefix + "/v2/health/ready", "Readiness, as the protocol has it."),
        ]
    paths = {(method, path.partition("?")[0]) for method, path, _ in known}
    others = [(m, p, s) for (m, p), s in routes.items() if (m, p) not in paths]
    rows = "".join(_route(method, path, summary) for method, path, summary in known + others)
    table = f"<div class=scroll><table><tbody>{rows}</tbody></table></div>"
    return f"<section class=wide><h2>Routes</h2>{table}</section>"


def _route(method: str, path: str, summary: str) -> str:
    shown = f"<code>{escape(path)}</code>"
    # Only what begins with a slash and a name is a path of this very server.
    if method == "GET" and path.startswith("/") and not path.startswith("//") and "{" not in path:
        shown = f'<a href="{escape(path)}">{shown}</a>'
    return f"<tr><td><span class=verb>{escape(method)}</span> {shown}<td>{escape(summary)}"


def lay_out(value: Any, *, python: bool = False, indent: int = 0) -> str:
    """`value` as JSON, or as a Python literal, with whatever fits on a line on one line."""
    atom: Callable[[Any], str] = (
        repr if python else functools.partial(json.dumps, ensure_ascii=False, default=str)
    )
    return _lay_out(value, atom, indent)


def _lay_out(value: Any, atom: Callable[[Any], str], indent: int) -> str:
    flat = atom(value)
    if len(flat) + indent <= _WIDTH or not isinstance(value, (list, tuple, dict)) or not value:
        return flat
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        inner = [f"{atom(key)}: {_lay_out(each, atom, indent + 2)}" for key, each in value.items()]
        opening, closing = "{", "}"
    else:
        inner = [_lay_out(each, atom, indent + 2) for each in value]
        opening, closing = "[", "]"
        if all(not isinstance(each, (list, tuple, dict)) for each in value):
            inner = _filled(inner, _WIDTH - indent - 2)
    return f"{opening}\n{pad}" + f",\n{pad}".join(inner) + f"\n{' ' * indent}{closing}"


def _filled(atoms: list[str], width: int) -> list[str]:
    """`atoms` joined by commas into lines of at most `width` characters."""
    lines: list[str] = []
    for atom in atoms:
        if lines and len(lines[-1]) + len(atom) + 2 <= width:
            lines[-1] += ", " + atom
        else:
            lines.append(atom)
    return lines
