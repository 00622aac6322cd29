# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Between `Message` and what travels: CloudEvents 1.0 in binary mode, attributes in headers, the payload as it is.

`encode` writes the bare attribute names with one prefix a broker chooses (`ce-` on AMQP 0-9-1, `ce_` elsewhere);
`decode` reads every spelling in use, so that another CloudEvents publisher is understood.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from tickrelay_messaging.errors import UndecodableMessage
from tickrelay_messaging.message import MAX_BODY, MAX_HEADERS, Message

SPEC_VERSION = "1.0"
_SHORT = ("ce_", "ce-")
_LONG = ("cloudEvents_", "cloudEvents:")
_CONTENT_TYPE = "content-type"


@lru_cache(16)
def _names(prefix: str) -> tuple[str, ...]:
    return tuple(prefix + name for name in ("specversion", "id", "source", "type", "time"))


def encode(message: Message, prefix: str = "ce_") -> dict[str, str]:
    """The headers that carry `message` beside its body."""
    specversion, id_, source, type_, time = _names(prefix)
    headers = {
        specversion: SPEC_VERSION,
        id_: message.id,
        source: message.source,
        type_: message.type,
    }
    if message.content_type is not None:
        headers[_CONTENT_TYPE] = message.content_type
    if message.time is not None:
        headers[time] = _text(message.time)
    if message.subject is not None:
        headers[prefix + "subject"] = message.subject
    if message.key is not None:
        headers[prefix + "partitionkey"] = message.key
    if message.deliver_at is not None:
        headers[prefix + "deliverat"] = _text(message.deliver_at)
    if message.expires is not None:
        headers[prefix + "expires"] = _text(message.expires)
    for name, value in message.extensions.items():
        headers[prefix + name] = value
    if message.headers:
        headers.update(message.headers)
    return headers


def decode(headers: Mapping[str, str], body: bytes) -> Message:
    """
    The message that `headers` and `body` carry.

    The body is kept as bytes: whether it is what its content type says shows when `Message.data` is read.

    Raises:
        UndecodableMessage: no CloudEvents attributes, one of them missing or malformed, or over a limit.
    """
    attributes, others = _split(headers)
    _check(attributes, headers, body)
    take = attributes.pop
    content_type = take("datacontenttype", None)
    return Message(
        id=take("id"),
        source=take("source"),
        type=take("type"),
        body=body,
        content_type=others.pop(_CONTENT_TYPE, content_type),
        time=_instant("time", take("time", None)),
        subject=take("subject", None),
        key=take("partitionkey", None),
        deliver_at=_instant("deliverat", take("deliverat", None)),
        expires=_instant("expires", take("expires", None)),
        extensions=attributes,
        headers=others,
    )


def _split(headers: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """CloudEvents attributes by their bare names, and the other headers."""
    attributes: dict[str, str] = {}
    others: dict[str, str] = {}
    for name, value in headers.items():
        start = name[:3]
        if start in _SHORT:
            attributes[name[3:]] = value
        elif start == "clo" and name.startswith(_LONG):
            attributes[name[12:]] = value
        else:
            others[_CONTENT_TYPE if name == "Content-Type" else name] = value
    return attributes, others


def _check(attributes: dict[str, str], headers: Mapping[str, str], body: bytes) -> None:
    if attributes.pop("specversion", None) != SPEC_VERSION:
        raise UndecodableMessage("not a CloudEvents 1.0 message: no header ce_specversion with the value 1.0")
    for name in ("id", "source", "type"):
        if not attributes.get(name):
            raise UndecodableMessage(f"not a CloudEvents 1.0 message: attribute {name} is missing or empty")
    if len(body) > MAX_BODY:
        raise UndecodableMessage(f"body of {len(body):,} bytes is over the limit of {MAX_BODY:,}")
    if len("".join(headers)) + len("".join(headers.values())) > 2 * MAX_HEADERS:
        raise UndecodableMessage(f"headers are over the limit of {2 * MAX_HEADERS:,} characters")


def _text(instant: datetime) -> str:
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    # Always six digits; without a word to parse it's quicker, and leaves them out only where all are zero.
    return instant.isoformat() if instant.microsecond else instant.isoformat("T", "microseconds")


def _instant(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise UndecodableMessage(f"attribute {name}: {text!r} is no RFC 3339 instant") from error
    if instant.tzinfo is None:
        raise UndecodableMessage(f"attribute {name}: {text!r} has no offset from UTC")
    return instant
