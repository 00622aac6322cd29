# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Consumers and publishers as processes of their own, forked from this one, which has imported everything.

Reads lines of JSON: settings of a process to start, answered by its pid; or a pid, answered by its exit code.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.chaos.brokers.history import History
from tests.chaos.campaign import plants
from tests.chaos.campaign.distorting import distorted
from tests.chaos.campaign.handling import SETTINGS, register
from tests.chaos.campaign.publisher import publish_paced
from tests.chaos.campaign.recording import record

from tickrelay_consumer import Consumer
from tickrelay_consumer.engine.shared import Limits
from tickrelay_messaging import failpoints
from tickrelay_messaging.brokers import Broker
from tickrelay_messaging.ledger import Ledger, open_ledger


def build(settings: dict[str, Any], history: History) -> Consumer:
    """Not yet running."""
    ledger = open_ledger(settings["ledger"])
    broker = plants.plant(settings.get("plant", ""), settings["broker"], ledger)
    if "distort" in settings:
        broker = distorted(settings["broker"], settings["distort"])
    record(ledger, history)
    if settings.get("in_children"):
        return in_children(settings, broker, ledger)
    consumer = Consumer(broker, ledger, limits=Limits(**settings["limits"]))
    register(consumer, settings, history)
    return consumer


def in_children(settings: dict[str, Any], broker: str | Broker, ledger: Ledger) -> Consumer:
    """A consumer that child processes can import; they know its settings and failpoints by their environment."""
    os.environ |= {SETTINGS: json.dumps(settings), failpoints.VARIABLE: settings.get("children", "")}
    consumer: Consumer = import_module("tests.chaos.campaign.in_children").consumer
    consumer._broker, consumer._ledger = broker, ledger
    return consumer


def work(settings: dict[str, Any]) -> int:
    """One process, whatever it is to be."""
    log = os.open(Path(settings["folder"]) / "log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(log, stream)
    history = History(Path(settings["folder"]) / f"{settings['kind']}.jsonl")
    if "fsize" in settings:
        resource.setrlimit(resource.RLIMIT_FSIZE, (settings["fsize"], resource.RLIM_INFINITY))
    if "clock" in settings:
        _move_clock(settings["clock"])
    failpoints.arm(settings.get("failpoints", ""))
    if settings["kind"] == "publisher":
        return publish_paced(settings, history)
    return build(settings, history).run()


def _move_clock(seconds: float) -> None:
    """This host's clock is wrong by so much."""
    real = time.time
    time.time = lambda: real() + seconds


def start(settings: dict[str, Any]) -> int:
    """Fork one; returns its pid."""
    pid = os.fork()
    if not pid:
        code = 70
        try:
            code = work(settings)
        except BaseException:  # noqa: BLE001 - a fork must never return from here
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def exit_code(pid: int) -> int | None:
    """Of one of ours; None while it runs."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


if __name__ == "__main__":
    gc.freeze()  # what is shared with forks stays shared
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(exit_code(asked) if isinstance(asked, int) else start(asked)), flush=True)  # noqa: T201 - the protocol
