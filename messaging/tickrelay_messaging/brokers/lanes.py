# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Lanes: which of a queue's lanes a message goes to, for brokers that don't decide it themselves."""

from __future__ import annotations

import zlib

from tickrelay_messaging.errors import ConfigurationError, QueueMismatch
from tickrelay_messaging.message import Message

MAX_LANES = 1024
"""Most lanes of a queue."""


def lane_of(message: Message, lanes: int) -> int:
    """
    A lane from 0: the same for all messages of a key, spread evenly over the ids of those without a key.

    Messages published by different versions must agree, so this never changes: CRC-32 (ISO 3309) of the UTF-8 text.
    """
    return zlib.crc32((message.id if message.key is None else message.key).encode()) % lanes


def check_lanes(queue: str, wanted: int, existing: int | None = None) -> None:
    """
    See that a queue can be declared with this many lanes.

    Args:
        wanted: of the declaration; 0 takes what is there.
        existing: of the queue as it is, 0 without lanes; None if there is no queue yet.

    Raises:
        ConfigurationError: no possible number.
        QueueMismatch: it has another number.
    """
    if not 0 <= wanted <= MAX_LANES:
        raise ConfigurationError(f"queue {queue!r}: lanes={wanted} isn't between 1 and {MAX_LANES:,}")
    if wanted and existing is not None and wanted != existing:
        raise QueueMismatch(
            f"queue {queue!r} exists with {existing or 'no'} lanes and can't be changed to {wanted}; "
            f"declare it as it is, or another queue"
        )
