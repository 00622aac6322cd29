# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Between `Message` and what travels: CloudEvents 1.0 in binary mode, attributes in headers, the payload as it is.

`encode` writes the bare attribute names with one prefix a broker chooses (`ce-` on AMQP 0-9-1, `ce_` elsewhere);
`decode` reads every spelling in use, so that another CloudEvents publisher is understood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from tickrelay_messaging.errors import UndecodableMessage
from tickrelay_messaging.message import MAX_BODY, MAX_HEADERS, NO_HEADERS, Draft, Message

SPEC_VERSION = "1.0"
_SHORT = ("ce_", "ce-")
_LONG = ("cloudEvents_", "cloudEvents:")
_CONTENT_TYPE = "content-type"
_ATTRIBUTES = (
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "subject",
    "partitionkey",
    "deliverat",
    "expires",
)
"""In the order in which `decode` takes them."""


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
    layout = _layout(tuple(headers))
    values = (*headers.values(), None)
    version, id_, source, type_, time, subject, key, deliver_at, expires, content_type = layout.attributes(
        values
    )
    if version != SPEC_VERSION or not (id_ and source and type_):
        raise _not_an_event(version, {"id": id_, "source": source, "type": type_})
    if len(body) > MAX_BODY:
        raise UndecodableMessage(f"body of {len(body):,} bytes is over the limit of {MAX_BODY:,}")
    if len("".join(headers.values())) > layout.room:
        raise UndecodableMessage(f"headers are over the limit of {2 * MAX_HEADERS:,} characters")
    draft = Draft()
    draft.id, draft.source, draft.type, draft.subject, draft.key = id_, source, type_, subject, key
    draft.body, draft.content_type = body, content_type
    draft.time = None if time is None else _instant("time", time)
    draft.deliver_at = None if deliver_at is None else _instant("deliverat", deliver_at)
    draft.expires = None if expires is None else _instant("expires", expires)
    draft.extensions = _those(layout.extensions, values) if layout.extensions else NO_HEADERS
    draft.headers = _those(layout.headers, values) if layout.headers else NO_HEADERS
    return draft.finished()


def _those(places: Iterable[tuple[str, int]], values: Sequence[Any]) -> dict[str, str]:
    return {name: values[place] for name, place in places}


class _Layout(NamedTuple):
    """
    Where headers of certain names have what a message needs.

    Attributes:
        attributes: picks those of `_ATTRIBUTES` and the content type out of the values and a None behind them.
        extensions: name and place of each further attribute.
        headers: name and place of each header that is no attribute.
        room: for the values, in characters.
    """

    attributes: Callable[[tuple[Any, ...]], tuple[Any, ...]]
    extensions: tuple[tuple[str, int], ...]
    headers: tuple[tuple[str, int], ...]
    room: int


@lru_cache(256)
def _layout(names: tuple[str, ...]) -> _Layout:
    """Remembered, as a publisher's messages mostly have the same names; not too many, as they may be long."""
    attributes, others = _split(names)
    content_type = attributes.pop("datacontenttype", -1)
    content_type = others.pop(_CONTENT_TYPE, content_type)
    places = [attributes.pop(name, -1) for name in _ATTRIBUTES]
    return _Layout(
        itemgetter(*places, content_type),
        tuple(attributes.items()),
        tuple(others.items()),
        2 * MAX_HEADERS - sum(map(len, names)),
    )


def _split(names: Iterable[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Places of CloudEvents attributes by their bare names, and of the other headers."""
    attributes: dict[str, int] = {}
    others: dict[str, int] = {}
    for place, name in enumerate(names):
        start = name[:3]
        if start in _SHORT:
            attributes[name[3:]] = place
        elif start == "clo" and name.startswith(_LONG):
            attributes[name[12:]] = place
        else:
            others[_CONTENT_TYPE if name == "Content-Type" else name] = place
    return attributes, others


def _not_an_event(version: str | None, needed: Mapping[str, str | None]) -> UndecodableMessage:
    if version != SPEC_VERSION:
        return UndecodableMessage(
            "not a CloudEvents 1.0 message: no header ce_specversion with the value 1.0"
        )
    name = next(name for name, value in needed.items() if not value)
    return UndecodableMessage(f"not a CloudEvents 1.0 message: attribute {name} is missing or empty")


def _text(instant: datetime) -> str:
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    # Always six digits; without a word to parse it's quicker, and leaves them out only where all are zero.
    return instant.isoformat() if instant.microsecond else instant.isoformat("T", "microseconds")


def _instant(name: str, text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise UndecodableMessage(f"attribute {name}: {text!r} is no RFC 3339 instant") from error
    if instant.tzinfo is None:
        raise UndecodableMessage(f"attribute {name}: {text!r} has no offset from UTC")
    return instant
