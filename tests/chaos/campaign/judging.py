# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The verdict over a whole history: sets, counts and orders of what was written down, nothing of Tickrelay's.

Instants are of one machine's monotonic clock, so they compare across its processes. What was written down before a step
began had happened before it; what was written down after it may have happened earlier, so nothing is concluded from
that.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from tests.chaos.checker import check


class Effect(NamedTuple):
    """One effect as found where effects are kept, in the order in which they are kept there."""

    id: str
    fence: int
    attempt: int
    at: float
    pid: int = 0


class Grant(NamedTuple):
    """The ledger has said RUN."""

    at: float
    id: str
    fence: int
    attempt: int


class Settle(NamedTuple):
    """A consumer was about to end a claim (`at`), and what the ledger answered."""

    at: float
    id: str
    fence: int
    verdict: str
    accepted: bool
    pid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """
    Attributes:
        confirmed: ids the broker has confirmed.
        tried: ids somebody tried to publish.
        dead: ids of dead letters.
        attempts: most attempts a message may have.
        keys: id -> key and place within the key, where order is promised.
    """

    confirmed: Iterable[str]
    tried: Iterable[str]
    effects: Sequence[Effect]
    dead: Iterable[str] = ()
    grants: Sequence[Grant] = ()
    settles: Sequence[Settle] = ()
    attempts: int = 4
    keys: Mapping[str, tuple[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    What is wrong; all empty if nothing is.

    Attributes:
        lost: confirmed, and without any end.
        duplicated: effects beyond the first, by id.
        foreign: ends of what nobody tried to publish.
        contradicted: an effect and a dead letter.
        stale: ended, or had its effect, under a fence after a higher one was given out.
        regranted: a fence given out twice.
        overrun: more attempts than allowed.
        disordered: effects before that of an earlier message of their key.
        ended_twice: accepted as done or dead more than once.
    """

    lost: frozenset[str] = frozenset()
    duplicated: Mapping[str, int] = field(default_factory=dict)
    foreign: frozenset[str] = frozenset()
    contradicted: frozenset[str] = frozenset()
    stale: frozenset[str] = frozenset()
    regranted: frozenset[str] = frozenset()
    overrun: frozenset[str] = frozenset()
    disordered: frozenset[str] = frozenset()
    ended_twice: frozenset[str] = frozenset()

    def faults(self, *, external: bool = False) -> dict[str, Any]:
        """What is wrong by name; an external effect may be there twice, late or after its successor's."""
        allowed = {"duplicated", "disordered"} if external else set()
        found = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in allowed}
        return {name: value for name, value in found.items() if value}


def judge(history: History, *, external: bool = False) -> Verdict:
    """
    The verdict over a history that has come to rest.

    Args:
        external: effects stand outside of the ledger, so a late one is no fault of a fence.
    """
    ids = [effect.id for effect in history.effects]
    lost = check(history.confirmed, ids, history.dead)
    ends = check(history.tried, ids, history.dead)
    ended = [(one.at, one.id, one.fence) for one in history.settles if one.accepted]
    ended += [] if external else [(one.at, one.id, one.fence) for one in history.effects]
    return Verdict(
        lost=lost.lost,
        duplicated=ends.duplicated,
        foreign=ends.foreign,
        contradicted=ends.contradicted,
        stale=_stale(history.grants, ended),
        regranted=_repeated((grant.id, grant.fence) for grant in history.grants),
        overrun=frozenset(
            one.id for one in (*history.grants, *history.effects) if one.attempt > history.attempts
        ),
        disordered=_disordered(history.effects, history.keys),
        ended_twice=_repeated(
            (one.id, 0) for one in history.settles if one.accepted and one.verdict in ("done", "dead")
        ),
    )


def _stale(grants: Sequence[Grant], ended: Iterable[tuple[float, str, int]]) -> frozenset[str]:
    given: dict[str, list[Grant]] = defaultdict(list)
    for grant in grants:
        given[grant.id].append(grant)
    return frozenset(
        id_
        for at, id_, fence in ended
        if any(grant.fence > fence and grant.at < at for grant in given.get(id_, ()))
    )


def _repeated(pairs: Iterable[tuple[str, int]]) -> frozenset[str]:
    return frozenset(id_ for (id_, _), count in Counter(pairs).items() if count > 1)


def _disordered(effects: Sequence[Effect], keys: Mapping[str, tuple[str, int]]) -> frozenset[str]:
    highest: dict[str, int] = {}
    found: set[str] = set()
    for effect in effects:
        if effect.id in keys:
            key, place = keys[effect.id]
            if place < highest.get(key, -1):
                found.add(effect.id)
            highest[key] = max(place, highest.get(key, -1))
    return frozenset(found)
