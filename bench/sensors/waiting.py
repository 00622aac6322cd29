# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The process in which triggers wait: `python -m bench.sensors.waiting ours|provider COUNT WOKEN PORT`.

It writes a line of JSON when all of them wait, and another when WOKEN of them have fired.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil

QUEUE = "bench-sensors"
GROUP = "airflow"
CONN_ID = "bench"
WITHIN = 300.0


def main() -> None:
    """See the module."""
    kind, count, woken, port = sys.argv[1], *map(int, sys.argv[2:])
    make, is_waiting = {"ours": (_ours, _ours_wait), "provider": (_provider, _provider_waits)}[kind]
    asyncio.run(_wait(make, is_waiting, (count, woken, port)))


async def _wait(
    make: Callable[[int], Any], is_waiting: Callable[[int, int], bool], numbers: tuple[int, int, int]
) -> None:
    count, woken, port = numbers
    fired: dict[int, float] = {}
    done = asyncio.Event()

    async def wait(number: int) -> None:
        async for _ in make(number).run():
            fired[number] = time.time()
            if len(fired) == woken:
                done.set()
            return

    first = asyncio.create_task(wait(count))  # brings up whatever is shared; nobody sends it anything
    await _until(lambda: is_waiting(1, port))
    before = _memory()
    tasks = [asyncio.create_task(wait(number)) for number in range(count)]
    await _until(lambda: is_waiting(count + 1, port))
    found = {
        "bytes": (_memory() - before) / count,
        "threads": threading_count(),
        "connections": _connections(port),
    }
    _say(found)
    async with asyncio.timeout(WITHIN):
        await done.wait()
    _say(fired)
    for task in (first, *tasks):
        task.cancel()
    # Closing fifty Kafka consumers one after the other is no part of this.
    sys.stdout.flush()
    psutil.Process().kill()


def _ours(number: int) -> Any:
    from tickrelay_airflow.triggers.queue import QueueTrigger
    from tickrelay_airflow.waiting.conditions import Arrived

    condition = Arrived(QUEUE, GROUP, taker=f"sensor-{number}", match={"key": f"k{number}"})
    return QueueTrigger(CONN_ID, condition.as_dict())


def _ours_wait(count: int, port: int) -> bool:
    from tickrelay_airflow.triggers.hub import Hub

    hubs = list(Hub._shared.values())  # noqa: SLF001
    return sum(hub.waiting for hub in hubs) == count and _connections(port) > 0


def _provider(number: int) -> Any:
    from airflow.providers.apache.kafka.triggers.await_message import AwaitMessageTrigger

    return AwaitMessageTrigger(topics=[topic(number)], kafka_config_id=f"{CONN_ID}_{number}")


def _provider_waits(count: int, port: int) -> bool:
    """Each consumer has a thread that talks to the node it knows."""
    return _connections(port) >= count


def topic(number: int) -> str:
    """The topic of one of the provider's sensors."""
    return f"bench-sensor-{number}"


def threading_count() -> int:
    """All threads of this process, native ones, too."""
    return psutil.Process().num_threads()


def _connections(port: int) -> int:
    return sum(1 for _ in _to(port))


def _to(port: int) -> Iterator[Any]:
    for connection in psutil.Process().net_connections("tcp"):
        if connection.raddr and connection.raddr.port == port and connection.status == "ESTABLISHED":
            yield connection


def _memory() -> int:
    gc.collect()
    return psutil.Process().memory_info().rss


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN):
        while not condition():  # noqa: ASYNC110 - there is no event for what another library does
            await asyncio.sleep(0.2)
    await asyncio.sleep(2.0)


def _say(found: dict[Any, Any]) -> None:
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    assert threading.current_thread() is threading.main_thread()
    main()
