# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What consumers do with a ledger all day: claim a batch, settle it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import uuid4

from bench.report import timed
from tickrelay_messaging.ledger import Ledger
from tickrelay_messaging.ledger.records import Outcome, Owner, Route, Settlement, Verdict
from tickrelay_messaging.message import Message

BATCH = 256
ROUTE = Route("orders", "default", "bench")


class Clock:
    """The wall clock, set forward when told to."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Set it forward."""
        self._ahead += seconds


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that one batch took."""

    claim: float
    settle: float

    @property
    def both(self) -> float:
        """Until the batch was done."""
        return self.claim + self.settle


def enroll(ledger: Ledger) -> Owner:
    """A consumer that nobody takes for dead, however far the clock is set forward."""
    return ledger.enroll("bench", [ROUTE], lease=1e9)


def one_batch(ledger: Ledger, owner: Owner, *, tagged: bool = False) -> Cost:
    """New messages, claimed and done; `tagged` with what Airflow's tasks publish along: a digest and a batch."""
    messages = [_message(number, tagged=tagged) for number in range(BATCH)]
    claims = []
    claim = timed(lambda: claims.extend(ledger.claim(owner, ROUTE, messages)))
    running = [Settlement(claim, Verdict.DONE) for claim in claims if claim.outcome is Outcome.RUN]
    assert len(running) == BATCH
    return Cost(claim, timed(lambda: ledger.settle(owner, running)))


def _message(number: int, *, tagged: bool) -> Message:
    extensions = {"batchid": "01980a3e-5f3c-7abc-9def-0123456789ab/1", "digest": f"key1:{uuid4().hex}"}
    return Message.of({"n": number}, extensions=extensions if tagged else {})
