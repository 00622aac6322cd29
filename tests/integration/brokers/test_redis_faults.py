# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the Redis broker does when the server, the network, a sibling or the configuration fails."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from tests.services.process import need
from tests.services.redis import LEASE, RedisServer, Sentinel, running_server

from tickrelay_messaging.brokers import Broker, Delivery, QueueSpec, Subscription, open_broker
from tickrelay_messaging.brokers.redis import RIGHTS
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.errors import (
    BrokerUnavailable,
    ConfigurationError,
    PublishUnconfirmed,
    QueueMismatch,
    ServiceError,
    StorageFull,
    UndecodableMessage,
    UnknownQueue,
)
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing._children import forked

PATIENCE = 20.0
STREAM = "tickrelay:{orders}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for the tests of this file that don't need one of their own."""
    with running_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def bare(server: RedisServer) -> Iterator[redis.Redis]:
    """A bare client of an empty server."""
    with server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def broker(server: RedisServer, bare: redis.Redis) -> Iterator[Broker]:
    """A broker with the queue `orders`."""
    with open_broker(server.url()) as broker:
        broker.declare(QueueSpec("orders"))
        yield broker


def messages(count: int, size: int = 0) -> list[Message]:
    return [Message.of("x" * size, id=f"m{number}") for number in range(count)]


def ids_of(deliveries: list[Delivery]) -> list[str]:
    return [decode(delivery.headers, delivery.body).id for delivery in deliveries]


def take(subscription: Subscription, count: int) -> list[Delivery]:
    """So many deliveries, through whatever outage lies between."""
    taken: list[Delivery] = []
    deadline = time.monotonic() + PATIENCE
    while len(taken) < count:
        assert time.monotonic() < deadline, f"only {len(taken)} of {count} messages came"
        try:
            taken += subscription.receive(count - len(taken), 1)
        except BrokerUnavailable:
            continue  # the next call connects anew, after a pause of its own
    return taken


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def waiting_clients(bare: redis.Redis) -> list[int]:
    """Connections that wait inside XREADGROUP."""
    return [int(one["id"]) for one in bare.client_list() if one["flags"] == "b"]


# --- getting in ----------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_the_callers_fault_and_stays_secret(
    server: RedisServer, bare: redis.Redis
) -> None:
    """A refused login is a ConfigurationError, and no error shows the password."""
    bare.execute_command("ACL", "SETUSER", "alice", "on", ">correct", "~*", "+@all")
    with pytest.raises(ConfigurationError, match="password") as caught:
        open_broker(server.url("alice:wr0ng-s3cret"))
    assert "wr0ng-s3cret" not in str(caught.value) + str(caught.value.__cause__)
    open_broker(server.url("alice:correct")).close()


def test_the_documented_rights_are_enough(server: RedisServer, bare: redis.Redis, broker: Broker) -> None:
    """Publisher, consumer, declarer, viewer and purger can do their work with what RIGHTS lists."""
    for user, rights in RIGHTS.items():
        bare.execute_command("ACL", "SETUSER", user, "reset", "on", ">pw", "~tickrelay:*", *rights.split())
    brokers = {user: open_broker(server.url(f"{user}:pw")) for user in RIGHTS}
    brokers["declarer"].declare(QueueSpec("orders", ("default", "audit")))
    brokers["publisher"].publish("orders", messages(3))
    brokers["publisher"].publish("orders", [])
    with brokers["consumer"].subscribe("orders") as subscription, ThreadPoolExecutor(1) as pool:
        subscription.acknowledge(take(subscription, 2)[:1])
        take(subscription, 1) if len(bare.xpending_range(STREAM, "default", "-", "+", 9)) < 2 else None
        waiting = pool.submit(subscription.receive, 1, None)
        wait_for(lambda: waiting_clients(bare))
        subscription.wake()
        assert [] == waiting.result(PATIENCE)
    with brokers["consumer"].subscribe("orders") as subscription:
        assert 1 <= len(subscription.receive(1, PATIENCE))
    assert ["orders"] == [spec.name for spec in brokers["viewer"].queues()]
    assert {"default", "audit"} == {row.group for row in brokers["viewer"].stats("orders")}
    assert brokers["viewer"].peek("orders")
    assert 3 == brokers["purger"].purge("orders", "audit")
    for one in brokers.values():
        one.close()


