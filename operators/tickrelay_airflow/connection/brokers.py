# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
From an Airflow connection of a broker's own type to the broker's URL.

The connection's fields mean what they mean to the provider the type belongs to, so that one connection serves its
operators and ours: `kafka` is a dictionary of librdkafka's options, `redis` has its database and TLS among the extras.
Nothing of a provider is imported, since its hook would read the same fields. What is written here is only put into a
URL; the broker judges it, and names what it doesn't know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from tickrelay_messaging.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Connection

_LOGIN = frozenset(
    {"security.protocol", "sasl.mechanism", "ssl.endpoint.identification.algorithm"}
    | {"ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.key.password"}
    | {"enable.ssl.certificate.verification"}
)
_SECURITY = ("security.", "sasl.", "ssl.", "enable.ssl.", "https.")
"""Kafka options that may not be left aside: those that aren't in `_LOGIN` are refused, without their values."""
_SHARED = frozenset(
    {"client.id", "client.rack", "session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms"}
    | {"compression.type", "linger.ms", "retention.ms", "retention.bytes", "min.insync.replicas"}
    | {"max.message.bytes", "partitions", "replication.factor"}
)
"""
Kafka options that mean the same to us. The rest (`group.id`, `auto.offset.reset`, `acks`...) says how other operators
use the connection, and is theirs.
"""
_ALIASES = {"metadata.broker.list": "bootstrap.servers", "sasl.mechanisms": "sasl.mechanism"}
_REDIS_FORM = {
    "cluster": False,
    "startup_nodes": "",
    "ssl_cert_reqs": "required",
    "ssl_check_hostname": False,
}
"""What the Redis provider's form stores where nobody has chosen anything."""


def is_broker(connection: Connection) -> bool:
    """Whether the connection is of a broker's own type."""
    return connection.conn_type in _MAKERS


def url_of(connection: Connection, extra: Mapping[str, Any]) -> str:
    """
    The URL of the broker that a connection leads to.

    Args:
        extra: the connection's extras, read already: there are two ways to, one for event loops.

    Raises:
        ConfigurationError: it is of no broker's type, or lacks what the type needs. The text holds no value of it.
    """
    maker = _MAKERS.get(connection.conn_type)
    if maker is None:
        raise ConfigurationError(
            f"connection {connection.conn_id!r} is of type {connection.conn_type!r}, which is no broker's: "
            "name one of type amqp, kafka, redis or sqlite"
        )
    return maker(connection, {name: value for name, value in extra.items() if value not in (None, "")})


def _amqp(connection: Connection, extra: dict[str, Any]) -> str:
    secured = _is_true(extra.pop("tls", False)) or connection.conn_type == "amqps"
    if "verify" in extra:
        extra["verify"] = "yes" if _is_true(extra["verify"]) else "no"
    host = _needed(connection, "host", connection.host)
    vhost = quote(connection.schema or "/", safe="")
    return _url("amqps" if secured else "amqp", connection, f"{host}/{vhost}", extra)


def _kafka(connection: Connection, extra: dict[str, Any]) -> str:
    options = {_ALIASES.get(name, name): value for name, value in extra.items()}
    login = (options.pop("sasl.username", ""), options.pop("sasl.password", ""))
    _check_kafka(connection, options)
    servers = _needed(connection, "extra 'bootstrap.servers'", options.pop("bootstrap.servers", None))
    place = ",".join(server.strip() for server in str(servers).split(","))
    known = {name: value for name, value in options.items() if name in _SHARED | _LOGIN}
    return f"kafka://{_userinfo(*login)}{place}{_query(known)}"


def _check_kafka(connection: Connection, options: Mapping[str, Any]) -> None:
    secret = {name for name in options if name.startswith(_SECURITY)} - _LOGIN
    if unread := sorted(secret | {name for name in options if name.endswith("_cb")}):
        raise ConfigurationError(
            f"connection {connection.conn_id!r}: Tickrelay doesn't read {', '.join(unread)}, and calls no function "
            "that a connection names: log in with SCRAM, with PLAIN over TLS or with a certificate in files"
        )


def _redis(connection: Connection, extra: dict[str, Any]) -> str:
    secured = _is_true(extra.pop("ssl", False)) or connection.conn_type == "rediss"
    if _is_true(extra.get("cluster", False)):
        raise ConfigurationError(
            f"connection {connection.conn_id!r} leads to a Redis Cluster, over which a queue can't be spread: "
            "name a single server, or a Sentinel with the extra 'sentinel'"
        )
    for name, value in _REDIS_FORM.items():
        if name in extra and (name in ("cluster", "startup_nodes") or (not secured and extra[name] == value)):
            del extra[name]
    if extra.get("ssl_cert_reqs") == "optional":  # of a client it means the same
        extra["ssl_cert_reqs"] = "required"
    place = f"{connection.host or 'localhost'}/{extra.pop('db', None) or connection.schema or 0}"
    return _url("rediss" if secured else "redis", connection, place, extra)


def _sqlite(connection: Connection, extra: dict[str, Any]) -> str:
    path = _needed(connection, "host (the file's path)", connection.host or connection.schema)
    return f"sqlite:///{quote(str(path))}{_query(extra)}"


_MAKERS: Mapping[str | None, Callable[[Connection, dict[str, Any]], str]] = {
    "amqp": _amqp,
    "amqps": _amqp,
    "kafka": _kafka,
    "redis": _redis,
    "rediss": _redis,
    "sqlite": _sqlite,
}


def _url(scheme: str, connection: Connection, place: str, options: Mapping[str, Any]) -> str:
    host, _, path = place.rpartition("/")
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    port = f":{connection.port}" if connection.port else ""
    # As in the Redis provider: what an empty field of its form becomes on some ways.
    password = "" if str(connection.password).lower() in ("none", "false") else connection.password
    return f"{scheme}://{_userinfo(connection.login, password)}{host}{port}/{path}{_query(options)}"


def _userinfo(login: object, password: object) -> str:
    """`login:password@` with every character that means something in a URL escaped."""
    if not login and not password:
        return ""
    return f"{quote(str(login or ''), safe='')}:{quote(str(password or ''), safe='')}@"


def _query(options: Mapping[str, Any]) -> str:
    texts = {
        name: str(value).lower() if isinstance(value, bool) else value for name, value in options.items()
    }
    # An URL among them (RabbitMQ's management API) stays readable, so that its password is found and hidden in errors.
    return f"?{urlencode(texts, quote_via=quote, safe=':/@')}" if texts else ""


def _needed(connection: Connection, what: str, value: Any) -> Any:
    if not value:
        raise ConfigurationError(
            f"connection {connection.conn_id!r} of type {connection.conn_type!r} lacks its {what}"
        )
    return value


def _is_true(value: object) -> bool:
    """A box of a form, or its text in a URI."""
    return str(value).strip().lower() in ("true", "yes", "1")
