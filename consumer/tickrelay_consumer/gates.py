# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What holds a handler back: its breaker and its rate, in one place for fetcher, keeper and runners.

Who takes messages asks for room first, so they wait on the queue and not in hand. Who starts a handler asks once more,
since much may have happened in between; a message that may not start is released, which costs no attempt.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import structlog

from tickrelay_consumer.breaker import PLENTY, Circuit, CircuitOpen, Switch
from tickrelay_consumer.rate import Tokens
from tickrelay_messaging.errors import DeadLetter, RetryLater
from tickrelay_messaging.ledger.records import Verdict

if TYPE_CHECKING:
    from tickrelay_consumer.engine.work import Result, Work
    from tickrelay_consumer.handlers import Handler

log = structlog.get_logger("tickrelay.consumer")

LONGEST_WAIT = 1.0
"""Seconds after which who waits for room looks again."""

_WISHES = {DeadLetter.__name__, RetryLater.__name__}


class Observer(Protocol):
    """Told of each breaker's state."""

    def __call__(self, handler: Handler, read: Callable[[], Circuit]) -> None:
        """`read` answers at any time."""


class Gate:
    """
    One handler's breaker and rate. Thread-safe.

    A message that was claimed and not begun is *booked*: it counts against the room for further ones.
    """

    def __init__(self, handler: Handler, clock: Callable[[], float] = time.monotonic) -> None:
        self._handler = handler
        self._lock = threading.Lock()
        self._booked: set[bytes] = set()
        self.switch = Switch(handler.breaker, clock, self._tell) if handler.breaker else None
        self._tokens = Tokens(handler.rate, clock) if handler.rate else None

    def room(self) -> int:
        """How many messages may be taken for it now."""
        most = self.switch.room() if self.switch else PLENTY
        free = self._tokens.free() if self._tokens else PLENTY
        with self._lock:
            return max(0, min(most, free) - len(self._booked))

    def wait(self) -> float:
        """Seconds until there may be room."""
        waits = [one.wait() for one in (self.switch, self._tokens) if one is not None]
        return max(waits, default=0.0)

    def book(self, keys: Iterable[bytes]) -> None:
        """These were claimed."""
        with self._lock:
            self._booked.update(keys)

    def forget(self, keys: Sequence[bytes]) -> None:
        """These are in nobody's hands any more."""
        with self._lock:
            self._booked.difference_update(keys)
        if self.switch is not None:
            for key in keys:
                self.switch.forget(key)

    def start(self, key: bytes) -> bool:
        """Whether its handler may be called with this message now."""
        with self._lock:
            self._booked.discard(key)
        if self.switch is not None and not self.switch.start(key):
            return False
        if self._tokens is None or self._tokens.take():
            return True
        if self.switch is not None:
            self.switch.forget(key)
        return False

    def judge(self, result: Result) -> None:
        """An attempt has ended; where that shall cost nothing, its verdict becomes a release."""
        if (switch := self.switch) is None:
            return
        key, failure = result.work.claim.key, result.failure
        if result.verdict is Verdict.DONE:
            switch.succeed(key)
        elif failure is None or not self._is_fault(result):
            switch.forget(key)
        else:
            why = f"{failure.kind}: {failure.text}"[:200]
            free = switch.fail(key, why, at_once=failure.kind == CircuitOpen.__name__)
            # What may have had its effect all the same must stay known as such, so it costs its attempt.
            if free and not result.ambiguous:
                result.verdict, result.failure, result.delay = Verdict.RELEASE, None, 0.0

    def _is_fault(self, result: Result) -> bool:
        """Not the message's fault (it killed its process, say) nor a handler's wish: these tell nothing."""
        if result.verdict not in {Verdict.RETRY, Verdict.DEAD}:
            return False
        attempt = result.work.claim.attempt
        is_given_up_early = result.verdict is Verdict.DEAD and self._handler.retry.delay(attempt) is not None
        return not (is_given_up_early or (result.failure and result.failure.kind in _WISHES))

    def _tell(self, state: Circuit, why: str) -> None:
        say = log.warning if state is Circuit.OPEN else log.info
        handler = self._handler
        say(f"circuit breaker {state}", queue=handler.queue, handler=handler.name, why=why)


class Gates:
    """
    All gates of one consumer, empty where no handler has a breaker or a rate: then every question costs a look-up.

    A queue with several handlers waits as a whole, since a message is taken for all of them.
    """

    def __init__(self, handlers: Sequence[Handler] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self._gates = {
            handler: Gate(handler, clock) for handler in handlers if handler.breaker or handler.rate
        }
        self._of_queue: dict[str, list[Gate]] = {}
        for handler, gate in self._gates.items():
            self._of_queue.setdefault(handler.queue, []).append(gate)

    def __bool__(self) -> bool:
        return bool(self._gates)

    def room(self, queue: str) -> int:
        """How many messages may be taken from a queue now."""
        return min((gate.room() for gate in self._of_queue.get(queue, ())), default=PLENTY)

    def wait(self, queue: str) -> float:
        """Seconds after which it is worth asking again."""
        longest = max((gate.wait() for gate in self._of_queue.get(queue, ())), default=0.0)
        return min(LONGEST_WAIT, max(0.01, longest))

    def room_for(self, handler: Handler) -> int:
        """How many waiting messages may be claimed for one handler now."""
        gate = self._gates.get(handler)
        return PLENTY if gate is None else gate.room()

    def book(self, works: Sequence[Work]) -> None:
        """These were claimed."""
        if self._gates:
            for handler, keys in self._keys(works).items():
                self._gates[handler].book(keys)

    def forget(self, works: Sequence[Work]) -> None:
        """These came to an end, whatever it was."""
        if self._gates:
            for handler, keys in self._keys(works).items():
                self._gates[handler].forget(keys)

    def start(self, work: Work) -> bool:
        """Whether the handler may be called now; if not, the work is to be released."""
        gate = self._gates.get(work.handler)
        return gate is None or gate.start(work.claim.key)

    def judge(self, result: Result) -> Result:
        """To be called with each attempt's result as soon as it is there; the same, or one that costs no attempt."""
        gate = self._gates.get(result.work.handler)
        if gate is not None:
            gate.judge(result)
        return result

    def observe(self, observer: Observer) -> None:
        """Let somebody follow the breakers' states."""
        for handler, gate in self._gates.items():
            if (switch := gate.switch) is not None:
                observer(handler, lambda switch=switch: switch.state)  # type: ignore[misc]  # bound at once

    def notes(self) -> list[str]:
        """For people: which breakers aren't closed."""
        return [
            f"circuit breaker of {handler.name} is {gate.switch.state}; queue {handler.queue} waits"
            for handler, gate in self._gates.items()
            if gate.switch is not None and gate.switch.state is not Circuit.CLOSED
        ]

    def _keys(self, works: Sequence[Work]) -> dict[Handler, list[bytes]]:
        found: dict[Handler, list[bytes]] = {}
        for work in works:
            if work.handler in self._gates:
                found.setdefault(work.handler, []).append(work.claim.key)
        return found
