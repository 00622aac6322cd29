# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What goes into a ledger and comes out of it: plain records, the same for every store. Instants are Unix seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tickrelay_messaging.message import Message


class Outcome(StrEnum):
    """What a claim answers."""

    RUN = "run"
    """Yours: carry it out, then settle it with its fence."""
    DUPLICATE = "duplicate"
    """Already done, expired, revoked or discarded: acknowledge."""
    PARKED = "parked"
    """The ledger holds the payload (waiting, dead, or adopted into somebody's live claim): acknowledge."""
    MISMATCH = "mismatch"
    """A known id with another payload; it was made a dead letter: acknowledge."""
    EXPIRED = "expired"
    """Past its `expires`; recorded: acknowledge."""


class State(StrEnum):
    """Where a message stands with one handler."""

    CLAIMED = "claimed"
    WAITING = "waiting"
    DONE = "done"
    DEAD = "dead"
    DISCARDED = "discarded"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Verdict(StrEnum):
    """What a consumer settles a claim with."""

    DONE = "done"
    RETRY = "retry"
    """Wait until `due`, then again; counts an attempt."""
    DEAD = "dead"
    RELEASE = "release"
    """Not carried out; somebody else may at once. Counts no attempt."""


@dataclass(frozen=True, slots=True)
class Route:
    """Which handler of which group a message of a queue goes to. Deduplication is per (group, handler)."""

    queue: str
    group: str
    handler: str


@dataclass(frozen=True, slots=True)
class Owner:
    """
    A live consumer as the ledger knows it.

    Attributes:
        number: the ledger's own short id for it, never used twice.
        name: what people call it (host and pid, usually).
        lease: seconds after its last sign of life until its claims are up for takeover.
    """

    number: int
    name: str
    lease: float


@dataclass(frozen=True, slots=True)
class Claim:
    """
    One message in one handler's hands, or the reason why not.

    Attributes:
        key: 16 bytes that stand for (group, handler, source, id).
        fence: only grows for one key; a settlement with an older fence is refused.
        attempt: 1 for the first, one more after each failure of the handler.
        suspect: its consumer died before; run it alone, so that another death tells which message kills.
        held: the payload is in the ledger, so the broker needs no acknowledgement of it.
    """

    outcome: Outcome
    route: Route
    key: bytes
    message: Message
    fence: int = 0
    attempt: int = 1
    suspect: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed: the exception's class name, its text and its stack."""

    kind: str
    text: str
    stack: str = ""


@dataclass(frozen=True, slots=True)
class Settlement:
    """
    The end of a claim.

    Attributes:
        due: when to try again (`RETRY`), Unix seconds.
        failure: why it is retried or dead.
    """

    claim: Claim
    verdict: Verdict
    due: float = 0.0
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message nobody will try again by itself."""

    number: int
    route: Route
    message_id: str
    source: str
    reason: str
    error: str
    attempts: int
    crashes: int
    died_at: float
    stack: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadFilter:
    """Which dead letters: all given conditions hold. No condition means every one."""

    numbers: tuple[int, ...] = ()
    queue: str | None = None
    group: str | None = None
    handler: str | None = None
    message_id: str | None = None
    error: str | None = None
    """Part of the error's class name or text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchInfo:
    """
    What one run of a publishing task puts on a queue.

    Attributes:
        id: the same for every try of the task instance (`ids.TaskIdentity.batch`).
    """

    id: str
    queue: str
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    map_index: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchProgress:
    """
    How far one handler is with a batch.

    Attributes:
        count: distinct messages in it, or None while its publisher is still at it.
    """

    batch: str
    route: Route
    count: int | None
    done: int = 0
    dead: int = 0
    discarded: int = 0
    expired: int = 0
    revoked: int = 0

    @property
    def settled(self) -> bool:
        """Whether every message of the batch has come to its end, a good one or a bad one."""
        ended = self.done + self.dead + self.discarded + self.expired + self.revoked
        return self.count is not None and ended >= self.count

    @property
    def failed(self) -> int:
        """Messages whose end was a bad one."""
        return self.dead + self.discarded


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteStats:
    """One handler in numbers. The first four are what is there now, the rest counts since the ledger began."""

    route: Route
    claimed: int = 0
    waiting: int = 0
    dead: int = 0
    oldest_waiting: float | None = None
    done: int = 0
    retried: int = 0
    died: int = 0
    discarded: int = 0
    expired: int = 0
    revoked: int = 0
    duplicates: int = 0
    crashes: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """
    What waits for some routes.

    Attributes:
        at: when the first message that may run beside others is due (Unix seconds), None if there is none.
        suspects: how many messages are due that must run alone.
    """

    at: float | None = None
    suspects: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a message: when, what, and in words."""

    at: float
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """
    A message's life with one handler, as far as the ledger knows it; events oldest first.

    Attributes:
        number: its place in the history, to continue behind; 0 while it hasn't come to an end.
    """

    number: int
    message_id: str
    source: str
    route: Route
    state: State
    attempts: int
    batch: str | None
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch as recorded: what was published, by which task run, when, and how much of it."""

    info: BatchInfo
    ordinal: int
    opened_at: float
    closed_at: float | None
    count: int | None
    already_done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A message kept for a sensor."""

    number: int
    message: Message
    received_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerRecord:
    """A consumer as it last reported."""

    owner: Owner
    host: str
    pid: int
    started_at: float
    seen_at: float
    alive: bool
    claims: int
