# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What is published to the waiting, and the figures."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.services.kafka import Kafka

from bench.report import OURS, Row, console, scratch, show
from bench.sensors.waiting import CONN_ID, GROUP, QUEUE, topic
from tickrelay_messaging.brokers import Broker, QueueSpec, open_broker
from tickrelay_messaging.message import Message

WAITING = 10_000
MOST_BYTES, MOST_SECONDS = 50_000, 1.0
STEP, EVERY = 25, 0.05
"""So many messages, each so many seconds: 500 a second."""
PROVIDER = "Kafka provider"


@dataclass(frozen=True, slots=True)
class Size:
    """
    Attributes:
        steady: messages published at 500 a second.
        burst: then so many at once.
        peers: sensors of the provider's; it polls one at a time, a second each.
    """

    steady: int
    burst: int
    peers: int


@dataclass(frozen=True, slots=True)
class Found:
    """What one process told: about its sensors, and how long each message took, in seconds."""

    about: Mapping[str, float]
    late: Mapping[int, float]


def main(*, short: bool) -> None:
    """Print the table."""
    size = Size(2_000, 1_000, 8) if short else Size(8_000, 2_000, 50)
    with scratch() as folder:
        node = Kafka(folder)
        try:
            node.start()
            ours, provider = _measure_ours(folder, node, size), _measure_provider(node, size)
        except (RuntimeError, TimeoutError) as error:
            console.print(f"[bold red]sensors: not measured[/]: {error}\n")
            return
        finally:
            node.server.kill()
    show(
        f"{WAITING:,} waiting sensors in one event loop on Kafka",
        [*_rows_of_ours(ours, size), *_rows_of_provider(provider, size.peers)],
    )


def _rows_of_ours(found: Found, size: Size) -> list[Row]:
    about = found.about
    steady = [found.late[number] for number in range(size.steady)]
    burst = [found.late[number] for number in range(size.steady, size.steady + size.burst)]
    kept = about["bytes"] <= MOST_BYTES
    in_time = _high(steady) <= MOST_SECONDS
    return [
        Row(OURS, "memory, each", about["bytes"] / 1e3, "kB", f"<= {MOST_BYTES / 1e3:g} kB", kept),
        Row(OURS, "threads, all", about["threads"], "threads"),
        Row(OURS, "sockets to the node, all (one consumer)", about["connections"], "sockets"),
        Row(OURS, "message -> event, 500/s, P50", statistics.median(steady), "s"),
        Row(OURS, "message -> event, 500/s, P99", _high(steady), "s", f"<= {MOST_SECONDS:g} s", in_time),
        Row(OURS, "message -> event, 500/s, maximum", max(steady), "s"),
        Row(OURS, f"message -> event, {size.burst:,} at once, P99", _high(burst), "s"),
    ]


def _rows_of_provider(found: Found, count: int) -> list[Row]:
    about, late = found.about, list(found.late.values())
    return [
        Row(PROVIDER, f"memory, each of {count}", about["bytes"] / 1e3, "kB"),
        Row(PROVIDER, f"threads, {count} sensors", about["threads"], "threads"),
        Row(PROVIDER, f"sockets to the node, {count} sensors", about["connections"], "sockets"),
        Row(PROVIDER, f"message -> event, {count} sensors, P50", statistics.median(late), "s"),
        Row(PROVIDER, f"message -> event, {count} sensors, maximum", max(late), "s"),
    ]


def _measure_ours(folder: Path, node: Kafka, size: Size) -> Found:
    url = node.url()
    extra = {"broker": url, "ledger": f"sqlite:///{folder}/ledger.db"}
    connection = json.dumps({"conn_type": "tickrelay", "extra": extra})
    total = size.steady + size.burst
    with open_broker(url) as broker:
        broker.declare(QueueSpec(QUEUE, (GROUP,)))
        environment = {f"AIRFLOW_CONN_{CONN_ID.upper()}": connection}
        with _waiting("ours", (WAITING, total, _port(node)), environment) as child:
            about = _hear(child)
            sent = _publish_steadily(broker, size.steady)
            sent |= _publish(broker, range(size.steady, total))
            return Found(about, _late(sent, _hear(child)))


def _measure_provider(node: Kafka, size: Size) -> Found:
    url = node.url("partitions=1")
    with open_broker(url) as broker:
        for number in range(size.peers + 1):
            broker.declare(QueueSpec(topic(number)))
        environment = {
            f"AIRFLOW_CONN_{CONN_ID.upper()}_{number}": json.dumps(_of_provider(node, number))
            for number in range(size.peers + 1)
        }
        with _waiting("provider", (size.peers, size.peers, _port(node)), environment) as child:
            about = _hear(child)
            sent = {}
            for number in range(size.peers):
                sent[number] = time.time()
                broker.publish(topic(number), [Message.of({"n": number})])
            return Found(about, _late(sent, _hear(child)))


def _of_provider(node: Kafka, number: int) -> dict[str, Any]:
    extra = {
        "bootstrap.servers": node.address,
        "group.id": f"bench-{number}",
        "auto.offset.reset": "earliest",
    }
    return {"conn_type": "kafka", "extra": extra}


def _port(node: Kafka) -> int:
    return int(node.address.rpartition(":")[2])


def _publish_steadily(broker: Broker, count: int) -> dict[int, float]:
    sent: dict[int, float] = {}
    began = time.monotonic()
    for at in range(0, count, STEP):
        time.sleep(max(0.0, began + at / STEP * EVERY - time.monotonic()))
        sent |= _publish(broker, range(at, min(count, at + STEP)))
    return sent


def _publish(broker: Broker, numbers: Sequence[int]) -> dict[int, float]:
    """When each was handed to the broker: what it needs to confirm counts, too."""
    now = time.time()
    broker.publish(QUEUE, [Message.of({"n": number}, key=f"k{number}") for number in numbers])
    return dict.fromkeys(numbers, now)


def _late(sent: Mapping[int, float], fired: Mapping[str, float]) -> dict[int, float]:
    return {number: fired[str(number)] - at for number, at in sent.items()}


def _high(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


@contextmanager
def _waiting(
    kind: str, numbers: tuple[int, int, int], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "ignore", "-m", "bench.sensors.waiting", kind, *map(str, numbers)]
    with scratch() as home:
        own = {"AIRFLOW_HOME": str(home), "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR", "PYTHONPATH": "."}
        child = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **environment, **own},
        )
        try:
            yield child
        finally:
            child.kill()
            child.communicate()


def _hear(child: subprocess.Popen[str]) -> Any:
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("{"):
            return json.loads(line)
    raise RuntimeError("the process in which the sensors wait has ended")
