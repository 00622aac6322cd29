# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Consumers and publishers as processes of their own, forked from this one, which has imported everything.

Reads lines of JSON: settings of a process to start, answered by its pid; or a pid, answered by its exit code.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from sqlalchemy import text
from tests.chaos.brokers.history import History
from tests.chaos.campaign import plants
from tests.chaos.campaign.distorting import distorted
from tests.chaos.campaign.plan import QUEUE
from tests.chaos.campaign.publisher import publish_paced
from tests.chaos.campaign.recording import record

from tickrelay_consumer import Consumer, Context, Message, Retry
from tickrelay_consumer.engine.shared import Limits
from tickrelay_messaging import failpoints
from tickrelay_messaging.ledger import open_ledger

INSERT = text("INSERT INTO effects (id, fence, attempt, at, pid) VALUES (:id, :fence, :attempt, :at, :pid)")
EFFECTS_KEY = "campaign:effects"
FAILING = 13
"""Every so many messages fail at first."""


def build(settings: dict[str, Any], history: History) -> Consumer:
    """Not yet running."""
    ledger = open_ledger(settings["ledger"])
    broker = plants.plant(settings.get("plant", ""), settings["broker"], ledger)
    if "distort" in settings:
        broker = distorted(settings["broker"], settings["distort"])
    record(ledger, history)
    consumer = Consumer(broker, ledger, limits=Limits(**settings["limits"]))

    def begin(message: Message, ctx: Context) -> dict[str, Any]:
        number = message.data["number"]
        if number in settings.get("poison", ()):
            os.kill(os.getpid(), 9)
        if settings.get("pause"):
            time.sleep(settings["pause"])
        if number % FAILING == 1 and ctx.attempt == 1:
            raise ValueError("the first attempt of every thirteenth")
        return {
            "id": message.id,
            "fence": ctx.fence,
            "attempt": ctx.attempt,
            "at": time.monotonic(),
            "pid": os.getpid(),
        }

    def transaction(message: Message, ctx: Context) -> None:
        ctx.connection.execute(INSERT, begin(message, ctx))

    def external(message: Message, ctx: Context) -> None:
        row = begin(message, ctx)
        history.write("effect", [message.id], row=list(row.values()))

    def redis(message: Message, ctx: Context) -> None:
        ctx.redis.rpush(EFFECTS_KEY, json.dumps(list(begin(message, ctx).values())))  # type: ignore[attr-defined]

    functions = {"transaction": transaction, "external": external, "redis": redis}
    effect = settings["effect"]
    made = consumer.handler(
        QUEUE, effect=effect, name=effect, retry=Retry(first=0.05, factor=1), **settings.get("handler", {})
    )
    made(functions[effect])
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
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(exit_code(asked) if isinstance(asked, int) else start(asked)), flush=True)  # noqa: T201 - the protocol
