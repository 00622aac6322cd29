# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Connections of a broker's own type: what their fields mean, and what may not be in them."""

from __future__ import annotations

import json

import pytest

from tickrelay_airflow.connection.brokers import _LOGIN, _SHARED, url_of
from tickrelay_messaging.errors import ConfigurationError

NASTY = "p@ss:w/ö?rd#%&=+ [1]"
"""A password with everything that means something in a URL."""
REDIS_FORM = {
    "db": 0,
    "cluster": False,
    "startup_nodes": None,
    "ssl": False,
    "ssl_cert_reqs": "required",
    "ssl_ca_certs": None,
    "ssl_keyfile": None,
    "ssl_certfile": None,
    "ssl_check_hostname": False,
}
"""What the provider's form stores where nobody has touched anything."""


def url(conn_type: str, extra: dict | None = None, **fields) -> str:
    from airflow.sdk import Connection

    connection = Connection(conn_id="mine", conn_type=conn_type, extra=json.dumps(extra or {}), **fields)
    return url_of(connection, connection.extra_dejson)


class TestAmqp:
    def test_fields(self):
        """Host, port, login and password are the URL's; the schema is the virtual host, by default `/`."""
        fields = {"host": "rabbit", "port": 5673, "login": "ada", "password": "pw"}

        assert "amqp://ada:pw@rabbit:5673/a%2Fb" == url("amqp", **fields, schema="a/b")
        assert "amqp://rabbit/%2F" == url("amqp", host="rabbit")
        assert "amqp://[::1]:1/%2F" == url("amqp", host="::1", port=1)

    def test_passwords_survive(self):
        """Whatever is in a password, a login or a virtual host arrives at the driver as it was typed."""
        from tickrelay_messaging.brokers.rabbitmq.settings import read

        made = read(url("amqp", host="rabbit", login=NASTY, password=NASTY, schema="a/ü?"))

        (node,) = made.nodes
        credentials = node.credentials
        assert (NASTY, NASTY, "a/ü?") == (credentials.username, credentials.password, node.virtual_host)
        assert NASTY not in repr(made)

    def test_tls(self):
        """The box, or a URI that begins with amqps, asks for TLS; files and the like become options."""
        extra = {"tls": True, "cafile": "/ca.pem", "verify": False, "certfile": None, "keyfile": ""}

        assert "amqps://rabbit/%2F?cafile=/ca.pem&verify=no" == url("amqp", extra, host="rabbit")
        assert "amqps://rabbit:5671/%2F" == url("amqps", host="rabbit", port=5671)

    def test_without_a_host(self):
        """A connection that leads nowhere says what it lacks."""
        with pytest.raises(ConfigurationError, match="'mine' of type 'amqp' lacks its host"):
            url("amqp")


