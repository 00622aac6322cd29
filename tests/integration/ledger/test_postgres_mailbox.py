# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The mailbox where writers work side by side: who follows it by its numbers misses nothing, and a taker holds one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest
from tests.services.postgres import Postgres, running_postgres

from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.envelope import encode
from tickrelay_messaging.ledger.postgres import PostgresLedger
from tickrelay_messaging.ledger.sql import mailbox as module
from tickrelay_messaging.testing.ledger_case import make

_WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with running_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def url(server: Postgres) -> str:
    """An empty database."""
    return server.new_database()


class Held:
    """Stands in for what a step of a transaction calls: the first call is done, and then holds its transaction open."""

    def __init__(self, call: Callable[..., object]) -> None:
        self._call = call
        self._first = threading.Lock()
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __call__(self, *arguments: object) -> object:
        done = self._call(*arguments)
        if self._first.acquire(blocking=False):
            self.reached.set()
            assert self.go_on.wait(30)
        return done


def put(ledger: PostgresLedger, name: str) -> None:
    message = make(name)
    ledger.mailbox.put("q", "g", [Delivery("q", "g", name, encode(message), message.body)])


def free(ledger: PostgresLedger, after: int = 0) -> list[tuple[int, str]]:
    return [(mail.number, mail.message.id) for mail in ledger.mailbox.free("q", "g", after=after)]


def test_a_slow_writer_is_not_overtaken(url, monkeypatch, eventually):
    """What got its number first becomes visible first, so a number seen has no unseen ones before it."""
    held = Held(module._INSERT.run)
    monkeypatch.setattr(module._INSERT, "run", held)
    with PostgresLedger(url) as ledger, psycopg.connect(url, autocommit=True) as spy:
        slow = threading.Thread(target=put, args=(ledger, "slow"))
        quick = threading.Thread(target=put, args=(ledger, "quick"))
        slow.start()
        assert held.reached.wait(30)
        quick.start()
        eventually(lambda: free(ledger) or spy.execute(_WAITING).fetchall()[0][0])
        seen = free(ledger)
        held.go_on.set()
        slow.join(30)
        quick.join(30)
        seen += free(ledger, after=seen[-1][0] if seen else 0)

    assert ["slow", "quick"] == [name for _, name in seen]


def test_one_taker_in_two_processes(url, monkeypatch, eventually):
    """Two that ask in one taker's name at the same moment, for different mail, get the same."""
    held = Held(module._held)
    with PostgresLedger(url) as ledger, psycopg.connect(url, autocommit=True) as spy:
        put(ledger, "a")
        put(ledger, "b")
        (first, _), (second, _) = free(ledger)
        monkeypatch.setattr(module, "_held", held)
        got: dict[int, list[str]] = {}

        def give(number: int) -> None:
            given = ledger.mailbox.give("q", "g", [(number, "taker")])
            got[number] = [mail.message.id for mail in given if mail]

        slow, quick = (threading.Thread(target=give, args=(number,)) for number in (first, second))
        slow.start()
        assert held.reached.wait(30)
        quick.start()
        eventually(lambda: got or spy.execute(_WAITING).fetchall()[0][0])
        held.go_on.set()
        slow.join(30)
        quick.join(30)

        assert {first: ["a"], second: ["a"]} == got
        assert [(second, "b")] == free(ledger)
