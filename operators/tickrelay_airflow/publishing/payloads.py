# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""From what a task has to say to messages: payloads one by one, each with an id that survives retries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tickrelay_messaging import strict_json
from tickrelay_messaging.errors import InvalidMessage
from tickrelay_messaging.ids import TaskIdentity, digest_of
from tickrelay_messaging.message import DEFAULT_TYPE, Message

Name = str | Callable[[Any], object] | None
"""How a payload gets its id or key: the name of one of its fields, or a function of the payload."""

Instant = datetime | timedelta | str | None
"""An aware datetime, its ISO 8601 text, or a time from now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """
    A payload with attributes of its own; whatever is None is taken from the operator's arguments.

    Attributes:
        id: the item's name within the task, the same at every try; not yet the message's id.
    """

    data: Any
    id: str | None = None
    key: str | None = None
    type: str | None = None
    headers: Mapping[str, str] | None = None
    deliver_at: Instant = None
    expires: Instant = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """
    What holds for every message of a task, unless its `Item` says otherwise.

    Attributes:
        tick: of a schedule, that the messages stand for; told in the extension `tick` where their delivery doesn't.
    """

    id: Name = None
    key: Name = None
    type: str = DEFAULT_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    deliver_at: Instant = None
    expires: Instant = None
    tick: datetime | None = None


def items_of(result: object) -> Iterator[Item]:
    """
    What a function returned, item by item: a generator, iterator, list or tuple holds one each, None holds
    none.

    Anything else (an object, a text, a number) is one payload itself.

    Raises:
        InvalidMessage: a coroutine or asynchronous generator, which would have to be awaited.
    """
    if hasattr(result, "__await__") or hasattr(result, "__aiter__"):
        raise InvalidMessage(
            "the function is asynchronous: write it with `def`, since payloads are read one by one"
        )
    if result is None:
        return
    several = isinstance(result, (list, tuple)) or hasattr(result, "__next__")
    payloads: Iterable[Any] = result if several else (result,)  # type: ignore[assignment] # known to be iterable
    for payload in payloads:
        yield payload if isinstance(payload, Item) else Item(data=payload)


class Composer:
    """
    Makes the messages of one task instance.

    Args:
        extensions: CloudEvents extensions that every message carries.
    """

    def __init__(self, identity: TaskIdentity, defaults: Defaults, extensions: Mapping[str, str]) -> None:
        self._identity = identity
        self._defaults = defaults
        self._extensions = extensions

    def messages(self, items: Iterable[Item], *, since: datetime | None = None) -> Iterator[Message]:
        """
        The items' messages, made as they are asked for.

        Args:
            since: what `expires` counts from where it is a time from now; now by default.

        Raises:
            InvalidMessage: one of them can't be a message; the text says which.
        """
        for position, item in enumerate(items):
            try:
                message = self._message(item, since)
            except InvalidMessage as error:
                raise type(error)(f"payload {position} (counted from 0): {error}") from error
            yield message

    def _message(self, item: Item, since: datetime | None) -> Message:
        body = strict_json.dumps(item.data)
        now = datetime.now(UTC)
        deliver_at = instant_of("deliver_at", item.deliver_at or self._defaults.deliver_at, now)
        return Message(
            id=self._identity.message_id(body, name_of("id", item.id, self._defaults.id, item.data)),
            source=self._identity.source,
            type=item.type or self._defaults.type,
            body=body,
            time=now,
            key=name_of("key", item.key, self._defaults.key, item.data),
            deliver_at=deliver_at,
            expires=instant_of("expires", item.expires or self._defaults.expires, since or now),
            extensions={**self._extensions, "digest": digest_of(body), **self._tick(deliver_at)},
            headers={**self._defaults.headers, **(item.headers or {})},
        )

    def _tick(self, deliver_at: datetime | None) -> dict[str, str]:
        tick = self._defaults.tick
        return {} if tick is None or tick == deliver_at else {"tick": tick.isoformat()}


def name_of(what: str, own: object, name: Name, data: object) -> str | None:
    """
    An item's id or key: its own where it has one, else what `name` makes of the payload.

    Raises:
        InvalidMessage: the payload lacks the field, or the answer is None or empty.
    """
    if own is None and name is None:
        return None
    value = own if own is not None else (name(data) if callable(name) else _field(what, str(name), data))
    if value is None or value == "":
        raise InvalidMessage(f"{what}={_told(name)} gives {value!r} for {_short(data)}")
    return str(value)


def _field(what: str, name: str, data: object) -> object:
    if not isinstance(data, Mapping) or name not in data:
        raise InvalidMessage(
            f"{what}={name!r} names a field of the payload, and there is none in {_short(data)}"
        )
    return data[name]


def instant_of(what: str, value: object, now: datetime) -> datetime | None:
    """
    An aware instant.

    Raises:
        InvalidMessage: it has no offset from UTC, or isn't an instant.
    """
    if value is None or value == "":
        return None
    if isinstance(value, timedelta):
        return now + value
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError as error:
        raise InvalidMessage(f"{what}={value!r} is no ISO 8601 instant") from error
    if not isinstance(instant, datetime) or instant.tzinfo is None:
        raise InvalidMessage(
            f"{what}={value!r} must be an instant with its offset from UTC, or a timedelta from now"
        )
    return instant


def _told(name: Name) -> str:
    return repr(name) if isinstance(name, str) else getattr(name, "__name__", repr(name))


def _short(data: object, limit: int = 120) -> str:
    """What a payload is, not what it says: error texts end up in logs, where payloads don't belong."""
    if isinstance(data, Mapping):
        names = ", ".join(map(str, data))
        return f"a payload with the fields {names[:limit]}" if names else "an empty object"
    return f"a payload of type {type(data).__name__}"