def test_a_missing_right_is_named_as_such(server: RedisServer, bare: redis.Redis, broker: Broker) -> None:
    """Without a right the call is a ConfigurationError, not an outage to wait for."""
    bare.execute_command(
        "ACL", "SETUSER", "viewer", "reset", "on", ">pw", "~tickrelay:*", *RIGHTS["viewer"].split()
    )
    with open_broker(server.url("viewer:pw")) as viewer:
        with pytest.raises(ConfigurationError, match="right"):
            viewer.publish("orders", messages(1))
        with pytest.raises(ConfigurationError, match="right"):
            viewer.subscribe("orders")
    bare.execute_command("ACL", "SETUSER", "stranger", "reset", "on", ">pw", "~other:*", "+@all")
    with open_broker(server.url("stranger:pw")) as stranger, pytest.raises(ConfigurationError, match="right"):
        stranger.publish("orders", messages(1))
    assert 0 == bare.xlen(STREAM)


def test_an_evicting_server_is_refused(server: RedisServer, bare: redis.Redis) -> None:
    """A server that may throw queues away is refused, with what to set; one that spares them is not."""
    try:
        for policy in ("allkeys-lru", "allkeys-random"):
            bare.config_set("maxmemory-policy", policy)
            with pytest.raises(ConfigurationError, match="maxmemory-policy noeviction"):
                open_broker(server.url())
        bare.config_set("maxmemory-policy", "volatile-lru")
        open_broker(server.url()).close()
    finally:
        bare.config_set("maxmemory-policy", "noeviction")


def test_a_server_that_writes_nothing_down_is_not_called_durable(tmp_path: Path) -> None:
    """The capability `durable` says what this server does with a confirmed message."""
    with running_server(tmp_path, {"appendonly": "no"}) as server, open_broker(server.url()) as broker:
        assert not broker.capabilities.durable
        with server.client() as bare:
            bare.config_set("appendonly", "yes")
        with open_broker(server.url()) as later:
            assert later.capabilities.durable


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1/zero",
        "redis://127.0.0.1/0?lease=0",
        "redis://127.0.0.1/0?lease=nan",
        "redis://127.0.0.1/0?no_such=1",
        "redis://127.0.0.1/0?ssl_check_hostname=no",
        "rediss://127.0.0.1/0?ssl_ca_certs=/no/such/file",
        "rediss://127.0.0.1/0?ssl_cert_reqs=maybe",
        "redis://:p%23w@127.0.0.1:1/0#fragment",
        "redis://127.0.0.1/0?prefix=a:b",
    ],
)
def test_a_bad_url_is_refused(url: str) -> None:
    """An option nobody reads, or one out of bounds, is refused before anybody is asked."""
    with pytest.raises(ConfigurationError):
        open_broker(url)


def test_nobody_there_is_an_outage() -> None:
    """A server that can't be reached is BrokerUnavailable, worth another try."""
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1/0"):
        open_broker("redis://:s3cret@127.0.0.1:1/0")


