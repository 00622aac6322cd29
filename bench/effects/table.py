# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""All rows, broker by broker. Each row is the median of its rounds; everybody takes turns within a round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.services.postgres import running_postgres
from tests.services.redis import RedisServer

from bench.brokers import servers
from bench.effects import memory, ours
from bench.effects.contest import peer, rate, tried
from bench.effects.go_peer import asynq
from bench.report import OURS, Row, console, scratch, show

FSYNC = "appendfsync=always"
RELAXED = "appendfsync=everysec"
_HOW = "external, threads"


@dataclass(frozen=True, slots=True)
class Size:
    """
    Attributes:
        ours: messages a round.
        peers: messages for each peer, which are slower by far.
    """

    ours: int
    peers: int
    rounds: int


def main(*, short: bool) -> None:
    """Print all tables; a part that breaks says so, and the next begins."""
    size = Size(4_000, 500, 1) if short else Size(100_000, 8_000, 3)
    for title, part in _PARTS.items():
        try:
            show(title, part(size))
        except Exception as error:  # noqa: BLE001 - the other tables are worth having
            console.print(f"[bold red]{title}: not measured[/]: {type(error).__name__}: {error}\n")


def _redis(size: Size) -> list[Row]:
    rows = []
    with _redis_server(FSYNC) as url:
        strict = _ours(size, url, _ledger(url))
        rows.append(_promised(strict, f"Redis ledger {FSYNC}, {_HOW}", 30_000))
        claiming = rate("bare:claiming", size.ours, [_other(url, 1)])
        plain = rate("bare:loop", size.ours, [_other(url, 2)])
        rows.append(peer("bare loop", f"claims and completes by 256, {FSYNC}", claiming, strict))
        rows.append(peer("bare loop", f"no ledger, {FSYNC}", plain, strict))
        for number, name in enumerate(("dramatiq", "celery", "taskiq"), 3):
            measured = tried(f"peers:{name}", size.peers, [_other(url, number)])
            rows.append(peer(name, f"no dedup, {FSYNC}", measured, strict, least=10))
        measured = tried("peers:faststream_redis", size.peers, [url])
        rows.append(peer("faststream", f"no dedup, {FSYNC}", measured, strict, least=10))
        with scratch() as folder:
            measured = asynq(url, size.peers, folder)
        rows.append(peer("asynq (Go)", f"50 goroutines, {FSYNC}", measured, strict, least=1))
    with _redis_server(RELAXED) as url:
        relaxed = _ours(size, url, _ledger(url, "durability=relaxed"))
        rows.insert(1, _promised(relaxed, f"Redis ledger {RELAXED}, {_HOW}", 40_000))
        claiming = rate("bare:claiming", size.ours, [_other(url, 1)])
        rows.append(peer("bare loop", f"claims and completes by 256, {RELAXED}", claiming, relaxed))
    return rows


def _rabbitmq(size: Size) -> list[Row]:
    with scratch() as folder, servers.rabbitmq(folder / "rabbitmq") as broker:
        with _postgres() as ledger:
            on_postgres = _ours(size, broker.url, ledger, processes=2)
        rows = [_promised(on_postgres, f"PostgreSQL ledger fsync=on, {_HOW}, 2 processes", 12_000)]
        with _redis_server(FSYNC) as url:
            on_redis = _ours(size, broker.url, _ledger(url), processes=2)
        rows.append(_promised(on_redis, f"Redis ledger {FSYNC}, {_HOW}, 2 processes", 12_000))
        slower = min(on_postgres, on_redis)
        for name in ("dramatiq", "celery"):
            measured = tried(f"peers:{name}", size.peers, [broker.url, "2"], processes=2)
            rows.append(peer(name, "no dedup, classic queue, 2 processes", measured, slower, least=2))
    return rows


def _kafka(size: Size) -> list[Row]:
    with scratch() as folder, servers.kafka(folder / "kafka") as broker:
        with _redis_server(FSYNC) as url:
            mine = _ours(size, broker.url, _ledger(url))
            bare = rate("bare:claiming_kafka", size.ours, [broker.url, _other(url, 1)])
        measured = tried("peers:faststream_kafka", max(100, size.peers // 10), [broker.url])
    return [
        _promised(mine, f"Redis ledger {FSYNC}, {_HOW}", max(40_000, round(bare / 2))),
        peer("bare loop", f"claims and completes by 256, {FSYNC}", bare, mine, least=0.5),
        peer("faststream", "no dedup, a commit each", measured, mine),
    ]


def _sqlite(size: Size) -> list[Row]:
    with scratch() as folder:
        found = _ours(size, f"sqlite:///{folder}/queue.db", f"sqlite:///{folder}/ledger.db")
    return [_promised(found, f"SQLite ledger synchronous=FULL, {_HOW}", 20_000)]


def _memory(_: Size) -> list[Row]:
    return memory.rows()


_PARTS: dict[str, Callable[[Size], list[Row]]] = {
    "Effects on Redis Streams (one byte appended, acknowledged after the work)": _redis,
    "Effects on RabbitMQ": _rabbitmq,
    "Effects on Kafka": _kafka,
    "Effects on SQLite": _sqlite,
    "Memory of a consumer": _memory,
}


def _ours(size: Size, broker: str, ledger: str, *, processes: int = 1) -> float:
    """The median of the rounds; each fills the queue anew, whose messages have ids of their own."""
    found: Sequence[float] = [
        _round(size.ours, broker, ledger, processes=processes) for _ in range(size.rounds)
    ]
    return statistics.median(found)


def _round(number: int, broker: str, ledger: str, *, processes: int) -> float:
    ours.fill(broker, number)
    return rate("ours:consume", number, [broker, ledger], processes=processes)


def _promised(found: float, setting: str, goal: int) -> Row:
    return Row(OURS, setting, found, "/s", f">= {goal:,}/s", found >= goal)


def _other(url: str, number: int) -> str:
    """Another database of the same server, so that nobody meets another's keys."""
    return f"{url.partition('?')[0].rstrip('/').rpartition('/')[0]}/{number}"


def _ledger(url: str, options: str = "") -> str:
    return url.partition("?")[0] + (f"?{options}" if options else "")


@contextmanager
def _redis_server(setting: str) -> Iterator[str]:
    name, _, value = setting.partition("=")
    with scratch() as folder:
        server = RedisServer(folder, {name: value})
        server.server.start()
        try:
            yield server.url(lease=10)
        finally:
            server.server.kill()


@contextmanager
def _postgres() -> Iterator[str]:
    with scratch() as folder, running_postgres(folder) as server:
        yield server.new_database()
