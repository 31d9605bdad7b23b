"""Runs what a page of the documentation shows, in a folder that holds a copy of examples/.

A fenced block is run by its language: ``console`` (lines after ``$`` are commands, those below a command are
its output, in which ``...`` stands for anything; a command must succeed), ``python`` (a program), ``json`` and
``yaml`` (parsed), ``text`` (not looked at). An HTML comment on the line above says otherwise:

- ``<!-- run: background until ready -->``: a server; it is stopped before the next one, and at the end of the page
- ``<!-- file: NAME -->``: the block is written to that file
- ``<!-- from: examples/NAME -->``: the block is that file, to the letter
- ``<!-- post: /score -->``: the server answers the JSON with 200
- ``<!-- exit: N -->``: the block's last command ends with N
- ``<!-- not run: REASON -->``

Pages say 5001; the runner takes any free port.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import yaml

from support.waiting import until

ROOT = Path(__file__).parents[2]
LANGUAGES = {"console", "python", "yaml", "json", "text"}
DIRECTIVES = {"run", "file", "from", "post", "exit", "not run"}
PORT = "5001"
READY_WITHIN_S = 90.0
COMMAND_WITHIN_S = 120.0

_BLOCK = re.compile(
    r"(?:^<!--\s*(?P<directive>[a-z ]+):\s*(?P<value>.*?)\s*-->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, what stands above it, what is in it."""

    line: int
    language: str
    directive: str
    value: str
    text: str


def blocks(page: Path) -> list[Block]:
    """Every fenced block of `page`, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            text.count("\n", 0, match.start("language")) + 1,
            match["language"],
            match["directive"] or "",
            match["value"] or "",
            match["text"],
        )
        for match in _BLOCK.finditer(text)
    ]


def exchanges(text: str) -> list[tuple[str, str]]:
    """``(command, expected output)`` of a console block; a backslash at its end continues a command."""
    found: list[tuple[str, str]] = []
    continued = False
    for line in text.splitlines():
        if line.startswith("$ ") or continued:
            words = line if continued else line[2:]
            if continued:
                command, _ = found.pop()
                words = command + "\n" + words
            found.append((words, ""))
            continued = line.endswith("\\")
        else:
            assert found, f"output before any command: {line}"
            command, output = found.pop()
            found.append((command, output + line + "\n"))
    return found


def agrees(expected: str, actual: str) -> bool:
    """Whether `actual` is what a page shows, where ``...`` stands for anything."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in expected.split("...")]
    pattern = ".*".join(parts)
    return re.fullmatch(r"\s*" + pattern + r"\s*", actual, re.DOTALL) is not None


class Runner:
    """Runs the blocks of one page in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.cwd = folder
        self.port = _free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self._log = folder / "server.log"
        (folder / ".curlrc").write_text("silent\nshow-error\n")
        self._environ = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "CURL_HOME": str(folder),
            "COLUMNS": "100",
            "PENSTOCK_JOBS": str(folder / "jobs"),
        }

    def run(self, block: Block) -> None:
        """AssertionError when the block is not as its page says."""
        if block.directive == "not run":
            assert block.value, "say why it is not run"
        elif block.directive == "from":
            assert block.text == (ROOT / block.value).read_text(encoding="utf-8"), f"it is not {block.value}"
        elif block.directive == "file":
            path = self.cwd / block.value
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.directive == "post":
            self._post(block)
        elif block.directive == "run":
            assert block.value == "background until ready", block.value
            self._serve(block)
        elif block.language == "console":
            self._console(block)
        elif block.language == "python":
            self._command([sys.executable, "-c", self._here(block.text)], "", 0, block.text)
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "yaml":
            yaml.safe_load(block.text)

    def _here(self, text: str) -> str:
        return text.replace(PORT, str(self.port))

    def _console(self, block: Block) -> None:
        pairs = exchanges(block.text)
        for place, (command, expected) in enumerate(pairs):
            if command.startswith("cd "):
                self.cwd = (self.cwd / command[3:]).resolve()
                continue
            is_last = place == len(pairs) - 1
            code = int(block.value) if block.directive == "exit" and is_last else 0
            self._command(["bash", "-c", self._here(command)], expected, code, command)

    def _command(self, argv: list[str], expected: str, code: int, shown: str) -> None:
        done = subprocess.run(
            argv,
            cwd=self.cwd,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_WITHIN_S,
            check=False,
        )
        said = self._there(done.stdout)
        log = self._log.read_text(errors="replace")[-2000:] if self._log.exists() else ""
        assert done.returncode == code, f"{shown}\nended with {done.returncode}, said:\n{said}\n{log}"
        assert not expected or agrees(expected, said), f"{shown}\nsaid:\n{said}\nthe page has:\n{expected}"

    def _there(self, output: bytes) -> str:
        return output.decode("utf-8", "replace").replace(str(self.port), PORT)

    def _serve(self, block: Block) -> None:
        self.stop()
        [(command, expected)] = exchanges(block.text)
        self.port = _free_port()
        with self._log.open("wb") as log:
            self._server = subprocess.Popen(
                ["bash", "-c", f"exec env {command} --port {self.port}"],
                cwd=self.cwd,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(self._is_ready, f"{command}\n to be ready", READY_WITHIN_S)
        said = self._there(self._log.read_bytes())
        assert not expected or agrees(expected, said), f"{command}\nsaid:\n{said}\nthe page has:\n{expected}"

    def _is_ready(self) -> bool:
        assert self._server is not None
        assert self._server.poll() is None, self._log.read_text()
        with contextlib.suppress(OSError):
            url = f"http://127.0.0.1:{self.port}/"
            # The greeting is written when the first worker has joined, a moment before or after.
            return (
                urllib.request.urlopen(url, timeout=5).status == 200
                and re.search(r"serves |\"serving\"", self._log.read_text()) is not None
            )
        return False

    def _post(self, block: Block) -> None:
        assert self._server is not None, "no server is running"
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{block.value}",
            block.text.encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.status == 200

    def stop(self) -> None:
        """End the page's server, if one runs: in peace."""
        if self._server is None:
            return
        self._server.terminate()
        try:
            assert self._server.wait(20) in (0, -15), self._log.read_text()
        except subprocess.TimeoutExpired:
            self._server.kill()
            raise
        finally:
            self._server = None


def _free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return int(candidate.getsockname()[1])
