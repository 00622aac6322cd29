# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about revocations: what a schedule took back isn't carried out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import (
    BatchInfo,
    Due,
    KeyRule,
    Outcome,
    Owner,
    Revocation,
    Route,
    Settlement,
    State,
    Verdict,
)
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing.ledger_case import (
    FAILURE,
    START,
    Clock,
    LedgerCase,
    ids,
    in_thread,
    make,
    outcomes,
)

RUN, DUPLICATE, PARKED, REVOKED = Outcome.RUN, Outcome.DUPLICATE, Outcome.PARKED, Outcome.REVOKED


def tick(
    message_id: str,
    seconds: float = 0,
    *,
    schedule: str = "nightly",
    generation: int = 0,
    later: bool = False,
) -> Message:
    """A schedule's message of an instant: when it was published, or when it is to be delivered."""
    instant = datetime.fromtimestamp(START + seconds, UTC)
    extensions = {"scheduleid": schedule} | ({"generation": str(generation)} if generation else {})
    given = replace(make(message_id, generation), extensions=extensions, time=instant)
    return replace(given, deliver_at=instant, time=datetime.fromtimestamp(START, UTC)) if later else given


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(START + seconds, UTC).isoformat()


def taking_back(
    since: float = START - 100, until: float | None = None, *, schedule: str = "nightly", generation: int = 0
) -> Revocation:
    """Somebody's revocation."""
    return Revocation(
        schedule=schedule, since=since, until=until, generation=generation, by="ann", reason="holiday"
    )


