# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""RabbitMQ refuses, dies and runs out of memory: nothing confirmed is lost, and what isn't confirmed is named."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pika
import pytest
from tests.services.rabbitmq import RabbitNode, running_node

from tickrelay_messaging.brokers import QueueSpec
from tickrelay_messaging.brokers.rabbitmq import RabbitBroker
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.errors import (
    BrokerRefused,
    BrokerUnavailable,
    CallerError,
    ConfigurationError,
    MessageError,
    PublishUnconfirmed,
    QueueMismatch,
    UnknownQueue,
)
from tickrelay_messaging.message import Message

PATIENCE = 20.0
YOUNG = 1.5
"""Seconds a new quorum queue needs: RabbitMQ 3.10 killed sooner after its declaration loses it, confirmed or not."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """One node; tests that break it mend it."""
    with running_node(tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node


@pytest.fixture
def broker(node: RabbitNode) -> Iterator[RabbitBroker]:
    """A connection that is closed after the test."""
    with RabbitBroker(node.url()) as broker:
        yield broker


@pytest.fixture
def queue(broker: RabbitBroker) -> str:
    """A declared queue, new in every test."""
    name = f"faults-{uuid4().hex}"
    broker.declare(QueueSpec(name))
    return name


def messages(count: int, prefix: str = "m", size: int = 200) -> list[Message]:
    return [Message(id=f"{prefix}{number}", body=b"1" * size) for number in range(count)]


def drain(broker: RabbitBroker, queue: str, *, silence: float = 1.0) -> list[str]:
    """Ids of everything on a queue, acknowledged."""
    found: list[str] = []
    with broker.subscribe(queue) as subscription:
        while deliveries := subscription.receive(1000, silence):
            found += [decode(one.headers, one.body).id for one in deliveries]
            subscription.acknowledge(deliveries)
    return found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"password": "hunter2"}, "user or password refused"),
        ({"user": "nobody", "password": "hunter2"}, "user or password refused"),
        ({"vhost": "missing"}, "virtual host"),
    ],
    ids=["password", "user", "vhost"],
)
def test_a_refusal_is_told_at_once(node: RabbitNode, changes: dict[str, str], words: str) -> None:
    """A wrong password or vhost is an error that no retry mends, it names the cause, and never the password."""
    with RabbitBroker(node.url(**changes)) as broker, pytest.raises(BrokerRefused, match=words) as caught:
        broker.declare(QueueSpec("any"))
    assert not caught.value.retryable
    assert "hunter2" not in str(caught.value)
    assert f"127.0.0.1:{node.port}" in str(caught.value)


def test_nobody_listens(node: RabbitNode, free_port: int) -> None:
    """A broker that was never reached isn't waited for."""
    start = time.monotonic()
    with (
        RabbitBroker(f"amqp://guest:hunter2@127.0.0.1:{free_port}") as broker,
        pytest.raises(BrokerUnavailable, match=str(free_port)) as caught,
    ):
        broker.publish("any", messages(1))
    assert caught.value.retryable
    assert "hunter2" not in str(caught.value)
    assert time.monotonic() - start < 5


def test_the_next_node_is_tried(node: RabbitNode, free_port: int) -> None:
    """Where one of the nodes isn't there, the others are used."""
    with RabbitBroker(f"amqp://127.0.0.1:{free_port}?hosts=127.0.0.1:{node.port}") as broker:
        broker.declare(QueueSpec("several-nodes"))
        broker.publish("several-nodes", messages(1))
        assert ["m0"] == drain(broker, "several-nodes", silence=0.3)


@pytest.mark.parametrize(
    "options",
    ["?prefetch=none", "?colour=red", "?verify=no", "?auth=external", "?management=ftp://x", "?heartbeat=0"],
)
def test_bad_options_are_refused(options: str) -> None:
    """An option nobody reads, or a value that isn't allowed, is an error before anything is connected."""
    with pytest.raises(ConfigurationError) as caught:
        RabbitBroker(f"amqp://me:hunter2@localhost/{options}")
    assert "hunter2" not in str(caught.value)


def test_a_certificate_that_is_not_there(tmp_path: object) -> None:
    """A certificate file that can't be read is named."""
    with pytest.raises(ConfigurationError, match="certificate"):
        RabbitBroker(f"amqps://localhost/?cafile={tmp_path}/none.pem")


