# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Three RabbitMQ nodes lose the one that leads the queue; the long form, since they need half a minute to start."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from tests.services.rabbitmq import RabbitNode, running_cluster

from tickrelay_messaging.brokers import QueueSpec
from tickrelay_messaging.brokers.rabbitmq import RabbitBroker
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.errors import BrokerUnavailable, PublishUnconfirmed
from tickrelay_messaging.message import Message

PATIENCE = 60.0
LANES = (0, 2) if os.environ.get("TICKRELAY_LONG") else ()


def publish(broker: RabbitBroker, queue: str, batches: list[list[Message]]) -> list[str]:
    """Every batch until it is confirmed; the ids that were named as unconfirmed on the way."""
    named: list[str] = []
    for batch in batches:
        left, why = {message.id: message for message in batch}, ""
        deadline = time.monotonic() + PATIENCE
        while left and time.monotonic() < deadline:
            try:
                broker.publish(queue, list(left.values()), timeout=5)
                left = {}
            except PublishUnconfirmed as error:
                named += error.ids
                why = str(error)
                left = {name: left[name] for name in error.ids}
            except BrokerUnavailable as error:
                why = str(error)
        assert not left, f"never confirmed again: {why}"
    return named


def receive(broker: RabbitBroker, queue: str, expected: set[str], some: Event) -> set[str]:
    """What arrives, acknowledged, until it is everything."""
    got: set[str] = set()
    deadline = time.monotonic() + 2 * PATIENCE
    with broker.subscribe(queue) as subscription:
        while not expected <= got and time.monotonic() < deadline:
            try:
                deliveries = subscription.receive(100, 1.0)
            except BrokerUnavailable:
                continue
            got.update(decode(one.headers, one.body).id for one in deliveries)
            subscription.acknowledge(deliveries)
            if len(got) > 1000:
                some.set()
    return got


def is_whole(cluster: list[RabbitNode], queues: int) -> bool:
    """So many queues there are, each has a member on every node, and the first node leads them all."""
    words = cluster[1].control("list_queues", "--quiet", "--formatter=json", "members", "online", "leader")
    rows = json.loads(words)
    names = {node.name for node in cluster}
    return len(rows) == queues and all(
        names == set(row["members"]) == set(row["online"]) and row["leader"] == cluster[0].name
        for row in rows
    )


if LANES:

    @pytest.fixture
    def cluster(tmp_path: Path) -> Iterator[list[RabbitNode]]:
        """Three nodes; a test may kill one."""
        with running_cluster(tmp_path) as nodes:
            yield nodes

    @pytest.mark.timeout(400)
    @pytest.mark.parametrize("lanes", LANES)
    def test_the_leader_dies_under_load(
        cluster: list[RabbitNode], lanes: int, eventually: Callable[..., object]
    ) -> None:
        """Publishing and consuming carry on by themselves on another node, and everything confirmed arrives."""
        others = ",".join(f"127.0.0.1:{node.port}" for node in cluster[1:])
        batches = [[Message.of(n, id=f"{b}-{n}", key=f"{n % 7}") for n in range(200)] for b in range(60)]
        expected = {message.id for batch in batches for message in batch}
        some = Event()
        with (
            RabbitBroker(cluster[0].url(options=f"?hosts={others}")) as broker,
            ThreadPoolExecutor(2) as pool,
        ):
            broker.declare(QueueSpec("led", lanes=lanes))

            eventually(lambda: is_whole(cluster, 1 + lanes), within=PATIENCE)
            receiving = pool.submit(receive, broker, "led", expected, some)
            publishing = pool.submit(publish, broker, "led", batches)
            assert some.wait(PATIENCE)
            cluster[0].kill()
            named = publishing.result(3 * PATIENCE)
            assert expected == receiving.result(3 * PATIENCE)
            assert set(named) <= expected
