"""Undecorated: the body arrives as a string, and what is returned leaves as JSON."""

import json
import os

from helper import double


def init():
    global factor
    factor = 3
    print("init has run")


def run(data):
    if data.startswith("text:"):
        return {"characters": len(data), "text": data}
    payload = json.loads(data)
    if payload == "raise":
        raise ValueError("as asked")
    if payload == "timeout":
        raise TimeoutError("a database did not answer")
    if payload == "where":
        return sorted(name for name in os.listdir(".") if name.endswith(".py"))
    return {"got": payload, "doubled": double(factor), "text": data}
