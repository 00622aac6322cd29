# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`effect="redis"`: what a handler writes and its done-mark, in one script."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from tests.services.redis import RedisServer, emptied, running_server

from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import DeadFilter, Outcome, Owner, Route, Settlement, Verdict
from tickrelay_messaging.ledger.redis import RedisLedger, commands
from tickrelay_messaging.testing.ledger_case import LEASE, Clock, make, some

ROUTE = Route("orders", "default", "sync")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests, emptied before each."""
    with running_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def bare(server: RedisServer) -> Iterator[redis.Redis]:
    """A client of the server, which is empty."""
    with emptied(server) as client:
        yield client


@pytest.fixture
def clock() -> Clock:
    """The ledger's clock."""
    return Clock()


@pytest.fixture
def ledger(server: RedisServer, bare: redis.Redis, clock: Clock) -> Iterator[Ledger]:
    """An empty ledger."""
    assert bare.dbsize() == 0
    with RedisLedger(f"redis://127.0.0.1:{server.port}/0", clock) as ledger:
        yield ledger


@pytest.fixture
def owner(ledger: Ledger) -> Owner:
    """A consumer."""
    return ledger.enroll("one", [ROUTE], lease=LEASE)


def test_effect_and_mark_are_one(ledger: Ledger, owner: Owner, bare: redis.Redis) -> None:
    """Each message's commands are carried out once, with its mark, whatever they are made of."""
    first, second = ledger.claim(owner, ROUTE, some(2))
    done = [
        Settlement(first, Verdict.DONE, commands=(("INCRBY", "total", 5), ("hset", "h", b"\xff", 1.5))),
        Settlement(second, Verdict.DONE, commands=(("RPUSH", "log", "a", "b"),)),
    ]
    assert [True, True] == ledger.settle(owner, done)
    assert [False, False] == ledger.settle(owner, done)
    assert (b"5", {b"\xff": b"1.5"}, 2) == (bare.get("total"), bare.hgetall("h"), bare.llen("log"))
    assert [Outcome.DUPLICATE] * 2 == [claim.outcome for claim in ledger.claim(owner, ROUTE, some(2))]
    assert "redis" in ledger.effects


def test_a_zombie_has_no_effect(ledger: Ledger, owner: Owner, clock: Clock, bare: redis.Redis) -> None:
    """Where the fence has moved on nothing is carried out."""
    (claim,) = ledger.claim(owner, ROUTE, some(1))
    clock.advance(LEASE + 1)
    assert 1 == ledger.reap()
    assert [False] == ledger.settle(owner, [Settlement(claim, Verdict.DONE, commands=(("INCR", "n"),))])
    assert not bare.exists("n")


def test_a_failing_command_stops_nobody_else(ledger: Ledger, owner: Owner, bare: redis.Redis) -> None:
    """Its message becomes a dead letter that says which and what stands; the others of the batch are done."""
    bare.set("text", "x")
    bad, worse, good = ledger.claim(owner, ROUTE, [make("bad", {"n": 1}), make("worse"), make("good")])
    settled = ledger.settle(
        owner,
        [
            Settlement(bad, Verdict.DONE, commands=(("INCR", "n"), ("INCR", "text"), ("INCR", "never"))),
            Settlement(worse, Verdict.DONE, commands=(("LPUSH", "text", "y"), ("INCR", "never"))),
            Settlement(good, Verdict.DONE, commands=(("INCR", "n"),)),
        ],
    )
    assert [True] * 3 == settled
    assert (b"2", 0) == (bare.get("n"), bare.exists("never"))
    letters = ledger.dead_letters.list(DeadFilter(kind="CommandRefused"))
    assert ["bad", "worse"] == [letter.message_id for letter in letters]
    assert "command 2 (INCR) failed after 1 were carried out" in letters[0].error
    assert "command 1 (LPUSH) failed after 0" in letters[1].error
    shown = ledger.dead_letters.show(letters[0].number)
    assert b'{"n":1}' == (shown.body if shown else b"")
    assert 1 == ledger.history.stats()[0].done


@pytest.mark.parametrize(
    "name", ["FLUSHALL", "select", "EVAL", "MULTI", "BLPOP", "CONFIG", "GET", "SHUTDOWN"]
)
def test_commands_that_dont_just_write_are_refused(ledger: Ledger, owner: Owner, name: str) -> None:
    """Nothing of the message is carried out; it's a dead letter that says why, and the others are done."""
    with pytest.raises(ConfigurationError, match=name.upper()):
        commands.packed([(name, "x")])
    bad, good = ledger.claim(owner, ROUTE, [make("bad"), make("good")])
    settled = ledger.settle(
        owner,
        [
            Settlement(bad, Verdict.DONE, commands=(("INCR", "n"), (name, "x"))),
            Settlement(good, Verdict.DONE, commands=(("INCR", "n"),)),
        ],
    )
    assert [True, True] == settled
    (letter,) = ledger.dead_letters.list(DeadFilter(kind="CommandRefused"))
    assert ("bad", True) == (letter.message_id, name.upper() in letter.error)
    assert 1 == ledger.history.stats()[0].done


def test_there_are_no_transactions(ledger: Ledger, owner: Owner) -> None:
    """Asked for one, the ledger says which have them; its outbox is empty."""
    with pytest.raises(ConfigurationError, match="postgresql"):
        ledger.transaction(owner, [])
    assert (0, []) == (ledger.outbox.count(), ledger.outbox.take(owner, 10))
