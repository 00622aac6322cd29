# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A message that comes again: from a later try of its publisher, or with another payload."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Connection

from tickrelay_messaging.ledger.sql import rows, tallies
from tickrelay_messaging.ledger.sql.endings import CODES
from tickrelay_messaging.ledger.sql.tables import DEAD
from tickrelay_messaging.ledger.sql.tallies import Tally
from tickrelay_messaging.message import Message


def count_for_newest(
    connection: Connection,
    counts: Counter[Tally],
    what: tuple[int, Message],
    *,
    done: Any = None,
    active: Any = None,
) -> None:
    """A message (with its route's number) that a later try of its publisher brings again counts for that one."""
    key, _, old, state = (done or active)[:4]
    route, message = what
    new = message.extensions.get("batchid")
    if not is_newer(new, old):
        return
    if done:
        rows.cursor(connection).execute("UPDATE history SET batch = ? WHERE number = ?", (new, done[4]))
        tallies.move(counts, old, new, (route, CODES[state].value))
        return
    rows.cursor(connection).execute("UPDATE active SET batch = ? WHERE key = ?", (new, key))
    if state == DEAD:
        tallies.move(counts, old, new, (route, "dead"))


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
