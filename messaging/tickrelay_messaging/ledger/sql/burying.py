# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Dead letters made of deliveries that can't be decoded: known by their place on the queue, kept byte for byte."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection

from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.ledger.hearing import Topic
from tickrelay_messaging.ledger.keys import key_of
from tickrelay_messaging.ledger.records import Failure, Route
from tickrelay_messaging.ledger.sql.buckets import live
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.endings import Ending, Endings
from tickrelay_messaging.ledger.sql.known import find_active, find_done
from tickrelay_messaging.ledger.sql.names import Names
from tickrelay_messaging.message import Message


def bury(database: Database, names: Names, route: Route, broken: Sequence[tuple[Delivery, Failure]]) -> None:
    """See `Ledger.bury`."""
    number, source = names.route(route), names.source(_source(route))
    with database.write() as connection:
        endings = Endings(database.clock(), "")
        # By key, as the same delivery may come twice.
        ends = {(ending := _ending(route, (number, source), what[0])).key: (ending, what) for what in broken}
        for ending, what in ends.values():
            _bury_one(connection, endings, ending, what)
        endings.write(connection)
    database.ring(Topic.OUTCOMES)


def _bury_one(
    connection: Connection, endings: Endings, ending: Ending, what: tuple[Delivery, Failure]
) -> None:
    delivery, failure = what
    keys = [ending.key]
    if find_active(connection, keys) or find_done(connection, live(connection), ending.route, keys):
        return
    payload = (ending.key, json.dumps(dict(delivery.headers)), delivery.body)
    endings.fail(ending.key, 0, "undecodable", failure)
    endings.die(ending, "undecodable", failure, payload)


def _source(route: Route) -> str:
    return f"/tickrelay/undecodable/{route.queue}"


def _ending(route: Route, numbers: tuple[int, int], delivery: Delivery) -> Ending:
    number, source = numbers
    name = delivery.headers.get("ce_id") or delivery.headers.get("ce-id") or f"position-{delivery.position}"
    message = Message(id=name, source=_source(route), body=delivery.body, content_type=None)
    key = key_of(route, message.source, f"{delivery.position}/{name}")
    return Ending(
        key,
        number,
        source,
        message,
        batch=delivery.headers.get("ce_batchid") or delivery.headers.get("ce-batchid"),
    )
