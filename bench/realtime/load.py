"""The load: wrk on its own core, one static request, exact percentiles.

wrk is a Debian package (``apt-get install wrk``).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass

from bench.realtime import place
from bench.realtime.tree import Tree
from bench.realtime.workloads import Workload

# Without a `request` function wrk builds the request once, so the script costs nothing while it runs.
_ROTATE = """
local bodies, requests, at = { %s }, {}, 0
function init(args)
  for n, body in ipairs(bodies) do requests[n] = wrk.format(nil, nil, nil, body) end
end
function request()
  at = at %% #requests + 1
  return requests[at]
end
"""

_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = %s
function done(summary, latency, requests)
  local e = summary.errors
  local figures = {
    requests = summary.requests, duration_us = summary.duration,
    errors = e.connect + e.read + e.write + e.status + e.timeout,
    p50_us = latency:percentile(50), p90_us = latency:percentile(90), p99_us = latency:percentile(99)
  }
  local parts = {}
  for name, value in pairs(figures) do parts[#parts + 1] = string.format('"%%s": %%d', name, value) end
  io.write('\\nRESULT {' .. table.concat(parts, ', ') .. '}\\n')
end
"""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A few seconds of one server under load. `errors` are answers other than 2xx or 3xx, and socket errors.
    `cpu_us` is CPU microseconds a request over all processes of the server."""

    requests: int
    requests_per_s: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    cpu_us: float
    errors: int


def require_wrk() -> str:
    """The path of wrk. Exits, saying how to get it, where there is none."""
    path = shutil.which("wrk")
    if path is None:
        raise SystemExit("wrk is missing: apt-get install wrk (Debian, Ubuntu), or https://github.com/wg/wrk")
    return path


def measure(
    server: Tree, workload: Workload, *, connections: int, seconds: float, rotate: bool = False
) -> Slice:
    """Drive `server` for about `seconds` (whole ones; at least one). With `rotate` the sample rows take turns,
    so that neither body nor content-length is the last one's; otherwise one request is repeated."""
    script = place.CACHE / f"{workload.name}.lua"
    bodies = [json.dumps(body.decode()) for body in workload.bodies]
    script.write_text(_SCRIPT % bodies[0] + (_ROTATE % ", ".join(bodies) if rotate else ""))
    argv = ["taskset", "--cpu-list", str(place.cores()[1]), require_wrk(), "--threads", "1"]
    argv += [
        "--connections",
        str(connections),
        "--duration",
        f"{max(1, round(seconds))}s",
        "--timeout",
        "10s",
    ]
    argv += ["--script", str(script), f"http://127.0.0.1:{server.port}/score"]
    cpu_before_s = server.cpu_s()
    output = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=seconds + 60).stdout
    cpu_s = server.cpu_s() - cpu_before_s
    result = json.loads(output.rpartition("RESULT ")[2])
    return Slice(
        requests=result["requests"],
        requests_per_s=result["requests"] / result["duration_us"] * 1e6,
        p50_ms=result["p50_us"] / 1e3,
        p90_ms=result["p90_us"] / 1e3,
        p99_ms=result["p99_us"] / 1e3,
        cpu_us=cpu_s * 1e6 / max(1, result["requests"]),
        errors=result["errors"],
    )