def test_tls_is_checked(tmp_path: Path) -> None:
    """With TLS the server's certificate is verified, and a client's own is presented."""
    ours, others = _certificate(tmp_path / "ours"), _certificate(tmp_path / "others")
    tls = {"tls-port": "0", "tls-cert-file": f"{ours}.crt", "tls-key-file": f"{ours}.key"}
    with running_server(tmp_path, {**tls, "tls-ca-cert-file": f"{ours}.crt"}) as server:
        with server.client() as client:
            client.config_set("tls-port", server.tls_port)
        own = f"&ssl_certfile={ours}.crt&ssl_keyfile={ours}.key"
        url = f"rediss://127.0.0.1:{server.tls_port}/0?ssl_ca_certs="
        with open_broker(f"{url}{ours}.crt{own}") as broker:
            broker.declare(QueueSpec("orders"))
            broker.publish("orders", messages(3))
            with broker.subscribe("orders") as subscription:
                subscription.acknowledge(take(subscription, 3))
                assert [] == subscription.receive(1, 0.05)
        with pytest.raises(ConfigurationError, match="ssl_ca_certs"):
            open_broker(f"{url}{others}.crt{own}")
        with pytest.raises(ServiceError):
            open_broker(f"{url}{ours}.crt")


def _certificate(base: Path) -> Path:
    command = [
        need("openssl"),
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ]
    command += ["-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", f"{base}.key", "-out", f"{base}.crt"]
    subprocess.run(command, check=True, capture_output=True)
    return base


# --- outages -------------------------------------------------------------------------------------------------------


def test_a_killed_server_loses_nothing_confirmed(tmp_path: Path) -> None:
    """SIGKILL between publish and receive: all that was confirmed comes, through the same broker and subscription."""
    with running_server(tmp_path) as server, open_broker(server.url()) as broker:
        broker.declare(QueueSpec("orders"))
        with broker.subscribe("orders") as subscription:
            broker.publish("orders", messages(3000))
            held = take(subscription, 10)
            server.server.restart()
            broker.publish("orders", [Message.of(0, id="after")])
            rest = take(subscription, 2991)
            assert [f"m{number}" for number in range(10, 3000)] + ["after"] == ids_of(rest)
            subscription.acknowledge(held + rest)
        (stats,) = broker.stats("orders")
        assert (0, 0) == (stats.ready, stats.in_flight)


def test_a_server_asleep_for_longer_than_the_lease_costs_nobody_messages(tmp_path: Path) -> None:
    """Nobody could prove to be alive meanwhile, so nobody counts as dead."""
    with running_server(tmp_path) as server, open_broker(server.url(lease=1)) as broker:
        broker.declare(QueueSpec("orders"))
        broker.publish("orders", messages(1))
        with broker.subscribe("orders") as owner, broker.subscribe("orders") as sibling:
            held = take(owner, 1)
            server.server.signal(signal.SIGSTOP)
            try:
                time.sleep(1.5)
            finally:
                server.server.signal(signal.SIGCONT)
            assert [] == sibling.receive(1, 0.7)
            owner.acknowledge(held)
        (stats,) = broker.stats("orders")
        assert 0 == stats.ready


