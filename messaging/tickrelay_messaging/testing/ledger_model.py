# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a ledger must answer, in dicts: a model for stateful tests, with a broker that redelivers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tickrelay_messaging.ledger.records import Outcome, Owner, State, Verdict

ENDED = (State.DONE, State.DISCARDED)


@dataclass
class Known:
    """What the model knows of a message; `copy` is its broker's delivery in a consumer's hands."""

    state: State
    ordinal: int
    owner: Owner | None = None
    fence: int = 0
    due: float = 0.0
    attempt: int = 1
    crashes: int = 0
    suspect: bool = False
    held: bool = False
    copy: tuple[str, int] | None = None

    @property
    def is_orphan(self) -> bool:
        """Its payload is at the broker only."""
        return self.state is State.WAITING and not self.held

    def wait(self, due: float) -> None:
        """Until then, in the ledger."""
        self.state, self.due, self.owner, self.copy = State.WAITING, due, None, None


@dataclass
class Model:
    """Every message once, the broker's deliveries, and the counters."""

    known: dict[str, Known] = field(default_factory=dict)
    broker: list[tuple[str, int]] = field(default_factory=list)
    published: set[str] = field(default_factory=set)
    fences: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)

    def claim(self, copy: tuple[str, int], owner: Owner, now: float) -> Outcome:
        """What claiming this delivery must answer; the fence comes from the ledger."""
        name, ordinal = copy
        known = self.known.get(name)
        if known is None:
            self.known[name] = Known(State.CLAIMED, ordinal, owner, copy=copy)
            return Outcome.RUN
        known.ordinal = max(known.ordinal, ordinal)
        if known.state in ENDED:
            self.counts["duplicates"] += 1
            return Outcome.DUPLICATE
        if known.is_orphan:
            known.due = now
        known.held = True
        return Outcome.PARKED

    def give_back(self, name: str, now: float) -> None:
        """Released: the ledger keeps what it holds, the broker the rest."""
        known = self.known[name]
        if known.held:
            known.wait(now)
        elif known.copy:
            self.broker.append(known.copy)
            del self.known[name]

    def settle(self, name: str, verdict: Verdict, due: float, now: float) -> None:
        """A settlement that was accepted."""
        known = self.known[name]
        if verdict is Verdict.RELEASE:
            self.give_back(name, now)
        elif verdict is Verdict.RETRY:
            known.attempt, known.held = known.attempt + 1, True
            known.wait(due)
            self.counts["retried"] += 1
        elif verdict is Verdict.DEAD:
            self.die(known)
        elif verdict is Verdict.CRASHED:
            self.crash_alone(known, due)
        else:
            known.state, known.owner, known.copy = State.DONE, None, None
            self.done[name] += 1

    def die(self, known: Known) -> None:
        """A dead letter."""
        known.state, known.owner, known.copy, known.held = State.DEAD, None, None, True
        self.counts["died"] += 1

    def crash_alone(self, known: Known, due: float) -> None:
        """The process that carried it out died, the consumer lives; three times and it's poison."""
        known.crashes, known.held = known.crashes + 1, True
        self.counts["crashes"] += 1
        if known.crashes >= 3:
            self.die(known)
        else:
            known.wait(due)

    def crash(self, owner: Owner, now: float) -> int:
        """Its claims become suspects, its deliveries go back to the broker."""
        mine = [known for known in self.known.values() if known.owner == owner]
        for known in mine:
            self.counts["crashes"] += 1
            known.crashes += known.suspect and len(mine) == 1
            if known.copy:
                self.broker.append(known.copy)
            if known.crashes >= 3:
                self.die(known)
            else:
                known.wait(now)
                known.suspect = True
        return len(mine)
