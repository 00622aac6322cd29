# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What is sent: messages with a body of 200 bytes, and the same headers for those who know nothing of our `Message`."""

from __future__ import annotations

from functools import lru_cache

from tickrelay_messaging.message import Message

SIZE = 200
SOURCE = "/bench"
BATCH = 500
"""Messages that are received and acknowledged together."""
SEVEN = 10_000_000


def payload(number: int) -> dict[str, object]:
    """JSON of 200 bytes: numbers have as many digits."""
    return {"order": SEVEN + number, "note": "x" * (SIZE - 30)}


@lru_cache(1)
def messages(number: int) -> list[Message]:
    """Made before the clock starts, for everybody."""
    return [Message.of(payload(n), source=SOURCE) for n in range(number)]


def headers(message: Message, prefix: str = "ce_") -> dict[str, str]:
    """As a plain client's user would write them: the same that ours writes, and the same instant to format."""
    time = message.time
    assert time is not None
    return {
        prefix + "specversion": "1.0",
        prefix + "id": message.id,
        prefix + "source": message.source,
        prefix + "type": message.type,
        "content-type": "application/json",
        prefix + "time": time.isoformat(),
    }