def test_a_silent_server_ends_a_publish_at_its_deadline(tmp_path: Path) -> None:
    """The deadline is hard, and every message without a confirmation is named."""
    with running_server(tmp_path) as server, open_broker(server.url()) as broker:
        broker.declare(QueueSpec("orders"))
        server.server.signal(signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(PublishUnconfirmed) as caught:
            broker.publish("orders", messages(1000), timeout=0.5)
        assert 0.4 < time.monotonic() - start < 3
        assert tuple(f"m{number}" for number in range(1000)) == caught.value.ids


def test_a_dropped_connection_is_made_anew(broker: Broker, bare: redis.Redis) -> None:
    """CLIENT KILL while a receive waits: that call or the next one carries on."""
    with broker.subscribe("orders") as subscription, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(take, subscription, 1)
        wait_for(lambda: waiting_clients(bare))
        for number in waiting_clients(bare):
            bare.client_kill_filter(_id=str(number))
        broker.publish("orders", messages(1))
        assert ["m0"] == ids_of(waiting.result(PATIENCE))


def test_what_a_broken_publish_confirmed_is_there(
    broker: Broker, server: RedisServer, bare: redis.Redis
) -> None:
    """Connections dropped again and again while publishing: what isn't named as unconfirmed is on the queue."""
    confirmed: set[str] = set()
    named = 0
    with ThreadPoolExecutor(1) as pool:
        done = False

        def strike() -> None:
            while not done:
                time.sleep(0.02)
                bare.client_kill_filter(_type="normal", skipme=True)

        striking = pool.submit(strike)
        for attempt in range(10):
            batch = [Message.of("x" * 200, id=f"{attempt}-{number}") for number in range(2000)]
            lost: set[str] = set()
            try:
                broker.publish("orders", batch)
            except PublishUnconfirmed as error:
                lost = set(error.ids)
            except BrokerUnavailable:
                lost = {message.id for message in batch}
            named += len(lost)
            confirmed |= {message.id for message in batch} - lost
        done = True
        striking.result(PATIENCE)
    assert named
    stored = [entry[1][b"ce_id"].decode() for entry in bare.xrange(STREAM)]
    assert confirmed <= set(stored)
    assert len(stored) == len(set(stored))


def test_messages_on_a_lost_answer_come_again(broker: Broker, bare: redis.Redis) -> None:
    """What the server handed out on a connection that broke, and was never heard of, isn't forgotten."""
    broker.publish("orders", messages(3))
    with broker.subscribe("orders") as subscription:
        held = take(subscription, 1)
        (member,) = (row["name"] for row in bare.xinfo_consumers(STREAM, "default"))
        bare.xreadgroup("default", member, {STREAM: ">"}, count=1)
        bare.client_kill_filter(_type="normal", skipme=True)
        assert {"m1": True, "m2": False} == {
            name: delivery.redelivered for delivery in take(subscription, 2) for name in ids_of([delivery])
        }
        subscription.acknowledge(held)


def test_a_failover_loses_nothing_confirmed(tmp_path: Path) -> None:
    """With `replicas=1`, what was confirmed is on the master that a Sentinel makes of the replica."""
    quick = {"repl-diskless-sync-delay": "0"}
    with running_server(tmp_path / "a", quick) as master:
        follow = {**quick, "replicaof": f"127.0.0.1 {master.port}", "replica-priority": "1"}
        with running_server(tmp_path / "b", follow) as replica, replica.client() as bare:
            with pytest.raises(BrokerUnavailable, match="replica"):
                open_broker(replica.url())
            sentinel = Sentinel(tmp_path / "s", master)
            sentinel.server.start()
            try:
                with sentinel.client() as watcher:
                    wait_for(lambda: bare.info("replication")["master_link_status"] == "up")
                    wait_for(lambda: watcher.execute_command("SENTINEL", "REPLICAS", "orders"))
                url = f"redis://127.0.0.1:1/0?lease=2&sentinel=orders&replicas=1&sentinels=127.0.0.1:{sentinel.port}"
                _fail_over(url, url.replace("replicas=1", "replicas=0"), master)
            finally:
                sentinel.server.kill()


def _fail_over(url: str, alone: str, master: RedisServer) -> None:
    with open_broker(url) as broker, open_broker(alone) as later:
        broker.declare(QueueSpec("orders"))
        with broker.subscribe("orders") as subscription:
            broker.publish("orders", messages(500))
            held = take(subscription, 10)
            master.server.kill()
            rest = take(subscription, 490)
            assert {f"m{number}" for number in range(500)} == set(ids_of(held + rest))
            with pytest.raises(PublishUnconfirmed) as caught:  # there is no replica any more
                broker.publish("orders", messages(2), timeout=0.5)
            assert ("m0", "m1") == caught.value.ids
            later.publish("orders", [Message.of(0, id="after")])
            while "after" not in ids_of(take(subscription, 1)):
                pass


# --- ownership -----------------------------------------------------------------------------------------------------


def test_a_killed_subscribers_messages_come_within_the_lease(server: RedisServer, broker: Broker) -> None:
    """After SIGKILL a sibling gets them, marked, when the lease has ended and not much later."""
    broker.publish("orders", messages(1500))

    def hold(say: Callable[[], None]) -> None:
        with open_broker(server.url()) as mine, mine.subscribe("orders") as subscription:
            take(subscription, 1500)
            say()
            signal.pause()

    with broker.subscribe("orders") as survivor, forked(hold) as child:
        child.wait_until_said()
        child.kill()
        start = time.monotonic()
        again = take(survivor, 1500)
        assert time.monotonic() - start < LEASE + 2
        assert {True} == {delivery.redelivered for delivery in again}
        survivor.acknowledge(again)


def test_a_former_owners_acknowledgement_is_refused(broker: Broker, bare: redis.Redis) -> None:
    """What was taken from a subscription, one by one, is no longer its to acknowledge; the rest is."""
    broker.publish("orders", messages(2))
    with broker.subscribe("orders") as subscription:
        deliveries = take(subscription, 2)
        bare.xclaim(STREAM, "default", "thief", 0, [deliveries[0].position])
        subscription.acknowledge(deliveries)
        (left,) = bare.xpending_range(STREAM, "default", "-", "+", 9)
        assert (deliveries[0].position.encode(), b"thief") == (left["message_id"], left["consumer"])


def test_messages_of_a_stranger_who_left_come_back(broker: Broker, bare: redis.Redis) -> None:
    """Who reads with a bare client and goes away counts as a consumer that died."""
    broker.publish("orders", messages(1))
    bare.xreadgroup("default", "stranger", {STREAM: ">"})
    with broker.subscribe("orders") as subscription:
        assert ["m0"] == ids_of(take(subscription, 1))


# --- what stays and what goes --------------------------------------------------------------------------------------


def test_an_entry_stays_until_every_group_has_acknowledged_it(broker: Broker, bare: redis.Redis) -> None:
    """One group's acknowledgement frees nothing another group still needs; the last one's does."""
    broker.declare(QueueSpec("orders", ("default", "audit")))
    broker.publish("orders", messages(2000))
    with broker.subscribe("orders") as subscription:
        subscription.acknowledge(take(subscription, 2000))
    assert 2000 == bare.xlen(STREAM)
    with broker.subscribe("orders", "audit") as subscription:
        deliveries = take(subscription, 2000)
        subscription.acknowledge(deliveries[:1500])
        assert 500 == bare.xlen(STREAM)
        subscription.acknowledge(deliveries[1501:])
    assert [deliveries[1500].position] == [peeked.position for peeked in broker.peek("orders")]
    with broker.subscribe("orders", "audit") as subscription:
        subscription.acknowledge(take(subscription, 1))
    assert 0 == bare.xlen(STREAM)


def test_statistics_stay_exact_beside_foreign_deletions(broker: Broker, bare: redis.Redis) -> None:
    """An XDEL in the middle makes the server lose count; then the entries themselves are counted."""
    broker.publish("orders", messages(2500))
    with broker.subscribe("orders") as subscription:
        take(subscription, 10)
        (entry,) = bare.xrange(STREAM, f"({broker.peek('orders', limit=50)[-1].position}", count=1)
        bare.xdel(STREAM, entry[0])
        (stats,) = broker.stats("orders")
        assert (2489, 10) == (stats.ready, stats.in_flight)
        assert 2489 == broker.purge("orders")


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({b"data": b"\xff\x00raw"}, b"\xff\x00raw"),
        ({b"order": b"7", b"note": b"\xe9"}, b'{"order": "7", "note": "\\\\xe9"}'),
        ({b"ce_id": b"\xff", b"data": b"{}"}, b"{}"),
        ({b"data": b"1", b"later": b"2"}, b"1"),
        ({b"tickrelay-headers": b"no json", b"data": b"1"}, b"1"),
    ],
)
def test_a_foreign_entry_is_delivered_with_its_bytes(
    broker: Broker, bare: redis.Redis, fields: dict[bytes, bytes], body: bytes
) -> None:
    """An entry that is no message of ours can't be decoded, blocks nothing, and keeps what it says."""
    bare.xadd(STREAM, fields)
    broker.publish("orders", messages(1))
    with broker.subscribe("orders") as subscription:
        foreign, ours = take(subscription, 2)
        with pytest.raises(UndecodableMessage):
            decode(foreign.headers, foreign.body)
        assert (body, ["m0"]) == (foreign.body, ids_of([ours]))
        subscription.acknowledge([foreign, ours])
    assert 0 == bare.xlen(STREAM)