def test_tls_to_a_port_without(node: RabbitNode) -> None:
    """TLS with a server that doesn't speak it is an error in words, not a hang."""
    url = node.url(options="?connect_timeout=3").replace("amqp:", "amqps:")
    with RabbitBroker(url) as broker, pytest.raises(BrokerUnavailable):
        broker.declare(QueueSpec("any"))


def test_the_least_rights_suffice(node: RabbitNode, broker: RabbitBroker, queue: str) -> None:
    """A publisher needs the right to write, a consumer the right to read; without it the error says so."""
    for user, rights in (("writer", ("^$", "^tickrelay:", "^$")), ("reader", ("^$", "^$", "^tickrelay:"))):
        node.control("add_user", user, "secret")
        node.control("set_permissions", user, *rights)
    writer = RabbitBroker(node.url(user="writer", password="secret"))
    reader = RabbitBroker(node.url(user="reader", password="secret"))
    with writer, reader, reader.subscribe(queue) as subscription:
        writer.publish(queue, messages(3))
        assert subscription.receive(1, PATIENCE)
        reader.declare(QueueSpec(queue))
        with pytest.raises(BrokerRefused, match=r"access to exchange.*refused"):
            writer.declare(QueueSpec(f"{queue}-new"))
        with pytest.raises(BrokerRefused, match="refused"):
            reader.publish(queue, messages(3))
        with writer.subscribe(queue) as deaf, pytest.raises(BrokerRefused, match="refused"):
            deaf.receive(1, 1.0)


def test_declared_otherwise(node: RabbitNode, broker: RabbitBroker) -> None:
    """A queue or exchange of the same name with other properties is left alone, and the error says what differs."""
    with pika.BlockingConnection(pika.URLParameters(node.url())) as raw:
        raw.channel().queue_declare("tickrelay:classic:default", durable=True)
        raw.channel().exchange_declare("tickrelay:direct", exchange_type="direct")
    with pytest.raises(QueueMismatch, match="x-queue-type"):
        broker.declare(QueueSpec("classic"))
    with pytest.raises(QueueMismatch, match="type"):
        broker.declare(QueueSpec("direct"))


def test_no_group_no_confirmation(node: RabbitNode, broker: RabbitBroker) -> None:
    """A message no group takes is not confirmed, though the broker acknowledges having dropped it."""
    broker.declare(QueueSpec("groupless"))
    with pika.BlockingConnection(pika.URLParameters(node.url())) as raw:
        raw.channel().queue_delete("tickrelay:groupless:default")
    with pytest.raises(PublishUnconfirmed, match="no group") as caught:
        broker.publish("groupless", messages(3))
    assert ("m0", "m1", "m2") == caught.value.ids


def test_an_exchange_that_is_gone(node: RabbitNode, broker: RabbitBroker, queue: str) -> None:
    """A queue deleted behind our back is unknown, and others carry on."""
    broker.declare(QueueSpec("doomed"))
    broker.publish("doomed", messages(1))
    with pika.BlockingConnection(pika.URLParameters(node.url())) as raw:
        raw.channel().exchange_delete("tickrelay:doomed")
    with pytest.raises(UnknownQueue):
        broker.publish("doomed", messages(2))
    with pytest.raises(UnknownQueue):
        broker.publish("doomed", messages(2))
    broker.publish(queue, messages(2))
    assert ["m0", "m1"] == drain(broker, queue, silence=0.3)


def test_killed_between_two_publishes(node: RabbitNode, broker: RabbitBroker, queue: str) -> None:
    """A publish that finds the broker away waits for it within its timeout; what was confirmed before is there."""
    broker.publish(queue, messages(100, "before"))
    time.sleep(YOUNG)
    node.kill()
    with pytest.raises((PublishUnconfirmed, BrokerUnavailable)):
        broker.publish(queue, messages(1, "away"), timeout=0.5)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(broker.publish, queue, messages(100, "after"), timeout=60)
        node.start_again()
        waiting.result(PATIENCE)
    expected = {message.id for prefix in ("before", "after") for message in messages(100, prefix)}
    assert expected <= set(drain(broker, queue))


