# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Ask a broker and a ledger what promises depend on; who can't be asked is described by its URL's scheme."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

from tickrelay_consumer.commands import _console as console
from tickrelay_consumer.commands._options import open_broker, open_ledger
from tickrelay_consumer.durability import UNKNOWN, durability_of
from tickrelay_consumer.guarantees import BrokerFacts, LedgerFacts
from tickrelay_messaging.brokers.base import Broker
from tickrelay_messaging.brokers.urls import redact
from tickrelay_messaging.errors import TickrelayError
from tickrelay_messaging.ledger.base import Ledger

_BROKERS = {
    "memory": BrokerFacts(name="memory", durable=False, has_lanes=True),
    "sqlite": BrokerFacts(name="sqlite", durable=True, has_lanes=True),
    "kafka": BrokerFacts(name="kafka", durable=True, has_lanes=True, replay=True, keeps_scattered_acks=False),
    "amqp": BrokerFacts(name="amqp", durable=True, has_lanes=True),
    "redis": BrokerFacts(name="redis", durable=True, has_lanes=True),
}
_SQL = frozenset({"external", "transaction"})
_LEDGERS = {
    "sqlite": LedgerFacts(name="sqlite", effects=_SQL, durability=UNKNOWN, several_hosts=False),
    "postgresql": LedgerFacts(name="postgresql", effects=_SQL, durability=UNKNOWN),
    "mariadb": LedgerFacts(name="mariadb", effects=_SQL, durability=UNKNOWN),
    "redis": LedgerFacts(name="redis", effects=frozenset({"external", "redis"}), durability=UNKNOWN),
}
_SAME = {
    "amqps": "amqp",
    "rediss": "redis",
    "redis+sentinel": "redis",
    "postgres": "postgresql",
    "mysql": "mariadb",
}
_ASKED = {
    "sqlite": {"synchronous": "PRAGMA synchronous"},
    "postgresql": {"synchronous_commit": "SHOW synchronous_commit", "fsync": "SHOW fsync"},
    "mariadb": {"innodb_flush_log_at_trx_commit": "SELECT @@innodb_flush_log_at_trx_commit"},
}


def kind_of(url: str) -> str:
    """What stands behind a URL, by its scheme."""
    scheme = url.partition(":")[0].lower()
    return _SAME.get(scheme, scheme)


def broker_facts(url: str) -> BrokerFacts:
    """As asked, else as known."""
    known = _BROKERS.get(kind_of(url), BrokerFacts(name=kind_of(url), durable=False, has_lanes=False))
    try:
        with open_broker(url) as broker:
            return _of_broker(known, broker)
    except TickrelayError as error:
        console.warn(f"broker {redact(url)} can't be asked, so this goes by its kind: {error}")
        return known


def ledger_facts(url: str) -> LedgerFacts:
    """As asked, else as known."""
    kind = kind_of(url)
    known = _LEDGERS.get(kind, LedgerFacts(name=kind, effects=frozenset(), durability=UNKNOWN))
    try:
        with open_ledger(url) as ledger:
            return replace(
                known, effects=ledger.effects, durability=durability_of(kind, settings_of(url, ledger))
            )
    except TickrelayError as error:
        console.warn(f"ledger {redact(url)} can't be asked, so this goes by its kind: {error}")
        return known


def _of_broker(known: BrokerFacts, broker: Broker) -> BrokerFacts:
    able = broker.capabilities
    return replace(
        known,
        durable=able.durable,
        has_lanes=able.lanes,
        replay=able.replay,
        keeps_scattered_acks=able.keeps_scattered_acks,
        lanes={spec.name: spec.lanes for spec in broker.queues()},
    )


def settings_of(url: str, ledger: Ledger) -> Mapping[str, str]:
    """
    The store's own words: a SQL ledger is asked through its database.

    A Redis ledger has asked its server when it was opened, and refused one that doesn't do what the URL demands.
    """
    from sqlalchemy import text

    from tickrelay_messaging.ledger.sql import SqlLedger

    if isinstance(ledger, SqlLedger):
        asked = _ASKED.get(kind_of(url), {})
        return {name: str(ledger.database.scalar(text(query))) for name, query in asked.items()}
    if kind_of(url) == "redis":
        return {"durability": "always"} | dict(parse_qsl(urlsplit(url).query))
    return {}