def test_another_publishers_cloud_event_is_understood(broker: Broker, bare: redis.Redis) -> None:
    """Anybody may publish with XADD and CloudEvents' names, also an event without data."""
    event = {"ce_specversion": "1.0", "ce_id": "7", "ce_source": "shell", "ce_type": "t"}
    bare.xadd(STREAM, event)
    bare.xadd(STREAM, {"data": "{}", **event})
    with broker.subscribe("orders") as subscription:
        deliveries = take(subscription, 2)
        assert [("7", b""), ("7", b"{}")] == [
            (message.id, message.body) for message in (decode(one.headers, one.body) for one in deliveries)
        ]


def test_thousands_of_headers_travel(broker: Broker) -> None:
    """A message may have more headers than a script can pass on as arguments."""
    message = Message.of(1, id="many", headers={f"h{number}": "" for number in range(5000)})
    broker.publish("orders", [message])
    with broker.subscribe("orders") as subscription:
        (delivery,) = take(subscription, 1)
    assert message.headers == decode(delivery.headers, delivery.body).headers


def test_a_key_of_another_program_is_left_alone(broker: Broker, bare: redis.Redis) -> None:
    """Where a queue's key holds something else, the error says so and nothing is overwritten."""
    bare.set("tickrelay:{taken}", "precious")
    with pytest.raises(QueueMismatch, match="prefix"):
        broker.declare(QueueSpec("taken"))
    assert b"precious" == bare.get("tickrelay:{taken}")


