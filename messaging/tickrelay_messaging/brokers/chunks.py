# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A publishing call in pieces that a broker takes in one round trip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tickrelay_messaging.message import Message


def chunked(messages: Sequence[Message], count: int, size: int) -> Iterator[Sequence[Message]]:
    """In order, at most `count` messages and `size` bytes of bodies in each; a larger single message is one alone."""
    start = held = 0
    for end, message in enumerate(messages):
        if end - start >= count or (held and held + len(message.body) > size):
            yield messages[start:end]
            start, held = end, 0
        held += len(message.body)
    if start < len(messages):
        yield messages[start:]
