# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Three Kafka nodes, each broker and controller, that keep three replicas of everything and need two of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.services.kafka import Kafka, new_id

NODES = (1, 2, 3)
_SETTINGS = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    # A dead node is missed soon.
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "500",
    "replica.lag.time.max.ms": "4000",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1500",
}


class KafkaCluster:
    """
    Args:
        folder: takes a folder a node.

    Attributes:
        nodes: number -> node.
    """

    def __init__(self, folder: Path) -> None:
        self.nodes: dict[int, Kafka] = {}
        for number in NODES:
            (folder / str(number)).mkdir()
            self.nodes[number] = Kafka(folder / str(number), **{**_SETTINGS, "node.id": str(number)})
        controllers = {number: node.controller for number, node in self.nodes.items()}
        for node in self.nodes.values():
            node.settings["controller.quorum.bootstrap.servers"] = ",".join(controllers.values())
        self._voters = ",".join(f"{number}@{address}:{new_id()}" for number, address in controllers.items())

    def url(self, options: str = "") -> str:
        """The cluster's URL with options, naming every node."""
        return f"kafka://{','.join(node.address for node in self.nodes.values())}?{options}"

    def start(self) -> None:
        """Format and start all, and have a first consumer group."""
        cluster = new_id()
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            list(pool.map(lambda node: self._start(node, cluster), self.nodes.values()))
        self.nodes[1].warm(replicas=len(self.nodes))

    def heal(self) -> None:
        """Start again whoever was killed."""
        dead = [node for node in self.nodes.values() if node.server.process is None]
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            list(pool.map(lambda node: node.server.start(), dead))

    def kill(self) -> None:
        """SIGKILL to all that run."""
        for node in self.nodes.values():
            node.server.kill()

    def leader(self, topic: str) -> int:
        """The number of the node that leads the topic's first partition, as a living node sees it."""
        node = next(node for node in self.nodes.values() if node.server.process is not None)
        found: int = node.admin().list_topics(topic, timeout=10).topics[topic].partitions[0].leader
        return found

    def _start(self, node: Kafka, cluster: str) -> None:
        node.format(cluster, "--initial-controllers", self._voters)
        node.server.start()
