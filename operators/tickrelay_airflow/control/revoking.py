# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Which revocations mean a pause, and which one tick."""

from __future__ import annotations

from datetime import datetime

from tickrelay_messaging.ledger.records import Revocation

EVERY_GENERATION = 2**31 - 1
"""A pause holds for whatever form of the schedule; the publishing task's own revocations name a generation."""
_INSTANT = 1e-6
_GRAIN = 1.0
"""Seconds that lie between two ticks at least, so what covers less than that covers one."""


def pausing(schedule: str, since: float, *, by: str, reason: str) -> Revocation:
    """Of all ticks from an instant on."""
    return Revocation(
        schedule=schedule, since=since, generation=EVERY_GENERATION, by=by, reason=reason or "paused"
    )


def skipping(schedule: str, due: datetime, *, by: str, reason: str) -> Revocation:
    """Of exactly one tick, by the instant at which its work is to begin."""
    at = due.timestamp()
    return Revocation(
        schedule=schedule,
        since=at,
        until=at + _INSTANT,
        generation=EVERY_GENERATION,
        by=by,
        reason=reason or "skipped",
    )


def kind_of(one: Revocation) -> str:
    """`pause`, `skip`, or `revocation`."""
    if one.generation < EVERY_GENERATION:
        return "revocation"
    if one.until is None:
        return "pause"
    return "skip" if one.until - one.since < _GRAIN else "revocation"


def covers(one: Revocation, *instants: datetime) -> bool:
    """
    Whether nothing comes of a tick that is still to be published, so in the newest form, because of it.

    Args:
        instants: the tick's own, and when its work is to begin.
    """
    if one.generation < EVERY_GENERATION:
        return False
    moments = [instant.timestamp() for instant in instants]
    return any(one.since <= at and (one.until is None or at < one.until) for at in moments)
