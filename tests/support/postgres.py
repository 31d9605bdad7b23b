"""A real PostgreSQL server, with a fresh database for each test that asks for one.

It runs as a user who is not root (PostgreSQL refuses root), in a folder of its own, without fsync.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support import services

USER = "penstock"
PASSWORD = "sesame/öpen@1:2"
QUOTED_PASSWORD = "sesame%2F%C3%B6pen%401%3A2"


@dataclass
class Database:
    """One database of the running server, empty at first. `url` is what ``--input`` takes."""

    port: int
    name: str

    @property
    def url(self) -> str:
        """``postgresql://user:password@127.0.0.1:port/name``, percent-encoded."""
        return f"postgresql://{USER}:{QUOTED_PASSWORD}@127.0.0.1:{self.port}/{self.name}"

    def connect(self) -> Any:
        """A psycopg connection that commits by itself."""
        import psycopg

        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname=self.name,
            user=USER,
            password=PASSWORD,
            autocommit=True,
        )

    def run(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Execute one statement; its rows, if it has any."""
        with self.connect() as connection:
            cursor = connection.execute(statement, parameters)
            return list(cursor.fetchall()) if cursor.description else []


class Server:
    """The running server."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._made = 0

    @contextlib.contextmanager
    def database(self) -> Iterator[Database]:
        """A new, empty database, dropped afterwards whoever is still connected."""
        self._made += 1
        name = f"test_{self._made}"
        self._admin(f"CREATE DATABASE {name}")
        try:
            yield Database(self.port, name)
        finally:
            self._admin(f"DROP DATABASE {name} WITH (FORCE)")

    def _admin(self, statement: str) -> None:
        Database(self.port, "postgres").run(statement)


def programs() -> Path | None:
    """The folder of PostgreSQL's programs: on PATH, or where Debian puts them, the newest."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return known[-1].parent if known else None


def _user() -> str | None:
    """Who runs the server: None for us ourselves."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The server, for tests that make databases themselves."""
    folder = programs()
    if folder is None:
        services.missing("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    user = _user()
    with tempfile.TemporaryDirectory(prefix="penstock-pg-", ignore_cleanup_errors=True) as place:
        root = Path(place)
        secret = root / "password"
        secret.write_text(PASSWORD)
        if user is not None:
            shutil.chown(root, user)
            shutil.chown(secret, user)
        data = root / "data"
        subprocess.run(
            [folder / "initdb", "--pgdata", data, "--username", USER, "--pwfile", secret, "--auth", "scram-sha-256",
             "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"],
            check=True, capture_output=True, user=user, group=user, extra_groups=None if user is None else [],
            cwd=root,
        )  # fmt: skip
        port = services.free_port()
        options = {
            "listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": place, "fsync": "off",
            "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "32MB",
            "dynamic_shared_memory_type": "mmap", "max_connections": "100", "autovacuum": "off",
        }  # fmt: skip
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        argv = [str(folder / "postgres"), "-D", str(data), *settings]
        # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients.
        with services.running(argv, lambda: _answers(port), user=user, stop=signal.SIGINT):
            yield Server(port)


@pytest.fixture
def postgres(postgres_server: Server) -> Iterator[Database]:
    """An empty database of a real PostgreSQL server."""
    with postgres_server.database() as database:
        yield database


def _answers(port: int) -> bool:
    import psycopg

    try:
        Database(port, "postgres").run("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
