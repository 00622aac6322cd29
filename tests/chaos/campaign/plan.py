# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What one cell of the campaign is: a broker, a ledger, an effect, and how often who is killed."""

from __future__ import annotations

from dataclasses import dataclass

from tickrelay_messaging.failpoints import POINTS

QUEUE = "campaign"
EFFECTS = {
    "sqlite": "transaction",
    "postgresql": "transaction",
    "mariadb": "transaction",
    "redis": "redis",
    "redis-failover": "redis",
}
"""The strongest effect that each ledger takes part in."""
PUBLISHING = frozenset({"publish.before_send", "publish.after_confirm"})
IN_TRANSACTIONS = frozenset({"consumer.transaction.before_commit", "consumer.transaction.after_commit"})

LEAVE = "deed.leave"
"""Told to leave (SIGTERM), it must end with code 0."""
STOP = "deed.stop"
"""Stopped (SIGSTOP) until others have taken over, and let go on (SIGCONT): what it then brings must be refused."""
DEEDS = (LEAVE, STOP)

PER_MESSAGE = frozenset({"consumer.before_handler", "consumer.after_effect"})
"""Points passed once a message; the others once a batch or less."""
CHILDREN = PER_MESSAGE
"""Points at which child processes die."""
RARE = frozenset(
    {"consumer.after_reap", "consumer.draining", "consumer.after_park", "consumer.after_claim_due"}
)
"""Points at which the first hit must do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """
    Attributes:
        effect: transaction, redis or external.
        messages: at least so many are published, a share of them a kill.
        kills: SIGKILLs of consumers and publishers, each at a point of its own, round and round.
        each: how often every point of the path must have been hit.
        plant: a bug to put into every consumer, see `plants`; the cell must then find something.
        broker_kills: SIGKILLs of the broker in between.
        ledger_kills: deaths of the ledger's server in between.
        patience: seconds without any progress, nobody dying, after which what is missing counts as lost.
        batch: messages that a handler is called with; 0 for one by one. Nobody is stopped then: what a zombie begins
            after it wakes is no death's repetition.
        children: handlers run in child processes, which die at points of their own, `CHILDREN`.
        threads: that run handlers.
    """

    broker: str = "sqlite"
    ledger: str = "sqlite"
    effect: str = "transaction"
    messages: int = 1000
    kills: int = 30
    each: int = 1
    seed: int = 1
    workers: int = 3
    lease: float = 1.0
    plant: str = ""
    broker_kills: int = 0
    ledger_kills: int = 0
    deadline: float = 3600.0
    patience: float = 60.0
    batch: int = 0
    children: bool = False
    threads: int = 2

    @property
    def name(self) -> str:
        """For tables and folders."""
        kind = "-children" * self.children + "-batches" * bool(self.batch)
        return f"{self.broker}-{self.ledger}-{self.effect}{kind}"

    @property
    def points(self) -> list[str]:
        """Those on this cell's path, and what else is done to its consumers."""
        off = frozenset() if self.effect == "transaction" else IN_TRANSACTIONS
        off |= CHILDREN if self.children else frozenset()
        mine = [name for name in POINTS if name not in off and name.split(".")[0] in ("consumer", "publish")]
        return [*mine, *((LEAVE,) if self.batch else DEEDS)]

    @property
    def share(self) -> int:
        """Messages a kill."""
        return max(1, self.messages // max(1, self.kills))
