# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A consumer works from RabbitMQ, end to end, through the broker's death."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.services.rabbitmq import RabbitNode, running_node

from tickrelay_consumer.consumer import Consumer
from tickrelay_messaging.brokers import QueueSpec, open_broker
from tickrelay_messaging.message import Message

PATIENCE = 40.0
YOUNG = 1.5
"""Seconds a new quorum queue needs: RabbitMQ 3.10 killed sooner after its declaration loses it."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """One node."""
    with running_node(tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node


def test_each_message_is_handled_once(node: RabbitNode, tmp_path: Path) -> None:
    """Duplicates and a broker killed halfway change nothing: every message's handler runs once."""
    consumer = Consumer(broker=node.url(), ledger=f"sqlite:///{tmp_path}/ledger.db")
    seen: Counter[int] = Counter()
    halfway, all_done = threading.Event(), threading.Event()

    @consumer.handler("orders")
    def handle(message: Message, _: object) -> None:
        seen[message.data] += 1
        if len(seen) == 150:
            halfway.set()
        if len(seen) == 300:
            all_done.set()

    batch = [Message.of(number, id=f"order-{number}") for number in range(300)]
    thread = threading.Thread(target=consumer.run, kwargs={"signals": False})
    with open_broker(node.url()) as broker:
        broker.declare(QueueSpec("orders"))
        broker.publish("orders", batch[:200] + batch[:50])
        time.sleep(YOUNG)
        thread.start()
        try:
            assert halfway.wait(PATIENCE)
            node.kill()
            node.start_again()
            broker.publish("orders", batch[150:])
            assert all_done.wait(PATIENCE)
        finally:
            consumer.stop()
            thread.join(PATIENCE)
    assert not thread.is_alive()
    assert {1} == set(seen.values())
