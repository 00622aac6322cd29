# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
r"""
The ledger seam: what became of every message, and everything else that must outlive a process.

            claim                               settle
 (unknown) -------> claimed(owner, fence, lease) -------> done
                     |  ^      \
            failure  |  | due    \ too many attempts or crashes, undecodable, mismatch
                     v  |         v
              waiting(due, attempt)   dead(reason, attempts, stack) -> waiting (replay, counters reset) | discarded

`Ledger` is the path of a message; verbs take batches and cost one round trip each. The rooms beside it serve people and
DAGs: `dead_letters`, `batches`, `mailbox`, `assignments`, `history`, and `schedules` with `audit` (in the module
`schedules`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, Self

from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.ledger.assignments import Assignments
from tickrelay_messaging.ledger.mailbox import Mailbox
from tickrelay_messaging.ledger.records import (
    BatchInfo,
    Claim,
    DeadFilter,
    DeadGroup,
    DeadLetter,
    Due,
    Failure,
    KeyRule,
    Outgoing,
    Owner,
    Retention,
    Revocation,
    Route,
    Settlement,
    Swept,
)
from tickrelay_messaging.ledger.reports import Batch, BatchProgress, ConsumerRecord, Life, RouteStats
from tickrelay_messaging.ledger.schedules import Audit, Schedules
from tickrelay_messaging.message import Message

if TYPE_CHECKING:
    from sqlalchemy import Connection


class DeadLetters(ABC):
    """Messages that nobody will try again by itself. Every change is written to the audit trail."""

    @abstractmethod
    def list(self, where: DeadFilter, *, after: int = 0, limit: int = 50) -> list[DeadLetter]:
        """The dead letters that match, oldest first, without body and stack; `after` a number continues behind it."""

    @abstractmethod
    def show(self, number: int) -> DeadLetter | None:
        """One with everything kept of it, or None."""

    @abstractmethod
    def count(self, where: DeadFilter) -> int:
        """How many match."""

    @abstractmethod
    def groups(self, where: DeadFilter) -> Sequence[DeadGroup]:
        """Those that match, by handler, reason and kind of error; the largest group first."""

    @abstractmethod
    def replay(self, where: DeadFilter, *, by: str) -> int:
        """
        Let the handler that failed try again, its attempts and crashes counted anew; the broker isn't asked.

        Returns:
            how many were set to waiting. What somebody else has replayed meanwhile isn't counted.
        """

    @abstractmethod
    def discard(self, where: DeadFilter, *, by: str, reason: str) -> int:
        """Give up on them for good; they stay known, so that a duplicate doesn't bring them back."""


class Batches(ABC):
    """What publishing tasks put on queues, and how far their handlers are."""

    @abstractmethod
    def open(self, info: BatchInfo) -> int:
        """Begin, or begin again: returns 1 for the first try, 2 for the next."""

    @abstractmethod
    def close(self, batch: str, ordinal: int, *, count: int, already_done: int = 0) -> None:
        """The publisher has had all its messages confirmed; `count` distinct ids."""

    @abstractmethod
    def progress(self, batch: str, group: str) -> list[BatchProgress]:
        """
        A row for each handler of that group of the batch's queue, as the consumer that joined it last has them; empty
        while no consumer was ever seen.
        """

    @abstractmethod
    def find(
        self, *, dag_id: str, run_id: str, task_id: str | None = None, map_index: int | None = None
    ) -> list[Batch]:
        """The batches of a DAG run, or of one of its tasks; oldest first."""

    @abstractmethod
    def known(self, queue: str, messages: Sequence[Message]) -> int:
        """How many of these are done already in every handler known for the queue."""


class History(ABC):
    """For people: what became of a message, and how the handlers are doing."""

    @abstractmethod
    def life(self, message_id: str) -> list[Life]:
        """A message's life, an entry a handler; empty if no consumer has seen it."""

    @abstractmethod
    def lives(self, batch: str, *, after: int = 0, limit: int = 100) -> list[Life]:
        """
        The messages of a batch (of all its tries): first those that haven't come to an end, then the others in the
        order they ended; `after` the number of the last one seen continues behind it.
        """

    @abstractmethod
    def stats(self) -> list[RouteStats]:
        """A row for each handler known."""

    @abstractmethod
    def consumers(self) -> list[ConsumerRecord]:
        """Consumers alive, and those that died with claims still theirs."""


