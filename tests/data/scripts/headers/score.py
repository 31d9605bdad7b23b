"""Declares `request_headers`, and keyword arguments in another order."""

import json


def init():
    pass


def run(request_headers, data):
    wanted = json.loads(data) if data else sorted(name for name in request_headers if name.startswith("X-"))
    return {name: request_headers.get(name) for name in wanted}
