# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A consumer that writes down each tick it carries out, and what it has written."""

from __future__ import annotations

import os
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import psycopg

from tests.services.process import Server
from tickrelay_airflow.cron import Cron

_CONSUMER = """
    import time
    from sqlalchemy import text
    from tickrelay_consumer import Consumer

    consumer = Consumer()
    EFFECT = text("INSERT INTO tick_effects (queue, tick, began) VALUES (:queue, :tick, :began)")

    def note(message, ctx):
        began = time.time()
        row = {"queue": ctx.route.queue, "tick": float(message.data["tick"]), "began": began}
        ctx.connection.execute(EFFECT, row)

    for queue in @@:
        consumer.handler(queue, effect="transaction")(note)
"""
_MAIN = "from tickrelay_consumer.commands import main; main()"


@dataclass(frozen=True, slots=True)
class Effect:
    """
    Attributes:
        tick: the instant it was due, Unix seconds.
        began: when its handler was started, Unix seconds.
    """

    tick: float
    began: float

    @property
    def late(self) -> float:
        """Seconds after its instant."""
        return self.began - self.tick


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of a schedule's ticks: all of them, against the cron evaluator."""

    expected: int
    missed: list[str]
    doubled: list[str]
    foreign: list[str]
    longest_gap: float
    late: list[float]

    @property
    def is_exact(self) -> bool:
        """Whether each tick has its effect exactly once, and nothing else has one."""
        return not (self.missed or self.doubled or self.foreign)


class TickConsumer:
    """
    A consumer process of its own, with effects as rows beside its ledger's tables, on PostgreSQL.

    No unique constraint on purpose: what is done twice shall be seen.
    """

    def __init__(self, folder: Path, broker: str, ledger: str, queues: Sequence[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._ledger = ledger
        file = folder / "consumer.py"
        file.write_text(textwrap.dedent(_CONSUMER).replace("@@", repr(list(queues))), encoding="utf-8")
        command = [sys.executable, "-c", _MAIN, "consume", f"{file}:consumer", "--json"]
        environment = {"TICKRELAY_BROKER": broker, "TICKRELAY_LEDGER": ledger}
        self._log = folder / "consumer.log"
        self.server = Server(command, self._is_enrolled, self._log, env={**os.environ, **environment})

    def start(self) -> None:
        """Start it; returns when it consumes."""
        with psycopg.connect(self._ledger) as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS tick_effects (queue text, tick double precision, began double precision)"
            )
        self.server.start()

    def effects(self, queue: str) -> list[Effect]:
        """What was done, in the order in which it began."""
        query = "SELECT tick, began FROM tick_effects WHERE queue = %s ORDER BY began"
        with psycopg.connect(self._ledger) as connection:
            return [Effect(*row) for row in connection.execute(query, [queue])]

    def _is_enrolled(self) -> bool:
        return self._log.exists() and "consuming" in self._log.read_text(errors="replace")


def tally(effects: Sequence[Effect], cron: Cron, since: datetime, until: datetime) -> Tally:
    """Compare effects with the schedule's ticks: since <= tick < until."""
    expected = {tick.timestamp() for tick in cron.between(since, until)}
    looked_at = [effect for effect in effects if since.timestamp() <= effect.tick < until.timestamp()]
    counts = Counter(effect.tick for effect in looked_at)
    began = sorted(effect.began for effect in looked_at)
    return Tally(
        expected=len(expected),
        missed=_words(expected - counts.keys()),
        doubled=_words(tick for tick, count in counts.items() if count > 1),
        foreign=_words(counts.keys() - expected),
        longest_gap=max((later - earlier for earlier, later in pairwise(began)), default=0.0),
        late=[effect.late for effect in looked_at],
    )


def _words(ticks: Iterable[float]) -> list[str]:
    return [datetime.fromtimestamp(tick, UTC).isoformat() for tick in sorted(ticks)]