class Revocations(ABC):
    """
    Messages that their schedule took back. Asked at every claim and again when something is due; claimed is too late.

    A message that comes again with a generation no revocation covers replaces the revoked record, never a done one.
    """

    @abstractmethod
    def revoke(self, revocation: Revocation) -> int:
        """Take back from now on (`at` and `number` are the ledger's to give), audited; returns its number."""

    @abstractmethod
    def lift(self, number: int, *, by: str) -> bool:
        """Take the revocation itself back, audited; what it has caught stays revoked. False if there is none."""

    @abstractmethod
    def list(self, schedule: str | None = None) -> list[Revocation]:
        """Those in force, oldest first."""


class Steps(ABC):
    """What `external` handlers have got done within one message, kept until the message comes to its end."""

    @abstractmethod
    def get(self, claim: Claim) -> dict[str, bytes]:
        """Results by step name."""

    @abstractmethod
    def put(self, owner: Owner, claim: Claim, name: str, result: bytes) -> None:
        """
        Remember one durably; a name that is known keeps its first result.

        Raises:
            ClaimLost: the fence has moved on.
        """


class Outbox(ABC):
    """Messages of handlers' transactions on their way to the broker. Rows are marked; there is no cursor."""

    @abstractmethod
    def take(self, owner: Owner, limit: int) -> list[Outgoing]:
        """The oldest that no live owner has taken; they are this owner's until it marks them, releases them or dies."""

    @abstractmethod
    def sent(self, owner: Owner, numbers: Sequence[int]) -> None:
        """The broker has confirmed them: they are gone from here."""

    @abstractmethod
    def release(self, owner: Owner, numbers: Sequence[int]) -> None:
        """Not confirmed: somebody may take them again."""

    @abstractmethod
    def count(self) -> int:
        """How many wait."""


class Transaction(Protocol):
    """Business writes and done-marks that commit together; see `Ledger.transaction`."""

    @property
    def connection(self) -> Connection:
        """For the handler's own statements. It neither commits nor rolls back."""

    def message(self, claims: Sequence[Claim]) -> AbstractContextManager[None]:
        """
        Carry out one message (or one batch of a batch handler) inside the transaction.

        On a clean exit its done-mark is staged; on an exception everything inside is undone, and the rest stays.

        Raises:
            ClaimLost: another consumer has taken one of them over; nothing was done.
        """

    def publish(self, queue: str, messages: Sequence[Message]) -> None:
        """Put messages in the outbox: they go out once this transaction has committed, and never if it doesn't."""

    def abort(self) -> None:
        """Undo everything, from any thread: for a handler that hangs. The connection is of no use afterwards."""


