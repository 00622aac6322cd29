# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The kit: everything a handler needs, in this process and a temporary folder."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import text

from tickrelay_consumer.consumer import Consumer
from tickrelay_consumer.handlers import Effect, Handler
from tickrelay_consumer.testing.clock import Clock
from tickrelay_consumer.testing.crashing import Crash, CrashPoints
from tickrelay_consumer.testing.life import Done, Life
from tickrelay_messaging import envelope
from tickrelay_messaging.brokers import QueueSpec
from tickrelay_messaging.brokers.memory import MemoryBroker
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger.records import DeadFilter, DeadLetter
from tickrelay_messaging.ledger.sqlite import SqliteLedger
from tickrelay_messaging.message import Message

START = datetime(2026, 1, 1, tzinfo=UTC)
_MOST_ROUNDS = 100_000


class Kit:
    """
    A memory broker, a ledger in a temporary SQLite file, and a clock that stands still.

    The consumer's own broker and ledger aren't touched. Its breakers, rates, timeouts and limits don't apply: handlers
    run one message at a time in this thread, and retries come without jitter.

    Attributes:
        clock: the ledger's; `kit.clock.advance(3600)`.
        broker: the queues.
        ledger: what became of each message.
        crashes: how often the consumer died.

    Raises:
        ConfigurationError: a handler promises what a SQLite ledger can't keep.
    """

    def __init__(self, consumer: Consumer, *, start: datetime = START) -> None:
        self._handlers = [_steady(handler) for handler in consumer.handlers]
        self._stack = ExitStack()
        self._points = CrashPoints()
        self._done: list[Done] = []
        self.clock = Clock(start)
        self.crashes = 0

    def __enter__(self) -> Self:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tickrelay-kit-"))
        self._file = Path(folder) / "ledger.db"
        self.broker = self._stack.enter_context(MemoryBroker())
        self.ledger = SqliteLedger(self._file, self.clock)
        self._stack.callback(self._close)
        for handler in self._handlers:
            self.broker.declare(QueueSpec(handler.queue))
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def publish(self, queue: str, data: Any, **attributes: Any) -> Message:
        """Put a message on a queue; `attributes` as of `Message.of` (`id`, `key`, `deliver_at`...)."""
        message = replace(Message.of(data, **attributes), time=self.clock.now)
        self.broker.declare(QueueSpec(queue))
        self.broker.publish(queue, [message])
        return message

    def crash_at(self, name: str, *, hit: int = 1, times: int = 1) -> None:
        """
        Let the consumer die when it comes by a failpoint: what it has unfinished stays as a killed process leaves it.

        Args:
            name: one of `tickrelay_consumer.testing.POINTS`, such as `consumer.after_effect`.
            hit: at which passage, counted from now.
            times: at so many passages in a row.
        """
        self._points.plan(name, hit, times)

    def run(self) -> int:
        """
        Carry out all there is to do at this instant; a consumer that dies is started again, as a supervisor does.

        Returns:
            how many effects came about.

        Raises:
            AssertionError: a planned crash never came about, or there is no end to it.
        """
        before, life = len(self._done), self._begin()
        for _ in range(_MOST_ROUNDS):
            try:
                if not life.work():
                    break
            except Crash:
                self.crashes += 1
                life = self._begin_again(life)
        else:
            raise AssertionError(f"still not through after {_MOST_ROUNDS:,} rounds")
        life.end()
        self._done += life.done
        if missed := self._points.never_reached():
            raise AssertionError(f"the consumer never came by {', '.join(missed)}, so nothing was shown")
        return len(self._done) - before

    @property
    def effects(self) -> list[Done]:
        """
        Every handler's call whose effect is there, in order; one that was undone isn't.

        An external effect that happened twice is there twice, with the same `key`.
        """
        return list(self._done)

    @property
    def dead(self) -> list[DeadLetter]:
        """Dead letters, oldest first, with everything kept of them."""
        listed = self.ledger.dead_letters.list(DeadFilter(), limit=10_000)
        return [found for one in listed if (found := self.ledger.dead_letters.show(one.number))]

    @property
    def waiting(self) -> int:
        """Messages that wait in the ledger for a later instant."""
        return sum(row.waiting for row in self.ledger.history.stats())

    def messages(self, queue: str) -> list[Message]:
        """What is on a queue and not finished: published by the test, or by handlers for somebody else."""
        return [envelope.decode(one.headers, one.body) for one in self.broker.peek(queue, limit=10_000)]

    def sql(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """One statement in the ledger's database, committed: tables that handlers write to, and what is in them."""
        with self.ledger.database.write() as connection:
            result = connection.execute(text(statement), values)
            return [tuple(row) for row in result] if result.returns_rows else []

    def _close(self) -> None:
        self.ledger.close()

    def _begin(self) -> Life:
        return Life(self._handlers, (self.broker, self.ledger), self._points.reach, self.clock)

    def _begin_again(self, dead: Life) -> Life:
        """A killed process takes its connections along and says goodbye to nobody; so the ledger notices its death."""
        self._done += dead.done
        dead.die()
        self.ledger.close()
        self.ledger = SqliteLedger(self._file, self.clock)
        return self._begin()


def _steady(handler: Handler) -> Handler:
    if handler.effect not in {Effect.TRANSACTION, Effect.EXTERNAL}:
        raise ConfigurationError(
            f"handler {handler.name!r}: the kit's ledger is SQLite and has no effect={handler.effect.value!r}"
        )
    return replace(handler, retry=replace(handler.retry, jitter=0.0))
