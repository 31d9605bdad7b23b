"""The yardstick: the least that can score over HTTP in one Python process, uvloop + httptools + orjson.

It checks nothing, times nothing out and logs nothing; a service that one would run costs more. Two forms:
``batching`` answers every request that one turn of the event loop has read with a single `predict` (what
arrives while `predict` runs waits in the sockets and makes the next batch); ``single`` calls `predict` once
a request.

    python bare.py {batching,single} MODEL PORT
"""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

import httptools
import joblib
import numpy as np
import orjson
import uvloop

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"


class Batching(asyncio.Protocol):
    """One connection; `pending` and `predict` are shared by all."""

    loop: asyncio.AbstractEventLoop
    pending: list[tuple[asyncio.Transport, bytes]]
    predict: Any

    def __init__(self) -> None:
        # Bound before uvloop looks it up: one Python call less a read.
        self.data_received = httptools.HttpRequestParser(self).feed_data  # type: ignore[method-assign]  # see above
        self.body = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def on_body(self, body: bytes) -> None:
        self.body = self.body + body if self.body else body

    def on_message_complete(self) -> None:
        if not self.pending:
            # uvloop runs it after every socket that is ready now has been read.
            self.loop.call_soon(self.flush)
        self.pending.append((self.transport, self.body))
        self.body = b""

    @classmethod
    def flush(cls) -> None:
        """Score all that is pending in one call."""
        batch = cls.pending[:]
        cls.pending.clear()
        counts = []
        rows: list[list[float]] = []
        for payload in orjson.loads(b"[%b]" % b",".join([body for _, body in batch])):
            data = payload["data"]
            counts.append(len(data))
            rows += data
        answers = cls.predict(np.array(rows)).tolist()
        start = 0
        for (transport, _), count in zip(batch, counts, strict=True):
            answer = orjson.dumps(answers[start : start + count])
            transport.write(HEAD % (len(answer), answer))
            start += count


class Single(Batching):
    """One `predict` a request."""

    def on_message_complete(self) -> None:
        answer = orjson.dumps(self.predict(np.array(orjson.loads(self.body)["data"])).tolist())
        self.transport.write(HEAD % (len(answer), answer))
        self.body = b""


async def serve(form: type[Batching], model_path: str, port: int) -> None:
    """Load and answer until killed."""
    form.predict = joblib.load(model_path).predict
    form.pending = []
    form.loop = asyncio.get_running_loop()
    gc.collect()
    gc.freeze()
    server = await form.loop.create_server(form, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    name, model, listen_port = sys.argv[1:]
    uvloop.run(serve({"batching": Batching, "single": Single}[name], model, int(listen_port)))
