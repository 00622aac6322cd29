# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the threads of one engine share: its settings, its connections, and how much is in hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakSet

import structlog

from tickrelay_consumer.gates import Gates
from tickrelay_consumer.metrics import Metrics
from tickrelay_messaging.brokers.base import Broker, Subscription
from tickrelay_messaging.errors import ServiceError
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import Owner, Retention, Route

log = structlog.get_logger("tickrelay.consumer")

LONGEST_PAUSE = 5.0
"""Seconds between two tries to reach a service that is away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    Bounds of one consumer process.

    Attributes:
        prefetch: most messages in hand, waiting or running.
        batch: most messages received, claimed or settled in one round trip.
        workers: threads that run `external` handlers; and as many child processes, if there are handlers for these.
        coroutines: `async def` handlers at a time.
        lease: seconds after its last sign of life until others take its claims over.
        grace: seconds that running handlers are given when the consumer stops.
        stuck: handlers past their timeout and still running, at which the process gives up and ends.
        dedup: seconds for which a message that has ended is known at least; see `Retention`.
        history: seconds for which the same is kept for people to read.
        deaf_after: seconds of silence after which it is asked whether messages wait; see `deaf`. `math.inf`: never.
        cures: new connections in a row that may bring nothing although messages wait; then the process gives up.
    """

    prefetch: int = 1024
    batch: int = 256
    workers: int = 4
    coroutines: int = 256
    lease: float = 30.0
    grace: float = 20.0
    stuck: int = 16
    dedup: float = 86_400.0
    history: float = 86_400.0
    deaf_after: float = 60.0
    cures: int = 3

    @property
    def retention(self) -> Retention:
        """`dedup` and `history`, as the ledger is told."""
        return Retention(dedup=self.dedup, history=self.history)


class Load:
    """How many messages are in hand, and a way to wait for it to fall."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._changed = threading.Condition()
        self._count = 0
        self._closed = False

    @property
    def count(self) -> int:
        """Messages in hand."""
        return self._count

    def add(self, count: int) -> None:
        """Take messages in hand whatever the intake says: for who has closed it."""
        with self._changed:
            self._count += count

    def remove(self, count: int) -> None:
        """Messages have left this process' hands."""
        with self._changed:
            self._count -= count
            self._changed.notify_all()

    def wait_for_room(self, timeout: float) -> int:
        """Wait until there is some room; returns it, 0 if there is none in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._count < self._most, timeout)
            return max(0, self._most - self._count)

    def admit(self, count: int, timeout: float) -> bool:
        """Take messages in hand, waiting while the intake is closed; False if it stays closed for too long."""
        with self._changed:
            admitted = self._changed.wait_for(lambda: not self._closed, timeout)
            self._count += count if admitted else 0
            return admitted

    def wait_until_empty(self, timeout: float) -> bool:
        """Wait until nothing is in hand; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count <= 0, timeout)

    def close_intake(self) -> None:
        """Admit nothing more, so that what is in hand runs out."""
        with self._changed:
            self._closed = True

    def open_intake(self) -> None:
        """Admit again."""
        with self._changed:
            self._closed = False
            self._changed.notify_all()


@dataclass(slots=True)
class Shared:
    """
    Attributes:
        owner: this process as the ledger knows it; replaced when it was taken for dead.
        stopping: set once, when the consumer shall take no more messages.
        gave_up: why the process must end, if it must.
        stuck: handlers that run past their timeout.
        reopen: makes another connection to the broker; None where the broker was handed over open.
        gates: what holds handlers back: breakers and rates.
        ended: subscriptions that were replaced: what they brought comes again, and isn't acknowledged on them.
        in_order: held from a claim until its messages are on their way, by whoever has handlers whose messages keep
            an order: what was claimed later must not begin before.
        deaf: what is known about queues whose subscription was found deaf, until it hears again.
    """

    broker: Broker
    ledger: Ledger
    group: str
    limits: Limits
    metrics: Metrics
    owner: Owner
    load: Load
    routes: tuple[Route, ...]
    name: str
    gates: Gates = field(default_factory=Gates)
    stopping: threading.Event = field(default_factory=threading.Event)
    gave_up: str = ""
    progress: float = field(default_factory=time.monotonic)
    stuck: int = 0
    reopen: Callable[[], Broker] | None = None
    ended: WeakSet[Subscription] = field(default_factory=WeakSet)
    deaf: dict[str, str] = field(default_factory=dict)
    in_order: threading.Lock = field(default_factory=threading.Lock)
    _enrolling: threading.Lock = field(default_factory=threading.Lock)
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def enroll_again(self, lost: Owner) -> None:
        """Taken for dead: whatever `lost` had is somebody else's now, so this process starts as somebody new."""
        try:
            with self._enrolling:
                if self.owner is lost and not self.stopping.is_set():
                    log.warning("taken for dead; enrolling anew", consumer=lost.name, lease=lost.lease)
                    self.owner = self.ledger.enroll(self.name, self.routes, lease=self.limits.lease)
                    self.metrics.enrolled_again.inc()
                    self.ledger.retire(lost)  # it holds nothing any more but its doorbell
        except ServiceError as error:
            self.note_trouble("ledger", error, "can't enroll")
            self.pause(3)

    def note_trouble(self, service: str, error: ServiceError, what: str, **more: object) -> None:
        """A service failed: the caller tries again, unless that can't help."""
        self.metrics.service_errors.labels(service).inc()
        log.warning("%s; trying again", what, error=str(error), **more)
        if not error.retryable:
            self.give_up(str(error))

    def note_stuck(self, change: int) -> None:
        """One more handler, or one less, still runs past its timeout; at too many of them the process ends."""
        with self._counting:
            self.stuck += change
            self.metrics.stuck.set(self.stuck)
        if self.stuck >= self.limits.stuck:
            self.give_up(
                f"{self.stuck} handlers hang past their timeout; a thread can't be ended, a process can"
            )

    def spawn(self, name: str, target: Callable[[], None]) -> threading.Thread:
        """A thread of ours that dies of a bug must not leave a consumer that looks alive."""

        def guarded() -> None:
            try:
                target()
            except BaseException as error:
                log.exception("a thread of the consumer died", thread=name)
                self.give_up(f"thread {name} died: {type(error).__name__}: {error}")

        thread = threading.Thread(target=guarded, name=f"tickrelay-{name}", daemon=True)
        thread.start()
        return thread

    def give_up(self, why: str) -> None:
        """End the process with an error, for its supervisor to start it afresh."""
        log.error("giving up", reason=why)
        self.gave_up = self.gave_up or why
        self.stopping.set()

    def pause(self, attempt: int) -> None:
        """Wait before trying a service again: 0.1, 0.2, 0.4 ... 5 s, or until stopping."""
        self.stopping.wait(min(LONGEST_PAUSE, 0.1 * 2 ** min(attempt, 10)))
