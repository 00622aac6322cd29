# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
One Kafka node in KRaft mode, broker and controller in one process, from Maven Central's jars.

Needs `java` (17 or later) and `mvn`; the jars are fetched once into `~/.cache/tickrelay-tests`.
"""

from __future__ import annotations

import base64
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from tests.services.process import Server, free_ports, need

VERSION = "4.3.1"
IMPATIENT = "session.timeout.ms=2000&heartbeat.interval.ms=200"
"""URL options: a killed consumer is missed soon; the node allows it."""
_CACHE = Path.home() / ".cache" / "tickrelay-tests" / f"kafka-{VERSION}"
_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tickrelay.tests</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""
_JAVA = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx256m", "-Xms64m"]
_JAVA += ["-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "log.cleaner.dedupe.buffer.size": "2097152",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "num.recovery.threads.per.data.dir": "1",
}


def jars() -> Path:
    """The folder of Kafka's jars, fetched by Maven if it isn't there yet."""
    libs = _CACHE / "libs"
    if not libs.is_dir():
        # Fetched beside and renamed at the end: a folder that is there is complete, whoever else fetches.
        fetched = _CACHE / f"libs.{uuid4().hex}"
        fetched.mkdir(parents=True)
        (fetched / "pom.xml").write_text(_POM)
        command = [need("mvn"), "-q", "-B", "-ntp", "dependency:copy-dependencies", "-DincludeScope=runtime"]
        done = subprocess.run(
            [*command, f"-DoutputDirectory={fetched}"],
            cwd=fetched,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"mvn could not fetch Kafka's jars:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
        with suppress(OSError):  # somebody else was first
            fetched.rename(libs)
    return libs


class Kafka:
    """
    Args:
        folder: for its data, settings and logs.
        listeners: beside the plain one: name -> `host:port`.
        settings: beside or instead of those for tests.

    Attributes:
        address: `host:port` for clients.
        controller: `host:port` for other nodes.
        settings: written when it is formatted.
        server: its process; `kill`, `restart` and `signal` are there.
    """

    def __init__(self, folder: Path, *, listeners: Mapping[str, str] | None = None, **settings: str) -> None:
        port, controller = free_ports(2)
        self.address, self.controller = f"127.0.0.1:{port}", f"127.0.0.1:{controller}"
        self._java = [need("java"), *_JAVA, "-cp", f"{jars()}/*"]
        everywhere = {"PLAINTEXT": self.address, "CONTROLLER": self.controller, **(listeners or {})}
        listening = ",".join(f"{name}://{address}" for name, address in everywhere.items())
        self.settings = {
            **_SETTINGS,
            "controller.quorum.bootstrap.servers": self.controller,
            "listeners": listening,
            "advertised.listeners": listening,
            "log.dirs": f"{folder}/data",
            **settings,
        }
        self._file = folder / "server.properties"
        self.server = Server(
            [*self._java, "kafka.Kafka", str(self._file)], self._answers, folder / "server.log"
        )

    def url(self, options: str = "") -> str:
        """The broker's URL with options (`partitions=1&...`)."""
        return f"kafka://{self.address}?{options}"

    def start(self) -> None:
        """Format, start and warm it: the very first consumer group waits for an internal topic."""
        self.format(new_id(), "--standalone")
        self.server.start()
        self.warm()

    def format(self, cluster: str, *options: str) -> None:
        """Make its storage, as one node of a cluster."""
        self._file.write_text("".join(f"{name}={value}\n" for name, value in self.settings.items()))
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._file), *options]
        done = subprocess.run([*self._java, *tool], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"Kafka's storage could not be formatted:\n{done.stdout}{done.stderr}")

    def admin(self) -> AdminClient:
        """A bare client, for faults no broker of ours would make."""
        return AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def warm(self, *, replicas: int = 1) -> None:
        """Have a consumer group, until it has its share."""
        admin = self.admin()  # kept until the answer is there, or it would end with its client
        admin.create_topics([NewTopic("warm", 1, replicas)])["warm"].result(10)
        settings = {"bootstrap.servers": self.address, "group.id": "warm", "log_level": 0}
        consumer = Consumer(settings)
        consumer.subscribe(["warm"])
        deadline = time.monotonic() + 30
        while not consumer.assignment() and time.monotonic() < deadline:
            consumer.poll(0.05)
        consumer.close()

    def _answers(self) -> bool:
        try:
            return bool(self.admin().list_topics(timeout=1).brokers)
        except KafkaException:
            return False


@contextmanager
def running_kafka(folder: Path) -> Iterator[Kafka]:
    """A node of its own, killed at the end."""
    node = Kafka(folder)
    try:
        node.start()
        yield node
    finally:
        node.server.kill()


def new_id() -> str:
    """An id for a cluster or a folder, as Kafka writes them; it takes none that begins with a dash."""
    while True:
        made = base64.urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")
        if not made.startswith("-"):
            return made
