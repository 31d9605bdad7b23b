"""Undecorated: the body arrives as a string."""

import json

from helper import double


def init():
    global factor
    factor = 3
    print("init has run")


def run(data):
    payload = json.loads(data)
    if payload == "raise":
        raise ValueError("as asked")
    return {"got": payload, "tripled": double(factor) - factor}