def test_killed_while_messages_flow(node: RabbitNode, broker: RabbitBroker, queue: str) -> None:
    """Publisher and consumer outlive the broker's death: what isn't confirmed is named, everything else arrives."""
    batches = [messages(500, f"{number}-") for number in range(60)]
    expected = {message.id for batch in batches for message in batch}
    got: set[str] = set()
    named: list[str] = []

    def publish() -> None:
        for batch in batches:
            left = {message.id: message for message in batch}
            while left:
                try:
                    broker.publish(queue, list(left.values()), timeout=30)
                    left = {}
                except PublishUnconfirmed as error:
                    named.extend(error.ids)
                    left = {name: left[name] for name in error.ids}
                except BrokerUnavailable:
                    continue

    def receive() -> None:
        deadline = time.monotonic() + 60
        with broker.subscribe(queue) as subscription:
            while not expected <= got and time.monotonic() < deadline:
                try:
                    deliveries = subscription.receive(100, 1.0)
                except BrokerUnavailable:
                    continue
                got.update(decode(one.headers, one.body).id for one in deliveries)
                subscription.acknowledge(deliveries)

    time.sleep(YOUNG)
    with ThreadPoolExecutor(2) as pool:
        publishing, receiving = pool.submit(publish), pool.submit(receive)
        while len(got) < 2000 and not publishing.done():
            time.sleep(0.01)
        node.kill()
        node.start_again()
        publishing.result(60)
        receiving.result(60)
    assert expected == got
    assert named, "the broker died outside of any publish: the test has shown nothing"


def test_a_memory_alarm_ends_with_the_deadline(node: RabbitNode, broker: RabbitBroker, queue: str) -> None:
    """A broker that takes no more messages doesn't hang a publish, nor the rest; it carries on afterwards."""
    broker.publish(queue, messages(1))
    node.control("set_vm_memory_high_watermark", "0.00001")
    try:
        start = time.monotonic()
        with pytest.raises(PublishUnconfirmed) as caught:
            broker.publish(queue, messages(5000, "late"), timeout=1.5)
        assert 1.4 < time.monotonic() - start < 4
        assert [message.id for message in messages(5000, "late")][-len(caught.value.ids) :] == list(
            caught.value.ids
        )
        assert len(caught.value.ids) > 4000
        with pytest.raises(PublishUnconfirmed, match="memory") as caught:
            broker.publish(queue, messages(2, "again"), timeout=0.3)
        assert ("again0", "again1") == caught.value.ids
        assert 1 <= broker.stats(queue)[0].ready
    finally:
        node.control("set_vm_memory_high_watermark", "absolute", "512MB")
    broker.publish(queue, messages(1, "after"), timeout=PATIENCE)
    found = drain(broker, queue, silence=0.5)
    assert "m0" == found[0]
    assert "after0" in found
    assert not {"again0", "again1"} & set(found), "sent after its publish had failed"


def test_a_deleted_queue_is_noticed(node: RabbitNode, broker: RabbitBroker, queue: str) -> None:
    """A consumer the broker cancels says that its queue is gone, and carries on when it is back."""
    with broker.subscribe(queue) as subscription:
        broker.publish(queue, messages(1))
        assert subscription.receive(1, PATIENCE)
        with pika.BlockingConnection(pika.URLParameters(node.url())) as raw:
            raw.channel().queue_delete(f"tickrelay:{queue}:default")
        with pytest.raises(BrokerUnavailable, match=r"no queue|cancelled"):
            subscription.receive(1, 0.5)
        broker.declare(QueueSpec(queue))
        broker.publish(queue, messages(1, "back"))
        (delivery,) = subscription.receive(1, PATIENCE)
        assert "back0" == decode(delivery.headers, delivery.body).id


def test_connections_closed_by_the_server(node: RabbitNode, broker: RabbitBroker, queue: str) -> None:
    """A closed connection is made anew; what was held comes again, marked, and old acknowledgements do nothing."""
    broker.publish(queue, messages(2))
    with broker.subscribe(queue) as subscription, ThreadPoolExecutor(1) as pool:
        held = subscription.receive(2, PATIENCE)
        held += subscription.receive(1, PATIENCE) if len(held) < 2 else []
        subscription.acknowledge(held[:1])
        waiting = pool.submit(subscription.receive, 1, PATIENCE)
        node.control("close_all_connections", "maintenance")
        (again,) = waiting.result(PATIENCE)
        assert (held[1].position, True) == (again.position, again.redelivered)
        subscription.acknowledge(held)
        broker.publish(queue, messages(1, "new"))
        subscription.acknowledge([again])
        (fresh,) = subscription.receive(1, PATIENCE)
        assert ("new0", False) == (decode(fresh.headers, fresh.body).id, fresh.redelivered)


