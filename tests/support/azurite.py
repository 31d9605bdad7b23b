"""A real Azure Blob server (Azurite, on loopback), with a fresh container for each test that asks for one.

`make test` installs it with npm under ``.build/azurite``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support import services

ACCOUNT = "devstoreaccount1"
# Azurite's well-known key: the same for everybody, and printed in its manual.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_PROGRAM = Path(__file__).parents[2] / ".build/azurite/node_modules/.bin/azurite-blob"


@dataclass
class Container:
    """One container, empty at first."""

    endpoint: str
    name: str

    @property
    def url(self) -> str:
        """``az://container``; append ``/path``."""
        return f"az://{self.name}"

    @property
    def connection_string(self) -> str:
        """What Azure's own clients take."""
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.endpoint};"

    @property
    def storage(self) -> dict[str, str]:
        """What `Inputs.storage` and `Output.storage` take."""
        return {"connection_string": self.connection_string}

    @property
    def variables(self) -> Mapping[str, str]:
        """The same for the environment."""
        return {"AZURE_STORAGE_CONNECTION_STRING": self.connection_string}

    def client(self) -> Any:
        """An azure-storage-blob client of the container."""
        return _service(self.endpoint).get_container_client(self.name)

    def put(self, name: str, content: bytes) -> None:
        """Write one blob."""
        self.client().upload_blob(name, content, overwrite=True)

    def get(self, name: str) -> bytes:
        """Read one blob."""
        return bytes(self.client().download_blob(name).readall())

    def names(self) -> list[str]:
        """All blobs, sorted."""
        return sorted(self.client().list_blob_names())


class Server:
    """The running server at `endpoint` (with the account)."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._made = 0

    def container(self) -> Container:
        """A new, empty container; it goes with the server."""
        self._made += 1
        name = f"container-{self._made}"
        _service(self.endpoint).create_container(name)
        return Container(self.endpoint, name)


@pytest.fixture(scope="session")
def azurite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, for tests that make containers themselves."""
    program = str(_PROGRAM) if _PROGRAM.exists() else shutil.which("azurite-blob")
    if program is None:
        services.missing("Azurite is not installed (make system installs it where npm is)")
    port = services.free_port()
    # skipApiVersionCheck: Azure's client is always a little newer than the emulator.
    argv = [
        program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent", "--skipApiVersionCheck",
        "--disableTelemetry", "--location", str(tmp_path_factory.mktemp("azurite")),
    ]  # fmt: skip
    with services.running(argv, lambda: services.listens(port)):
        yield Server(f"http://127.0.0.1:{port}/{ACCOUNT}")


@pytest.fixture
def azurite(azurite_server: Server) -> Container:
    """An empty container of a real Azure Blob server."""
    return azurite_server.container()


def _service(endpoint: str) -> Any:
    from azure.storage.blob import BlobServiceClient

    return BlobServiceClient(endpoint, credential={"account_name": ACCOUNT, "account_key": KEY})
