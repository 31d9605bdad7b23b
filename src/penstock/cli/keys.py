"""Keys that callers must send: where they come from, what they may be, when one is made up."""

from __future__ import annotations

import ipaddress
import secrets
from pathlib import Path

from penstock import errors

AT_MOST = 2
"""A primary and a secondary, so that keys can be changed one after the other while clients go on."""

SHORTEST = 8


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_key_file(path: str) -> tuple[str, ...]:
    """The keys in the file `path`, one a line; empty lines are skipped. Raises UsageError."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.UsageError(f"--auth-key-file {path}: {error}") from error
    found = tuple(line.strip() for line in lines if line.strip())
    if not found:
        raise errors.UsageError(f"--auth-key-file {path} holds no key", hint="one key a line, two at most")
    return found


def checked(keys: tuple[str, ...]) -> tuple[str, ...]:
    """`keys`, if they can be sent in a header. Raises UsageError, which never quotes a key."""
    if len(keys) > AT_MOST:
        raise errors.UsageError(
            f"{len(keys)} keys: there is a primary and a secondary", hint="give one key or two"
        )
    for key in keys:
        if not key.isascii() or not key.isprintable() or " " in key:
            raise errors.UsageError("a key may hold printable ASCII only, and no space")
        if len(key) < SHORTEST:
            raise errors.UsageError(
                f"a key of {len(key)} characters can be guessed", hint=f"use {SHORTEST} characters or more"
            )
    return keys


def new_key() -> str:
    """A fresh key of 256 bits."""
    return secrets.token_urlsafe(32)
