# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A Kafka that encrypts, wants to know who is there, and gives nobody more rights than documented."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from uuid import uuid4

import pytest
from tests.services.certificates import Authority
from tests.services.kafka_rights import documented
from tests.services.kafka_secure import PASSWORD, PLAIN_USER, SecureKafka

from tickrelay_messaging.brokers import Broker, QueueSpec, open_broker
from tickrelay_messaging.brokers.kafka import RIGHTS
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.errors import BrokerRefused
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing import BrokerContract

PATIENCE = 20.0
PROMPT = 15.0
WRONG = "wr0ng-password"
ROLES = ("publisher", "consumer", "viewer", "declarer", "operator")
IMPATIENT = {"partitions": "1", "session_timeout_ms": "2000", "heartbeat_interval_ms": "200"}


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """One node for all tests. Users and rights that were added stay, so names differ."""
    secure = SecureKafka(tmp_path_factory.mktemp("secure"))
    try:
        secure.start()
        secure.add_user("everything", _everything("everything"))
        secure.grant(_everything(PLAIN_USER) + _everything("certified"))
        yield secure
    finally:
        secure.node.server.kill()


@pytest.fixture(scope="module")
def other_authority(tmp_path_factory) -> Authority:
    """One that the node doesn't know."""
    return Authority(tmp_path_factory.mktemp("other"), "other")


@pytest.fixture
def queue(secure) -> str:
    name = f"contract-{uuid4().hex}"
    with open_broker(secure.node.url("partitions=1")) as broker:
        broker.declare(QueueSpec(name))
    return name


@pytest.fixture(scope="module")
def roles(secure) -> Iterator[dict[str, Broker]]:
    """A broker object for each role, with its documented rights on the queue `orders`, which is there."""
    for role in ROLES:
        secure.add_user(role, documented(role, role))
    brokers = {role: open_broker(secure.login(role, **IMPATIENT)) for role in ROLES}
    brokers["declarer"].declare(QueueSpec("orders", ("default", "audit")))
    yield brokers
    for broker in brokers.values():
        broker.close()


def _everything(user: str) -> list:
    """The sum of all roles' rights on the contract's queues, and on those it expects not to be there."""
    return [
        right
        for role in ROLES
        for begin in ("contract-", "nowhere", "never-declared")
        for right in documented(role, user, begin, prefixed=True)
    ]


def take(broker: Broker, queue: str, count: int = 1) -> list[str]:
    """Receive and acknowledge so many."""
    ids: list[str] = []
    deadline = time.monotonic() + PATIENCE
    with broker.subscribe(queue) as subscription:
        while len(ids) < count and time.monotonic() < deadline:
            deliveries = subscription.receive(count - len(ids), 1.0)
            ids += [decode(one.headers, one.body).id for one in deliveries]
            subscription.acknowledge(deliveries)
    return ids


def refused(work: Callable[[], object]) -> str:
    """The text with which it is refused, in time and without a secret."""
    start = time.monotonic()
    with pytest.raises(BrokerRefused) as caught:
        work()
    assert time.monotonic() - start < PROMPT
    assert not caught.value.retryable
    text = str(caught.value)
    assert PASSWORD not in text
    assert WRONG not in text
    return text


@pytest.mark.parametrize("way", ["scram", "plain", "certificate", "scram by default"])
def test_every_way_in_works(secure, queue, way):
    """SCRAM and PLAIN over TLS and a client's certificate: published, received and acknowledged through the URL."""
    certificate = secure.authority.issue("certified")
    urls = {
        "scram": secure.login("everything", **IMPATIENT),
        "plain": secure.login(PLAIN_USER, sasl_mechanism="PLAIN", **IMPATIENT),
        "certificate": secure.certified(certificate, **IMPATIENT),
        "scram by default": secure.url(secure.sasl, secure.user("everything"), **IMPATIENT),
    }
    with open_broker(urls[way]) as broker:
        broker.check()
        broker.publish(queue, [Message.of(1, id="m")])
        assert ["m"] == take(broker, queue)
        assert 0 == broker.stats(queue)[0].ready


def _wrong(secure: SecureKafka, other: Authority) -> dict[str, tuple[str, str]]:
    """What is wrong -> the URL, and a word that the error must have."""
    good, bad = secure.authority.issue("certified"), secure.authority.issue("certified", expired=True)
    tls = {"security_protocol": "SSL"}
    return {
        "password": (secure.login("everything", WRONG), "password"),
        "plain password": (secure.login(PLAIN_USER, WRONG, sasl_mechanism="PLAIN"), "password"),
        "user": (secure.login("nobody"), "user"),
        "mechanism": (secure.login("everything", sasl_mechanism="SCRAM-SHA-256"), "sasl.mechanism"),
        "authority": (secure.login("everything", ssl_ca_location=str(other.file)), "ssl.ca.location"),
        "no authority": (secure.login("everything", ssl_ca_location="probe"), "ssl.ca.location"),
        "expired server": (secure.url(secure.expired, **tls), "expired"),
        "other host": (secure.url(secure.misnamed, **tls), "certificate verify failed"),
        "expired client": (secure.certified(bad), "expired"),
        "no client": (secure.certified(None), "ssl.certificate.location"),
        "foreign client": (secure.certified(other.issue("certified")), "ssl.certificate.location"),
        "server of another": (secure.certified(good, ssl_ca_location=str(other.file)), "ssl.ca.location"),
    }