def test_a_flushed_server_is_noticed(broker: Broker, bare: redis.Redis) -> None:
    """After FLUSHALL nothing is stored where no group would get it; the queue must be declared again."""
    with broker.subscribe("orders") as subscription:
        bare.flushall()
        for call in (lambda: broker.publish("orders", messages(1)), lambda: subscription.receive(1)):
            with pytest.raises(UnknownQueue):
                call()
        broker.declare(QueueSpec("orders"))
        broker.publish("orders", messages(1))
        assert ["m0"] == ids_of(take(subscription, 1))


# --- no room -------------------------------------------------------------------------------------------------------


def test_a_full_server_stores_nothing_of_a_refused_batch(tmp_path: Path) -> None:
    """Out of memory: StorageFull when nothing was stored, else exactly the unstored messages are named."""
    limits = {"maxmemory": "8mb", "maxmemory-policy": "noeviction"}
    with (
        running_server(tmp_path, limits) as server,
        open_broker(server.url()) as broker,
        server.client() as bare,
    ):
        broker.declare(QueueSpec("orders"))
        with pytest.raises(PublishUnconfirmed) as caught:
            broker.publish("orders", messages(20_000, 1000))
        stored = {entry[1][b"ce_id"].decode() for entry in bare.xrange(STREAM)}
        everything = {f"m{number}" for number in range(20_000)}
        assert stored
        assert everything - stored == set(caught.value.ids)
        bare.config_set("maxmemory", "2mb")
        with pytest.raises(StorageFull):
            broker.publish("orders", messages(600, 1000))
        assert len(stored) == bare.xlen(STREAM)
        with broker.subscribe("orders") as subscription:  # consuming goes on, and makes room
            while deliveries := subscription.receive(500):
                subscription.acknowledge(deliveries)
        bare.config_set("maxmemory", "8mb")
        broker.publish("orders", messages(600, 1000))
