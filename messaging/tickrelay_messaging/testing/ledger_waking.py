# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about several processes: who gets what, and who hears of it when."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.envelope import encode
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import (
    BatchInfo,
    Claim,
    DeadFilter,
    Outcome,
    Owner,
    Route,
    Settlement,
    Verdict,
)
from tickrelay_messaging.testing._children import forked
from tickrelay_messaging.testing.ledger_case import FAILURE, Clock, LedgerCase, ids, in_thread, make, some

SOON = 0.5
"""Seconds within which a waiter hears; far below any polling, far above what a busy machine needs."""


class WakingContract(LedgerCase):
    """`wait`, `wait_for_work`, and processes beside each other."""

    def listen(self, wait: Callable[[float], bool], what: Callable[[], object]) -> float:
        """Seconds from the end of `what` until a thread that waits has heard of it."""
        heard: list[float] = []
        waiting = threading.Event()

        def hear() -> None:
            while wait(0.0):
                pass
            waiting.set()
            if wait(self.patience):
                heard.append(time.monotonic())

        thread = in_thread(hear)
        assert waiting.wait(self.patience)
        what()
        done = time.monotonic()
        thread.join(self.patience)
        assert heard, "nobody rang"
        return heard[0] - done

    def test_its_clock_is_everybodys(self, ledger: Ledger, clock: Clock) -> None:
        """What is due goes by it, whatever the hosts' clocks say."""
        before = ledger.now()
        clock.advance(7)
        assert (clock.now - 7, clock.now) == (before, ledger.now())
        with self.make_ledger() as real:
            assert abs(real.now() - time.time()) < 60

    def test_the_first_wait_returns_at_once(self, ledger: Ledger) -> None:
        """A thread may have missed something before it; then silence lasts as long as its timeout."""
        assert (True, False) == (ledger.wait(self.patience), ledger.wait(0.01))

    def test_outcomes_are_heard(self, ledger: Ledger, clock: Clock, owner: Owner, route: Route) -> None:
        """Whatever changes how far a batch is wakes who waits for outcomes, at once."""
        messages = some(6, "b/1")
        claims = ledger.claim(owner, route, messages)
        ledger.settle(owner, [Settlement(claims[5], Verdict.RETRY, clock.now)])
        mail = Delivery(route.queue, "g", "1", encode(make("mail")), b"1")
        changes: dict[str, Callable[[], object]] = {
            "done": lambda: self.end(ledger, owner, claims[:1]),
            "dead": lambda: self.end(ledger, owner, claims[1:2], Verdict.DEAD),
            "counted for a later try": lambda: ledger.claim(owner, route, some(1, "b/2")),
            "replayed": lambda: ledger.dead_letters.replay(DeadFilter(), by="me"),
            "closed": lambda: ledger.batches.close("b", 1, count=3),
            "buried": lambda: ledger.bury(route, [mail], FAILURE),
            "mail": lambda: ledger.mailbox.put(route.queue, "g", [mail]),
        }
        late = [name for name, change in changes.items() if self.listen(ledger.wait, change) > SOON]
        assert [] == late

    def test_poison_is_heard(
        self, ledger: Ledger, clock: Clock, owner: Owner, other: Owner, route: Route
    ) -> None:
        """A message that becomes a dead letter by its consumer's death is an outcome too."""
        self.claim_one(ledger, owner, route, "m")
        self.claim_one(ledger, other, route, "m")
        for crash in range(4):
            assert self.listen(ledger.wait, lambda: self.crash(ledger, clock)) < SOON
            if crash < 3:
                victim = ledger.enroll("victim", [route])
                assert ledger.claim_due(victim, route, 1, suspects=True)
        assert 1 == ledger.dead_letters.count(DeadFilter(queue=route.queue))

    def test_work_is_heard(
        self, ledger: Ledger, clock: Clock, owner: Owner, other: Owner, route: Route
    ) -> None:
        """Whatever is parked, released, retried or replayed wakes every consumer, at once."""
        first, second, third = ledger.claim(owner, route, some(3))
        changes: dict[str, Callable[[], object]] = {
            "adopted": lambda: ledger.claim(other, route, some(3)),
            "retried": lambda: ledger.settle(owner, [Settlement(first, Verdict.RETRY, clock.now, FAILURE)]),
            "released": lambda: self.end(ledger, owner, [second], Verdict.RELEASE),
            "replayed": lambda: self.die_and_replay(ledger, owner, third),
            "retired": lambda: ledger.retire(owner),
        }
        late = [
            name for name, change in changes.items() if self.listen(self.work(ledger, other), change) > SOON
        ]
        assert [] == late

    def die_and_replay(self, ledger: Ledger, owner: Owner, claim: Claim) -> None:
        """A dead letter and back."""
        self.end(ledger, owner, [claim], Verdict.DEAD)
        assert 1 == ledger.dead_letters.replay(DeadFilter(), by="me")

    def work(self, ledger: Ledger, owner: Owner) -> Callable[[float], bool]:
        """Waiting for work in the owner's name."""
        return lambda timeout: ledger.wait_for_work(owner, timeout)

    @pytest.mark.parametrize("what", ["outcomes", "work"])
    def test_other_processes_are_heard(self, route: Route, what: str) -> None:
        """A change in one process wakes another at once."""
        with self.make_ledger() as ledger:
            owner = ledger.enroll("one", [route])
            ledger.batches.open(BatchInfo(id="b", queue=route.queue))
            claim = self.claim_one(ledger, owner, route, "m")
            verdict = Verdict.DONE if what == "outcomes" else Verdict.RETRY
            go, tell = os.pipe()

            def work(say: Callable[[], None]) -> None:
                with self.make_ledger() as mine:
                    say()
                    os.read(go, 1)
                    mine.settle(owner, [Settlement(claim, verdict, failure=FAILURE)])
                say()

            with forked(work) as child:
                child.wait_until_said(self.patience)
                wait = ledger.wait if what == "outcomes" else self.work(ledger, owner)

                def settle_there() -> None:
                    os.write(tell, b"!")
                    child.wait_until_said(self.patience)

                assert self.listen(wait, settle_there) < SOON
                assert 0 == child.join()
            os.close(go)
            os.close(tell)

    def test_two_processes_share_the_messages(self, tmp_path: Path, route: Route) -> None:
        """Each message runs in one of them, once; what the other brings is parked or a duplicate."""
        rounds, size = 15, 40

        def work(name: str) -> Callable[[Callable[[], None]], None]:
            def claim_all(_: Callable[[], None]) -> None:
                with self.make_ledger() as mine, (tmp_path / name).open("w") as report:
                    owner = mine.enroll(name, [route])
                    for number in range(rounds):
                        wanted = [make(f"{number}-{n}") for n in range(size)]
                        claims = mine.claim(owner, route, wanted if name == "a" else wanted[::-1])
                        run = [claim for claim in claims if claim.outcome is Outcome.RUN]
                        self.end(mine, owner, run)
                        report.write(json.dumps(ids(run)) + "\n")

            return claim_all

        with self.make_ledger() as ledger, forked(work("a")) as first, forked(work("b")) as second:
            assert (0, 0) == (first.join(), second.join())
            reports = "".join((tmp_path / file).read_text() for file in ("a", "b"))
            ran = [name for line in reports.splitlines() for name in json.loads(line)]
            assert sorted(f"{number}-{n}" for number in range(rounds) for n in range(size)) == sorted(ran)
            assert rounds * size == self.stats(ledger, route).done

    def test_threads_share_what_is_due(
        self, ledger: Ledger, clock: Clock, owner: Owner, route: Route
    ) -> None:
        """Each waiting message is given to one of those who ask for it at once."""
        later = [
            Settlement(claim, Verdict.RETRY, clock.now) for claim in ledger.claim(owner, route, some(60))
        ]
        ledger.settle(owner, later)
        with ThreadPoolExecutor(4) as pool:
            taken = list(pool.map(lambda _: ledger.claim_due(owner, route, 7), range(12)))
        assert sorted(ids(later_claims(later))) == sorted(name for claims in taken for name in ids(claims))


def later_claims(settlements: list[Settlement]) -> list[Claim]:
    """What they were about."""
    return [settlement.claim for settlement in settlements]
