# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""RabbitMQ with certificates, and with the least rights that docs/operations/rabbitmq.md names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.services.certificates import Authority, Certificate
from tests.services.rabbitmq import RabbitNode

from tickrelay_messaging.brokers import Broker, QueueSpec, open_broker
from tickrelay_messaging.brokers.rabbitmq import RabbitBroker
from tickrelay_messaging.errors import BrokerRefused
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing import BrokerContract

PATIENCE = 20.0
OURS, NONE = "^tickrelay:", "^$"
RIGHTS = {
    "declarer": (OURS, OURS, OURS),
    "publisher": (NONE, OURS, NONE),
    "consumer": (NONE, NONE, OURS),
    "viewer": (NONE, NONE, NONE),
}


class Secure:
    """A node that lets nobody in on its TLS port without a certificate, and users with the least rights."""

    def __init__(self, folder: Path, node: RabbitNode) -> None:
        self.node = node
        self.authority = Authority(folder / "ca")
        self.stranger = Authority(folder / "stranger", "stranger")
        self.client = self.authority.issue("declarer")
        self.port = node.use_tls(self.authority, self.authority.issue("server"))

    def url(
        self, client: Certificate | None = None, *, user: str = "declarer:secret@", options: str = ""
    ) -> str:
        """By TLS, trusting our authority, with a certificate; anything in `options` comes last and wins."""
        files = f"&certfile={client.certificate}&keyfile={client.key}" if client else ""
        return f"amqps://{user}127.0.0.1:{self.port}/?cafile={self.authority.file}{files}{options}"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    """One node for all tests."""
    folder = tmp_path_factory.mktemp("rabbitmq")
    node = RabbitNode(folder / "node")
    try:
        secure = Secure(folder, node)
        node.start()
        for user, rights in RIGHTS.items():
            node.add_user(user, rights, tags="management" if user == "viewer" else "")
        yield secure
    finally:
        node.stop()


class TestLeastRights(BrokerContract):
    """The whole contract by a user who may do no more than docs/operations/rabbitmq.md says, over mTLS."""

    @pytest.fixture(autouse=True)
    def _secure(self, secure: Secure) -> None:
        self.url = secure.url(secure.client)

    def make_broker(self) -> Broker:
        """Password, certificate, and rights on `tickrelay:` only."""
        return open_broker(self.url)


def refused(url: str, words: str) -> None:
    with RabbitBroker(url) as broker, pytest.raises(BrokerRefused, match=words) as caught:
        broker.check()
    assert "secret" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_certificate_is_the_login(secure: Secure) -> None:
    """With auth=external the certificate's common name is the user, and no password is needed."""
    with RabbitBroker(secure.url(secure.client, user="", options="&auth=external")) as broker:
        broker.declare(QueueSpec("by-certificate"))
        broker.publish("by-certificate", [Message.of(1)])
    unknown = secure.authority.issue("nobody")
    refused(secure.url(unknown, user="", options="&auth=external"), "refused")


def test_a_certificate_is_required(secure: Secure) -> None:
    """Without a certificate, or with one of another authority or an expired one, the broker refuses at once."""
    refused(secure.url(), "certfile|certificate")
    refused(secure.url(secure.stranger.issue("declarer")), "certfile|certificate")
    refused(secure.url(secure.authority.issue("declarer", expired=True)), "certfile|certificate")


def test_the_brokers_certificate_is_verified(secure: Secure, tmp_path: Path) -> None:
    """Of an authority we don't trust, for another host, or expired: the broker is not believed."""
    trusting_others = secure.url(secure.client).replace(str(secure.authority.file), str(secure.stranger.file))
    refused(trusting_others, "can't be verified.*cafile")
    refused(secure.url(secure.client, options="&server_name=elsewhere.example"), "can't be verified")
    node = RabbitNode(tmp_path / "node")
    port = node.use_tls(secure.authority, secure.authority.issue("old", expired=True))
    try:
        node.start()
        refused(
            secure.url(secure.client).replace(f":{secure.port}/", f":{port}/"), "can't be verified.*expired"
        )
    finally:
        node.stop()


def test_verification_ends_only_by_name(secure: Secure) -> None:
    """`verify=no` is the one way to believe any certificate."""
    url = secure.url(secure.client, options="&verify=no").replace(
        str(secure.authority.file), str(secure.stranger.file)
    )
    with RabbitBroker(url) as broker:
        broker.check()


def test_a_wrong_password_over_tls(secure: Secure) -> None:
    """A good certificate doesn't make up for a wrong password, and neither is in the error."""
    refused(secure.url(secure.client, user="declarer:hunter2@"), "user or password refused")


@pytest.mark.parametrize("lanes", [0, 2])
def test_each_role_can_do_its_own(secure: Secure, lanes: int) -> None:
    """With the rights of one role its verbs work, and every other verb is refused as what it is: a missing right."""
    queue = f"roles-{uuid4().hex}"
    by = {role: RabbitBroker(secure.node.url(user=role, password="secret")) for role in RIGHTS}
    with by["declarer"], by["publisher"], by["consumer"], by["viewer"]:
        by["declarer"].declare(QueueSpec(queue, lanes=lanes))
        by["publisher"].publish(queue, [Message.of(n, id=f"m{n}") for n in range(10)])
        with by["consumer"].subscribe(queue) as subscription:
            deliveries = subscription.receive(1, PATIENCE)
            subscription.acknowledge(deliveries)
            assert deliveries
        assert [queue] == [stats.queue for stats in by["viewer"].stats(queue)]
        new, message = QueueSpec(f"{queue}-new", lanes=lanes), [Message.of(0)]
        beyond: dict[str, list[Callable[[], object]]] = {
            "publisher": [lambda: _receive(by["publisher"], queue), lambda: by["publisher"].purge(queue)],
            "consumer": [lambda: by["consumer"].publish(queue, message)],
            "viewer": [
                lambda: by["viewer"].publish(queue, message),
                lambda: by["viewer"].purge(queue),
                lambda: _receive(by["viewer"], queue),
            ],
        }
        for role, calls in beyond.items():
            by[role].declare(QueueSpec(queue))  # what is there already needs no right
            calls += [
                lambda role=role: by[role].declare(new),
                lambda role=role: by[role].forget(queue, "default"),
            ]
            for call in calls:
                with pytest.raises(BrokerRefused, match="set_permissions"):
                    call()


def test_a_viewer_sees_all_queues(secure: Secure, eventually: Callable[..., object]) -> None:
    """The tag `management` suffices to list what others declared, with lanes, and to count what they hold."""
    queue = f"seen-{uuid4().hex}"
    url = secure.node.url(user="viewer", password="secret", options=f"?management={secure.node.management}")
    with RabbitBroker(secure.url(secure.client)) as owner, RabbitBroker(url) as viewer:
        owner.declare(QueueSpec(queue, ("audit", "default"), lanes=3))
        eventually(lambda: QueueSpec(queue, ("audit", "default"), 3) in viewer.queues(), within=PATIENCE)
        assert [0, 0] == [stats.in_flight for stats in viewer.stats(queue)]
        assert [None, None] == [stats.in_flight for stats in owner.stats(queue)]
    blind = secure.node.url(
        user="consumer", password="secret", options=f"?management={secure.node.management}"
    )
    refused(blind, "management")


def _receive(broker: Broker, queue: str) -> None:
    with broker.subscribe(queue) as subscription:
        subscription.receive(1, PATIENCE)
