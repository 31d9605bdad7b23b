"""Stands in for ``azureml.contrib.services.aml_request`` and its newer name, by which a scoring script asks
for the whole HTTP request.

The request is Flask's where the environment has Flask, else our own. Runs in workers: Python 3.8.
"""

from __future__ import annotations

from typing import Any, Callable, TypeVar

try:
    from flask import Request as _Base
except ImportError:
    from penstock.scoring.scripts.raw_request import RawRequest as _Base

Function = TypeVar("Function", bound=Callable[..., Any])

_rawHttpRequested = False  # noqa: N816 - the name under which servers look for it


def rawhttp(function: Function) -> Function:
    """Mark ``run`` as taking the HTTP request itself. The mark is on the process, as in the original."""
    global _rawHttpRequested
    _rawHttpRequested = True
    return function


class AMLRequest(_Base):  # type: ignore[misc, valid-type, unused-ignore] # one of two bases, by what is installed
    """The type that scripts annotate the parameter of a raw ``run`` with."""
