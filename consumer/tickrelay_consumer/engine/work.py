# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What travels between the threads of the engine."""

from __future__ import annotations

import threading
import time
import traceback
from dataclasses import dataclass

from tickrelay_consumer.engine.shared import Shared, log
from tickrelay_consumer.handlers import Effect, Handler
from tickrelay_messaging.brokers.base import Delivery, Subscription
from tickrelay_messaging.errors import HandlerTimeout
from tickrelay_messaging.ledger.records import Claim, Failure, Settlement, Verdict
from tickrelay_messaging.message import Message

_counting = threading.Lock()


@dataclass(slots=True)
class Received:
    """
    A delivery and how many handlers still have it in hand; at none it is acknowledged.

    The fetcher counts up and the settler counts down, so both do it under one lock.
    """

    subscription: Subscription
    delivery: Delivery
    _open: int = 0

    def change(self, count: int) -> bool:
        """So many more handlers (fewer, if negative) have it in hand; returns whether none has now."""
        with _counting:
            self._open += count
            return self._open == 0


@dataclass(slots=True)
class Work:
    """
    A claim to carry out.

    Attributes:
        received: the delivery it came from; None if the ledger has the payload.
    """

    claim: Claim
    handler: Handler
    received: Received | None = None

    def take_received(self) -> Received | None:
        """The delivery, for the one who asks first; the payload is somebody else's to look after from then on."""
        with _counting:
            received, self.received = self.received, None
            return received


Call = list[Work]
"""What one call of a handler carries out: one work, or a batch handler's many. Never empty, all of one handler."""
Commands = tuple[tuple[str | bytes | int | float, ...], ...]


@dataclass(slots=True)
class Result:
    """
    What became of a work.

    Attributes:
        settled: it was settled already, in the handler's own transaction.
        seconds: how long the handler took; None if it wasn't called.
        late: seconds from the message's publication, or its `deliver_at`, to the handler's start.
        ambiguous: the attempt may have had its effect all the same: it ran past its timeout.
        commands: what is written with its done-mark in one script; see `Settlement`.
    """

    work: Work
    verdict: Verdict
    delay: float = 0.0
    failure: Failure | None = None
    settled: bool = False
    seconds: float | None = None
    late: float | None = None
    ambiguous: bool = False
    commands: Commands = ()

    def settlement(self, now: float) -> Settlement:
        """For the ledger; a retry is due `delay` seconds from `now` by its clock."""
        due = now + self.delay
        return Settlement(self.work.claim, self.verdict, due, self.failure, self.ambiguous, self.commands)


def lateness(message: Message) -> float | None:
    """Seconds since the message could have been started, if it says when that was."""
    instant = message.deliver_at or message.time
    return time.time() - instant.timestamp() if instant is not None else None


def failed(work: Work, error: BaseException, seconds: float) -> Result:
    """An attempt that raised: again later, or dead."""
    stack = "".join(traceback.format_exception(error, limit=-30))
    failure = Failure(type(error).__name__, _storable(_text(error)), _storable(stack))
    delay = work.handler.delay_after(error, work.claim.attempt)
    if delay is None:
        return Result(work, Verdict.DEAD, failure=failure, seconds=seconds)
    return Result(work, Verdict.RETRY, delay, failure, seconds=seconds)


def timed_out(shared: Shared, work: Work, seconds: float) -> Result:
    """An attempt whose handler is given up on."""
    route, timeout = work.claim.route, work.handler.timeout
    shared.metrics.timeouts.labels(route.queue, route.group, route.handler).inc()
    log.error("handler timed out", handler=route.handler, message=work.claim.message.id)
    error = HandlerTimeout(f"handler {route.handler!r} ran past its timeout of {timeout:g} s")
    result = failed(work, error, seconds)
    # A transaction was undone; anything else may have happened, or happen still.
    result.ambiguous = work.handler.effect is not Effect.TRANSACTION
    return shared.gates.judge(result)


def cut_short(work: Work, why: str, seconds: float) -> Result:
    """An attempt that was ended by no fault of its own: tried again at once, however many there were."""
    failure = Failure("CutShort", f"handler {work.handler.name!r} was ended in the middle: {why}")
    return Result(work, Verdict.RETRY, failure=failure, seconds=seconds, ambiguous=True)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - somebody else's class, and its message must still come to an end
        return "(its text can't be read)"


def _storable(text: str) -> str:
    """Lone surrogates, which file names and broken input bring along, are no text that a database takes."""
    return text.encode(errors="backslashreplace").decode()
