# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Redis's errors in our words, and which servers are refused."""

from __future__ import annotations

import re
from collections.abc import Mapping

from redis.exceptions import AuthenticationError, RedisError, ResponseError

from tickrelay_messaging.errors import (
    BrokerRefused,
    BrokerUnavailable,
    ConfigurationError,
    QueueMismatch,
    StorageFull,
    TickrelayError,
    UnknownQueue,
)

OLDEST = (7, 0)
"""Oldest server: since 7.0 a group counts what it has read, so that `stats` needs to count nothing."""

_GONE = "queue or group are gone or were never declared; declare them"
_FULL = (
    "the server's memory is full (maxmemory); let consumers catch up or raise it, nothing of this was stored"
)
_RIGHT = (
    "this user lacks a right; `ACL SETUSER` gives it, RIGHTS in tickrelay_messaging.brokers.redis lists them"
)
_CERTIFICATE = (
    "the server's certificate isn't trusted; renew it, or name its authority with ?ssl_ca_certs=FILE"
)
_OWN_CERTIFICATE = (
    "the server refuses this client's certificate, or wants one; "
    "name a valid one of an authority it trusts with ?ssl_certfile=FILE&ssl_keyfile=FILE"
)
_DISK = "the server can't write to its disk; free some or see its log, nothing of this was stored"
_LOGIN = "user name or password are wrong, or one is needed; write redis://user:password@host"


class OtherLanes(TickrelayError):
    """
    The queue has another number of lanes than the publisher thought; nothing was stored.

    Attributes:
        lanes: how many it has.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        found = re.search(r"OTHERLANES (\d+)", text)
        self.lanes = int(found[1]) if found else 0


class GroupExists(TickrelayError):
    """The group to be made exists."""


class NothingRetained(TickrelayError):
    """The queue has no retention."""


# What is said anywhere in the text (a script's error quotes the command's) -> our error and what to do.
_KINDS: tuple[tuple[str, type[TickrelayError], str], ...] = (
    ("OTHERLANES", OtherLanes, "the number of lanes is another"),
    ("NORETENTION", NothingRetained, "the queue retains nothing"),
    ("BUSYGROUP", GroupExists, "the group exists"),
    ("UNKNOWNQUEUE", UnknownQueue, "the queue was never declared; declare it first"),
    ("NOGROUP", UnknownQueue, _GONE),
    ("requires the key to exist", UnknownQueue, _GONE),
    ("no such key", UnknownQueue, _GONE),
    ("OOM ", StorageFull, _FULL),
    ("used memory > 'maxmemory'", StorageFull, _FULL),
    ("No space left on device", StorageFull, _DISK),
    ("MISCONF", StorageFull, _DISK),
    ("NOPERM", BrokerRefused, _RIGHT),
    ("has no permissions", BrokerRefused, _RIGHT),
    ("The user executing the script", BrokerRefused, _RIGHT),
    ("WRONGTYPE", QueueMismatch, "another program uses a key of this queue; choose another ?prefix="),
    ("CERTIFICATE_VERIFY_FAILED", BrokerRefused, _CERTIFICATE),
    ("certificate verify failed", BrokerRefused, _CERTIFICATE),
    ("CERTIFICATE", BrokerRefused, _OWN_CERTIFICATE),
    ("UNKNOWN_CA", BrokerRefused, _OWN_CERTIFICATE),
    ("DB index is out of range", ConfigurationError, "it has no database of this number"),
    ("READONLY", BrokerUnavailable, "it's a replica now; the next call connects anew"),
)
_SPOILING = ("READONLY", "read only replica", "LOADING", "MASTERDOWN", "NOREPLICAS", "UNBLOCKED")


def in_our_words(error: Exception, where: str) -> TickrelayError:
    """The error to raise instead of redis-py's or the operating system's. Never holds a password."""
    text = str(error)
    if isinstance(error, AuthenticationError) or "NOAUTH" in text:
        return BrokerRefused(f"{where}: {_LOGIN} ({text})")
    code = type(error).__name__ + " " + str(getattr(error, "status_code", ""))
    for sign, ours, advice in _KINDS:
        if sign in text or (sign == "NOPERM" and "NoPermission" in code):
            return ours(f"{where}: {advice} ({text})")
    if isinstance(error, ResponseError) and text.startswith("ERR"):
        return BrokerUnavailable(f"{where}: the server refused: {text}")
    return BrokerUnavailable(f"{where}: can't be used: {text or type(error).__name__}")


def spoils(error: RedisError) -> bool:
    """Whether a connection that heard this error leads to a server that can't serve us any more."""
    text = f"{type(error).__name__} {error}"
    return any(sign in text for sign in (*_SPOILING, "ReadOnly"))


def check_server(info: Mapping[str, str], where: str) -> None:
    """
    Refuse a server that would lose messages, by what it says of itself (`INFO`).

    A policy `volatile-*` evicts keys with an expiry only, and no key of ours has one.

    Raises:
        ConfigurationError: it may evict queues, is too old, or is one node of a cluster.
        BrokerUnavailable: it's a replica.
    """
    policy = info.get("maxmemory_policy", "noeviction")
    if policy.startswith("allkeys"):
        raise ConfigurationError(
            f"{where}: its maxmemory-policy is {policy}, which may throw queues away; "
            "set `maxmemory-policy noeviction` (redis.conf, or CONFIG SET)"
        )
    version = info.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
        raise ConfigurationError(f"{where}: is version {version}; Redis 7.0, Valkey 7.2 or later is needed")
    if info.get("cluster_enabled") == "1":
        raise ConfigurationError(
            f"{where}: is a node of a Redis Cluster; use one server, with replicas if you like"
        )
    if info.get("role", "master") != "master":
        raise BrokerUnavailable(f"{where}: is a replica; name its master")
