# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What an `amqp://` or `amqps://` URL says; the list of its options is in `rabbitmq.py`."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote

from pika import ConnectionParameters, SSLOptions
from pika.credentials import ExternalCredentials, PlainCredentials

from tickrelay_messaging.brokers.rabbitmq.management import Management
from tickrelay_messaging.brokers.urls import redact, split
from tickrelay_messaging.errors import ConfigurationError

PREFETCH = 500
HEARTBEAT = 30
CONNECT_TIMEOUT = 10
MOST = 65_535
"""Largest number AMQP carries in any of the options."""
_TLS = ("cafile", "certfile", "keyfile", "server_name", "verify")
_OPTIONS = frozenset({"hosts", "heartbeat", "connect_timeout", "prefetch", "auth", "management", *_TLS})


@dataclass(frozen=True, slots=True)
class Settings:
    """
    Attributes:
        nodes: how to reach each node, tried in turn.
        where: the broker in words for errors.
        prefetch: most messages one subscription holds unacknowledged.
        management: the management API, if the URL names it.
    """

    nodes: tuple[ConnectionParameters, ...] = field(repr=False)
    where: str
    prefetch: int
    management: Management | None = field(repr=False)


def read(url: str) -> Settings:
    """
    Raises:
        ConfigurationError: an option nobody reads, a value that isn't allowed, or a certificate that can't be read.
    """
    parts = split(url)
    options = _options(url, parts)
    vhost = unquote(parts.path[1:]) or "/"
    context = _context(url, parts.scheme, options)
    nodes = tuple(
        _node(parts, options, vhost, address, context) for address in _addresses(url, parts, options)
    )
    places = ", ".join(f"{node.host}:{node.port}" for node in nodes)
    management = None
    if base := options.get("management"):
        management = Management(base, _login(parts), vhost, context or _trusting(options))
    return Settings(
        nodes,
        f"RabbitMQ at {places}, vhost {vhost!r}",
        _whole(url, options, "prefetch", PREFETCH),
        management,
    )


def _options(url: str, parts: SplitResult) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(options) - _OPTIONS):
        raise ConfigurationError(f"{redact(url)!r} has options nobody reads: {', '.join(unknown)}")
    if parts.scheme == "amqp" and (out_of_place := sorted(set(options) & set(_TLS[1:]))):
        raise ConfigurationError(f"{redact(url)!r}: {', '.join(out_of_place)} need amqps://")
    for name, allowed in (("verify", ("yes", "no")), ("auth", ("plain", "external"))):
        if options.get(name, allowed[0]) not in allowed:
            raise ConfigurationError(f"{redact(url)!r}: {name} must be {' or '.join(allowed)}")
    return options


def _addresses(url: str, parts: SplitResult, options: dict[str, str]) -> list[tuple[str, int]]:
    default = 5671 if parts.scheme == "amqps" else 5672
    others = [split(f"amqp://{text}") for text in options.get("hosts", "").split(",") if text]
    if not parts.hostname or not all(other.hostname for other in others):
        raise ConfigurationError(f"{redact(url)!r} names no host")
    return [(one.hostname or "", one.port or default) for one in (parts, *others)]


def _login(parts: SplitResult) -> tuple[str, str]:
    return unquote(parts.username or "guest"), unquote(parts.password or "guest")


def _node(
    parts: SplitResult,
    options: dict[str, str],
    vhost: str,
    address: tuple[str, int],
    context: ssl.SSLContext | None,
) -> ConnectionParameters:
    host, port = address
    external = options.get("auth") == "external"
    connect = _whole(parts.geturl(), options, "connect_timeout", CONNECT_TIMEOUT)
    return ConnectionParameters(
        host=host,
        port=port,
        virtual_host=vhost,
        credentials=ExternalCredentials() if external else PlainCredentials(*_login(parts)),
        heartbeat=_whole(parts.geturl(), options, "heartbeat", HEARTBEAT),
        connection_attempts=1,
        retry_delay=0,
        socket_timeout=connect,
        stack_timeout=connect,
        ssl_options=SSLOptions(context, options.get("server_name", host)) if context else None,
        client_properties={"product": "tickrelay"},
    )


def _context(url: str, scheme: str, options: dict[str, str]) -> ssl.SSLContext | None:
    if scheme != "amqps":
        if options.get("auth") == "external":
            raise ConfigurationError(f"{redact(url)!r}: auth=external needs amqps:// and a certificate")
        return None
    try:
        context = _trusting(options)
        if "certfile" in options:
            context.load_cert_chain(options["certfile"], options.get("keyfile"))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{redact(url)!r}: a certificate file can't be used: {error}") from error
    return context


def _trusting(options: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("cafile"))
    if options.get("verify") == "no":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _whole(url: str, options: dict[str, str], name: str, default: int) -> int:
    text = options.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST):
        raise ConfigurationError(f"{redact(url)!r}: {name} must be a whole number from 1 to {MOST}")
    return int(text)
