# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The message: a CloudEvents 1.0 event that every broker carries and every handler receives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tickrelay_messaging import strict_json
from tickrelay_messaging.errors import InvalidMessage, MessageTooLarge

JSON = "application/json"
DEFAULT_TYPE = "tickrelay.task"
DEFAULT_SOURCE = "tickrelay"
MAX_BODY = 1 << 20
"""Largest body in bytes that is published or handed to a handler."""
MAX_HEADERS = 32 << 10
"""Largest sum of header names and values in characters."""

NO_HEADERS: Mapping[str, str] = {}
"""Shared by all messages without any."""
_ATTRIBUTES = frozenset(
    {"specversion", "id", "source", "type", "time", "subject", "data"}
    | {"partitionkey", "deliverat", "expires", "datacontenttype"}
)
"""Names on the wire that fields of `Message` have; an extension of such a name would overwrite them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """
    One task message.

    Attributes:
        id: unique with `source`; the same however often its publisher is retried.
        source: who published it, a URI reference.
        type: what kind of message it is; handlers may select on it.
        body: the payload's bytes.
        content_type: how to read `body`; `None` says nothing about it.
        time: when it was published (aware), or None.
        subject: what it is about, free text.
        key: messages of one key belong together (CloudEvents `partitionkey`).
        deliver_at: not before this instant (aware).
        expires: of no use after this instant (aware).
        extensions: further CloudEvents extensions by lower-case name (`dagid`, `runid`, `batchid`, `traceparent`...).
        headers: the publisher's own headers, outside CloudEvents.
    """

    id: str
    source: str = DEFAULT_SOURCE
    type: str = DEFAULT_TYPE
    body: bytes = b"null"
    content_type: str | None = JSON
    time: datetime | None = None
    subject: str | None = None
    key: str | None = None
    deliver_at: datetime | None = None
    expires: datetime | None = None
    extensions: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)

    @classmethod
    def of(cls, data: Any, *, id: str | None = None, **attributes: Any) -> Message:  # noqa: A002 - CloudEvents' word
        """
        A message with `data` as its strict JSON body.

        Args:
            data: anything JSON can say: no NaN, no bytes, text keys only.
            id: its id; a random one (UUIDv4) by default, which is new at every call.
            **attributes: the other fields of `Message`.

        Raises:
            InvalidMessage: `data` can't be written as strict JSON.
        """
        return cls(id=id or str(uuid4()), body=strict_json.dumps(data), time=datetime.now(UTC), **attributes)

    @property
    def data(self) -> Any:
        """
        The body as JSON data, or as bytes where the content type isn't JSON.

        Raises:
            UndecodableMessage: the body isn't the JSON it says it is.
        """
        if self.content_type == JSON or is_json(self.content_type):
            return strict_json.loads(self.body)
        return self.body


class Draft:
    """
    A message while whoever reads it off the wire fills its fields in, every one of them.

    `Message(...)` takes seven times as long, since a frozen dataclass sets each of its fields by name.
    """

    __slots__ = tuple(one.name for one in fields(Message))

    if TYPE_CHECKING:  # it has the fields of a message, with their types

        def __setattr__(self, name: str, value: object) -> None: ...

    def finished(self) -> Message:
        """The same object, a message from now on."""
        self.__class__ = Message  # type: ignore[assignment]  # with the same slots there is nothing to move
        return self  # type: ignore[return-value]


def is_json(content_type: str | None) -> bool:
    """Whether a content type names JSON (`application/json`, `application/x+json; charset=utf-8`)."""
    media = (content_type or "").partition(";")[0].strip().lower()
    return media == JSON or media.endswith("+json")


def check_publishable(message: Message, max_body: int = MAX_BODY) -> None:
    """
    Refuse at the edge what no consumer could carry out.

    Raises:
        InvalidMessage: an attribute is missing, of the wrong kind or has a control character in it.
        MessageTooLarge: body or headers are over their limit.
    """
    if not message.id or not message.source or not message.type:
        raise InvalidMessage(f"message {message.id!r}: id, source and type must not be empty")
    if not isinstance(message.body, bytes) or len(message.body) > max_body:  # type: ignore[redundant-expr]  # see there
        raise _bad_body(message, max_body)
    if message.time is not None:
        _check_instant(message, "time", message.time)
    if message.deliver_at is not None:
        _check_instant(message, "deliver_at", message.deliver_at)
    if message.expires is not None:
        _check_instant(message, "expires", message.expires)
    _check_text(message)


def _bad_body(message: Message, max_body: int) -> InvalidMessage:
    if not isinstance(message.body, bytes):
        kind = type(message.body).__name__  # type: ignore[unreachable]  # callers may be untyped
        return InvalidMessage(
            f"message {message.id!r}: body must be bytes, not {kind}; use Message.of(data) for JSON"
        )
    return MessageTooLarge(
        f"message {message.id!r}: its body of {len(message.body):,} bytes is over the limit of {max_body:,}; "
        "store the payload elsewhere and send its address"
    )


def _check_instant(message: Message, name: str, instant: datetime) -> None:
    if not isinstance(instant, datetime) or instant.tzinfo is None:  # type: ignore[redundant-expr]  # untyped callers
        raise InvalidMessage(f"message {message.id!r}: {name} must be an aware datetime, got {instant!s}")
    if not MINYEAR < instant.year < MAXYEAR:  # in UTC it could lie outside of what a datetime can say
        raise InvalidMessage(f"message {message.id!r}: {name} is out of range: {instant}")


def _check_text(message: Message) -> None:
    """One pass over every text of the message: its size, and no control characters, which brokers treat unalike."""
    texts = [message.id, message.source, message.type]
    texts += (message.subject or "", message.key or "", message.content_type or "")
    named = message.extensions or message.headers
    if named:
        texts += (*message.extensions, *message.extensions.values())
        texts += (*message.headers, *message.headers.values())
    try:
        joined = "".join(texts)
    except TypeError:
        raise InvalidMessage(f"message {message.id!r}: every attribute and header must be text") from None
    if len(joined) > MAX_HEADERS:
        raise MessageTooLarge(
            f"message {message.id!r}: headers of {len(joined):,} characters, limit {MAX_HEADERS:,}"
        )
    if not joined.isprintable():
        raise InvalidMessage(f"message {message.id!r}: a header or attribute holds a control character")
    if named:
        _check_names(message)


def _check_names(message: Message) -> None:
    for name in message.extensions:
        if not (name.isascii() and name.isalnum() and name == name.lower()):
            raise InvalidMessage(
                f"message {message.id!r}: extension {name!r} must be lower-case letters and digits"
            )
        if name in _ATTRIBUTES:
            raise InvalidMessage(
                f"message {message.id!r}: extension {name!r} is an attribute of the message itself"
            )
    for name in message.headers:
        if name.lower().startswith(("ce_", "ce-", "cloudevents")) or name.lower() == "content-type":
            raise InvalidMessage(f"message {message.id!r}: header {name!r} is reserved for CloudEvents")
