# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Settles what the workers finished and then acknowledges it: what has gathered meanwhile, in one round trip each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import attrgetter
from queue import Empty, SimpleQueue

from tickrelay_consumer.engine.acknowledging import Acknowledger
from tickrelay_consumer.engine.holding import Holder
from tickrelay_consumer.engine.shared import Shared, log
from tickrelay_consumer.engine.work import Result, Work, take_back
from tickrelay_messaging.errors import ServiceError
from tickrelay_messaging.failpoints import failpoint
from tickrelay_messaging.ledger.records import Verdict

_RELEASE = Verdict.RELEASE
_TRIES_WHEN_STOPPING = 3
_OWED_SECONDS = 1.0
"""Until an acknowledgement that failed is tried again."""


class Settler:
    """
    Args:
        claim_again: told of works that aren't settled but still this consumer's to look after.
        holder: told of works that aren't in hand any more.
        settled: told of works for which the ledger has answered.
    """

    def __init__(
        self,
        shared: Shared,
        claim_again: Callable[[Work], None],
        holder: Holder,
        settled: Callable[[Sequence[Work]], None],
    ) -> None:
        self._shared = shared
        self._settled = settled
        self._holder = holder
        self._claim_again = claim_again
        self._finished: SimpleQueue[Sequence[Result] | None] = SimpleQueue()
        self._acknowledger = Acknowledger(shared)

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
            if self._acknowledger:
                self._acknowledger.flush()

    def _gather(self) -> tuple[list[Result], bool]:
        """Wait for the first, then take what else is there without waiting."""
        found: list[Result] = []
        try:
            more = self._finished.get(timeout=_OWED_SECONDS if self._acknowledger else None)
            while more is not None:
                found += more
                if len(found) >= self._shared.limits.batch:
                    return found, False
                more = self._finished.get_nowait()
        except Empty:
            return found, False
        return found, True

    def _finish(self, results: Sequence[Result]) -> None:
        works = [result.work for result in results]
        self._shared.gates.forget(works)
        self._holder.remove(works)
        accepted = self._settle(results)
        self._settled(works)
        self._acknowledge(accepted)
        self._count(accepted)
        self._shared.progress = time.monotonic()
        self._shared.load.remove(len(results))

    def _settle(self, results: Sequence[Result]) -> list[Result]:
        """Those that the ledger accepted; the refused ones are claimed again."""
        failpoint("consumer.before_settle")
        open_ones = [result for result in results if not result.settled]
        answers = self._ask(open_ones)
        failpoint("consumer.after_settle")
        if all(answers):
            return list(results)
        refused = {result.work for result, ok in zip(open_ones, answers, strict=True) if not ok}
        for work in refused:
            self._refuse(work)
        return [result for result in results if result.work not in refused]

    def _ask(self, results: Sequence[Result]) -> list[bool]:
        """Ask until the ledger answers: without its word nothing is acknowledged. Settling twice is safe."""
        shared = self._shared
        attempt = 0
        while results:
            try:
                now = shared.ledger.now()
                return shared.ledger.settle(shared.owner, [result.settlement(now) for result in results])
            except ServiceError as error:
                attempt += 1
                shared.note_trouble("ledger", error, "can't settle", messages=len(results))
                if shared.stopping.is_set() and attempt > _TRIES_WHEN_STOPPING:
                    return [False] * len(results)
                time.sleep(min(5.0, 0.1 * 2 ** min(attempt, 6)))
        return []

    def _refuse(self, work: Work) -> None:
        route = work.claim.route
        self._shared.metrics.refused.labels(route.queue, route.group, route.handler).inc()
        log.warning("result refused: another consumer has taken over", message=work.claim.message.id)
        self._claim_again(work)

    def _acknowledge(self, accepted: Sequence[Result]) -> None:
        """What was released is only the broker's now, so it isn't acknowledged: whoever takes it next does that."""
        for result in accepted:
            if result.verdict is _RELEASE:
                self._claim_again(result.work)
        ended = [result.work for result in accepted if result.verdict is not _RELEASE]
        self._acknowledger.add(take_back(ended))
        self._acknowledger.flush()
        failpoint("consumer.after_acknowledge")

    def _count(self, results: Sequence[Result]) -> None:
        for handler, own in groupby(results, attrgetter("work.handler")):
            self._count_for((handler.queue, self._shared.group, handler.name), list(own))

    def _count_for(self, route: tuple[str, str, str], results: Sequence[Result]) -> None:
        metrics = self._shared.metrics
        verdicts = Counter([result.verdict for result in results])
        for verdict, number in verdicts.items():
            metrics.settled.labels(*route, verdict.value).inc(number)
        metrics.duration.observe(route, [one.seconds for one in results if one.seconds is not None])
        metrics.latency.observe(route, [one.late for one in results if one.late is not None])
        for result in results if Verdict.DEAD in verdicts else ():
            if result.verdict is Verdict.DEAD and (failure := result.failure):
                log.error(
                    "dead letter",
                    message=result.work.claim.message.id,
                    error=f"{failure.kind}: {failure.text}",
                )
