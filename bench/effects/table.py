# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""All rows, broker by broker. Each figure is the median of its rounds; in a round everybody has a turn."""

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
_PYTHON_PEERS = ("dramatiq", "celery", "taskiq", "faststream")

Figures = dict[str, float | str]
"""Effects a second by who was measured, or why there is no figure."""


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
    size = Size(4_000, 1_000, 1) if short else Size(100_000, 8_000, 3)
    for title, part in _PARTS.items():
        try:
            show(title, part(size))
        except Exception as error:  # noqa: BLE001 - the other tables are worth having
            console.print(f"[bold red]{title}: not measured[/]: {type(error).__name__}: {error}\n")


def _in_turns(size: Size, once: Callable[[Size], Figures]) -> Figures:
    """The median of each one's rounds; whoever broke in one of them has its reason instead."""
    rounds = [once(size) for _ in range(size.rounds)]
    return {name: _median([figures[name] for figures in rounds]) for name in rounds[0]}


def _median(found: Sequence[float | str]) -> float | str:
    broken = [one for one in found if isinstance(one, str)]
    return broken[0] if broken else statistics.median([one for one in found if not isinstance(one, str)])


def _number(figures: Figures, name: str) -> float:
    """Of one that must not break."""
    found = figures[name]
    if isinstance(found, str):
        raise RuntimeError(f"{name}: {found}")  # noqa: TRY004 - it's the figure that is missing
    return found


def _redis(size: Size) -> list[Row]:
    found = _in_turns(size, _redis_round)
    strict, relaxed = _number(found, "ours"), _number(found, "ours relaxed")
    loop = f"claims and completes by 256, {FSYNC}"
    return [
        _promised(strict, f"Redis ledger {FSYNC}, {_HOW}", 30_000),
        _promised(relaxed, f"Redis ledger {RELAXED}, {_HOW}", 40_000),
        peer("bare loop", loop, found["claiming"], strict),
        peer("bare loop", loop.replace(FSYNC, RELAXED), found["claiming relaxed"], relaxed),
        peer("bare loop", f"no ledger, {FSYNC}", found["plain"], strict),
        *[peer(name, f"no dedup, {FSYNC}", found[name], strict, least=10) for name in _PYTHON_PEERS],
        peer("asynq (Go)", f"50 goroutines, {FSYNC}", found["asynq"], strict, least=1),
    ]


def _redis_round(size: Size) -> Figures:
    """Everybody once, on servers that nobody has used before."""
    found: Figures = {}
    with _redis_server(FSYNC) as url, scratch() as folder:
        found["ours"] = _round(size.ours, url, _ledger(url), processes=1)
        found["claiming"] = rate("bare:claiming", size.ours, [_other(url, 1)])
        found["plain"] = rate("bare:loop", size.ours, [_other(url, 2)])
        for number, name in enumerate(_PYTHON_PEERS, 3):
            function = "peers:faststream_redis" if name == "faststream" else f"peers:{name}"
            found[name] = tried(function, size.peers, [_other(url, number)])
        found["asynq"] = asynq(url, size.peers, folder)
    with _redis_server(RELAXED) as url:
        found["ours relaxed"] = _round(size.ours, url, _ledger(url, "durability=relaxed"), processes=1)
        found["claiming relaxed"] = rate("bare:claiming", size.ours, [_other(url, 1)])
    return found


def _rabbitmq(size: Size) -> list[Row]:
    found = _in_turns(size, _rabbitmq_round)
    on_postgres, on_redis = _number(found, "postgres"), _number(found, "redis")
    setting = "no dedup, classic queue, 2 processes"
    return [
        _promised(on_postgres, f"PostgreSQL ledger fsync=on, {_HOW}, 2 processes", 12_000),
        _promised(on_redis, f"Redis ledger {FSYNC}, {_HOW}, 2 processes", 12_000),
        *[
            peer(name, setting, found[name], min(on_postgres, on_redis), least=2)
            for name in ("dramatiq", "celery")
        ],
    ]


def _rabbitmq_round(size: Size) -> Figures:
    found: Figures = {}
    with scratch() as folder, servers.rabbitmq(folder / "rabbitmq") as broker:
        with _postgres() as ledger:
            found["postgres"] = _round(size.ours, broker.url, ledger, processes=2)
        with _redis_server(FSYNC) as url:
            found["redis"] = _round(size.ours, broker.url, _ledger(url), processes=2)
        for name in ("dramatiq", "celery"):
            found[name] = tried(f"peers:{name}", size.peers, [broker.url, "2"], processes=2)
    return found


def _kafka(size: Size) -> list[Row]:
    found = _in_turns(size, _kafka_round)
    mine, bare = _number(found, "ours"), _number(found, "claiming")
    return [
        _promised(mine, f"Redis ledger {FSYNC}, {_HOW}", max(40_000, round(bare / 2))),
        peer("bare loop", f"claims and completes by 256, {FSYNC}", bare, mine, least=0.5),
        peer("faststream", "no dedup, a commit each", found["faststream"], mine),
    ]


def _kafka_round(size: Size) -> Figures:
    found: Figures = {}
    with scratch() as folder, servers.kafka(folder / "kafka") as broker:
        with _redis_server(FSYNC) as url:
            found["ours"] = _round(size.ours, broker.url, _ledger(url), processes=1)
            found["claiming"] = rate("bare:claiming_kafka", size.ours, [broker.url, _other(url, 1)])
        found["faststream"] = tried("peers:faststream_kafka", max(100, size.peers // 10), [broker.url])
    return found


def _sqlite(size: Size) -> list[Row]:
    found = _in_turns(size, _sqlite_round)
    return [_promised(_number(found, "ours"), f"SQLite ledger synchronous=FULL, {_HOW}", 20_000)]


def _sqlite_round(size: Size) -> Figures:
    with scratch() as folder:
        queue, ledger = f"sqlite:///{folder}/queue.db", f"sqlite:///{folder}/ledger.db"
        return {"ours": _round(size.ours, queue, ledger, processes=1)}


def _memory(_: Size) -> list[Row]:
    return memory.rows()


_PARTS: dict[str, Callable[[Size], list[Row]]] = {
    "Effects on Redis Streams (one byte appended, acknowledged after the work)": _redis,
    "Effects on RabbitMQ": _rabbitmq,
    "Effects on Kafka": _kafka,
    "Effects on SQLite": _sqlite,
    "Memory of a consumer": _memory,
}


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
