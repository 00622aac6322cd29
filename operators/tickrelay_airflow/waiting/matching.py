# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Which messages a sensor wants: plain equality, so that it can be written in a DAG and sent to a triggerer."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

from tickrelay_messaging.errors import ConfigurationError, UndecodableMessage
from tickrelay_messaging.message import Message

Match = Mapping[str, Any] | None

_ATTRIBUTES = ("id", "source", "type", "subject", "key")
_MAPPINGS = ("headers", "extensions", "data")


def check_match(match: Match) -> None:
    """
    Refuse at parse time what could never match.

    Raises:
        ConfigurationError: a name isn't known, or `headers`, `extensions` or `data` is no mapping.
    """
    for name, wanted in (match or {}).items():
        if name not in _ATTRIBUTES + _MAPPINGS:
            raise ConfigurationError(
                f"match: unknown name {name!r}; known are {', '.join(_ATTRIBUTES + _MAPPINGS)}"
            )
        if name in _MAPPINGS and not isinstance(wanted, Mapping):
            raise ConfigurationError(
                f'match: {name} must name fields, as in {{"{name}": {{"field": "value"}}}}'
            )


def matcher(match: Match) -> Callable[[Message], bool]:
    """
    Whether a message is wanted.

    Args:
        match: attribute -> value, and for `headers`, `extensions` and `data` field -> value; all must be
            equal. None wants every message.
    """
    wish = Wish.of(match)
    return lambda message: wish.shape.values(message) == wish.values


Path = tuple[str, str | None]
"""An attribute's name, or a mapping's and a field in it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What some wishes look at in a message. Wishes of one shape are told apart by a look-up, however many."""

    paths: tuple[Path, ...]

    def values(self, message: Message) -> Hashable | None:
        """What a message has there; None where it lacks a field, which no wish equals."""
        found: list[Hashable] = []
        data = _data(message) if any(name == "data" for name, _ in self.paths) else None
        for name, field in self.paths:
            value = data if name == "data" else getattr(message, name)
            if field is not None:
                if not isinstance(value, Mapping) or field not in value:
                    return None
                value = value[field]
            found.append(_frozen(value))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Wish:
    """A `match` taken apart: where it looks, and what must be there."""

    shape: Shape
    values: Hashable

    @classmethod
    def of(cls, match: Match) -> Self:
        """A wish is the same in whatever order its parts are written."""
        found: dict[Path, Hashable] = {}
        for name, wanted in (match or {}).items():
            if name in _MAPPINGS:
                found |= {(name, field): _frozen(value) for field, value in wanted.items()}
            else:
                found[name, None] = _frozen(wanted)
        paths = sorted(found, key=repr)
        return cls(Shape(tuple(paths)), tuple(found[path] for path in paths))


def _frozen(value: Any) -> Hashable:
    """Equal for equal JSON, and hashable."""
    if isinstance(value, Mapping):
        return ("mapping", frozenset((name, _frozen(one)) for name, one in value.items()))
    if isinstance(value, (list, tuple)):
        return ("list", *map(_frozen, value))
    return cast("Hashable", value)


def _data(message: Message) -> Any:
    try:
        return message.data
    except UndecodableMessage:
        return None
