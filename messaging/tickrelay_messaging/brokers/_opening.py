# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""From a URL to its broker: ours by a fixed table, others' by the entry-point group `tickrelay.brokers`."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, cast

from tickrelay_messaging.brokers.base import Broker
from tickrelay_messaging.brokers.urls import redact, split
from tickrelay_messaging.errors import ConfigurationError

GROUP = "tickrelay.brokers"
"""Entry-point group: name = URL scheme, value = a class with `from_url(url)`."""

_OURS = {
    "sqlite": "tickrelay_messaging.brokers.sqlite:SqliteBroker",
    "memory": "tickrelay_messaging.brokers.memory:MemoryBroker",
    "amqp": "tickrelay_messaging.brokers.rabbitmq:RabbitBroker",
    "amqps": "tickrelay_messaging.brokers.rabbitmq:RabbitBroker",
    "kafka": "tickrelay_messaging.brokers.kafka:KafkaBroker",
    "redis": "tickrelay_messaging.brokers.redis:RedisBroker",
    "rediss": "tickrelay_messaging.brokers.redis:RedisBroker",
}


class _Openable(Protocol):
    @classmethod
    def from_url(cls, url: str) -> Broker: ...


def open_broker(url: str) -> Broker:
    """
    The broker behind a URL: `sqlite:///relative.db`, `sqlite:////absolute.db`, `memory:`, `memory:name`...

    Args:
        url: its scheme picks the broker; each broker's own `from_url` says what the rest means.

    Raises:
        ConfigurationError: the URL can't be read, nobody offers its scheme, or the driver isn't installed.
        ServiceError: the broker refused.
    """
    scheme = split(url).scheme
    return _class_for(scheme, url).from_url(url)


def _class_for(scheme: str, url: str) -> _Openable:
    try:
        return cast("_Openable", _entry(scheme, url).load())
    except ModuleNotFoundError as error:
        raise ConfigurationError(_what_is_missing(scheme, error.name or "")) from error
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"the broker for {scheme}: can't be loaded: {error}") from error


def _entry(scheme: str, url: str) -> EntryPoint:
    if scheme in _OURS:
        return EntryPoint(scheme, _OURS[scheme], GROUP)
    offered = entry_points(group=GROUP)
    for entry in offered.select(name=scheme):
        return entry
    known = ", ".join(sorted({*_OURS, *offered.names}))
    raise ConfigurationError(f"nobody offers a broker for {redact(url)!r}; schemes known here: {known}")


def _what_is_missing(scheme: str, module: str) -> str:
    ours = _OURS.get(scheme, "").partition(":")[0]
    if module == ours:
        return f"this version of Tickrelay has no broker for {scheme}: yet; use sqlite:///tickrelay.db"
    if ours:
        extra = ours.rpartition(".")[2]
        install = f"pip install 'tickrelay-messaging[{extra}]'"
        return f"the broker for {scheme}: needs {module}; install it with: {install}"
    return f"the broker for {scheme}: needs the module {module}; install it"
