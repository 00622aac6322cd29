# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The Redis ledger's Lua scripts: each runs at one moment, checks the epoch first, and either refuses before it writes or
does all of it.

What whoever consumes needs to make room runs even when the server's memory is full; claiming and parking don't.
"""

from __future__ import annotations

from hashlib import sha1

from tickrelay_messaging.ledger.redis.scripts import claim, due, letters, owners, rooms, schedules, settle
from tickrelay_messaging.ledger.redis.scripts.core import CORE, FINISH
from tickrelay_messaging.ledger.redis.scripts.life import LIFE
from tickrelay_messaging.ledger.redis.scripts.marks import MARKS


class Script:
    """
    A Lua script and the name the server caches it under.

    Args:
        body: what follows the part common to all.
        even_if_full: it makes room, so it runs when there is none left.
        writes: whether what it does must be durable.
    """

    def __init__(self, body: str, *, even_if_full: bool = False, writes: bool = True) -> None:
        head = "#!lua flags=allow-oom\n" if even_if_full else "#!lua\n"
        self.text = (head + CORE + MARKS + LIFE + FINISH + body).encode()
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest().encode()
        self.writes = writes


CLAIM = Script(claim.CLAIM)
SETTLE = Script(settle.SETTLE, even_if_full=True)
HOLD = Script(settle.HOLD)
PUT_STEP = Script(settle.PUT_STEP)
CLAIM_DUE = Script(due.CLAIM_DUE, even_if_full=True)
BURY_AGAIN = Script(due.BURY_AGAIN, even_if_full=True)
DUE = Script(due.DUE, writes=False)
ENROLL = Script(owners.ENROLL, even_if_full=True)
RENEW = Script(owners.RENEW, even_if_full=True)
RETIRE = Script(owners.RETIRE, even_if_full=True)
REAP = Script(owners.REAP, even_if_full=True)
BURY = Script(letters.BURY)
REPLAY = Script(letters.REPLAY, even_if_full=True)
DISCARD = Script(letters.DISCARD, even_if_full=True)
NAME = Script(rooms.NAME)
OPEN_BATCH = Script(rooms.OPEN_BATCH)
CLOSE_BATCH = Script(rooms.CLOSE_BATCH)
KNOWN = Script(rooms.KNOWN, writes=False)
PUT_MAIL = Script(rooms.PUT_MAIL)
FORGET_MAIL = Script(rooms.FORGET_MAIL, even_if_full=True)
GIVE_MAIL = Script(rooms.GIVE_MAIL, even_if_full=True)
ASSIGN = Script(rooms.ASSIGN)
FIND = Script(rooms.FIND, writes=False)
COUNT_CLAIMED = Script(rooms.COUNT_CLAIMED, writes=False)
REVOKE = Script(rooms.REVOKE)
TAKE_BACK = Script(rooms.TAKE_BACK, even_if_full=True)
LIFT = Script(rooms.LIFT, even_if_full=True)
SWEEP = Script(rooms.SWEEP, even_if_full=True)
SWEEP_HISTORY = Script(rooms.SWEEP_HISTORY, even_if_full=True)
RECORD = Script(schedules.RECORD)
REMEMBER = Script(schedules.REMEMBER)
ENTER = Script(schedules.ENTER)
FORGET_TICKS = Script(schedules.FORGET_TICKS, even_if_full=True)
