"""Flask's view of a request, for scripts in environments that have Flask. The only module that imports it.

Runs in workers: Python 3.8, standard library only, and Flask where it is installed.
"""

from __future__ import annotations

import io
import sys
import urllib.parse
from typing import Any, Callable, ContextManager

from penstock.scoring.interface import Request

ContextMaker = Callable[[Request], ContextManager[Any]]


def context_maker(*, loaded_only: bool) -> ContextMaker | None:
    """A function that enters Flask's request context for a request; None where there is no Flask, or, with
    `loaded_only`, where the script has not imported it."""
    if loaded_only and "flask" not in sys.modules:
        return None
    try:
        import flask
    except ImportError:
        return None
    app = flask.Flask("penstock_scoring_script", root_path=".")

    def enter(request: Request) -> ContextManager[Any]:
        context: ContextManager[Any] = app.request_context(environ_of(request))
        return context

    return enter


def environ_of(request: Request) -> dict[str, Any]:
    """The WSGI environment of `request` (PEP 3333)."""
    host, _, port = (request.header("host") or "127.0.0.1").partition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": urllib.parse.unquote_to_bytes(request.path).decode("latin-1"),
        "QUERY_STRING": request.query,
        "RAW_URI": request.path + ("?" + request.query if request.query else ""),
        "SERVER_NAME": host,
        "SERVER_PORT": port or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in request.headers:
        key = name.upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value
        elif key not in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):
            key = "HTTP_" + key
            environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ
