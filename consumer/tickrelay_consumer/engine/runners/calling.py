# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""From a call to its results, the same wherever the handler runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tickrelay_consumer.batching import BatchContext
from tickrelay_consumer.context import Context
from tickrelay_consumer.engine.runners.steps_port import LedgerSteps
from tickrelay_consumer.engine.shared import Shared
from tickrelay_consumer.engine.work import Call, Result, Work, failed, lateness
from tickrelay_consumer.handlers import Effect
from tickrelay_messaging.failpoints import failpoint
from tickrelay_messaging.ledger.records import Verdict

_DONE, _REDIS = Verdict.DONE, Effect.REDIS
MakeContext = Callable[[Work], Context]


def admit(shared: Shared, call: Call) -> tuple[Call, list[Result]]:
    """What of a call may begin now, and the results of what may not."""
    if shared.stopping.is_set():
        return [], [Result(work, Verdict.RELEASE) for work in call]
    if not shared.gates:
        return call, []
    allowed = [work for work in call if shared.gates.start(work)]
    if len(allowed) == len(call):
        return call, []
    begun = {id(work) for work in allowed}
    return allowed, [Result(work, Verdict.RELEASE) for work in call if id(work) not in begun]


def judge(shared: Shared, results: list[Result]) -> list[Result]:
    """To be called with each attempt's results as soon as they are there."""
    return [shared.gates.judge(result) for result in results] if shared.gates else results


class Attempt:
    """One call being made: what the handler is called with, and what its end means for each work."""

    def __init__(self, call: Call, make_context: MakeContext) -> None:
        self._call = call
        self.began = time.monotonic()
        self._late = [lateness(work.claim.message) for work in call]
        self._contexts = [make_context(work) for work in call]
        self._batch: BatchContext | None = None

    def arguments(self) -> tuple[Any, Any]:
        """Message and context, or those of a batch."""
        if self._call[0].handler.batch is None:
            return self._call[0].claim.message, self._contexts[0]
        messages = [work.claim.message for work in self._call]
        self._batch = BatchContext(messages, self._contexts)
        return messages, self._batch

    @property
    def failures(self) -> dict[int, BaseException]:
        """What a batch handler said of single messages, by their place."""
        return self._batch.failures if self._batch is not None else {}

    def returned(self) -> list[Result]:
        """The handler returned."""
        seconds, failures = time.monotonic() - self.began, self.failures
        return [
            failed(work, failures[place], seconds) if place in failures else self._done(place, seconds)
            for place, work in enumerate(self._call)
        ]

    def _done(self, place: int, seconds: float) -> Result:
        noted = self._contexts[place].commands
        return Result(self._call[place], _DONE, seconds, self._late[place], tuple(noted) if noted else ())

    def raised(self, error: BaseException) -> list[Result]:
        """The handler raised: nothing of it is done."""
        seconds, failures = time.monotonic() - self.began, self.failures
        return [failed(work, failures.get(place, error), seconds) for place, work in enumerate(self._call)]


def carry_out(call: Call, make_context: MakeContext) -> list[Result]:
    """Call a plain function. Whatever it raises is its result; what a failpoint before it raises is not."""
    failpoint("consumer.before_handler")
    if call[0].handler.batch is None:
        return [_carry_out_one(call[0], make_context)]
    attempt = Attempt(call, make_context)
    try:
        call[0].handler.function(*attempt.arguments())
        failpoint("consumer.after_effect")
    except BaseException as error:  # noqa: BLE001 - a handler may raise anything, and sys.exit() ends no thread
        return attempt.raised(error)
    return attempt.returned()


def _carry_out_one(work: Work, make_context: MakeContext) -> Result:
    """The same as an `Attempt`, at a third of its cost."""
    message = work.claim.message
    began, late = time.monotonic(), lateness(message)
    context = make_context(work)
    try:
        work.handler.function(message, context)
        failpoint("consumer.after_effect")
    except BaseException as error:  # noqa: BLE001 - as above
        return failed(work, error, time.monotonic() - began)
    commands = tuple(context.commands) if context.commands else ()
    return Result(work, _DONE, time.monotonic() - began, late, commands)


def contexts(shared: Shared) -> MakeContext:
    """Makes the contexts of `external` and `redis` handlers in this process."""
    steps = partial(LedgerSteps, shared)

    def make(work: Work) -> Context:
        if work.handler.effect is _REDIS:
            return Context(work.claim, records=True)
        return Context(work.claim, steps=steps)

    return make


def all_works(calls: Sequence[Call]) -> list[Work]:
    """Of all calls, in order."""
    return [work for call in calls for work in call]
