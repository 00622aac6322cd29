# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Handlers for child processes, found there under this file."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from tickrelay_consumer import Consumer, Context, DeadLetter, Message, Retry, RetryLater
from tickrelay_consumer.batching import BatchContext

consumer = Consumer()
ONCE = Retry(first=0.5, factor=1, attempts=1, jitter=0)


@consumer.handler("orders", mode="process", timeout=20, retry=ONCE)
def take(message: Message, ctx: Context) -> None:
    asked, file = message.data["do"], Path(message.data.get("file", os.devnull))
    file.write_text(f"{os.getpid()} {ctx.idempotency_key} {ctx.fence} {ctx.attempt} {ctx.route.handler}")
    if asked == "raise":
        raise ValueError("no \udcff such thing")
    if asked == "later":
        raise RetryLater(33, "the bank is closed")
    if asked == "dead":
        raise DeadLetter("never")
    if asked == "leave":
        sys.exit("gone")
    if asked == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if asked == "exit":
        os._exit(3)
    if asked == "wait":
        time.sleep(message.data["seconds"])
        file.write_text("through")


@consumer.handler("orders", mode="process", timeout=0.5, retry=ONCE)
def hurry(message: Message, ctx: Context) -> None:
    take(message, ctx)


@consumer.handler("orders", mode="process", batch=3, batch_wait=30)
def many(messages: list[Message], ctx: BatchContext) -> None:
    for message in messages:
        if message.data["do"] == "fail":
            ctx.fail(message, KeyError("this one"))
        elif message.data["do"] != "nothing":
            take(message, ctx.of(message))
