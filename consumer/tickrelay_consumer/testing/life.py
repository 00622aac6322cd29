# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
One life of the consumer under test: from its start to its death.

The same steps in the same order as the real one, by the same ledger and the same handlers, but in one thread and one
message at a time, so that every run of a test goes the same way.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tickrelay_consumer.context import Context
from tickrelay_consumer.engine.runners.calling import Attempt, MakeContext, contexts
from tickrelay_consumer.engine.shared import Limits, Load, Shared
from tickrelay_consumer.engine.work import Result, Work
from tickrelay_consumer.handlers import Effect, Handler
from tickrelay_consumer.metrics import Metrics
from tickrelay_consumer.testing.crashing import Crash
from tickrelay_messaging import envelope
from tickrelay_messaging.brokers import Broker, QueueSpec
from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.errors import ClaimLost, MessageError
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import Claim, Failure, Outcome, Verdict
from tickrelay_messaging.message import Message

SUSPECTS, DUE, NEW = range(3)


@dataclass(frozen=True, slots=True)
class Done:
    """
    A handler's call that came to its end and stays: its effect is there.

    Attributes:
        key: the idempotency key it was given.
    """

    handler: str
    message_id: str
    attempt: int
    key: str
    data: Any = field(hash=False)


class Life:
    """
    Args:
        reach: called with the name of each point it comes by; may raise `Crash`.
        clock: Unix seconds.
    """

    def __init__(
        self,
        handlers: Sequence[Handler],
        stores: tuple[Broker, Ledger],
        reach: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._handlers = handlers
        self._broker, self._ledger = stores
        self._reach = reach
        self._clock = clock
        self.done: list[Done] = []
        self._group = "default"
        self._ledger.reap()
        self._routes = {handler: handler.route(self._group) for handler in handlers}
        self._shared = Shared(
            broker=self._broker,
            ledger=self._ledger,
            group=self._group,
            limits=Limits(),
            metrics=Metrics(),
            owner=self._ledger.enroll("kit", self._routes.values()),
            load=Load(1),
            routes=tuple(self._routes.values()),
            name="kit",
        )
        queues = dict.fromkeys(handler.queue for handler in handlers)
        self._subscriptions = {queue: self._broker.subscribe(queue, self._group) for queue in queues}

    def work(self) -> bool:
        """Do one thing: a suspect first, then what is due, then what is new; False if there was nothing to do."""
        return any(self._work_due(handler, suspects=True) for handler in self._handlers) or (
            any(self._work_due(handler, suspects=False) for handler in self._handlers)
            or self._relay()
            or any(self._work_new(queue) for queue in self._subscriptions)
        )

    def end(self) -> None:
        """It takes leave, as at the end of a graceful stop."""
        self._ledger.retire(self._shared.owner)
        self.die()

    def die(self) -> None:
        """What it had not acknowledged goes back to the queue; the ledger is told nothing."""
        for subscription in self._subscriptions.values():
            subscription.close()

    def _relay(self) -> bool:
        """What handlers' transactions want published goes out."""
        outbox = getattr(self._ledger, "outbox", None)
        if outbox is None:
            return False
        found = outbox.take(self._shared.owner, 1)
        for one in found:
            self._broker.declare(QueueSpec(one.queue, (self._group,)))
            self._broker.publish(one.queue, [one.message])
            outbox.sent(self._shared.owner, [one.number])
        return bool(found)

    def _work_due(self, handler: Handler, *, suspects: bool) -> bool:
        route = self._routes[handler]
        limit = 1 if handler.batch is None or suspects else handler.batch
        claims = self._ledger.claim_due(self._shared.owner, route, limit, suspects=suspects)
        if claims:
            self._reach("consumer.after_claim_due")
            self._carry_out(handler, claims)
        return bool(claims)

    def _work_new(self, queue: str) -> bool:
        handlers = [handler for handler in self._handlers if handler.queue == queue]
        limit = max(handler.batch or 1 for handler in handlers)
        taken = self._subscriptions[queue].receive(limit)
        if not taken:
            return False
        self._reach("consumer.after_receive")
        good = [message for one in taken if (message := self._decode(handlers, one)) is not None]
        self._reach("consumer.after_decode")
        for handler in handlers:
            while self._claim_and_carry_out(handler, good):
                pass
        self._subscriptions[queue].acknowledge(taken)
        self._reach("consumer.after_acknowledge")
        return True

    def _decode(self, handlers: Sequence[Handler], delivery: Delivery) -> Message | None:
        try:
            message = envelope.decode(delivery.headers, delivery.body)
            message.data  # noqa: B018 - read for its error
        except MessageError as error:
            failure = Failure(type(error).__name__, str(error))
            for handler in handlers:
                self._ledger.bury(self._routes[handler], [delivery], failure)
            return None
        return message

    def _claim_and_carry_out(self, handler: Handler, messages: Sequence[Message]) -> bool:
        """Whether one of them was given back, so that it must be asked for again."""
        if not messages:
            return False
        claims = self._ledger.claim(self._shared.owner, self._routes[handler], messages, rule=handler.rule)
        self._reach("consumer.after_claim")
        mine = [claim for claim in claims if claim.outcome is Outcome.RUN]
        size = handler.batch or 1
        results = [
            result
            for at in range(0, len(mine), size)
            for result in self._carry_out(handler, mine[at : at + size])
        ]
        return any(result.verdict is Verdict.RELEASE for result in results)

    def _carry_out(self, handler: Handler, claims: Sequence[Claim]) -> list[Result]:
        works = [Work(claim, handler) for claim in claims]
        run = self._in_transaction if handler.effect is Effect.TRANSACTION else self._outside
        results = run(works)
        self._reach("consumer.before_settle")
        open_ones = [result for result in results if not result.settled]
        if open_ones:
            now = self._clock()
            self._ledger.settle(self._shared.owner, [result.settlement(now) for result in open_ones])
        self._reach("consumer.after_settle")
        return results

    def _outside(self, works: list[Work]) -> list[Result]:
        self._reach("consumer.before_handler")
        results = self._call(works, contexts(self._shared))
        self._note(results)
        self._reach("consumer.after_effect")
        return results

    def _in_transaction(self, works: list[Work]) -> list[Result]:
        claims = [work.claim for work in works]
        results: list[Result] = []
        with self._ledger.transaction(self._shared.owner, claims) as transaction:
            try:
                with transaction.message(claims):
                    self._reach("consumer.before_handler")
                    results = self._call(works, lambda work: Context(work.claim, transaction=transaction))
                    self._reach("consumer.after_effect")
                    _undo_if_failed(results)
                for result in results:
                    result.settled = True
            except _Undo:
                results = [
                    result if result.failure else Result(result.work, Verdict.RELEASE) for result in results
                ]
            except ClaimLost:
                results = [Result(work, Verdict.RELEASE) for work in works]
            self._reach("consumer.transaction.before_commit")
        self._note(results)
        self._reach("consumer.transaction.after_commit")
        return results

    def _call(self, works: list[Work], make_context: MakeContext) -> list[Result]:
        """Whatever the handler raises is its result; a crash isn't the handler's."""
        attempt = Attempt(works, make_context)
        try:
            returned = works[0].handler.function(*attempt.arguments())
            if inspect.isawaitable(returned):
                asyncio.run(_wait(returned))
        except Crash:
            raise
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything
            return attempt.raised(error)
        return attempt.returned()

    def _note(self, results: Sequence[Result]) -> None:
        for result in results:
            if result.verdict is Verdict.DONE:
                claim, handler = result.work.claim, result.work.handler
                key = Context(claim).idempotency_key
                message = claim.message
                self.done.append(Done(handler.name, message.id, claim.attempt, key, message.data))


class _Undo(Exception):
    """The handler failed: its share of the transaction is undone."""


def _undo_if_failed(results: Sequence[Result]) -> None:
    if any(result.failure for result in results):
        raise _Undo


async def _wait(returned: Any) -> Any:
    return await returned