class Ledger(ABC):
    """
    A connection to one ledger. Thread-safe.

    Attributes:
        id: the ledger's own id, made when it was created; messages carry it, so that two sides with different ledgers
            notice.
        effects: what handlers may promise on it: "external", and "transaction" or "redis".
    """

    id: str
    effects: frozenset[str]
    dead_letters: DeadLetters
    batches: Batches
    mailbox: Mailbox
    history: History
    revocations: Revocations
    steps: Steps
    outbox: Outbox
    assignments: Assignments
    schedules: Schedules
    audit: Audit

    @abstractmethod
    def now(self) -> float:
        """
        Unix seconds by the store's clock, which all its users share; what `Settlement.due` and `Due.at` go by. Cheap.

        Raises:
            LedgerUnavailable: it has to be asked, and doesn't answer.
        """

    @abstractmethod
    def enroll(self, name: str, routes: Iterable[Route], *, lease: float = 30.0) -> Owner:
        """Become an owner of claims for these routes."""

    @abstractmethod
    def renew(self, owner: Owner) -> None:
        """
        Stay alive; to be called at least every third of the lease.

        Raises:
            ClaimLost: taken for dead meanwhile, the claims are gone; enroll anew.
        """

    @abstractmethod
    def retire(self, owner: Owner) -> None:
        """Leave; whatever is still claimed is released."""

    @abstractmethod
    def reap(self) -> int:
        """
        Make the claims of dead owners suspects that run alone; a lone claim's death counts as a crash of its message,
        and the third makes it a dead letter.

        Returns:
            how many claims changed hands.
        """

    @abstractmethod
    def claim(
        self, owner: Owner, route: Route, messages: Sequence[Message], *, rule: KeyRule = KeyRule.NONE
    ) -> list[Claim]:
        """
        Ask for messages just received; answers in their order, in one round trip.

        A message with `deliver_at` ahead is parked until then. One that another live consumer has in hand is parked
        with it, so that it outlives that consumer. So whatever isn't RUN can be acknowledged at once.

        Args:
            rule: under `ORDER` and `STRICT` a message is RUN while all earlier ones of its key that haven't come to
                their end are claimed by the same owner, who carries them out in order and releases those behind one
                that failed; else it is parked behind them. Under `SINGLETON` it is SKIPPED while another is claimed.
                The ledger keeps the rule with the message.

        Raises:
            LedgerUnavailable: nothing was claimed.
            ClaimLost: the owner was taken for dead.
        """

    @abstractmethod
    def claim_due(
        self, owner: Owner, route: Route, limit: int, *, suspects: bool = False, ahead: float = 0.0
    ) -> list[Claim]:
        """
        Take up to `limit` waiting messages that are due, oldest first; those of an ordered key in their order, and only
        with all before them.

        Args:
            ahead: take also what will be due within so many seconds for the first time, by its `deliver_at`, which the
                caller waits for; nothing with a rule for its key.
            suspects: take the one that must run alone, whatever the limit, instead of the others; the caller runs
                nothing beside it.
        """

    @abstractmethod
    def due(self, routes: Sequence[Route]) -> Due:
        """What waits for these routes, and until when."""

    @abstractmethod
    def hold(self, owner: Owner, claims: Sequence[Claim]) -> list[bool]:
        """
        Store the payloads of claims that take long, so that the broker may forget them; they stay claimed.

        Returns:
            where True the delivery can be acknowledged; False where the fence has moved on.
        """

    @abstractmethod
    def sweep(self, marks: Mapping[str, float], retention: Retention) -> Swept:
        """
        Drop what nobody needs any more, bucket by bucket, never row by row.

        A bucket of done-marks of a group goes only when its end lies `retention.dedup` before both now and the
        group's mark, so a group that lags behind finds its duplicates still known. A group without a mark keeps all.

        Args:
            marks: by group, when the oldest message was published that its queues may still deliver; now if none.
        """

    @abstractmethod
    def settle(self, owner: Owner, settlements: Sequence[Settlement]) -> list[bool]:
        """
        End claims, in one durable round trip. False where the fence has moved on: that result was refused.

        Raises:
            LedgerUnavailable: nothing is known; settling again is safe.
        """

    @abstractmethod
    def bury(self, route: Route, deliveries: Sequence[Delivery], failure: Failure) -> None:
        """Make deliveries that can't be decoded dead letters, bytes kept; they may be acknowledged afterwards."""

    @abstractmethod
    def transaction(self, owner: Owner, claims: Sequence[Claim]) -> AbstractContextManager[Transaction]:
        """
        One transaction of the ledger's database for `effect="transaction"`; commits on a clean exit.

        Args:
            claims: those that may be carried out in it, through `Transaction.message`.

        Raises:
            ConfigurationError: this ledger is no SQL database.
        """

    @abstractmethod
    def wait(self, timeout: float | None) -> bool:
        """
        Wait until something may have become of a message (True) or `timeout` seconds are over (False).

        Costs no polling where the store allows. Each thread hears every change since its last call; its first call
        returns at once, as it may have missed one.
        """

    @abstractmethod
    def wait_for_work(self, owner: Owner, timeout: float | None) -> bool:
        """The same for waiting work: somebody parked, released or replayed a message. For one thread of the owner's."""

    @abstractmethod
    def close(self) -> None:
        """Release connections. Closing twice is no error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
