# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The Redis ledger when its server is killed, flushed, full or slow to come back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import redis
from tests.services.redis import RedisServer, emptied, running_server

from tickrelay_messaging.brokers.redis.wire import Argument, Wire
from tickrelay_messaging.errors import BrokerUnavailable, LedgerLost, LedgerUnavailable, StorageFull
from tickrelay_messaging.ledger.records import (
    Claim,
    DeadFilter,
    Outcome,
    Retention,
    Route,
    Settlement,
    Verdict,
)
from tickrelay_messaging.ledger.redis import RedisLedger
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing.ledger_case import FAILURE, PATIENCE, START, Clock, make, some

ROUTE = Route("orders", "default", "sync")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server, which some tests kill and start again."""
    with running_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def bare(server: RedisServer) -> Iterator[redis.Redis]:
    """A client of the server, which is empty."""
    with emptied(server) as client:
        yield client


@pytest.fixture
def url(server: RedisServer, bare: redis.Redis) -> str:
    """Where an empty ledger is."""
    assert bare.dbsize() == 0
    return f"redis://127.0.0.1:{server.port}/0"


def test_a_killed_server_comes_back(server: RedisServer, url: str) -> None:
    """Calls fail while it's away; then they work again, scripts and all, and what was confirmed is known."""
    with RedisLedger(url) as ledger:
        owner = ledger.enroll("one", [ROUTE])
        claims = ledger.claim(owner, ROUTE, some(3))
        assert [True] == ledger.settle(owner, [Settlement(claims[0], Verdict.DONE)])
        assert ledger.wait(0)
        server.server.kill()
        with pytest.raises(LedgerUnavailable):
            ledger.settle(owner, [Settlement(claims[1], Verdict.DONE)])
        server.server.start(within=20)
        assert ledger.wait(PATIENCE), "a lost connection may have missed something"
        assert [False, True] == [ledger.settle(owner, [Settlement(c, Verdict.DONE)])[0] for c in claims[:2]]
        assert [Outcome.DUPLICATE, Outcome.DUPLICATE, Outcome.PARKED] == [
            claim.outcome for claim in ledger.claim(owner, ROUTE, some(3))
        ]


