# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""All rows, broker by broker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.brokers import servers, tasks, waiting
from bench.brokers.rounds import Contestant, contest
from bench.report import OURS, Row, console, scratch, show


@dataclass(frozen=True, slots=True)
class Contests:
    """
    Attributes:
        publish: messages a round.
        receive: messages a round.
    """

    start: servers.Start
    publish: int
    receive: int
    publishers: tuple[Contestant, ...]
    receivers: tuple[Contestant, ...]


_OURS_PUBLISH = Contestant(OURS, "one call", "ours:publish")
_OURS_RECEIVE = Contestant(OURS, "batches of 500", "ours:receive")

BROKERS = {
    "RabbitMQ": Contests(
        servers.rabbitmq,
        30_000,
        30_000,
        (
            _OURS_PUBLISH,
            Contestant("bare pika", "confirms pipelined, window 4096", "on_rabbitmq:publish", least=0.8),
            Contestant("bare pika", "each confirmed", "on_rabbitmq:publish_each", share=0.05, least=8),
            Contestant(
                "dramatiq",
                "send, confirmed, classic",
                "peer_dramatiq:publish",
                0.05,
                needs="dramatiq",
                rounds=3,
            ),
            Contestant(
                "celery", "delay, confirmed, quorum", "peer_celery:publish", 0.05, needs="celery", rounds=3
            ),
        ),
        (
            _OURS_RECEIVE,
            Contestant("bare pika", "prefetch 500, acks of 250", "on_rabbitmq:receive", least=0.7),
            Contestant(
                "dramatiq", "8 threads, classic", "peer_dramatiq:receive", 0.1, needs="dramatiq", rounds=3
            ),
        ),
    ),
    "Kafka": Contests(
        servers.kafka,
        150_000,
        200_000,
        (
            _OURS_PUBLISH,
            Contestant("bare confluent-kafka", "idempotent, acks=all", "on_kafka:publish", least=0.7),
            Contestant(
                "faststream",
                "publish_batch(500), acks=all",
                "peer_faststream:publish_kafka",
                0.05,
                needs="faststream",
                rounds=3,
            ),
        ),
        (
            _OURS_RECEIVE,
            Contestant("bare confluent-kafka", "consume(500), commit each", "on_kafka:receive", least=0.7),
            Contestant(
                "faststream",
                "acknowledged after work",
                "peer_faststream:receive_kafka",
                0.005,
                needs="faststream",
                rounds=3,
            ),
        ),
    ),
    "Redis Streams": Contests(
        servers.redis,
        60_000,
        60_000,
        (
            _OURS_PUBLISH,
            Contestant("bare redis-py", "pipelines of 500 XADD", "on_redis:publish", least=0.7),
            Contestant(
                "faststream",
                "streams, one by one",
                "peer_faststream:publish_redis",
                0.05,
                needs="faststream",
                rounds=3,
            ),
            Contestant(
                "dramatiq", "lists, one by one", "peer_dramatiq:publish", 0.05, needs="dramatiq", rounds=3
            ),
        ),
        (
            _OURS_RECEIVE,
            Contestant("bare redis-py", "COUNT 500, XACK and XDEL", "on_redis:receive", least=0.7),
            Contestant(
                "faststream",
                "streams, acknowledged after work",
                "peer_faststream:receive_redis",
                0.05,
                needs="faststream",
                rounds=3,
            ),
            Contestant(
                "dramatiq", "lists, 8 threads", "peer_dramatiq:receive", 0.05, needs="dramatiq", rounds=3
            ),
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Amount:
    """
    How much is measured.

    Attributes:
        rounds: of each contest.
        part: of a contest's messages in a round.
        waits: messages for which an idle consumer waits.
        task: messages of one Airflow task.
        tasks: the brokers it is measured on; an Airflow takes long to start.
    """

    rounds: int
    part: float
    waits: int
    task: int
    tasks: tuple[str, ...]


SHORT = Amount(rounds=2, part=0.1, waits=30, task=20_000, tasks=("Kafka",))
LONG = Amount(rounds=5, part=1.0, waits=400, task=1_000_000, tasks=tuple(BROKERS))


def main(*, short: bool) -> None:
    """Print the tables, broker by broker."""
    amount = SHORT if short else LONG
    with scratch() as folder:
        for name, contests in BROKERS.items():
            try:
                _measure(name, contests, folder / name.split()[0].lower(), amount)
            except pytest.skip.Exception as missing:  # a program that isn't installed; on CI it is an error
                console.print(f"[red]{name}: nothing measured: {missing}[/]\n")


def _measure(name: str, contests: Contests, room: Path, amount: Amount) -> None:
    with contests.start(room) as running:
        _broker(contests, running, room, amount)
        if name in amount.tasks:
            _task(running, room, amount)


def _broker(contests: Contests, running: servers.Running, room: Path, amount: Amount) -> None:
    url, about = running.url, running.about

    def race(contestants: tuple[Contestant, ...], number: int) -> list[Row]:
        return contest(contestants, url, round(number * amount.part), amount.rounds)

    show(
        f"{about}: confirmed publish, 200-byte body, persistent", race(contests.publishers, contests.publish)
    )
    show(f"{about}: receive and acknowledge, no ledger", race(contests.receivers, contests.receive))
    show(f"{about}: an idle consumer, SQLite ledger", waiting.rows(url, room, amount.waits))


def _task(running: servers.Running, room: Path, amount: Amount) -> None:
    found = tasks.rows(running.url, room, amount.task)
    show(f"{running.about}: one Airflow task, payloads from a generator", found)