class RevokingContract(LedgerCase):
    """`revocations`, at `claim`, at `claim_due` and for people."""

    def test_revoked_messages_dont_run(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """Recorded as an end and counted; other schedules and messages without one run."""
        ledger.revocations.revoke(taking_back())
        messages = [tick("a"), tick("b", schedule="weekly"), make("c")]
        assert [REVOKED, RUN, RUN] == outcomes(ledger.claim(owner, route, messages))
        assert (State.REVOKED, 1) == (self.state(ledger, "a"), self.stats(ledger, route).revoked)
        assert [DUPLICATE] == outcomes(ledger.claim(owner, route, messages[:1]))

    def test_instants_and_generations(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """From the first instant on, up to and without the last; a newer generation isn't meant."""
        ledger.revocations.revoke(taking_back(START + 10, START + 20, generation=1))
        messages = [tick("a", 9.5), tick("b", 10), tick("c", 19.5), tick("d", 20)]
        assert [RUN, REVOKED, REVOKED, RUN] == outcomes(ledger.claim(owner, route, messages))
        newer = [tick("e", 15, generation=1), tick("f", 15, generation=2)]
        assert [REVOKED, RUN] == outcomes(ledger.claim(owner, route, newer))
        assert [PARKED, REVOKED] == outcomes(
            ledger.claim(owner, route, [tick("g", 25, later=True), tick("h", 15, later=True)])
        )

    def test_by_tick(self, ledger: Ledger, clock: Clock, owner: Owner, route: Route) -> None:
        """One made so goes by the tick a message stands for, however late its work; others go by that."""
        late = {
            name: replace(message, extensions={**message.extensions, "tick": stated})
            for name, message, stated in (
                ("before", tick("before", 90, later=True), _instant(20)),
                ("after", tick("after", 90, later=True), _instant(50)),
                ("unsaid", tick("unsaid", 90, later=True), "yesterday"),
            )
        }
        assert [PARKED] * 3 == outcomes(ledger.claim(owner, route, list(late.values())))
        ledger.revocations.revoke(replace(taking_back(START + 50), by_tick=True))
        assert [True] == [one.by_tick for one in ledger.revocations.list()]
        clock.advance(100)
        ledger.renew(owner)
        assert ["before"] == ids(ledger.claim_due(owner, route, 10))
        again = replace(late["before"], id="again")
        assert [RUN] == outcomes(ledger.claim(owner, route, [again]))
        ledger.revocations.revoke(taking_back(START + 50))
        assert [REVOKED] == outcomes(ledger.claim(owner, route, [replace(again, id="one more")]))

    def test_what_waits_is_taken_back_at_once(
        self, ledger: Ledger, clock: Clock, owner: Owner, route: Route
    ) -> None:
        """Hours before it's due; nothing shows it as waiting any more, and its batch gets on."""
        tag = f"b/{ledger.batches.open(BatchInfo(id='b', queue=route.queue))}"
        ticks = [tick(f"m{n}", 60 * n, later=True) for n in (1, 2, 3)]
        tagged = [replace(one, extensions={**one.extensions, "batchid": tag}) for one in ticks]
        assert [PARKED] * 3 == outcomes(ledger.claim(owner, route, tagged))
        ledger.revocations.revoke(taking_back(START + 120))
        assert (Due(START + 60), 1) == (ledger.due([route]), self.stats(ledger, route).waiting)
        ledger.batches.close("b", 1, count=3)
        assert (2, False) == (
            self.progress(ledger, "b", route).revoked,
            self.progress(ledger, "b", route).settled,
        )
        clock.advance(300)
        ledger.renew(owner)
        assert ["m1"] == ids(ledger.claim_due(owner, route, 10))

    def test_claimed_is_too_late(self, ledger: Ledger, clock: Clock, owner: Owner, route: Route) -> None:
        """What somebody has in hand may be done; if it fails, it's taken back when it is due again."""
        done, fails = ledger.claim(owner, route, [tick("done"), tick("fails")])
        ledger.revocations.revoke(taking_back())
        self.end(ledger, owner, [done])
        assert [True] == ledger.settle(owner, [Settlement(fails, Verdict.RETRY, START + 1, FAILURE)])
        clock.advance(1)
        assert [] == ledger.claim_due(owner, route, 10)
        assert [State.DONE, State.REVOKED] == [self.state(ledger, name) for name in ("done", "fails")]

    def test_a_newer_generation_is_tried_where_the_older_failed(
        self, ledger: Ledger, clock: Clock, owner: Owner, route: Route
    ) -> None:
        """It came while the older was in somebody's hands, held or not; else both were gone."""
        ledger.claim(owner, route, [tick("held", 1, later=True)])
        clock.advance(2)
        claims = ledger.claim_due(owner, route, 10) + ledger.claim(owner, route, [tick("fresh", 1)])
        ledger.revocations.revoke(taking_back())
        newer = [tick("held", 1, generation=1, later=True), tick("fresh", 1, generation=1)]
        assert [PARKED, PARKED] == outcomes(ledger.claim(owner, route, newer))
        self.end(ledger, owner, claims, Verdict.RETRY)
        found = ledger.claim_due(owner, route, 10)
        assert ["fresh", "held"] == sorted(ids(found))
        assert {"1"} == {claim.message.extensions["generation"] for claim in found}
        assert [b"1", b"1"] == [claim.message.body for claim in found]

    def test_a_newer_generation_replaces(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """The revoked record, never a done one; the counters tell of the message once."""
        self.end(ledger, owner, ledger.claim(owner, route, [tick("done")]))
        ledger.revocations.revoke(taking_back())
        assert [REVOKED] == outcomes(ledger.claim(owner, route, [tick("a")]))
        newer = [tick("a", generation=1), tick("done", generation=1)]
        claims = ledger.claim(owner, route, newer)
        assert [RUN, DUPLICATE] == outcomes(claims)
        self.end(ledger, owner, claims[:1])
        stats = self.stats(ledger, route)
        assert (State.DONE, 0, 2) == (self.state(ledger, "a"), stats.revoked, stats.done)

    def test_a_newer_generation_replaces_what_waits(
        self, ledger: Ledger, clock: Clock, owner: Owner, route: Route
    ) -> None:
        """A retry of the old one is taken back when due: the new one mustn't be parked behind its payload and lost."""
        claims = ledger.claim(owner, route, [tick("a")])
        ledger.revocations.revoke(taking_back())
        ledger.settle(owner, [Settlement(claims[0], Verdict.RETRY, START + 1, FAILURE)])
        assert [PARKED] == outcomes(ledger.claim(owner, route, [tick("a", generation=1)]))
        clock.advance(1)
        assert [1] == [claim.message.data for claim in ledger.claim_due(owner, route, 10)]

    def test_lifting(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """What comes from then on runs; what was caught stays so until somebody brings it again."""
        number = ledger.revocations.revoke(taking_back())
        ledger.claim(owner, route, [tick("a")])
        assert [True, False] == [ledger.revocations.lift(number, by="bob") for _ in range(2)]
        assert State.REVOKED == self.state(ledger, "a")
        assert [RUN, RUN] == outcomes(ledger.claim(owner, route, [tick("b"), tick("a")]))

    def test_those_in_force_are_listed(self, ledger: Ledger, clock: Clock) -> None:
        """Oldest first, with who, when and why; of one schedule or of all."""
        first = ledger.revocations.revoke(taking_back(START, START + 9, generation=3))
        clock.advance(5)
        second = ledger.revocations.revoke(taking_back(schedule="weekly"))
        assert [first, second] == [one.number for one in ledger.revocations.list()]
        assert second > first
        (listed,) = ledger.revocations.list("nightly")
        assert replace(taking_back(START, START + 9, generation=3), at=START, number=first) == listed
        ledger.revocations.lift(first, by="bob")
        assert ["weekly"] == [one.schedule for one in ledger.revocations.list()]

    def test_followers_of_a_revoked_one_go_on(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """Under STRICT too, and whoever waits for work is told."""
        messages = [replace(tick("a"), key="k"), replace(make("b"), key="k")]
        first, second = ledger.claim(owner, route, messages, rule=KeyRule.STRICT)
        ledger.settle(owner, [Settlement(first, Verdict.RETRY, START + 60, FAILURE)])
        self.end(ledger, owner, [second], Verdict.RELEASE)
        assert [] == ledger.claim_due(owner, route, 10)
        while ledger.wait_for_work(owner, 0.2):
            pass

        def take_back() -> None:
            ledger.revocations.revoke(taking_back())

        thread = in_thread(take_back)
        assert ledger.wait_for_work(owner, self.patience)
        thread.join(self.patience)
        assert ["b"] == ids(ledger.claim_due(owner, route, 10))

    def test_hundreds_are_taken_back(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """However many wait."""
        ledger.claim(owner, route, [tick(f"m{n}", 60, later=True) for n in range(1_100)])
        ledger.revocations.revoke(taking_back())
        assert (0, 1_100) == (self.stats(ledger, route).waiting, self.stats(ledger, route).revoked)
