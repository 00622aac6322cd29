# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Messages beyond RabbitMQ's limits, acknowledgements later than its patience, and messages nobody can read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pika
import pytest
from tests.services.rabbitmq import RabbitNode

from tickrelay_consumer.consumer import Consumer
from tickrelay_messaging.brokers import QueueSpec
from tickrelay_messaging.brokers.rabbitmq import RabbitBroker
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.errors import BrokerUnavailable, MessageTooLarge, PublishUnconfirmed
from tickrelay_messaging.ledger import open_ledger
from tickrelay_messaging.ledger.records import DeadFilter
from tickrelay_messaging.message import Message

PATIENCE = 20.0


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """One node, with a small limit."""
    folder = tmp_path_factory.mktemp("rabbitmq") / "node"
    node = RabbitNode(folder)
    try:
        node.configure("max_message_size = 100000\n")
        node.start()
        yield node
    finally:
        node.stop()


@pytest.fixture
def queue(node: RabbitNode) -> str:
    """A declared queue, new in every test."""
    name = f"limits-{uuid4().hex}"
    with RabbitBroker(node.url()) as broker:
        broker.declare(QueueSpec(name))
    return name


def test_larger_than_the_broker_allows(node: RabbitNode, queue: str) -> None:
    """A message over `max_message_size` is too large by name; among others, what isn't confirmed is named."""
    large = Message(id="large", body=b"1" * 200_000)
    with RabbitBroker(node.url()) as broker:
        with pytest.raises(MessageTooLarge, match=r"100000|max"):
            broker.publish(queue, [large])
        with pytest.raises((PublishUnconfirmed, MessageTooLarge)) as caught:
            broker.publish(queue, [large, Message.of(1, id="behind")])
        if isinstance(caught.value, PublishUnconfirmed):
            assert "large" in caught.value.ids
        broker.publish(queue, [Message.of(1, id="small")])


def test_a_full_queue_refuses_and_takes_again(
    node: RabbitNode, queue: str, eventually: Callable[..., object]
) -> None:
    """What a queue's policy refuses is named as unconfirmed; once there is room, the same broker publishes again."""
    with RabbitBroker(node.url()) as broker:

        def is_taken() -> bool:
            """Whether one more is confirmed."""
            try:
                broker.publish(queue, [Message.of(1)])
            except PublishUnconfirmed:
                return False
            return True

        limit = '{"max-length": 3, "overflow": "reject-publish"}'
        node.control("set_policy", "full", f"^tickrelay:{queue}:", limit, "--apply-to", "queues")
        eventually(lambda: not is_taken(), within=PATIENCE)
        with pytest.raises(PublishUnconfirmed, match="nack") as caught:
            broker.publish(queue, [Message.of(1, id="one"), Message.of(2, id="two")])
        assert caught.value.ids == ("one", "two")
        node.control("clear_policy", "full")
        broker.purge(queue)
        eventually(is_taken, within=PATIENCE)


def test_acknowledged_too_late(node: RabbitNode, queue: str) -> None:
    """Where the broker closes the channel for want of an acknowledgement, the message comes again by itself."""
    node.control("eval", "application:set_env(rabbit, consumer_timeout, 1000).")
    node.control("eval", "application:set_env(rabbit, channel_tick_interval, 500).")
    try:
        with RabbitBroker(node.url()) as broker, broker.subscribe(queue) as subscription:
            broker.publish(queue, [Message.of(1, id="late")])
            (held,) = subscription.receive(1, PATIENCE)
            try:
                again = subscription.receive(1, PATIENCE)
            except BrokerUnavailable as error:
                assert "timed out" in str(error)  # noqa: PT017 - it may be told or mended before
                again = subscription.receive(1, PATIENCE)
            assert [("late", True)] == [(decode(d.headers, d.body).id, d.redelivered) for d in again]
            subscription.acknowledge([held])
            subscription.acknowledge(again)
    finally:
        node.control("eval", "application:set_env(rabbit, consumer_timeout, 1800000).")


def test_what_nobody_can_read_is_a_dead_letter(
    node: RabbitNode, queue: str, tmp_path: Path, eventually: Callable[..., object]
) -> None:
    """Bytes that are no text, and no headers of ours: dead letters with their bytes kept, that block nothing."""
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    consumer = Consumer(broker=node.url(), ledger=ledger)
    handled = threading.Event()

    @consumer.handler(queue)
    def handle(message: Message, _: object) -> None:
        handled.set()

    with pika.BlockingConnection(pika.URLParameters(node.url())) as raw:
        for properties in (pika.BasicProperties(content_type="application/json"), None):
            raw.channel().basic_publish(f"tickrelay:{queue}", "", b"\xff\xfe\x00", properties)
    with RabbitBroker(node.url()) as broker:
        broker.publish(queue, [Message.of(1, id="behind")])
    thread = threading.Thread(target=consumer.run, kwargs={"signals": False})
    thread.start()
    try:
        assert handled.wait(PATIENCE)
        with open_ledger(ledger) as book:
            eventually(lambda: len(book.dead_letters.list(DeadFilter())) == 2, within=PATIENCE)
            letters = [book.dead_letters.show(one.number) for one in book.dead_letters.list(DeadFilter())]
    finally:
        consumer.stop()
        thread.join(PATIENCE)
    assert [b"\xff\xfe\x00"] * 2 == [letter.body for letter in letters if letter is not None]
