"""Autoscaling for Ray on one's own hardware: a provider of nodes for Ray's autoscaler.

Ray's autoscaler decides how many nodes there should be, and asks a provider for them. Its own providers are
clouds; this one starts `ray start` on this machine or on a list of hosts. In a cluster's YAML::

    provider:
      type: external
      module: penstock.runtimes.batch.engines.ray_nodes.ProcessNodeProvider
      disable_node_updaters: true
      head_address: 10.0.0.1:6379
      state_directory: /var/lib/penstock/ray
      hosts: [{name: here, reach: [sh, -c], nodes: 2}, {name: big, reach: [ssh, big], nodes: 4}]

``python -m penstock.runtimes.batch.engines.ray_nodes up`` writes such a file and runs the head.

Made for the autoscaler's second version (``RAY_enable_autoscaler_v2=1`` where the head starts): the first tells
nodes apart by address, and knows only one on a machine.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ray.autoscaler import tags as ray_tags
from ray.autoscaler.node_provider import NodeProvider

from penstock.errors import JobError
from penstock.runtimes.batch.engines import ray_head, ray_node_processes


class ProcessNodeProvider(NodeProvider):  # type: ignore[misc, unused-ignore]
    """Nodes as processes on hosts of one's own. The least loaded host with room gets the next one.

    Settings, under ``provider``: ``head_address``; ``state_directory``, where nodes are recorded and log;
    ``hosts``, each with ``name``, ``reach`` and ``nodes`` (the most that it may hold); ``ray``, the command
    there (the one beside this Python); ``start_arguments``, further arguments of ``ray start``;
    ``variables``, environment variables of the nodes. Read by Ray in the process of its autoscaler.
    """

    def __init__(self, provider_config: dict[str, Any], cluster_name: str) -> None:
        super().__init__(provider_config, cluster_name)
        if os.environ.get(ray_head.SECOND_VERSION) not in ("1", "true"):
            raise JobError(
                "this provider of nodes needs the second version of Ray's autoscaler",
                hint=f"set {ray_head.SECOND_VERSION}=1 and RAY_CLOUD_INSTANCE_ID=head where the head is started",
            )
        self._address = _setting(provider_config, "head_address")
        self._hosts = hosts(_setting(provider_config, "hosts"))
        self._ray = str(provider_config.get("ray") or ray_head.ray_command())
        self._start_arguments = [str(each) for each in provider_config.get("start_arguments") or []]
        self._variables = {str(k): str(v) for k, v in (provider_config.get("variables") or {}).items()}
        self._processes = ray_node_processes.NodeProcesses(Path(_setting(provider_config, "state_directory")))
        self._creating = threading.Lock()

    def non_terminated_nodes(self, tag_filters: Mapping[str, str]) -> list[str]:
        """The head, and all nodes whose processes exist."""
        all_tags = {ray_head.HEAD: _HEAD_TAGS} | {
            identity: node.tags for identity, node in self._processes.alive().items()
        }
        wanted = tag_filters.items()
        return [identity for identity, tags in all_tags.items() if wanted <= tags.items()]

    def is_running(self, node_id: str) -> bool:
        """Whether its process exists; Ray itself sees when the node has joined."""
        return node_id == ray_head.HEAD or node_id in self._processes.alive()

    def is_terminated(self, node_id: str) -> bool:
        """The opposite of `is_running`."""
        return not self.is_running(node_id)

    def node_tags(self, node_id: str) -> dict[str, str]:
        """What Ray has noted about a node; nothing about one that has just gone."""
        if node_id == ray_head.HEAD:
            return dict(_HEAD_TAGS)
        node = self._processes.alive().get(node_id)
        return dict(node.tags) if node else {}

    def set_node_tags(self, node_id: str, tags: Mapping[str, str]) -> None:
        """Note something about a node."""
        self._processes.tag(node_id, tags)

    def internal_ip(self, node_id: str) -> str:
        """Asked by the first version of the autoscaler only, which takes what is unique."""
        return node_id

    external_ip = internal_ip

    def create_node_with_resources_and_labels(
        self,
        node_config: dict[str, Any],
        tags: dict[str, str],
        count: int,
        resources: dict[str, float],
        labels: dict[str, str],
    ) -> None:
        """Start `count` nodes with `resources`. Raises JobError when the hosts have no room for all of them; the
        autoscaler notes it and tries again later."""
        variables = {
            **self._variables,
            # By these two Ray knows which of its nodes is which of ours.
            "RAY_CLOUD_INSTANCE_ID": "{node}",
            "RAY_NODE_TYPE_NAME": tags[ray_tags.TAG_RAY_USER_NODE_TYPE],
        }
        command = ray_head.node_command(
            self._ray, self._address, resources, labels, [*self._start_arguments, *_arguments(node_config)]
        )
        for started in range(count):
            with self._creating:
                host = roomiest(self._hosts, (node.host for node in self._processes.alive().values()))
                if host is None:
                    raise JobError(
                        f"no host has room for {count - started} of {count} Ray nodes",
                        hint="let the hosts hold more nodes, or lower the cluster's max_workers",
                    )
                self._processes.start(host, command, variables, tags)

    def create_node(self, node_config: dict[str, Any], tags: dict[str, str], count: int) -> None:
        """As `create_node_with_resources_and_labels`, with what Ray finds on the host."""
        self.create_node_with_resources_and_labels(node_config, tags, count, {}, {})

    def terminate_node(self, node_id: str) -> None:
        """Ask a node to end; it is listed until it has."""
        self._processes.end(node_id)


_HEAD_TAGS = {
    ray_tags.TAG_RAY_NODE_KIND: ray_tags.NODE_KIND_HEAD,
    ray_tags.TAG_RAY_USER_NODE_TYPE: ray_head.HEAD,
    ray_tags.TAG_RAY_NODE_NAME: ray_head.HEAD,
    ray_tags.TAG_RAY_NODE_STATUS: ray_tags.STATUS_UP_TO_DATE,
}


def roomiest(
    choice: Iterable[ray_node_processes.Host], occupied: Iterable[str]
) -> ray_node_processes.Host | None:
    """The host with the most room left, the first of equals; None when all are full."""
    taken = Counter(occupied)
    best = max(choice, key=lambda host: host.nodes - taken[host.name], default=None)
    return best if best is not None and taken[best.name] < best.nodes else None


def hosts(raw: Any) -> tuple[ray_node_processes.Host, ...]:
    """The setting ``hosts`` as values. Raises JobError naming the entry that is wrong."""
    found = []
    for number, entry in enumerate(raw if isinstance(raw, list) else [raw]):
        try:
            reach = entry.get("reach", list(ray_node_processes.LOCAL))
            found.append(
                ray_node_processes.Host(
                    name=str(entry["name"]),
                    reach=tuple(str(word) for word in reach),
                    nodes=int(entry.get("nodes", 1)),
                )
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise JobError(
                f"provider.hosts[{number}] is no host: {entry!r}",
                hint="each needs a name, and may have reach (a list of words) and nodes (a number)",
            ) from error
    return tuple(found)


def _setting(provider_config: Mapping[str, Any], name: str) -> Any:
    value = provider_config.get(name)
    if not value:
        raise JobError(f"the cluster's file lacks provider.{name}", hint="see ray_nodes.ProcessNodeProvider")
    return value


def _arguments(node_config: Mapping[str, Any]) -> list[str]:
    return [str(each) for each in node_config.get("start_arguments") or []]


if __name__ == "__main__":
    sys.exit(ray_head.main(sys.argv[1:]))
