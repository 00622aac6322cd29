# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Consumers as processes of their own, forked from this one, which has imported everything: that takes a second.

Reads lines of JSON: settings of a consumer to start, answered by its pid; or a pid, answered by its exit code.

`limits`, `timeout`; `effects` (of queue orders: any of "transaction", "external"); `poison`, an id that kills it;
`slow`, seconds each message takes; `publishes`, a queue that transactions publish to. An effect is a row of `effects`
in the ledger's file, or a line in a file.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tickrelay_consumer import Consumer, Context, Message, Retry
from tickrelay_consumer.engine.shared import Limits
from tickrelay_messaging import failpoints

INSERT = text("INSERT INTO effects VALUES ('transaction', :id, :pid, :at)")


def build(settings: dict[str, Any]) -> Consumer:
    consumer = Consumer(settings["broker"], settings["ledger"], limits=Limits(**settings.get("limits", {})))
    file = os.open(Path(settings["folder"]) / "effects", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    begun = os.open(Path(settings["folder"]) / "begun", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def begin(message: Message, ctx: Context) -> None:
        if message.id == settings.get("poison"):
            os.kill(os.getpid(), signal.SIGKILL)
        if settings.get("slow"):
            os.write(begun, f"{ctx.route.handler} {message.id} {ctx.attempt} {time.time()}\n".encode())
            time.sleep(settings["slow"])
        if settings.get("failing") and hash(message.id) % 3 == 0 and ctx.attempt == 1:
            raise ValueError("the first attempt of every third")

    def in_transaction(message: Message, ctx: Context) -> None:
        begin(message, ctx)
        ctx.connection.execute(INSERT, {"id": message.id, "pid": os.getpid(), "at": time.time()})
        if settings.get("publishes"):
            ctx.publish(settings["publishes"], message.id)

    def outside(message: Message, ctx: Context) -> None:
        begin(message, ctx)
        os.write(file, f"external {message.id} {os.getpid()} {time.time()} {message.time}\n".encode())

    handlers = {"transaction": in_transaction, "external": outside}
    retry = Retry(first=0.02, factor=1)
    for effect in settings.get("effects", ["transaction"]):
        made = consumer.handler(
            "orders", effect=effect, name=effect, retry=retry, timeout=settings.get("timeout", 30)
        )
        made(handlers[effect])
    return consumer


def work(settings: dict[str, Any]) -> int:
    log = os.open(Path(settings["folder"]) / "log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(log, stream)
    failpoints.arm(settings.get("failpoints", ""))
    return build(settings).run()


def start(settings: dict[str, Any]) -> int:
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
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(exit_code(asked) if isinstance(asked, int) else start(asked)), flush=True)  # noqa: T201 - the protocol
