"""The main job in miniature, on real data: train, save, serve, score over HTTP, look at the metrics, stop; then
score a file in batch.

``make demo`` runs it. It is a test too: whatever is not as expected ends it with a word and exit code 1.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

PENSTOCK = Path(sys.executable).parent / "penstock"
LOAD_S = 2.0
CALLERS = 8
READY_WITHIN_S = 45.0
STOPPED_WITHIN_S = 20.0
SCORED_WITHIN_S = 60.0

console = Console(highlight=False)
steps = itertools.count(1)


class UnexpectedError(Exception):
    """Something was not as it should be; the message says what."""


def expect(holds: bool, otherwise: str) -> None:
    """Go on if `holds`, else end the demo."""
    if not holds:
        raise UnexpectedError(otherwise)


# What the reader sees


def step(title: str) -> None:
    """A numbered heading."""
    console.print(f"\n[bold cyan]{next(steps)}[/]  [bold]{escape(title)}[/]")


def command(text: str) -> None:
    """What one would type to do the same."""
    console.print(f"   [dim]$[/] [green]{escape(text)}[/]", soft_wrap=True)


def say(text: str) -> None:
    """One line of outcome; `text` may hold markup."""
    console.print(f"   {text}", soft_wrap=True)


# The parts


def train(folder: Path) -> tuple[Any, Any, Any, Path]:
    """``(model, rows, truth, file)``: a fitted pipeline, the rows that it has not seen, what they are, and the
    file that holds it."""
    import joblib
    from sklearn.datasets import load_wine
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    wine = load_wine(as_frame=True)
    cultivars = wine.target.map({0: "Barolo", 1: "Grignolino", 2: "Barbera"})
    seen, unseen, known, truth = train_test_split(
        wine.data, cultivars, test_size=0.4, random_state=7, stratify=cultivars
    )
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(seen, known)
    file = folder / "wine.joblib"
    joblib.dump(model, file)
    say(f"{len(seen)} wines, {seen.shape[1]} measurements each, three grape varieties")
    say(f"right on [bold]{model.score(unseen, truth):.0%}[/] of {len(unseen)} wines it has not seen")
    say(f"saved as {file.name}, {file.stat().st_size:,} bytes")
    return model, unseen, truth, file


def of_each(rows: Any, truth: Any) -> Any:
    """One wine of each variety."""
    return rows.groupby(truth).nth(1)


class Server:
    """A `penstock serve` of our own, on a free port."""

    def __init__(self, model: Path, key: str) -> None:
        self.port = free_port()
        self.log = model.with_name("serve.log")
        self._key = key
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [PENSTOCK, "serve", model.name, "--port", str(self.port)],
                cwd=model.parent,
                env={**os.environ, "PENSTOCK_AUTH_KEY": key},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def ask(self, method: str, target: str, body: bytes = b"", *, with_key: bool = True) -> tuple[int, bytes]:
        """``(status, body)`` of one request on a connection of its own."""
        with contextlib.closing(self.connect()) as connection:
            return self.ask_on(connection, method, target, body, with_key=with_key)

    def connect(self) -> http.client.HTTPConnection:
        """A connection; it opens at its first request."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask_on(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        body: bytes,
        *,
        with_key: bool = True,
    ) -> tuple[int, bytes]:
        """``(status, body)`` of one request on `connection`."""
        headers = {"Content-Type": "application/json"} if body else {}
        if with_key:
            headers["Authorization"] = f"Bearer {self._key}"
        connection.request(method, target, body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def wait_ready(self) -> None:
        """Poll the health route, as an orchestrator would."""
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            expect(self.process.poll() is None, f"penstock serve ended with {self.process.returncode}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask("GET", "/", with_key=False) == (200, b"Healthy"):
                    return
            expect(time.monotonic() < deadline, f"not ready within {READY_WITHIN_S:g} s")
            time.sleep(0.02)

    def stop(self) -> int:
        """SIGTERM, as every orchestrator sends it; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOPPED_WITHIN_S)


def free_port() -> int:
    """5001, Azure ML's own, where it is free; else any."""
    for port in (5001, 0):
        with contextlib.suppress(OSError), socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            candidate.bind(("127.0.0.1", port))
            return int(candidate.getsockname()[1])
    raise UnexpectedError("no free port")


@contextlib.contextmanager
def serving(model: Path, key: str) -> Iterator[Server]:
    """A server that is gone afterwards, whatever happens."""
    server = Server(model, key)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.terminate()
            try:
                server.process.wait(STOPPED_WITHIN_S)
            except subprocess.TimeoutExpired:
                server.process.kill()


# The steps


def serve(server: Server, began: float) -> None:
    """Wait, and say how long it took."""
    command("export PENSTOCK_AUTH_KEY=...")
    command(f"penstock serve wine.joblib --port {server.port}")
    server.wait_ready()
    say(f"ready after {time.monotonic() - began:.1f} s, most of it scikit-learn's import")


def without_a_key(server: Server, body: bytes) -> None:
    """A caller who has no key."""
    command(f"curl localhost:{server.port}/score -d @wines.json")
    status, answer = server.ask("POST", "/score", body, with_key=False)
    expect(status == 401, f"without a key: expected 401, got {status}")
    say(f"[yellow]{status}[/]  {escape(json.loads(answer)['message'])}")


def with_the_key(server: Server, model: Any, rows: Any, truth: Any) -> None:
    """Three wines, as a client sends them."""
    wines = of_each(rows, truth)
    actual = truth[wines.index]
    body = json.dumps({"data": wines.to_dict("records")}).encode()
    bearer = '-H "Authorization: Bearer $PENSTOCK_AUTH_KEY"'
    command(f"curl localhost:{server.port}/score {bearer} -d @wines.json")
    status, answer = server.ask("POST", "/score", body)
    expect(status == 200, f"with the key: expected 200, got {status}: {answer[:300]!r}")
    said = json.loads(answer)
    expect(said == list(model.predict(wines)), "the answers are not the model's own")
    say(f"[green]{status}[/]  {escape(json.dumps(said))}")
    command(f"curl 'localhost:{server.port}/score?method=predict_proba' {bearer} -d @wines.json")
    status, answer = server.ask("POST", "/score?method=predict_proba", body)
    expect(status == 200, f"predict_proba: expected 200, got {status}")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("wine", "alcohol", "colour", "is", *(f"{name}?" for name in model.classes_)):
        table.add_column(name, justify="left" if name in ("wine", "is") else "right", no_wrap=True)
    for number, (name, chances) in enumerate(zip(actual, json.loads(answer), strict=True)):
        wine = wines.iloc[number]
        best = max(chances)
        told = [f"[bold green]{p:.1%}[/]" if p == best else f"{p:.1%}" for p in chances]
        table.add_row(str(number + 1), f"{wine.alcohol:.1f} %", f"{wine.color_intensity:.1f}", name, *told)
    console.print(Padding(table, (0, 0, 0, 3), expand=False))


def a_wrong_column(server: Server, rows: Any) -> None:
    """A caller who mistyped."""
    record = rows.iloc[0].to_dict()
    record["alcool"] = record.pop("alcohol")
    status, answer = server.ask("POST", "/score", json.dumps({"data": [record]}).encode())
    expect(status == 400, f"a wrong column: expected 400, got {status}")
    message = json.loads(answer)["message"]
    expect("alcool" in message and "alcohol" in message, f"the message does not name the column: {message}")
    say('{"data": [{"alcool": 13.2, ...}]}')
    say(f"[yellow]{status}[/]  {escape(message if len(message) < 150 else message[:147] + '...')}")


def the_schema(server: Server, columns: list[str]) -> None:
    """What a client's author looks at."""
    status, page = server.ask("GET", "/docs", with_key=False)
    expect(status == 200 and b"<html" in page.lower(), f"/docs: expected a page, got {status}")
    status, answer = server.ask("GET", "/swagger.json?version=3.1")
    expect(status == 200, f"/swagger.json: expected 200, got {status}")
    document = json.loads(answer)
    operations = [f"{verb.upper()} {path}" for path, verbs in document["paths"].items() for verb in verbs]
    known = json.dumps(document["components"]["schemas"])
    expect(all(name in known for name in columns), "the schema does not name every column")
    say(f"in a browser   http://localhost:{server.port}/docs")
    say(f"OpenAPI {document['openapi']}  http://localhost:{server.port}/swagger.json?version=3.1")
    say(f"it tells       {', '.join(operations)}")
    say(f"columns        {', '.join(columns[:4])} and {len(columns) - 4} more, with an example to copy")


def under_load(server: Server, model: Any, rows: Any) -> None:
    """Many callers at once; every answer is compared with the model's own."""
    bodies = [json.dumps({"data": [record]}).encode() for record in rows.to_dict("records")]
    expected = [json.dumps([name]).encode() for name in model.predict(rows)]
    until = time.monotonic() + LOAD_S
    tallies = [0] * CALLERS
    wrong: list[str] = []

    def call(caller: int) -> None:
        try:
            with contextlib.closing(server.connect()) as connection:
                for number in itertools.count(caller):
                    if time.monotonic() > until:
                        return
                    which = number % len(bodies)
                    status, answer = server.ask_on(connection, "POST", "/score", bodies[which])
                    tallies[caller] += 1
                    if status != 200 or answer != expected[which]:
                        wrong.append(f"row {which}: {status} {answer[:200]!r}")
        except (OSError, http.client.HTTPException) as error:
            wrong.append(f"caller {caller}: {error!r}")

    threads = [threading.Thread(target=call, args=(caller,)) for caller in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(not wrong, f"{len(wrong)} answers were wrong, first {wrong[:1]}")
    say(
        f"{CALLERS} callers, {LOAD_S:g} s: [bold]{sum(tallies):,}[/] requests, "
        "every answer the model's own and its caller's own"
    )


def the_metrics(server: Server) -> None:
    """What Prometheus would see."""
    command(f"curl localhost:{server.port}/metrics")
    status, answer = server.ask("GET", "/metrics")
    expect(status == 200, f"/metrics: expected 200, got {status}")
    page = answer.decode()
    counts = {
        code: int(float(count))
        for code, count in re.findall(
            r'penstock_requests_total\{code="(\d+)",[^}]*route="score"\} (\S+)', page
        )
    }
    expect(counts.get("401") == 1 and counts.get("400") == 1, f"the counts are not right: {counts}")
    bounds = [
        (float(bound), float(count))
        for bound, count in re.findall(
            r'penstock_request_duration_seconds_bucket\{[^}]*le="([^"]+)",route="score"\} (\S+)', page
        )
    ]
    say("requests       " + ", ".join(f"{code}: {count:,}" for code, count in sorted(counts.items())))
    say(
        f"in the server  p50 {quantile(bounds, 0.5) * 1000:.2f} ms, "
        f"p99 {quantile(bounds, 0.99) * 1000:.2f} ms"
    )


def quantile(bounds: list[tuple[float, float]], share: float) -> float:
    """Seconds below which `share` of a histogram's values lie, as Prometheus' ``histogram_quantile`` has it."""
    expect(bool(bounds) and bounds[-1][1] > 0, "the histogram of durations is empty")
    wanted = share * bounds[-1][1]
    low, below = 0.0, 0.0
    for bound, count in bounds:
        if count >= wanted:
            return low if bound == float("inf") else low + (bound - low) * (wanted - below) / (count - below)
        low, below = bound, count
    return low


def stop(server: Server) -> None:
    """As orchestrators do it."""
    command(f"kill -TERM {server.process.pid}")
    began = time.monotonic()
    code = server.stop()
    expect(code == 0, f"expected exit code 0, got {code}")
    say(f"requests in flight answered, exit code {code}, after {time.monotonic() - began:.1f} s")


def in_batch(file: Path, model: Any, rows: Any) -> None:
    """The same wines from a file, and what comes of them in another."""
    import pandas as pd

    folder = file.parent
    rows.rename_axis("wine").to_csv(folder / "wines.csv")
    command(f"penstock score {file.name} --input wines.csv --output scores.csv")
    began = time.monotonic()
    done = subprocess.run(
        [PENSTOCK, "score", file.name, "--input", "wines.csv", "--output", "scores.csv"],
        cwd=folder,
        env={**os.environ, "PENSTOCK_JOBS": str(folder / "jobs")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SCORED_WITHIN_S,
        check=False,
    )
    expect(done.returncode == 0, f"penstock score ended with {done.returncode}: {done.stderr[-2000:]}")
    scores = pd.read_csv(folder / "scores.csv")
    expect(list(scores.wine) == list(rows.index), "the rows are not those of the input, in its order")
    expect(list(scores.prediction) == list(model.predict(rows)), "the scores are not the model's own")
    command("head -3 scores.csv")
    for line in (folder / "scores.csv").read_text().splitlines()[:3]:
        say(escape(line))
    say(f"{len(scores)} wines, each once and in their order, after {time.monotonic() - began:.1f} s")


def tell(folder: Path) -> None:
    """The whole story."""
    console.print(
        "[bold]Penstock[/]: from a model file to a scoring server and a file of scores, with real wines"
    )
    step("Train a model")
    with console.status("importing scikit-learn"):
        model, rows, truth, file = train(folder)
    body = json.dumps({"data": of_each(rows, truth).to_dict("records")}).encode()
    step("Serve its file, with a key")
    began = time.monotonic()
    with serving(file, secrets.token_urlsafe(24)) as server:
        try:
            serve(server, began)
            step("Score three wines, without the key and with it")
            without_a_key(server, body)
            with_the_key(server, model, rows, truth)
            step("Misspell a column")
            a_wrong_column(server, rows)
            step("Read the schema")
            the_schema(server, list(rows.columns))
            step("Put it under a little load")
            under_load(server, model, rows)
            step("Look at the metrics")
            the_metrics(server)
            step("Stop")
            stop(server)
        except (UnexpectedError, OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
            # The folder, and the log in it, are gone by the time anybody could look.
            log = server.log.read_text(errors="replace")[-4000:]
            raise UnexpectedError(f"{error}\n\nthe server's log:\n{log}") from error
    step("Score a file of them in batch")
    in_batch(file, model, rows)


def main() -> int:
    """The exit code: 0 if everything was as expected."""
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="penstock-demo-") as folder:
            tell(Path(folder))
    except (UnexpectedError, OSError, subprocess.TimeoutExpired) as error:
        console.print(f"\n[bold red]The demo failed:[/] {escape(str(error))}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted; the server is stopped.")
        return 130
    console.print(
        f"\n[bold green]All as expected[/], in {time.monotonic() - began:.0f} s. "
        "Now your own: [green].venv/bin/penstock serve YOUR_MODEL[/]",
        soft_wrap=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
