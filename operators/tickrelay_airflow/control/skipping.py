# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Leaving out the next ticks, and taking that back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from tickrelay_airflow.control.desk import Desk
from tickrelay_airflow.control.records import Outcome, instant
from tickrelay_airflow.control.revoking import covers, kind_of, skipping
from tickrelay_airflow.control.ticks import due_of, ticks_after
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger.records import Revocation

MOST = 1000
"""Ticks that can be skipped at once; for more there is a pause."""


def skip(desk: Desk, count: int) -> Outcome:
    """
    See to it that nothing comes of the next `count` ticks; those left out already are among them.

    Raises:
        ConfigurationError: the count is none.
        TickrelayError: the ledger can't be used. Ticks skipped until then stay so; saying it again does the rest.
    """
    if not 1 <= count <= MOST:
        raise ConfigurationError(f"count: {count} is not from 1 to {MOST}; to leave out more, pause")
    ledger = desk.ledger()
    known = ledger.revocations.list(desk.target.schedule)
    ticks = list(islice(ticks_after(desk.target, instant(ledger.now())), count))
    dues = {tick: due_of(desk.target, tick) for tick in ticks}
    # A pause leaves them out as well, but only until somebody resumes.
    lasting = [one for one in known if kind_of(one) != "pause"]
    fresh = [tick for tick in ticks if not any(covers(one, tick, dues[tick]) for one in lasting)]
    for tick in fresh:
        ledger.revocations.revoke(skipping(desk.target.schedule, dues[tick], by=desk.by, reason=desk.reason))
    skipped, new = [_text(tick) for tick in ticks], [_text(tick) for tick in fresh]
    if not ticks:
        return desk.outcome("skip-next", "has no tick left", changed=False, skipped=skipped, new=new)
    text = f"leaves out {', '.join(skipped)}" + ("" if fresh else ", as before")
    return desk.outcome("skip-next", text, changed=bool(fresh), skipped=skipped, new=new)


def unskip(desk: Desk) -> Outcome:
    """Lift every skip of a tick that is still ahead."""
    ledger = desk.ledger()
    now = ledger.now()
    skips = [one for one in ledger.revocations.list(desk.target.schedule) if kind_of(one) == "skip"]
    lifted = [one for one in skips if one.since > now and ledger.revocations.lift(one.number, by=desk.by)]
    restored = [_text(tick) for tick in _ticks_of(desk, lifted, instant(now))]
    if not restored:
        return desk.outcome("skip-next", "skips no tick ahead", changed=False, restored=restored)
    desk.note("skips undone", ", ".join(restored))
    text = f"no longer leaves out {', '.join(restored)}; what was revoked already stays so"
    return desk.outcome("skip-next", text, changed=True, restored=restored)


def _ticks_of(desk: Desk, skips: Sequence[Revocation], now: datetime) -> list[datetime]:
    """A skip is kept by when its tick's work begins; people know the tick by its own instant."""
    coming = islice(ticks_after(desk.target, now), MOST) if skips else ()
    ticks = {due_of(desk.target, tick).timestamp(): tick for tick in coming}
    return [ticks.get(one.since, instant(one.since)) for one in skips]


def _text(tick: datetime) -> str:
    return f"{tick:%Y-%m-%dT%H:%M:%SZ}"
