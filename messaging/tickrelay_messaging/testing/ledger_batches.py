# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about batches: how far the handlers are, exactly, whatever is published or delivered twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import (
    BatchInfo,
    DeadFilter,
    Outcome,
    Owner,
    Route,
    Settlement,
    Verdict,
)
from tickrelay_messaging.testing.ledger_case import START, Clock, LedgerCase, make, outcomes, some


class BatchesContract(LedgerCase):
    """`batches`."""

    def open(self, ledger: Ledger, route: Route) -> str:
        """A batch's next try, as its messages name it."""
        return f"b/{ledger.batches.open(BatchInfo(id='b', queue=route.queue, dag_id='d', run_id='r', task_id='t'))}"

    def counts(self, ledger: Ledger, route: Route) -> tuple[int | None, int, int, int, int]:
        """Count, done, dead, discarded and expired of the newest try."""
        row = self.progress(ledger, "b", route)
        return row.count, row.done, row.dead, row.discarded, row.expired

    def test_a_batch_is_found(self, ledger: Ledger, clock: Clock, route: Route) -> None:
        """By run, task and map index, oldest first, with what its publisher said of it."""
        info = BatchInfo(id="b", queue=route.queue, dag_id="d", run_id="r", task_id="t", map_index=3)
        assert [1, 2] == [ledger.batches.open(info), ledger.batches.open(info)]
        ledger.batches.open(replace(info, id="c", task_id="u"))
        ledger.batches.close("b", 2, count=5, already_done=1)
        found = ledger.batches.find(dag_id="d", run_id="r", task_id="t", map_index=3)
        assert [(info, 1, None, None), (info, 2, 5, clock.now)] == [
            (batch.info, batch.ordinal, batch.count, batch.closed_at) for batch in found
        ]
        assert 3 == len(ledger.batches.find(dag_id="d", run_id="r"))
        assert [] == ledger.batches.find(dag_id="d", run_id="r", map_index=4)

    def test_progress_needs_a_consumer_and_a_batch(self, ledger: Ledger, route: Route) -> None:
        """Nobody knows how far a batch is that isn't there, or that no consumer was ever seen for."""
        assert [] == ledger.batches.progress("b", route.group)
        self.open(ledger, route)
        assert [] == ledger.batches.progress("b", route.group)

    def test_a_renamed_handler_is_not_waited_for(
        self, ledger: Ledger, owner: Owner, route: Route, clock: Clock
    ) -> None:
        """The handlers of a queue are those of the consumer that joined its group last."""
        messages = some(1, self.open(ledger, route))
        clock.advance(1)
        renamed = replace(route, handler="renamed")
        newcomer = ledger.enroll("newcomer", [renamed])
        self.end(ledger, newcomer, ledger.claim(newcomer, renamed, messages))
        ledger.batches.close("b", 1, count=1)
        assert [(renamed, True)] == [
            (row.route, row.settled) for row in ledger.batches.progress("b", route.group)
        ]
        assert 1 == ledger.batches.known(route.queue, messages)

    def test_a_batch_settles(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """Once its publisher has closed it and every message has come to an end, good or bad."""
        messages = some(4, self.open(ledger, route))
        done, dead, gone, late = ledger.claim(owner, route, messages)
        self.end(ledger, owner, [done])
        self.end(ledger, owner, [dead, gone], Verdict.DEAD)
        ledger.dead_letters.discard(DeadFilter(message_id="m2"), by="me", reason="")
        ledger.batches.close("b", 1, count=4)
        assert not self.progress(ledger, "b", route).settled
        self.end(ledger, owner, [late])
        row = self.progress(ledger, "b", route)
        assert (4, 2, 1, 1, 2, True) == (
            row.count,
            row.done,
            row.dead,
            row.discarded,
            row.failed,
            row.settled,
        )

    def test_an_open_batch_isnt_settled(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """While its publisher is at it, nobody knows how many messages it has."""
        self.end(ledger, owner, ledger.claim(owner, route, some(1, self.open(ledger, route))))
        row = self.progress(ledger, "b", route)
        assert (None, 1, False) == (row.count, row.done, row.settled)

    def test_an_empty_batch_settles(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """A task that found nothing to publish is done when it says so."""
        self.open(ledger, route)
        ledger.batches.close("b", 1, count=0)
        assert self.progress(ledger, "b", route).settled

    def test_each_handler_has_its_row(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """Handlers of the group count for themselves; other groups and queues don't matter."""
        other = replace(route, handler="other")
        ledger.enroll("more", [other, replace(route, group="audit"), replace(route, queue="elsewhere")])
        messages = some(2, self.open(ledger, route))
        ledger.batches.close("b", 1, count=2)
        self.end(ledger, owner, ledger.claim(owner, route, messages))
        self.end(ledger, owner, ledger.claim(owner, other, messages)[:1])
        rows = {row.route: (row.done, row.settled) for row in ledger.batches.progress("b", route.group)}
        assert {route: (2, True), other: (1, False)} == rows

    def test_a_second_try_of_what_is_done(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """All messages done before: their duplicates settle the new try, and redelivered ones change nothing."""
        self.end(ledger, owner, ledger.claim(owner, route, some(3, self.open(ledger, route))))
        again = some(3, self.open(ledger, route))
        ledger.batches.close("b", 2, count=3, already_done=3)
        assert (3, 0, 0, 0, 0) == self.counts(ledger, route)
        for _ in range(3):
            ledger.claim(owner, route, again)
        ledger.claim(owner, route, some(3, "b/1"))
        assert (3, 3, 0, 0, 0) == self.counts(ledger, route)
        assert 3 == self.stats(ledger, route).done

    def test_a_second_try_of_what_is_underway(
        self, ledger: Ledger, clock: Clock, owner: Owner, route: Route
    ) -> None:
        """Done, claimed, waiting, dead, discarded, expired: each counts for the newest try, once."""
        first = self.open(ledger, route)
        gone = replace(make("expired", batch=first), expires=datetime.fromtimestamp(START, UTC))
        names = ("done", "claimed", "waiting", "dead", "discarded")
        messages = [make(name, batch=first) for name in names]
        done, claimed, waiting, *dead = ledger.claim(owner, route, messages)
        ledger.claim(owner, route, [gone])
        self.end(ledger, owner, [done])
        self.end(ledger, owner, dead, Verdict.DEAD)
        ledger.settle(owner, [Settlement(waiting, Verdict.RETRY, clock.now)])
        ledger.dead_letters.discard(DeadFilter(message_id="discarded"), by="me", reason="")
        second = self.open(ledger, route)
        ledger.batches.close("b", 2, count=6)
        for _ in range(2):
            ledger.claim(
                owner, route, [replace(m, extensions={"batchid": second}) for m in (*messages, gone)]
            )
        assert (6, 1, 1, 1, 1) == self.counts(ledger, route)
        # The second try brought the claimed message again, so the ledger holds it now.
        self.end(ledger, owner, [claimed, *ledger.claim_due(owner, route, 10)])
        ledger.dead_letters.replay(DeadFilter(message_id="dead"), by="me")
        assert (6, 3, 0, 1, 1) == self.counts(ledger, route)
        self.end(ledger, owner, ledger.claim_due(owner, route, 10))
        assert (6, 4, 0, 1, 1) == self.counts(ledger, route)
        assert self.progress(ledger, "b", route).settled

    def test_both_tries_in_one_call(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """A consumer that was away finds both tries: what runs, expires or is known counts for the newer."""
        gone = replace(make("expired"), expires=datetime.fromtimestamp(START, UTC))
        self.end(ledger, owner, ledger.claim(owner, route, [make("done", batch="b/1")]))
        tries = [self.open(ledger, route), self.open(ledger, route)]
        ledger.batches.close("b", 2, count=3)
        both = [
            replace(m, extensions={"batchid": b}) for b in tries for m in (make("runs"), gone, make("done"))
        ]
        claims = ledger.claim(owner, route, [*both, *both])
        self.end(ledger, owner, [claim for claim in claims if claim.outcome is Outcome.RUN])
        assert (3, 2, 0, 0, 1) == self.counts(ledger, route)

    def test_a_second_try_of_a_mismatch(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """Its one dead letter counts for the newest try."""
        self.end(ledger, owner, ledger.claim(owner, route, [make("m", 1, digest="k:aa")]))
        for _ in range(2):
            bad = make("m", 2, digest="k:bb", batch=self.open(ledger, route))
            assert [Outcome.MISMATCH] == outcomes(ledger.claim(owner, route, [bad]))
        ledger.batches.close("b", 2, count=1)
        assert (1, 0, 1, 0, 0) == self.counts(ledger, route)

    def test_other_batches_take_nothing(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """A message that another batch, or an odd batch id, brings again stays with the one it came with."""
        self.end(ledger, owner, ledger.claim(owner, route, some(1, self.open(ledger, route))))
        for odd in ("c/9", "b/0", "b/²", "b/", "b", "/2", "b/2/3"):
            ledger.claim(owner, route, some(1, odd))
        assert (None, 1, 0, 0, 0) == self.counts(ledger, route)

    def test_known_means_done_everywhere(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """Only what every handler of the queue has done is done already."""
        messages = some(3)
        assert 0 == ledger.batches.known("nobody's", messages)
        self.end(ledger, owner, ledger.claim(owner, route, messages[:2]))
        assert 2 == ledger.batches.known(route.queue, messages)
        other = replace(route, handler="other")
        ledger.enroll("more", [other])
        assert 0 == ledger.batches.known(route.queue, messages)
        self.end(ledger, owner, ledger.claim(owner, other, messages[1:]))
        assert 1 == ledger.batches.known(route.queue, messages)
