# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What a ledger knows of messages already, by their keys: those that ended, and those that haven't.

Of one that ended the mark keeps 8 bytes for its digest and 4 for its batch's try: enough to notice another payload and
a later try, long after its history is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from sqlalchemy import Connection

from tickrelay_messaging.ledger.sql import rows
from tickrelay_messaging.ledger.sql.buckets import Live
from tickrelay_messaging.ledger.sql.bulk import select_by_key, union_by_key


class Mark(NamedTuple):
    """
    What is known of a message that ended.

    Attributes:
        number: of its row in the history, which may be gone.
        digest: see `digest_of`.
        tag: see `tag_of`.
        state: see `endings.CODES`.
        bucket: number of the bucket it's in.
    """

    key: bytes
    number: int
    digest: int | None
    tag: int | None
    state: int
    bucket: int


def find_done(connection: Connection, live: Live, route: int, keys: Sequence[bytes]) -> dict[bytes, Mark]:
    """Marks by key; `route` by number."""
    places = {f"done_{one.number}": f"number, digest, tag, state, {one.number}" for one in live.marks[route]}
    return {key: Mark._make(row) for key, row in union_by_key(connection, places, keys).items()}


def forget_done(connection: Connection, live: Live, mark: Mark) -> None:
    """As if it had never come."""
    cursor = rows.cursor(connection)
    cursor.execute(f"DELETE FROM done_{mark.bucket} WHERE key = ?", (mark.key,))  # noqa: S608 - our own name
    if place := live.history_of(mark.number):
        cursor.execute(f"DELETE FROM {place.table} WHERE number = ?", (mark.number,))  # noqa: S608


def batch_of(connection: Connection, live: Live, mark: Mark) -> str | None:
    """The try of its batch that it counts for, as long as its history is there."""
    place = live.history_of(mark.number)
    if place is None:
        return None
    query = f"SELECT batch FROM {place.table} WHERE number = ?"  # noqa: S608 - our own name
    row = rows.cursor(connection).execute(query, (mark.number,)).fetchone()
    return row[0] if row else None


def set_batch(connection: Connection, live: Live, mark: Mark, batch: str) -> None:
    """Let it count for another try."""
    cursor = rows.cursor(connection)
    change = f"UPDATE done_{mark.bucket} SET tag = ? WHERE key = ?"  # noqa: S608 - our own name
    cursor.execute(change, (tag_of(batch), mark.key))
    if place := live.history_of(mark.number):
        cursor.execute(f"UPDATE {place.table} SET batch = ? WHERE number = ?", (batch, mark.number))  # noqa: S608


def find_active(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, Any]:
    """(key, digest, batch, state, owner, fence) by key."""
    return select_by_key(connection, "digest, batch, state, owner, fence", "active", keys)


@lru_cache(maxsize=4096)
def tag_of(batch: str | None) -> int | None:
    """A try of a batch in 4 bytes. It's only ever compared with other tries of the same batch."""
    return None if batch is None else _hash(batch)


def digest_of(digest: str | None) -> int | None:
    """A payload's digest (`<key id>:<digest>`) in 8 bytes, the upper half of which stand for the key id."""
    if not digest:
        return None
    return _hash_of_name(digest.partition(":")[0]) << 32 | (_hash(digest) & 0xFFFF_FFFF)


def differ(digest: str | None, mark: Mark) -> bool:
    """Whether a digest contradicts that of a message which ended; under different key ids they say nothing."""
    mine = digest_of(digest)
    if mine is None or mark.digest is None or mine == mark.digest:
        return False
    return mine >> 32 == mark.digest >> 32


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big", signed=True)


_hash_of_name = lru_cache(maxsize=64)(_hash)