class TestKafka:
    def test_options(self):
        """
        The options of librdkafka that mean the same to us are taken over by their names, older names included; how
        other operators consume is theirs.
        """
        extra = {
            "bootstrap.servers": "one:9092, two:9093",
            "group.id": "theirs",
            "enable.auto.commit": True,
            "security.protocol": "SASL_SSL",
            "sasl.mechanisms": "PLAIN",
            "sasl.username": "ada",
            "sasl.password": "pw",
            "ssl.ca.location": "/ca.pem",
            "enable.ssl.certificate.verification": True,
            "linger.ms": 7,
        }

        assert (
            "kafka://ada:pw@one:9092,two:9093?security.protocol=SASL_SSL&sasl.mechanism=PLAIN&"
            "ssl.ca.location=/ca.pem&enable.ssl.certificate.verification=true&linger.ms=7"
        ) == url("kafka", extra)
        assert "kafka://old:1" == url("kafka", {"metadata.broker.list": "old:1"})

    def test_passwords_survive(self):
        """Whatever is in a password arrives at the driver as it was typed."""
        from tickrelay_messaging.brokers.kafka.settings import read

        extra = {"bootstrap.servers": "one:1", "sasl.username": NASTY, "sasl.password": NASTY}
        made = read(url("kafka", {**extra, "ssl.key.password": NASTY}))

        assert [NASTY] * 3 == [
            made.client[name] for name in ("sasl.username", "sasl.password", "ssl.key.password")
        ]
        assert NASTY not in repr(made)

    def test_whatever_is_taken_over_is_known(self):
        """No option that a connection may have is one the broker would refuse."""
        from tickrelay_messaging.brokers.kafka.settings import read

        numbers = {"partitions": 3, "replication.factor": 1}
        extra = {name: numbers.get(name, "1") for name in _LOGIN | _SHARED} | numbers
        extra |= {"security.protocol": "SSL", "sasl.mechanism": "PLAIN", "compression.type": "lz4"}

        assert "one:9092" == read(url("kafka", {"bootstrap.servers": "one", **extra})).servers

    @pytest.mark.parametrize(
        "name", ["sasl.jaas.config", "ssl.key.pem", "oauth_cb", "sasl.oauthbearer.config"]
    )
    def test_security_is_never_left_aside(self, name):
        """A way to log in that isn't ours is refused by its name, never by its value."""
        with pytest.raises(ConfigurationError, match=name) as refused:
            url("kafka", {"bootstrap.servers": "one:1", name: "hush"})

        assert "hush" not in str(refused.value)

    def test_without_servers(self):
        """A connection that leads nowhere says what it lacks."""
        with pytest.raises(ConfigurationError, match=r"bootstrap\.servers"):
            url("kafka", {"group.id": "theirs"})


class TestRedis:
    def test_fields(self):
        """Host, port, login, password and the extra `db` are the URL's; an untouched form adds nothing."""
        fields = {"host": "cache", "port": 6380, "login": "ada", "password": "pw"}

        assert "redis://ada:pw@cache:6380/2" == url("redis", {**REDIS_FORM, "db": 2}, **fields)
        assert "redis://:pw@cache/0" == url("redis", REDIS_FORM, host="cache", password="pw")
        assert "redis://localhost/3" == url("redis", schema="3")
        assert "redis://cache/0" == url("redis", host="cache", password="None")

    def test_passwords_survive(self):
        """Whatever is in a password arrives at the driver as it was typed."""
        from tickrelay_messaging.brokers.redis.url import Settings

        made = Settings.of(url("redis", {"db": 1}, host="cache", login=NASTY, password=NASTY))

        assert (NASTY, NASTY, 1) == tuple(made.arguments[name] for name in ("username", "password", "db"))
        assert NASTY not in repr(made)

    def test_tls(self):
        """`ssl` asks for TLS; what the form says about certificates then counts."""
        extra = {**REDIS_FORM, "ssl": True, "ssl_cert_reqs": "optional", "ssl_check_hostname": True}

        assert "rediss://cache/0?ssl_cert_reqs=required&ssl_check_hostname=true" == url(
            "redis", extra, host="cache"
        )

    def test_certificates_without_tls_are_refused(self, tmp_path):
        """Who names a certificate and forgets TLS isn't connected without it."""
        from tickrelay_messaging.brokers import open_broker

        with pytest.raises(ConfigurationError, match="ssl_ options need rediss"):
            open_broker(url("redis", {**REDIS_FORM, "ssl_ca_certs": str(tmp_path)}, host="cache"))

    def test_cluster_is_refused(self):
        """A queue lives on one server, which a Redis Cluster isn't."""
        with pytest.raises(ConfigurationError, match="Redis Cluster"):
            url("redis", {**REDIS_FORM, "cluster": True}, host="cache")

    def test_our_options(self):
        """Options of our URL may stand among the extras."""
        assert "redis://cache/0?lease=20&sentinel=orders" == url(
            "redis", {"lease": 20, "sentinel": "orders"}, host="cache"
        )


def test_sqlite(tmp_path):
    """The host, as Airflow's own SQLite connections have it, is the file."""
    assert "sqlite:////var/lib/a%20b.db" == url("sqlite", host="/var/lib/a b.db")


def test_another_type_is_refused():
    """What is no broker is named, with what would be one."""
    with pytest.raises(ConfigurationError, match=r"type 'http'.*amqp, kafka, redis or sqlite"):
        url("http", host="example")
