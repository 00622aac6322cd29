# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Which messages a sensor wants: plain equality, so that it can be written in a DAG and sent to a triggerer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

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

    def wanted(message: Message) -> bool:
        return all(_equal(message, name, value) for name, value in (match or {}).items())

    return wanted


def _equal(message: Message, name: str, wanted: Any) -> bool:
    if name not in _MAPPINGS:
        return bool(getattr(message, name) == wanted)
    fields = _data(message) if name == "data" else getattr(message, name)
    if not isinstance(fields, Mapping):
        return False
    return all(field in fields and fields[field] == value for field, value in wanted.items())


def _data(message: Message) -> Any:
    try:
        return message.data
    except UndecodableMessage:
        return None