@pytest.mark.parametrize("what", ["received", "due"])
def test_an_answer_that_got_lost_is_given_again(url: str, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """A claim of which its owner never heard runs when it asks again; it mustn't be parked behind itself for ever."""
    with RedisLedger(url) as ledger:
        owner = ledger.enroll("one", [ROUTE])
        before = ledger.claim(owner, ROUTE, [make("in hand"), make("other")])
        if what == "due":
            ledger.settle(owner, [Settlement(before[1], Verdict.RETRY, START - 9e8)])

        def ask() -> list[Claim]:
            if what == "due":
                return ledger.claim_due(owner, ROUTE, 10)
            return ledger.claim(owner, ROUTE, some(2))

        with monkeypatch.context() as patch:
            whole = Wire.call

            def lose(self: Wire, *command: Argument, within: float | None = None) -> object:
                whole(self, *command, within=within)
                raise BrokerUnavailable("the answer got lost")

            patch.setattr(Wire, "call", lose)
            with pytest.raises(LedgerUnavailable):
                ask()
        again = ask()
        assert {Outcome.RUN} == {claim.outcome for claim in again}
        assert (["other"] if what == "due" else ["m0", "m1"]) == [claim.message.id for claim in again]
        hands = [Settlement(claim, Verdict.DONE) for claim in (before[0], *again)]
        assert [True] * len(hands) == ledger.settle(owner, hands)


def test_a_flushed_server_is_a_loss(url: str, bare: redis.Redis) -> None:
    """Whatever is asked next: no retry helps, and what is lost is told by name and number, as it was last seen."""
    with RedisLedger(url) as ledger:
        owner = ledger.enroll("one", [ROUTE])
        claims = ledger.claim(owner, ROUTE, some(5))
        ledger.settle(owner, [Settlement(claim, Verdict.RETRY, START, FAILURE) for claim in claims[:2]])
        ledger.settle(owner, [Settlement(claims[2], Verdict.DEAD, failure=FAILURE)])
        ledger.due([ROUTE])
        bare.flushall()
        lost = r"orders/default/sync: 2 waiting, 1 dead letters, 2 claimed"
        for ask in (
            lambda: ledger.claim(owner, ROUTE, some(1)),
            lambda: ledger.settle(owner, [Settlement(claims[3], Verdict.DONE)]),
            lambda: ledger.renew(owner),
            lambda: ledger.dead_letters.count(DeadFilter()),
        ):
            with pytest.raises(LedgerLost, match=lost) as caught:
                ask()
            assert not caught.value.retryable
        assert bare.dbsize() == 0, "nothing was written into the void"


def test_a_new_ledger_in_its_place_is_a_loss_too(url: str, bare: redis.Redis) -> None:
    """Who had the old one isn't fooled; and who names the ledger in the URL doesn't begin on another."""
    with RedisLedger(url) as ledger:
        bare.flushall()
        with pytest.raises(LedgerLost, match="no ledger is there"):
            RedisLedger(f"{url}?id={ledger.id}")
        with RedisLedger(url) as other, pytest.raises(LedgerLost, match=ledger.id):
            ledger.enroll("one", [ROUTE])
        with pytest.raises(LedgerLost, match=other.id):
            RedisLedger(f"{url}?id={ledger.id}")
        RedisLedger(f"{url}?id={other.id}").close()


def test_a_full_server_takes_no_more_but_lets_go(url: str, bare: redis.Redis) -> None:
    """Claiming and parking are refused as a whole; what is in hand can be settled, which makes room."""
    with RedisLedger(url) as ledger:
        owner = ledger.enroll("one", [ROUTE])
        claims = ledger.claim(owner, ROUTE, some(10))
        bare.config_set("maxmemory", bare.info("memory")["used_memory"] - 1000)
        try:
            with pytest.raises(StorageFull):
                ledger.claim(owner, ROUTE, [make("new")])
            assert [True] * 10 == ledger.settle(owner, [Settlement(claim, Verdict.DONE) for claim in claims])
        finally:
            bare.config_set("maxmemory", 0)
        assert [Outcome.RUN] == [claim.outcome for claim in ledger.claim(owner, ROUTE, [make("new")])]


def test_a_done_message_is_small(url: str, bare: redis.Redis) -> None:
    """At most 40 bytes each, with digest and batch, keys and all; each bucket's hashes are flat lists."""
    with RedisLedger(url) as ledger:
        owner = ledger.enroll("one", [ROUTE])
        for chunk in range(20):
            batch = [make(f"m-{chunk}-{n}", batch="b/1", digest=f"k:{chunk}-{n}") for n in range(500)]
            claims = ledger.claim(owner, ROUTE, batch)
            ledger.settle(owner, [Settlement(claim, Verdict.DONE) for claim in claims])
    marks = list(bare.scan_iter("tickrelay:{ledger}:d:*", count=1000))
    size = sum(bare.memory_usage(key, samples=0) or 0 for key in marks)
    assert size / 10_000 <= 40
    assert {b"listpack"} == {bare.object("encoding", key) for key in marks}
    assert 10_000 == sum(bare.hlen(key) for key in marks)


def test_buckets_go_whole(url: str, bare: redis.Redis) -> None:
    """No sooner than the rule says, in slices; an interrupted sweep is finished by the next. Nothing is left of it."""
    clock, retention = Clock(), Retention(dedup=3600, history=3600)
    with RedisLedger(url, clock) as ledger:
        owner = ledger.enroll("one", [ROUTE], lease=1e9)
        ledger.sweep({}, retention)
        for chunk in range(4):
            claims = ledger.claim(owner, ROUTE, [make(f"m-{chunk}-{n}") for n in range(500)])
            ledger.settle(owner, [Settlement(claim, Verdict.DONE) for claim in claims])
        clock.advance(1801 + 3600)
        assert 0 == ledger.sweep({"default": START}, retention).dedup_buckets
        assert 0 == ledger.sweep({}, retention).dedup_buckets
        bare.hset("tickrelay:{ledger}:going", "tickrelay:{ledger}:d:9:9:", 2_500)
        assert 1 == ledger.sweep({"default": clock.now}, retention).dedup_buckets
        assert [] == list(bare.scan_iter("tickrelay:{ledger}:d:*", count=1000))
        assert 0 == bare.hlen("tickrelay:{ledger}:going")
        assert [Outcome.RUN] == [claim.outcome for claim in ledger.claim(owner, ROUTE, [make("m-0-0")])]


def test_parked_messages_are_small(url: str, bare: redis.Redis) -> None:
    """10,000 that wait take less than 20 MB."""
    later = datetime.now(UTC) + timedelta(days=1)
    with RedisLedger(url) as ledger:
        owner = ledger.enroll("one", [ROUTE])
        before = bare.info("memory")["used_memory"]
        parked = [replace(Message.of("x" * 200, id=f"m{n}"), deliver_at=later) for n in range(10_000)]
        assert {Outcome.PARKED} == {claim.outcome for claim in ledger.claim(owner, ROUTE, parked)}
        assert bare.info("memory")["used_memory"] - before < 20_000_000
