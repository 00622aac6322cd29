# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A message that comes again: from a later try of its publisher, or with another payload."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Connection

from tickrelay_messaging.ledger.sql import rows, tallies
from tickrelay_messaging.ledger.sql.buckets import Live
from tickrelay_messaging.ledger.sql.endings import CODES
from tickrelay_messaging.ledger.sql.known import Mark, set_batch, tag_of
from tickrelay_messaging.ledger.sql.tables import DEAD
from tickrelay_messaging.ledger.sql.tallies import Tally
from tickrelay_messaging.message import Message

_MOST_TRIES = 1_000
"""Earlier tries of a batch that are looked for; a made-up number must not keep the ledger busy."""

Counted = tuple[Counter[Tally], int, Message]
"""Counters, and a message with its route's number."""


def count_active_for_newest(connection: Connection, what: Counted, row: Any) -> None:
    """A message that a later try of its publisher brings again counts for that one; `row` as `find_active` gives it."""
    counts, route, message = what
    key, _, old, state = row[:4]
    new = message.extensions.get("batchid")
    if not is_newer(new, old):
        return
    rows.cursor(connection).execute("UPDATE active SET batch = ? WHERE key = ?", (new, key))
    if state == DEAD:
        tallies.move(counts, old, new, (route, "dead"))


def count_done_for_newest(connection: Connection, live: Live, what: Counted, mark: Mark) -> None:
    """The same for one that has ended."""
    counts, route, message = what
    new = message.extensions.get("batchid")
    if new is None or tag_of(new) == mark.tag:
        return
    old = None if mark.tag is None else earlier_try(new, mark.tag)
    if mark.tag is None or old is not None:
        set_batch(connection, live, mark, new)
        tallies.move(counts, old, new, (route, CODES[mark.state].value))


def earlier_try(batch: str, tag: int) -> str | None:
    """The try before this one (`<id>/<ordinal>`) that has this tag."""
    name, _, number = batch.rpartition("/")
    last = int(number) if number.isdecimal() else 0
    tries = (f"{name}/{ordinal}" for ordinal in range(last - 1, max(0, last - 1 - _MOST_TRIES), -1))
    return next((one for one in tries if tag_of(one) == tag), None)


def is_newer(new: str | None, old: str | None) -> bool:
    """Whether a batch id (`<id>/<ordinal>`) names a later try of the same batch, or the first one known."""
    if new is None or new == old:
        return False
    if old is None:
        return True
    (new_id, _, new_try), (old_id, _, old_try) = new.rpartition("/"), old.rpartition("/")
    return new_id == old_id and new_try.isdecimal() and old_try.isdecimal() and int(new_try) > int(old_try)


def differ(digest: str | None, known: str | None) -> bool:
    """Whether two digests contradict each other; under different key ids they say nothing."""
    if not digest or not known or digest == known:
        return False
    return digest.partition(":")[0] == known.partition(":")[0]
