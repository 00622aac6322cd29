# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What goes into a ledger and comes out of it: plain records, the same for every store. Instants are Unix seconds.

Nobody changes one. `Claim` and `Settlement` aren't frozen all the same: each message needs one of either, and frozen
ones take five times as long to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tickrelay_messaging.message import Message


class Outcome(StrEnum):
    """What a claim answers."""

    __hash__ = str.__hash__  # an Enum's own is written in Python, and each claim is counted

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
    REVOKED = "revoked"
    """Its schedule took it back before anybody began it; recorded: acknowledge."""
    SKIPPED = "skipped"
    """Another message of its key runs now, and the handler is a singleton; recorded: acknowledge."""


class KeyRule(StrEnum):
    """What messages of one key (`Message.key`) mean to each other, for one handler."""

    NONE = "none"
    ORDER = "order"
    """One after the other, in the order in which they were first claimed; a dead one is stepped over."""
    STRICT = "strict"
    """The same, but a dead one holds its followers up until it is replayed and done, or discarded."""
    SINGLETON = "singleton"
    """One at a time; what comes while another is claimed is skipped. Without a key: one at a time of the handler."""


class State(StrEnum):
    """Where a message stands with one handler."""

    CLAIMED = "claimed"
    WAITING = "waiting"
    DONE = "done"
    DEAD = "dead"
    DISCARDED = "discarded"
    EXPIRED = "expired"
    REVOKED = "revoked"
    SKIPPED = "skipped"


class Verdict(StrEnum):
    """What a consumer settles a claim with."""

    __hash__ = str.__hash__  # as with `Outcome`

    DONE = "done"
    RETRY = "retry"
    """Wait until `due`, then again; counts an attempt."""
    DEAD = "dead"
    RELEASE = "release"
    """Not carried out; somebody else may at once. Counts no attempt."""
    CRASHED = "crashed"
    """The process that carried it out died of it: waits until `due`; the third time makes it a dead letter (poison)."""


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


@dataclass(slots=True)
class Claim:
    """
    One message in one handler's hands, or the reason why not.

    Attributes:
        key: 16 bytes that stand for (group, handler, source, id).
        fence: only grows for one key; a settlement with an older fence is refused.
        attempt: 1 for the first, one more after each failure of the handler.
        suspect: its consumer died before; run it alone, so that another death tells which message kills.
        held: the payload is in the ledger, so the broker needs no acknowledgement of it.
        ambiguous: an earlier attempt may have had its effect: its consumer died, it crashed or ran past its timeout.
    """

    outcome: Outcome
    route: Route
    key: bytes
    message: Message
    fence: int = 0
    attempt: int = 1
    suspect: bool = False
    held: bool = False
    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed: the exception's class name, its text and its stack."""

    kind: str
    text: str
    stack: str = ""


@dataclass(slots=True)
class Settlement:
    """
    The end of a claim.

    Attributes:
        due: when to try again (`RETRY`, `CRASHED`), Unix seconds.
        failure: why it is retried or dead.
        ambiguous: the attempt may have had its effect all the same (`RETRY`): it ran past its timeout.
        commands: of `effect="redis"` (`DONE`): what is written in the same script as the done-mark, each a command's
            name and its arguments.
    """

    claim: Claim
    verdict: Verdict
    due: float = 0.0
    failure: Failure | None = None
    ambiguous: bool = False
    commands: tuple[tuple[str | bytes | int | float, ...], ...] = ()


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
    kind: str | None = None
    """The error's class name, all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadGroup:
    """Dead letters of one handler that died of the same: reason and the error's class name; one text as an example."""

    route: Route
    reason: str
    kind: str
    count: int
    oldest: float
    newest: float
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """
    How long a ledger remembers, in seconds.

    Attributes:
        dedup: a done message's id is known for at least so long, and longer while its group lags behind.
        history: how long what people read of it (`History`) is kept.
    """

    dedup: float = 86_400.0
    history: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Swept:
    """What `Ledger.sweep` dropped: whole buckets of done-marks, and of history."""

    dedup_buckets: int = 0
    history_buckets: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """
    Messages of a schedule taken back: instants (`deliver_at`, else `time`) in [since, until), generations up to this.

    Attributes:
        schedule: as in the messages' extension `scheduleid`.
        until: None for without end.
        generation: messages with a higher one (extension `generation`, 0 without) aren't meant.
        by_tick: go by the tick they stand for instead (`schedules.tick_of`), which may lie long before its work.
    """

    schedule: str
    since: float
    until: float | None = None
    generation: int = 0
    by: str = ""
    reason: str = ""
    at: float = 0.0
    number: int = 0
    by_tick: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message that a handler's transaction wants published."""

    number: int
    queue: str
    message: Message


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A message kept for a sensor."""

    number: int
    message: Message
    received_at: float
