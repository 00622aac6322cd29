# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Kafka's records as headers and bodies; whatever a foreign publisher wrote, reading never fails."""

from __future__ import annotations

from typing import cast

from confluent_kafka import Message


def headers_of(message: Message) -> dict[str, str]:
    r"""Headers as text; what isn't UTF-8 is shown as `\xff`, a null as empty, the last of one name wins."""
    headers = cast("list[tuple[str, bytes]] | None", message.headers())  # the stub says what may be sent, too
    if not headers:
        return {}
    try:
        return {name: value.decode() for name, value in headers}
    except (UnicodeDecodeError, AttributeError):
        return {name: (value or b"").decode(errors="backslashreplace") for name, value in headers}


def body_of(message: Message) -> bytes:
    """The bytes; a tombstone's are empty."""
    return message.value() or b""