def test_foreign_messages_keep_their_bytes(node: RabbitNode, broker: RabbitBroker, queue: str) -> None:
    """A message of another publisher arrives with its bytes, and its headers as text, and blocks nothing behind it."""
    headers = {"number": 7, "bytes": b"\xff\x00", "table": {"a": [1, None]}, "text": "ü"}
    with pika.BlockingConnection(pika.URLParameters(node.url())) as raw:
        channel = raw.channel()
        channel.basic_publish(
            f"tickrelay:{queue}", "", b"\xff\xfe", pika.BasicProperties(headers={"number": 7})
        )
        channel.basic_publish(f"tickrelay:{queue}", "", b"plain", pika.BasicProperties(headers=headers))
        channel.basic_publish(f"tickrelay:{queue}", "", b"bare")
    broker.publish(queue, messages(1, "behind"))
    found = []
    with broker.subscribe(queue) as subscription:
        while len(found) < 4:
            found += subscription.receive(4, PATIENCE)
        subscription.acknowledge(found)
    assert [b"\xff\xfe", b"plain", b"bare"] == [one.body for one in found[:3]]
    assert {"number": "7", "bytes": "\\xff\x00", "table": '{"a": [1, null]}', "text": "ü"} == found[1].headers
    assert 4 == len({one.position for one in found})
    for foreign in found[:3]:
        with pytest.raises(MessageError):
            decode(foreign.headers, foreign.body)


def test_headers_pika_cannot_decode(node: RabbitNode, broker: RabbitBroker, queue: str) -> None:
    """An instant beyond the year 9999 in a header breaks no connection: the message arrives with its bytes."""

    class Poison(pika.BasicProperties):
        def encode(self) -> list[bytes]:
            table = b"\x04whenT" + (1 << 60).to_bytes(8, "big")
            return [b"\x20\x00", len(table).to_bytes(4, "big"), table]

    with pika.BlockingConnection(pika.URLParameters(node.url())) as raw:
        raw.channel().basic_publish(f"tickrelay:{queue}", "", b"poison", Poison())
    broker.publish(queue, messages(1, "behind"))
    with broker.subscribe(queue) as subscription:
        found = subscription.receive(2, PATIENCE)
        found += subscription.receive(1, PATIENCE) if len(found) < 2 else []
    assert [b"poison", b"1" * 200] == [one.body for one in found]
    assert "x-tickrelay-unreadable" in found[0].headers


def test_many_large_messages(broker: RabbitBroker, queue: str) -> None:
    """Bodies of a megabyte go through in any number, with bounded memory on the way."""
    large = messages(30, "large", size=1 << 20)
    broker.publish(queue, large)
    assert [message.id for message in large] == drain(broker, queue)


def test_more_in_hand_than_is_fetched_ahead(node: RabbitNode, queue: str) -> None:
    """The prefetch bounds what is read ahead, not what a caller may hold unacknowledged."""
    with RabbitBroker(node.url(options="?prefetch=10")) as broker, broker.subscribe(queue) as subscription:
        broker.publish(queue, messages(100))
        held = []
        while len(held) < 100:
            more = subscription.receive(100, PATIENCE)
            assert more
            held += more
        subscription.acknowledge(held[50:])
        subscription.acknowledge(held[:50])
        assert [message.id for message in messages(100)] == [decode(one.headers, one.body).id for one in held]
    with RabbitBroker(node.url()) as other:
        assert [] == drain(other, queue, silence=0.3)


def test_the_management_api_lists_what_others_declared(node: RabbitNode, queue: str) -> None:
    """With the management API a new process knows every queue and group, and how many messages others hold."""
    with RabbitBroker(node.url(options=f"?management={node.management}")) as broker:
        deadline = time.monotonic() + PATIENCE
        while QueueSpec(queue) not in broker.queues() and time.monotonic() < deadline:
            time.sleep(0.1)  # its list is as old as its statistics
        assert QueueSpec(queue) in broker.queues()
        assert 0 == broker.stats(queue)[0].in_flight


def test_a_management_api_that_refuses(node: RabbitNode) -> None:
    """A wrong password for the management API is named as such, without the password."""
    management = node.management.replace("http://", "http://guest:hunter2@")
    with (
        RabbitBroker(node.url(options=f"?management={management}")) as broker,
        pytest.raises(BrokerRefused, match=r"management API.*401") as caught,
    ):
        broker.queues()
    assert "hunter2" not in str(caught.value)


def test_peek_says_what_it_cannot_do(broker: RabbitBroker, queue: str) -> None:
    """Looking without taking isn't possible, and says so."""
    assert not broker.capabilities.peek
    with pytest.raises(CallerError, match="without taking"):
        broker.peek(queue)
