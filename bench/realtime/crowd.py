"""A crowd of callers who keep a server busy with nothing: idle connections, and slow ones that send a byte
of a request every second.

    python -m bench.realtime.crowd PORT IDLE SLOW

prints ``ready`` once all are connected. Connections that the server closes are counted and opened anew. At
the end of standard input it prints the counts as JSON and ends. A process of its own because it raises its
limit of open files, which a server must not inherit.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from typing import Any

REQUEST = (
    b"POST /score HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n"
)
BYTE_EVERY_S = 1.0
SPARE_FILES = 64
AT_ONCE = 64


class Member(asyncio.Protocol):
    """One connection; tells the crowd when the server hangs up."""

    def __init__(self, crowd: Crowd, *, slow: bool) -> None:
        self.crowd = crowd
        self.slow = slow
        self.sent = 0
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.crowd.members.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.crowd.members.discard(self)
        self.crowd.lost.append(self.slow)

    def send_a_byte(self) -> None:
        """The next byte of the request; its last is never sent."""
        if self.sent < len(REQUEST):
            self.transport.write(REQUEST[self.sent : self.sent + 1])
            self.sent += 1


class Crowd:
    """All connections to one server."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.members: set[Member] = set()
        self.lost: list[bool] = []
        self.closed = {"idle": 0, "slow": 0, "refused": 0}

    async def add(self, count: int, *, slow: bool) -> None:
        """Open `count` connections, a few at a time so that the backlog holds."""
        loop = asyncio.get_running_loop()
        for start in range(0, count, AT_ONCE):
            some = min(AT_ONCE, count - start)
            made = await asyncio.gather(
                *(
                    loop.create_connection(lambda: Member(self, slow=slow), "127.0.0.1", self.port)
                    for _ in range(some)
                ),
                return_exceptions=True,
            )
            self.closed["refused"] += sum(isinstance(one, BaseException) for one in made)

    async def keep_up(self) -> None:
        """Every second: a byte from each slow connection, and a new connection for each that was lost.
        Spread over the second, because strangers do not act in step."""
        steps = 20
        while True:
            for step in range(steps):
                for member in [one for one in self.members if one.slow and id(one) // 16 % steps == step]:
                    member.send_a_byte()
                await asyncio.sleep(BYTE_EVERY_S / steps)
            lost, self.lost = self.lost, []
            for slow in (True, False):
                self.closed["slow" if slow else "idle"] += lost.count(slow)
                await self.add(lost.count(slow), slow=slow)


async def gather_round(port: int, idle: int, slow: int) -> None:
    """Connect, say so, keep up until standard input ends, report."""
    loop = asyncio.get_running_loop()
    crowd = Crowd(port)
    await crowd.add(slow, slow=True)
    await crowd.add(idle, slow=False)
    print("ready", flush=True)
    task = loop.create_task(crowd.keep_up())
    await loop.run_in_executor(None, sys.stdin.read)
    task.cancel()
    print(json.dumps({**crowd.closed, "open": len(crowd.members)}), flush=True)


def raise_file_limit(needed: int) -> None:
    """Room for `needed` connections, or exit saying what is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed + SPARE_FILES:
        if hard != resource.RLIM_INFINITY and hard < needed + SPARE_FILES:
            raise SystemExit(
                f"{needed} connections need {needed + SPARE_FILES} open files; the limit is {hard}"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed + SPARE_FILES, hard))


if __name__ == "__main__":
    server_port, idle_count, slow_count = map(int, sys.argv[1:])
    raise_file_limit(idle_count + slow_count)
    asyncio.run(gather_round(server_port, idle_count, slow_count))
