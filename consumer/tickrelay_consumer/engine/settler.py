# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Settles what the workers finished and then acknowledges it: whatever has gathered meanwhile, in one round trip each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from tickrelay_consumer.engine.shared import Shared, log
from tickrelay_consumer.engine.work import Received, Result, Work
from tickrelay_messaging.brokers.base import Subscription
from tickrelay_messaging.errors import ServiceError
from tickrelay_messaging.failpoints import failpoint
from tickrelay_messaging.ledger.records import Verdict


class Settler:
    """
    Args:
        claim_again: told of deliveries whose result was refused.
    """

    def __init__(self, shared: Shared, claim_again: Callable[[Work], None]) -> None:
        self._shared = shared
        self._claim_again = claim_again
        self._finished: SimpleQueue[Sequence[Result] | None] = SimpleQueue()

    def put(self, results: Sequence[Result]) -> None:
        """Take over finished works, from any thread."""
        self._finished.put(results)

    def stop(self) -> None:
        """End `run` once everything put before is settled."""
        self._finished.put(None)

    def run(self) -> None:
        """Until stopped."""
        is_last = False
        while not is_last:
            results, is_last = self._gather()
            for at in range(0, len(results), self._shared.limits.batch):
                self._finish(results[at : at + self._shared.limits.batch])

    def _gather(self) -> tuple[list[Result], bool]:
        """Wait for the first, then take what else is there without waiting."""
        found: list[Result] = []
        more = self._finished.get()
        while more is not None:
            found += more
            if len(found) >= self._shared.limits.batch:
                return found, False
            try:
                more = self._finished.get_nowait()
            except Empty:
                return found, False
        return found, True

    def _finish(self, results: Sequence[Result]) -> None:
        accepted = self._settle(results)
        self._acknowledge([result.work.received for result in accepted if result.work.received])
        self._count(accepted)
        self._shared.progress = time.monotonic()
        self._shared.load.remove(len(results))

    def _settle(self, results: Sequence[Result]) -> list[Result]:
        """Those that the ledger accepted; the refused ones are claimed again."""
        failpoint("consumer.before_settle")
        open_ones = [result for result in results if not result.settled]
        answers = self._ask(open_ones)
        failpoint("consumer.after_settle")
        for result in (result for result, ok in zip(open_ones, answers, strict=True) if not ok):
            self._refuse(result)
        accepted = [result for result, ok in zip(open_ones, answers, strict=True) if ok]
        return accepted + [result for result in results if result.settled]

    def _ask(self, results: Sequence[Result]) -> list[bool]:
        """Ask until the ledger answers: without its word nothing is acknowledged. Settling twice is safe."""
        shared = self._shared
        attempt = 0
        while results:
            try:
                now = time.time()
                return shared.ledger.settle(shared.owner, [result.settlement(now) for result in results])
            except ServiceError as error:
                attempt += 1
                shared.metrics.service_errors.labels("ledger").inc()
                log.warning("can't settle; trying again", messages=len(results), error=str(error))
                if shared.stopping.is_set() and attempt > _TRIES_WHEN_STOPPING:
                    return [False] * len(results)
                time.sleep(min(5.0, 0.1 * 2 ** min(attempt, 6)))
        return []

    def _refuse(self, result: Result) -> None:
        route = result.work.claim.route
        self._shared.metrics.refused.labels(route.queue, route.group, route.handler).inc()
        log.warning("result refused: another consumer has taken over", message=result.work.claim.message.id)
        if result.work.received is not None:
            result.work.received.drop()
            self._claim_again(result.work)

    def _acknowledge(self, received: Sequence[Received]) -> None:
        by_subscription: dict[Subscription, list[Received]] = {}
        for one in received:
            if one.drop():
                by_subscription.setdefault(one.subscription, []).append(one)
        for subscription, finished in by_subscription.items():
            try:
                subscription.acknowledge([one.delivery for one in finished])
            except ServiceError as error:
                # They come again and are known as done then.
                log.warning("can't acknowledge", messages=len(finished), error=str(error))
        failpoint("consumer.after_acknowledge")

    def _count(self, results: Sequence[Result]) -> None:
        counted = Counter((result.work.claim.route, result.verdict) for result in results)
        for (route, verdict), number in counted.items():
            labels = (route.queue, route.group, route.handler)
            self._shared.metrics.settled.labels(*labels, verdict.value).inc(number)
        for result in results:
            self._observe(result)
            if result.verdict is Verdict.DEAD and result.failure is not None:
                log.error(
                    "dead letter", message=result.work.claim.message.id, error=f"{result.failure.kind}: {result.failure.text}"
                )

    def _observe(self, result: Result) -> None:
        route = result.work.claim.route
        labels = (route.queue, route.group, route.handler)
        if result.seconds is not None:
            self._shared.metrics.duration.labels(*labels).observe(result.seconds)
        if result.late is not None:
            self._shared.metrics.latency.labels(*labels).observe(result.late)


_TRIES_WHEN_STOPPING = 3
