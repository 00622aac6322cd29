# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Batches in Redis."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tickrelay_messaging.ledger.base import Batches
from tickrelay_messaging.ledger.keys import key_of
from tickrelay_messaging.ledger.records import BatchInfo, Route
from tickrelay_messaging.ledger.redis.connecting import Store
from tickrelay_messaging.ledger.redis.names import Names
from tickrelay_messaging.ledger.redis.scripts import CLOSE_BATCH, KNOWN, OPEN_BATCH
from tickrelay_messaging.ledger.reports import Batch, BatchProgress
from tickrelay_messaging.message import Message

_CHUNK = 1_000
_ENDS = ("done", "dead", "discarded", "expired", "revoked", "skipped")


class RedisBatches(Batches):
    """See `base.Batches`."""

    def __init__(self, store: Store, names: Names) -> None:
        self._store = store
        self._names = names

    def open(self, info: BatchInfo) -> int:
        told = json.dumps(asdict(info))
        return int(self._store.run(OPEN_BATCH, info.id, _run(info.dag_id, info.run_id), told))

    def close(self, batch: str, ordinal: int, *, count: int, already_done: int = 0) -> None:
        self._store.run(CLOSE_BATCH, batch, ordinal, count, already_done)

    def progress(self, batch: str, group: str) -> list[BatchProgress]:
        tries = self._tries(batch)
        if not tries:
            return []
        newest = tries[-1]
        (number,) = self._store.read(("HGET", "names:batch", f"{batch}/{newest.ordinal}"))
        counts = counts_of(self._store, f"tally:{int(number)}") if number else {}
        return [
            BatchProgress(
                batch=batch,
                route=route,
                count=newest.count,
                **{name: counts.get((number, name), 0) for name in _ENDS},
            )
            for route, number in self._names.current(newest.info.queue, group).items()
        ]

    def find(
        self, *, dag_id: str, run_id: str, task_id: str | None = None, map_index: int | None = None
    ) -> list[Batch]:
        (ids,) = self._store.read(("SMEMBERS", "run:" + _run(dag_id, run_id)))
        found = [batch for name in ids for batch in self._tries(name.decode())]
        chosen = [
            batch
            for batch in found
            if task_id in (None, batch.info.task_id) and map_index in (None, batch.info.map_index)
        ]
        return sorted(chosen, key=lambda batch: (batch.opened_at, batch.info.id, batch.ordinal))

    def known(self, queue: str, messages: Sequence[Message]) -> int:
        routes = list(self._names.current(queue))
        if not routes:
            return 0
        chunks = [messages[at : at + _CHUNK] for at in range(0, len(messages), _CHUNK)]
        return sum(self._known_in_all(routes, chunk) for chunk in chunks)

    def _known_in_all(self, routes: Sequence[Route], messages: Sequence[Message]) -> int:
        remaining = list(messages)
        for route in routes:
            keys = [key_of(route, message.source, message.id) for message in remaining]
            letters = self._store.run(KNOWN, self._names.group(route.group), *keys)
            remaining = [one for one, letter in zip(remaining, letters, strict=True) if letter == ord("1")]
        return len(remaining)

    def _tries(self, batch: str) -> list[Batch]:
        (flat,) = self._store.read(("HGETALL", "batch:" + batch))
        found = [_batch(int(n), json.loads(kept)) for n, kept in zip(flat[::2], flat[1::2], strict=True)]
        return sorted(found, key=lambda one: one.ordinal)


def counts_of(store: Store, key: str) -> dict[tuple[int, str], int]:
    """Counters by route's number and name."""
    (flat,) = store.read(("HGETALL", key))
    counts = {}
    for place, number in zip(flat[::2], flat[1::2], strict=True):
        route, _, name = place.decode().partition(":")
        counts[(int(route), name)] = int(number)
    return counts


def _run(dag_id: str, run_id: str) -> str:
    return json.dumps([dag_id, run_id])


def _batch(ordinal: int, kept: dict[str, Any]) -> Batch:
    closed = kept.get("closed")
    return Batch(
        info=BatchInfo(**json.loads(kept["info"])),
        ordinal=ordinal,
        opened_at=float(kept["opened"]),
        closed_at=float(closed) if closed else None,
        count=int(kept["count"]) if closed else None,
        already_done=int(kept["already"]) if closed else 0,
    )