@pytest.mark.parametrize(
    "what",
    [
        "password", "plain password", "user", "mechanism", "authority", "no authority", "expired server",
        "other host", "expired client", "no client", "foreign client", "server of another",
    ],
)  # fmt: skip
def test_a_refused_login_says_what_to_do(secure, other_authority, queue, what):
    """Whatever is wrong with login or certificates: every verb refuses soon, says what to correct, and no secret."""
    url, word = _wrong(secure, other_authority)[what]
    verbs: list[Callable[[Broker], object]] = [
        lambda broker: broker.check(),
        lambda broker: broker.publish(queue, [Message.of(1)]),
        lambda broker: broker.subscribe(queue),
    ]
    for verb in verbs:
        with open_broker(url) as broker:
            assert word in refused(lambda: verb(broker))  # noqa: B023 - called at once


def test_the_hosts_name_counts_unless_told_otherwise(secure):
    """A certificate for other hosts is good enough only if the URL says so."""
    plain = secure.url(secure.misnamed, security_protocol="SSL", ssl_endpoint_identification_algorithm="none")
    with open_broker(plain) as broker:
        broker.check()


def test_each_role_can_do_its_own_work(roles):
    """Publisher, consumer, viewer, declarer and operator need no more than the page gives them."""
    roles["publisher"].publish("orders", [Message.of(number, id=f"m{number}") for number in range(3)])
    assert ["m0", "m1", "m2"] == take(roles["consumer"], "orders", 3)
    viewer, operator = roles["viewer"], roles["operator"]
    assert [("orders", ("audit", "default"))] == [(one.name, one.groups) for one in viewer.queues()]
    assert {"default": 0, "audit": 3} == {row.group: row.ready for row in viewer.stats("orders")}
    seen = viewer.peek("orders")
    assert ["m0", "m1", "m2"] == [decode(one.headers, one.body).id for one in seen]
    operator.replay("orders", "default~r1", after=seen[0].position)
    assert 2 == operator.purge("orders", "default~r1")
    operator.forget("orders", "default~r1")
    assert 3 == operator.purge("orders", "audit")


@pytest.mark.parametrize(
    ("role", "verb"),
    [
        ("publisher", "subscribe"), ("publisher", "declare"), ("publisher", "purge"), ("publisher", "forget"),
        ("consumer", "publish"), ("consumer", "subscribe to another group"), ("consumer", "purge another group"),
        ("viewer", "publish"), ("viewer", "subscribe"), ("viewer", "purge"), ("viewer", "forget"),
        ("declarer", "publish"), ("declarer", "declare another"), ("declarer", "forget"),
        ("operator", "publish"), ("operator", "declare another"), ("operator", "subscribe to another queue"),
    ],
)  # fmt: skip
def test_no_role_can_do_more(roles, role, verb):
    """What is another's work is refused, with what right to ask for."""
    broker = roles[role]
    verbs: dict[str, Callable[[], object]] = {
        "publish": lambda: broker.publish("orders", [Message.of(1)]),
        "declare": lambda: broker.declare(QueueSpec("orders", ("new",))),
        "declare another": lambda: broker.declare(QueueSpec("other")),
        "subscribe": lambda: broker.subscribe("orders"),
        "subscribe to another group": lambda: broker.subscribe("orders", "audit"),
        "subscribe to another queue": lambda: broker.subscribe("other"),
        "purge": lambda: broker.purge("orders"),
        "purge another group": lambda: broker.purge("orders", "audit"),
        "forget": lambda: broker.forget("orders", "default"),
    }
    assert "right" in refused(verbs[verb])


def test_a_right_given_later_is_enough(secure, queue):
    """A publish refused for want of a right takes its producer with it: once the right is there, the next one works."""
    secure.add_user("late", documented("viewer", "late", queue))
    message = Message.of(1, id="m")
    with open_broker(secure.login("late")) as broker:
        assert "right" in refused(lambda: broker.publish(queue, [message]))
        secure.grant(documented("publisher", "late", queue))
        assert _until_allowed(lambda: broker.publish(queue, [message]))
    with open_broker(secure.node.url()) as broker:
        assert ["m"] == take(broker, queue)


def _until_allowed(work: Callable[[], object]) -> bool:
    """Do it until the node has heard of the right."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(BrokerRefused):
            work()
            return True
        time.sleep(0.1)
    return False


def test_the_page_and_the_program_list_the_same_rights():
    """`RIGHTS` and the documented commands give the same operations on the same kinds of things."""
    listed = {
        role: {(right.operation, right.resource) for right in rights} for role, rights in RIGHTS.items()
    }
    page = {
        role: {
            (one.operation.name.title().replace("_", ""), one.restype.name.lower())
            for one in documented(role, role)
        }
        for role in ROLES
    }
    assert listed == page


class TestKafkaUnderLeastRights(BrokerContract):
    """The whole contract, by a user with no more rights than all roles together, through SCRAM over TLS."""

    @pytest.fixture(autouse=True)
    def _node(self, secure: SecureKafka) -> None:
        self.url = secure.login("everything", **IMPATIENT)

    def make_broker(self) -> Broker:
        """Connections to the secure node."""
        return open_broker(self.url)
