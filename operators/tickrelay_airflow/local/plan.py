# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Which components a local system has, and in which order they stop.

Phase 0 makes work, phase 1 schedules and publishes it, phase 2 serves phase 1's tasks, phase 3 carries it out: so
nothing is cut off from what it needs while it finishes. The longest graces add up to 20 s.
"""

from __future__ import annotations

import sys

from tickrelay_airflow.local.components import Spec
from tickrelay_airflow.local.settings import DEMO_SHOP, LocalSettings

ORDERS = "orders"
CONSUMER = "consumer"
_TICKRELAY = "from tickrelay_consumer.commands import main; main()"


def components(settings: LocalSettings) -> list[Spec]:
    """In the order in which they are started."""
    return [*_consumer(settings), *_orders(settings), *_airflow(settings)]


def _consumer(settings: LocalSettings) -> list[Spec]:
    if settings.consumer is None:
        return []
    address = f"127.0.0.1:{settings.metrics}"
    argv = (sys.executable, "-c", _TICKRELAY, "consume", settings.consumer, "--http", address)
    return [_command(settings, CONSUMER, argv, phase=3, grace=6)]


def _orders(settings: LocalSettings) -> list[Spec]:
    if not settings.demo:
        return []
    argv = (sys.executable, str(DEMO_SHOP), "--rate", str(settings.rate), "--shop", str(settings.home.shop))
    return [_command(settings, ORDERS, argv, phase=0, grace=2)]


def _airflow(settings: LocalSettings) -> list[Spec]:
    """
    The DAG processor first, so that it parses while the rest is still imported.

    Task logs are read from the disk, so nobody needs the scheduler's and triggerer's log servers, which would listen on
    every interface.
    """
    address = ("--host", "127.0.0.1", "--port", str(settings.web))
    return [
        _fork(settings, "dag-processor", phase=1, grace=9),
        _fork(settings, "api-server", *address, phase=2, grace=3),
        _fork(settings, "scheduler", "--skip-serve-logs", phase=1, grace=9),
        _fork(settings, "triggerer", "--skip-serve-logs", phase=1, grace=9),
    ]


def _command(settings: LocalSettings, name: str, argv: tuple[str, ...], *, phase: int, grace: float) -> Spec:
    return Spec(name=name, kind="command", argv=argv, cwd=str(settings.project), phase=phase, grace=grace)


def _fork(settings: LocalSettings, name: str, *options: str, phase: int, grace: float) -> Spec:
    argv = (name, *options)
    return Spec(
        name=name, kind="airflow", argv=argv, cwd=str(settings.home.airflow), phase=phase, grace=grace
    )
