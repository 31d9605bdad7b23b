"""Ray nodes as processes: started, found again, ended, lost. A whole cluster that grows and shrinks is in
`test_engine_ray`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import psutil
import pytest

from penstock.errors import JobError
from penstock.runtimes.batch.engines import ray_head, ray_node_processes
from support.processes import are_gone
from support.waiting import until

pytest.importorskip("ray", reason="the extra 'ray' is not installed")

HERE = ray_node_processes.Host(name="here", reach=("sh", "-c"), nodes=2)


def _nodes(folder: Path) -> ray_node_processes.NodeProcesses:
    return ray_node_processes.NodeProcesses(folder)


def test_a_node_lives_as_long_as_its_process_and_ends_when_asked(tmp_path: Path) -> None:
    nodes = _nodes(tmp_path)
    command = ["sh", "-c", 'echo "I am $WHO"; exec sleep 60']
    identity = nodes.start(HERE, command, {"WHO": "{node}"}, {"kind": "worker"})
    assert nodes.alive()[identity].tags == {"kind": "worker"}
    until(lambda: f"I am {identity}" in (tmp_path / f"{identity}.log").read_text(), "its log")
    nodes.end(identity)
    until(lambda: not nodes.alive(), "the node to end", 10)
    assert [path.suffix for path in tmp_path.iterdir()] == [".log"]


def test_a_node_that_does_not_heed_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_node_processes, "TERM_S", 0.1)
    nodes = _nodes(tmp_path)
    identity = nodes.start(HERE, ["sh", "-c", 'trap "" TERM; echo deaf; while :; do sleep 0.1; done'], {}, {})
    until(lambda: "deaf" in (tmp_path / f"{identity}.log").read_text(), "the node to be deaf")
    nodes.end(identity)
    until(lambda: not nodes.alive(), "the node to be killed", 10)


def test_whoever_comes_after_a_crash_finds_the_nodes(tmp_path: Path) -> None:
    before = _nodes(tmp_path)
    identity = before.start(HERE, ["sleep", "60"], {}, {"kind": "worker"})
    before.tag(identity, {"status": "up"})
    after = _nodes(tmp_path)
    assert after.alive()[identity].tags == {"kind": "worker", "status": "up"}
    after.end_all()
    assert not after.alive()
    assert not before.alive()


def test_a_lost_connection_ends_the_node_at_the_far_end(tmp_path: Path) -> None:
    """As with ssh: the command here dies, the far end's input ends."""
    far = 'exec 4<&0; (sleep 3600 | sh -c "$1") <&4'  # stands for sshd: its pipe ends with the sleep
    host = ray_node_processes.Host(name="far", reach=("sh", "-c", far, "ssh"))
    nodes = _nodes(tmp_path)
    identity = nodes.start(host, ["sleep", "61"], {}, {})
    tree = psutil.Process(nodes.alive()[identity].process)

    def named(seconds: str) -> list[psutil.Process]:
        return [p for p in tree.children(recursive=True) if p.cmdline() == ["sleep", seconds]]

    node = until(lambda: named("61"), "the node")[0]
    until(lambda: named("3600"), "the connection")[0].kill()
    until(lambda: are_gone([node]), "the node to end", 30)
    until(lambda: not nodes.alive(), "the node to be gone", 10)


def test_a_host_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    host = ray_node_processes.Host(name="there", reach=("no-such-command",))
    with pytest.raises(JobError, match="host there: cannot run no-such-command"):
        _nodes(tmp_path).start(host, ["sleep", "1"], {}, {})
    assert not _nodes(tmp_path).alive()


def test_the_roomiest_host_is_next() -> None:
    from penstock.runtimes.batch.engines import ray_nodes

    hosts = ray_nodes.hosts([{"name": "a", "nodes": 1}, {"name": "b", "nodes": 2, "reach": ["ssh", "b"]}])
    chosen: list[str] = []
    while (host := ray_nodes.roomiest(hosts, chosen)) is not None:
        chosen.append(host.name)
    assert chosen == ["b", "a", "b"]
    with pytest.raises(JobError, match=r"provider.hosts\[1\] is no host: 'b'"):
        ray_nodes.hosts([{"name": "a"}, "b"])


def test_the_cluster_file_says_what_the_command_line_said(tmp_path: Path) -> None:
    options = argparse.Namespace(
        min=1, max=5, idle_timeout=30, cpus_per_node=4, gpus_per_node=1, object_store_mb=100, state=tmp_path,
        host=["local=1", "big"], reach="ssh -p 22 {host}", ray="/opt/ray", start_argument=["--labels=a=b"],
    )  # fmt: skip
    made = json.loads(json.dumps(ray_head.cluster_file(options, "10.0.0.1:6379")))
    provider = made["provider"]
    assert provider["hosts"] == [
        {"name": "local", "reach": ["sh", "-c"], "nodes": 1},
        {"name": "big", "reach": ["ssh", "-p", "22", "big"], "nodes": 5},
    ]
    assert made["available_node_types"]["worker"] == {
        "resources": {"CPU": 4, "GPU": 1, "object_store_memory": 100 << 20},
        "node_config": {}, "min_workers": 1, "max_workers": 5,
    }  # fmt: skip
    assert (made["idle_timeout_minutes"], provider["ray"]) == (0.5, "/opt/ray")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--min", "3", "--max", "2"], "--min 3 and --max 2 do not fit"),
        (["--host", "a=many"], "'many' is no number of nodes"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ray_head.main(["up", "--state", str(tmp_path), *arguments]) == 1
    assert said in capsys.readouterr().err
