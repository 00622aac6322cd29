# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""From a `kafka:` URL to the settings of librdkafka's clients; whatever isn't listed here is refused by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from tickrelay_messaging.brokers.urls import redact, split
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.message import MAX_BODY, MAX_HEADERS

PARTITIONS = 8
"""Partitions of a topic we make: so many consumers of one group can work at once."""
OVERHEAD = 4 * MAX_HEADERS + 4096
"""Most bytes a message needs beside its body: its texts as UTF-8, and the record around them."""
PORT = 9092
MOST = 100_000
"""Most partitions or replicas that aren't a slip of the pen."""

_CONNECTION = frozenset(
    {"security.protocol", "sasl.mechanism", "sasl.username", "sasl.password", "client.id", "client.rack"}
    | {"ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.key.password"}
    | {"ssl.endpoint.identification.algorithm", "enable.ssl.certificate.verification"}
)
_MEMBER = frozenset({"session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms"})
_PRODUCER = frozenset({"compression.type", "linger.ms"})
_TOPIC = frozenset({"retention.ms", "retention.bytes", "min.insync.replicas", "max.message.bytes"})
_SHAPE = frozenset({"partitions", "replication.factor"})
_KNOWN = _CONNECTION | _MEMBER | _PRODUCER | _TOPIC | _SHAPE
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?", re.ASCII)

_ALWAYS = {
    "client.id": "tickrelay",
    "log_level": 0,  # errors come to us by callback, and belong into our errors, not on stderr
    "socket.keepalive.enable": True,
    "socket.timeout.ms": 10_000,
    "socket.connection.setup.timeout.ms": 10_000,
    "reconnect.backoff.max.ms": 2_000,
}
_MEMBER_ALWAYS = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",  # twice rather than never
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 500,  # so long until a member hears of another that joined
    "queued.max.messages.kbytes": 32_768,
    "fetch.queue.backoff.ms": 10,  # by default it looks a second later whether there is room again
}
_PRODUCER_ALWAYS = {
    "enable.idempotence": True,
    "acks": "all",
    "partitioner": "murmur2_random",  # Java's: other publishers put the same key on the same partition
    "message.timeout.ms": 0,  # the caller's deadline is the only one
    "message.max.bytes": 2 * MAX_BODY + OVERHEAD,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 131_072,
    "delivery.report.only.error": True,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """
    What a URL says.

    Attributes:
        servers: `host:port,host:port`, for texts too.
        client: for every client; holds the password.
        member: beside them for a member of a group.
        producer: beside them for a producer.
        topic: properties of the topics we make.
        partitions: of a topic, if the URL says so.
        replication: factor of it, or -1 for the cluster's default.
    """

    servers: str
    client: Mapping[str, Any] = field(repr=False)
    member: Mapping[str, Any]
    producer: Mapping[str, Any]
    topic: Mapping[str, str]
    partitions: int | None
    replication: int


def read(url: str) -> Settings:
    """
    Settings from `kafka://user:password@host:port,host:port?name=value&...`.

    A user without a `security.protocol` means SASL_SSL, without a `sasl.mechanism` SCRAM-SHA-512. Certificates and host
    names are verified unless `enable.ssl.certificate.verification=false` or
    `ssl.endpoint.identification.algorithm=none` says otherwise.

    Raises:
        ConfigurationError: it can't be read, has an option nobody knows, or would send a password unencrypted.
    """
    parts = split(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - _KNOWN):
        raise ConfigurationError(
            f"{redact(url)!r} has options nobody reads: {unknown}; known: {sorted(_KNOWN)}"
        )
    if parts.path not in ("", "/") or parts.fragment:
        raise ConfigurationError(
            f"{redact(url)!r}: a queue isn't named in the URL; write kafka://host:port?options"
        )
    user, _, hosts = parts.netloc.rpartition("@")
    servers = _servers(hosts, url)
    return Settings(
        servers=servers,
        client={**_ALWAYS, "bootstrap.servers": servers, **_secured(user, _only(options, _CONNECTION))},
        member={**_MEMBER_ALWAYS, **_only(options, _MEMBER)},
        producer={**_PRODUCER_ALWAYS, **_only(options, _PRODUCER)},
        topic={
            "max.message.bytes": str(MAX_BODY + OVERHEAD),
            "message.timestamp.type": "LogAppendTime",  # one clock for ages, peek's order and replay from a time
            **_only(options, _TOPIC),
        },
        partitions=_count(options, "partitions"),
        replication=_count(options, "replication.factor") or -1,
    )


def _only(options: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if name in names}


def _servers(hosts: str, url: str) -> str:
    servers = hosts.split(",")
    for server in servers:
        if not _SERVER.fullmatch(server):
            raise ConfigurationError(f"{redact(url)!r} names no servers; write kafka://host:port,host:port")
    return ",".join(server if _SERVER.fullmatch(server)[2] else f"{server}:{PORT}" for server in servers)  # type: ignore[index]  # all matched above


def _secured(user: str, options: dict[str, str]) -> dict[str, str]:
    name, _, password = user.partition(":")
    if name:
        options.setdefault("sasl.username", unquote(name))
        options.setdefault("sasl.password", unquote(password))
    if "sasl.username" in options:
        options.setdefault("security.protocol", "SASL_SSL")
        options.setdefault("sasl.mechanism", "SCRAM-SHA-512")
    protocol, mechanism = options.get("security.protocol", ""), options.get("sasl.mechanism", "")
    if protocol.upper() == "SASL_PLAINTEXT" and mechanism.upper() == "PLAIN":
        raise ConfigurationError(
            "sasl.mechanism=PLAIN would send the password unencrypted; use security.protocol=SASL_SSL"
        )
    return options


def _count(options: Mapping[str, str], name: str) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST):
        raise ConfigurationError(f"{name}={text!r} must be a whole number of at least 1")
    return int(text)
