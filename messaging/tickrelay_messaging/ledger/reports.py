# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a ledger tells whoever looks: read from it, never given to it. Instants are Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass

from tickrelay_messaging.ledger.records import BatchInfo, Owner, Route, State


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
    skipped: int = 0

    @property
    def ends(self) -> dict[str, int]:
        """How many messages have come to each end, by its name; whoever lists or adds them up does it by this."""
        return {
            "done": self.done,
            "dead": self.dead,
            "discarded": self.discarded,
            "expired": self.expired,
            "revoked": self.revoked,
            "skipped": self.skipped,
        }

    @property
    def open(self) -> int | None:
        """How many haven't come to any; None while the publisher is still at it."""
        return None if self.count is None else max(0, self.count - sum(self.ends.values()))

    @property
    def settled(self) -> bool:
        """Whether every message of the batch has come to its end, a good one or a bad one."""
        return self.open == 0

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
    skipped: int = 0
    duplicates: int = 0
    crashes: int = 0


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
class ConsumerRecord:
    """A consumer as it last reported."""

    owner: Owner
    host: str
    pid: int
    started_at: float
    seen_at: float
    alive: bool
    claims: int
