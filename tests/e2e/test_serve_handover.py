"""``penstock serve`` becomes a server, and nothing around it tells the keys."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.slow

KEY = "a-key-that-nobody-else-sees"
DEPLOYMENT = """\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
endpoint_name: credit
model: {path: models/weights.txt}
code_configuration: {code: src, scoring_script: score.py}
environment: {image: somewhere/image:1}
environment_variables: {GREETING: 7}
instance_type: Standard_DS3_v2
"""
SCRIPT = """\
import json, os
def init():
    global weights
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "weights.txt")) as file:
        weights = file.read()
def run(data):
    return {"weights": weights, "greeting": os.environ["GREETING"], "got": json.loads(data)}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"blue.yml": DEPLOYMENT, "src/score.py": SCRIPT, "models/weights.txt": "42"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@contextlib.contextmanager
def serving(
    folder: Path, *arguments: str, **variables: str
) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The process, the address and what stood on stderr until it was ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock", "serve", *arguments, "--port", "0"],
        cwd=folder,
        env={**os.environ, **variables},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    said = ""
    try:
        assert process.stderr is not None
        deadline = time.monotonic() + 60
        while (found := re.search(r"http://[\w.]+:\d+", said)) is None or "/metrics" not in said:
            line = process.stderr.readline()
            assert line, f"ended with {process.poll()}:\n{said}"
            assert time.monotonic() < deadline, said
            said += line
        yield process, found[0].replace("0.0.0.0", "127.0.0.1"), said
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def post(url: str, key: str = "") -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(url, data=b'{"a": 1}', headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_deployment_file_is_served_and_its_key_stays_hidden(folder):
    arguments = ("blue.yml", "--environment", "current")
    with serving(folder, *arguments, PENSTOCK_AUTH_KEY=KEY) as (process, url, said):
        assert said.count("without effect on one machine: instance_type") == 1
        status, body = post(f"{url}/score", KEY)
        assert status == 200, body
        assert body == '{"weights": "42", "greeting": "7", "got": {"a": 1}}'
        assert post(f"{url}/score")[0] == 401
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        assert len(family) >= 3
        for member in family:
            assert KEY not in " ".join(member.cmdline())
            assert KEY not in str(member.environ())
        assert KEY not in said
    assert process.returncode == 0


def test_a_key_is_made_up_and_shown_once_where_others_can_connect(folder):
    arguments = ("--script", "src/score.py", "--model-dir", "models", "--host", "0.0.0.0")
    with serving(folder, *arguments, GREETING="9") as (_, url, said):
        key = re.findall(r"Bearer (\S{40,})", said)[0]
        assert said.count(key) == 1
        assert post(f"{url}/score")[0] == 401
        assert post(f"{url}/score", key)[0] == 200
