"""Stands in for ``azureml.contrib.services.aml_response`` and its newer name: an answer with a status and
headers of the script's choosing.

It is Flask's response where the environment has Flask, else our own. Runs in workers: Python 3.8.
"""

from __future__ import annotations

import json
from typing import Any, Mapping

try:
    from flask import Response as _Base
except ImportError:
    from penstock.scoring.scripts.raw_response import RawResponse as _Base


class AMLResponse(_Base):  # type: ignore[misc, valid-type, unused-ignore] # one of two bases, by what is installed
    """`message` is the body as it stands, or any JSON value with `json_str`; None gives ``{}``.

    `response_headers` replace the content type and add the rest; commas in a value part it into several
    headers of that name.
    """

    def __init__(
        self,
        message: Any,
        status_code: int,
        response_headers: Mapping[str, str] | None = None,
        json_str: bool = False,
        run_function_failed: bool = False,
    ) -> None:
        given = response_headers or {}
        if message is None or json_str:
            body = json.dumps({} if message is None else message)
            super().__init__(body, status=status_code, mimetype="application/json")
        else:
            super().__init__(message, status=status_code)
            if any(name.lower() == "content-type" for name in given):
                self.headers.remove("Content-Type")
        self.headers["x-ms-run-function-failed"] = str(run_function_failed)
        for name, value in given.items():
            for part in str(value).split(","):
                self.headers.add(name, part.strip())
