# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What `tickrelay doctor` looks at.

A check never raises and never writes: no queue is declared, no message published.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tickrelay_consumer.commands import _console as console
from tickrelay_consumer.commands._checks_ledger import ledger_checks
from tickrelay_consumer.commands._findings import Check, Status
from tickrelay_consumer.commands._options import open_broker, sqlite_file
from tickrelay_consumer.commands._plugins import discover
from tickrelay_consumer.settings import Settings
from tickrelay_messaging.brokers import redact
from tickrelay_messaging.brokers.base import Broker, GroupStats
from tickrelay_messaging.errors import ConfigurationError, TickrelayError

_SPACE_WARN = 1 << 30
_SPACE_FAIL = 64 << 20
_EARLIEST = 1_767_225_600.0
"""2026-01-01: a clock before this was never set."""
_DRIVERS = {"pika": "rabbitmq", "confluent_kafka": "kafka", "redis": "redis", "psycopg": "postgres"}


def examine(broker_url: str | None, ledger_url: str | None) -> Iterator[Check]:
    """Every check, in the order a person would look."""
    yield _python()
    yield _clock()
    yield from _commands()
    yield from _drivers()
    try:
        settings = Settings.load(broker=broker_url, ledger=ledger_url)
    except ConfigurationError as error:
        yield Check("settings", Status.FAIL, str(error), "correct the variable or option")
        return
    groups: list[GroupStats] = []
    yield from _files(settings)
    yield from _guarded("broker", lambda: _broker(settings, groups))
    yield from _guarded("ledger", lambda: ledger_checks(settings, groups))


def _guarded(name: str, look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """The findings of one part; an error ends the part, not the examination."""
    try:
        yield from look()
    except TickrelayError as error:
        yield Check(name, Status.FAIL, str(error), "see the text; the rest of this part was not checked")
    except Exception as error:  # noqa: BLE001 - a doctor that falls ill helps nobody
        yield Check(
            name,
            Status.FAIL,
            f"{type(error).__name__}: {error}",
            "this is a defect of Tickrelay; please report it",
        )


# --- the machine --------------------------------------------------------------------------------------------


def _python() -> Check:
    found = platform.python_version()
    if sys.version_info < (3, 11):  # noqa: UP036 - a wheel can be forced onto any Python
        return Check("python", Status.FAIL, found, "install Python 3.11 or later")
    return Check("python", Status.OK, found)


def _clock() -> Check:
    now = time.time()
    if now < _EARLIEST:
        return Check(
            "clock",
            Status.FAIL,
            f"{console.instant(now)}: was never set",
            "start a time service (chrony, systemd-timesyncd)",
        )
    return Check("clock", Status.OK, f"{console.instant(now)}")


def _commands() -> Iterator[Check]:
    for name, plugin in discover().items():
        try:
            plugin.load()
        except TickrelayError as error:
            yield Check(f"command {name}", Status.WARN, str(error), "reinstall or upgrade that distribution")


def _drivers() -> Iterator[Check]:
    missing = [extra for module, extra in _DRIVERS.items() if importlib.util.find_spec(module) is None]
    present = [extra for extra in _DRIVERS.values() if extra not in missing]
    finding = f"installed: {', '.join(present) or 'none'}; missing: {', '.join(missing) or 'none'}"
    remedy = f"for those you use: pip install 'tickrelay-messaging[{','.join(missing)}]'" if missing else ""
    yield Check("drivers", Status.INFO, finding, remedy)


def _files(settings: Settings) -> Iterator[Check]:
    for name, url in (("broker file", settings.broker), ("ledger file", settings.ledger)):
        path = sqlite_file(url)
        if path is not None and path.exists():
            yield _permissions(name, path)
            yield _space(name, path)


def _permissions(name: str, path: Path) -> Check:
    mode = stat.S_IMODE(path.stat().st_mode)
    if not os.access(path, os.R_OK | os.W_OK):
        return Check(
            name, Status.FAIL, f"{path} may not be read and written by this user", f"chown or chmod {path}"
        )
    if mode & 0o077:
        return Check(
            name, Status.WARN, f"{path} has mode {mode:04o}: others see the payloads", f"chmod 600 {path}*"
        )
    return Check(name, Status.OK, f"{path}, mode {mode:04o}")


def _space(name: str, path: Path) -> Check:
    free = shutil.disk_usage(path.parent).free
    finding = f"{free / (1 << 30):,.1f} GiB free for {path}"
    if free < _SPACE_WARN:
        status = Status.FAIL if free < _SPACE_FAIL else Status.WARN
        return Check(
            f"{name} disk", status, finding, "free some space; a full disk stops publishing and consuming"
        )
    return Check(f"{name} disk", Status.OK, finding)


# --- the broker ---------------------------------------------------------------------------------------------


def _broker(settings: Settings, groups: list[GroupStats]) -> Iterator[Check]:
    """Fills `groups`, which the ledger's checks need too."""
    begun = time.perf_counter()
    with open_broker(settings.broker) as broker:
        broker.check()
        found = [stats for spec in broker.queues() for stats in broker.stats(spec.name)]
        took = (time.perf_counter() - begun) * 1000
        groups.extend(found)
        queues = len({stats.queue for stats in found})
        yield Check(
            "broker",
            Status.OK,
            f"{redact(settings.broker)} answers in {took:.0f} ms, {console.many(queues, 'queue')}",
        )
        yield from _durability(broker)
    yield from _unconsumed(found)


def _durability(broker: Broker) -> Iterator[Check]:
    if not broker.capabilities.durable:
        yield Check(
            "durability",
            Status.WARN,
            "this broker forgets its messages with its process",
            "use it for tests only",
        )


def _unconsumed(groups: list[GroupStats]) -> Iterator[Check]:
    for stats in groups:
        if stats.consumers == 0 and stats.ready:
            oldest = (
                f", the oldest {console.age(stats.oldest_age)} old" if stats.oldest_age is not None else ""
            )
            yield Check(
                f"queue {stats.queue}",
                Status.WARN,
                f"{console.many(stats.ready, 'message')} ready{oldest}, and group {stats.group} has no consumer",
                f"start one: tickrelay consume TARGET --group {stats.group}",
            )
