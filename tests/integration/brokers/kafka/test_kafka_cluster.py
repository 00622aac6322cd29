# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Three Kafka nodes, of which some die while messages flow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from uuid import uuid4

import pytest
from tests.services.kafka_cluster import KafkaCluster

from tickrelay_messaging.brokers import Broker, QueueSpec, Subscription, open_broker
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.errors import BrokerUnavailable, PublishUnconfirmed
from tickrelay_messaging.message import Message

PATIENCE = 60.0
OPTIONS = "partitions=1&session.timeout.ms=6000&heartbeat.interval.ms=200"
COORDINATING = "__consumer_offsets"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    cluster = KafkaCluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()


@pytest.fixture
def broker(cluster) -> Iterator[Broker]:
    with open_broker(cluster.url(OPTIONS)) as broker:
        yield broker


@pytest.fixture(scope="module")
def queue(cluster) -> str:
    """A queue led by the node that also coordinates its consumers: the one whose death hurts most."""
    coordinator = cluster.leader(COORDINATING)
    with open_broker(cluster.url(OPTIONS)) as broker:
        for _ in range(30):
            name = f"cluster-{uuid4().hex}"
            broker.declare(QueueSpec(name))
            if cluster.leader(name) == coordinator:
                return name
    return pytest.fail(f"node {coordinator} leads none of 30 queues")


class Load:
    """A publisher and a consumer that go on until they are told to stop, and what they know at the end."""

    def __init__(self, broker: Broker, queue: str) -> None:
        self.broker, self.queue = broker, queue
        self.confirmed: set[str] = set()
        self.unconfirmed: set[str] = set()
        self.got: set[str] = set()
        self.stop = Event()
        self.over = Event()

    def publish(self) -> None:
        """Batches of new messages."""
        batch = 0
        while not self.stop.is_set():
            batch += 1
            messages = [Message.of(number, id=f"{batch}-{number}") for number in range(100)]
            try:
                self.broker.publish(self.queue, messages, timeout=PATIENCE)
                self.confirmed |= {message.id for message in messages}
            except PublishUnconfirmed as error:
                self.unconfirmed |= set(error.ids)
                self.confirmed |= {message.id for message in messages} - set(error.ids)

    def receive(self, subscription: Subscription) -> None:
        """Everything, until all that was confirmed is there, or for as long as patience lasts after the end."""
        deadline = None
        while not (self.over.is_set() and self.confirmed <= self.got):
            if self.over.is_set():
                deadline = deadline or time.monotonic() + PATIENCE
                if time.monotonic() > deadline:
                    return
            try:
                deliveries = subscription.receive(500, 0.5)
            except BrokerUnavailable:
                continue
            self.got |= {decode(one.headers, one.body).id for one in deliveries}
            subscription.acknowledge(deliveries)


def test_publisher_and_consumer_outlive_the_leader(cluster, broker, queue, eventually):
    """Leader and coordinator are killed under load: both sides go on by themselves, and nothing confirmed is lost."""
    cluster.heal()
    load = Load(broker, queue)
    with broker.subscribe(queue) as subscription, ThreadPoolExecutor(2) as pool:
        publishing, receiving = pool.submit(load.publish), pool.submit(load.receive, subscription)
        try:
            eventually(lambda: len(load.got) > 500, within=PATIENCE)
            dead = cluster.leader(queue)
            cluster.nodes[dead].server.kill()
            before = set(load.confirmed)
            eventually(lambda: len((load.confirmed - before) & load.got) > 500, within=PATIENCE)
            assert dead != cluster.leader(queue)
        finally:
            load.stop.set()
            publishing.result(2 * PATIENCE)
            load.over.set()
            receiving.result(2 * PATIENCE)
    assert load.confirmed <= load.got
    assert load.got <= load.confirmed | load.unconfirmed


def test_without_a_majority_messages_are_named_and_go_through_later(cluster, broker, queue):
    """Two of three nodes down: exactly the ids without a confirmation are named, and go through after the repair."""
    known = [Message.of(number, id=f"known{number}") for number in range(10)]
    broker.publish(queue, known, timeout=PATIENCE)
    survivor = cluster.leader(queue)
    for number, node in cluster.nodes.items():
        if number != survivor:
            node.server.kill()
    messages = [Message.of(number, id=f"m{number}") for number in range(50)]
    try:
        with pytest.raises(PublishUnconfirmed, match="m0") as caught:
            broker.publish(queue, messages, timeout=3.0)
    finally:
        cluster.heal()
    assert [message.id for message in messages] == list(caught.value.ids)
    broker.publish(queue, messages, timeout=PATIENCE)
    missing = {message.id for message in [*known, *messages]}
    deadline = time.monotonic() + PATIENCE
    with broker.subscribe(queue) as subscription:
        while missing and time.monotonic() < deadline:
            deliveries = subscription.receive(100, 1.0)
            missing -= {decode(one.headers, one.body).id for one in deliveries}
            subscription.acknowledge(deliveries)
    assert set() == missing
