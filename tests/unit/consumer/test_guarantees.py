# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What is promised for each handler on each broker and ledger, and what never is."""

from __future__ import annotations

import itertools
import re
from dataclasses import asdict, replace
from typing import Any

import pytest

from tickrelay_consumer.durability import UNKNOWN, Durability, durability_of
from tickrelay_consumer.guarantees import BrokerFacts, Guarantee, LedgerFacts, guarantee
from tickrelay_consumer.handlers import Effect, Handler
from tickrelay_consumer.modes import Mode
from tickrelay_messaging.ledger.records import Retention

RABBIT = BrokerFacts(name="amqp", durable=True, has_lanes=True)
KAFKA = replace(RABBIT, name="kafka", keeps_scattered_acks=False)
MEMORY = BrokerFacts(name="memory", durable=False, has_lanes=True)
SAFE = Durability("synchronous=FULL")
SQLITE = LedgerFacts(name="sqlite", effects=frozenset({"external", "transaction"}), durability=SAFE)
REDIS = LedgerFacts(name="redis", effects=frozenset({"external", "redis"}), durability=SAFE)


def handler(**settings: Any) -> Handler:
    return Handler(function=lambda message, ctx: None, queue="orders", name="take", **settings)


def told(one: Guarantee) -> str:
    """All of its words."""
    return " ".join(str(value) for value in asdict(one).values())


def test_a_transaction_is_effect_once_and_leaves_no_window() -> None:
    """On a durable broker and a ledger that forgets nothing it confirmed."""
    one = guarantee(handler(effect=Effect.TRANSACTION), RABBIT, SQLITE)
    assert one.effect.startswith("effect once")
    assert ((), (), "at least once") == (one.windows, one.refused, one.delivery)


def test_a_transaction_on_another_kind_of_ledger_is_refused() -> None:
    """Effect and mark can't commit together there; it says what can be had."""
    one = guarantee(handler(effect=Effect.TRANSACTION), RABBIT, REDIS)
    assert ("effect='transaction' can't be had on this ledger; it has external, redis",) == one.refused


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (Mode.THREAD, "a thread can't be killed"),
        (Mode.PROCESS, "killed at 30 s, a hard deadline"),
        (Mode.ASYNCIO, "cancelled at 30 s"),
    ],
)
def test_where_it_runs_decides_what_a_deadline_means(mode: Mode, words: str) -> None:
    """And an external handler's windows are named: death between effect and mark, and the deadline."""
    one = guarantee(handler(mode=mode), RABBIT, SQLITE)
    assert words in one.runs
    assert 2 == len(one.windows)
    assert "between the effect and its mark: it is run again under the same key" in one.windows[0]


def test_a_batch_is_repeated_whole() -> None:
    """A killed batch has several effects to repeat."""
    one = guarantee(handler(batch=100), RABBIT, SQLITE)
    assert "its whole batch is run again" in one.windows[0]


def test_a_broker_that_keeps_nothing_is_a_window() -> None:
    """At least once needs somebody who remembers."""
    one = guarantee(handler(effect=Effect.TRANSACTION), MEMORY, SQLITE)
    assert "while the broker lives" in one.delivery
    assert any("die with it" in window for window in one.windows)


def test_a_ledger_that_may_forget_is_a_window() -> None:
    """With the setting it was read from; a transaction's promise depends on it too."""
    relaxed = durability_of("postgresql", {"synchronous_commit": "off", "fsync": "on"})
    one = guarantee(handler(effect=Effect.TRANSACTION), KAFKA, replace(SQLITE, durability=relaxed))
    assert any("synchronous_commit=off" in window for window in one.windows)
    assert any("no effect is repeated" in window for window in one.windows), "Kafka's unfinished offsets"


def test_how_long_duplicates_are_known() -> None:
    """The retention, in a unit that says something."""
    one = guarantee(handler(), RABBIT, SQLITE, Retention(dedup=3 * 86_400))
    assert "at least 3 days after it is done" in one.dedup


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("sqlite", {"synchronous": "2"}, ""),
        ("sqlite", {"synchronous": "1"}, "power failure"),
        ("postgresql", {"synchronous_commit": "on", "fsync": "on"}, ""),
        ("postgresql", {"synchronous_commit": "remote_apply", "fsync": "on"}, ""),
        ("postgresql", {"synchronous_commit": "local", "fsync": "on"}, "failover"),
        ("postgresql", {"synchronous_commit": "on", "fsync": "off"}, "damage"),
        ("mariadb", {"innodb_flush_log_at_trx_commit": "1"}, ""),
        ("mysql", {"innodb_flush_log_at_trx_commit": "2"}, "about 1 s"),
        ("redis", {"durability": "always"}, ""),
        ("redis", {"durability": "always", "wait": "2"}, ""),
        ("redis", {"durability": "always", "wait": "0"}, "failover"),
        ("rediss", {"durability": "relaxed"}, "had not written"),
        ("redis", {"durability": "assured"}, "nobody has checked"),
    ],
)
def test_settings_are_judged(kind: str, settings: dict[str, str], words: str) -> None:
    """A window only where a crash may undo what was confirmed."""
    judged = durability_of(kind, settings)
    assert words in judged.window
    assert bool(words) == bool(judged.window)


def test_who_was_not_asked_has_promised_nothing() -> None:
    """No settings, or an unknown store, is a window and never silence."""
    assert UNKNOWN == durability_of("sqlite", {}) == durability_of("strange", {"a": "b"})
    assert UNKNOWN.window


def test_nobody_is_promised_the_impossible() -> None:
    """In no combination: delivery is at least once."""
    ledgers = [
        replace(kind, durability=durability)
        for kind in (SQLITE, REDIS)
        for durability in (SAFE, UNKNOWN, durability_of("redis", {"durability": "relaxed"}))
    ]
    handlers = [handler(), handler(effect=Effect.TRANSACTION), handler(mode=Mode.PROCESS, batch=5)]
    for combination in itertools.product(handlers, (RABBIT, KAFKA, MEMORY), ledgers):
        one = guarantee(*combination)
        assert not re.search(r"exactly[- ]once", told(one), re.IGNORECASE)
        assert one.delivery.startswith("at least once")
