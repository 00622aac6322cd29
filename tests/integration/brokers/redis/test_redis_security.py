# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Who gets in at a Redis server, and how far: passwords, rights, certificates."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from tests.services.certificates import Authority, Certificate
from tests.services.redis import (
    STREAM,
    RedisServer,
    allow_all,
    messages,
    running_server,
    take,
    with_orders,
)

from tickrelay_messaging.brokers import Broker, QueueSpec, open_broker
from tickrelay_messaging.brokers.redis import RIGHTS
from tickrelay_messaging.errors import (
    BrokerRefused,
)


def test_a_wrong_password_is_refused_and_stays_secret(server: RedisServer, bare: redis.Redis) -> None:
    """A refused login is a BrokerRefused, and no error shows the password."""
    bare.execute_command("ACL", "SETUSER", "alice", "on", ">correct", "~*", "+@all")
    for login in ("alice:wr0ng-s3cret", "nobody:wr0ng-s3cret"):
        with pytest.raises(BrokerRefused, match="password") as caught:
            open_broker(server.url(login))
        assert "wr0ng-s3cret" not in str(caught.value) + str(caught.value.__cause__)
    open_broker(server.url("alice:correct")).close()


def test_a_needed_login_is_asked_for(tmp_path: Path) -> None:
    """A server that lets in nobody without a password says so as a BrokerRefused."""
    with running_server(tmp_path) as server, server.client() as client:
        client.config_set("requirepass", "s3cret")
        with pytest.raises(BrokerRefused, match="password"):
            open_broker(server.url())
        open_broker(server.url(":s3cret")).close()


def test_the_documented_rights_are_in_the_docs(project: Path) -> None:
    """The guide for operators shows every role's rights word for word."""
    guide = " ".join((project / "docs" / "operations" / "redis.md").read_text().replace("\\\n", " ").split())
    for user, rights in RIGHTS.items():
        assert f"ACL SETUSER {user} on >PASSWORD ~tickrelay:* {rights}" in guide


_VERBS: dict[str, tuple[str, Callable[[Broker], object]]] = {
    "publish": ("publisher", lambda broker: broker.publish("orders", messages(1))),
    "subscribe": ("consumer", lambda broker: broker.subscribe("orders").close()),
    "declare": ("declarer", lambda broker: broker.declare(QueueSpec("orders", ("default", "audit")))),
    "forget": ("declarer", lambda broker: broker.forget("orders", "audit")),
    "replay": ("declarer", lambda broker: broker.replay("orders", f"default~{time.time_ns()}")),
    "stats": ("viewer", lambda broker: broker.stats("orders")),
    "peek": ("viewer", lambda broker: broker.peek("orders")),
    "purge": ("purger", lambda broker: broker.purge("orders")),
}


@pytest.mark.parametrize("role", RIGHTS)
def test_a_role_can_its_own_and_nothing_else(server: RedisServer, bare: redis.Redis, role: str) -> None:
    """Each role's verbs work; every other verb that would change something is a BrokerRefused, and changes nothing."""
    allow_all(bare)
    with with_orders(server.url(options="&retention=60")), open_broker(server.url(f"{role}:pw")) as broker:
        for verb, (owner, call) in _VERBS.items():
            before = bare.xinfo_stream(STREAM), bare.xinfo_groups(STREAM)
            if owner == role:
                call(broker)
            elif owner != "viewer":
                with pytest.raises(BrokerRefused, match="right"):
                    call(broker)
                assert before == (bare.xinfo_stream(STREAM), bare.xinfo_groups(STREAM)), verb


def test_a_viewer_is_all_that_lists(server: RedisServer, bare: redis.Redis) -> None:
    """Who only publishes learns nothing of other queues."""
    allow_all(bare)
    with with_orders(server.url()), open_broker(server.url("viewer:pw")) as viewer:
        assert ["orders"] == [spec.name for spec in viewer.queues()]
        with (
            open_broker(server.url("publisher:pw")) as publisher,
            pytest.raises(BrokerRefused, match="right"),
        ):
            publisher.queues()


def test_another_programs_user_is_refused(server: RedisServer, bare: redis.Redis, broker: Broker) -> None:
    """All commands on other keys are no right to ours."""
    bare.execute_command("ACL", "SETUSER", "stranger", "reset", "on", ">pw", "~other:*", "+@all")
    with open_broker(server.url("stranger:pw")) as stranger:
        for call in (lambda: stranger.publish("orders", messages(1)), lambda: stranger.subscribe("orders")):
            with pytest.raises(BrokerRefused, match="right"):
                call()
    assert 0 == bare.xlen(STREAM)


# --- TLS -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tls:
    """A server that speaks TLS only, and asks for certificates of `ours`."""

    server: RedisServer
    ours: Authority
    others: Authority

    def url(self, trusted: Authority, own: Certificate | None = None) -> str:
        tail = f"&ssl_certfile={own.certificate}&ssl_keyfile={own.key}" if own else ""
        return f"rediss://127.0.0.1:{self.server.tls_port}/0?ssl_ca_certs={trusted.file}{tail}"


@contextmanager
def _speaking_tls(folder: Path, *, expired: bool = False) -> Iterator[_Tls]:
    ours, others = Authority(folder / "ours"), Authority(folder / "others", "others")
    own = ours.issue("server", expired=expired)
    options = {"tls-port": "0", "tls-cert-file": str(own.certificate), "tls-key-file": str(own.key)}
    with running_server(folder / "server", {**options, "tls-ca-cert-file": str(ours.file)}) as server:
        with server.client() as client:
            client.config_set("tls-port", server.tls_port)
        yield _Tls(server, ours, others)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Tls]:
    """With a valid certificate."""
    with _speaking_tls(tmp_path_factory.mktemp("tls")) as tls:
        yield tls


def test_both_sides_show_their_certificates(tls: _Tls) -> None:
    """With TLS on both sides everything works, waiting included."""
    with with_orders(tls.url(tls.ours, tls.ours.issue("client"))) as broker:
        broker.publish("orders", messages(3))
        with broker.subscribe("orders") as subscription:
            subscription.acknowledge(take(subscription, 3))
            assert [] == subscription.receive(1, 0.05)


def test_an_unknown_server_is_refused(tls: _Tls) -> None:
    """A server whose authority isn't trusted gets no password and no message; the error says which option to set."""
    with pytest.raises(BrokerRefused, match="ssl_ca_certs"):
        open_broker(tls.url(tls.others, tls.ours.issue("client")))


def test_an_expired_server_is_refused(tmp_path: Path) -> None:
    """An expired certificate of the server is told from an unknown one."""
    with _speaking_tls(tmp_path, expired=True) as tls, pytest.raises(BrokerRefused, match="expired"):
        open_broker(tls.url(tls.ours, tls.ours.issue("client")))


@pytest.mark.parametrize("own", ["none", "foreign", "expired"])
def test_an_unknown_client_is_refused(tls: _Tls, own: str) -> None:
    """Where the server wants certificates, a client without a good one is told so, every time."""
    shown = {
        "none": None,
        "foreign": tls.others.issue("client"),
        "expired": tls.ours.issue("client", expired=True),
    }
    for _ in range(5):  # what the server says may be overtaken by the end of the connection
        with pytest.raises(BrokerRefused, match="ssl_certfile"):
            open_broker(tls.url(tls.ours, shown[own]))
