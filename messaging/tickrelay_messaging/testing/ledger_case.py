# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the parts of the ledger contract share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from uuid import uuid4

import pytest

from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import (
    Claim,
    Failure,
    Outcome,
    Owner,
    Route,
    Settlement,
    State,
    Verdict,
)
from tickrelay_messaging.ledger.reports import BatchProgress, RouteStats
from tickrelay_messaging.message import Message

PATIENCE = 20.0
"""Longest wait in seconds for something that must happen."""
LEASE = 30.0
START = 1_800_000_000.0
FAILURE = Failure("ValueError", "no such customer", "Traceback: in handler")


class Clock:
    """Unix seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.now += seconds


class LedgerCase:
    """What the parts of the suite share."""

    patience = PATIENCE
    transactional = True
    """Whether `Ledger.transaction` works; else it must raise ConfigurationError."""

    def make_ledger(self, clock: Callable[[], float] | None = None) -> Ledger:
        """A fresh connection; all connections of one test lead to the same ledger. Also called in forked children."""
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> Clock:
        """The ledger's clock."""
        return Clock()

    @pytest.fixture
    def ledger(self, clock: Clock) -> Iterator[Ledger]:
        """A connection with that clock, closed after the test."""
        with self.make_ledger(clock) as ledger:
            yield ledger

    @pytest.fixture
    def route(self) -> Route:
        """A handler of a queue of its own."""
        return Route(f"orders-{uuid4().hex[:8]}", "default", "sync")

    @pytest.fixture
    def owner(self, ledger: Ledger, route: Route) -> Owner:
        """A consumer with a lease of 30 s."""
        return ledger.enroll("one", [route], lease=LEASE)

    @pytest.fixture
    def other(self, ledger: Ledger, route: Route) -> Owner:
        """A second consumer beside the first."""
        return ledger.enroll("two", [route], lease=LEASE)

    def crash(self, ledger: Ledger, clock: Clock, *survivors: Owner) -> int:
        """Everybody but the survivors falls silent until its lease is over; how many claims changed hands."""
        clock.advance(LEASE + 1)
        for survivor in survivors:
            ledger.renew(survivor)
        return ledger.reap()

    def claim_one(self, ledger: Ledger, owner: Owner, route: Route, message: Message | str) -> Claim:
        """One message's answer."""
        wanted = message if isinstance(message, Message) else make(message)
        (claim,) = ledger.claim(owner, route, [wanted])
        return claim

    def end(
        self, ledger: Ledger, owner: Owner, claims: Sequence[Claim], verdict: Verdict = Verdict.DONE
    ) -> None:
        """Settle them all, and nothing is refused."""
        settled = ledger.settle(owner, [Settlement(claim, verdict, failure=FAILURE) for claim in claims])
        assert [True] * len(claims) == settled

    def bury_one(self, ledger: Ledger, owner: Owner, route: Route, message: Message | str) -> Claim:
        """A message whose handler gave it up."""
        claim = self.claim_one(ledger, owner, route, message)
        self.end(ledger, owner, [claim], Verdict.DEAD)
        return claim

    def state(self, ledger: Ledger, message_id: str) -> State:
        """Where the message stands; it must be known to one handler only."""
        (life,) = ledger.history.life(message_id)
        return life.state

    def stats(self, ledger: Ledger, route: Route) -> RouteStats:
        """The handler's numbers."""
        (found,) = [stats for stats in ledger.history.stats() if stats.route == route]
        return found

    def progress(self, ledger: Ledger, batch: str, route: Route) -> BatchProgress:
        """How far the handler is."""
        (found,) = [row for row in ledger.batches.progress(batch, route.group) if row.route == route]
        return found


def make(
    message_id: str, body: object = "body", *, batch: str | None = None, digest: str | None = None
) -> Message:
    """A message with what the ledger looks at."""
    given = {"batchid": batch, "digest": digest}
    return Message.of(body, id=message_id, extensions={name: value for name, value in given.items() if value})


def some(count: int, batch: str | None = None) -> list[Message]:
    """Messages m0, m1, m2..."""
    return [make(f"m{number}", batch=batch) for number in range(count)]


def outcomes(claims: Sequence[Claim]) -> list[Outcome]:
    """What was answered, in order."""
    return [claim.outcome for claim in claims]


def ids(claims: Sequence[Claim]) -> list[str]:
    """Which messages, in order."""
    return [claim.message.id for claim in claims]


def in_thread(work: Callable[[], None]) -> threading.Thread:
    """A running thread that doesn't keep the process."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
