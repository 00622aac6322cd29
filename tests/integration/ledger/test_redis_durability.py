# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Which servers the Redis ledger refuses, and what a failover leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from tests.services.redis import RedisServer, emptied, running_server, wait_for

from tickrelay_messaging.errors import ConfigurationError, LedgerUnavailable
from tickrelay_messaging.ledger import open_ledger
from tickrelay_messaging.ledger.records import (
    DeadFilter,
    Outcome,
    Retention,
    Route,
    Settlement,
    State,
    Verdict,
)
from tickrelay_messaging.ledger.redis import RedisLedger
from tickrelay_messaging.testing.ledger_case import START, some

ROUTE = Route("orders", "default", "sync")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One that may hold a ledger, until a test changes a setting."""
    with running_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def bare(server: RedisServer) -> Iterator[redis.Redis]:
    """A client of the server, which is empty and as it was."""
    with emptied(server) as client:
        yield client
        for name, value in (
            ("appendonly", "yes"),
            ("appendfsync", "always"),
            ("maxmemory-policy", "noeviction"),
        ):
            client.config_set(name, value)
        wait_for(lambda: not client.info("persistence")["aof_rewrite_in_progress"])


def url_of(server: RedisServer, options: str = "", user: str = "") -> str:
    """Where its ledger is."""
    return f"redis://{user}127.0.0.1:{server.port}/0{options}"


def test_its_url_opens_it(server: RedisServer, bare: redis.Redis) -> None:
    """The first to come makes it, the next find it; another prefix is another ledger."""
    with open_ledger(url_of(server)) as first, open_ledger(url_of(server)) as second:
        assert isinstance(first, RedisLedger)
        assert first.id == second.id
    with open_ledger(url_of(server, "?prefix=other")) as other:
        assert other.id != first.id
    assert all(key.startswith((b"tickrelay:{ledger}:", b"other:{ledger}:")) for key in bare.scan_iter())


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("appendonly", "no", "CONFIG SET appendonly yes"),
        ("appendfsync", "everysec", "CONFIG SET appendfsync always"),
        ("maxmemory-policy", "volatile-lru", "CONFIG SET maxmemory-policy noeviction"),
    ],
)
def test_a_forgetful_server_is_refused(
    server: RedisServer, bare: redis.Redis, name: str, value: str, cure: str
) -> None:
    """By the setting that would lose what was confirmed, and how to change it; or by somebody's own wish not."""
    bare.config_set(name, value)
    with pytest.raises(ConfigurationError, match=cure):
        open_ledger(url_of(server))
    open_ledger(url_of(server, "?durability=relaxed")).close()


def test_a_server_that_hides_its_settings(server: RedisServer, bare: redis.Redis) -> None:
    """Nobody can know, so somebody must say it."""
    rights = {"keys": ["*"], "channels": ["*"], "categories": ["+@all"], "commands": ["-config"]}
    bare.acl_setuser("guest", enabled=True, passwords=["+pw"], **rights)
    with pytest.raises(ConfigurationError, match="durability=assured") as caught:
        open_ledger(url_of(server, user="guest:pw@"))
    assert "pw@" not in str(caught.value)
    open_ledger(url_of(server, "?durability=assured", "guest:pw@")).close()


def test_the_documented_rights_are_enough(server: RedisServer, bare: redis.Redis) -> None:
    """Those of docs/operations/redis-ledger.md, for everything a consumer does."""
    rights = {"keys": ["tickrelay:*"], "channels": ["tickrelay:*"], "categories": ["+@all", "-@dangerous"]}
    bare.acl_setuser("worker", enabled=True, passwords=["+pw"], commands=["+config|get", "+info"], **rights)
    with RedisLedger(url_of(server, "?wait=0", "worker:pw@")) as ledger:
        owner = ledger.enroll("one", [ROUTE])
        assert ledger.wait(0)
        done, dead = ledger.claim(owner, ROUTE, some(2))
        assert [True, True] == ledger.settle(
            owner, [Settlement(done, Verdict.DONE), Settlement(dead, Verdict.DEAD)]
        )
        assert 1 == ledger.dead_letters.replay(DeadFilter(), by="me")
        assert ["m1"] == [claim.message.id for claim in ledger.claim_due(owner, ROUTE, 5)]
        ledger.sweep({ROUTE.group: START}, Retention())
        ledger.retire(owner)


@pytest.mark.parametrize(
    ("options", "told"),
    [("?durability=never", "always, assured or relaxed"), ("?wait=x", "number"), ("?x=1", "x")],
)
def test_odd_urls_are_refused(server: RedisServer, options: str, told: str) -> None:
    """An option nobody understands isn't passed over."""
    with pytest.raises(ConfigurationError, match=told):
        open_ledger(url_of(server, options))


def test_a_refused_login_is_final(server: RedisServer, bare: redis.Redis) -> None:
    """Trying again doesn't help, and the password isn't told."""
    assert bare.ping()
    with pytest.raises(ConfigurationError) as caught:
        open_ledger(url_of(server, user="nobody:hunter2@"))
    assert "hunter2" not in str(caught.value)


def test_nobody_there() -> None:
    """A server that can't be reached may be there later."""
    with pytest.raises(LedgerUnavailable):
        open_ledger("redis://127.0.0.1:1/0?timeout=1")


def test_a_failover_loses_nothing_confirmed(tmp_path: Path) -> None:
    """What was claimed, parked or done with a replica waited for is on it when it's promoted; alone, nothing counts."""
    quick = {"repl-diskless-sync-delay": "0"}
    with running_server(tmp_path / "a", quick) as master:
        follow = {**quick, "replicaof": f"127.0.0.1 {master.port}"}
        with running_server(tmp_path / "b", follow) as replica, replica.client() as bare:
            wait_for(lambda: bare.info("replication")["master_link_status"] == "up")
            with RedisLedger(url_of(master)) as ledger:
                owner = ledger.enroll("one", [ROUTE])
                done, later, held = ledger.claim(owner, ROUTE, some(3))
                verdicts = [Settlement(done, Verdict.DONE), Settlement(later, Verdict.RETRY, START)]
                assert [True, True] == ledger.settle(owner, verdicts)
                master.server.kill()
                with pytest.raises(LedgerUnavailable):
                    ledger.settle(owner, [Settlement(held, Verdict.DONE)])
            bare.replicaof("NO", "ONE")
            with RedisLedger(url_of(replica, f"?id={ledger.id}")) as promoted:
                assert [Outcome.DUPLICATE, Outcome.PARKED, Outcome.PARKED] == [
                    claim.outcome for claim in promoted.claim(owner, ROUTE, some(3))
                ]
                assert [True] == promoted.settle(owner, [Settlement(held, Verdict.DONE)])
                assert [State.DONE] == [life.state for life in promoted.history.life("m2")]
            with (
                RedisLedger(url_of(replica, "?wait=1&timeout=1")) as alone,
                pytest.raises(LedgerUnavailable, match="0 of 1 replicas"),
            ):
                alone.renew(owner)
